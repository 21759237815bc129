/**
 * The Zstandard container (RFC 8878): frames, skippable frames, block headers, content sizes and checksums. Compressed
 * blocks are decoded by zstd.as. Not by fzstd: eighteen bytes made for it (see the test) keep it busy for over a minute,
 * because it does not notice matches that run past the end of their block.
 */
import { Codec, type CodecMemory, type Sink } from './codec.ts';
import { BadMagic, Invalid, Unsupported } from './errors.ts';
import { ByteView, Cursor } from './view.ts';

export interface ZstOptions {
  readonly maxOutput: number;
  /** 'ignore' stops behind the first frame: a kernel image has its size there. */
  readonly trailing: 'refuse' | 'ignore';
  /** Memory kept between calls. */
  readonly memory?: CodecMemory | undefined;
  /** See DecompressOptions. */
  readonly borrow?: boolean | undefined;
  /** See DecompressOptions. */
  readonly sink?: Sink | undefined;
}

const MAGIC = 0xfd2fb528;
const SKIPPABLE = 0x184d2a50;
const MAX_BLOCK = 131072;
/** Tables and one block of literals; the layout is in zstd.as. */
const SCRATCH_SIZE = 10816 + MAX_BLOCK + 64;
const BLOCK = { RAW: 0, RLE: 1, COMPRESSED: 2, RESERVED: 3 } as const;

interface FrameHeader {
  /** How far back it refers, in bytes. */
  readonly window: number;
  /** What the frame unpacks to, when it says so. */
  readonly size: number | undefined;
  readonly checksum: boolean;
}

export function isZst(bytes: Uint8Array): boolean {
  if (bytes.length < 4) return false;
  const magic = new ByteView(bytes, true).u32(0);
  return magic === MAGIC || isSkippable(magic);
}

function isSkippable(magic: number): boolean {
  return (magic & 0xfffffff0) >>> 0 === SKIPPABLE;
}

/**
 * Unpacks a .zst file of any number of frames. The window size is of no interest: the whole output is at hand.
 * @throws BadMagic, Truncated, Invalid (also when a checksum does not match), Unsupported (dictionaries, the limit)
 */
export function unpackZst(bytes: Uint8Array, options: ZstOptions): Uint8Array {
  if (!isZst(bytes)) throw new BadMagic('zstd', 'must begin with 28 b5 2f fd', { offset: 0 });
  const { maxOutput, memory, sink } = options;
  const codec = new Codec('zstd', bytes, SCRATCH_SIZE, maxOutput, memory, sink);
  const cursor = new Cursor(new ByteView(bytes, true));
  while (cursor.left > 0) {
    const offset = cursor.at;
    const magic = cursor.u32('zstd frame magic');
    if (isSkippable(magic)) {
      cursor.skip(cursor.u32('zstd skippable frame'), 'zstd skippable frame');
      continue;
    }
    if (magic !== MAGIC) throw new BadMagic('zstd frame', 'must begin with 28 b5 2f fd', { offset });
    readFrame(cursor, codec);
    if (options.trailing === 'ignore') break;
  }
  return codec.result(options.borrow);
}

function readFrame(cursor: Cursor, codec: Codec): void {
  const offset = cursor.at - 4;
  const header = readFrameHeader(cursor);
  const start = codec.produced;
  codec.setWindow(header.window);
  codec.startDictionary();
  codec.wasm.startFrame();
  if (header.checksum) codec.startSum('xxh64');
  while (!readBlock(cursor, codec)) codec.flush();
  codec.flush();
  const size = codec.produced - start;
  if (header.size !== undefined && header.size !== size) {
    throw new Invalid('zstd frame', `unpacks to ${size} bytes, not to what it says`, {
      offset,
      value: header.size,
    });
  }
  if (!header.checksum) return;
  const stored = cursor.u32('zstd checksum');
  const actual = Number(BigInt.asUintN(32, codec.sum()));
  if (stored !== actual)
    throw new Invalid('zstd frame', 'checksum does not match: the file is damaged', { offset });
}

/** Section 3.1.1.1. */
function readFrameHeader(cursor: Cursor): FrameHeader {
  const offset = cursor.at;
  const descriptor = cursor.u8('zstd frame header');
  if ((descriptor & 8) !== 0)
    throw new Unsupported('zstd frame header', 'its reserved bit is set', { offset });
  const single = (descriptor & 0x20) !== 0;
  const descriptorOfWindow = single ? 0 : cursor.u8('zstd window descriptor');
  let dictionary = 0;
  for (let left = [0, 1, 2, 4][descriptor & 3]; left > 0; left--)
    dictionary |= cursor.u8('zstd dictionary id');
  if (dictionary !== 0) throw new Unsupported('zstd frame', 'needs a dictionary', { offset });
  const size = readContentSize(cursor, descriptor >> 6, single);
  const window = single ? (size ?? 0) : windowSize(descriptorOfWindow);
  return { window, size, checksum: (descriptor & 4) !== 0 };
}

/** Section 3.1.1.1.2. */
const windowSize = (byte: number): number => 2 ** (10 + (byte >> 3)) * (1 + (byte & 7) / 8);

/** Section 3.1.1.1.4: 0, 1, 2, 4 or 8 bytes; two bytes count from 256. */
function readContentSize(cursor: Cursor, form: number, single: boolean): number | undefined {
  const what = 'zstd content size';
  if (form === 0) return single ? cursor.u8(what) : undefined;
  if (form === 1) return cursor.u16(what) + 256;
  return form === 2 ? cursor.u32(what) : cursor.n64(what);
}

/** Section 3.1.1.2; true when it was the last. */
function readBlock(cursor: Cursor, codec: Codec): boolean {
  const { wasm } = codec;
  const offset = cursor.at;
  const header = cursor.u16('zstd block header') | (cursor.u8('zstd block header') << 16);
  const type = (header >> 1) & 3;
  const size = header >> 3;
  if (type === BLOCK.RESERVED || size > MAX_BLOCK) {
    throw new Invalid('zstd block', 'type or size is not allowed', { offset, value: header });
  }
  const start = codec.at(cursor.at, type === BLOCK.RLE ? 1 : Math.min(size, cursor.left));
  if (type === BLOCK.COMPRESSED) codec.reserve(codec.produced + MAX_BLOCK);
  else codec.room(codec.produced + size);
  if (type === BLOCK.RLE) {
    wasm.fillBlock(cursor.u8('zstd block'), size);
  } else {
    cursor.skip(size, 'zstd block');
    if (type === BLOCK.RAW) wasm.copyChunk(start, size);
    else if (wasm.decodeBlock(start, start + size) === 0)
      throw new Invalid('zstd block', 'is damaged', { offset });
    codec.room(codec.produced);
  }
  return (header & 1) !== 0;
}
