/**
 * Known answer tests of ciphers over scatter lists (alg_test_skcipher of crypto/testmgr.c): every text in each of the kernel's
 * arrangements of source, destination, vector and key, all of them encrypted first, then decrypted.
 */
import { sha256 } from '../../../bytes/sha256.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import { initTable } from '../functions/scatterlist.ts';
import type { Linux } from '../linux.ts';
import { Flag, schedulesTests } from './flags.ts';
import type { Algorithm } from './registry.ts';
import {
  ALL,
  CROSSING,
  HALVES,
  isPoison,
  MISPLACED,
  MOST_PARTS,
  PAGE,
  type Part,
  type Piece,
  POISON,
  place,
  UNEVEN,
} from './selftest-buffers.ts';
import { dumpBytes } from './selftest-cipher.ts';
import { type StreamVector, streamVectors } from './selftest-data.ts';
import {
  allocateCipher,
  type CipherDirection,
  cipherAlgorithm,
  freeCipher,
  runCipher,
  setCipherKey,
  waitForRequest,
} from './skcipher.ts';
import { withMemory } from './use.ts';

/** MAX_IVLEN, and what a misplaced vector or key needs besides. */
const IV_ROOM = 32 + 3 * 64;

interface Arrangement {
  readonly name: string;
  /** one: source and destination are the same list; two: lists of the same memory. */
  readonly inPlace?: 'one' | 'two';
  readonly parts: readonly Part[];
  /** Of the destination, where they are others. */
  readonly to?: readonly Part[];
  /** Of vector and key. */
  readonly offset?: number;
  readonly afterMask?: true;
}

/** default_cipher_testvec_configs; the one with a divided destination came with 6.8. */
function arrangements(k: Linux): readonly Arrangement[] {
  const divided: Arrangement = { name: 'one src, two even splits dst', parts: ALL, to: HALVES };
  return [
    { name: 'in-place (one sglist)', inPlace: 'one', parts: ALL },
    { name: 'in-place (two sglists)', inPlace: 'two', parts: ALL },
    { name: 'out-of-place', parts: ALL },
    { name: 'unaligned buffer, offset=1', parts: MISPLACED, offset: 1 },
    {
      name: 'buffer aligned only to alignmask',
      parts: [{ ...MISPLACED[0], afterMask: true }],
      offset: 1,
      afterMask: true,
    },
    { name: 'two even aligned splits', parts: HALVES },
    ...(schedulesTests(k) ? [divided] : []),
    { name: 'uneven misaligned splits, may sleep', parts: UNEVEN, offset: 3 },
    { name: 'misaligned splits crossing pages, inplace', inPlace: 'one', parts: CROSSING },
  ];
}

interface Bench {
  readonly k: Linux;
  readonly driver: string;
  readonly cipher: Address;
  readonly request: Address;
  readonly iv: Address;
  readonly key: Address;
  /** Two lists of MOST_PARTS entries. */
  readonly lists: readonly [Address, Address];
  readonly sources: readonly Address[];
  readonly targets: readonly Address[];
  readonly ivSize: number;
  readonly mask: number;
  /** Long answers of which only a sum is kept, by the number of their vector, once they have been found right. */
  readonly answers: Map<number, Uint8Array>;
}

/** 0, or how it failed; the log says why. */
export function* testSkcipher(k: Linux, algorithm: Algorithm): Steps<number> {
  const vectors = streamVectors(algorithm.name);
  if (vectors === undefined) return 0;
  const cipher = yield* allocateCipher(k, algorithm.driver, 0, Flag.TESTED);
  if (isError(cipher)) {
    if (cipher === -Errno.ENOENT && schedulesTests(k)) return 0;
    k.printk(3, `alg: skcipher: failed to allocate transform for ${algorithm.driver}: ${cipher}`);
    return cipher;
  }
  const list = MOST_PARTS * k.sizeof('scatterlist');
  const requestBytes = k.sizeof('skcipher_request') + k.read('crypto_skcipher.reqsize', cipher);
  const pages = Array.from({ length: 2 * MOST_PARTS }, () => 2 * PAGE);
  const error = yield* withMemory(
    k,
    [requestBytes, IV_ROOM, IV_ROOM, 2 * list, ...pages],
    ([request, iv, key, lists, ...buffers]) =>
      testAll(
        {
          k,
          driver: algorithm.driver,
          cipher,
          request,
          iv: iv + (-iv & 127),
          key,
          lists: [lists, lists + list],
          sources: buffers.slice(0, MOST_PARTS),
          targets: buffers.slice(MOST_PARTS),
          ivSize: k.read('skcipher_alg.ivsize', cipherAlgorithm(k, cipher)),
          mask: k.read('crypto_alg.cra_alignmask', algorithm.base),
          answers: new Map(),
        },
        vectors,
      ),
  );
  yield* freeCipher(k, cipher);
  return error;
}

function* testAll(bench: Bench, vectors: readonly (StreamVector | undefined)[]): Steps<number> {
  const ways = arrangements(bench.k);
  for (const how of ['encrypt', 'decrypt'] as const) {
    for (const [number, vector] of vectors.entries()) {
      if (vector === undefined) continue;
      for (const way of ways) {
        const error = yield* testOne(bench, how, vector, number, way);
        if (error !== 0) return error;
      }
    }
  }
  return 0;
}

function* testOne(
  bench: Bench,
  how: CipherDirection,
  vector: StreamVector,
  number: number,
  way: Arrangement,
): Steps<number> {
  const { k, driver } = bench;
  const misplaced = (way.offset ?? 0) + (way.afterMask ? bench.mask : 0);
  const keyError = yield* setKey(bench, vector.key, number, misplaced);
  if (keyError !== 0) return keyError;
  const secret = vector.secret ?? bench.answers.get(number);
  const [from, to] = how === 'encrypt' ? [vector.plain, secret] : [secret, vector.plain];
  if (from === undefined) return 0;
  const iv = bench.ivSize === 0 ? 0 : bench.iv + misplaced;
  if (iv !== 0) {
    k.memory.fill(iv, bench.ivSize, 0);
    k.memory.write(iv, vector.iv.subarray(0, bench.ivSize));
  }
  const source = place(k, bench.sources, bench.mask, from, way.parts);
  const target =
    way.inPlace === undefined
      ? place(k, bench.targets, bench.mask, from.length, way.to ?? way.parts)
      : source;
  const error = yield* request(bench, how, { source, target, iv, same: way.inPlace === 'one' });
  const where = `on test vector ${number}, cfg="${way.name}"`;
  const say = (what: string) => k.printk(3, `alg: skcipher: ${driver} ${how}ion ${what}`);
  const changed = changedMembers(bench, from.length, iv, way.inPlace === 'one');
  if (changed.length > 0) {
    say(`corrupted request struct ${where}`);
    for (const member of changed) k.printk(3, `alg: skcipher: changed 'req->${member}'`);
    return -Errno.EINVAL;
  }
  if (error !== 0) {
    say(`failed on test vector ${number}; expected_error=0, actual_error=${error}, cfg="${way.name}"`);
    return error;
  }
  const found = verify(bench, target, to, vector, number);
  if (found === -Errno.EOVERFLOW) say(`overran dst buffer ${where}`);
  else if (found !== 0) say(`test failed (wrong result) ${where}`);
  if (found !== 0) return found;
  const left = vector.ivOut === undefined ? undefined : k.memory.bytes(iv, bench.ivSize);
  if (left === undefined || left.every((byte, i) => byte === vector.ivOut?.[i])) return 0;
  say(`test failed (wrong output IV) ${where}`);
  dumpBytes(k, left);
  return -Errno.EINVAL;
}

function* setKey(bench: Bench, key: Uint8Array, number: number, misplaced: number): Steps<number> {
  const { k, cipher } = bench;
  k.memory.write(bench.key + misplaced, key);
  const error = yield* setCipherKey(k, cipher, bench.key + misplaced, key.length);
  if (error === 0) return 0;
  const flags = k.read('crypto_tfm.crt_flags', cipher + k.offset('crypto_skcipher.base')).toString(16);
  k.printk(
    3,
    `alg: skcipher: ${bench.driver} setkey failed on test vector ${number}; expected_error=0, actual_error=${error}, flags=0x${flags}`,
  );
  return error;
}

interface Texts {
  readonly source: readonly Piece[];
  readonly target: readonly Piece[];
  readonly iv: Address;
  /** The request has one list for both. */
  readonly same: boolean;
}

function* request(bench: Bench, how: CipherDirection, { source, target, iv, same }: Texts): Steps<number> {
  const { k, cipher, request, lists } = bench;
  const [src, dst] = lists;
  fillList(k, src, source);
  if (!same) fillList(k, dst, target);
  k.memory.fill(request + k.sizeof('skcipher_request'), k.read('crypto_skcipher.reqsize', cipher), POISON);
  const put = (name: string, value: number) => k.write(`skcipher_request.${name}`, request, value);
  put('base.tfm', cipher + k.offset('crypto_skcipher.base'));
  put('src', src);
  put('dst', same ? src : dst);
  put(
    'cryptlen',
    source.reduce((sum, { length }) => sum + length, 0),
  );
  put('iv', iv);
  return yield* waitForRequest(k, request + k.offset('skcipher_request.base'), () =>
    runCipher(k, request, how),
  );
}

function fillList(k: Linux, list: Address, pieces: readonly Piece[]): void {
  initTable(k, list, pieces.length);
  for (const [i, { at, length }] of pieces.entries()) {
    const entry = list + i * k.sizeof('scatterlist');
    const link = k.read('scatterlist.page_link', entry);
    k.write('scatterlist.page_link', entry, k.heap.pages.ofAddress(at) + (link & 3));
    k.write('scatterlist.offset', entry, at & (PAGE - 1));
    k.write('scatterlist.length', entry, length);
  }
}

/** Members of the request that a cipher must leave alone and did not. */
function changedMembers(bench: Bench, length: number, iv: Address, same: boolean): string[] {
  const { k, cipher, request, lists } = bench;
  const expected: readonly (readonly [string, number])[] = [
    ['cryptlen', length],
    ['iv', iv],
    ['src', lists[0]],
    ['dst', same ? lists[0] : lists[1]],
    ['base.tfm', cipher + k.offset('crypto_skcipher.base')],
  ];
  return expected
    .filter(([name, value]) => k.read(`skcipher_request.${name}`, request) !== value)
    .map(([name]) => name);
}

/** verify_correct_output: 0, EINVAL for another result, EOVERFLOW for what was written behind it. */
function verify(
  { k, answers }: Bench,
  target: readonly Piece[],
  expected: Uint8Array | undefined,
  { sum }: StreamVector,
  number: number,
): number {
  let right = expected;
  if (right === undefined) {
    right = Uint8Array.from(target.flatMap(({ at, length }) => [...k.memory.bytes(at, length)]));
    if (sha256(right).some((byte, i) => byte !== sum?.[i])) return -Errno.EINVAL;
    answers.set(number, right);
  }
  let done = 0;
  for (const { at, length } of target) {
    const wanted = right.subarray(done, done + length);
    if (k.memory.bytes(at, length).some((byte, i) => byte !== wanted[i])) return -Errno.EINVAL;
    if (!isPoison(k, at + length)) return -Errno.EOVERFLOW;
    done += length;
  }
  return 0;
}
