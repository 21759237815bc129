import { unpackBzip2 } from '../../../bytes/bzip2.ts';
import { decompressAs } from '../../../bytes/decompress.ts';
import { BadMagic } from '../../../bytes/errors.ts';
import { unpackLz4 } from '../../../bytes/lz4.ts';
import { unpackLzo } from '../../../bytes/lzo.ts';
import { type ImageOptions, readImage } from './image.ts';
import type { KernelFile } from './kernelfile.ts';
import { isArm64Image, readArm64Image, readRawImage, zbootPayload } from './raw-image.ts';
import { decode, isSaved, type Savable } from './saved.ts';
import { findPayload, isBootImage, type KernelPayload, payloadFormat } from './vmlinuz.ts';
import { unwrap } from './wrapped.ts';

/**
 * Most bytes that a kernel may unpack to: an amd64 kernel with debugging built in has 70 MB, sections of the
 * largest distribution kernels 120. Bounds what a hostile image can make us allocate.
 */
const MAX_IMAGE = 256 << 20;

/**
 * Reads a kernel of any form: a saved `.kernel`, a boot image (`vmlinuz`), an unpacked `vmlinux`, or one packed as a
 * whole. Seconds of work for a packed one: cache the result of `encode`. Throws the errors of bytes/errors.ts.
 */
export function readKernel(bytes: Uint8Array, options: ImageOptions = {}): KernelFile & Savable {
  if (isSaved(bytes)) return decode(bytes);
  const wrapped = unwrap(bytes, MAX_IMAGE);
  if (wrapped !== undefined && !isElf(wrapped.image))
    return readRawImage(wrapped.image, wrapped.shape, options);
  const image = wrapped?.image ?? unpackKernel(bytes);
  return isArm64Image(image) ? readArm64Image(image, options) : readImage(image, options);
}

const isElf = (bytes: Uint8Array): boolean => bytes[0] === 0x7f && bytes[1] === 0x45;

/** The ELF image, or arm64's own kind, inside a boot image or a packed kernel. Throws the errors of bytes/errors.ts. */
export function unpackKernel(bytes: Uint8Array): Uint8Array {
  if (isBootImage(bytes)) return unpackPayload(findPayload(bytes));
  if (isArm64Image(bytes)) return bytes;
  const inside = zbootPayload(bytes);
  if (inside !== undefined) return unpackKernel(inside);
  const format = payloadFormat(bytes);
  if (format === undefined) {
    throw new BadMagic(
      'kernel',
      'neither a saved kernel, nor an ELF image, nor a boot image, nor a packed one',
    );
  }
  return unpackPayload({ format, offset: 0, data: bytes, size: undefined });
}

function unpackPayload({ format, data, size }: KernelPayload): Uint8Array {
  const maxOutput = Math.min(MAX_IMAGE, size ?? MAX_IMAGE);
  switch (format) {
    case 'elf':
      return data;
    case 'gzip':
      return decompressAs('gz', data, { maxOutput });
    case 'xz':
      return decompressAs('xz', data, { maxOutput });
    case 'zstd':
      return decompressAs('zst', data, { maxOutput });
    case 'lz4':
      return unpackLz4(data, maxOutput);
    case 'lzma':
      return decompressAs('lzma', data, { maxOutput });
    case 'bzip2':
      return unpackBzip2(data, maxOutput);
    case 'lzo':
      return unpackLzo(data, maxOutput);
  }
}
