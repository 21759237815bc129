/** The gzip container (RFC 1952); DEFLATE itself is in inflate.as. */
import { crc32 } from './checksum.ts';
import { Codec, type CodecMemory, Decoded } from './codec.ts';
import { BadMagic, Invalid, Truncated, Unsupported } from './errors.ts';
import { ByteView, Cursor } from './view.ts';

export interface GzOptions {
  readonly maxOutput: number;
  /** 'ignore' stops behind the first member. */
  readonly trailing: 'refuse' | 'ignore';
  /** Memory kept between calls. */
  readonly memory?: CodecMemory | undefined;
  /** See DecompressOptions. */
  readonly borrow?: boolean | undefined;
}

/** FLG, section 2.3.1; the upper three bits are reserved. */
const FLAG = { HCRC: 2, EXTRA: 4, NAME: 8, COMMENT: 16, RESERVED: 0xe0 } as const;
const METHOD_DEFLATE = 8;
/** Tables of two codes and what is needed to build them; the layout is in inflate.as. */
const INFLATE_SCRATCH = 8192;
/** Output decoded at a time: short calls let the engine bring in optimised code early, see xz.ts. */
const STEP = 2 ** 20;

export function isGz(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/**
 * Unpacks a gzip file of one or more members.
 * @throws BadMagic, Truncated, Invalid (also when a CRC or a size does not match), Unsupported beyond maxOutput
 */
export function unpackGz(bytes: Uint8Array, options: GzOptions): Uint8Array {
  if (!isGz(bytes)) throw new BadMagic('gzip', 'must begin with 1f 8b', { offset: 0 });
  const codec = new Codec('gzip', bytes, INFLATE_SCRATCH, options.maxOutput, options.memory);
  const cursor = new Cursor(new ByteView(bytes, true));
  do readMember(cursor, codec);
  while (cursor.left > 0 && options.trailing === 'refuse');
  return codec.result(options.borrow);
}

function readMember(cursor: Cursor, codec: Codec): void {
  const offset = cursor.at;
  readHeader(cursor);
  const start = codec.produced;
  codec.wasm.startInflate(codec.input + cursor.at);
  const end = codec.input + cursor.end;
  for (let result: number = Decoded.Full; result !== Decoded.End; ) {
    // One step beyond the limit shows that there is more than the limit.
    codec.reserve(codec.produced + STEP);
    result = codec.wasm.inflate(codec.base + codec.produced + STEP, end);
    if (result === Decoded.NoInput)
      throw new Truncated('gzip', 'the input ends inside the compressed data', { offset });
    if (result === Decoded.BadData) throw new Invalid('gzip', 'the compressed data is damaged', { offset });
    if (result === Decoded.BadDistance)
      throw new Invalid('gzip', 'a match begins before the output', { offset });
    codec.room(codec.produced);
  }
  cursor.at = codec.wasm.input() - codec.input;
  const crc = cursor.u32('gzip trailer');
  const size = cursor.u32('gzip trailer');
  if (crc !== codec.crc32(start, codec.produced) || size !== (codec.produced - start) % 2 ** 32) {
    throw new Invalid('gzip member', 'CRC-32 or size does not match: the file is damaged', { offset });
  }
}

/** Section 2.3. */
function readHeader(cursor: Cursor): void {
  const start = cursor.at;
  const magic = cursor.u16('gzip header');
  if (magic !== 0x8b1f) throw new Invalid('gzip', 'something that is no member follows', { offset: start });
  const method = cursor.u8('gzip header');
  if (method !== METHOD_DEFLATE)
    throw new Unsupported('gzip method', 'is not 8', { offset: start + 2, value: method });
  const flags = cursor.u8('gzip header');
  if ((flags & FLAG.RESERVED) !== 0)
    throw new Unsupported('gzip flags', 'unknown bits are set', { value: flags });
  cursor.skip(6, 'gzip header');
  if ((flags & FLAG.EXTRA) !== 0) cursor.skip(cursor.u16('gzip extra field'), 'gzip extra field');
  if ((flags & FLAG.NAME) !== 0) while (cursor.u8('gzip file name') !== 0);
  if ((flags & FLAG.COMMENT) !== 0) while (cursor.u8('gzip comment') !== 0);
  if ((flags & FLAG.HCRC) === 0) return;
  const covered = cursor.view.bytes.subarray(start, cursor.at);
  if (cursor.u16('gzip header CRC') !== (crc32(covered) & 0xffff)) {
    throw new Invalid('gzip header', 'CRC does not match', { offset: start });
  }
}
