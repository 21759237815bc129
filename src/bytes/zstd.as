// The block decoder of Zstandard (RFC 8878), in AssemblyScript; compiled together with codec.as. Frames, block headers
// and checksums are read by zst.ts. Reads outside the input fall into memory that is there; whether a bit stream was used
// up exactly is checked at its end, and positions before its start are refused as they happen.

// State, u32 each; set up for a frame by startFrame.
const REP0: u32 = 512; // the three latest distances
const REP1: u32 = 516;
const REP2: u32 = 520;
const LITERALS: u32 = 524; // address and number of the literals of the current block
const LITERAL_COUNT: u32 = 528;
const HUFFMAN_LOG: u32 = 532; // 0 = no table yet
const LENGTHS_LOG: u32 = 536; // literal lengths, offsets, match lengths; NO_TABLE = not yet
const OFFSETS_LOG: u32 = 540;
const MATCHES_LOG: u32 = 544;
const FRAME: u32 = 548; // address of the first output byte of the frame
const OUTPUT: u32 = 32; // shared with codec.as

const NO_TABLE: u32 = 0xffffffff;
const FAILED: u32 = 0;

// Scratch area; SCRATCH_SIZE in zst.ts covers it. FSE entries are u32: symbol | bits << 8 | base << 16.
const SCRATCH: u32 = 18 * 1024;
const LENGTHS_TABLE: u32 = SCRATCH; // 512 entries
const OFFSETS_TABLE: u32 = SCRATCH + 2048; // 256
const MATCHES_TABLE: u32 = SCRATCH + 3072; // 512
const WEIGHTS_TABLE: u32 = SCRATCH + 5120; // 64
const HUFFMAN_TABLE: u32 = SCRATCH + 5376; // 2048 entries of u16: symbol | bits << 8
const COUNTS: u32 = SCRATCH + 9472; // 256 of i16: normalised counts
const NEXT: u32 = SCRATCH + 9984; // 256 of u16
const WEIGHTS: u32 = SCRATCH + 10496; // 256 of u8
const RANKS: u32 = SCRATCH + 10752; // 16 of u32
const BUFFER: u32 = SCRATCH + 10816; // 128 KiB of literals and 64 bytes

const MAX_BLOCK: u32 = 131072;

// Section 3.1.1.3.2.1.1: baselines and extra bits of the length codes, baseline | bits << 24.
const LENGTH_CODES = memory.data<u32>([
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x1000010, 0x1000012, 0x1000014, 0x1000016, 0x2000018,
  0x200001c, 0x3000020, 0x3000028, 0x4000030, 0x6000040, 0x7000080, 0x8000100, 0x9000200, 0xa000400, 0xb000800,
  0xc001000, 0xd002000, 0xe004000, 0xf008000, 0x10010000,
]);
const MATCH_CODES = memory.data<u32>([
  3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33,
  34, 0x1000023, 0x1000025, 0x1000027, 0x1000029, 0x200002b, 0x200002f, 0x3000033, 0x300003b, 0x4000043, 0x4000053,
  0x5000063, 0x7000083, 0x8000103, 0x9000203, 0xa000403, 0xb000803, 0xc001003, 0xd002003, 0xe004003, 0xf008003,
  0x10010003,
]);
// Section 3.1.1.3.2.2: the default distributions.
const LENGTH_DEFAULTS = memory.data<i8>([
  4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1,
]);
const OFFSET_DEFAULTS = memory.data<i8>([
  1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1,
]);
const MATCH_DEFAULTS = memory.data<i8>([
  1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
  1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
]);

export function startFrame(): void {
  store<u32>(REP0, 1);
  store<u32>(REP1, 4);
  store<u32>(REP2, 8);
  store<u32>(HUFFMAN_LOG, 0);
  store<u32>(LENGTHS_LOG, NO_TABLE);
  store<u32>(OFFSETS_LOG, NO_TABLE);
  store<u32>(MATCHES_LOG, NO_TABLE);
  store<u32>(FRAME, load<u32>(OUTPUT));
}

/** The output was moved: matches of this frame may not reach before that address. */
export function moveFrame(start: u32): void {
  store<u32>(FRAME, start);
}

export function fillBlock(byte: u32, size: u32): void {
  const op = load<u32>(OUTPUT);
  memory.fill(op, <u8>byte, size);
  store<u32>(OUTPUT, op + size);
}

// A bit stream that is read backwards is its start and a bit position, which counts down to 0.

// @ts-ignore: decorator
@inline
function bitsBefore(start: u32, position: i32, count: u32): u32 {
  const at = position - <i32>count;
  return <u32>((load<u64>(start + (at >> 3)) >>> (at & 7)) & ((<u64>1 << count) - 1));
}

/** The bits before `position`, the next one at the top: at least 57 of them are the stream's. */
// @ts-ignore: decorator
@inline
function wordBefore(start: u32, position: i32): u64 {
  const base = ((position + 7) >> 3) - 8;
  return load<u64>(start + base) << (64 - (position - (base << 3)));
}

/** The first `count` bits of a word, 0 to 63. */
// @ts-ignore: decorator
@inline
function firstBits(word: u64, count: u32): u32 {
  return <u32>((word >>> 1) >>> (63 - count));
}

/** Bits of a backward stream of `size` bytes: all below the highest set bit of its last byte; -1 when that byte is 0. */
function streamBits(start: u32, size: u32): i32 {
  if (size == 0) return -1;
  const last: u32 = load<u8>(start + size - 1);
  return last == 0 ? -1 : <i32>(size * 8 - clz(last) + 24 - 1);
}

/** Section 4.1.1: reads a distribution into COUNTS; returns the address behind it, or FAILED. `log` goes to LOG_OUT. */
const LOG_OUT: u32 = 552;
const SYMBOLS_OUT: u32 = 556;

function readDistribution(start: u32, end: u32, maxLog: u32, maxSymbol: u32): u32 {
  if (start >= end) return FAILED;
  const log: u32 = (load<u8>(start) & 15) + 5;
  if (log > maxLog) return FAILED;
  let left: i32 = 1 << log;
  let bit: u32 = 4;
  let symbol: u32 = 0;
  while (left > 0) {
    if (symbol > maxSymbol || start + (bit >> 3) >= end) return FAILED;
    const bits = 32 - clz(<u32>left + 1);
    const word = load<u32>(start + (bit >> 3)) >>> (bit & 7);
    const short: i32 = (1 << bits) - 2 - left;
    let value = <i32>(word & ((1 << (bits - 1)) - 1));
    if (value < short) {
      bit += bits - 1;
    } else {
      value = <i32>(word & ((1 << bits) - 1));
      if (value >= 1 << (bits - 1)) value -= short;
      bit += bits;
    }
    const count = value - 1;
    store<i16>(COUNTS + symbol * 2, <i16>count);
    symbol++;
    left -= count < 0 ? 1 : count;
    if (count != 0) continue;
    for (let repeat: u32 = 3; repeat == 3; ) {
      if (start + (bit >> 3) >= end) return FAILED;
      repeat = (load<u16>(start + (bit >> 3)) >>> (bit & 7)) & 3;
      bit += 2;
      for (let i: u32 = 0; i < repeat; i++) {
        if (symbol > maxSymbol) return FAILED;
        store<i16>(COUNTS + symbol * 2, 0);
        symbol++;
      }
    }
  }
  if (left < 0) return FAILED;
  store<u32>(LOG_OUT, log);
  store<u32>(SYMBOLS_OUT, symbol);
  const next = start + ((bit + 7) >> 3);
  return next > end ? FAILED : next;
}

/** Section 4.1.1: the decoding table of a distribution in COUNTS. */
function buildTable(table: u32, log: u32, symbols: u32): void {
  const size: u32 = 1 << log;
  const mask = size - 1;
  let high = size;
  // Symbols "less than one" take the last places.
  for (let symbol: u32 = 0; symbol < symbols; symbol++) {
    const count: i32 = load<i16>(COUNTS + symbol * 2);
    store<u16>(NEXT + symbol * 2, <u16>(count < 0 ? 1 : count));
    if (count == -1) store<u32>(table + --high * 4, symbol);
  }
  const step = (size >>> 1) + (size >>> 3) + 3;
  let place: u32 = 0;
  for (let symbol: u32 = 0; symbol < symbols; symbol++) {
    const count: i32 = load<i16>(COUNTS + symbol * 2);
    for (let i: i32 = 0; i < count; i++) {
      store<u32>(table + place * 4, symbol);
      do place = (place + step) & mask;
      while (place >= high);
    }
  }
  for (let i: u32 = 0; i < size; i++) {
    const symbol = load<u32>(table + i * 4);
    const next: u32 = load<u16>(NEXT + symbol * 2);
    store<u16>(NEXT + symbol * 2, <u16>(next + 1));
    const bits = log - (31 - clz(next));
    store<u32>(table + i * 4, symbol | (bits << 8) | (((next << bits) - size) << 16));
  }
}

/** Section 4.2.1: the weights of a Huffman tree and its decoding table; returns the address behind them, or FAILED. */
function readHuffman(start: u32, end: u32): u32 {
  if (start >= end) return FAILED;
  const header: u32 = load<u8>(start);
  let at = start + 1;
  let count: u32 = 0;
  if (header >= 128) {
    count = header - 127;
    if (at + ((count + 1) >> 1) > end) return FAILED;
    for (let i: u32 = 0; i < count; i++) {
      const byte: u32 = load<u8>(at + (i >> 1));
      store<u8>(WEIGHTS + i, <u8>(i & 1 ? byte & 15 : byte >> 4));
    }
    at += (count + 1) >> 1;
  } else {
    const stop = at + header;
    if (header == 0 || stop > end) return FAILED;
    const stream = readDistribution(at, stop, 6, 15);
    if (stream == FAILED) return FAILED;
    const log = load<u32>(LOG_OUT);
    buildTable(WEIGHTS_TABLE, log, load<u32>(SYMBOLS_OUT));
    count = readWeights(stream, stop - stream, log);
    if (count == 0) return FAILED;
    at = stop;
  }
  return buildHuffman(count) ? at : FAILED;
}

/** Two FSE states take turns until the stream is used up; returns the number of weights, 0 when it is damaged. */
function readWeights(stream: u32, size: u32, log: u32): u32 {
  let position = streamBits(stream, size);
  if (position < <i32>(2 * log)) return 0;
  let state = bitsBefore(stream, position, log);
  position -= log;
  let other = bitsBefore(stream, position, log);
  position -= log;
  let count: u32 = 0;
  while (count < 254) {
    const entry = load<u32>(WEIGHTS_TABLE + state * 4);
    store<u8>(WEIGHTS + count++, <u8>entry);
    const bits = (entry >>> 8) & 0xff;
    if (position < <i32>bits) {
      store<u8>(WEIGHTS + count++, <u8>load<u32>(WEIGHTS_TABLE + other * 4));
      return count;
    }
    state = (entry >>> 16) + bitsBefore(stream, position, bits);
    position -= bits;
    const swap = state;
    state = other;
    other = swap;
  }
  return 0;
}

function buildHuffman(count: u32): bool {
  for (let i: u32 = 0; i < 16; i++) store<u32>(RANKS + i * 4, 0);
  let sum: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const weight: u32 = load<u8>(WEIGHTS + i);
    if (weight > 11) return false;
    store<u32>(RANKS + weight * 4, load<u32>(RANKS + weight * 4) + 1);
    sum += (1 << weight) >> 1;
  }
  if (sum == 0) return false;
  // The last weight is not stored: it fills the sum up to the next power of two.
  const log: u32 = 32 - clz(sum);
  const left: u32 = (1 << log) - sum;
  if (log > 11 || (left & (left - 1)) != 0) return false;
  const last: u32 = 32 - clz(left);
  store<u8>(WEIGHTS + count, <u8>last);
  store<u32>(RANKS + last * 4, load<u32>(RANKS + last * 4) + 1);
  let start: u32 = 0;
  for (let weight: u32 = 1; weight <= log; weight++) {
    const number = load<u32>(RANKS + weight * 4);
    store<u32>(RANKS + weight * 4, start);
    start += number << (weight - 1);
  }
  for (let symbol: u32 = 0; symbol <= count; symbol++) {
    const weight: u32 = load<u8>(WEIGHTS + symbol);
    if (weight == 0) continue;
    const entry = <u16>(symbol | ((log + 1 - weight) << 8));
    let at = load<u32>(RANKS + weight * 4);
    const stop = at + (1 << (weight - 1));
    store<u32>(RANKS + weight * 4, stop);
    // Short codes fill long runs, whose length is a power of two.
    const four = <u64>entry * 0x0001000100010001;
    if (weight > 2) for (; at < stop; at += 4) store<u64>(HUFFMAN_TABLE + at * 2, four);
    else for (; at < stop; at++) store<u16>(HUFFMAN_TABLE + at * 2, entry);
  }
  store<u32>(HUFFMAN_LOG, log);
  return true;
}

/** Decodes one stream of literals from a position on, to `out` up to `end`; it must be used up exactly. */
function readStream(stream: u32, from: i32, out: u32, end: u32): bool {
  let position = from;
  const log = load<u32>(HUFFMAN_LOG);
  while (out < end) {
    if (position <= 0) return false;
    const entry: u32 = load<u16>(HUFFMAN_TABLE + bitsBefore(stream, position, log) * 2);
    store<u8>(out++, <u8>entry);
    position -= entry >>> 8;
  }
  return position == 0;
}

/** Five literals, of 11 bits at most, from a word; returns the bits that they took. */
// @ts-ignore: decorator
@inline
function fiveLiterals(word: u64, shift: u64, out: u32): i32 {
  let entry: u32 = load<u16>(HUFFMAN_TABLE + (<u32>(word >>> shift) << 1));
  store<u8>(out, <u8>entry);
  let used = entry >>> 8;
  entry = load<u16>(HUFFMAN_TABLE + (<u32>((word << used) >>> shift) << 1));
  store<u8>(out, <u8>entry, 1);
  used += entry >>> 8;
  entry = load<u16>(HUFFMAN_TABLE + (<u32>((word << used) >>> shift) << 1));
  store<u8>(out, <u8>entry, 2);
  used += entry >>> 8;
  entry = load<u16>(HUFFMAN_TABLE + (<u32>((word << used) >>> shift) << 1));
  store<u8>(out, <u8>entry, 3);
  used += entry >>> 8;
  entry = load<u16>(HUFFMAN_TABLE + (<u32>((word << used) >>> shift) << 1));
  store<u8>(out, <u8>entry, 4);
  return used + (entry >>> 8);
}

/** Section 3.1.1.3.1: the literals of a block; returns the address behind them, or FAILED. */
function readLiterals(start: u32, end: u32): u32 {
  const first: u32 = load<u8>(start);
  const type = first & 3;
  const format = (first >>> 2) & 3;
  if (type < 2) {
    const bytes: u32 = format == 1 ? 2 : format == 3 ? 3 : 1;
    const header = load<u32>(start);
    const size = bytes == 1 ? first >>> 3 : bytes == 2 ? (header & 0xffff) >>> 4 : (header & 0xffffff) >>> 4;
    const data = start + bytes;
    const taken = type == 0 ? size : 1;
    if (size > MAX_BLOCK || data + taken > end) return FAILED;
    if (type == 1) memory.fill(BUFFER, load<u8>(data), size);
    store<u32>(LITERALS, type == 0 ? data : BUFFER);
    store<u32>(LITERAL_COUNT, size);
    return data + taken;
  }
  const bits: u32 = format < 2 ? 10 : format == 2 ? 14 : 18;
  const header = load<u64>(start) >>> 4;
  const count = <u32>header & ((1 << bits) - 1);
  const packed = <u32>(header >>> bits) & ((1 << bits) - 1);
  let at = start + (format < 2 ? 3 : format == 2 ? 4 : 5);
  const stop = at + packed;
  if (count > MAX_BLOCK || stop > end || count == 0) return FAILED;
  if (type == 2) {
    at = readHuffman(at, stop);
    if (at == FAILED) return FAILED;
  } else if (load<u32>(HUFFMAN_LOG) == 0) {
    return FAILED;
  }
  store<u32>(LITERALS, BUFFER);
  store<u32>(LITERAL_COUNT, count);
  if (format == 0) return readStream(at, streamBits(at, stop - at), BUFFER, BUFFER + count) ? stop : FAILED;
  return readFourStreams(at, stop, count) ? stop : FAILED;
}

function readFourStreams(at: u32, stop: u32, count: u32): bool {
  if (at + 6 > stop || count < 6) return false;
  const size1: u32 = load<u16>(at);
  const size2: u32 = load<u16>(at + 2);
  const size3: u32 = load<u16>(at + 4);
  at += 6;
  if (at + size1 + size2 + size3 > stop) return false;
  const each = (count + 3) >>> 2;
  const second = at + size1;
  const third = second + size2;
  const fourth = third + size3;
  let position1 = streamBits(at, size1);
  let position2 = streamBits(second, size2);
  let position3 = streamBits(third, size3);
  let position4 = streamBits(fourth, stop - fourth);
  let out = BUFFER;
  const shift: u64 = 64 - load<u32>(HUFFMAN_LOG);
  // The four do not wait for each other: the processor works on all at once. The last is the shortest.
  const last = BUFFER + count - each * 3;
  while (out + 5 <= last && min(min(position1, position2), min(position3, position4)) >= 64) {
    position1 -= fiveLiterals(wordBefore(at, position1), shift, out);
    position2 -= fiveLiterals(wordBefore(second, position2), shift, out + each);
    position3 -= fiveLiterals(wordBefore(third, position3), shift, out + each * 2);
    position4 -= fiveLiterals(wordBefore(fourth, position4), shift, out + each * 3);
    out += 5;
  }
  const end = BUFFER + each;
  return (
    readStream(at, position1, out, end) &&
    readStream(second, position2, out + each, end + each) &&
    readStream(third, position3, out + each * 2, end + each * 2) &&
    readStream(fourth, position4, out + each * 3, BUFFER + count)
  );
}

/** One of the three tables of a block, by its mode; returns the address behind its description, or FAILED. */
function readTable(
  mode: u32,
  at: u32,
  end: u32,
  table: u32,
  logAt: u32,
  maxLog: u32,
  maxSymbol: u32,
  defaults: usize,
  defaultLog: u32,
  defaultCount: u32,
): u32 {
  if (mode == 3) return load<u32>(logAt) == NO_TABLE ? FAILED : at;
  if (mode == 1) {
    if (at >= end || load<u8>(at) > maxSymbol) return FAILED;
    store<u32>(table, load<u8>(at));
    store<u32>(logAt, 0);
    return at + 1;
  }
  if (mode == 0) {
    for (let i: u32 = 0; i < defaultCount; i++) store<i16>(COUNTS + i * 2, load<i8>(defaults + i));
    buildTable(table, defaultLog, defaultCount);
    store<u32>(logAt, defaultLog);
    return at;
  }
  const next = readDistribution(at, end, maxLog, maxSymbol);
  if (next == FAILED) return FAILED;
  buildTable(table, load<u32>(LOG_OUT), load<u32>(SYMBOLS_OUT));
  store<u32>(logAt, load<u32>(LOG_OUT));
  return next;
}

/** Decodes a compressed block from `start` to `end`; the caller has made room for 128 KiB of output. */
export function decodeBlock(start: u32, end: u32): bool {
  if (start >= end) return false;
  let at = readLiterals(start, end);
  if (at == FAILED || at >= end) return false;
  let sequences: u32 = load<u8>(at++);
  if (sequences == 255) {
    sequences = <u32>load<u16>(at) + 0x7f00;
    at += 2;
  } else if (sequences >= 128) {
    sequences = ((sequences - 128) << 8) + load<u8>(at++);
  }
  if (sequences == 0) return at == end && finishBlock(load<u32>(OUTPUT), load<u32>(LITERALS), load<u32>(LITERAL_COUNT));
  if (at >= end) return false;
  const modes: u32 = load<u8>(at++);
  if ((modes & 3) != 0) return false;
  at = readTable(modes >>> 6, at, end, LENGTHS_TABLE, LENGTHS_LOG, 9, 35, LENGTH_DEFAULTS, 6, 36);
  if (at == FAILED) return false;
  at = readTable((modes >>> 4) & 3, at, end, OFFSETS_TABLE, OFFSETS_LOG, 8, 31, OFFSET_DEFAULTS, 5, 29);
  if (at == FAILED) return false;
  at = readTable((modes >>> 2) & 3, at, end, MATCHES_TABLE, MATCHES_LOG, 9, 52, MATCH_DEFAULTS, 6, 53);
  if (at == FAILED) return false;
  return runSequences(at, end, sequences);
}

/** The literals behind the last sequence. */
function finishBlock(op: u32, literals: u32, left: u32): bool {
  if (op + left - load<u32>(OUTPUT) > MAX_BLOCK) return false;
  memory.copy(op, literals, left);
  store<u32>(OUTPUT, op + left);
  return true;
}

/** Section 3.1.1.4: literals and matches in turn, bounded by the size of a block. */
function runSequences(stream: u32, end: u32, sequences: u32): bool {
  const lengthsLog = load<u32>(LENGTHS_LOG);
  const offsetsLog = load<u32>(OFFSETS_LOG);
  const matchesLog = load<u32>(MATCHES_LOG);
  const frame = load<u32>(FRAME);
  let op = load<u32>(OUTPUT);
  const limit = op + MAX_BLOCK;
  let literals = load<u32>(LITERALS);
  let left = load<u32>(LITERAL_COUNT);
  let rep0 = load<u32>(REP0);
  let rep1 = load<u32>(REP1);
  let rep2 = load<u32>(REP2);
  let position = streamBits(stream, end - stream);
  if (position < <i32>(lengthsLog + offsetsLog + matchesLog)) return false;
  let lengthState = bitsBefore(stream, position, lengthsLog);
  position -= lengthsLog;
  let offsetState = bitsBefore(stream, position, offsetsLog);
  position -= offsetsLog;
  let matchState = bitsBefore(stream, position, matchesLog);
  position -= matchesLog;

  while (true) {
    const lengthEntry = load<u32>(LENGTHS_TABLE + lengthState * 4);
    const offsetEntry = load<u32>(OFFSETS_TABLE + offsetState * 4);
    const matchEntry = load<u32>(MATCHES_TABLE + matchState * 4);
    const offsetCode = offsetEntry & 0xff;
    const matchCode = load<u32>(<u32>MATCH_CODES + (matchEntry & 0xff) * 4);
    const lengthCode = load<u32>(<u32>LENGTH_CODES + (lengthEntry & 0xff) * 4);
    const extra: u32 = offsetCode + (matchCode >>> 24) + (lengthCode >>> 24);
    let word = wordBefore(stream, position);
    let offset: u32 = (1 << offsetCode) + firstBits(word, offsetCode);
    word <<= offsetCode;
    // Distances of 2^25 and more beside long lengths: the bits of one word do not reach.
    if (extra > 57) word = wordBefore(stream, position - offsetCode);
    const match = (matchCode & 0xffffff) + firstBits(word, matchCode >>> 24);
    word <<= matchCode >>> 24;
    const length = (lengthCode & 0xffffff) + firstBits(word, lengthCode >>> 24);
    word <<= lengthCode >>> 24;
    position -= extra;
    if (position < 0) return false;

    if (offset > 3) {
      offset -= 3;
      rep2 = rep1;
      rep1 = rep0;
      rep0 = offset;
    } else {
      // Section 3.1.1.5: one of the latest distances; without literals their numbers move up by one.
      const which = offset - (length != 0 ? 1 : 0);
      if (which == 0) {
        offset = rep0;
      } else {
        offset = which == 1 ? rep1 : which == 2 ? rep2 : rep0 - 1;
        if (which != 1) rep2 = rep1;
        rep1 = rep0;
        rep0 = offset;
      }
    }
    if (length > left || length + match > limit - op || offset == 0 || offset > op + length - frame) return false;

    let stop = op + length;
    if (length <= 16) {
      // Reads and writes may run past the literals and the place; both have room behind them.
      store<u64>(op, load<u64>(literals));
      store<u64>(op + 8, load<u64>(literals + 8));
    } else {
      memory.copy(op, literals, length);
    }
    op = stop;
    literals += length;
    left -= length;
    stop = op + match;
    if (offset >= 8) {
      for (; op < stop; op += 8) store<u64>(op, load<u64>(op - offset));
      op = stop;
    } else {
      for (; op < stop; op++) store<u8>(op, load<u8>(op - offset));
    }

    if (--sequences == 0) break;
    // The three states need 26 bits at most.
    if (extra > 57 - 26) word = wordBefore(stream, position);
    const lengthBits = (lengthEntry >>> 8) & 0xff;
    lengthState = (lengthEntry >>> 16) + firstBits(word, lengthBits);
    word <<= lengthBits;
    const matchBits = (matchEntry >>> 8) & 0xff;
    matchState = (matchEntry >>> 16) + firstBits(word, matchBits);
    word <<= matchBits;
    const offsetBits = (offsetEntry >>> 8) & 0xff;
    offsetState = (offsetEntry >>> 16) + firstBits(word, offsetBits);
    position -= lengthBits + matchBits + offsetBits;
    if (position < 0) return false;
  }
  if (position != 0) return false;
  store<u32>(REP0, rep0);
  store<u32>(REP1, rep1);
  store<u32>(REP2, rep2);
  return finishBlock(op, literals, left);
}
