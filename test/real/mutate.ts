/**
 * Damages files in the ways that break readers: single bits, fields set to edge values, cut and repeated ranges. The same
 * seed and file give the same mutants.
 *
 *   const mutants = mutations(bytes, seed, { count: 1000, hot: elfHotSpots(bytes) });
 *   for (const mutant of mutants) expectTypedErrorOrResult(() => readElf(mutant.bytes), mutant.what);
 */
import { type Random, seeded } from './random.ts';

export interface Mutant {
  readonly bytes: Uint8Array;
  /** What was done, for the failure message. */
  readonly what: string;
}

/** A range of bytes where damage matters most: headers and tables. */
export interface HotSpot {
  readonly offset: number;
  readonly length: number;
}

export interface MutationOptions {
  readonly count: number;
  /** Two of three changes fall in one of these; the others anywhere. */
  readonly hot?: readonly HotSpot[];
}

/** The mutants one by one; each is a fresh copy of the file with 1 to 4 changes. */
export function* mutations(bytes: Uint8Array, seed: number, options: MutationOptions): Generator<Mutant> {
  const random = seeded(seed);
  for (let i = 0; i < options.count; i++) {
    const notes: string[] = [];
    let copy: Uint8Array = bytes.slice();
    const changes = 1 + random.below(random.below(3) === 0 ? 4 : 1);
    for (let n = 0; n < changes; n++) {
      const place = placeOf(copy, random, options.hot ?? []);
      copy = change(copy, place, random, notes);
    }
    yield { bytes: copy, what: `seed ${seed}, mutant ${i}: ${notes.join('; ')}` };
  }
}

function placeOf(bytes: Uint8Array, random: Random, hot: readonly HotSpot[]): number {
  if (hot.length > 0 && random.below(3) > 0) {
    const spot = random.pick(hot);
    return Math.min(spot.offset + random.below(Math.max(1, spot.length)), Math.max(0, bytes.length - 1));
  }
  return random.below(Math.max(1, bytes.length));
}

function change(bytes: Uint8Array, at: number, random: Random, notes: string[]): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kind = random.below(20);
  if (kind < 6) {
    const bit = random.below(8);
    bytes[at] ^= 1 << bit;
    notes.push(`bit ${bit} of byte 0x${at.toString(16)}`);
  } else if (kind < 9) {
    bytes[at] = random.below(256);
    notes.push(`byte 0x${at.toString(16)} = ${bytes[at]}`);
  } else if (kind < 17) {
    setField(view, at, random, notes);
  } else if (kind === 17) {
    notes.push(`cut at 0x${at.toString(16)}`);
    return bytes.slice(0, at);
  } else if (kind === 18) {
    const from = random.below(bytes.length);
    const length = random.below(Math.min(256, bytes.length - Math.max(at, from)));
    bytes.copyWithin(at, from, from + length);
    notes.push(`${length} bytes from 0x${from.toString(16)} to 0x${at.toString(16)}`);
  } else {
    const length = random.below(Math.min(256, bytes.length - at));
    bytes.fill(0, at, at + length);
    notes.push(`${length} zeros at 0x${at.toString(16)}`);
  }
  return bytes;
}

/** An aligned field of 2, 4 or 8 bytes becomes a value at which arithmetic goes wrong. */
function setField(view: DataView, near: number, random: Random, notes: string[]): void {
  const size = random.pick([2, 4, 4, 8]);
  const at = near - (near % size);
  if (at + size > view.byteLength) return;
  const length = BigInt(view.byteLength);
  const edges = [
    0n,
    1n,
    2n,
    0x7fn,
    0xffn,
    0xff00n,
    0xffffn,
    0x7fffffffn,
    0x80000000n,
    0xffffffffn,
    -1n,
    1n << 63n,
  ];
  const value = random.pick([
    ...edges,
    length,
    length - 1n,
    length + 1n,
    BigInt(random.below(view.byteLength + 1)),
  ]);
  const little = random.below(4) > 0;
  if (size === 2) view.setUint16(at, Number(value & 0xffffn), little);
  else if (size === 4) view.setUint32(at, Number(value & 0xffffffffn), little);
  else view.setBigUint64(at, BigInt.asUintN(64, value), little);
  notes.push(`${size} bytes at 0x${at.toString(16)} = 0x${BigInt.asUintN(64, value).toString(16)}`);
}

/** Header, section table, symbol tables, and the beginning of other sections of a 64-bit little-endian ELF file. */
export function elfHotSpots(bytes: Uint8Array): HotSpot[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shoff = Number(view.getBigUint64(40, true));
  const shnum = view.getUint16(60, true);
  const spots: HotSpot[] = [
    { offset: 0, length: 64 },
    { offset: 0, length: 64 },
    { offset: shoff, length: shnum * 64 },
    { offset: shoff, length: shnum * 64 },
  ];
  for (let i = 1; i < shnum; i++) {
    const type = view.getUint32(shoff + i * 64 + 4, true);
    if (type === 8) continue;
    const offset = Number(view.getBigUint64(shoff + i * 64 + 24, true));
    const size = Number(view.getBigUint64(shoff + i * 64 + 32, true));
    spots.push({ offset, length: type === 2 ? size : Math.min(size, 512) });
  }
  return spots;
}
