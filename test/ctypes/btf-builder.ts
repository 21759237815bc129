/** BTF by hand, in either byte order: what a compiler's tool would write, without one. */
import { EXTRA_WORDS, Kind } from '../../src/ctypes/btf-layout.ts';

export class BtfBuilder {
  readonly #littleEndian: boolean;
  readonly #firstString: number;
  readonly #words: number[] = [];
  readonly #strings = new Map<string, number>();
  #stringBytes: number;
  #next: number;

  /** For split BTF: where ids and strings of the base end. */
  constructor(littleEndian: boolean, base = { endId: 1, endString: 0 }) {
    this.#littleEndian = littleEndian;
    this.#firstString = base.endString;
    // The base begins with the empty string; a split part has its strings behind the base's.
    this.#stringBytes = base.endString === 0 ? 1 : 0;
    this.#next = base.endId;
  }

  /** Adds a record and gives its id. `extra` are the words behind the third, names among them as `name('x')`. */
  add(
    kind: number,
    name: string,
    third: number,
    length = 0,
    extra: readonly number[] = [],
    flag = false,
  ): number {
    const [fixed, each] = EXTRA_WORDS[kind] ?? [0, 0];
    if (extra.length !== fixed + each * length)
      throw new Error(`kind ${kind} takes ${fixed + each * length} words`);
    this.#words.push(this.name(name), (((flag ? 0x80 : 0) | kind) << 24) | length, third, ...extra);
    return this.#next++;
  }

  int(name: string, size: number, encoding: number): number {
    return this.add(Kind.Int, name, size, 0, [(encoding << 24) | (size * 8)]);
  }

  name(text: string): number {
    if (text === '') return 0;
    let at = this.#strings.get(text);
    if (at === undefined) {
      at = this.#firstString + this.#stringBytes;
      this.#strings.set(text, at);
      this.#stringBytes += text.length + 1;
    }
    return at;
  }

  bytes(): Uint8Array {
    const types = this.#words.length * 4;
    const bytes = new Uint8Array(24 + types + this.#stringBytes);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, 0xeb9f, this.#littleEndian);
    view.setUint8(2, 1);
    const header = [24, 0, types, types, this.#stringBytes];
    for (const [i, value] of header.entries()) view.setUint32(4 + i * 4, value, this.#littleEndian);
    for (const [i, word] of this.#words.entries()) view.setUint32(24 + i * 4, word >>> 0, this.#littleEndian);
    const text =
      (this.#firstString > 0 ? '' : '\0') + [...this.#strings.keys()].map((s) => `${s}\0`).join('');
    bytes.set(new TextEncoder().encode(text), 24 + types);
    return bytes;
  }
}
