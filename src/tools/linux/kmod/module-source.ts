/** Module files on disk: plain ones are read piece by piece, compressed ones unpacked whole. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { CodecMemory } from '../../../bytes/codec.ts';
import { type Compression, compressionOf, decompressAs } from '../../../bytes/decompress.ts';
import { FormatError } from '../../../bytes/errors.ts';
import type { ByteSource } from '../../../systems/linux/tree/elf-facts.ts';
import type { Room } from '../../../systems/linux/tree/name-table.ts';
import type { Archives } from '../../files.ts';
import { onDisk } from './bytes-path.ts';
import { insteadOf } from './disk.ts';
import { NativeZstd } from './native-zstd.ts';

/** A file that cannot be opened or unpacked: an errno for the tool, and what its library says on the way. */
export class SourceError extends Error {
  readonly code: string;
  /** `xz: File is corrupt`: a message of the library before the tool's own, without a line feed. */
  readonly said: string | undefined;
  /** The function of the library that says it. */
  readonly where: string;
  /** What it says when it is asked twice more: it reads on where it has stopped. */
  readonly later: readonly string[];

  constructor(code: string, said?: string, where = '', later?: readonly string[]) {
    super(said ?? code);
    this.name = 'SourceError';
    this.code = code;
    this.said = said;
    this.where = where;
    this.later = later ?? (said === undefined ? [] : [said, said]);
  }
}

/** Fewer bytes than this are no module, whatever they are. */
const SMALLEST = 6;
/** The largest module seen has 40 MB; one that unpacks to more than this is a bomb. */
const MOST_BYTES = 2 ** 29;
/** Read at once: three of four module files have no more, and need no other call (measured). */
const FIRST_READ = 64 * 1024;
/** Read along with what is asked for: section names stand before their headers, strings behind their symbols. */
const [BEFORE, BEHIND] = [2048, 1024];
const HEAD = 64;
const ELF_MAGIC = [0x7f, 0x45, 0x4c, 0x46];
/** A pipe of that name is not waited for. */
const READ_AT_ONCE = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
/** A file that is larger, packed or not, is no module: none gets memory for all of it. */
const MOST_FILE = 2 ** 30;
/** Larger files have a buffer of their own, given back with them. */
const MOST_SHARED = 64 * 2 ** 20;

/** Reads module files one after the other, in the same memory. */
export class ModuleReader {
  /** Files are read to here; only pages that are used take memory. */
  private readonly room: Room;
  /** Larger files are read to here, of which the largest decides. */
  private large: Room | undefined;
  private readonly unpacker: Unpacker;
  private readonly archives: Archives | undefined;

  /** `many`: hundreds of files are to be read. `room`: where files that fit into it are read to. */
  constructor(archives?: Archives, many = false, room: Room = { bytes: new Uint8Array(1 << 20) }) {
    this.room = room;
    this.archives = archives;
    this.unpacker = new Unpacker(many);
  }

  /**
   * Opens a module file for as long as `use` runs; bytes it is given are good no longer.
   * @throws SourceError when the file cannot be opened or unpacked
   */
  with<T>(path: string, use: (source: ByteSource) => T): T {
    let fd: number;
    try {
      fd = openSync(onDisk(path), 'r');
    } catch (error) {
      return this.fromArchive(error, path, use);
    }
    try {
      const source = this.open(fd);
      const head = source.read(0, Math.min(source.size, HEAD));
      if (head.length < SMALLEST) throw new SourceError('EINVAL');
      const compression = compressionOf(head);
      if (compression === undefined || compression === 'lzma') return use(source);
      return use(new MemorySource(this.unpacker.unpack(compression, source.read(0, source.size))));
    } catch (error) {
      throw asSourceError(error);
    } finally {
      closeSync(fd);
    }
  }

  /**
   * Reads an ELF file that is not packed, and says so; false: it is something else, or cannot be opened. One call of the
   * system less a file than to ask first what it is, which is felt over thousands (measured in bench/depmod.ts).
   */
  elf(path: string, use: (source: ByteSource) => void): boolean {
    let fd: number;
    try {
      fd = openSync(onDisk(path), READ_AT_ONCE);
    } catch {
      return false;
    }
    try {
      const source = this.open(fd);
      if (source.size < SMALLEST || !isElf(source.read(0, ELF_MAGIC.length))) return false;
      use(source);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException | null)?.code === 'EISDIR') return false;
      throw asSourceError(error);
    } finally {
      closeSync(fd);
    }
  }

  /** A file that the machine does not find may be in an archive. */
  private fromArchive<T>(error: unknown, path: string, use: (source: ByteSource) => T): T {
    try {
      const inside = insteadOf(error, path, this.archives);
      const bytes = inside.tree.read(inside.path);
      if (bytes.length < SMALLEST) throw new SourceError('EINVAL');
      const compression = compressionOf(bytes);
      if (compression === undefined || compression === 'lzma') return use(new MemorySource(bytes));
      return use(new MemorySource(this.unpacker.unpack(compression, bytes)));
    } catch (inner) {
      if (inner instanceof FormatError) throw new SourceError('EINVAL');
      throw asSourceError(inner);
    }
  }

  private open(fd: number): FileSource {
    const { room } = this;
    const count = readSync(fd, room.bytes, 0, FIRST_READ, 0);
    const size = count < FIRST_READ ? count : fstatSync(fd).size;
    if (size <= room.bytes.length) return new FileSource(fd, size, room, count);
    // What such a file is, if it is none that counts, its beginning tells.
    if (size > MOST_FILE && mayCount(room.bytes)) throw new SourceError('EFBIG');
    if (size > MOST_FILE) return new FileSource(fd, count, room, count);
    const larger = this.roomFor(size);
    larger.bytes.set(room.bytes.subarray(0, count));
    return new FileSource(fd, size, larger, count);
  }

  private roomFor(size: number): Room {
    if (size > MOST_SHARED) return { bytes: new Uint8Array(size) };
    const known = this.large?.bytes.length ?? 0;
    if (this.large === undefined || known < size)
      this.large = { bytes: new Uint8Array(Math.min(Math.max(size, 2 * known), MOST_SHARED)) };
    return this.large;
  }
}

/** Is it an ELF file, or packed? */
const mayCount = (head: Uint8Array): boolean => isElf(head) || compressionOf(head) !== undefined;

const isElf = (head: Uint8Array): boolean => ELF_MAGIC.every((byte, i) => head[i] === byte);

/** A plain file: its parts are read to their own offsets of one buffer. */
class FileSource implements ByteSource {
  readonly size: number;
  private readonly fd: number;
  private readonly room: Room;
  /** The bytes before this are there. */
  private readonly head: number;
  /** And those of the last part that was read. */
  private from = 0;
  private to = 0;

  constructor(fd: number, size: number, room: Room, head: number) {
    this.fd = fd;
    this.size = size;
    this.room = room;
    this.head = Math.min(head, size);
  }

  read(offset: number, length: number): Uint8Array {
    const end = Math.min(offset + length, this.size);
    if (end > this.head && (offset < this.from || end > this.to) && end > offset) this.fill(offset, end);
    return this.room.bytes.subarray(Math.min(offset, end), end);
  }

  private fill(offset: number, end: number): void {
    this.from = Math.max(offset - BEFORE, 0);
    this.to = Math.min(end + BEHIND, this.size);
    for (let done = this.from; done < this.to; ) {
      const count = readSync(this.fd, this.room.bytes, done, this.to - done, done);
      // The file was cut short while it was read: nothing that is read of it can be relied on.
      if (count === 0) throw new SourceError('EIO');
      done += count;
    }
  }
}

export class MemorySource implements ByteSource {
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

/** As ModuleReader.with, for a single file. */
export function withModule<T>(path: string, use: (source: ByteSource) => T, archives?: Archives): T {
  return new ModuleReader(archives).with(path, use);
}

/** A module's bytes, unpacked. @throws SourceError */
export function readWhole(path: string): Uint8Array {
  return withModule(path, (source) => source.read(0, source.size).slice());
}

function asSourceError(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  return error instanceof SourceError || typeof code !== 'string' ? error : new SourceError(code);
}

/** Loading the machine's library pays from this many files on (measured). */
const MANY = 100;

/** Unpacks files one after the other, in the same memory. */
class Unpacker {
  private readonly codec = new CodecMemory();
  private native: NativeZstd | undefined;
  private count: number;

  constructor(many: boolean) {
    this.count = many ? MANY - 1 : 0;
  }

  /** What is given is good until the next call. @throws SourceError */
  unpack(compression: Compression, bytes: Uint8Array): Uint8Array {
    if (compression !== 'zst') return this.decoded(compression, bytes);
    const size = contentSize(bytes);
    if (size === 0)
      throw new SourceError('EINVAL', 'zstd: Failed to determine decompression size', WHERE.zst);
    if (size >= NO_MEMORY) throw new SourceError('ENOMEM');
    if (++this.count === MANY) this.native = NativeZstd.load();
    return this.native?.unpack(bytes, size) ?? this.decoded(compression, bytes);
  }

  private decoded(compression: Compression, bytes: Uint8Array): Uint8Array {
    try {
      return decompressAs(compression, bytes, { maxOutput: MOST_BYTES, memory: this.codec, borrow: true });
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      // The tool goes on as long as there is memory.
      if (/unpacks to more than the limit/.test(error.message))
        throw new SourceError(
          'ENOMEM',
          `${compression}: unpacks to more than any module`,
          WHERE[compression],
        );
      if (compression === 'gz') return zlibsView(bytes);
      const said = damage(compression, error);
      const later = compression === 'xz' ? saidLater(bytes.length, error, said) : undefined;
      throw new SourceError('EINVAL', said, WHERE[compression], later);
    }
  }
}

const WHERE: Readonly<Record<Compression, string>> = {
  xz: 'xz_uncompress_belch',
  zst: 'kmod_file_load_zstd',
  gz: 'kmod_file_load_zlib',
  lzma: '',
};

/**
 * What the first frame says it unpacks to (RFC 8878, 3.1.1.1); 0: it does not say, or its header cannot be. The tools take no
 * such files.
 */
function contentSize(bytes: Uint8Array): number {
  const descriptor = bytes[4] ?? 0;
  const single = (descriptor & 0x20) !== 0;
  const form = descriptor >> 6;
  const sizeBytes = form === 0 ? (single ? 1 : 0) : 2 ** form;
  const at = 5 + (single ? 0 : 1) + [0, 1, 2, 4][descriptor & 3];
  if (sizeBytes === 0 || at + sizeBytes > bytes.length || (descriptor & RESERVED) !== 0) return 0;
  if (!single && bytes[5] >> 3 > LARGEST_WINDOW - 10) return 0;
  let size = form === 1 ? 256 : 0;
  for (let i = 0; i < sizeBytes; i++) size += bytes[at + i] * 2 ** (8 * i);
  return size;
}

/** A bit of the frame's header that is to be zero, and the logarithm of the largest window. */
const RESERVED = 0x08;
const LARGEST_WINDOW = 31;
/** No process gets so many bytes. */
const NO_MEMORY = 2 ** 47;

/** A damaged gzip file: what zlib gives of one that was cut short, and its words for the others. */
function zlibsView(bytes: Uint8Array): Uint8Array {
  // Few runs meet one: the library is not loaded for the others.
  const { constants, gunzipSync } = process.getBuiltinModule('node:zlib');
  try {
    return gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: MOST_BYTES });
  } catch (error) {
    // The tools have the file open as 3 and read a second descriptor of it; what is left then is taken as it is.
    throw new SourceError('EINVAL', `gzip: <fd:4>: ${(error as Error).message}`, WHERE.gz, []);
  }
}

/** The tools' library reads so many bytes at once. */
const BUFSIZ = 8192;

/** What xz's decoder says of the rest of a damaged file: that it is no xz file, or that nothing is left. */
function saidLater(size: number, error: FormatError, said: string): readonly string[] {
  if (said === 'xz: Unexpected end of input') return [said, said];
  const read = (Math.floor((error.offset ?? 0) / BUFSIZ) + 1) * BUFSIZ;
  return [read, read + BUFSIZ].map((at) =>
    at < size ? 'xz: File format not recognized' : 'xz: Unexpected end of input',
  );
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
