import fc from 'fast-check';
import { gzipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { BadMagic, FormatError, Invalid, Truncated, Unsupported } from '../../../../src/bytes/errors.ts';
import { unpackLz4 } from '../../../../src/systems/linux/kernelfile/lz4.ts';
import { readKernel, unpackKernel } from '../../../../src/systems/linux/kernelfile/open.ts';
import { findPayload, headerVersion } from '../../../../src/systems/linux/kernelfile/vmlinuz.ts';
import { smallKernel } from './small-kernel.ts';

/** A boot image of boot protocol 2.15 around a packed kernel, as arch/x86/boot lays it out. */
function bootImage(
  payload: Uint8Array,
  { protocol = 0x20f, sectors = 3, length = payload.length } = {},
): Uint8Array {
  const offset = (sectors + 1) * 512 + 100;
  const image = new Uint8Array(offset + payload.length + 50);
  const view = new DataView(image.buffer);
  image[0x1f1] = sectors;
  view.setUint16(0x1fe, 0xaa55, true);
  image.set(new TextEncoder().encode('HdrS'), 0x202);
  view.setUint16(0x206, protocol, true);
  view.setUint16(0x20e, 0x300, true);
  image.set(new TextEncoder().encode('6.1.0-small (someone)\0'), 0x500);
  view.setUint32(0x248, 100, true);
  view.setUint32(0x24c, length, true);
  image.set(payload, offset);
  return image;
}

/** Greedy LZ4: enough to test its reader with literals, matches, overlaps and long lengths. */
function packLz4(bytes: Uint8Array): Uint8Array {
  const out: number[] = [];
  const length = (n: number) => {
    for (; n >= 255; n -= 255) out.push(255);
    out.push(n);
  };
  let from = 0;
  const sequence = (to: number, distance: number, match: number) => {
    const literals = to - from;
    out.push((Math.min(literals, 15) << 4) | Math.min(Math.max(match - 4, 0), 15));
    if (literals >= 15) length(literals - 15);
    out.push(...bytes.subarray(from, to));
    if (match === 0) return;
    out.push(distance & 255, distance >> 8);
    if (match - 4 >= 15) length(match - 4 - 15);
    from = to + match;
  };
  for (let at = 1; at < bytes.length; ) {
    // Only near matches are looked for; distance 1 makes runs overlap themselves.
    const [distance, match] = [1, 2, 3, 7, 16]
      .map((d): [number, number] => [d, d > at ? 0 : matchLength(bytes, at, d)])
      .reduce((best, next) => (next[1] > best[1] ? next : best));
    if (match >= 4 && at + match < bytes.length) {
      sequence(at, distance, match);
      at = from;
    } else at++;
  }
  sequence(bytes.length, 0, 0);
  const packed = new Uint8Array(8 + out.length);
  packed.set([0x02, 0x21, 0x4c, 0x18]);
  new DataView(packed.buffer).setUint32(4, out.length, true);
  packed.set(out, 8);
  return packed;
}

function matchLength(bytes: Uint8Array, at: number, distance: number): number {
  let n = 0;
  while (at + n < bytes.length && bytes[at + n] === bytes[at + n - distance]) n++;
  return n;
}

const withSize = (packed: Uint8Array, size: number): Uint8Array => {
  const bytes = new Uint8Array(packed.length + 4);
  bytes.set(packed);
  new DataView(bytes.buffer).setUint32(packed.length, size, true);
  return bytes;
};

describe('a boot image', () => {
  const elf = smallKernel();

  it('is opened by its header, whatever it is packed with', () => {
    for (const payload of [elf, gzipSync(elf), withSize(packLz4(elf), elf.length)]) {
      expect(readKernel(bootImage(payload)).release).toBe('6.1.0-small');
    }
  });

  it('tells format, place and size of its payload, and its version', () => {
    const packed = packLz4(elf);
    const image = bootImage(withSize(packed, elf.length));
    expect(findPayload(image)).toMatchObject({ format: 'lz4', offset: 2148, size: elf.length });
    expect(findPayload(image).data.length).toBe(packed.length);
    expect(headerVersion(image)).toBe('6.1.0-small (someone)');
  });

  it('that cannot be read is refused in words', () => {
    expect(() => findPayload(bootImage(elf, { protocol: 0x204 }))).toThrow(/2\.08/);
    expect(() => findPayload(bootImage(elf, { length: 1 << 30 }))).toThrow(Truncated);
    expect(() => findPayload(bootImage(new Uint8Array(64)))).toThrow(/no known compression/);
    expect(() => findPayload(new Uint8Array(0x300))).toThrow(BadMagic);
    const bzip2 = bootImage(withSize(new TextEncoder().encode('BZh91AY&SY..'), 9));
    expect(() => unpackKernel(bzip2)).toThrow(Unsupported);
    expect(() => readKernel(new TextEncoder().encode('#!/bin/sh\n'))).toThrow(/neither a saved kernel/);
  });

  it('a payload that unpacks to more than the image says is refused', () => {
    expect(() => unpackKernel(bootImage(withSize(packLz4(elf), 100)))).toThrow(FormatError);
  });
});

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
});
