/**
 * Names of symbols by number. A tree of modules names symbols some hundred thousand times, and few of them are
 * different: names are found by their bytes, and a string is made of a name only when somebody wants to see it
 * (measured: half of the time of a scan otherwise; bench/depmod.ts).
 */
import { latin } from './elf-facts.ts';

/** FNV-1a. */
const BASIS = 0x811c9dc5 | 0;
const PRIME = 0x01000193;

export class NameTable {
  /** Where each name begins in `text`; it ends where the next one begins. */
  private starts = new Int32Array(1 << 15);
  private hashes = new Int32Array(1 << 15);
  private text = new Uint8Array(1 << 19);
  private used = 0;
  /** Open addressing: number + 1, 0 for a free place. */
  private slots = new Int32Array(1 << 16);
  private count = 0;
  private readonly strings: string[] = [];

  get size(): number {
    return this.count;
  }

  /** The number of the name at `at`, which ends at a NUL or at the end of the bytes. */
  numberOf(bytes: Uint8Array, at: number): number {
    let hash = BASIS;
    let end = at;
    const limit = bytes.length;
    for (let byte = bytes[end]; byte !== 0 && end < limit; byte = bytes[++end])
      hash = Math.imul(hash ^ byte, PRIME);
    const mask = this.slots.length - 1;
    let slot = (hash ^ (hash >>> 15)) & mask;
    for (let number = this.slots[slot]; number !== 0; number = this.slots[slot]) {
      if (this.hashes[number - 1] === hash && this.isName(number - 1, bytes, at, end)) return number - 1;
      slot = (slot + 1) & mask;
    }
    this.slots[slot] = this.count + 1;
    return this.add(hash, bytes, at, end);
  }

  numberOfText(name: string): number {
    return this.numberOf(
      Uint8Array.from(name, (char) => char.charCodeAt(0)),
      0,
    );
  }

  name(number: number): string {
    this.strings[number] ??= latin(this.text, this.starts[number], this.starts[number + 1]);
    return this.strings[number];
  }

  /** First byte of a name: 0 for the empty one. */
  firstByte(number: number): number {
    return this.starts[number] === this.starts[number + 1] ? 0 : this.text[this.starts[number]];
  }

  private isName(number: number, bytes: Uint8Array, at: number, end: number): boolean {
    const start = this.starts[number];
    const length = end - at;
    if (this.starts[number + 1] - start !== length) return false;
    for (let i = 0; i < length; i++) if (this.text[start + i] !== bytes[at + i]) return false;
    return true;
  }

  private add(hash: number, bytes: Uint8Array, at: number, end: number): number {
    const number = this.count++;
    if (this.used + end - at > this.text.length)
      this.text = grown(this.text, Math.max(this.text.length * 2, this.used + end - at));
    if (number + 2 > this.starts.length) {
      this.starts = grownInts(this.starts);
      this.hashes = grownInts(this.hashes);
    }
    this.starts[number] = this.used;
    for (let i = at; i < end; i++) this.text[this.used++] = bytes[i];
    this.starts[number + 1] = this.used;
    this.hashes[number] = hash;
    if (this.count * 2 > this.slots.length) this.rehash();
    return number;
  }

  private rehash(): void {
    this.slots = new Int32Array(this.slots.length * 2);
    const mask = this.slots.length - 1;
    for (let number = 0; number < this.count; number++) {
      const hash = this.hashes[number];
      let slot = (hash ^ (hash >>> 15)) & mask;
      while (this.slots[slot] !== 0) slot = (slot + 1) & mask;
      this.slots[slot] = number + 1;
    }
  }
}

function grown(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(length);
  larger.set(bytes);
  return larger;
}

function grownInts(numbers: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(numbers.length * 2);
  larger.set(numbers);
  return larger;
}
