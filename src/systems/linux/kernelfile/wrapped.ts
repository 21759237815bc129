/**
 * Boot images of machines whose headers do not say where the kernel lies in them: a small program that unpacks what follows
 * it (zImage of arm, bzImage of s390x, vmlinuz of mips). The packed kernel is looked for by its first bytes.
 */
import { compressionOf, decompressAs } from '../../../bytes/decompress.ts';
import { FormatError } from '../../../bytes/errors.ts';
import { unpackLz4 } from '../../../bytes/lz4.ts';
import { isLzo, unpackLzo } from '../../../bytes/lzo.ts';
import type { Machine } from '../../../formats/object.ts';

export interface RawShape {
  readonly machine: Machine;
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
}

export interface WrappedKernel {
  /** Unpacked: an ELF file, or an image without headers. */
  readonly image: Uint8Array;
  readonly shape: RawShape;
}

const u32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
const isText = (bytes: Uint8Array, at: number, text: string): boolean =>
  [...text].every((letter, i) => bytes[at + i] === letter.charCodeAt(0));

/** zImage: a magic number behind the first instructions, and one for the byte order (arch/arm/boot/compressed/head.S). */
const ARM = { at: 0x24, magic: 0x016f2818, order: 0x30, little: 0x04030201 } as const;
/** bzImage of s390x has its name behind the parameter area (arch/s390/boot/head.S). */
const S390 = { at: 0x10008, text: 'S390EP' } as const;
const EM_MIPS = 8;

/** The machine that a wrapper is for; undefined for other files. */
export function wrapperShape(bytes: Uint8Array): RawShape | undefined {
  if (bytes.length < 0x10010) return undefined;
  if (u32(bytes, ARM.at) === ARM.magic)
    return { machine: 'arm', bits: 32, littleEndian: u32(bytes, ARM.order) === ARM.little };
  if (isText(bytes, S390.at, S390.text)) return { machine: 's390x', bits: 64, littleEndian: false };
  if (!isText(bytes, 0, '\x7fELF')) return undefined;
  const littleEndian = bytes[5] !== 2;
  const bits = bytes[4] === 1 ? 32 : 64;
  const machine = littleEndian ? bytes[18] | (bytes[19] << 8) : (bytes[18] << 8) | bytes[19];
  return machine === EM_MIPS ? { machine: bits === 64 ? 'mips64' : 'mips', bits, littleEndian } : undefined;
}

/** No more beginnings than this are tried: a wrapper has few bytes besides the kernel. */
const TRIES = 200;
/** A kernel has more. */
const LEAST = 1 << 20;

/** Undefined where no kernel is found in it. */
export function unwrap(bytes: Uint8Array, maxOutput: number): WrappedKernel | undefined {
  const shape = wrapperShape(bytes);
  if (shape === undefined) return undefined;
  let tries = 0;
  for (let at = 0; at + 6 < bytes.length && tries < TRIES; at++) {
    if (!FIRST.has(bytes[at])) continue;
    const rest = bytes.subarray(at);
    const format = isLz4(rest) ? 'lz4' : isLzo(rest) ? 'lzo' : compressionOf(rest);
    if (format === undefined || format === 'lzma') continue;
    tries++;
    const image = unpack(format, rest, maxOutput);
    if (image !== undefined && image.length >= LEAST) return { image, shape };
  }
  return undefined;
}

/** First bytes of gzip, xz, zstd, lz4 and lzop. */
const FIRST: ReadonlySet<number> = new Set([0x1f, 0xfd, 0x28, 0x02, 0x89]);
const isLz4 = (bytes: Uint8Array): boolean => u32(bytes, 0) === 0x184c2102;

function unpack(
  format: 'lz4' | 'lzo' | 'gz' | 'xz' | 'zst',
  bytes: Uint8Array,
  maxOutput: number,
): Uint8Array | undefined {
  try {
    if (format === 'lz4') return unpackLz4(bytes, maxOutput);
    if (format === 'lzo') return unpackLzo(bytes, maxOutput);
    return decompressAs(format, bytes, { maxOutput, trailing: 'ignore' });
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
