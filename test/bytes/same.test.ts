import { describe, expect, it } from 'vitest';
import { sameBytes } from '../../src/bytes/same.ts';

describe('comparing bytes', () => {
  it.each([0, 1, 3, 4, 5, 8, 11])('sees every byte of %i, wherever they lie', (length) => {
    for (const [one, other] of [
      [0, 0],
      [1, 0],
      [3, 1],
      [4, 8],
    ]) {
      const a = new Uint8Array(32).subarray(one, one + length);
      const b = new Uint8Array(32).subarray(other, other + length);
      expect(sameBytes(a, b)).toBe(true);
      expect(sameBytes(a, new Uint8Array(length + 1))).toBe(false);
      for (let at = 0; at < length; at++) {
        b[at] = 0x80;
        expect(sameBytes(a, b)).toBe(false);
        b[at] = 0;
      }
    }
  });
});
