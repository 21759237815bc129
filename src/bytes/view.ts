/**
 * Random and sequential access to bytes in either byte order. Reading outside the bytes throws Truncated with the name of
 * what was being read; nothing else can go wrong here.
 */
import { roundUp } from './align.ts';
import { Invalid, Truncated } from './errors.ts';

const TWO_32 = 4294967296;

export class ByteView {
  readonly bytes: Uint8Array;
  readonly length: number;
  readonly littleEndian: boolean;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, littleEndian: boolean) {
    this.bytes = bytes;
    this.length = bytes.length;
    this.littleEndian = littleEndian;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(at: number, what = 'byte'): number {
    this.need(at, 1, what);
    return this.bytes[at];
  }

  u16(at: number, what = '16-bit field'): number {
    this.need(at, 2, what);
    return this.#view.getUint16(at, this.littleEndian);
  }

  u32(at: number, what = '32-bit field'): number {
    this.need(at, 4, what);
    return this.#view.getUint32(at, this.littleEndian);
  }

  i32(at: number, what = '32-bit field'): number {
    this.need(at, 4, what);
    return this.#view.getInt32(at, this.littleEndian);
  }

  /** All 64 bits. */
  u64(at: number, what = '64-bit field'): bigint {
    this.need(at, 8, what);
    return this.#view.getBigUint64(at, this.littleEndian);
  }

  /** All 64 bits. */
  i64(at: number, what = '64-bit field'): bigint {
    this.need(at, 8, what);
    return this.#view.getBigInt64(at, this.littleEndian);
  }

  /**
   * A signed 64-bit field as a number: exact within +-2^53, which every canonical 48-bit address is; rounded beyond.
   */
  s64(at: number, what = '64-bit field'): number {
    this.need(at, 8, what);
    const first = this.littleEndian ? 4 : 0;
    return (
      this.#view.getInt32(at + first, this.littleEndian) * TWO_32 +
      this.#view.getUint32(at + 4 - first, this.littleEndian)
    );
  }

  /** An unsigned 64-bit field as a number: exact below 2^53, rounded beyond (use it for sizes, which are then checked). */
  n64(at: number, what = '64-bit field'): number {
    this.need(at, 8, what);
    const first = this.littleEndian ? 4 : 0;
    return (
      this.#view.getUint32(at + first, this.littleEndian) * TWO_32 +
      this.#view.getUint32(at + 4 - first, this.littleEndian)
    );
  }

  /** A view of the same memory, not a copy. */
  slice(at: number, length: number, what = 'bytes'): Uint8Array {
    this.need(at, length, what);
    return this.bytes.subarray(at, at + length);
  }

  /** Throws Truncated unless `length` bytes are there at `at`. NaN and negative offsets count as not there. */
  need(at: number, length: number, what: string): void {
    if (at >= 0 && length >= 0 && at + length <= this.length) return;
    throw new Truncated(
      what,
      `needs ${length} bytes, but the input ends at offset 0x${this.length.toString(16)}`,
      {
        offset: at,
      },
    );
  }
}

/** A position in a view that moves on as fields are read. */
export class Cursor {
  readonly view: ByteView;
  /** Offset of the next byte. */
  at: number;
  /** First offset that is not to be read. */
  readonly end: number;

  constructor(view: ByteView, at = 0, end = view.length) {
    if (!(at >= 0 && at <= end && end <= view.length)) {
      throw new Truncated(
        'range',
        `ends at 0x${end.toString(16)}, the input at 0x${view.length.toString(16)}`,
        {
          offset: at,
        },
      );
    }
    this.view = view;
    this.at = at;
    this.end = end;
  }

  get left(): number {
    return this.end - this.at;
  }

  u8(what?: string): number {
    return this.view.u8(this.#take(1, what), what);
  }

  u16(what?: string): number {
    return this.view.u16(this.#take(2, what), what);
  }

  u32(what?: string): number {
    return this.view.u32(this.#take(4, what), what);
  }

  i32(what?: string): number {
    return this.view.i32(this.#take(4, what), what);
  }

  u64(what?: string): bigint {
    return this.view.u64(this.#take(8, what), what);
  }

  s64(what?: string): number {
    return this.view.s64(this.#take(8, what), what);
  }

  n64(what?: string): number {
    return this.view.n64(this.#take(8, what), what);
  }

  bytes(length: number, what?: string): Uint8Array {
    return this.view.slice(this.#take(length, what), length, what);
  }

  skip(length: number, what?: string): void {
    this.#take(length, what);
  }

  /** Moves on to the next multiple of `to` (a power of two), counted from the start of the input. */
  align(to: number): void {
    this.at = Math.min(this.end, roundUp(this.at, to));
  }

  /** Unsigned LEB128 (DWARF 5 section 7.6), at most 5 bytes and below 2^32. */
  uleb32(what = 'LEB128'): number {
    const start = this.at;
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.u8(what);
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        if (value >= TWO_32) break;
        return value;
      }
    }
    throw new Invalid(what, 'does not fit 32 bits', { offset: start });
  }

  #take(length: number, what = 'field'): number {
    const at = this.at;
    if (!(length >= 0 && at + length <= this.end)) {
      throw new Truncated(what, `needs ${length} bytes, ${this.end - at} are left`, { offset: at });
    }
    this.at = at + length;
    return at;
  }
}
