/**
 * Physical frames: a binary buddy allocator, as described by Knowlton (1965), with orders 0 to 10.
 * A block of order n is 2^n frames and starts at a multiple of 2^n; its buddy differs in bit n alone.
 */
export const MAX_ORDER = 10;

export class OutOfMemory extends Error {
  override readonly name = 'OutOfMemory';

  constructor(
    readonly order: number,
    readonly freePages: number,
  ) {
    super(
      `no free block of ${1 << order} frames (order ${order}); ${freePages} frames are free in smaller blocks`,
    );
  }
}

export class FrameError extends Error {
  override readonly name = 'FrameError';
}

export interface FrameStatistics {
  readonly total: number;
  readonly free: number;
  readonly used: number;
  /** Free blocks of each order, 0 to {@link MAX_ORDER}. */
  readonly blocks: readonly number[];
  /** Order of the largest free block, -1 when nothing is free. */
  readonly largest: number;
  /** 0: all free memory in blocks of the largest order; towards 1: in single frames. */
  readonly fragmentation: number;
}

const FREE = 0x80;
const USED = 0x40;
const NONE = -1;

export class FrameAllocator {
  /** Frames, counting frame 0, which is never handed out. */
  readonly total: number;
  #free = 0;
  /** For the first frame of a block: FREE or USED with its order; 0 elsewhere. */
  readonly #state: Uint8Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #heads = new Int32Array(MAX_ORDER + 1).fill(NONE);
  readonly #counts = new Int32Array(MAX_ORDER + 1);
  readonly #owner: Uint16Array;
  readonly #labels: string[] = ['unlabelled'];
  readonly #labelIds = new Map<string, number>([['unlabelled', 0]]);
  readonly #labelPages: number[] = [0];
  /** Frames from here on were never handed out. */
  #fresh = 0;
  readonly #onFresh: (from: number, to: number) => void;

  /** @param onFresh called before frames are handed out that, like all behind them, never were: from one to before another */
  constructor(total: number, onFresh: (from: number, to: number) => void = () => {}) {
    this.total = total;
    this.#onFresh = onFresh;
    this.#state = new Uint8Array(total);
    this.#next = new Int32Array(total).fill(NONE);
    this.#previous = new Int32Array(total).fill(NONE);
    this.#owner = new Uint16Array(total);
    this.#seed();
  }

  get freePages(): number {
    return this.#free;
  }

  /**
   * Takes 2^order frames in a row, aligned to their count.
   * @returns the first frame number, never 0
   * @throws OutOfMemory when no block of that order can be made
   */
  allocate(order = 0, label = 'unlabelled'): number {
    if (!Number.isInteger(order) || order < 0 || order > MAX_ORDER) throw new OutOfMemory(order, this.#free);
    let from = order;
    while (from <= MAX_ORDER && this.#heads[from] === NONE) from++;
    if (from > MAX_ORDER) throw new OutOfMemory(order, this.#free);
    const pfn = this.#heads[from];
    this.#unlink(pfn, from);
    while (from > order) {
      from--;
      this.#link(pfn + (1 << from), from);
    }
    this.#state[pfn] = USED | order;
    this.#free -= 1 << order;
    this.#own(pfn, order, label);
    const end = pfn + (1 << order);
    if (end > this.#fresh) {
      this.#onFresh(this.#fresh, end);
      this.#fresh = end;
    }
    return pfn;
  }

  /** @throws FrameError when `pfn` is not the start of a used block of that order */
  free(pfn: number, order = 0): void {
    if (this.#state[pfn] !== (USED | order)) {
      throw new FrameError(
        `frame ${pfn} is not a used block of order ${order}: freed twice, or never allocated`,
      );
    }
    this.#labelPages[this.#owner[pfn]] -= 1 << order;
    this.#state[pfn] = 0;
    this.#free += 1 << order;
    while (order < MAX_ORDER) {
      const buddy = pfn ^ (1 << order);
      if (buddy >= this.total || this.#state[buddy] !== (FREE | order)) break;
      this.#unlink(buddy, order);
      pfn = Math.min(pfn, buddy);
      order++;
    }
    this.#link(pfn, order);
  }

  /**
   * Splits a used block into used blocks of order 0, so that each frame can be freed alone.
   * @throws FrameError when `pfn` is not the start of a used block of that order
   */
  split(pfn: number, order: number): void {
    if (this.#state[pfn] !== (USED | order))
      throw new FrameError(`frame ${pfn} is not a used block of order ${order}`);
    for (let i = 0; i < 1 << order; i++) {
      this.#state[pfn + i] = USED;
      this.#owner[pfn + i] = this.#owner[pfn];
    }
  }

  /** Order of the used block that starts at `pfn`, or undefined. */
  orderOf(pfn: number): number | undefined {
    const state = this.#state[pfn];
    return state !== undefined && (state & USED) !== 0 ? state & 0x3f : undefined;
  }

  statistics(): FrameStatistics {
    const blocks = Array.from(this.#counts);
    let largest = MAX_ORDER;
    while (largest >= 0 && blocks[largest] === 0) largest--;
    const weighted = blocks.reduce((sum, count, order) => sum + count * 2 ** order * (order / MAX_ORDER), 0);
    return {
      total: this.total,
      free: this.#free,
      used: this.total - this.#free,
      blocks,
      largest,
      fragmentation: this.#free === 0 ? 0 : 1 - weighted / this.#free,
    };
  }

  /** Used frames by label, those with any, in the order of first use. */
  owners(): { label: string; pages: number }[] {
    return this.#labels
      .map((label, id) => ({ label, pages: this.#labelPages[id] }))
      .filter((owner) => owner.pages > 0);
  }

  #own(pfn: number, order: number, label: string): void {
    let id = this.#labelIds.get(label);
    if (id === undefined) {
      // 16 bits hold the owner of a frame; past that, new labels are counted together.
      id = this.#labels.length < 0xffff ? this.#labels.push(label) - 1 : 0;
      this.#labelIds.set(label, id);
      this.#labelPages[id] ??= 0;
    }
    this.#owner[pfn] = id;
    this.#labelPages[id] += 1 << order;
  }

  /** Puts all frames but 0 on the free lists, low addresses first out. */
  #seed(): void {
    const starts: [number, number][] = [];
    let pfn = 1;
    while (pfn < this.total) {
      let order = 0;
      while (order < MAX_ORDER && pfn % (2 << order) === 0 && pfn + (2 << order) <= this.total) order++;
      starts.push([pfn, order]);
      pfn += 1 << order;
    }
    for (const [start, order] of starts.reverse()) this.#link(start, order);
    this.#free = Math.max(0, this.total - 1);
  }

  #link(pfn: number, order: number): void {
    const head = this.#heads[order];
    this.#next[pfn] = head;
    this.#previous[pfn] = NONE;
    if (head !== NONE) this.#previous[head] = pfn;
    this.#heads[order] = pfn;
    this.#state[pfn] = FREE | order;
    this.#counts[order]++;
  }

  #unlink(pfn: number, order: number): void {
    const next = this.#next[pfn];
    const previous = this.#previous[pfn];
    if (previous === NONE) this.#heads[order] = next;
    else this.#next[previous] = next;
    if (next !== NONE) this.#previous[next] = previous;
    this.#state[pfn] = 0;
    this.#counts[order]--;
  }
}
