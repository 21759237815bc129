/** Compressed module files and kernel payloads -> their bytes, whatever the compression. */
import type { CodecMemory, Sink } from './codec.ts';
import { BadMagic } from './errors.ts';
import { isGz, unpackGz } from './gz.ts';
import { isLzma, unpackLzma } from './lzma.ts';
import { isXz, unpackXz } from './xz.ts';
import { isZst, unpackZst } from './zst.ts';

export type Compression = 'gz' | 'xz' | 'zst' | 'lzma';

export interface DecompressOptions {
  /**
   * Most bytes of output. The default is 512 MiB: the largest kernel image seen has 66 MB, with all its debug information
   * under 500; a small file that unpacks to more is a bomb.
   */
  readonly maxOutput?: number;
  /**
   * What follows the compressed data: 'refuse' (default) or 'ignore' (a kernel payload ends with its own
   * size). With 'ignore' only the first stream or frame is read.
   */
  readonly trailing?: 'refuse' | 'ignore';
  /** Memory to use again, for a caller that unpacks many files. */
  readonly memory?: CodecMemory;
  /** The result may be a view of `memory`, good until that is used again: for a caller that only looks at it. */
  readonly borrow?: boolean;
  /**
   * Takes the output piece by piece, each good until the call returns; the result is empty then. Of xz and zst alone: no
   * more of it is in memory than what follows refers to.
   */
  readonly sink?: Sink;
}

const DEFAULT_MAX_OUTPUT = 2 ** 29;

/** How the bytes are compressed, by their magic (never by a name); undefined when they are not. */
export function compressionOf(bytes: Uint8Array): Compression | undefined {
  // Most files that are asked about are plain ELF files, and of those there are thousands.
  if (bytes[0] === 0x7f && bytes[1] === 0x45) return undefined;
  if (isGz(bytes)) return 'gz';
  if (isXz(bytes)) return 'xz';
  if (isZst(bytes)) return 'zst';
  return isLzma(bytes) ? 'lzma' : undefined;
}

/**
 * The decompressed bytes; bytes that are not compressed come back as they are. Every checksum in the file is verified.
 * @throws Truncated, Invalid, Unsupported
 */
export function decompress(bytes: Uint8Array, options: DecompressOptions = {}): Uint8Array {
  const kind = compressionOf(bytes);
  return kind === undefined ? bytes : decompressAs(kind, bytes, options);
}

/** Decompresses data that must be of one kind. @throws BadMagic, Truncated, Invalid, Unsupported */
export function decompressAs(
  kind: Compression,
  bytes: Uint8Array,
  options: DecompressOptions = {},
): Uint8Array {
  const maxOutput = options.maxOutput ?? DEFAULT_MAX_OUTPUT;
  const { trailing = 'refuse', memory, borrow, sink } = options;
  switch (kind) {
    case 'gz':
      return unpackGz(bytes, { maxOutput, trailing, memory, borrow });
    case 'xz':
      return unpackXz(bytes, { maxOutput, trailing, memory, borrow, sink });
    case 'zst':
      return unpackZst(bytes, { maxOutput, trailing, memory, borrow, sink });
    case 'lzma':
      return unpackLzma(bytes, { maxOutput, trailing, memory, borrow });
    default:
      throw new BadMagic('compression', 'is not known', { value: kind });
  }
}
