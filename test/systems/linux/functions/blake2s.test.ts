import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { boot, call } from './harness.ts';

const k = boot();
const BLOCK = 64;
const STATE = 120;

/** RFC 7693: the chained value begins with the constants and the parameters (32 bytes of output, no key). */
const INITIAL = [
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

function hash(pieces: readonly Uint8Array[]): string {
  const state = k.heap.allocateZeroed(STATE);
  for (const [n, word] of INITIAL.entries())
    k.memory.set32(state + 4 * n, n === 0 ? word ^ 0x01010000 ^ 32 : word);
  k.memory.set32(state + 116, 32);
  for (const piece of pieces) {
    const at = k.heap.allocate(Math.max(16, piece.length));
    k.memory.write(at, piece);
    call(k, 'blake2s_update', state, at, piece.length);
    k.heap.free(at);
  }
  const out = k.heap.allocateZeroed(32);
  call(k, 'blake2s_final', state, out);
  const digest = Buffer.from(k.memory.bytes(out, 32)).toString('hex');
  expect(k.memory.bytes(state, STATE).every((byte) => byte === 0)).toBe(true);
  k.heap.free(out);
  k.heap.free(state);
  return digest;
}

describe('BLAKE2s of the kernel', () => {
  it.each([
    [0],
    [1],
    [BLOCK - 1],
    [BLOCK],
    [BLOCK + 1],
    [3 * BLOCK],
    [1000],
    [1, BLOCK, 7],
    [BLOCK, BLOCK],
    [63, 2, 300],
  ])('computes what OpenSSL does for pieces of %i bytes and more', (...lengths) => {
    const pieces = lengths.map((length, piece) => Uint8Array.from({ length }, (_, n) => n * 7 + piece));
    const whole = createHash('blake2s256').update(Buffer.concat(pieces)).digest('hex');
    expect(hash(pieces)).toBe(whole);
  });
});

describe('the zero page', () => {
  it('lies at its physical address in the direct map, too', () => {
    const at = k.addressOf('empty_zero_page');
    const physical = at - k.map.imageBase + k.memory.ptr(k.addressOf('phys_base'));
    expect(k.memory.pfnOf(k.map.directMap + physical)).toBe(k.memory.pfnOf(at));
    expect(k.memory.bytes(k.map.directMap + physical, 4096).every((byte) => byte === 0)).toBe(true);
    expect(physical).toBeGreaterThan(k.memory.frames.total * 4096);
  });
});
