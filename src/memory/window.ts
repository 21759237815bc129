import { type Address, PAGE_SIZE, pageBase } from './address.ts';
import * as L from './layout.ts';

const HIGH = 4294967296;
/** Pages on either side that a window may have. */
const REACH = 8;

/**
 * Pages in a row that lie in a row in linear memory too and may be read and written: while the window is open, translated
 * code reaches what is inside without a look at the TLB. Where it is stands in linear memory.
 */
export class Window {
  readonly #data: DataView;
  readonly #ramBase: number;
  #base = Number.NaN;
  #pages = 0;
  #frame = 0;

  /** @param ramBase offset of frame 0 in linear memory */
  constructor(data: DataView, ramBase: number) {
    this.#data = data;
    this.#ramBase = ramBase;
  }

  /**
   * Opens it around `bytes` bytes from `low` on. False where these are not in one piece.
   * @param frameOf the frame behind a page that may be part of a window
   */
  open(low: Address, bytes: number, frameOf: (page: Address) => number | undefined): boolean {
    const first = pageBase(low);
    const pfn = frameOf(first);
    if (pfn === undefined) return false;
    let [below, above] = [0, 1];
    const joins = (pages: number): boolean => frameOf(first + pages * PAGE_SIZE) === pfn + pages;
    while (below < REACH && joins(-below - 1)) below++;
    while (above < REACH && joins(above)) above++;
    if (low + bytes > first + above * PAGE_SIZE) return false;
    const base = first - below * PAGE_SIZE;
    this.#base = base;
    this.#pages = below + above;
    this.#frame = pfn - below;
    this.#data.setInt32(L.WINDOW_BASE, base, true);
    this.#data.setInt32(L.WINDOW_BASE + 4, Math.floor(base / HIGH), true);
    this.#data.setInt32(L.WINDOW_BYTES, this.#pages * PAGE_SIZE, true);
    const linear = this.#ramBase + this.#frame * PAGE_SIZE;
    this.#data.setInt32(L.WINDOW_ADDEND, linear - (base | 0), true);
    return true;
  }

  close(): void {
    this.#base = Number.NaN;
    this.#pages = 0;
    this.#data.setInt32(L.WINDOW_BYTES, 0, true);
  }

  /** The frame may no longer be part of it. */
  frameLost(pfn: number): void {
    if (pfn >= this.#frame && pfn < this.#frame + this.#pages) this.close();
  }

  /** The mapping of the page has changed. */
  pageLost(page: Address): void {
    if (page >= this.#base && page < this.#base + this.#pages * PAGE_SIZE) this.close();
  }
}
