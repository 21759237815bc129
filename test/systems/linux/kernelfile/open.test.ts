import { gzipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { BadMagic, FormatError, Truncated } from '../../../../src/bytes/errors.ts';
import { readKernel, unpackKernel } from '../../../../src/systems/linux/kernelfile/open.ts';
import { findPayload, headerVersion } from '../../../../src/systems/linux/kernelfile/vmlinuz.ts';
import { packLz4 } from '../../../bytes/pack-lz4.ts';
import { bootImage, withSize } from './boot-image.ts';
import { smallKernel } from './small-kernel.ts';

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
    expect(() => unpackKernel(bzip2)).toThrow(FormatError);
    expect(() => readKernel(new TextEncoder().encode('#!/bin/sh\n'))).toThrow(/neither a saved kernel/);
  });

  it('a payload that unpacks to more than the image says is refused', () => {
    expect(() => unpackKernel(bootImage(withSize(packLz4(elf), 100)))).toThrow(FormatError);
  });
});
