/** Bitmaps and CPU masks: words of the guest, least significant bit first. */
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { callerOf } from './caller.ts';
import { kernelFunctions } from './define.ts';
import { bitList, bitWords } from './format/pointer.ts';
import { byteString, writeText } from './format/printf.ts';

/** No bitmap of a module is larger; a larger size is a negative number in disguise. */
const MAX_BITS = 1 << 27;

/** Whole words of the guest. */
const bytesFor = (k: Linux, bits: number): number => Math.ceil(bits / (8 * k.word)) * k.word;

/** The bits of a map as bytes, those beyond `bits` cleared. */
function load(k: Linux, map: Address, bits: number): Uint8Array {
  const bytes = k.memory.bytes(map, bytesFor(k, Math.min(Math.max(bits, 0), MAX_BITS)));
  mask(bytes, bits);
  return bytes;
}

function mask(bytes: Uint8Array, bits: number): void {
  for (let i = bits >> 3; i < bytes.length; i++) bytes[i] &= i === bits >> 3 ? (1 << (bits & 7)) - 1 : 0;
}

const has = (bytes: Uint8Array, bit: number): boolean => ((bytes[bit >> 3] >> (bit & 7)) & 1) === 1;

/** First bit from `start` on with the value `on`; `bits` when there is none. */
function findFrom(bytes: Uint8Array, bits: number, start: number, on: boolean): number {
  const skip = on ? 0 : 0xff;
  for (let bit = Math.max(0, start); bit < bits; bit++) {
    if ((bit & 7) === 0 && bytes[bit >> 3] === skip) {
      bit += 7;
      continue;
    }
    if (has(bytes, bit) === on) return bit;
  }
  return bits;
}

function weight(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) for (let rest = byte; rest !== 0; rest &= rest - 1) count++;
  return count;
}

function combine(
  k: Linux,
  a: Address,
  b: Address,
  bits: number,
  of: (x: number, y: number) => number,
): Uint8Array {
  const x = k.memory.bytes(a, bytesFor(k, bits));
  const y = k.memory.bytes(b, bytesFor(k, bits));
  return x.map((byte, i) => of(byte, y[i]));
}

/** Stores a result; true when a bit below `bits` is set. */
function store(k: Linux, dst: Address, bytes: Uint8Array, bits: number): boolean {
  k.memory.write(dst, bytes);
  const counted = bytes.slice();
  mask(counted, bits);
  return counted.some((byte) => byte !== 0);
}

function setRange(k: Linux, map: Address, start: number, length: number, on: boolean): void {
  for (let bit = start; bit < start + length; ) {
    const at = map + Math.floor(bit / 8);
    const from = bit & 7;
    const count = Math.min(8 - from, start + length - bit);
    const bits = ((1 << count) - 1) << from;
    const old = k.memory.u8(at);
    k.memory.set8(at, on ? old | bits : old & ~bits);
    bit += count;
  }
}

const joined = (
  k: Linux,
  a: Address,
  b: Address,
  bits: number,
  of: (x: number, y: number) => number,
): Uint8Array => {
  const bytes = combine(k, a, b, bits, of);
  mask(bytes, bits);
  return bytes;
};

const and = (x: number, y: number): number => x & y;
const andNot = (x: number, y: number): number => x & ~y;

export const findBits = kernelFunctions({
  'unsigned long _find_first_bit(const unsigned long *addr, unsigned long size)': (k, map, bits) =>
    findFrom(load(k, map, bits), bits, 0, true),
  'unsigned long _find_next_bit(const unsigned long *addr, unsigned long nbits, unsigned long start)': (
    k,
    map,
    bits,
    start,
  ) => findFrom(load(k, map, bits), bits, start, true),
  'unsigned long _find_first_zero_bit(const unsigned long *addr, unsigned long size)': (k, map, bits) =>
    findFrom(load(k, map, bits), bits, 0, false),
  'unsigned long _find_next_zero_bit(const unsigned long *addr, unsigned long nbits, unsigned long start)': (
    k,
    map,
    bits,
    start,
  ) => findFrom(load(k, map, bits), bits, start, false),
  'unsigned long _find_last_bit(const unsigned long *addr, unsigned long size)': (k, map, bits) => {
    const bytes = load(k, map, bits);
    for (let bit = bits - 1; bit >= 0; bit--) if (has(bytes, bit)) return bit;
    return bits;
  },
  'unsigned long _find_first_and_bit(const unsigned long *addr1, const unsigned long *addr2, unsigned long size)':
    (k, a, b, bits) => findFrom(joined(k, a, b, bits, and), bits, 0, true),
  'unsigned long _find_next_and_bit(const unsigned long *addr1, const unsigned long *addr2, unsigned long nbits, unsigned long start)':
    (k, a, b, bits, start) => findFrom(joined(k, a, b, bits, and), bits, start, true),
  'unsigned long _find_next_andnot_bit(const unsigned long *addr1, const unsigned long *addr2, unsigned long nbits, unsigned long start)':
    (k, a, b, bits, start) => findFrom(joined(k, a, b, bits, andNot), bits, start, true),
});

export const bitmaps = kernelFunctions({
  'unsigned int __bitmap_weight(const unsigned long *bitmap, unsigned int bits)': (k, map, bits) =>
    weight(load(k, map, bits)),
  'unsigned int __bitmap_weight_and(const unsigned long *bitmap1, const unsigned long *bitmap2, unsigned int bits)':
    (k, a, b, bits) => weight(joined(k, a, b, bits, and)),
  'void __bitmap_set(unsigned long *map, unsigned int start, int len)': (k, map, start, length) =>
    setRange(k, map, start, length, true),
  'void __bitmap_clear(unsigned long *map, unsigned int start, int len)': (k, map, start, length) =>
    setRange(k, map, start, length, false),
  'bool __bitmap_and(unsigned long *dst, const unsigned long *bitmap1, const unsigned long *bitmap2, unsigned int bits)':
    (k, dst, a, b, bits) => store(k, dst, combine(k, a, b, bits, and), bits),
  'bool __bitmap_andnot(unsigned long *dst, const unsigned long *bitmap1, const unsigned long *bitmap2, unsigned int bits)':
    (k, dst, a, b, bits) => store(k, dst, combine(k, a, b, bits, andNot), bits),
  'void __bitmap_or(unsigned long *dst, const unsigned long *bitmap1, const unsigned long *bitmap2, unsigned int bits)':
    (k, dst, a, b, bits) => {
      store(
        k,
        dst,
        combine(k, a, b, bits, (x, y) => x | y),
        bits,
      );
    },
  'void __bitmap_xor(unsigned long *dst, const unsigned long *bitmap1, const unsigned long *bitmap2, unsigned int bits)':
    (k, dst, a, b, bits) => {
      store(
        k,
        dst,
        combine(k, a, b, bits, (x, y) => x ^ y),
        bits,
      );
    },
  'void __bitmap_complement(unsigned long *dst, const unsigned long *src, unsigned int bits)': (
    k,
    dst,
    src,
    bits,
  ) => {
    store(
      k,
      dst,
      combine(k, src, src, bits, (x) => ~x & 0xff),
      bits,
    );
  },
  'bool __bitmap_equal(const unsigned long *bitmap1, const unsigned long *bitmap2, unsigned int bits)': (
    k,
    a,
    b,
    bits,
  ) => joined(k, a, b, bits, (x, y) => x ^ y).every((byte) => byte === 0),
  'bool __bitmap_intersects(const unsigned long *bitmap1, const unsigned long *bitmap2, unsigned int bits)': (
    k,
    a,
    b,
    bits,
  ) => joined(k, a, b, bits, and).some((byte) => byte !== 0),
  'bool __bitmap_subset(const unsigned long *bitmap1, const unsigned long *bitmap2, unsigned int bits)': (
    k,
    a,
    b,
    bits,
  ) => joined(k, a, b, bits, andNot).every((byte) => byte === 0),
  'void __bitmap_shift_right(unsigned long *dst, const unsigned long *src, unsigned shift, unsigned nbits)': (
    k,
    dst,
    src,
    shift,
    bits,
  ) => shiftMap(k, dst, src, bits, (bit) => bit + shift),
  'void __bitmap_shift_left(unsigned long *dst, const unsigned long *src, unsigned int shift, unsigned int nbits)':
    (k, dst, src, shift, bits) => shiftMap(k, dst, src, bits, (bit) => bit - shift),
  'unsigned long *bitmap_alloc(unsigned int nbits, gfp_t flags)': (k, bits, gfp) =>
    k.heap.allocate(bytesFor(k, bits), gfp, callerOf(k)),
  'unsigned long *bitmap_zalloc(unsigned int nbits, gfp_t flags)': (k, bits, gfp) =>
    k.heap.allocate(bytesFor(k, bits), gfp, callerOf(k)),
  'unsigned long *bitmap_zalloc_node(unsigned int nbits, gfp_t flags, int node)': (k, bits, gfp) =>
    k.heap.allocate(bytesFor(k, bits), gfp, callerOf(k)),
  'void bitmap_free(const unsigned long *bitmap)': (k, map) => k.heap.free(map),
  'unsigned long bitmap_find_next_zero_area_off(unsigned long *map, unsigned long size, unsigned long start, unsigned int nr, unsigned long align_mask, unsigned long align_offset)':
    (k, map, size, start, count, alignMask, alignOffset) =>
      zeroArea(load(k, map, size), size, start, count, alignMask, alignOffset),
  'int bitmap_parselist(const char *buf, unsigned long *maskp, int nmaskbits)': (k, text, map, bits) =>
    parseList(k, byteString(k, text), map, bits),
  'int bitmap_print_to_pagebuf(bool list, char *buf, const unsigned long *maskp, int nmaskbits)': (
    k,
    list,
    buf,
    map,
    bits,
  ) => {
    const bytes = load(k, map, bits);
    const text = `${list !== 0 ? bitList(bytes, bits) : bitWords(bytes, bits)}\n`;
    writeText(k, buf, text.slice(0, 4095 - (buf & 4095)));
    return text.length;
  },
});

/** Where `count` clear bits stand in a row at an aligned place; beyond `size` when nowhere. */
function zeroArea(
  bytes: Uint8Array,
  size: number,
  start: number,
  count: number,
  alignMask: number,
  offset: number,
): number {
  for (let at = start; ; ) {
    at = findFrom(bytes, size, at, false);
    at = Math.floor((at + offset + alignMask) / (alignMask + 1)) * (alignMask + 1) - offset;
    if (at + count > size) return at + count;
    const taken = findFrom(bytes, at + count, at, true);
    if (taken >= at + count) return at;
    at = taken + 1;
  }
}

function shiftMap(k: Linux, dst: Address, src: Address, bits: number, from: (bit: number) => number): void {
  const source = load(k, src, bits);
  const result = new Uint8Array(source.length);
  for (let bit = 0; bit < bits; bit++) {
    const other = from(bit);
    if (other >= 0 && other < bits && has(source, other)) result[bit >> 3] |= 1 << (bit & 7);
  }
  k.memory.write(dst, result);
}

/** Ranges with optional groups: 0-7,16 or 0-1023:2/8 (Documentation/admin-guide/kernel-parameters.rst). */
function parseList(k: Linux, text: string, map: Address, bits: number): number {
  const set = new Uint8Array(bytesFor(k, bits));
  for (const part of text.trim().split(/[,\s]+/)) {
    if (part === '') continue;
    const range = /^(\d+|N)(?:-(\d+|N)(?::(\d+)\/(\d+))?)?$/.exec(part.replace(/^all$/, '0-N'));
    if (range === null) return -Errno.EINVAL;
    const number = (word: string) => (word === 'N' ? bits - 1 : Number(word));
    const first = number(range[1]);
    const last = range[2] === undefined ? first : number(range[2]);
    const used = range[3] === undefined ? 1 : Number(range[3]);
    const group = range[4] === undefined ? 1 : Number(range[4]);
    if (last < first || used > group || group === 0) return -Errno.EINVAL;
    if (last >= bits) return -Errno.ERANGE;
    for (let bit = first; bit <= last; bit++) {
      if ((bit - first) % group < used) set[bit >> 3] |= 1 << (bit & 7);
    }
  }
  k.memory.write(map, set);
  return 0;
}

export const cpumasks = kernelFunctions({
  'unsigned int cpumask_next_wrap(int n, const struct cpumask *mask, int start, bool wrap)': (
    k,
    n,
    map,
    start,
    wrap,
  ) => {
    // One CPU: the next one is 0 unless the walk has come back to where it began.
    const next = n < 0 ? 0 : 1;
    if (next > 0 || (k.memory.u8(map) & 1) === 0 || (wrap !== 0 && n < start && next >= start)) return 1;
    return next;
  },
  'unsigned int cpumask_local_spread(unsigned int i, int node)': () => 0,
  'unsigned int cpumask_any_distribute(const struct cpumask *srcp)': (k, map) =>
    (k.memory.u8(map) & 1) === 1 ? 0 : 1,
  'unsigned int cpumask_any_and_distribute(const struct cpumask *src1p, const struct cpumask *src2p)': (
    k,
    a,
    b,
  ) => ((k.memory.u8(a) & k.memory.u8(b) & 1) === 1 ? 0 : 1),
  'bool alloc_cpumask_var_node(cpumask_var_t *mask, gfp_t flags, int node)': (k, out) => {
    const at = k.heap.allocate(1024, undefined, callerOf(k));
    k.memory.setPtr(out, at);
    return at !== 0;
  },
  'void free_cpumask_var(cpumask_var_t mask)': (k, map) => k.heap.free(map),
  'void cpus_read_lock(void)': () => undefined,
  'int cpus_read_trylock(void)': () => 1,
  'void cpus_read_unlock(void)': () => undefined,
});
