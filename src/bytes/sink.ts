/** Bytes and numbers that are put together piece by piece, without a string or an array on the way. */

/** Shorter pieces are copied in a loop: a call costs as much as forty bytes (measured). */
const SHORT = 40;

export class ByteSink {
  /** The bytes so far are the first `length` of these; the rest is room. */
  bytes: Uint8Array<ArrayBuffer>;
  length = 0;

  constructor(capacity = 1 << 12) {
    this.bytes = new Uint8Array(capacity);
  }

  /** Makes room for `count` bytes more. */
  room(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, needed));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }

  u8(value: number): void {
    if (this.length === this.bytes.length) this.room(1);
    this.bytes[this.length++] = value;
  }

  /** Big-endian. */
  u32be(value: number): void {
    this.room(4);
    const { bytes, length } = this;
    bytes[length] = value >>> 24;
    bytes[length + 1] = value >>> 16;
    bytes[length + 2] = value >>> 8;
    bytes[length + 3] = value;
    this.length = length + 4;
  }

  /** A string of bytes: one character a byte. */
  text(text: string): void {
    this.room(text.length);
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
    this.length = at;
  }

  /** source[from, to). */
  copy(source: Uint8Array, from: number, to: number): void {
    this.room(to - from);
    const { bytes } = this;
    if (to - from > SHORT) bytes.set(source.subarray(from, to), this.length);
    else for (let i = from, at = this.length; i < to; i++) bytes[at++] = source[i];
    this.length += to - from;
  }

  /** What was put in: a view, good until more is. */
  view(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(0, this.length);
  }
}

/** Whole numbers of 32 bits, one after another. */
export class IntSink {
  /** The numbers so far are the first `length` of these. */
  values: Int32Array<ArrayBuffer>;
  length = 0;

  constructor(capacity = 1 << 10) {
    this.values = new Int32Array(capacity);
  }

  push(value: number): void {
    if (this.length === this.values.length) {
      const larger = new Int32Array(this.values.length * 2);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.length++] = value;
  }

  append(values: Int32Array): void {
    const needed = this.length + values.length;
    if (needed > this.values.length) {
      const larger = new Int32Array(Math.max(this.values.length * 2, needed));
      larger.set(this.values.subarray(0, this.length));
      this.values = larger;
    }
    this.values.set(values, this.length);
    this.length = needed;
  }

  /** What was put in: a view, good until more is. */
  view(): Int32Array<ArrayBuffer> {
    return this.values.subarray(0, this.length);
  }

  /** A copy of what was put in. */
  take(): Int32Array<ArrayBuffer> {
    return this.values.slice(0, this.length);
  }
}
