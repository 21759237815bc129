import { type Address, PAGE_SIZE } from './address.ts';

/** Writes the first content of a page; `bytes` is the page itself, zeroed. */
export type FillPage = (pageVa: Address, bytes: Uint8Array) => void;

export interface Region {
  readonly base: Address;
  readonly pages: number;
  readonly perm: number;
  /** What is there, for the memory map. */
  readonly what: string;
  readonly fill?: FillPage;
}

const endOf = (region: Region): Address => region.base + region.pages * PAGE_SIZE;

/** The mapped ranges by address, without overlap: the memory map, and where lazy pages get their content. */
export class RegionList {
  #regions: Region[] = [];

  find(va: Address): Region | undefined {
    const index = this.#after(va) - 1;
    return index >= 0 && va < endOf(this.#regions[index]) ? this.#regions[index] : undefined;
  }

  overlaps(base: Address, end: Address): boolean {
    const index = this.#after(end - 1) - 1;
    return index >= 0 && endOf(this.#regions[index]) > base;
  }

  insert(region: Region): void {
    this.#regions.splice(this.#after(region.base), 0, region);
  }

  /** Takes a range out, splitting what reaches over its ends. */
  remove(base: Address, end: Address): void {
    this.#rewrite(base, end, () => undefined);
  }

  /** Gives a range new permissions, splitting what reaches over its ends. */
  protect(base: Address, end: Address, perm: number): void {
    this.#rewrite(base, end, (part) => ({ ...part, perm }));
  }

  list(): readonly Region[] {
    return this.#regions;
  }

  #rewrite(base: Address, end: Address, change: (part: Region) => Region | undefined): void {
    let first = this.#after(base);
    if (first > 0 && endOf(this.#regions[first - 1]) > base) first--;
    const replaced: Region[] = [];
    let last = first;
    for (; last < this.#regions.length && this.#regions[last].base < end; last++) {
      const region = this.#regions[last];
      const from = Math.max(region.base, base);
      const to = Math.min(endOf(region), end);
      const parts = [
        cut(region, region.base, from),
        change(cut(region, from, to)),
        cut(region, to, endOf(region)),
      ];
      for (const part of parts) if (part !== undefined && part.pages > 0) replaced.push(part);
    }
    this.#regions.splice(first, last - first, ...replaced);
  }

  /** Index of the first region that starts after `va`. */
  #after(va: Address): number {
    let low = 0;
    let high = this.#regions.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#regions[middle].base <= va) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function cut(region: Region, from: Address, to: Address): Region {
  return { ...region, base: from, pages: (to - from) / PAGE_SIZE };
}
