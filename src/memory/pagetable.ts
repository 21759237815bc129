import type { Address } from './address.ts';

/** Page permissions. U: code at user privilege may use the page too. */
export const Perm = { R: 1, W: 2, X: 4, U: 8 } as const;

/**
 * An entry is one int32: frame number << 8, then flags. 0 means unmapped; a lazy entry has no frame yet.
 */
export const PTE = { PERM: 0x0f, PRESENT: 0x10, LAZY: 0x20, OWNED: 0x40, LARGE: 0x80 } as const;
export const PTE_FRAME_SHIFT = 8;

const CHUNK_PAGES = 512;
const CHUNK_BYTES = 4096 * CHUNK_PAGES;

/** Two levels: a map of 2 MiB chunks that exist, and an array of entries in each. */
export class PageTable {
  readonly #chunks = new Map<number, Int32Array>();

  /** The entry of the page that holds `va`; 0 when unmapped. */
  get(va: Address): number {
    const key = Math.floor(va / CHUNK_BYTES);
    const chunk = this.#chunks.get(key);
    return chunk === undefined ? 0 : chunk[((va - key * CHUNK_BYTES) / 4096) | 0];
  }

  set(va: Address, entry: number): void {
    const key = Math.floor(va / CHUNK_BYTES);
    let chunk = this.#chunks.get(key);
    if (chunk === undefined) {
      if (entry === 0) return;
      chunk = new Int32Array(CHUNK_PAGES);
      this.#chunks.set(key, chunk);
    }
    chunk[((va - key * CHUNK_BYTES) / 4096) | 0] = entry;
  }

  /** Sets the entries of pages in a row; each is the one before it plus `step`. */
  setRange(va: Address, pages: number, entry: number, step: number): void {
    for (let done = 0; done < pages; ) {
      const at = va + done * 4096;
      const key = Math.floor(at / CHUNK_BYTES);
      let chunk = this.#chunks.get(key);
      if (chunk === undefined) {
        chunk = new Int32Array(CHUNK_PAGES);
        this.#chunks.set(key, chunk);
      }
      const first = ((at - key * CHUNK_BYTES) / 4096) | 0;
      const n = Math.min(CHUNK_PAGES - first, pages - done);
      if (step === 0) chunk.fill(entry, first, first + n);
      else for (let i = 0; i < n; i++) chunk[first + i] = entry + (done + i) * step;
      done += n;
    }
  }
}
