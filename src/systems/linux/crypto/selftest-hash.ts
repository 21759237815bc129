/**
 * Known answer tests of hashes (alg_test_hash of crypto/testmgr.c): every message in each of the kernel's arrangements of calls
 * and buffers, first as a caller of shash makes them, then as a caller of ahash does, whose pieces may lie in several places.
 */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { Flag, schedulesTests } from './flags.ts';
import type { Algorithm } from './registry.ts';
import {
  ALL,
  CROSSING,
  isPoison,
  MISPLACED,
  MOST_PARTS,
  PAGE,
  type Part,
  type Piece,
  POISON,
  POISON_BYTES,
  place,
  UNEVEN,
} from './selftest-buffers.ts';
import { type HashVector, hashVectors } from './selftest-data.ts';
import {
  allocateHash,
  descriptorBytes,
  digestHash,
  endHash,
  finishHash,
  hashTransform,
  moveState,
  setHashKey,
  startHash,
  updateHash,
} from './shash.ts';
import { destroy } from './transforms.ts';
import { withMemory } from './use.ts';

interface Arrangement {
  readonly name: string;
  readonly end: 'final' | 'finup' | 'digest';
  readonly parts: readonly Part[];
  readonly keyOffset?: number;
}

/** default_hash_testvec_configs; the fifth lost its alignment when hashes did (6.8). */
function arrangements(k: Linux): readonly Arrangement[] {
  return [
    { name: 'init+update+final aligned buffer', end: 'final', parts: ALL },
    { name: 'init+finup aligned buffer', end: 'finup', parts: ALL },
    { name: 'digest aligned buffer', end: 'digest', parts: ALL },
    { name: 'init+update+final misaligned buffer', end: 'final', parts: MISPLACED, keyOffset: 1 },
    !schedulesTests(k)
      ? {
          name: 'digest buffer aligned only to alignmask',
          end: 'digest',
          parts: [{ ...MISPLACED[0], afterMask: true }],
          keyOffset: 1,
        }
      : { name: 'digest misaligned buffer', end: 'digest', parts: MISPLACED, keyOffset: 1 },
    {
      name: 'init+update+update+final two even splits',
      end: 'final',
      parts: [{ share: 5000 }, { share: 5000, flush: 'flush' }],
    },
    {
      name: 'digest uneven misaligned splits, may sleep',
      end: 'digest',
      parts: UNEVEN,
    },
    {
      name: 'digest misaligned splits crossing pages',
      end: 'digest',
      parts: CROSSING,
    },
    {
      name: 'import/export',
      end: 'final',
      parts: [
        { share: 6500, flush: 'reimport' },
        { share: 3500, flush: 'reimport' },
      ],
    },
  ];
}

/** One call, or the export and import between two. */
interface Call {
  readonly what: 'init' | 'update' | 'finup' | 'final' | 'digest' | 'reimport';
  /** By which name the kernel's own test knows it. */
  readonly as: string;
  readonly at: Address;
  readonly length: number;
}

/** Everything of one test: `buffers` are two pages for each part. */
interface Bench {
  readonly k: Linux;
  readonly driver: string;
  readonly hash: Address;
  readonly descriptor: Address;
  readonly out: Address;
  readonly state: Address;
  readonly key: Address;
  readonly buffers: readonly Address[];
  readonly digestSize: number;
  readonly stateSize: number;
  readonly mask: number;
}

/** 0, or how it failed; the log says why. */
export function* testHash(k: Linux, algorithm: Algorithm): Steps<number> {
  const vectors = hashVectors(algorithm.name);
  // Nobody here keeps what a hash leaves that takes whole blocks only: it cannot be tried, and counts as good.
  const wholeBlocks = (k.read('crypto_alg.cra_flags', algorithm.base) & Flag.BLOCK_ONLY) !== 0;
  if (vectors === undefined || wholeBlocks) return 0;
  const plain = vectors.filter(({ key }) => key === undefined);
  const error = yield* testAll(k, algorithm, plain);
  if (error !== 0) return error;
  // Numbers begin again: the kernel tests those with keys on a transform of their own.
  const keyed = yield* testAll(
    k,
    algorithm,
    vectors.filter(({ key }) => key !== undefined),
  );
  return keyed === 0 && algorithm.name === 'crc32c' ? yield* testCrc32c(k, algorithm) : keyed;
}

function* testAll(k: Linux, algorithm: Algorithm, vectors: readonly HashVector[]): Steps<number> {
  if (vectors.length === 0) return 0;
  const hash = yield* allocateHash(k, algorithm.driver, 0, Flag.TESTED);
  if (isError(hash)) {
    if (hash === -Errno.ENOENT && schedulesTests(k)) return 0;
    k.printk(3, `alg: hash: failed to allocate transform for ${algorithm.driver}: ${hash}`);
    return hash;
  }
  const digestSize = k.read('shash_alg.digestsize', algorithm.outer);
  const stateSize = k.read('shash_alg.statesize', algorithm.outer);
  const sizes = [
    k.sizeof('shash_desc') + descriptorBytes(k, hash) + POISON_BYTES,
    digestSize + POISON_BYTES,
    stateSize + POISON_BYTES,
    Math.max(...vectors.map(({ key }) => key?.length ?? 0)) + POISON_BYTES,
    ...Array.from({ length: MOST_PARTS }, () => 2 * PAGE),
  ];
  const error = yield* withMemory(k, sizes, function* ([descriptor, out, state, key, ...buffers]) {
    const mask = schedulesTests(k) ? 0 : k.read('crypto_alg.cra_alignmask', algorithm.base);
    const bench = { k, driver: algorithm.driver, hash, descriptor, out, state, key, buffers };
    k.write('shash_desc.tfm', descriptor, hash);
    return yield* testVectors({ ...bench, digestSize, stateSize, mask }, vectors);
  });
  yield* destroy(k, hash, hashTransform(k, hash));
  return error;
}

function* testVectors(bench: Bench, vectors: readonly HashVector[]): Steps<number> {
  const ways = arrangements(bench.k);
  for (const [number, vector] of vectors.entries()) {
    for (const way of ways) {
      const error = yield* testOne(bench, vector, number, way);
      if (error !== 0) return error;
    }
  }
  return 0;
}

function* testOne(bench: Bench, vector: HashVector, number: number, way: Arrangement): Steps<number> {
  const error = yield* setKey(bench, vector, number, way);
  if (error !== 0) return error;
  const pieces = place(bench.k, bench.buffers, bench.mask, vector.message, way.parts);
  const direct = directCalls(pieces, way.end);
  if (direct !== undefined) {
    const failed = yield* carryOut(bench, 'shash', direct, vector, number, way);
    if (failed !== 0) return failed;
  }
  const gathered = gatheredCalls(pieces, way.end);
  // The same calls once more would say the same once more.
  if (direct !== undefined && sameCalls(direct, gathered)) return 0;
  return yield* carryOut(bench, 'ahash', gathered, vector, number, way);
}

function* setKey(bench: Bench, { key }: HashVector, number: number, way: Arrangement): Steps<number> {
  if (key === undefined) return 0;
  const { k, hash } = bench;
  const at = bench.key + (way.keyOffset ?? 0);
  k.memory.write(at, key);
  const error = yield* setHashKey(k, hash, at, key.length);
  if (error === 0) return 0;
  const flags = k.read('crypto_tfm.crt_flags', hashTransform(k, hash)).toString(16);
  k.printk(
    3,
    `alg: shash: ${bench.driver} setkey failed on test vector ${number}; expected_error=0, actual_error=${error}, flags=0x${flags}`,
  );
  return error;
}

const call = (what: Call['what'], as: string = what, at: Address = 0, length = 0): Call => ({
  what,
  as,
  at,
  length,
});

/** test_shash_vec_cfg; undefined where one call cannot take several pieces. */
function directCalls(pieces: readonly Piece[], end: Arrangement['end']): Call[] | undefined {
  if (end === 'digest') {
    return pieces.length === 1 ? [call('digest', 'digest', pieces[0].at, pieces[0].length)] : undefined;
  }
  const calls = [call('init')];
  for (const [i, { at, length, part }] of pieces.entries()) {
    const last = i + 1 === pieces.length && end === 'finup';
    calls.push(call(last ? 'finup' : 'update', undefined, at, length));
    if (last) return calls;
    if (part.flush === 'reimport') calls.push(call('reimport'));
  }
  return [...calls, call('final')];
}

/** test_ahash_vec_cfg, with what crypto/shash.c makes of each request: a call for each page of a piece. */
function gatheredCalls(pieces: readonly Piece[], end: Arrangement['end']): Call[] {
  if (end === 'digest') {
    const [{ at, length }] = pieces;
    const simple = pieces.length === 1 && length > 0 && length <= PAGE - (at & (PAGE - 1));
    if (simple) return [call('digest', 'digest', at, length)];
    return [call('init', 'digest'), ...finishing(pieces, 'digest')];
  }
  const calls = [call('init')];
  let pending: Piece[] = [];
  for (const piece of pieces) {
    if (piece.part.flush !== undefined) {
      calls.push(...updates(pending));
      pending = [];
    }
    if (piece.part.flush === 'reimport') calls.push(call('reimport'));
    pending.push(piece);
  }
  if (end === 'finup') return [...calls, ...finishing(pending, 'finup')];
  return [...calls, ...updates(pending), call('final')];
}

function pagesOf(pieces: readonly Piece[]): { at: Address; length: number }[] {
  return pieces.flatMap(({ at, length }) => {
    const first = Math.min(length, PAGE - (at & (PAGE - 1)));
    const rest = { at: at + first, length: length - first };
    return [{ at, length: first }, rest].filter((part) => part.length > 0);
  });
}

const updates = (pieces: readonly Piece[]): Call[] =>
  pagesOf(pieces).map(({ at, length }) => call('update', 'update', at, length));

function finishing(pieces: readonly Piece[], as: string): Call[] {
  const parts = pagesOf(pieces);
  if (parts.length === 0) return [call('final', as)];
  return parts.map(({ at, length }, i) => call(i + 1 < parts.length ? 'update' : 'finup', as, at, length));
}

const sameCalls = (one: readonly Call[], other: readonly Call[]): boolean =>
  one.length === other.length &&
  one.every(
    ({ what, at, length }, i) => what === other[i].what && at === other[i].at && length === other[i].length,
  );

function* carryOut(
  bench: Bench,
  api: 'shash' | 'ahash',
  calls: readonly Call[],
  vector: HashVector,
  number: number,
  way: Arrangement,
): Steps<number> {
  const { k, driver, descriptor, out, digestSize } = bench;
  const where = `on test vector ${number}`;
  const cfg = `cfg="${way.name}"`;
  k.memory.fill(descriptor + k.sizeof('shash_desc'), descriptorBytes(k, bench.hash), POISON);
  k.memory.fill(out, digestSize + POISON_BYTES, POISON);
  for (const step of calls) {
    const failed = yield* makeCall(bench, step);
    if (failed === undefined) continue;
    const [as, error] = failed;
    const said =
      error === undefined
        ? `${as} overran state buffer ${where}, ${cfg}`
        : as === 'digest()'
          ? `${as} failed ${where}; expected_error=0, actual_error=${error}, ${cfg}`
          : `${as} failed with err ${error} ${where}, ${cfg}`;
    k.printk(3, `alg: ${api}: ${driver} ${said}`);
    return error ?? -Errno.EOVERFLOW;
  }
  const result = k.memory.bytes(out, digestSize);
  if (!result.every((byte, i) => byte === vector.digest[i])) {
    k.printk(3, `alg: ${api}: ${driver} test failed (wrong result) ${where}, ${cfg}`);
    return -Errno.EINVAL;
  }
  if (isPoison(k, out + digestSize)) return 0;
  k.printk(3, `alg: ${api}: ${driver} overran result buffer ${where}, ${cfg}`);
  return -Errno.EOVERFLOW;
}

/** Undefined when it went well; else which function failed and how: no number when it wrote too far. */
function* makeCall(bench: Bench, step: Call): Steps<[as: string, error: number | undefined] | undefined> {
  const { k, descriptor, out } = bench;
  const { what, as, at, length } = step;
  if (what === 'reimport') return yield* reimport(bench);
  let error: number;
  if (what === 'init') error = yield* startHash(k, descriptor);
  else if (what === 'update') error = yield* updateHash(k, descriptor, at, length);
  else if (what === 'finup') error = yield* finishHash(k, descriptor, at, length, out);
  else if (what === 'digest') error = yield* digestHash(k, descriptor, at, length, out);
  else error = yield* endHash(k, descriptor, out);
  return error === 0 ? undefined : [`${as}()`, error];
}

function* reimport({
  k,
  hash,
  descriptor,
  state,
  stateSize,
}: Bench): Steps<[as: string, error: number | undefined] | undefined> {
  k.memory.fill(state + stateSize, POISON_BYTES, POISON);
  const exported = yield* moveState(k, descriptor, 'export', state);
  if (exported !== 0) return ['export()', exported];
  if (!isPoison(k, state + stateSize)) return ['export()', undefined];
  k.memory.fill(descriptor + k.sizeof('shash_desc'), descriptorBytes(k, hash), POISON);
  const imported = yield* moveState(k, descriptor, 'import', state);
  return imported === 0 ? undefined : ['import()', imported];
}

/** The state of a CRC-32C is one word: callers put one there and ask for the rest (alg_test_crc32c). */
function* testCrc32c(k: Linux, algorithm: Algorithm): Steps<number> {
  const word = 420553207;
  const hash = yield* allocateHash(k, algorithm.driver, 0, Flag.TESTED);
  if (isError(hash)) return hash;
  const bytes = k.sizeof('shash_desc') + descriptorBytes(k, hash);
  const error = yield* withMemory(k, [bytes, 16], function* ([descriptor, out]) {
    k.write('shash_desc.tfm', descriptor, hash);
    k.memory.set32(descriptor + k.sizeof('shash_desc'), word);
    const failed = yield* endHash(k, descriptor, out);
    if (failed !== 0) {
      k.printk(3, `alg: crc32c: Operation failed for ${algorithm.driver}: ${failed}`);
      return failed;
    }
    if (k.memory.u32(out) === ~word >>> 0) return 0;
    k.printk(3, `alg: crc32c: Test failed for ${algorithm.driver}: ${k.memory.u32(out)}`);
    return -Errno.EINVAL;
  });
  yield* destroy(k, hash, hashTransform(k, hash));
  return error;
}
