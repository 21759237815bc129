/**
 * The interrupt request level, and memory that may be paged out: at DISPATCH_LEVEL and above it is taken away, so that an
 * access there is found whether or not the page would have been in memory (as Driver Verifier's IRQL checking does).
 */
import { type Address, PAGE_SIZE } from '../../memory/space.ts';
import type { Windows } from './windows.ts';

export const PASSIVE_LEVEL = 0;
export const APC_LEVEL = 1;
export const DISPATCH_LEVEL = 2;
/** The highest on x64; x86 has 31. */
export const HIGH_LEVEL = 15;

interface PagedRange {
  readonly base: Address;
  readonly pages: number;
  perm: number;
}

export class Irql {
  private readonly k: Windows;
  private level = PASSIVE_LEVEL;
  private readonly paged = new Map<Address, PagedRange>();
  private away = false;
  /** `--set irql-checks=off`: paged memory stays where it is. */
  checks = true;

  constructor(k: Windows) {
    this.k = k;
  }

  get current(): number {
    return this.level;
  }

  /** Raises or lowers; paged memory comes and goes with it. */
  set(level: number): number {
    const old = this.level;
    this.level = level;
    this.k.processor.showIrql(level);
    this.adjust();
    return old;
  }

  addPaged(base: Address, pages: number, perm: number): void {
    this.paged.set(base, { base, pages, perm });
    if (this.away) this.k.memory.protect(base, pages, 0);
  }

  forgetPaged(base: Address): void {
    const range = this.paged.get(base);
    if (range === undefined) return;
    if (this.away) this.k.memory.protect(base, range.pages, range.perm);
    this.paged.delete(base);
  }

  isPaged(address: Address): boolean {
    for (const { base, pages } of this.paged.values()) {
      if (address >= base && address < base + pages * PAGE_SIZE) return true;
    }
    return false;
  }

  /** Runs something of the kernel's own that must reach all memory. */
  withPaged<T>(action: () => T): T {
    if (!this.away) return action();
    this.show(true);
    try {
      return action();
    } finally {
      this.show(false);
    }
  }

  private adjust(): void {
    const away = this.checks && this.level >= DISPATCH_LEVEL;
    if (away !== this.away) this.show(!away);
  }

  private show(here: boolean): void {
    this.away = !here;
    for (const { base, pages, perm } of this.paged.values()) {
      this.k.memory.protect(base, pages, here ? perm : 0);
    }
  }
}
