/** The kernel's own blocks of ChaCha (lib/crypto/chacha.c): what implementations with vector instructions fall back to. RFC 8439, 2.3. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

const WORDS = 16;
/** The words of the state that a kernel is at: modules ask for a block of 64 bytes at a time. */
const working = perKernel(() => new Int32Array(WORDS));

const rotate = (value: number, by: number): number => (value << by) | (value >>> (32 - by));

function quarter(x: Int32Array, i: number, j: number, k: number, l: number): void {
  let [a, b, c, d] = [x[i], x[j], x[k], x[l]];
  a = (a + b) | 0;
  d = rotate(d ^ a, 16);
  c = (c + d) | 0;
  b = rotate(b ^ c, 12);
  a = (a + b) | 0;
  d = rotate(d ^ a, 8);
  c = (c + d) | 0;
  x[i] = a;
  x[j] = rotate(b ^ c, 7);
  x[k] = c;
  x[l] = d;
}

/** The words of a state after that many rounds, half of them by columns and half by diagonals. */
function permuted(k: Linux, state: Address, rounds: number): Int32Array {
  const x = k.state(working);
  for (let n = 0; n < WORDS; n++) x[n] = k.memory.i32(state + 4 * n);
  for (let round = 0; round < rounds; round += 2) {
    quarter(x, 0, 4, 8, 12);
    quarter(x, 1, 5, 9, 13);
    quarter(x, 2, 6, 10, 14);
    quarter(x, 3, 7, 11, 15);
    quarter(x, 0, 5, 10, 15);
    quarter(x, 1, 6, 11, 12);
    quarter(x, 2, 7, 8, 13);
    quarter(x, 3, 4, 9, 14);
  }
  return x;
}

function block(k: Linux, state: Address, stream: Address, rounds: number): void {
  const { memory } = k;
  const after = permuted(k, state, rounds);
  for (let n = 0; n < WORDS; n++) memory.set32(stream + 4 * n, (after[n] + memory.i32(state + 4 * n)) | 0);
  memory.set32(state + 12 * 4, memory.i32(state + 12 * 4) + 1);
}

function hashed(k: Linux, state: Address, out: Address, rounds: number): void {
  const after = permuted(k, state, rounds);
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
