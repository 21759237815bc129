/** Lanes of vector registers: integer operations with the widths and wrap-around of SSE. */

/** Changes register `d` by register `s`, both 16 bytes; `s` is a copy where they are the same. */
export type LaneOperation = (d: DataView, s: DataView, imm: number) => void;

const BYTES = 16;

type Read = (view: DataView, at: number) => number;
type Write = (view: DataView, at: number, value: number) => void;

const READ_SIGNED: Record<number, Read> = {
  1: (v, at) => v.getInt8(at),
  2: (v, at) => v.getInt16(at, true),
  4: (v, at) => v.getInt32(at, true),
};
const READ_UNSIGNED: Record<number, Read> = {
  1: (v, at) => v.getUint8(at),
  2: (v, at) => v.getUint16(at, true),
  4: (v, at) => v.getUint32(at, true),
};
const WRITE: Record<number, Write> = {
  1: (v, at, value) => v.setInt8(at, value),
  2: (v, at, value) => v.setInt16(at, value, true),
  4: (v, at, value) => v.setInt32(at, value, true),
};

/** The same function of both lanes, for every lane. */
export function each(size: 1 | 2 | 4, signed: boolean, f: (a: number, b: number) => number): LaneOperation {
  const read = (signed ? READ_SIGNED : READ_UNSIGNED)[size];
  const write = WRITE[size];
  return (d, s) => {
    for (let at = 0; at < BYTES; at += size) write(d, at, f(read(d, at), read(s, at)));
  };
}

/** The same for lanes of 64 bits. */
export function each64(f: (a: bigint, b: bigint) => bigint): LaneOperation {
  return (d, s) => {
    for (let at = 0; at < BYTES; at += 8) {
      d.setBigInt64(at, BigInt.asIntN(64, f(d.getBigInt64(at, true), s.getBigInt64(at, true))), true);
    }
  };
}

const clamp = (low: number, high: number, value: number): number => Math.min(high, Math.max(low, value));
export const signed8 = (value: number): number => clamp(-128, 127, value);
export const signed16 = (value: number): number => clamp(-32768, 32767, value);
export const unsigned8 = (value: number): number => clamp(0, 255, value);
export const unsigned16 = (value: number): number => clamp(0, 65535, value);

/** Both registers' lanes narrowed with saturation: d's into the low half, s's into the high one. */
export function pack(from: 2 | 4, saturate: (value: number) => number): LaneOperation {
  const read = READ_SIGNED[from];
  const to = from / 2;
  const write = WRITE[to];
  return (d, s) => {
    const copy = copyOf(d);
    for (let n = 0; n < BYTES / from; n++) {
      write(d, n * to, saturate(read(copy, n * from)));
      write(d, 8 + n * to, saturate(read(s, n * from)));
    }
  };
}

function copyOf(view: DataView): DataView {
  const bytes = new Uint8Array(BYTES);
  bytes.set(new Uint8Array(view.buffer, view.byteOffset, BYTES));
  return new DataView(bytes.buffer);
}

/** Bytes of d and s (16 and up) by number, all read before any is written. */
export function shuffle(lanes: (imm: number) => readonly number[]): LaneOperation {
  return (d, s, imm) => {
    const both = [copyOf(d), s];
    lanes(imm).forEach((from, at) => {
      d.setUint8(at, from < 0 ? 0 : both[from >> 4].getUint8(from & 15));
    });
  };
}

const bytesOf = (lanes: readonly number[], size: number): number[] =>
  lanes.flatMap((lane) => Array.from({ length: size }, (_, n) => lane * size + n));

/** punpckl and punpckh: lanes of the low or high halves, alternating d and s. */
export function unpack(size: number, high: boolean): LaneOperation {
  const count = 8 / size;
  const first = high ? count : 0;
  const lanes = Array.from({ length: count }, (_, n) => [first + n, 16 / size + first + n]).flat();
  const bytes = bytesOf(lanes, size);
  return shuffle(() => bytes);
}

/** pshufd and its kin: `lane` gives the lane of s (or d) for each of the result's lanes. */
export function select(size: number, lane: (imm: number) => readonly number[]): LaneOperation {
  return shuffle((imm) => bytesOf(lane(imm), size));
}

export const bitPair = (imm: number, n: number): number => (imm >> (2 * n)) & 3;

/** Shifts of every lane by the low 64 bits of s, or by the immediate. */
export function shift(
  size: 2 | 4 | 8,
  kind: 'left' | 'right' | 'arithmetic',
): (d: DataView, count: bigint) => void {
  const bits = size * 8;
  return (d, count) => {
    const over = count >= BigInt(bits);
    if (over && kind !== 'arithmetic') {
      d.setBigInt64(0, 0n, true);
      d.setBigInt64(8, 0n, true);
      return;
    }
    const by = over ? BigInt(bits - 1) : count;
    for (let at = 0; at < BYTES; at += size) shiftLane(d, at, size, kind, by);
  };
}

function shiftLane(d: DataView, at: number, size: number, kind: string, by: bigint): void {
  if (size === 8) {
    const value = d.getBigUint64(at, true);
    d.setBigUint64(at, BigInt.asUintN(64, kind === 'left' ? value << by : value >> by), true);
    return;
  }
  const n = Number(by);
  const value = (kind === 'arithmetic' ? READ_SIGNED : READ_UNSIGNED)[size](d, at);
  const result = kind === 'left' ? value << n : kind === 'right' ? value >>> n : value >> n;
  WRITE[size](d, at, result);
}

/** Sign or zero extension of the low lanes of s. */
export function extend(from: 1 | 2 | 4, to: 2 | 4 | 8, signed: boolean): LaneOperation {
  const read = (signed ? READ_SIGNED : READ_UNSIGNED)[from];
  return (d, s) => {
    const copy = copyOf(s);
    for (let n = 0; n < BYTES / to; n++) {
      const value = read(copy, n * from);
      if (to === 8) d.setBigInt64(n * 8, BigInt(value), true);
      else WRITE[to](d, n * to, value);
    }
  };
}

/** Products of the even 32-bit lanes. */
export function evenProducts(signed: boolean): LaneOperation {
  const read = (signed ? READ_SIGNED : READ_UNSIGNED)[4];
  return (d, s) => {
    for (let at = 0; at < BYTES; at += 8) {
      const product = BigInt(read(d, at)) * BigInt(read(s, at));
      d.setBigUint64(at, BigInt.asUintN(64, product), true);
    }
  };
}

/** pmaddwd: sums of products of neighbours. */
export function multiplyAdd(d: DataView, s: DataView): void {
  for (let at = 0; at < BYTES; at += 4) {
    const low = d.getInt16(at, true) * s.getInt16(at, true);
    const high = d.getInt16(at + 2, true) * s.getInt16(at + 2, true);
    d.setInt32(at, low + high, true);
  }
}

/** psadbw: sums of absolute differences of bytes, one for each half. */
export function sumOfDifferences(d: DataView, s: DataView): void {
  for (let half = 0; half < BYTES; half += 8) {
    let sum = 0;
    for (let n = 0; n < 8; n++) sum += Math.abs(d.getUint8(half + n) - s.getUint8(half + n));
    d.setBigUint64(half, BigInt(sum), true);
  }
}

/** The top bits of the lanes as a number. */
export function signMask(s: DataView, size: 1 | 4 | 8): number {
  let mask = 0;
  for (let n = 0; n < BYTES / size; n++) mask |= (s.getUint8(n * size + size - 1) >> 7) << n;
  return mask;
}
