/**
 * bzip2: blocks of at most 900 kB, each Huffman-coded behind a move-to-front list behind a Burrows-Wheeler transform behind
 * run lengths. There is no specification but the program; the layout is that of Joe Tsai's "bzip2: Format Specification".
 */

import { Invalid, Truncated, Unsupported } from './errors.ts';
import { joinBytes } from './join.ts';

const BLOCK_MAGIC = 0x314159265359;
const END_MAGIC = 0x177245385090;
const LEVEL_BYTES = 100_000;
/** Of a Huffman code. */
const [MOST_BITS, MOST_SYMBOLS] = [20, 258];
/** Symbols coded with one table before the next selector. */
const GROUP = 50;
const [RUN_A, RUN_B] = [0, 1];

export function isBzip2(bytes: Uint8Array): boolean {
  const [b, z, h, level] = bytes;
  return b === 0x42 && z === 0x5a && h === 0x68 && level >= 0x31 && level <= 0x39;
}

/** @throws Truncated, Invalid (also when a CRC does not match), Unsupported (more than `maxOutput`) */
export function unpackBzip2(bytes: Uint8Array, maxOutput: number): Uint8Array {
  const bits = new Bits(bytes);
  const parts: Uint8Array[] = [];
  let total = 0;
  do {
    const head = bits.take(24);
    const level = bits.take(8) - 0x30;
    if (head !== 0x425a68 || level < 1 || level > 9)
      throw new Invalid('bzip2', 'something that is no bzip2 stream follows', { offset: bits.at });
    let sum = 0;
    for (let magic = bits.take48(); magic !== END_MAGIC; magic = bits.take48()) {
      if (magic !== BLOCK_MAGIC)
        throw new Invalid('bzip2 block', 'does not begin as one', { offset: bits.at });
      const stored = bits.take(32);
      const part = unpackBlock(bits, level * LEVEL_BYTES, maxOutput - total);
      if (crcOf(part) !== stored)
        throw new Invalid('bzip2 block', 'CRC does not match: the file is damaged', { offset: bits.at });
      sum = (((sum << 1) | (sum >>> 31)) ^ stored) >>> 0;
      parts.push(part);
      total += part.length;
    }
    if (bits.take(32) !== sum)
      throw new Invalid('bzip2', 'CRC of the stream does not match', { offset: bits.at });
    bits.align();
  } while (bits.left > 0);
  return joinBytes(parts);
}

/** The highest bit of a byte comes first. */
class Bits {
  private readonly bytes: Uint8Array;
  private next = 0;
  private held = 0;
  private count = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get at(): number {
    return this.next;
  }

  get left(): number {
    return this.bytes.length - this.next;
  }

  bit(): number {
    if (this.count === 0) this.fill();
    return (this.held >> --this.count) & 1;
  }

  private fill(): void {
    if (this.next >= this.bytes.length)
      throw new Truncated('bzip2', 'ends inside a block', { offset: this.next });
    this.held = this.bytes[this.next++];
    this.count = 8;
  }

  /** Up to 32 bits, unsigned. */
  take(count: number): number {
    let value = 0;
    for (let left = count; left > 0; ) {
      if (this.count === 0) this.fill();
      const some = Math.min(left, this.count);
      this.count -= some;
      value = value * 2 ** some + ((this.held >> this.count) & ((1 << some) - 1));
      left -= some;
    }
    return value;
  }

  take48(): number {
    return this.take(24) * 2 ** 24 + this.take(24);
  }

  align(): void {
    this.count = 0;
  }
}

interface Table {
  /** By length of code: the largest code, what to take from it for an index, and how many codes there are before. */
  readonly limits: Int32Array;
  readonly bases: Int32Array;
  readonly symbols: Uint16Array;
  readonly shortest: number;
}

function unpackBlock(bits: Bits, size: number, room: number): Uint8Array {
  const fail = (what: string): never => {
    throw new Invalid('bzip2 block', what, { offset: bits.at });
  };
  if (bits.bit() === 1)
    throw new Unsupported('bzip2 block', 'is randomised, as versions before 0.9.5 wrote it');
  const origin = bits.take(24);
  const alphabet = usedBytes(bits);
  if (alphabet.length === 0) fail('uses no bytes');
  const tableCount = bits.take(3);
  const selectorCount = bits.take(15);
  if (tableCount < 2 || tableCount > 6 || selectorCount === 0) fail('has a number of tables that cannot be');
  const selectors = readSelectors(bits, tableCount, selectorCount, fail);
  const tables = Array.from({ length: tableCount }, () => readTable(bits, alphabet.length + 2, fail));
  const { columns, count, last } = readColumns(bits, alphabet, tables, selectors, size, fail);
  if (origin >= count) fail('begins outside of itself');
  return expand(rotate(columns, count, last), columns, origin, count, room);
}

function usedBytes(bits: Bits): number[] {
  const ranges = bits.take(16);
  const used: number[] = [];
  for (let range = 0; range < 16; range++) {
    if ((ranges & (0x8000 >> range)) === 0) continue;
    const members = bits.take(16);
    for (let i = 0; i < 16; i++) if ((members & (0x8000 >> i)) !== 0) used.push(16 * range + i);
  }
  return used;
}

function readSelectors(bits: Bits, tables: number, count: number, fail: (what: string) => never): Uint8Array {
  const order = Array.from({ length: tables }, (_, i) => i);
  const selectors = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    let place = 0;
    while (bits.bit() === 1) if (++place >= tables) fail('names a table that is not there');
    const [chosen] = order.splice(place, 1);
    order.unshift(chosen);
    selectors[i] = chosen;
  }
  return selectors;
}

function readTable(bits: Bits, symbols: number, fail: (what: string) => never): Table {
  const lengths = new Uint8Array(symbols);
  let length = bits.take(5);
  for (let i = 0; i < symbols; i++) {
    for (;;) {
      if (length < 1 || length > MOST_BITS) fail('has a code of a length that cannot be');
      if (bits.bit() === 0) break;
      length += bits.bit() === 0 ? 1 : -1;
    }
    lengths[i] = length;
  }
  return tableOf(lengths);
}

/** Canonical codes: shorter ones first, and of one length in the order of the symbols. */
function tableOf(lengths: Uint8Array): Table {
  const counts = new Int32Array(MOST_BITS + 2);
  for (const length of lengths) counts[length]++;
  const symbols = new Uint16Array(MOST_SYMBOLS);
  let at = 0;
  for (let length = 1; length <= MOST_BITS; length++)
    for (let i = 0; i < lengths.length; i++) if (lengths[i] === length) symbols[at++] = i;
  const limits = new Int32Array(MOST_BITS + 2).fill(-1);
  const bases = new Int32Array(MOST_BITS + 2);
  let code = 0;
  let before = 0;
  for (let length = 1; length <= MOST_BITS; length++) {
    bases[length] = before - code;
    code += counts[length];
    before += counts[length];
    limits[length] = code - 1;
    code *= 2;
  }
  return {
    limits,
    bases,
    symbols,
    shortest: Math.max(
      1,
      counts.findIndex((count) => count > 0),
    ),
  };
}

function decode(
  bits: Bits,
  { limits, bases, symbols, shortest }: Table,
  fail: (what: string) => never,
): number {
  let code = bits.take(shortest);
  for (let length = shortest; length <= MOST_BITS; length++) {
    if (code <= limits[length]) return symbols[code + bases[length]];
    code = code * 2 + bits.bit();
  }
  return fail('has a code that no symbol has');
}

/** The last column of the sorted rotations: bytes, how many, and how often each. */
function readColumns(
  bits: Bits,
  alphabet: readonly number[],
  tables: readonly Table[],
  selectors: Uint8Array,
  size: number,
  fail: (what: string) => never,
): { columns: Uint32Array; count: number; last: Int32Array } {
  const list = [...alphabet];
  const columns = new Uint32Array(size);
  const last = new Int32Array(256);
  const end = alphabet.length + 1;
  let [count, run, weight] = [0, 0, 1];
  const flush = (): void => {
    if (run === 0) return;
    if (count + run > size) fail('is larger than its stream says');
    columns.fill(list[0], count, count + run);
    last[list[0]] += run;
    count += run;
    [run, weight] = [0, 1];
  };
  for (let i = 0; ; i++) {
    const selector = Math.floor(i / GROUP);
    if (selector >= selectors.length) fail('has more symbols than selectors');
    const symbol = decode(bits, tables[selectors[selector]], fail);
    if (symbol === RUN_A || symbol === RUN_B) {
      run += weight * (symbol + 1);
      weight *= 2;
      if (run > size) fail('is larger than its stream says');
      continue;
    }
    flush();
    if (symbol === end) return { columns, count, last };
    const [byte] = list.splice(symbol - 1, 1);
    list.unshift(byte);
    if (count >= size) fail('is larger than its stream says');
    columns[count++] = byte;
    last[byte]++;
  }
}

/** Where each byte's row goes on: kept in the upper bits of the columns. */
function rotate(columns: Uint32Array, count: number, last: Int32Array): Uint32Array {
  let sum = 0;
  const starts = last.map((many) => {
    sum += many;
    return sum - many;
  });
  for (let i = 0; i < count; i++) columns[starts[columns[i] & 0xff]++] |= i << 8;
  return columns;
}

/** Undoes the first step: after four equal bytes stands how many more there are. */
function expand(
  rows: Uint32Array,
  columns: Uint32Array,
  origin: number,
  count: number,
  room: number,
): Uint8Array {
  let out = new Uint8Array(Math.min(room, count + 1024));
  let [at, same, before] = [0, 0, -1];
  let row = columns[origin] >>> 8;
  const put = (byte: number, times: number): void => {
    if (at + times > room) throw new Unsupported('bzip2', `unpacks to more than the limit of ${room} bytes`);
    if (at + times > out.length) {
      const larger = new Uint8Array(Math.min(room, (at + times) * 2));
      larger.set(out);
      out = larger;
    }
    out.fill(byte, at, at + times);
    at += times;
  };
  for (let i = 0; i < count; i++) {
    const byte = rows[row] & 0xff;
    row = rows[row] >>> 8;
    if (same === 4) {
      put(before, byte);
      same = 0;
      before = -1;
      continue;
    }
    same = byte === before ? same + 1 : 1;
    before = byte;
    put(byte, 1);
  }
  return out.subarray(0, at);
}

let crcTable: Int32Array | undefined;

/** CRC-32 with the highest bit first. */
function crcOf(bytes: Uint8Array): number {
  crcTable ??= Int32Array.from({ length: 256 }, (_, i) => {
    let value = i << 24;
    for (let bit = 0; bit < 8; bit++) value = value < 0 ? (value << 1) ^ 0x04c11db7 : value << 1;
    return value;
  });
  let crc = -1;
  for (const byte of bytes) crc = (crc << 8) ^ crcTable[((crc >>> 24) ^ byte) & 0xff];
  return ~crc >>> 0;
}
