/** The kernel's own blocks of ChaCha (lib/crypto/chacha.c): what implementations with vector instructions fall back to. RFC 8439, 2.3. */
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

const WORDS = 16;
const rotate = (value: number, by: number): number => (value << by) | (value >>> (32 - by));

function quarter(x: Int32Array, a: number, b: number, c: number, d: number): void {
  x[a] += x[b];
  x[d] = rotate(x[d] ^ x[a], 16);
  x[c] += x[d];
  x[b] = rotate(x[b] ^ x[c], 12);
  x[a] += x[b];
  x[d] = rotate(x[d] ^ x[a], 8);
  x[c] += x[d];
  x[b] = rotate(x[b] ^ x[c], 7);
}

/** The words of a state after that many rounds, half of them by columns and half by diagonals. */
function permuted(k: Linux, state: Address, rounds: number): { before: Int32Array; after: Int32Array } {
  const before = new Int32Array(k.memory.bytes(state, 4 * WORDS).buffer);
  const after = before.slice();
  for (let round = 0; round < rounds; round += 2) {
    for (let n = 0; n < 4; n++) quarter(after, n, n + 4, n + 8, n + 12);
    for (let n = 0; n < 4; n++) quarter(after, n, 4 + ((n + 1) & 3), 8 + ((n + 2) & 3), 12 + ((n + 3) & 3));
  }
  return { before, after };
}

function block(k: Linux, state: Address, stream: Address, rounds: number): void {
  const { before, after } = permuted(k, state, rounds);
  for (let n = 0; n < WORDS; n++) after[n] += before[n];
  k.memory.write(stream, new Uint8Array(after.buffer));
  k.memory.set32(state + 12 * 4, before[12] + 1);
}

function hashed(k: Linux, state: Address, out: Address, rounds: number): void {
  const { after } = permuted(k, state, rounds);
  for (let n = 0; n < 4; n++) {
    k.memory.set32(out + n * 4, after[n]);
    k.memory.set32(out + (n + 4) * 4, after[n + 12]);
  }
}

function xor(k: Linux, to: Address, a: Address, b: Address, size: number): void {
  const [one, other] = [k.memory.bytes(a, size), k.memory.bytes(b, size)];
  for (let n = 0; n < size; n++) one[n] ^= other[n];
  k.memory.write(to, one);
}

export const chachaFunctions = kernelFunctions({
  'void chacha_block_generic(u32 *state, u8 *stream, int nrounds)': block,
  'void hchacha_block_generic(const u32 *state, u32 *out, int nrounds)': hashed,
  'void __crypto_xor(u8 *dst, const u8 *src1, const u8 *src2, unsigned int size)': xor,
});
