import { describe, expect, it } from 'vitest';
import { Invalid, Truncated } from '../../src/bytes/errors.ts';
import { unpackLz4 } from '../../src/bytes/lz4.ts';
import fc from '../properties.ts';
import { packLz4 } from './pack-lz4.ts';

describe('lz4', () => {
  it('unpacks what was packed', () => {
    const bytes = fc
      .array(fc.constantFrom(0, 0, 0, 1, 2, 255), { maxLength: 2000 })
      .map((a) => Uint8Array.from(a));
    fc.assert(
      fc.property(bytes, (plain) => {
        expect(unpackLz4(packLz4(plain), 1 << 20)).toEqual(plain);
      }),
    );
  });

  it('refuses what is damaged', () => {
    const block = (...bytes: number[]) =>
      Uint8Array.from([2, 0x21, 0x4c, 0x18, bytes.length, 0, 0, 0, ...bytes]);
    expect(() => unpackLz4(block(0x10, 65, 2, 0), 99)).toThrow(Invalid); // before the block
    expect(() => unpackLz4(block(0xf0, 255), 99)).toThrow(Truncated);
    expect(() => unpackLz4(block(0x20, 65), 99)).toThrow(Truncated);
    expect(() => unpackLz4(block(0x1f, 65, 1, 0, 255, 0), 99)).toThrow(/more than 99/);
  });

  it('takes memory for what a block can unpack to, not for what a block may', () => {
    // 20,000 blocks of one literal: 8 MiB for each would be 160 GB.
    const frame = new Uint8Array(4 + 20_000 * 6);
    frame.set([2, 0x21, 0x4c, 0x18]);
    for (let at = 4; at < frame.length; at += 6) frame.set([2, 0, 0, 0, 0x10, 65], at);
    expect(unpackLz4(frame, 1 << 28)).toEqual(new Uint8Array(20_000).fill(65));
  });
});
