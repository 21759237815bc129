/**
 * Known answer tests of compressors (test_comp and test_acomp of crypto/testmgr.c): text is packed and unpacked again, then what
 * another program has packed is unpacked. What the compressor itself makes of a text is its own affair.
 */
import { sameBytes } from '../../../bytes/same.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { allocatePlain, methodsOf } from './ciphers.ts';
import { Flag, schedulesTests, TYPE_MASK, typeNumbers } from './flags.ts';
import { findAlgorithm } from './lookup.ts';
import type { Algorithm } from './registry.ts';
import { dumpBytes } from './selftest-cipher.ts';
import { type CompressionVectors, compressionVectors } from './selftest-data.ts';
import { destroy } from './transforms.ts';
import { withContext, withMemory } from './use.ts';

/** COMP_BUF_SIZE. */
const ROOM = 512;

type How = 'compress' | 'decompress';
/** What came out, or the error's number; `length` is what the compressor says, which may be more than there is room for. */
type Answer = { readonly bytes: Uint8Array; readonly length: number } | number;
type Machine = (how: How, data: Uint8Array) => Steps<Answer>;

interface Words {
  readonly api: 'comp' | 'acomp';
  /** Behind "compression failed", where what was packed cannot be unpacked again, and where something else came out. */
  readonly notUnpacked: string;
  readonly differs: (number: number) => string;
}

const COMP: Words = {
  api: 'comp',
  notUnpacked: 'compression failed: decompress: ',
  differs: (number) => `compression failed: output differs: on test ${number}`,
};
const ACOMP: Words = {
  api: 'acomp',
  notUnpacked: 'compression failed ',
  differs: (number) => `Compression test ${number} failed`,
};

/** 0, or how it failed; the log says why. */
export function* testCompressor(k: Linux, algorithm: Algorithm): Steps<number> {
  const vectors = compressionVectors(algorithm.name);
  if (vectors === undefined) return 0;
  const transform = yield* allocatePlain(
    k,
    algorithm.driver,
    typeNumbers(k).compression,
    TYPE_MASK | Flag.TESTED,
  );
  if (isError(transform)) {
    if (transform === -Errno.ENOENT && schedulesTests(k)) return 0;
    k.printk(3, `alg: comp: Failed to load transform for ${algorithm.driver}: ${transform}`);
    return transform;
  }
  const error = yield* withMachine(
    k,
    (how, from, length, to, room) =>
      k.callInt(
        k.read(`compress_alg.coa_${how}`, methodsOf(k, transform)),
        transform,
        from,
        length,
        to,
        room,
      ),
    (machine) => test(k, algorithm.driver, COMP, vectors, machine),
  );
  yield* destroy(k, transform, transform);
  return error;
}

/** As `testCompressor`, for the form that keeps its working memory apart, through requests (crypto/scompress.c). */
export function* testCompressorApart(k: Linux, algorithm: Algorithm): Steps<number> {
  const vectors = compressionVectors(algorithm.name);
  if (vectors === undefined) return 0;
  const mask = TYPE_MASK | Flag.TESTED;
  const held = yield* findAlgorithm(k, algorithm.driver, typeNumbers(k).scomp, mask);
  if (typeof held === 'number') return held;
  return yield* withContext<number>(k, held, (transform, context) =>
    withMachine(
      k,
      (how, from, length, to, room) =>
        k.callInt(k.read(`scomp_alg.${how}`, algorithm.outer), transform, from, length, to, room, context),
      (machine) => test(k, algorithm.driver, ACOMP, vectors, machine),
    ),
  );
}

type Method = (how: How, from: number, length: number, to: number, room: number) => Steps<number>;

/** A machine over buffers of guest memory. */
function withMachine(k: Linux, method: Method, use: (machine: Machine) => Steps<number>): Steps<number> {
  return withMemory(k, [ROOM, ROOM, 8], ([from, to, room]) =>
    use(function* (how, data) {
      k.memory.write(from, data);
      k.memory.fill(to, ROOM, 0);
      k.memory.set32(room, ROOM);
      const error = yield* method(how, from, data.length, to, room);
      if (error !== 0) return error;
      const length = k.memory.u32(room);
      return { bytes: k.memory.bytes(to, Math.min(length, ROOM)), length };
    }),
  );
}

function* test(
  k: Linux,
  driver: string,
  words: Words,
  vectors: CompressionVectors,
  machine: Machine,
): Steps<number> {
  const say = (text: string) => k.printk(3, `alg: ${words.api}: ${text}`);
  for (const [i, plain] of vectors.plain.entries()) {
    const on = `on test ${i + 1} for ${driver}`;
    const packed = yield* machine('compress', plain);
    if (typeof packed === 'number') return failed(say, `compression failed ${on}`, packed);
    const again = yield* machine('decompress', packed.bytes);
    if (typeof again === 'number')
      return failed(say, `${words.notUnpacked}${on}${words.api === 'comp' ? ' failed' : ''}`, again);
    if (again.length !== plain.length)
      return differs(say, `Compression test ${i + 1} failed for ${driver}: output len = ${again.length | 0}`);
    if (sameBytes(again.bytes, plain)) continue;
    say(`${words.differs(i + 1)} for ${driver}`);
    dumpBytes(k, words.api === 'comp' ? again.bytes : packed.bytes);
    return -Errno.EINVAL;
  }
  for (const [i, { packed, plain }] of vectors.packed.entries()) {
    const unpacked = yield* machine('decompress', packed);
    if (typeof unpacked === 'number')
      return failed(say, `decompression failed on test ${i + 1} for ${driver}`, unpacked);
    if (unpacked.length !== plain.length)
      return differs(
        say,
        `Decompression test ${i + 1} failed for ${driver}: output len = ${unpacked.length | 0}`,
      );
    if (sameBytes(unpacked.bytes, plain)) continue;
    say(`Decompression test ${i + 1} failed for ${driver}`);
    dumpBytes(k, unpacked.bytes);
    return -Errno.EINVAL;
  }
  return 0;
}

function failed(say: (text: string) => void, text: string, error: number): number {
  say(`${text}: ret=${-error}`);
  return error;
}

function differs(say: (text: string) => void, text: string): number {
  say(text);
  return -Errno.EINVAL;
}
