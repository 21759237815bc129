/** BLAKE2s as the kernel's library has it (lib/crypto/blake2s.c, RFC 7693): struct blake2s_state lies in guest memory. */
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

const BLOCK = 64;
/** struct blake2s_state (include/crypto/blake2s.h): chained value, count of bytes, flags, a block that is not full. */
const STATE = { counter: 32, flags: 40, buffer: 48, filled: 112, outBytes: 116, bytes: 120 } as const;

const INITIAL = [
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
] as const;

/** RFC 7693, 2.7: which word of the block goes where in each round. */
const ORDER = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
] as const;

const rotate = (value: number, by: number): number => (value >>> by) | (value << (32 - by));

function mix(v: Int32Array, a: number, b: number, c: number, d: number, x: number, y: number): void {
  v[a] += v[b] + x;
  v[d] = rotate(v[d] ^ v[a], 16);
  v[c] += v[d];
  v[b] = rotate(v[b] ^ v[c], 12);
  v[a] += v[b] + y;
  v[d] = rotate(v[d] ^ v[a], 8);
  v[c] += v[d];
  v[b] = rotate(v[b] ^ v[c], 7);
}

/** 3.2: one block; `head` is the chained value, the counter and the flags. */
function compress(head: Int32Array, block: Int32Array): void {
  const v = new Int32Array(16);
  v.set(head.subarray(0, 8));
  v.set(INITIAL, 8);
  for (let n = 0; n < 4; n++) v[12 + n] ^= head[8 + n];
  for (const m of ORDER) {
    for (let n = 0; n < 4; n++) mix(v, n, n + 4, n + 8, n + 12, block[m[2 * n]], block[m[2 * n + 1]]);
    for (let n = 0; n < 4; n++)
      mix(
        v,
        n,
        4 + ((n + 1) & 3),
        8 + ((n + 2) & 3),
        12 + ((n + 3) & 3),
        block[m[8 + 2 * n]],
        block[m[9 + 2 * n]],
      );
  }
  for (let n = 0; n < 8; n++) head[n] ^= v[n] ^ v[n + 8];
}

/** Takes whole blocks in; `counted` bytes of each are data. */
function takeIn(k: Linux, state: Address, blocks: Uint8Array, counted: number): void {
  const head = new Int32Array(k.memory.bytes(state, STATE.buffer).buffer);
  for (let at = 0; at < blocks.length; at += BLOCK) {
    const before = head[8] >>> 0;
    head[8] += counted;
    if (head[8] >>> 0 < before) head[9]++;
    compress(head, new Int32Array(blocks.slice(at, at + BLOCK).buffer));
  }
  k.memory.write(state, new Uint8Array(head.buffer));
}

export const blake2sFunctions = kernelFunctions({
  'void blake2s_update(struct blake2s_state *state, const u8 *in, size_t inlen)': (
    k,
    state,
    from,
    length,
  ) => {
    const filled = Math.min(k.memory.u32(state + STATE.filled), BLOCK);
    const data = new Uint8Array(filled + length);
    data.set(k.memory.bytes(state + STATE.buffer, filled));
    data.set(k.memory.bytes(from, length), filled);
    // The last block stays behind, full as it may be: it is compressed with the flag of the last one.
    const whole = Math.max(0, Math.ceil(data.length / BLOCK) - 1) * BLOCK;
    takeIn(k, state, data.subarray(0, whole), BLOCK);
    k.memory.write(state + STATE.buffer, data.subarray(whole));
    k.memory.set32(state + STATE.filled, data.length - whole);
  },
  'void blake2s_final(struct blake2s_state *state, u8 *out)': (k, state, out) => {
    const filled = Math.min(k.memory.u32(state + STATE.filled), BLOCK);
    const last = new Uint8Array(BLOCK);
    last.set(k.memory.bytes(state + STATE.buffer, filled));
    k.memory.set32(state + STATE.flags, 0xffffffff);
    takeIn(k, state, last, filled);
    const bytes = Math.min(k.memory.u32(state + STATE.outBytes), 32);
    k.memory.write(out, k.memory.bytes(state, bytes));
    k.memory.fill(state, STATE.bytes, 0);
  },
});
