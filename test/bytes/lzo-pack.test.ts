import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../src/bytes/errors.ts';
import { unpackLzo1x } from '../../src/bytes/lzo.ts';
import { packLzo1x } from '../../src/bytes/lzo-pack.ts';

const page = (text: string): Uint8Array => {
  const bytes = new Uint8Array(4096);
  bytes.set(new TextEncoder().encode(text));
  return bytes;
};

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.from(a).equals(Buffer.from(b));

/** Bytes with repetitions and runs of zeros, as pages of memory have them. */
const memory = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.nat({ max: 5000 }).map((count) => new Uint8Array(count)),
      fc
        .tuple(fc.uint8Array({ minLength: 1, maxLength: 12 }), fc.nat({ max: 300 }))
        .map(([unit, times]) =>
          Uint8Array.from({ length: unit.length * times }, (_, i) => unit[i % unit.length]),
        ),
    ),
    { maxLength: 12 },
  )
  .map((parts) => Uint8Array.from(parts.flatMap((part) => [...part])));

describe('LZO1X', () => {
  it.each([
    // What a real kernel's zram said of pages that hold a text and zeros (test/golden/linux/zram.json).
    ['some\n', 41],
    ['hello, hello, hello, hello, hello', 46],
  ])('%j with zeros behind it packs into as many bytes as the kernel makes of it', (text, bytes) => {
    expect(packLzo1x(page(text), true).length).toBe(bytes);
  });

  it('unpacks to what was packed, with and without runs of zeros', () => {
    fc.assert(
      fc.property(memory, fc.boolean(), (bytes, runs) => {
        expect(same(unpackLzo1x(packLzo1x(bytes, runs), bytes.length), bytes)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it('longer than a piece', () => {
    const bytes = Uint8Array.from({ length: 200_000 }, (_, i) => (i % 977 < 400 ? 0 : (i * i) >> 3));
    for (const runs of [false, true])
      expect(same(unpackLzo1x(packLzo1x(bytes, runs), bytes.length), bytes)).toBe(true);
  });

  it('damaged streams and too little room are typed errors', () => {
    fc.assert(
      fc.property(
        memory,
        fc.nat(),
        fc.integer({ min: 0, max: 255 }),
        fc.nat({ max: 5000 }),
        (bytes, at, value, room) => {
          const packed = packLzo1x(bytes, true);
          packed[at % packed.length] = value;
          try {
            expect(unpackLzo1x(packed, room).length).toBeLessThanOrEqual(room);
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
