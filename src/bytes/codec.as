// The inner loops of decompression, in AssemblyScript (a TypeScript that compiles to WebAssembly): the LZMA decoder,
// the x86 branch filter and the checksums of xz and zstd. scripts/build-codec.mjs compiles this file to codec.gen.ts.
//
// The memory is laid out by codec.ts; addresses come in as arguments. There is no allocation and no other state than
// the block at STATE. Reads beyond the input end in the zeroed padding that codec.ts leaves behind it, and are noticed.

// State of one LZMA decoder, u32 each.
const STATE: u32 = 0; // which kinds of symbols came last (0..11)
const REP0: u32 = 4; // the four latest distances, minus 1
const REP1: u32 = 8;
const REP2: u32 = 12;
const REP3: u32 = 16;
const RANGE: u32 = 20; // range decoder
const CODE: u32 = 24;
const INPUT: u32 = 28; // next byte of input
const OUTPUT: u32 = 32; // next byte of output
const PENDING: u32 = 36; // bytes of the current match that did not fit the output limit
const LC: u32 = 40;
const LP_MASK: u32 = 44;
const PB_MASK: u32 = 48;
const PROBABILITIES: u32 = 52; // address of the probability table
const DICTIONARY: u32 = 56; // address of the first output byte that a match may refer to
const CRC32_TABLES: u32 = 2048; // 8 tables of 256 u32
const CRC64_TABLES: u32 = 2048 + 8192; // 4 tables of 256 u64

// Probabilities, u16 each, byte offsets from the table's address. The literal coders stand last: their number varies.
const IS_MATCH: u32 = 0; // [12 states][16 positions]
const IS_REP: u32 = 384; // [12]
const IS_REP0: u32 = 408; // [12]
const IS_REP1: u32 = 432; // [12]
const IS_REP2: u32 = 456; // [12]
const IS_REP0_LONG: u32 = 480; // [12][16]
const SLOT: u32 = 864; // [4 lengths][64]
const SPECIAL: u32 = 1376; // 115 used: reverse trees of distance slots 4 to 13
const ALIGN: u32 = 1632; // [16]
const LENGTH: u32 = 1664; // choice, choice2, low [16][8], mid [16][8], high [256]
const REP_LENGTH: u32 = 2692;
const LITERAL: u32 = 3720;

const LENGTH_LOW: u32 = 4;
const LENGTH_MID: u32 = 260;
const LENGTH_HIGH: u32 = 516;

const TOP: u32 = 1 << 24;

// Results of decode.
const FULL: u32 = 0; // the output limit is reached
const END: u32 = 1; // the end marker was read
const BAD_DISTANCE: u32 = 2; // a match refers to bytes before the dictionary
const NO_INPUT: u32 = 3; // the input ended inside a symbol

export function setProperties(lc: u32, lp: u32, pb: u32, probabilities: u32): void {
  store<u32>(LC, lc);
  store<u32>(LP_MASK, (1 << lp) - 1);
  store<u32>(PB_MASK, (1 << pb) - 1);
  store<u32>(PROBABILITIES, probabilities);
}

export function resetState(): void {
  store<u32>(STATE, 0);
  store<u32>(REP0, 0);
  store<u32>(REP1, 0);
  store<u32>(REP2, 0);
  store<u32>(REP3, 0);
  store<u32>(PENDING, 0);
  const table = load<u32>(PROBABILITIES);
  // lc + lp = log2 of the number of literal coders, of 0x300 probabilities each
  const literals: u32 = 0x300 << (load<u32>(LC) + popcnt(load<u32>(LP_MASK)));
  const end = table + LITERAL + literals * 2;
  for (let at = table; at < end; at += 2) store<u16>(at, 1024);
}

export function setOutput(output: u32, dictionary: u32): void {
  store<u32>(OUTPUT, output);
  store<u32>(DICTIONARY, dictionary);
}

export function setDictionary(dictionary: u32): void {
  store<u32>(DICTIONARY, dictionary);
}

/** Takes the five bytes that begin a range coded stream; the caller has checked that they are there. */
export function startRange(input: u32): void {
  store<u32>(RANGE, 0xffffffff);
  store<u32>(CODE, bswap(load<u32>(input + 1)));
  store<u32>(INPUT, input + 5);
}

/** Copies an uncompressed LZMA2 chunk. */
export function copyChunk(input: u32, size: u32): void {
  const output = load<u32>(OUTPUT);
  memory.copy(output, input, size);
  store<u32>(OUTPUT, output + size);
}

export function output(): u32 {
  return load<u32>(OUTPUT);
}

export function input(): u32 {
  return load<u32>(INPUT);
}

export function pending(): u32 {
  return load<u32>(PENDING);
}

/** The last normalisation of a chunk; a whole chunk leaves the code at zero. */
export function finishRange(): u32 {
  let code = load<u32>(CODE);
  if (load<u32>(RANGE) < TOP) {
    const at = load<u32>(INPUT);
    code = (code << 8) | load<u8>(at);
    store<u32>(RANGE, load<u32>(RANGE) << 8);
    store<u32>(INPUT, at + 1);
    store<u32>(CODE, code);
  }
  return code;
}

/**
 * Decodes until the output reaches `limit`. One symbol reads at most 20 bytes, so the input is checked once a symbol.
 * All state is in locals, and the bit decoder is written out at each place: measured twice as fast as calls and globals.
 */
export function decode(limit: u32, inputEnd: u32): u32 {
  let state = load<u32>(STATE);
  let rep0 = load<u32>(REP0);
  let rep1 = load<u32>(REP1);
  let rep2 = load<u32>(REP2);
  let rep3 = load<u32>(REP3);
  let range = load<u32>(RANGE);
  let code = load<u32>(CODE);
  let ip = load<u32>(INPUT);
  let op = load<u32>(OUTPUT);
  let length = load<u32>(PENDING);
  const lc = load<u32>(LC);
  const lpMask = load<u32>(LP_MASK);
  const pbMask = load<u32>(PB_MASK);
  const table = load<u32>(PROBABILITIES);
  const dictionary = load<u32>(DICTIONARY);
  let result = FULL;
  let at: u32 = 0;
  let p: u32 = 0;
  let bound: u32 = 0;
  let mask: u32 = 0;

  while (true) {
    if (length != 0) {
      // Copy of a match, from rep0 + 1 bytes back; the areas overlap when the distance is short.
      const distance = rep0 + 1;
      if (rep0 >= op - dictionary) {
        result = BAD_DISTANCE;
        break;
      }
      const take = min(length, limit - op);
      const end = op + take;
      length -= take;
      if (distance >= 8) {
        while (op + 8 <= end) {
          store<u64>(op, load<u64>(op - distance));
          op += 8;
        }
      }
      while (op < end) {
        store<u8>(op, load<u8>(op - distance));
        op++;
      }
    }
    if (op >= limit) break;
    if (ip > inputEnd) {
      result = NO_INPUT;
      break;
    }
    const position = op - dictionary;
    const posState = position & pbMask;

    if (range < TOP) {
      range <<= 8;
      code = (code << 8) | load<u8>(ip++);
    }
    at = table + IS_MATCH + (state * 16 + posState) * 2;
    p = load<u16>(at);
    bound = (range >>> 11) * p;
    if (code < bound) {
      range = bound;
      store<u16>(at, p + ((2048 - p) >>> 5));
      const before: u32 = position == 0 ? 0 : load<u8>(op - 1);
      const coder = table + LITERAL + (((position & lpMask) << lc) + (before >>> (8 - lc))) * 0x600;
      let symbol: u32 = 1;
      if (state >= 7) {
        // After a match the byte at the latest distance helps to guess: its bits choose the probabilities.
        if (rep0 >= position) {
          result = BAD_DISTANCE;
          break;
        }
        let match: u32 = <u32>load<u8>(op - rep0 - 1) << 1;
        let offset: u32 = 0x100;
        while (symbol < 0x100) {
          const bit = match & offset;
          match <<= 1;
          if (range < TOP) {
            range <<= 8;
            code = (code << 8) | load<u8>(ip++);
          }
          at = coder + (offset + bit + symbol) * 2;
          p = load<u16>(at);
          bound = (range >>> 11) * p;
          if (code < bound) {
            range = bound;
            store<u16>(at, p + ((2048 - p) >>> 5));
            symbol <<= 1;
            offset &= ~bit;
          } else {
            range -= bound;
            code -= bound;
            store<u16>(at, p - (p >>> 5));
            symbol = (symbol << 1) | 1;
            offset &= bit;
          }
        }
      } else {
        while (symbol < 0x100) {
          if (range < TOP) {
            range <<= 8;
            code = (code << 8) | load<u8>(ip++);
          }
          at = coder + symbol * 2;
          p = load<u16>(at);
          bound = (range >>> 11) * p;
          if (code < bound) {
            range = bound;
            store<u16>(at, p + ((2048 - p) >>> 5));
            symbol <<= 1;
          } else {
            range -= bound;
            code -= bound;
            store<u16>(at, p - (p >>> 5));
            symbol = (symbol << 1) | 1;
          }
        }
      }
      store<u8>(op++, <u8>symbol);
      state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
      continue;
    }
    range -= bound;
    code -= bound;
    store<u16>(at, p - (p >>> 5));

    if (range < TOP) {
      range <<= 8;
      code = (code << 8) | load<u8>(ip++);
    }
    at = table + IS_REP + state * 2;
    p = load<u16>(at);
    bound = (range >>> 11) * p;
    let lengths = table + LENGTH;
    let newDistance = false;
    if (code < bound) {
      range = bound;
      store<u16>(at, p + ((2048 - p) >>> 5));
      rep3 = rep2;
      rep2 = rep1;
      rep1 = rep0;
      state = state < 7 ? 7 : 10;
      newDistance = true;
    } else {
      range -= bound;
      code -= bound;
      store<u16>(at, p - (p >>> 5));
      lengths = table + REP_LENGTH;
      if (range < TOP) {
        range <<= 8;
        code = (code << 8) | load<u8>(ip++);
      }
      at = table + IS_REP0 + state * 2;
      p = load<u16>(at);
      bound = (range >>> 11) * p;
      if (code < bound) {
        range = bound;
        store<u16>(at, p + ((2048 - p) >>> 5));
        if (range < TOP) {
          range <<= 8;
          code = (code << 8) | load<u8>(ip++);
        }
        at = table + IS_REP0_LONG + (state * 16 + posState) * 2;
        p = load<u16>(at);
        bound = (range >>> 11) * p;
        if (code < bound) {
          // One byte at the latest distance.
          range = bound;
          store<u16>(at, p + ((2048 - p) >>> 5));
          state = state < 7 ? 9 : 11;
          length = 1;
          continue;
        }
        range -= bound;
        code -= bound;
        store<u16>(at, p - (p >>> 5));
      } else {
        range -= bound;
        code -= bound;
        store<u16>(at, p - (p >>> 5));
        if (range < TOP) {
          range <<= 8;
          code = (code << 8) | load<u8>(ip++);
        }
        at = table + IS_REP1 + state * 2;
        p = load<u16>(at);
        bound = (range >>> 11) * p;
        if (code < bound) {
          range = bound;
          store<u16>(at, p + ((2048 - p) >>> 5));
          const swap = rep1;
          rep1 = rep0;
          rep0 = swap;
        } else {
          range -= bound;
          code -= bound;
          store<u16>(at, p - (p >>> 5));
          if (range < TOP) {
            range <<= 8;
            code = (code << 8) | load<u8>(ip++);
          }
          at = table + IS_REP2 + state * 2;
          p = load<u16>(at);
          bound = (range >>> 11) * p;
          let distance = rep2;
          if (code < bound) {
            range = bound;
            store<u16>(at, p + ((2048 - p) >>> 5));
          } else {
            range -= bound;
            code -= bound;
            store<u16>(at, p - (p >>> 5));
            distance = rep3;
            rep3 = rep2;
          }
          rep2 = rep1;
          rep1 = rep0;
          rep0 = distance;
        }
      }
      state = state < 7 ? 8 : 11;
    }

    // The length: one of three bit trees, of 8, 8 and 256 leaves.
    let tree: u32 = 0;
    let leaves: u32 = 8;
    let base: u32 = 2;
    if (range < TOP) {
      range <<= 8;
      code = (code << 8) | load<u8>(ip++);
    }
    p = load<u16>(lengths);
    bound = (range >>> 11) * p;
    if (code < bound) {
      range = bound;
      store<u16>(lengths, p + ((2048 - p) >>> 5));
      tree = lengths + LENGTH_LOW + posState * 16;
    } else {
      range -= bound;
      code -= bound;
      store<u16>(lengths, p - (p >>> 5));
      if (range < TOP) {
        range <<= 8;
        code = (code << 8) | load<u8>(ip++);
      }
      p = load<u16>(lengths + 2);
      bound = (range >>> 11) * p;
      if (code < bound) {
        range = bound;
        store<u16>(lengths + 2, p + ((2048 - p) >>> 5));
        tree = lengths + LENGTH_MID + posState * 16;
        base = 10;
      } else {
        range -= bound;
        code -= bound;
        store<u16>(lengths + 2, p - (p >>> 5));
        tree = lengths + LENGTH_HIGH;
        base = 18;
        leaves = 256;
      }
    }
    let node: u32 = 1;
    while (node < leaves) {
      if (range < TOP) {
        range <<= 8;
        code = (code << 8) | load<u8>(ip++);
      }
      at = tree + node * 2;
      p = load<u16>(at);
      bound = (range >>> 11) * p;
      if (code < bound) {
        range = bound;
        store<u16>(at, p + ((2048 - p) >>> 5));
        node <<= 1;
      } else {
        range -= bound;
        code -= bound;
        store<u16>(at, p - (p >>> 5));
        node = (node << 1) | 1;
      }
    }
    length = base + node - leaves;
    if (!newDistance) continue;

    // The distance: a slot (its two highest bits and their number), then the bits below.
    tree = table + SLOT + min<u32>(length - 2, 3) * 128;
    node = 1;
    while (node < 64) {
      if (range < TOP) {
        range <<= 8;
        code = (code << 8) | load<u8>(ip++);
      }
      at = tree + node * 2;
      p = load<u16>(at);
      bound = (range >>> 11) * p;
      if (code < bound) {
        range = bound;
        store<u16>(at, p + ((2048 - p) >>> 5));
        node <<= 1;
      } else {
        range -= bound;
        code -= bound;
        store<u16>(at, p - (p >>> 5));
        node = (node << 1) | 1;
      }
    }
    const slot = node - 64;
    rep0 = slot;
    if (slot < 4) continue;
    let bits = (slot >>> 1) - 1;
    rep0 = (2 | (slot & 1)) << bits;
    if (slot < 14) {
      tree = table + SPECIAL + (rep0 - slot) * 2;
    } else {
      // Bits above the lowest four have even odds.
      let high: u32 = 0;
      for (let left = bits - 4; left != 0; left--) {
        if (range < TOP) {
          range <<= 8;
          code = (code << 8) | load<u8>(ip++);
        }
        range >>>= 1;
        code -= range;
        mask = 0 - (code >>> 31);
        code += range & mask;
        high = (high << 1) + (mask + 1);
      }
      rep0 += high << 4;
      bits = 4;
      tree = table + ALIGN;
    }
    node = 1;
    for (let i: u32 = 0; i < bits; i++) {
      if (range < TOP) {
        range <<= 8;
        code = (code << 8) | load<u8>(ip++);
      }
      at = tree + node * 2;
      p = load<u16>(at);
      bound = (range >>> 11) * p;
      if (code < bound) {
        range = bound;
        store<u16>(at, p + ((2048 - p) >>> 5));
        node <<= 1;
      } else {
        range -= bound;
        code -= bound;
        store<u16>(at, p - (p >>> 5));
        node = (node << 1) | 1;
        rep0 += 1 << i;
      }
    }
    if (rep0 == 0xffffffff) {
      length = 0;
      result = END;
      break;
    }
  }

  if (ip > inputEnd) result = NO_INPUT;
  store<u32>(STATE, state);
  store<u32>(REP0, rep0);
  store<u32>(REP1, rep1);
  store<u32>(REP2, rep2);
  store<u32>(REP3, rep3);
  store<u32>(RANGE, range);
  store<u32>(CODE, code);
  store<u32>(INPUT, ip);
  store<u32>(OUTPUT, op);
  store<u32>(PENDING, length);
  return result;
}

// The number of low bytes of a displacement that earlier opcode bytes overlap, by the mask of those opcodes.
// @ts-ignore: decorator
@inline
function overlapped(recent: u32): u32 {
  return 32 - clz(recent);
}

/**
 * Undoes the x86 branch filter: calls and jumps (E8, E9) hold absolute targets, which become displacements again.
 * `recent` has a bit for each of the three bytes before that looked like an opcode, newest lowest: the encoder leaves
 * an operand alone when such a byte may have made it part of another operand.
 */
export function undoX86(start: u32, size: u32, address: u32): void {
  if (size < 5) return;
  const last = start + size - 5;
  let recent: u32 = 0;
  let previous: u32 = start - 4;
  for (let at = start; at <= last; at++) {
    if ((load<u8>(at) & 0xfe) != 0xe8) continue;
    const gap = at - previous;
    previous = at;
    recent = gap > 3 ? 0 : (recent << (gap - 1)) & 7;
    if (recent != 0) {
      // Two or more with a gap rule the operand out; so does a byte that such an opcode would have turned over.
      const inner: u32 = load<u8>(at + 4 - overlapped(recent));
      const allowed = recent == 1 || recent == 2 || recent == 4;
      if (!allowed || inner == 0 || inner == 0xff) {
        recent = (recent << 1) | 1;
        continue;
      }
    }
    const top: u32 = load<u8>(at + 4);
    if (top != 0 && top != 0xff) {
      recent = (recent << 1) | 1;
      continue;
    }
    const next = address + (at - start) + 5;
    let target = load<u32>(at + 1);
    let displacement = target - next;
    while (recent != 0) {
      const shift = overlapped(recent) * 8;
      const byte = (displacement >>> (24 - shift)) & 0xff;
      if (byte != 0 && byte != 0xff) break;
      target = displacement ^ ((1 << (32 - shift)) - 1);
      displacement = target - next;
    }
    // 25 bits with sign
    store<u32>(at + 1, <u32>((<i32>(displacement << 7)) >> 7));
    at += 4;
    recent = 0;
  }
}

export function makeTables(): void {
  for (let i: u32 = 0; i < 256; i++) {
    let c = i;
    let d: u64 = i;
    for (let bit = 0; bit < 8; bit++) {
      c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
      d = d & 1 ? (d >>> 1) ^ 0xc96c5795d7870f42 : d >>> 1;
    }
    store<u32>(CRC32_TABLES + i * 4, c);
    store<u64>(CRC64_TABLES + i * 8, d);
  }
  for (let i: u32 = 256; i < 2048; i++) {
    const before = load<u32>(CRC32_TABLES + (i - 256) * 4);
    store<u32>(CRC32_TABLES + i * 4, (before >>> 8) ^ load<u32>(CRC32_TABLES + (before & 0xff) * 4));
  }
  for (let i: u32 = 256; i < 1024; i++) {
    const before = load<u64>(CRC64_TABLES + (i - 256) * 8);
    store<u64>(CRC64_TABLES + i * 8, (before >>> 8) ^ load<u64>(CRC64_TABLES + (<u32>before & 0xff) * 8));
  }
}

/** CRC-32 (IEEE 802.3, reflected), eight bytes a step. */
export function crc32(start: u32, size: u32, before: u32): u32 {
  let crc: u32 = ~before;
  let at = start;
  const end = start + size;
  while (at + 8 <= end) {
    const a = load<u32>(at) ^ crc;
    const b = load<u32>(at + 4);
    crc =
      load<u32>(CRC32_TABLES + 7168 + (a & 0xff) * 4) ^
      load<u32>(CRC32_TABLES + 6144 + ((a >>> 8) & 0xff) * 4) ^
      load<u32>(CRC32_TABLES + 5120 + ((a >>> 16) & 0xff) * 4) ^
      load<u32>(CRC32_TABLES + 4096 + (a >>> 24) * 4) ^
      load<u32>(CRC32_TABLES + 3072 + (b & 0xff) * 4) ^
      load<u32>(CRC32_TABLES + 2048 + ((b >>> 8) & 0xff) * 4) ^
      load<u32>(CRC32_TABLES + 1024 + ((b >>> 16) & 0xff) * 4) ^
      load<u32>(CRC32_TABLES + (b >>> 24) * 4);
    at += 8;
  }
  while (at < end) crc = (crc >>> 8) ^ load<u32>(CRC32_TABLES + ((crc ^ load<u8>(at++)) & 0xff) * 4);
  return ~crc;
}

/** CRC-64 (ECMA-182, reflected), four bytes a step. */
export function crc64(start: u32, size: u32, before: u64): u64 {
  let crc: u64 = ~before;
  let at = start;
  const end = start + size;
  while (at + 4 <= end) {
    const a = <u32>crc ^ load<u32>(at);
    crc =
      (crc >>> 32) ^
      load<u64>(CRC64_TABLES + 6144 + (a & 0xff) * 8) ^
      load<u64>(CRC64_TABLES + 4096 + ((a >>> 8) & 0xff) * 8) ^
      load<u64>(CRC64_TABLES + 2048 + ((a >>> 16) & 0xff) * 8) ^
      load<u64>(CRC64_TABLES + (a >>> 24) * 8);
    at += 4;
  }
  while (at < end) crc = (crc >>> 8) ^ load<u64>(CRC64_TABLES + ((<u32>crc ^ load<u8>(at++)) & 0xff) * 8);
  return ~crc;
}

const X1: u64 = 0x9e3779b185ebca87;
const X2: u64 = 0xc2b2ae3d27d4eb4f;
const X3: u64 = 0x165667b19e3779f9;
const X4: u64 = 0x85ebca77c2b2ae63;
const X5: u64 = 0x27d4eb2f165667c5;

// @ts-ignore: decorator
@inline
function mix(sum: u64, word: u64): u64 {
  return rotl<u64>(sum + word * X2, 31) * X1;
}

// The four lanes of XXH64 with seed 0 (the checksum of zstd frames is its low half), u64 each.
const LANES: u32 = 576;

export function startXxh64(): void {
  store<u64>(LANES, X1 + X2);
  store<u64>(LANES + 8, X2);
  store<u64>(LANES + 16, 0);
  store<u64>(LANES + 24, 0 - X1);
}

/** Takes what has whole stripes of 32 bytes of a part in; returns the address behind them. */
export function addXxh64(start: u32, size: u32): u32 {
  let at = start;
  const end = start + size;
  let a = load<u64>(LANES);
  let b = load<u64>(LANES + 8);
  let c = load<u64>(LANES + 16);
  let d = load<u64>(LANES + 24);
  while (at + 32 <= end) {
    a = mix(a, load<u64>(at));
    b = mix(b, load<u64>(at + 8));
    c = mix(c, load<u64>(at + 16));
    d = mix(d, load<u64>(at + 24));
    at += 32;
  }
  store<u64>(LANES, a);
  store<u64>(LANES + 8, b);
  store<u64>(LANES + 16, c);
  store<u64>(LANES + 24, d);
  return at;
}

/** The hash of `size` bytes, of which those from `start` to `end` are not taken in yet. */
export function endXxh64(start: u32, end: u32, size: u64): u64 {
  let at = start;
  let hash: u64;
  if (size >= 32) {
    const a = load<u64>(LANES);
    const b = load<u64>(LANES + 8);
    const c = load<u64>(LANES + 16);
    const d = load<u64>(LANES + 24);
    hash = rotl<u64>(a, 1) + rotl<u64>(b, 7) + rotl<u64>(c, 12) + rotl<u64>(d, 18);
    hash = (hash ^ mix(0, a)) * X1 + X4;
    hash = (hash ^ mix(0, b)) * X1 + X4;
    hash = (hash ^ mix(0, c)) * X1 + X4;
    hash = (hash ^ mix(0, d)) * X1 + X4;
  } else {
    hash = X5;
  }
  hash += size;
  for (; at + 8 <= end; at += 8) hash = rotl<u64>(hash ^ mix(0, load<u64>(at)), 27) * X1 + X4;
  if (at + 4 <= end) {
    hash = rotl<u64>(hash ^ (<u64>load<u32>(at) * X1), 23) * X2 + X3;
    at += 4;
  }
  for (; at < end; at++) hash = rotl<u64>(hash ^ (<u64>load<u8>(at) * X5), 11) * X1;
  hash = (hash ^ (hash >>> 33)) * X2;
  hash = (hash ^ (hash >>> 29)) * X3;
  return hash ^ (hash >>> 32);
}
