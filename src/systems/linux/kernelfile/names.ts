import { Invalid, Truncated } from '../../../bytes/errors.ts';

/**
 * Sorted ASCII names in one array of bytes, compared as bytes: opening a kernel file makes ten thousand of them, and
 * making a string of each takes longer than everything else at load.
 */
export class SortedNames {
  readonly length: number;
  readonly #bytes: Uint8Array;
  /** Start of each name, and the end of the last. */
  readonly #starts: Uint32Array;

  private constructor(bytes: Uint8Array, starts: Uint32Array) {
    this.#bytes = bytes;
    this.#starts = starts;
    this.length = starts.length - 1;
  }

  /** The names must be sorted already, and of ASCII characters. */
  static from(names: readonly string[]): SortedNames {
    const starts = new Uint32Array(names.length + 1);
    for (const [i, name] of names.entries()) starts[i + 1] = starts[i]! + name.length;
    return new SortedNames(new TextEncoder().encode(names.join('')), starts);
  }

  at(row: number): string {
    let text = '';
    for (let i = this.#starts[row]!; i < this.#starts[row + 1]!; i++)
      text += String.fromCharCode(this.#bytes[i]!);
    return text;
  }

  /** Row of a name, -1 when it is not there. */
  indexOf(name: string): number {
    let low = 0;
    let high = this.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const order = this.#compare(middle, name);
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  /**
   * For saving: per name a byte of how many characters it shares with the one before and a byte of how many follow,
   * then the characters that follow, of all names. Throws Invalid for a name of 256 characters or more.
   */
  pack(): Uint8Array {
    const count = this.length;
    const out = new Uint8Array(2 * count + this.#bytes.length);
    let to = 2 * count;
    for (let row = 0; row < count; row++) {
      const start = this.#starts[row]!;
      const end = this.#starts[row + 1]!;
      if (end - start > 255)
        throw new Invalid('export name', 'is longer than 255 characters', { value: this.at(row) });
      const shared = row === 0 ? 0 : this.#shared(row);
      out[row] = shared;
      out[count + row] = end - start - shared;
      out.set(this.#bytes.subarray(start + shared, end), to);
      to += end - start - shared;
    }
    return out.slice(0, to);
  }

  /** Throws Truncated or Invalid. */
  static unpack(packed: Uint8Array, count: number): SortedNames {
    if (!(2 * count <= packed.length))
      throw new Truncated('export names', `${packed.length} bytes for ${count} names`);
    let total = 0;
    for (let i = 0; i < 2 * count; i++) total += packed[i]!;
    const bytes = new Uint8Array(total);
    const starts = new Uint32Array(count + 1);
    let from = 2 * count;
    let to = 0;
    let before = 0;
    for (let row = 0; row < count; row++) {
      const shared = packed[row]!;
      const own = packed[count + row]!;
      if (before + shared > to) throw new Invalid('export names', 'one shares more than its predecessor has');
      for (let i = 0; i < shared; i++) bytes[to + i] = bytes[before + i]!;
      for (let i = 0; i < own; i++) bytes[to + shared + i] = packed[from + i]!;
      before = to;
      to += shared + own;
      from += own;
      starts[row + 1] = to;
    }
    if (from > packed.length)
      throw new Truncated('export names', `end at ${from}, the data at ${packed.length}`);
    return new SortedNames(bytes, starts);
  }

  #shared(row: number): number {
    const before = this.#starts[row - 1]!;
    const start = this.#starts[row]!;
    const most = Math.min(start - before, this.#starts[row + 1]! - start);
    let shared = 0;
    while (shared < most && this.#bytes[before + shared] === this.#bytes[start + shared]) shared++;
    return shared;
  }

  #compare(row: number, name: string): number {
    const start = this.#starts[row]!;
    const length = this.#starts[row + 1]! - start;
    const common = Math.min(length, name.length);
    for (let i = 0; i < common; i++) {
      const difference = this.#bytes[start + i]! - name.charCodeAt(i);
      if (difference !== 0) return difference;
    }
    return length - name.length;
  }
}
