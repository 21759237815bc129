/**
 * The .xz container (format description 1.2.0) and the LZMA2 chunks in it. The decoder proper is in codec.as; it is called
 * once a chunk, which lets the engine replace it by optimised code early (measured: a single long call stays slow).
 */
import { BRANCH_FILTERS, undoDelta } from './branch.ts';
import { crc32 } from './checksum.ts';
import { Codec, type CodecMemory, Decoded, lzmaScratch, type Sink, type SumKind } from './codec.ts';
import { BadMagic, Invalid, Truncated, Unsupported } from './errors.ts';
import { sha256 } from './sha256.ts';
import { ByteView, Cursor } from './view.ts';

export interface XzOptions {
  /** Bytes of output; more is refused. */
  readonly maxOutput: number;
  /** 'ignore' stops behind the first stream: a kernel image has its size there. */
  readonly trailing: 'refuse' | 'ignore';
  /** Memory kept between calls. */
  readonly memory?: CodecMemory | undefined;
  /** See DecompressOptions. */
  readonly borrow?: boolean | undefined;
  /** See DecompressOptions. */
  readonly sink?: Sink | undefined;
}

const HEADER_SIZE = 12;
/** Bytes of a check by its type (section 2.1.1.2). */
const CHECK_SIZES = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64];
const CHECK = { NONE: 0, CRC32: 1, CRC64: 4, SHA256: 10 } as const;
const FILTER = { DELTA: 3, X86: 4, LZMA2: 0x21 } as const;
/** LZMA2 limits lc + lp to 4. */
const LITERAL_BITS = 4;

interface Filter {
  readonly id: number;
  /** Start offset of a branch filter, distance of delta, bytes of LZMA2's dictionary. */
  readonly value: number;
}

interface BlockHeader {
  readonly filters: readonly Filter[];
  readonly packedSize: number | undefined;
  readonly size: number | undefined;
}

interface IndexRecord {
  readonly unpaddedSize: number;
  readonly size: number;
}

/** True when the bytes begin as an .xz file. */
export function isXz(bytes: Uint8Array): boolean {
  return [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0].every((byte, i) => bytes[i] === byte);
}

/**
 * Unpacks an .xz file: any number of streams and blocks, every check, the delta filter and all branch filters but RISC-V.
 * @throws BadMagic, Truncated, Invalid (also when a check does not match), Unsupported
 */
export function unpackXz(bytes: Uint8Array, options: XzOptions): Uint8Array {
  if (!isXz(bytes)) throw new BadMagic('xz', 'must begin with fd 37 7a 58 5a 00', { offset: 0 });
  const { maxOutput, memory, sink } = options;
  const codec = new Codec('xz', bytes, lzmaScratch(LITERAL_BITS), maxOutput, memory, sink);
  const cursor = new Cursor(new ByteView(bytes, true));
  do {
    readStream(cursor, codec);
    if (options.trailing === 'ignore') break;
    skipStreamPadding(cursor);
  } while (cursor.left > 0);
  return codec.result(options.borrow);
}

function readStream(cursor: Cursor, codec: Codec): void {
  const start = cursor.at;
  const magic = cursor.bytes(6, 'xz stream header');
  if (!isXz(magic))
    throw new Invalid('xz', 'something that is no xz stream follows the stream', { offset: start });
  const flags = cursor.bytes(2, 'xz stream flags');
  expectCrc(cursor, flags, 'xz stream header');
  if (flags[0] !== 0 || flags[1] > 15) {
    throw new Unsupported('xz stream flags', 'unknown bits are set', { offset: start + 6, value: flags[1] });
  }
  const records: IndexRecord[] = [];
  while (cursor.view.u8(cursor.at, 'xz block header') !== 0) records.push(readBlock(cursor, codec, flags[1]));
  const indexStart = cursor.at;
  readIndex(cursor, records);
  readFooter(cursor, flags, cursor.at - indexStart);
}

function expectCrc(cursor: Cursor, covered: Uint8Array, what: string): void {
  const offset = cursor.at;
  if (cursor.u32(`${what} CRC`) !== crc32(covered))
    throw new Invalid(what, 'CRC-32 does not match', { offset });
}

/** Section 1.2: a number in groups of seven bits, at most nine bytes. */
function readNumber(cursor: Cursor, what: string): number {
  const offset = cursor.at;
  let value = 0;
  for (let i = 0; i < 9; i++) {
    const byte = cursor.u8(what);
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte >= 0x80) continue;
    if ((byte === 0 && i > 0) || value > Number.MAX_SAFE_INTEGER) break;
    return value;
  }
  throw new Invalid(what, 'is no well-formed number', { offset });
}

function readBlockHeader(cursor: Cursor): BlockHeader {
  const start = cursor.at;
  const size = (cursor.view.u8(start, 'xz block header') + 1) * 4;
  const covered = cursor.view.slice(start, size - 4, 'xz block header');
  const fields = new Cursor(new ByteView(covered, true), 1);
  const flags = fields.u8();
  if ((flags & 0x3c) !== 0)
    throw new Unsupported('xz block flags', 'unknown bits are set', { offset: start + 1 });
  cursor.skip(size - 4);
  expectCrc(cursor, covered, 'xz block header');
  const packedSize = flags & 0x40 ? readNumber(fields, 'xz compressed size') : undefined;
  const unpacked = flags & 0x80 ? readNumber(fields, 'xz uncompressed size') : undefined;
  const filters: Filter[] = [];
  for (let i = 0; i <= (flags & 3); i++) filters.push(readFilter(fields, i === (flags & 3)));
  while (fields.left > 0) {
    if (fields.u8() !== 0) throw new Invalid('xz block header', 'padding is not zero', { offset: start });
  }
  return { filters, packedSize, size: unpacked };
}

function readFilter(fields: Cursor, last: boolean): Filter {
  const id = readNumber(fields, 'xz filter id');
  const length = readNumber(fields, 'xz filter properties size');
  const properties = new Cursor(new ByteView(fields.bytes(length, 'xz filter properties'), true));
  if ((id === FILTER.LZMA2) !== last)
    throw new Unsupported('xz filters', 'LZMA2 must be the last', { value: id });
  if (id === FILTER.LZMA2 || id === FILTER.DELTA) {
    if (length !== 1) throw new Invalid('xz filter properties', 'must be one byte', { value: length });
    const value = properties.u8();
    if (id === FILTER.LZMA2 && value > 40)
      throw new Unsupported('xz dictionary size', 'is not defined', { value });
    return { id, value: id === FILTER.LZMA2 ? dictionarySize(value) : value + 1 };
  }
  if (id !== FILTER.X86 && !BRANCH_FILTERS.has(id))
    throw new Unsupported('xz filter', 'is not known', { value: id });
  if (length !== 0 && length !== 4)
    throw new Invalid('xz filter properties', 'must be 0 or 4 bytes', { value: length });
  return { id, value: length === 0 ? 0 : properties.u32() };
}

/** Section 5.3.1. */
const dictionarySize = (bits: number): number =>
  bits === 40 ? 2 ** 32 - 1 : (2 | (bits & 1)) * 2 ** (Math.floor(bits / 2) + 11);

function readBlock(cursor: Cursor, codec: Codec, check: number): IndexRecord {
  const start = cursor.at;
  const header = readBlockHeader(cursor);
  const dataStart = cursor.at;
  const outputStart = codec.produced;
  prepare(codec, header.filters, check);
  readChunks(cursor, codec);
  const packedSize = cursor.at - dataStart;
  const size = codec.produced - outputStart;
  if ((header.packedSize ?? packedSize) !== packedSize || (header.size ?? size) !== size) {
    throw new Invalid('xz block', 'sizes in its header are not those of its data', { offset: start });
  }
  for (const filter of header.filters.slice(0, -1).reverse()) undoFilter(codec, filter, outputStart);
  const unpaddedSize = cursor.at - start + CHECK_SIZES[check];
  while ((cursor.at - dataStart) % 4 !== 0) {
    if (cursor.u8('xz block padding') !== 0)
      throw new Invalid('xz block padding', 'is not zero', { offset: cursor.at });
  }
  verify(codec, check, outputStart, cursor.bytes(CHECK_SIZES[check], 'xz check'), start);
  return { unpaddedSize, size };
}

const SUMS: Readonly<Record<number, SumKind>> = { [CHECK.CRC32]: 'crc32', [CHECK.CRC64]: 'crc64' };

/** @throws Unsupported for what needs the whole block at once, where the output is given away piece by piece */
function prepare(codec: Codec, filters: readonly Filter[], check: number): void {
  codec.setWindow(filters[filters.length - 1].value);
  if (codec.streams && (filters.length > 1 || check === CHECK.SHA256))
    throw new Unsupported('xz block', 'is filtered, or summed up, as a whole');
  if (SUMS[check] !== undefined) codec.startSum(SUMS[check]);
}

function undoFilter(codec: Codec, { id, value }: Filter, start: number): void {
  const end = codec.produced;
  if (id === FILTER.X86) codec.wasm.undoX86(codec.base + start, end - start, value);
  else if (id === FILTER.DELTA) undoDelta(codec.view(start, end), value);
  else BRANCH_FILTERS.get(id)!(codec.view(start, end), value);
}

function verify(codec: Codec, check: number, start: number, expected: Uint8Array, offset: number): void {
  const end = codec.produced;
  const stored = new ByteView(expected, true);
  let same = true; // a check of an unknown type is passed over, as section 2.1.1.2 allows
  if (check === CHECK.CRC32) same = BigInt(stored.u32(0)) === codec.sum();
  else if (check === CHECK.CRC64) same = stored.u64(0) === codec.sum();
  else if (check === CHECK.SHA256)
    same = sha256(codec.view(start, end)).every((byte, i) => byte === expected[i]);
  if (!same) throw new Invalid('xz block', 'check does not match: the file is damaged', { offset });
}

/** LZMA2: a control byte before each chunk says what is reset and how the chunk is stored. */
function readChunks(cursor: Cursor, codec: Codec): void {
  let needDictionary = true;
  let needProperties = true;
  for (;;) {
    const offset = cursor.at;
    const control = cursor.u8('LZMA2 control byte');
    if (control === 0) return;
    if (control > 2 && control < 0x80)
      throw new Invalid('LZMA2 control byte', 'is not defined', { offset, value: control });
    if (control === 1 || control >= 0xe0) {
      codec.startDictionary();
      needDictionary = false;
      needProperties = true;
    } else if (needDictionary) {
      throw new Invalid('LZMA2', 'the first chunk does not reset the dictionary', { offset, value: control });
    }
    if (control < 0x80) {
      readStoredChunk(cursor, codec);
      codec.flush();
      continue;
    }
    if (control < 0xc0 && needProperties) throw new Invalid('LZMA2', 'a chunk lacks properties', { offset });
    readPackedChunk(cursor, codec, control);
    codec.flush();
    needProperties = false;
  }
}

function readStoredChunk(cursor: Cursor, codec: Codec): void {
  const size = bigEndian16(cursor) + 1;
  const start = cursor.at;
  cursor.skip(size, 'LZMA2 stored chunk');
  codec.room(codec.produced + size);
  codec.wasm.copyChunk(codec.at(start, size), size);
}

function readPackedChunk(cursor: Cursor, codec: Codec, control: number): void {
  const { wasm } = codec;
  const size = ((control & 0x1f) << 16) + bigEndian16(cursor) + 1;
  const packedSize = bigEndian16(cursor) + 1;
  if (control >= 0xc0) setProperties(codec, cursor.u8('LZMA2 properties'), cursor.at - 1);
  if (control >= 0xa0) wasm.resetState();
  const offset = cursor.at;
  cursor.skip(packedSize, 'LZMA2 chunk');
  if (packedSize < 5 || cursor.view.u8(offset) !== 0) {
    throw new Invalid('LZMA2 chunk', 'must begin with a zero and four bytes more', { offset });
  }
  codec.room(codec.produced + size);
  const start = codec.at(offset, packedSize);
  const end = start + packedSize;
  wasm.startRange(start);
  const result = wasm.decode(wasm.output() + size, end);
  if (result === Decoded.BadDistance)
    throw new Invalid('LZMA2 chunk', 'a match begins before the dictionary', { offset });
  const whole =
    result === Decoded.Full && wasm.pending() === 0 && wasm.finishRange() === 0 && wasm.input() === end;
  if (!whole) throw new Invalid('LZMA2 chunk', 'data and sizes do not agree', { offset });
}

function setProperties(codec: Codec, byte: number, offset: number): void {
  const lc = byte % 9;
  const lp = Math.floor(byte / 9) % 5;
  const pb = Math.floor(byte / 45);
  if (pb > 4 || lc + lp > LITERAL_BITS)
    throw new Invalid('LZMA2 properties', 'are out of range', { offset, value: byte });
  codec.wasm.setProperties(lc, lp, pb, codec.scratch);
}

function bigEndian16(cursor: Cursor): number {
  const high = cursor.u8('LZMA2 chunk size');
  return high * 256 + cursor.u8('LZMA2 chunk size');
}

/** Section 4: the index repeats the sizes of all blocks. */
function readIndex(cursor: Cursor, records: readonly IndexRecord[]): void {
  const start = cursor.at;
  cursor.skip(1);
  const count = readNumber(cursor, 'xz index');
  if (count !== records.length) {
    throw new Invalid('xz index', `lists another number of blocks than the ${records.length} there are`, {
      value: count,
    });
  }
  for (const record of records) {
    const unpaddedSize = readNumber(cursor, 'xz index');
    const size = readNumber(cursor, 'xz index');
    if (unpaddedSize !== record.unpaddedSize || size !== record.size) {
      throw new Invalid('xz index', 'sizes are not those of the blocks', { offset: start });
    }
  }
  while ((cursor.at - start) % 4 !== 0) {
    if (cursor.u8('xz index padding') !== 0)
      throw new Invalid('xz index padding', 'is not zero', { offset: cursor.at });
  }
  expectCrc(cursor, cursor.view.bytes.subarray(start, cursor.at), 'xz index');
}

function readFooter(cursor: Cursor, flags: Uint8Array, indexSize: number): void {
  const start = cursor.at;
  const stored = cursor.u32('xz footer CRC');
  const covered = cursor.bytes(6, 'xz footer');
  const magic = cursor.u16('xz footer magic');
  if (stored !== crc32(covered)) throw new Invalid('xz footer', 'CRC-32 does not match', { offset: start });
  const fields = new ByteView(covered, true);
  const backward = (fields.u32(0) + 1) * 4;
  const same = fields.u8(4) === flags[0] && fields.u8(5) === flags[1] && backward === indexSize;
  if (!same || magic !== 0x5a59)
    throw new Invalid('xz footer', 'does not match the stream', { offset: start });
}

/** Section 2.2: zeros, a multiple of four, may follow a stream. */
function skipStreamPadding(cursor: Cursor): void {
  const start = cursor.at;
  while (cursor.left > 0 && cursor.view.u8(cursor.at) === 0) cursor.skip(1);
  if ((cursor.at - start) % 4 !== 0) {
    throw new Invalid('xz stream padding', 'is no multiple of four bytes', { offset: start });
  }
  if (cursor.left > 0 && cursor.left < HEADER_SIZE) {
    throw new Truncated('xz stream header', 'the bytes behind the stream are too few for another', {
      offset: cursor.at,
    });
  }
}
