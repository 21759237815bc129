import { createRequire } from 'node:module';
import { expect, it } from 'vitest';
import { unpackLz4Frames } from '../../src/bytes/lz4.ts';
import { xxh32 } from '../../src/bytes/xxh32.ts';

const peer = createRequire(import.meta.url)('lz4js/xxh32.js') as {
  hash(seed: number, bytes: Uint8Array, at: number, length: number): number;
};

it('has the values that another implementation has, for every length around its stripes', () => {
  expect([xxh32(new Uint8Array()), xxh32(Buffer.from('abc'))]).toEqual([0x02cc5d05, 0x32d153ff]);
  for (let length = 0; length < 200; length++) {
    const bytes = Uint8Array.from({ length: length + 1 }, (_, i) => (i * 151 + length * 7) & 0xff).subarray(
      1,
    );
    expect([length, xxh32(bytes)]).toEqual([length, peer.hash(0, bytes, 0, length)]);
  }
});

/** `lz4 -BX` of "hello hello hello hello hello", with sums of the header, of the block and of the contents. */
const FRAME = Uint8Array.from(
  Buffer.from('04224d187440bd0f0000006e68656c6c6f2006005068656c6c6f98f6dc6d0000000079b1fff9', 'hex'),
);

it('finds each damaged byte of an LZ4 frame', () => {
  const text = (bytes: Uint8Array) => Buffer.from(unpackLz4Frames(bytes, 1000)).toString();
  expect(text(FRAME)).toBe('hello hello hello hello hello');
  for (let at = 0; at < FRAME.length; at++) {
    const damaged = FRAME.slice();
    damaged[at] ^= 0x10;
    expect(() => text(damaged), `byte ${at}`).toThrow();
  }
});
