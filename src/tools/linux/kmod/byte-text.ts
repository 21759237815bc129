/** Text as it is written: bytes one behind another, without a string for every piece of it (measured in bench/depmod.ts). */

/** Most lines are shorter than what a call into the runtime costs more than copying them here. */
const FEW = 24;
const DIGITS = /* @__PURE__ */ [...'0123456789ABCDEF'].map((digit) => digit.charCodeAt(0));

const [COLON, LINE_FEED, TAB] = [0x3a, 0x0a, 0x09];

export class ByteText {
  private buffer = Buffer.allocUnsafeSlow(1 << 17);
  private used = 0;

  get length(): number {
    return this.used;
  }

  /** A string of bytes. */
  text(text: string): void {
    this.reserve(text.length);
    if (text.length > FEW) this.used += this.buffer.write(text, this.used, 'latin1');
    else for (let i = 0; i < text.length; i++) this.buffer[this.used++] = text.charCodeAt(i);
  }

  byte(byte: number): void {
    this.reserve(1);
    this.buffer[this.used++] = byte;
  }

  bytes(bytes: Uint8Array, from = 0, to = bytes.length): void {
    this.reserve(to - from);
    const { buffer } = this;
    let at = this.used;
    for (let i = from; i < to; i++) buffer[at++] = bytes[i];
    this.used = at;
  }

  /** `AB:CD:…`, with a line feed and two tabs behind so many bytes. */
  hexadecimal(bytes: Uint8Array, aLine: number): void {
    const { length } = bytes;
    this.reserve(3 * length + 3 * Math.ceil(length / aLine));
    const { buffer } = this;
    let at = this.used;
    for (let i = 0, left = aLine; i < length; i++) {
      const byte = bytes[i];
      buffer[at++] = DIGITS[byte >> 4];
      buffer[at++] = DIGITS[byte & 15];
      buffer[at++] = COLON;
      if (--left > 0) continue;
      left = aLine;
      buffer[at++] = LINE_FEED;
      buffer[at++] = TAB;
      buffer[at++] = TAB;
    }
    // Nothing stands behind the last.
    if (length > 0) this.used = at - (length % aLine === 0 ? 4 : 1);
  }

  /** The same byte, so many times. */
  fill(byte: number, count: number): void {
    this.reserve(count);
    for (let i = 0; i < count; i++) this.buffer[this.used++] = byte;
  }

  /** What stands here, which then is gone. */
  take(): Buffer {
    const taken = Buffer.from(this.buffer.subarray(0, this.used));
    this.used = 0;
    return taken;
  }

  private reserve(more: number): void {
    if (this.used + more <= this.buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, this.used + more));
    larger.set(this.buffer.subarray(0, this.used));
    this.buffer = larger;
  }
}
