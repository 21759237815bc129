import { roundUp } from '../bytes/align.ts';
import { type Address, hexAddress, PAGE_SIZE } from './address.ts';

export class AreaError extends Error {
  override readonly name = 'AreaError';
}

interface Area {
  base: Address;
  pages: number;
}

/**
 * Hands out ranges of virtual addresses, first fit from the bottom. One page after each area stays unused,
 * so that running off its end faults. A freed range is used again at once.
 */
export class AreaAllocator {
  /** By address. */
  readonly #areas: Area[] = [];

  constructor(
    readonly base: Address,
    readonly end: Address,
  ) {}

  /**
   * @param pages at least 1
   * @param align in bytes, a multiple of the page size
   * @throws AreaError when no gap is large enough
   */
  allocate(pages: number, align = PAGE_SIZE): Address {
    if (!Number.isInteger(pages) || pages < 1)
      throw new AreaError(`an area of ${pages} pages cannot be made`);
    let at = roundUp(this.base, align);
    let index = 0;
    for (; index < this.#areas.length; index++) {
      const next = this.#areas[index];
      if (at + (pages + 1) * PAGE_SIZE <= next.base) break;
      at = Math.max(at, roundUp(next.base + (next.pages + 1) * PAGE_SIZE, align));
    }
    if (at + (pages + 1) * PAGE_SIZE > this.end) {
      throw new AreaError(
        `no room for ${pages} pages between ${hexAddress(this.base)} and ${hexAddress(this.end)}: ` +
          `${this.usedPages} pages in ${this.#areas.length} areas are in use`,
      );
    }
    this.#areas.splice(index, 0, { base: at, pages });
    return at;
  }

  /**
   * @returns the pages the area had
   * @throws AreaError when no area starts at `base`
   */
  free(base: Address): number {
    const index = this.#find(base);
    if (index < 0)
      throw new AreaError(`no area starts at ${hexAddress(base)}: freed twice, or never allocated`);
    return this.#areas.splice(index, 1)[0].pages;
  }

  /** Pages of the area that starts at `base`, or undefined. */
  sizeOf(base: Address): number | undefined {
    const index = this.#find(base);
    return index < 0 ? undefined : this.#areas[index].pages;
  }

  /** The area that holds `va`, or undefined. */
  find(va: Address): { readonly base: Address; readonly pages: number } | undefined {
    return this.#areas.find((area) => va >= area.base && va < area.base + area.pages * PAGE_SIZE);
  }

  get usedPages(): number {
    return this.#areas.reduce((sum, area) => sum + area.pages, 0);
  }

  areas(): readonly { readonly base: Address; readonly pages: number }[] {
    return this.#areas;
  }

  /** The largest gap in pages, guard page taken off: what a request may at most be. */
  get largestGap(): number {
    let largest = 0;
    let at = this.base;
    for (const area of this.#areas) {
      largest = Math.max(largest, (area.base - at) / PAGE_SIZE - 1);
      at = area.base + (area.pages + 1) * PAGE_SIZE;
    }
    return Math.max(largest, (this.end - at) / PAGE_SIZE - 1);
  }

  #find(base: Address): number {
    let low = 0;
    let high = this.#areas.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const at = this.#areas[middle].base;
      if (at === base) return middle;
      if (at < base) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }
}
