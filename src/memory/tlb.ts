import type { Address } from './address.ts';

export interface TlbShape {
  /** Entries and associativity for 4 KiB pages. */
  readonly small: { readonly entries: number; readonly ways: number };
  /** The same for 2 MiB pages. */
  readonly large: { readonly entries: number; readonly ways: number };
}

/** First-level data TLB of common x86-64 cores: 64 entries of 4 ways for 4 KiB, 32 of 4 ways for 2 MiB. */
const COMMON_TLB: TlbShape = {
  small: { entries: 64, ways: 4 },
  large: { entries: 32, ways: 4 },
};

export interface TlbFigures {
  readonly accesses: number;
  readonly misses: number;
  /** Misses per 1000 accesses. */
  readonly perThousand: number;
}

/** One set-associative array with least-recently-used replacement. */
class TlbArray {
  readonly #tags: Float64Array;
  readonly #sets: number;
  readonly #ways: number;

  constructor(entries: number, ways: number) {
    this.#sets = entries / ways;
    this.#ways = ways;
    this.#tags = new Float64Array(entries).fill(Number.NaN);
  }

  /** True on a hit. The first way of a set is the most recently used. */
  touch(page: number): boolean {
    const first = (((page % this.#sets) + this.#sets) % this.#sets) * this.#ways;
    let way = 0;
    while (way < this.#ways - 1 && this.#tags[first + way] !== page) way++;
    const hit = this.#tags[first + way] === page;
    this.#tags.copyWithin(first + 1, first, first + way);
    this.#tags[first] = page;
    return hit;
  }

  flush(): void {
    this.#tags.fill(Number.NaN);
  }
}

/**
 * What a hardware TLB would have done with the guest's accesses. It shows the cost a module adds: the kernel
 * image and the direct map sit in 2 MiB pages, module memory in 4 KiB pages.
 */
export class SimulatedTlb {
  readonly #small: TlbArray;
  readonly #large: TlbArray;
  #accesses = 0;
  #misses = 0;

  constructor(shape: TlbShape = COMMON_TLB) {
    this.#small = new TlbArray(shape.small.entries, shape.small.ways);
    this.#large = new TlbArray(shape.large.entries, shape.large.ways);
  }

  access(va: Address, large: boolean): void {
    this.#accesses++;
    const hit = large
      ? this.#large.touch(Math.floor(va / 0x200000))
      : this.#small.touch(Math.floor(va / 0x1000));
    if (!hit) this.#misses++;
  }

  /** Empties the entries, as a change of address space does; the counts go on. */
  flush(): void {
    this.#small.flush();
    this.#large.flush();
  }

  figures(): TlbFigures {
    return {
      accesses: this.#accesses,
      misses: this.#misses,
      perThousand: this.#accesses === 0 ? 0 : (this.#misses * 1000) / this.#accesses,
    };
  }
}
