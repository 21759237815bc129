/**
 * Names of symbols by number. A tree of modules names symbols some hundred thousand times, and few of them are
 * different: names are found by their bytes, and a string is made of a name only when somebody wants to see it
 * (measured: half of the time of a scan otherwise; bench/depmod.ts).
 */
import { ByteSink } from '../../../bytes/sink.ts';
import { latin } from './elf-facts.ts';

/** FNV-1a. */
const BASIS = 0x811c9dc5 | 0;
const PRIME = 0x01000193;

export class NameTable {
  /** The names, a NUL after each. */
  private readonly pool = new ByteSink(1 << 19);
  /** Where each name begins in the pool, and where the next one will. */
  private starts = new Int32Array(1 << 15);
  private hashes = new Int32Array(1 << 15);
  /** Open addressing: number + 1, 0 for a free place. */
  private slots = new Int32Array(1 << 16);
  private count = 0;
  private readonly strings: (string | undefined)[] = [];

  get size(): number {
    return this.count;
  }

  /** The number of the name at `at`, which ends at a NUL or at the end of the bytes. */
  numberOf(bytes: Uint8Array, at: number): number {
    let hash = BASIS;
    let end = at;
    const limit = bytes.length;
    for (; end < limit; end++) {
      const byte = bytes[end];
      if (byte === 0) break;
      hash = Math.imul(hash ^ byte, PRIME);
    }
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

  /** Takes the names of another table in: their numbers here, in the other's order. `pool` has a NUL after each. */
  adopt(pool: Uint8Array): Int32Array {
    let count = 0;
    for (let at = 0; at < pool.length; at++) if (pool[at] === 0) count++;
    const numbers = new Int32Array(count);
    for (let at = 0, i = 0; at < pool.length; i++) {
      const number = this.numberOf(pool, at);
      numbers[i] = number;
      at += this.lengthOf(number) + 1;
    }
    return numbers;
  }

  /** All names in the order of their numbers, a NUL after each. */
  get text(): Uint8Array {
    return this.pool.view();
  }

  /** Where a name begins in `text`. */
  startOf(number: number): number {
    return this.starts[number];
  }

  lengthOf(number: number): number {
    return this.starts[number + 1] - this.starts[number] - 1;
  }

  name(number: number): string {
    let name = this.strings[number];
    if (name === undefined) {
      name = latin(this.pool.bytes, this.starts[number], this.starts[number + 1] - 1);
      this.strings[number] = name;
    }
    return name;
  }

  /** First byte of a name: 0 for the empty one. */
  firstByte(number: number): number {
    return this.pool.bytes[this.starts[number]];
  }

  private isName(number: number, bytes: Uint8Array, at: number, end: number): boolean {
    const start = this.starts[number];
    const length = end - at;
    if (this.starts[number + 1] - start - 1 !== length) return false;
    const known = this.pool.bytes;
    for (let i = 0; i < length; i++) if (known[start + i] !== bytes[at + i]) return false;
    return true;
  }

  private add(hash: number, bytes: Uint8Array, at: number, end: number): number {
    const number = this.count++;
    if (number + 2 > this.starts.length) {
      this.starts = grown(this.starts);
      this.hashes = grown(this.hashes);
    }
    this.starts[number] = this.pool.length;
    this.pool.copy(bytes, at, end);
    this.pool.u8(0);
    this.starts[number + 1] = this.pool.length;
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

function grown(numbers: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(numbers.length * 2);
  larger.set(numbers);
  return larger;
}
