/**
 * Control codes in ARM64 code, as far as constants tell them: a code is made in a register by MOVZ and MOVK (or loaded from beside the
 * code) and compared with, or the request's is brought down by it and what is left compared with small numbers. Code is read in the
 * order it lies in; nothing is followed.
 */
import { ByteView } from '../../../bytes/view.ts';

/** What is known of a register: a number, or that it holds a request's code less a number. */
type Known = { readonly kind: 'number' | 'rest'; readonly value: number } | undefined;

const ZERO_REGISTER = 31;
/** Registers that a call leaves as they were (Windows' convention for ARM64): x19 to x28. */
const [FIRST_SAVED, LAST_SAVED] = [19, 28];

const bits = (word: number, from: number, count: number): number => (word >>> from) & ((1 << count) - 1);
const is = (word: number, mask: number, value: number): boolean => (word & mask) >>> 0 === value;

class Reader {
  readonly found = new Set<number>();
  private readonly known: Known[] = new Array(32).fill(undefined);
  private readonly likely: (code: number) => boolean;

  constructor(likely: (code: number) => boolean) {
    this.likely = likely;
  }

  /** One instruction; `literal` reads a word at a distance from it. */
  step(word: number, literal: (distance: number) => number | undefined): void {
    const [to, from] = [bits(word, 0, 5), bits(word, 5, 5)];
    if (is(word, 0x7f800000, 0x52800000)) this.set(to, bits(word, 5, 16) << (16 * (bits(word, 21, 2) & 1)));
    else if (is(word, 0x7f800000, 0x12800000)) this.set(to, ~bits(word, 5, 16));
    else if (is(word, 0x7f800000, 0x72800000)) this.insert(to, bits(word, 5, 16), bits(word, 21, 2));
    else if (is(word, 0xff000000, 0x18000000)) this.set(to, literal(((word << 8) >> 13) << 2));
    else if (is(word, 0x1f000000, 0x11000000)) this.immediate(word, to, from);
    else if (is(word, 0x1fe00000, 0x0b000000)) this.registers(word, to, from, bits(word, 16, 5));
    else if (is(word, 0xfc000000, 0x94000000) || is(word, 0xfffffc1f, 0xd63f0000)) this.call();
    else if (!is(word, 0x1c000000, 0x14000000) && !isStore(word)) this.known[to] = undefined;
  }

  private set(to: number, value: number | undefined): void {
    this.known[to] = value === undefined ? undefined : { kind: 'number', value: value >>> 0 };
  }

  /** MOVK: one half of a number. */
  private insert(to: number, half: number, shift: number): void {
    const old = this.known[to];
    if (old?.kind !== 'number' || shift > 1) this.known[to] = undefined;
    else this.set(to, shift === 0 ? (old.value & ~0xffff) | half : (old.value & 0xffff) | (half << 16));
  }

  /** ADD, SUB, CMN and CMP with a number. */
  private immediate(word: number, to: number, from: number): void {
    const subtract = bits(word, 30, 1) === 1;
    const number = bits(word, 10, 12) << (12 * bits(word, 22, 1));
    const left = this.known[from];
    const by = subtract ? number : -number;
    if (left?.kind === 'rest') {
      this.tell(left.value + by);
      if (!isCompare(word, to)) this.known[to] = { kind: 'rest', value: (left.value + by) >>> 0 };
    } else if (!isCompare(word, to)) this.set(to, left === undefined ? undefined : left.value - by);
  }

  /** The same with a register. */
  private registers(word: number, to: number, from: number, other: number): void {
    const [left, right] = [this.known[from], this.known[other]];
    const subtract = bits(word, 30, 1) === 1 && bits(word, 10, 6) === 0;
    const code = right?.kind === 'number' ? right.value : undefined;
    const compare = isCompare(word, to);
    if (!subtract || code === undefined || left?.kind === 'number') {
      // The other way round: the number on the left.
      if (compare && left?.kind === 'number' && right === undefined) this.tell(left.value);
      if (!compare) this.known[to] = undefined;
      return;
    }
    const value = ((left?.value ?? 0) + code) >>> 0;
    this.tell(value);
    if (!compare) this.known[to] = this.likely(value) ? { kind: 'rest', value } : undefined;
  }

  private tell(code: number): void {
    if (this.likely(code >>> 0)) this.found.add(code >>> 0);
  }

  private call(): void {
    for (let i = 0; i < ZERO_REGISTER; i++) if (i < FIRST_SAVED || i > LAST_SAVED) this.known[i] = undefined;
  }
}

/** With flags set and the result thrown away. */
const isCompare = (word: number, to: number): boolean => bits(word, 29, 1) === 1 && to === ZERO_REGISTER;
/** Stores and pairs, whose low register is read and not written. */
const isStore = (word: number): boolean => is(word, 0x0a000000, 0x08000000) && bits(word, 22, 1) === 0;

/** @returns constants that are compared with and look like codes; `likely` says which do */
export function arm64Constants(code: Uint8Array, likely: (code: number) => boolean): number[] {
  const reader = new Reader(likely);
  const view = new ByteView(code, true);
  for (let at = 0; at + 4 <= code.length; at += 4) {
    reader.step(view.u32(at), (distance) => {
      const place = at + distance;
      return place >= 0 && place + 4 <= code.length ? view.u32(place) : undefined;
    });
  }
  return [...reader.found];
}
