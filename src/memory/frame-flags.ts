import { FrameFlag } from './layout.ts';

/** `pfn` holds translated code and bytes `offset` to `offset + length` of it change, or its mapping goes. */
export type CodeChange = (pfn: number, offset: number, length: number) => void;

/** The bytes of {@link FrameFlag} as TypeScript reads and writes them. */
export class FrameFlags {
  readonly #flags: Uint8Array;
  #clean = 0;

  constructor(memory: ArrayBufferLike, at: number, frames: number) {
    this.#flags = new Uint8Array(memory, at, frames).fill(FrameFlag.UNTOUCHED);
  }

  /** Frames from here on were never handed out or written to. */
  get clean(): number {
    return this.#clean;
  }

  /** May its page be cached as writable? */
  plain(pfn: number): boolean {
    return (this.#flags[pfn] & (FrameFlag.CODE | FrameFlag.UNTOUCHED)) === 0;
  }

  /** These are used from now on. */
  touch(from: number, to: number): void {
    for (let pfn = from; pfn < to; pfn++) this.#flags[pfn] &= ~FrameFlag.UNTOUCHED;
    this.#clean = Math.max(this.#clean, to);
  }

  /** Notes a store that was looked at; does the frame hold code? */
  written(pfn: number): boolean {
    const flags = this.#flags[pfn];
    if ((flags & FrameFlag.UNTOUCHED) !== 0) this.touch(pfn, pfn + 1);
    return (flags & FrameFlag.CODE) !== 0;
  }

  /** False when it was marked already. */
  markCode(pfn: number): boolean {
    if ((this.#flags[pfn] & FrameFlag.CODE) !== 0) return false;
    this.#flags[pfn] |= FrameFlag.CODE;
    if (pfn > 0) this.#flags[pfn - 1] |= FrameFlag.BEFORE_CODE;
    return true;
  }

  unmarkCode(pfn: number): void {
    this.#flags[pfn] &= ~FrameFlag.CODE;
    if (pfn > 0) this.#flags[pfn - 1] &= ~FrameFlag.BEFORE_CODE;
  }
}
