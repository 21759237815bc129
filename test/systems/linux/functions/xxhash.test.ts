import { describe, expect, it } from 'vitest';
import { xxh64 } from '../../../../src/systems/linux/functions/xxhash.ts';

describe('XXH64', () => {
  it.each([
    ['', 'ef46db3751d8e999'],
    ['a', 'd24ec4f1a98c6e5b'],
    ['abc', '44bc2cf5ad770999'],
    // More than one stripe of 32 bytes.
    ['Nobody inspects the spammish repetition', 'fbcea83c8a378bf1'],
  ])('of %j is the published value', (text, expected) => {
    expect(xxh64(new TextEncoder().encode(text), 0n).toString(16)).toBe(expected);
  });
});
