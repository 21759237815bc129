/**
 * LZO1X as lzop packs it, which some kernel images are packed with. The stream is described in the kernel's documentation
 * (Documentation/staging/lzo.rst), the file around it nowhere but in the program: blocks behind a header, each with its sizes.
 */

import { Invalid, Truncated, Unsupported } from './errors.ts';
import { joinBytes } from './join.ts';
import { ByteView, Cursor } from './view.ts';

const MAGIC = [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a];
/** Of the header: which checksums stand before a block, unpacked and packed, and what follows the header. */
const FLAG = {
  ADLER_OUT: 1,
  ADLER_IN: 2,
  EXTRA: 0x40,
  CRC_OUT: 0x100,
  CRC_IN: 0x200,
  FILTER: 0x800,
} as const;
/** Headers have further fields from this version on. */
const NEWER = 0x0940;
/** lzop's largest block. */
const MAX_BLOCK = 64 << 20;

export const isLzo = (bytes: Uint8Array): boolean => MAGIC.every((byte, i) => bytes[i] === byte);

/** Checksums are passed over. @throws Truncated, Invalid, Unsupported (more than `maxOutput`) */
export function unpackLzo(bytes: Uint8Array, maxOutput: number): Uint8Array {
  if (!isLzo(bytes)) throw new Invalid('lzop', 'does not begin as a file of lzop', { offset: 0 });
  const cursor = new Cursor(new ByteView(bytes, false), MAGIC.length);
  const flags = readHeader(cursor);
  const parts: Uint8Array[] = [];
  let total = 0;
  for (;;) {
    const offset = cursor.at;
    const size = cursor.u32('lzop block size');
    if (size === 0) break;
    const packed = cursor.u32('lzop block packed size');
    if (size > MAX_BLOCK || packed > size)
      throw new Invalid('lzop block', 'has impossible sizes', { offset });
    total += size;
    if (total > maxOutput)
      throw new Unsupported('lzop', `unpacks to more than the limit of ${maxOutput} bytes`);
    let sums = count(flags, FLAG.ADLER_OUT, FLAG.CRC_OUT);
    // A block that did not get smaller stands as it is.
    if (packed < size) sums += count(flags, FLAG.ADLER_IN, FLAG.CRC_IN);
    cursor.skip(4 * sums, 'lzop checksums');
    const data = cursor.bytes(packed, 'lzop block');
    parts.push(packed < size ? unpackBlock(data, size) : data);
  }
  return joinBytes(parts);
}

const count = (flags: number, ...bits: readonly number[]): number =>
  bits.filter((bit) => (flags & bit) !== 0).length;

function readHeader(cursor: Cursor): number {
  const u16 = () => cursor.u8('lzop header') * 256 + cursor.u8('lzop header');
  const newer = u16() >= NEWER;
  cursor.skip(newer ? 4 : 2, 'lzop versions');
  const method = cursor.u8('lzop method');
  if (method < 1 || method > 3) throw new Unsupported('lzop method', 'is not LZO1X', { value: method });
  if (newer) cursor.skip(1, 'lzop level');
  const flags = cursor.u32('lzop flags');
  if ((flags & FLAG.FILTER) !== 0) throw new Unsupported('lzop filter', 'is not known');
  cursor.skip(newer ? 12 : 8, 'lzop mode and time');
  cursor.skip(cursor.u8('lzop name') + 4, 'lzop name and checksum');
  if ((flags & FLAG.EXTRA) !== 0) cursor.skip(cursor.u32('lzop extra field') + 4, 'lzop extra field');
  return flags;
}

/** One LZO1X stream; `bare` is one that is not wrapped, whose size is not known. */
class Stream {
  readonly #in: Uint8Array;
  readonly #out: Uint8Array;
  readonly #bare: boolean;
  #runs = false;
  #at = 0;
  #to = 0;

  constructor(input: Uint8Array, size: number, bare: boolean) {
    this.#in = input;
    this.#out = new Uint8Array(size);
    this.#bare = bare;
  }

  run(): Uint8Array {
    // Literals since the last match: up to three are part of a match's instruction, four stand for any longer run.
    let state = 0;
    if (this.#bare && this.#in[0] === 17 && this.#in.length >= 5) {
      this.#runs = this.#in[1] > 0;
      this.#at = 2;
    }
    if (this.#in[this.#at] > 17) {
      const first = this.#byte() - 17;
      this.#literals(first);
      state = Math.min(first, 4);
    }
    for (;;) {
      const code = this.#byte();
      if (code < 16 && state === 0) {
        this.#literals(3 + (code || this.#long(15)));
        state = 4;
        continue;
      }
      const literals = this.#match(code, state);
      if (literals === undefined) break;
      this.#literals(literals);
      state = literals;
    }
    if (this.#bare) return this.#out.subarray(0, this.#to);
    if (this.#to !== this.#out.length)
      throw new Invalid('lzo block', 'ends before its size', { offset: this.#at });
    return this.#out;
  }

  /** Copies; gives how many literals follow, undefined at the end. */
  #match(code: number, state: number): number | undefined {
    if (code >= 64) {
      const length = code >= 128 ? 5 + ((code >> 5) & 3) : 3 + ((code >> 5) & 1);
      this.#copy((this.#byte() << 3) + ((code >> 2) & 7) + 1, length);
      return code & 3;
    }
    if (code >= 16) {
      if (this.#runs && (code & 0xf8) === 0x18 && this.#in[this.#at + 1] === 0xff) {
        const low = this.#in[this.#at];
        if ((low & 0xfc) === 0xfc) return this.#zeros(code & 7, low & 3);
      }
      const near = code >= 32;
      const most = near ? 31 : 7;
      const length = 2 + (code & most || this.#long(most));
      const pair = this.#byte() | (this.#byte() << 8);
      const distance = (pair >> 2) + (near ? 1 : 16384 + ((code & 8) << 11));
      if (!near && distance === 16384) return undefined;
      this.#copy(distance, length);
      return pair & 3;
    }
    const distance = (this.#byte() << 2) + (code >> 2) + 1;
    this.#copy(state === 4 ? distance + 2048 : distance, state === 4 ? 3 : 2);
    return code & 3;
  }

  /** Version 1: a match of the largest distance stands for zeros, with a byte more of their count. */
  #zeros(count: number, literals: number): number {
    this.#at += 2;
    const length = (this.#byte() << 3) + count + 4;
    if (this.#to + length > this.#out.length)
      throw new Invalid('lzo block', 'has more zeros than bytes', { offset: this.#at });
    // The room is zeros already.
    this.#to += length;
    return literals;
  }

  #byte(): number {
    if (this.#at >= this.#in.length)
      throw new Truncated('lzo block', 'ends inside an instruction', { offset: this.#at });
    return this.#in[this.#at++];
  }

  /** A length that did not fit: 255 for each zero, then the rest. */
  #long(base: number): number {
    let length = base;
    for (let byte = this.#byte(); ; byte = this.#byte()) {
      if (byte !== 0) return length + byte;
      length += 255;
    }
  }

  #literals(length: number): void {
    if (this.#at + length > this.#in.length || this.#to + length > this.#out.length)
      throw new Invalid('lzo block', 'has more literals than bytes', { offset: this.#at });
    this.#out.set(this.#in.subarray(this.#at, this.#at + length), this.#to);
    this.#at += length;
    this.#to += length;
  }

  #copy(distance: number, length: number): void {
    if (distance > this.#to || this.#to + length > this.#out.length)
      throw new Invalid('lzo block', 'a match leaves it', { offset: this.#at });
    for (let i = 0; i < length; i++) {
      this.#out[this.#to] = this.#out[this.#to - distance];
      this.#to++;
    }
  }
}

const unpackBlock = (input: Uint8Array, size: number): Uint8Array => new Stream(input, size, false).run();

/** A stream by itself, of at most `room` bytes unpacked: of version 1, with runs of zeros, when its first byte is 17. */
export const unpackLzo1x = (input: Uint8Array, room: number): Uint8Array =>
  new Stream(input, room, true).run();
