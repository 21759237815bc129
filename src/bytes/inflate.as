// DEFLATE (RFC 1951), in AssemblyScript; compiled together with codec.as. gz.ts reads the container. The decoder stops at
// an output limit and goes on from there. Every symbol checks that the input was not overrun; what is read beyond its end
// never reaches the output of a call that succeeds.

// State, u32 each unless said.
const HOLD: u32 = 640; // u64: bits read ahead, lowest first
const HELD: u32 = 648; // how many of them count
const MODE: u32 = 652;
const FINAL: u32 = 656; // the current block is the last
const LEFT: u32 = 660; // bytes of a stored block or of a match still to copy
const DISTANCE: u32 = 664; // of that match; 0 = no match
const START: u32 = 668; // address of the first output byte
const FIXED: u32 = 672; // the codes are the fixed ones
const INPUT: u32 = 28; // shared with codec.as
const OUTPUT: u32 = 32;

const HEADER: u32 = 0;
const STORED: u32 = 1;
const CODES: u32 = 2;

// Results, as Decoded in codec.ts.
const FULL: u32 = 0;
const END: u32 = 1;
const BAD_DISTANCE: u32 = 2;
const NO_INPUT: u32 = 3;
const BAD_DATA: u32 = 4;

// Scratch; INFLATE_SCRATCH in gz.ts covers it. A code has: a table of its first bits (u16: symbol << 4 | length; 0 = longer),
// the number of codes of each length (16 u16), and the symbols in order of their codes (u16).
const SCRATCH: u32 = 18 * 1024;
const FAST_BITS: u32 = 10;
const FAST_SIZE: u32 = 2048; // bytes
const COUNTS: u32 = FAST_SIZE;
const SYMBOLS: u32 = FAST_SIZE + 32;
const LITERALS: u32 = SCRATCH;
const DISTANCES: u32 = SCRATCH + FAST_SIZE + 32 + 640;
const LENGTHS: u32 = DISTANCES + FAST_SIZE + 32 + 640; // 320 u8: code lengths while a header is read
const NEXT: u32 = LENGTHS + 320; // 16 u16
const OFFSETS: u32 = NEXT + 32; // 16 u16

// Section 3.2.5: base | extra bits << 16.
const LENGTH_CODES = memory.data<u32>([
  3, 4, 5, 6, 7, 8, 9, 10, 0x1000b, 0x1000d, 0x1000f, 0x10011, 0x20013, 0x20017, 0x2001b, 0x2001f, 0x30023, 0x3002b,
  0x30033, 0x3003b, 0x40043, 0x40053, 0x40063, 0x40073, 0x50083, 0x500a3, 0x500c3, 0x500e3, 258,
]);
const DISTANCE_CODES = memory.data<u32>([
  1, 2, 3, 4, 0x10005, 0x10007, 0x20009, 0x2000d, 0x30011, 0x30019, 0x40021, 0x40031, 0x50041, 0x50061, 0x60081,
  0x600c1, 0x70101, 0x70181, 0x80201, 0x80301, 0x90401, 0x90601, 0xa0801, 0xa0c01, 0xb1001, 0xb1801, 0xc2001, 0xc3001,
  0xd4001, 0xd6001,
]);
// Section 3.2.7: the order in which the lengths of the length code are stored.
const LENGTH_ORDER = memory.data<u8>([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]);

export function startInflate(input: u32): void {
  store<u64>(HOLD, 0);
  store<u32>(HELD, 0);
  store<u32>(MODE, HEADER);
  store<u32>(FINAL, 0);
  store<u32>(LEFT, 0);
  store<u32>(DISTANCE, 0);
  store<u32>(FIXED, 0);
  store<u32>(START, load<u32>(OUTPUT));
  store<u32>(INPUT, input);
}

/** Takes `count` bits (at most 32) from the state; what lies beyond the end of the input is noticed by overrun(). */
function take(count: u32): u32 {
  let hold = load<u64>(HOLD);
  let held = load<u32>(HELD);
  let ip = load<u32>(INPUT);
  while (held < count) {
    hold |= <u64>load<u8>(ip++) << held;
    held += 8;
  }
  store<u64>(HOLD, hold >>> count);
  store<u32>(HELD, held - count);
  store<u32>(INPUT, ip);
  return <u32>(hold & ((<u64>1 << count) - 1));
}

function overrun(end: u32): bool {
  return load<u32>(INPUT) - (load<u32>(HELD) >>> 3) > end;
}

/** Builds a code from `count` lengths at LENGTHS + from; false when the lengths are no code. */
function buildCode(code: u32, from: u32, count: u32, mayBeIncomplete: bool): bool {
  const counts = code + COUNTS;
  memory.fill(code, 0, COUNTS + 32);
  const lengths = LENGTHS + from;
  for (let i: u32 = 0; i < count; i++) {
    const at = counts + <u32>load<u8>(lengths + i) * 2;
    store<u16>(at, load<u16>(at) + 1);
  }
  const used = count - <u32>load<u16>(counts);
  store<u16>(counts, 0);
  let space: i32 = 1;
  let next: u32 = 0;
  let offset: u32 = 0;
  for (let length: u32 = 1; length < 16; length++) {
    const number: u32 = load<u16>(counts + length * 2);
    next <<= 1;
    store<u16>(NEXT + length * 2, <u16>next);
    store<u16>(OFFSETS + length * 2, <u16>offset);
    next += number;
    offset += number;
    space = (space << 1) - <i32>number;
    if (space < 0) return false;
  }
  // Only a distance code may leave bit patterns unused, and then of a single code of one bit, or none at all.
  if (space > 0 && !(mayBeIncomplete && used <= 1 && load<u16>(counts + 2) == used)) return false;
  for (let symbol: u32 = 0; symbol < count; symbol++) {
    const length: u32 = load<u8>(lengths + symbol);
    if (length == 0) continue;
    const place: u32 = load<u16>(OFFSETS + length * 2);
    store<u16>(OFFSETS + length * 2, <u16>(place + 1));
    store<u16>(code + SYMBOLS + place * 2, <u16>symbol);
    const bits: u32 = load<u16>(NEXT + length * 2);
    store<u16>(NEXT + length * 2, <u16>(bits + 1));
    if (length > FAST_BITS) continue;
    // Codes are packed from their highest bit: in the table they stand reversed.
    let index: u32 = 0;
    for (let i: u32 = 0; i < length; i++) index |= ((bits >>> i) & 1) << (length - 1 - i);
    for (; index < 1 << FAST_BITS; index += 1 << length) store<u16>(code + index * 2, <u16>((symbol << 4) | length));
  }
  return true;
}

/** A code longer than FAST_BITS, bit by bit: symbol << 4 | length, or 0 when the bits are no code. */
function slowSymbol(code: u32, hold: u64): u32 {
  let bits: u32 = 0;
  let first: u32 = 0;
  let index: u32 = 0;
  for (let length: u32 = 1; length < 16; length++) {
    bits = (bits << 1) | (<u32>(hold >>> (length - 1)) & 1);
    const number: u32 = load<u16>(code + COUNTS + length * 2);
    first <<= 1;
    if (bits - first < number) return (<u32>load<u16>(code + SYMBOLS + (index + bits - first) * 2) << 4) | length;
    first += number;
    index += number;
  }
  return 0;
}

/** Section 3.2.6. Made anew only behind other codes: a file may have a block in every ten bits. */
function fixedCodes(): void {
  if (load<u32>(FIXED) != 0) return;
  store<u32>(FIXED, 1);
  for (let i: u32 = 0; i < 288; i++) store<u8>(LENGTHS + i, i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8);
  buildCode(LITERALS, 0, 288, false);
  memory.fill(LENGTHS, 5, 32);
  buildCode(DISTANCES, 0, 32, false);
}

/** Section 3.2.7. */
function dynamicCodes(end: u32): u32 {
  store<u32>(FIXED, 0);
  const literals = take(5) + 257;
  const distances = take(5) + 1;
  const stored = take(4) + 4;
  if (literals > 286 || distances > 30) return BAD_DATA;
  memory.fill(LENGTHS, 0, 19);
  for (let i: u32 = 0; i < stored; i++) store<u8>(LENGTHS + <u32>load<u8>(LENGTH_ORDER + i), <u8>take(3));
  if (overrun(end)) return NO_INPUT;
  if (!buildCode(LITERALS, 0, 19, false)) return BAD_DATA;
  const total = literals + distances;
  let previous: u32 = 0;
  for (let i: u32 = 0; i < total; ) {
    // A code of at most 7 bits: look at 7, give back what is too much.
    const bits = take(7);
    const entry: u32 = load<u16>(LITERALS + bits * 2);
    const length = entry & 15;
    if (length == 0 || length > 7) return BAD_DATA;
    store<u64>(HOLD, (load<u64>(HOLD) << (7 - length)) | <u64>(bits >>> length));
    store<u32>(HELD, load<u32>(HELD) + 7 - length);
    const symbol = entry >>> 4;
    let repeat: u32 = 1;
    let value = symbol;
    if (symbol == 16) {
      if (i == 0) return BAD_DATA;
      value = previous;
      repeat = take(2) + 3;
    } else if (symbol > 16) {
      value = 0;
      repeat = symbol == 17 ? take(3) + 3 : take(7) + 11;
    }
    if (overrun(end)) return NO_INPUT;
    if (i + repeat > total) return BAD_DATA;
    memory.fill(LENGTHS + i, <u8>value, repeat);
    i += repeat;
    previous = value;
  }
  // Without an end-of-block code the block could not end.
  if (load<u8>(LENGTHS + 256) == 0) return BAD_DATA;
  if (!buildCode(LITERALS, 0, literals, false)) return BAD_DATA;
  return buildCode(DISTANCES, literals, distances, true) ? END : BAD_DATA;
}

function blockHeader(end: u32): u32 {
  store<u32>(FINAL, take(1));
  const type = take(2);
  if (overrun(end)) return NO_INPUT;
  if (type == 3) return BAD_DATA;
  if (type == 0) {
    take(load<u32>(HELD) & 7);
    const size = take(16);
    if (size != (take(16) ^ 0xffff)) return overrun(end) ? NO_INPUT : BAD_DATA;
    if (overrun(end)) return NO_INPUT;
    store<u32>(LEFT, size);
    store<u32>(MODE, STORED);
    return END;
  }
  store<u32>(MODE, CODES);
  if (type == 2) return dynamicCodes(end);
  fixedCodes();
  return END;
}

function storedBytes(limit: u32, end: u32): u32 {
  // Whole bytes that were read ahead are given back.
  const ip = load<u32>(INPUT) - (load<u32>(HELD) >>> 3);
  store<u64>(HOLD, 0);
  store<u32>(HELD, 0);
  const op = load<u32>(OUTPUT);
  const left = load<u32>(LEFT);
  const size = min(left, limit - op);
  store<u32>(INPUT, ip);
  if (ip + size > end) return NO_INPUT;
  memory.copy(op, ip, size);
  store<u32>(INPUT, ip + size);
  store<u32>(OUTPUT, op + size);
  store<u32>(LEFT, left - size);
  return left == size ? END : FULL;
}

/** Symbols of a block until its end or the limit. */
function codedBytes(limit: u32, end: u32): u32 {
  let hold = load<u64>(HOLD);
  let held = load<u32>(HELD);
  let ip = load<u32>(INPUT);
  let op = load<u32>(OUTPUT);
  let left = load<u32>(LEFT);
  let distance = load<u32>(DISTANCE);
  const start = load<u32>(START);
  let result = FULL;
  while (true) {
    if (left != 0) {
      const stop = op + min(left, limit - op);
      left -= stop - op;
      if (distance >= 8) {
        for (; op + 8 <= stop; op += 8) store<u64>(op, load<u64>(op - distance));
      }
      for (; op < stop; op++) store<u8>(op, load<u8>(op - distance));
    }
    if (op >= limit) break;
    if (ip - (held >>> 3) > end) {
      result = NO_INPUT;
      break;
    }
    // 56 bits at least: enough for a length and a distance with all their extra bits (48).
    hold |= load<u64>(ip) << held;
    ip += (63 - held) >>> 3;
    held |= 56;
    let entry: u32 = load<u16>(LITERALS + (<u32>hold & ((1 << FAST_BITS) - 1)) * 2);
    if (entry == 0) entry = slowSymbol(LITERALS, hold);
    if (entry == 0) {
      result = BAD_DATA;
      break;
    }
    hold >>>= entry & 15;
    held -= entry & 15;
    const symbol = entry >>> 4;
    if (symbol < 256) {
      store<u8>(op++, <u8>symbol);
      continue;
    }
    if (symbol == 256) {
      result = END;
      break;
    }
    if (symbol > 285) {
      result = BAD_DATA;
      break;
    }
    const lengthCode = load<u32>(<u32>LENGTH_CODES + (symbol - 257) * 4);
    const lengthBits = lengthCode >>> 16;
    left = (lengthCode & 0xffff) + (<u32>hold & ((1 << lengthBits) - 1));
    hold >>>= lengthBits;
    held -= lengthBits;
    entry = load<u16>(DISTANCES + (<u32>hold & ((1 << FAST_BITS) - 1)) * 2);
    if (entry == 0) entry = slowSymbol(DISTANCES, hold);
    if (entry == 0 || entry >>> 4 > 29) {
      result = BAD_DATA;
      break;
    }
    hold >>>= entry & 15;
    held -= entry & 15;
    const distanceCode = load<u32>(<u32>DISTANCE_CODES + (entry >>> 4) * 4);
    const distanceBits = distanceCode >>> 16;
    distance = (distanceCode & 0xffff) + (<u32>hold & ((1 << distanceBits) - 1));
    hold >>>= distanceBits;
    held -= distanceBits;
    if (distance > op - start) {
      result = BAD_DISTANCE;
      break;
    }
  }
  // Bits above those that count are copies of the next bytes; take() wants them clear.
  hold &= (<u64>1 << held) - 1;
  if (ip - (held >>> 3) > end) result = NO_INPUT;
  store<u64>(HOLD, hold);
  store<u32>(HELD, held);
  store<u32>(INPUT, ip);
  store<u32>(OUTPUT, op);
  store<u32>(LEFT, left);
  store<u32>(DISTANCE, distance);
  return result;
}

/** Goes on until the output reaches `limit` (FULL) or the last block ends (END; input() is then the byte behind it). */
export function inflate(limit: u32, end: u32): u32 {
  while (true) {
    const mode = load<u32>(MODE);
    if (mode == HEADER) {
      if (load<u32>(FINAL) != 0) break;
      const result = blockHeader(end);
      if (result != END) return result;
      continue;
    }
    const result = mode == STORED ? storedBytes(limit, end) : codedBytes(limit, end);
    if (result != END) return result;
    store<u32>(MODE, HEADER);
    store<u32>(LEFT, 0);
  }
  store<u32>(INPUT, load<u32>(INPUT) - (load<u32>(HELD) >>> 3));
  store<u32>(HELD, 0);
  return END;
}
