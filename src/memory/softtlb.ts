import type { Address } from './address.ts';
import type { Access } from './fault.ts';
import * as L from './layout.ts';

const TAG: Record<Access, number> = { read: L.TLB_READ, write: L.TLB_WRITE, execute: L.TLB_EXECUTE };
const HIGH = 4294967296;
const INDEX_MASK = (L.TLB_ENTRIES - 1) << L.TLB_ENTRY_SHIFT;
const INDEX_SHIFT = 12 - L.TLB_ENTRY_SHIFT;
/** Words of an entry, and from an entry to the second place of its page. */
const WORDS = 1 << (L.TLB_ENTRY_SHIFT - 2);
const SECOND = L.TLB_SECOND >> 2;

/** More pages are found by looking at all places. */
const MOST_NOTED = 256;

/** The software TLB in linear memory, as TypeScript reads and writes it; {@link L.TLB_BASE} tells what an entry holds. */
export class SoftTlb {
  readonly #words: Int32Array;
  /** First places of pages that were entered as writable since all of them were last dropped; too many are not noted. */
  #writable: number[] | undefined = [];

  constructor(memory: ArrayBufferLike) {
    this.#words = new Int32Array(memory, L.TLB_BASE, (L.TLB_ENTRIES << L.TLB_ENTRY_SHIFT) >> 2);
  }

  clear(): void {
    this.#words.fill(L.TLB_EMPTY);
    this.#writable = [];
  }

  /** Linear offset of an address on `page`, -1 where the first place does not have it. */
  find(va: Address, page: Address, access: Access): number {
    const entry = (va >>> INDEX_SHIFT) & INDEX_MASK;
    const tag = (entry + TAG[access]) >> 2;
    if (this.#words[tag] !== (page | 0) || this.#words[tag + 1] !== Math.floor(va / HIGH)) return -1;
    return ((va | 0) + this.#words[(entry + L.TLB_ADDEND) >> 2]) >>> 0;
  }

  /** Puts a page with all it permits into its first place; what is there gives way to the second. */
  put(page: Address, host: number, readable: boolean, writable: boolean, executable: boolean): void {
    const at = ((page >>> INDEX_SHIFT) & INDEX_MASK) >> 2;
    const words = this.#words;
    const low = page | 0;
    const high = Math.floor(page / HIGH);
    words.copyWithin(at ^ SECOND, at, at + WORDS);
    words[at] = readable ? low : L.TLB_EMPTY;
    words[at + 1] = high;
    words[at + 2] = writable ? low : L.TLB_EMPTY;
    words[at + 3] = high;
    words[at + 4] = executable ? low : L.TLB_EMPTY;
    words[at + 5] = high;
    if (writable) this.#note(at);
    words[at + (L.TLB_ADDEND >> 2)] = (host - low) | 0;
  }

  /** The page is no longer what it was. */
  forget(page: Address): void {
    const at = ((page >>> INDEX_SHIFT) & INDEX_MASK) >> 2;
    for (const place of [at, at ^ SECOND])
      this.#words[place] = this.#words[place + 2] = this.#words[place + 4] = L.TLB_EMPTY;
  }

  /** The next write to any page is looked at again. */
  dropWritable(): void {
    const tag = L.TLB_WRITE >> 2;
    if (this.#writable === undefined) {
      for (let i = tag; i < this.#words.length; i += WORDS) this.#words[i] = L.TLB_EMPTY;
    } else {
      for (const at of this.#writable) this.#words[at + tag] = this.#words[(at ^ SECOND) + tag] = L.TLB_EMPTY;
    }
    this.#writable = [];
  }

  #note(at: number): void {
    if (this.#writable !== undefined && this.#writable.push(at) > MOST_NOTED) this.#writable = undefined;
  }
}
