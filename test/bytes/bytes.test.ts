import { createHash } from 'node:crypto';
import { crc32 as zlibCrc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { crc32 } from '../../src/bytes/checksum.ts';
import { cstring, cstrings, nulAt, text } from '../../src/bytes/cstring.ts';
import { BadMagic, FormatError, Invalid, Truncated } from '../../src/bytes/errors.ts';
import { sha256 } from '../../src/bytes/sha256.ts';
import { ByteView, Cursor } from '../../src/bytes/view.ts';
import fc from '../properties.ts';

describe('typed errors', () => {
  it('carry kind, what, offset and value', () => {
    const error = new BadMagic('e_ident', 'not an ELF file', { offset: 16, value: 255 });
    expect(error).toMatchObject({
      kind: 'BadMagic',
      name: 'BadMagic',
      what: 'e_ident',
      offset: 16,
      value: 255,
    });
    expect(error.message).toBe('e_ident: not an ELF file (value 0xff, at offset 0x10)');
    expect(error).toBeInstanceOf(FormatError);
  });

  it('show negative numbers, bigints and strings readably', () => {
    expect(new Invalid('a', 'b', { value: -16 }).message).toBe('a: b (value -0x10)');
    expect(new Invalid('a', 'b', { value: 2n ** 64n - 1n }).message).toBe('a: b (value 0xffffffffffffffff)');
    expect(new Invalid('a', 'b', { value: 'x\n' }).message).toBe('a: b (value "x\\n")');
  });
});

describe('ByteView', () => {
  it('reads what DataView reads, in both byte orders', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 8 }), fc.boolean(), (bytes, littleEndian) => {
        const view = new ByteView(bytes, littleEndian);
        const truth = new DataView(bytes.buffer, bytes.byteOffset, 8);
        expect(view.u8(3)).toBe(bytes[3]);
        expect(view.u16(2)).toBe(truth.getUint16(2, littleEndian));
        expect(view.u32(4)).toBe(truth.getUint32(4, littleEndian));
        expect(view.i32(4)).toBe(truth.getInt32(4, littleEndian));
        expect(view.u64(0)).toBe(truth.getBigUint64(0, littleEndian));
        expect(view.i64(0)).toBe(truth.getBigInt64(0, littleEndian));
        expect(view.s64(0)).toBe(Number(truth.getBigInt64(0, littleEndian)));
        expect(view.n64(0)).toBe(Number(truth.getBigUint64(0, littleEndian)));
      }),
    );
  });

  it('is exact for kernel addresses', () => {
    const bytes = new Uint8Array([0, 0, 0, 0x81, 0xff, 0xff, 0xff, 0xff]);
    expect(new ByteView(bytes, true).s64(0)).toBe(-2130706432);
  });

  it('refuses to read outside, and names what was read', () => {
    const view = new ByteView(new Uint8Array(4), true);
    for (const at of [1, 4, -1, Number.NaN, 2 ** 53])
      expect(() => view.u32(at, 'sh_name')).toThrow(Truncated);
    expect(() => view.u32(1, 'sh_name')).toThrow(
      'sh_name: needs 4 bytes, but the input ends at offset 0x4 (at offset 0x1)',
    );
    expect(() => view.slice(0, 5)).toThrow(Truncated);
    expect(() => view.slice(0, -1)).toThrow(Truncated);
  });

  it('works on a part of a larger buffer', () => {
    const view = new ByteView(new Uint8Array([9, 9, 1, 2, 3, 4, 9]).subarray(2, 6), false);
    expect(view.u32(0)).toBe(0x01020304);
    expect(() => view.u32(1)).toThrow(Truncated);
  });
});

describe('Cursor', () => {
  it('moves on with every field and stops at its end', () => {
    const cursor = new Cursor(
      new ByteView(
        Uint8Array.from({ length: 32 }, (_, i) => i),
        true,
      ),
      1,
      30,
    );
    expect([cursor.u8(), cursor.u16(), cursor.u32(), cursor.at]).toEqual([1, 0x0302, 0x07060504, 8]);
    expect([...cursor.bytes(2)]).toEqual([8, 9]);
    cursor.align(8);
    expect(cursor.at).toBe(16);
    expect(cursor.u64()).toBe(0x1716151413121110n);
    cursor.skip(4);
    expect(cursor.left).toBe(2);
    expect(() => cursor.u32('field')).toThrow('field: needs 4 bytes, 2 are left (at offset 0x1c)');
    expect(cursor.at).toBe(28);
  });

  it('reads LEB128', () => {
    const read = (...bytes: number[]): number =>
      new Cursor(new ByteView(Uint8Array.from(bytes), true)).uleb32();
    expect(read(0xe5, 0x8e, 0x26)).toBe(624485);
    expect(read(0xff, 0xff, 0xff, 0xff, 0x0f)).toBe(2 ** 32 - 1);
    expect(() => read(0xff, 0xff, 0xff, 0xff, 0x1f)).toThrow(Invalid);
    expect(() => read(0x80, 0x80, 0x80, 0x80, 0x80, 0)).toThrow(Invalid);
    expect(() => read(0x80)).toThrow(Truncated);
  });

  it('refuses a range outside the view', () => {
    expect(() => new Cursor(new ByteView(new Uint8Array(4), true), 0, 5)).toThrow(Truncated);
  });
});

describe('C strings', () => {
  const encode = (value: string): Uint8Array => new TextEncoder().encode(value);

  it('end at the NUL or at the end', () => {
    const bytes = encode('one\0two');
    expect([cstring(bytes, 0), cstring(bytes, 4), cstring(bytes, 4, 6), cstring(bytes, 3)]).toEqual([
      'one',
      'two',
      'tw',
      '',
    ]);
    expect([nulAt(bytes, 0), nulAt(bytes, 4), nulAt(bytes, 0, 3)]).toEqual([3, -1, -1]);
  });

  it('come back as they went in, long and short, of any script', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (value) => {
        const bytes = encode(value);
        expect(text(bytes, 0, bytes.length)).toBe(value);
      }),
    );
  });

  it('that are no UTF-8 are Latin-1, so that different bytes stay different', () => {
    expect(text(Uint8Array.of(0x61, 0xe9, 0x62), 0, 3)).toBe('aéb');
  });

  it('of a table are listed with their offsets, without padding', () => {
    const bytes = encode('license=GPL\0\0\0name=x\0tail');
    expect([...cstrings(bytes)]).toEqual([
      { offset: 0, text: 'license=GPL' },
      { offset: 14, text: 'name=x' },
      { offset: 21, text: 'tail' },
    ]);
  });
});

describe('checksums', () => {
  it('CRC-32 is that of the standard, also in parts', () => {
    expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (bytes, cut) => {
        const whole = crc32(bytes);
        expect(crc32(bytes.subarray(cut), crc32(bytes.subarray(0, cut)))).toBe(whole);
        if (zlibCrc32 !== undefined) expect(whole).toBe(zlibCrc32(bytes));
      }),
    );
  });

  it('SHA-256 is that of node:crypto for every length around a block', () => {
    for (let length = 0; length < 200; length++) {
      const bytes = Uint8Array.from({ length }, (_, i) => i * 7 + length);
      expect(Buffer.from(sha256(bytes)).toString('hex')).toBe(
        createHash('sha256').update(bytes).digest('hex'),
      );
    }
  });
});
