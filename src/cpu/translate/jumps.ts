/** Where indirect jumps have led, as far as that is known: what a switch of translated code is made of. */

import type { Address } from '../../memory/address.ts';
import { MAX_BYTES } from './graph.ts';

/** Of one jump. */
const MAX_TARGETS = 256;
/** Jumps of a region to elsewhere before it is made again with what has become known, the first time; then ever more. */
const FIRST_COUNT = 40;
/** A region is made again for its jumps so often at most. */
const MAX_TIMES = 5;

/** How often a call of translated code by way of a pointer tells where it leads, before it is no longer asked. */
export const TELLS = 64;

/** What one region has learnt. */
interface Lesson {
  /** Jumps and calls to elsewhere since it was made, and whether any told something new. */
  count: number;
  calls: number;
  fresh: boolean;
  /** How often it was made again. */
  times: number;
}

export class JumpTargets {
  readonly #targets = new Map<Address, Set<Address>>();
  readonly #lessons = new Map<Address, Lesson>();

  clear(): void {
    this.#targets.clear();
    this.#lessons.clear();
  }

  /** Code up to `end` went as a whole: what comes to its place begins anew. */
  forget(pc: Address, end: Address): void {
    for (const known of [this.#targets, this.#lessons])
      for (const at of known.keys()) if (at >= pc && at < end) known.delete(at);
  }

  /** Addresses that the jump at `pc` has led to; those far away are other functions, and are not kept. */
  leadTo(pc: Address): Iterable<Address> {
    return this.#targets.get(pc) ?? [];
  }

  /** Is it of use to hear of more from the region that begins at `entry`? */
  learns(entry: Address): boolean {
    return (this.#lessons.get(entry)?.times ?? 0) < MAX_TIMES;
  }

  /**
   * The jump at `pc` has led to `target`, in the region that begins at `entry` if there is one.
   * @returns whether that region should be made again
   */
  note(pc: Address, target: Address, entry: Address | undefined): boolean {
    const fresh = Math.abs(target - pc) <= MAX_BYTES && this.#keep(pc, target);
    if (entry === undefined) return false;
    const lesson = this.#lessonOf(entry);
    lesson.count++;
    lesson.fresh ||= fresh;
    if (lesson.count < FIRST_COUNT << (2 * lesson.times)) return false;
    // Nothing new among so many: it leads to other functions, and nobody needs to hear of it.
    lesson.times = lesson.fresh ? lesson.times + 1 : MAX_TIMES;
    lesson.count = 0;
    lesson.fresh = false;
    return true;
  }

  /** As {@link note}, of a call by way of a pointer: each tells of itself a few times only. */
  noteCall(pc: Address, target: Address, entry: Address | undefined): boolean {
    const fresh = this.#keep(pc, target);
    if (entry === undefined) return false;
    const lesson = this.#lessonOf(entry);
    lesson.calls++;
    lesson.fresh ||= fresh;
    if (lesson.calls < TELLS || !lesson.fresh) return false;
    lesson.calls = 0;
    lesson.fresh = false;
    return this.again(entry);
  }

  /** May the region that begins at `entry` be made once more? It is counted. */
  again(entry: Address): boolean {
    if (!this.learns(entry)) return false;
    this.#lessonOf(entry).times++;
    return true;
  }

  #lessonOf(entry: Address): Lesson {
    const lesson = this.#lessons.get(entry) ?? { count: 0, calls: 0, fresh: false, times: 0 };
    this.#lessons.set(entry, lesson);
    return lesson;
  }

  #keep(pc: Address, target: Address): boolean {
    const known = this.#targets.get(pc) ?? new Set();
    this.#targets.set(pc, known);
    if (known.has(target) || known.size >= MAX_TARGETS) return false;
    known.add(target);
    return true;
  }
}
