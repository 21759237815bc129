/** Module files on disk: plain ones are read piece by piece, compressed ones unpacked whole. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { constants, gunzipSync } from 'node:zlib';
import { type Compression, compressionOf, decompressAs } from '../../../bytes/decompress.ts';
import { FormatError } from '../../../bytes/errors.ts';
import type { ByteSource } from '../../../systems/linux/tree/elf-facts.ts';
import { onDisk } from './bytes-path.ts';

/** A file that cannot be opened or unpacked: an errno for the tool, and what its library says on the way. */
export class SourceError extends Error {
  readonly code: string;
  /** `xz: File is corrupt`: a message of the library before the tool's own, without a line feed. */
  readonly said: string | undefined;
  /** The function of the library that says it. */
  readonly where: string;

  constructor(code: string, said?: string, where = '') {
    super(said ?? code);
    this.name = 'SourceError';
    this.code = code;
    this.said = said;
    this.where = where;
  }
}

/** Fewer bytes than this are no module, whatever they are. */
const SMALLEST = 6;
/** The largest module seen has 40 MB; one that unpacks to more than this is a bomb. */
const MOST_BYTES = 2 ** 29;
/** Small files are read whole; of larger ones only the parts that are asked for (measured: a call costs as much). */
const WHOLE = 192 * 1024;
const HEAD = 64;
/** Larger files have a buffer of their own, given back with them. */
const MOST_SHARED = 64 * 2 ** 20;

/** One buffer for all files that are read one after the other; only pages that are used take memory. */
let shared = new Uint8Array(1 << 20);

function bufferFor(length: number): Uint8Array {
  if (length > MOST_SHARED) return new Uint8Array(length);
  if (shared.length < length) shared = new Uint8Array(Math.max(length, shared.length * 2));
  return shared;
}

/** A plain file: its parts are read to their own offsets of one buffer. */
class FileSource implements ByteSource {
  readonly size: number;
  private readonly fd: number;
  private readonly buffer: Uint8Array;
  private whole = false;

  constructor(fd: number, size: number) {
    this.fd = fd;
    this.size = size;
    this.buffer = bufferFor(size);
  }

  read(offset: number, length: number): Uint8Array {
    const end = Math.min(offset + length, this.size);
    if (!this.whole && this.size <= WHOLE) {
      this.fill(0, this.size);
      this.whole = true;
    } else if (!this.whole && end > offset) this.fill(offset, end);
    return this.buffer.subarray(Math.min(offset, end), end);
  }

  private fill(from: number, to: number): void {
    for (let done = from; done < to; ) {
      const count = readSync(this.fd, this.buffer, done, to - done, done);
      // The file was cut short while it was read: what is missing reads as zero.
      if (count === 0) {
        this.buffer.fill(0, done, to);
        return;
      }
      done += count;
    }
  }
}

class MemorySource implements ByteSource {
  readonly size: number;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.size = bytes.length;
  }

  read(offset: number, length: number): Uint8Array {
    return this.bytes.subarray(offset, offset + length);
  }
}

/**
 * Opens a module file for as long as `use` runs.
 * @throws SourceError when the file cannot be opened or unpacked
 */
export function withModule<T>(path: string, use: (source: ByteSource) => T): T {
  const fd = open(path);
  try {
    const { size } = fstatSync(fd);
    const source = new FileSource(fd, size);
    const head = source.read(0, Math.min(size, HEAD));
    if (head.length < SMALLEST) throw new SourceError('EINVAL');
    const compression = compressionOf(head);
    if (compression === undefined || compression === 'lzma') return use(source);
    return use(new MemorySource(unpacked(compression, source.read(0, size))));
  } catch (error) {
    throw asSourceError(error);
  } finally {
    closeSync(fd);
  }
}

/** A module's bytes, unpacked. @throws SourceError */
export function readWhole(path: string): Uint8Array {
  return withModule(path, (source) => source.read(0, source.size).slice());
}

function open(path: string): number {
  try {
    return openSync(onDisk(path), 'r');
  } catch (error) {
    throw asSourceError(error);
  }
}

function asSourceError(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  return error instanceof SourceError || typeof code !== 'string' ? error : new SourceError(code);
}

function unpacked(compression: Compression, bytes: Uint8Array): Uint8Array {
  if (compression === 'zst' && !hasSize(bytes))
    throw new SourceError('EINVAL', 'zstd: Failed to determine decompression size', WHERE.zst);
  try {
    return decompressAs(compression, bytes, { maxOutput: MOST_BYTES });
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    if (compression === 'gz') return zlibsView(bytes);
    throw new SourceError('EINVAL', damage(compression, error), WHERE[compression]);
  }
}

const WHERE: Readonly<Record<Compression, string>> = {
  xz: 'xz_uncompress_belch',
  zst: 'kmod_file_load_zstd',
  gz: 'kmod_file_load_zlib',
  lzma: '',
};

/** Does the first frame say what it unpacks to (RFC 8878, 3.1.1.1)? The tools take no others. */
function hasSize(bytes: Uint8Array): boolean {
  const descriptor = bytes[4] ?? 0;
  return descriptor >> 6 !== 0 || (descriptor & 0x20) !== 0;
}

/** A damaged gzip file: what zlib gives of one that was cut short, and its words for the others. */
function zlibsView(bytes: Uint8Array): Uint8Array {
  try {
    return gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: MOST_BYTES });
  } catch (error) {
    // The tools have the file open as 3 and read a second descriptor of it.
    throw new SourceError('EINVAL', `gzip: <fd:4>: ${(error as Error).message}`, WHERE.gz);
  }
}

/** What the decompressors of the tools' library say. */
function damage(compression: Compression, error: FormatError): string {
  const cut = error.kind === 'Truncated';
  switch (compression) {
    case 'xz':
      if (error.kind === 'Unsupported') return 'xz: Unsupported compression options';
      return cut ? 'xz: Unexpected end of input' : 'xz: File is corrupt';
    case 'zst':
      if (error.message.includes('checksum')) return "zstd: Restored data doesn't match checksum";
      if (/^zstd frame: unpacks/.test(error.message)) return 'zstd: Destination buffer is too small';
      return cut || error.kind === 'BadMagic'
        ? 'zstd: Src size is incorrect'
        : 'zstd: Data corruption detected';
    default:
      return `${compression}: ${error.message}`;
  }
}
