/** MD5 as the kernel has it (sys/kern/md5c.c, RFC 1321): the whole state is in the caller's MD5_CTX. */
import type { Address } from '../../../memory/space.ts';
import type { FreeBsd } from '../freebsd.ts';
import { kernelFunctions } from './define.ts';

/** MD5_CTX: four words of state, the number of bits in two words, a block. */
const COUNT = 16;
const BUFFER = 24;
const BLOCK = 64;
const CONTEXT_BYTES = BUFFER + BLOCK;
const START = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
const SHIFTS = [
  [7, 12, 17, 22],
  [5, 9, 14, 20],
  [4, 11, 16, 23],
  [6, 10, 15, 21],
];
const SINES = Array.from({ length: 64 }, (_, i) => Math.floor(2 ** 32 * Math.abs(Math.sin(i + 1))) | 0);

function mix(round: number, b: number, c: number, d: number): number {
  if (round === 0) return (b & c) | (~b & d);
  if (round === 1) return (b & d) | (c & ~d);
  return round === 2 ? b ^ c ^ d : c ^ (b | ~d);
}

const PLACES = [
  (i: number) => i,
  (i: number) => (5 * i + 1) % 16,
  (i: number) => (3 * i + 5) % 16,
  (i: number) => (7 * i) % 16,
];

/** One block of 64 bytes into the four words. */
function transform(k: FreeBsd, state: Address, block: Address): void {
  const words = Array.from({ length: 16 }, (_, i) => k.memory.i32(block + 4 * i));
  const old = [0, 1, 2, 3].map((i) => k.memory.i32(state + 4 * i));
  let [a, b, c, d] = old;
  for (let i = 0; i < 64; i++) {
    const round = i >> 4;
    const shift = SHIFTS[round][i % 4];
    const sum = (a + mix(round, b, c, d) + words[PLACES[round](i)] + SINES[i]) | 0;
    [a, b, c, d] = [d, (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0, b, c];
  }
  for (const [i, value] of [a, b, c, d].entries()) k.memory.set32(state + 4 * i, old[i] + value);
}

function update(k: FreeBsd, at: Address, data: Address, bytes: number): void {
  const counted = k.memory.u64(at + COUNT);
  k.memory.setU64(at + COUNT, BigInt.asUintN(64, counted + 8n * BigInt(bytes)));
  let used = Number((counted >> 3n) % BigInt(BLOCK));
  for (let done = 0; done < bytes; ) {
    const part = Math.min(BLOCK - used, bytes - done);
    k.memory.write(at + BUFFER + used, k.memory.bytes(data + done, part).slice());
    done += part;
    used = (used + part) % BLOCK;
    if (used === 0) transform(k, at, at + BUFFER);
  }
}

function final(k: FreeBsd, digest: Address, at: Address): void {
  const bits = k.memory.u64(at + COUNT);
  const used = Number((bits >> 3n) % BigInt(BLOCK));
  const padding = k.heap.allocate(2 * BLOCK);
  const pad = (used < 56 ? 56 : 120) - used;
  k.memory.set8(padding, 0x80);
  update(k, at, padding, pad);
  k.memory.setU64(padding, bits);
  update(k, at, padding, 8);
  k.heap.free(padding);
  k.memory.write(digest, k.memory.bytes(at, 16).slice());
  k.memory.fill(at, CONTEXT_BYTES, 0);
}

export const md5 = kernelFunctions({
  'void MD5Init(void *context)': (k, at) => {
    k.memory.fill(at, BUFFER, 0);
    for (const [i, value] of START.entries()) k.memory.set32(at + 4 * i, value | 0);
  },
  'void MD5Update(void *context, const void *input, unsigned int inputLen)': update,
  'void MD5Final(unsigned char *digest, void *context)': final,
});
