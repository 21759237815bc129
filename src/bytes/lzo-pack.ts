/**
 * Packing LZO1X: the stream that the kernel's documentation describes (Documentation/staging/lzo.rst), version 0 and version 1
 * with its runs of zeros. Matches are looked for as the kernel does it, so that sizes are the same: one earlier place
 * for each hash of four bytes, longer strides where nothing is found, and the last bytes never part of a match.
 */

/** Bytes at the end that stay literals. */
const TAIL = 20;
/** A piece is packed by itself: no distance is longer. */
const PIECE = 0xc000;
const HASH_BITS = 13;
const HASH_FACTOR = 0x1824429d;
/** A run of zeros: from four bytes, and what eleven bits add. */
const LEAST_RUN = 4;
const MOST_RUN = 2047 + LEAST_RUN;
/** The longest match and the largest distance of the short instruction, and the largest of the middle one. */
const SHORT = { length: 8, distance: 0x800 };
const MIDDLE = 0x4000;
/** With this distance and such a length, a match of version 1 would read as a run of zeros. */
const AMBIGUOUS = { bits: 0x403f, least: 261, most: 264 };

class Packer {
  private readonly input: Uint8Array;
  private readonly view: DataView;
  private readonly runs: boolean;
  private readonly out: number[];
  /** Where the stream proper begins in `out`. */
  private readonly begin: number;
  /** The byte whose low two bits say how many literals follow the last instruction; -1 before the first. */
  private state = -1;

  constructor(input: Uint8Array, runs: boolean) {
    this.input = input;
    this.view = new DataView(input.buffer, input.byteOffset, input.length);
    this.runs = runs;
    this.out = runs ? [17, 1] : [];
    this.begin = this.out.length;
  }

  pack(): Uint8Array {
    const { input, out } = this;
    let at = 0;
    // Literals that an earlier piece has left over.
    let pending = 0;
    while (input.length - at > TAIL) {
      const size = Math.min(input.length - at, PIECE);
      pending = this.piece(at, size, pending);
      at += size;
    }
    this.literals(at - pending, pending + input.length - at, true);
    out.push(17, 0, 0);
    return Uint8Array.from(out);
  }

  /** One piece; gives how many bytes at its end are not written yet. */
  private piece(start: number, size: number, pending: number): number {
    const { view } = this;
    const end = start + size - TAIL;
    const places = new Uint16Array(1 << HASH_BITS);
    let from = start - pending;
    let at = this.stride(start + Math.max(0, 4 - pending), start);
    while (at < end) {
      const word = view.getUint32(at, true);
      if (word === 0 && this.runs) {
        const length = this.zeros(at, end);
        this.literals(from, at - from, false);
        this.run(length);
        at += length;
        from = at;
        continue;
      }
      const slot = Math.imul(word, HASH_FACTOR) >>> (32 - HASH_BITS);
      const earlier = start + places[slot];
      places[slot] = at - start;
      if (view.getUint32(earlier, true) !== word) {
        at = this.stride(at, Math.max(from, start));
        continue;
      }
      this.literals(from, at - from, false);
      at += this.match(at, earlier, end);
      from = at;
    }
    return start + size - from;
  }

  /** The further from the last match, the fewer places are looked at. */
  private stride(at: number, since: number): number {
    return at + 1 + ((at - since) >> 5);
  }

  private zeros(at: number, end: number): number {
    const most = Math.min(end, at + MOST_RUN + 1);
    let to = at + LEAST_RUN;
    while (to < most && this.input[to] === 0) to++;
    return Math.min(to - at, MOST_RUN);
  }

  private run(length: number): void {
    const more = length - LEAST_RUN;
    this.out.push(0x18 | (more & 7), 0xfc, 0xff, more >> 3);
    this.state = this.out.length - 3;
  }

  private match(at: number, earlier: number, end: number): number {
    const { out } = this;
    let length = 4 + this.equal(at + 4, earlier + 4);
    // Eight bytes at a time: the last of them may lie behind the end.
    for (let more = length - 4; more === 8 && at + length < end; length += more)
      more = this.equal(at + length, earlier + length);
    const distance = at - earlier;
    const { bits, least, most } = AMBIGUOUS;
    if (this.runs && (distance & bits) === bits && length >= least && length <= most) length = least - 1;
    if (length <= SHORT.length && distance <= SHORT.distance) {
      out.push(((length - 1) << 5) | (((distance - 1) & 7) << 2), (distance - 1) >> 3);
      this.state = out.length - 2;
      return length;
    }
    const near = distance <= MIDDLE;
    const low = near ? distance - 1 : distance - 0x4000;
    this.length(length - 2, near ? 32 : 16 | ((low >> 11) & 8), near ? 31 : 7);
    out.push((low << 2) & 0xff, (low >> 6) & 0xff);
    this.state = out.length - 2;
    return length;
  }

  /** How many of the next eight bytes are the same. */
  private equal(at: number, earlier: number): number {
    let count = 0;
    while (count < 8 && this.input[at + count] === this.input[earlier + count]) count++;
    return count;
  }

  /** An instruction with a length in its low bits, or behind it when it does not fit there. */
  private length(length: number, code: number, most: number): void {
    if (length <= most) this.out.push(code | length);
    else {
      this.out.push(code);
      this.rest(length - most);
    }
  }

  private rest(length: number): void {
    let left = length;
    for (; left > 255; left -= 255) this.out.push(0);
    this.out.push(left);
  }

  private literals(from: number, count: number, last: boolean): void {
    const { out } = this;
    if (count === 0) return;
    if (last && out.length === this.begin && count <= 238) out.push(17 + count);
    else if (count <= 3 && this.state >= 0) out[this.state] |= count;
    else if (count <= 18) out.push(count - 3);
    else {
      out.push(0);
      this.rest(count - 18);
    }
    for (let i = 0; i < count; i++) out.push(this.input[from + i]);
  }
}

/** LZO1X-1; with `runs` the later stream, which lzo-rle makes. */
export const packLzo1x = (input: Uint8Array, runs: boolean): Uint8Array => new Packer(input, runs).pack();
