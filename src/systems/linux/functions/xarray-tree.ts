/**
 * The radix tree under xarray, radix_tree, idr and ida, in guest memory and in the real node layout, because inline
 * iterators read slots by themselves (include/linux/xarray.h, radix-tree.h).
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { callerOf } from './caller.ts';

/** XA_CHUNK_SHIFT with CONFIG_BASE_SMALL=0. */
const SHIFT = 6;
const SLOTS = 1 << SHIFT;
/** The tag of an internal entry; a node's is its address + 2. */
const INTERNAL = 2;
/** Internal entries up to here are not nodes: siblings, retry, zero. */
const LAST_SPECIAL = 4096;
/** XA_ZERO_ENTRY: a reserved place that reads as empty. */
export const ZERO_ENTRY = 1030;
/** Root marks lie above the gfp bits in the flags. */
const ROOT_MARK_SHIFT = 27;
/** The highest index a number holds exactly; the kernel's is ULONG_MAX. */
const MAX_INDEX = Number.MAX_SAFE_INTEGER;

interface Layout {
  readonly head: number;
  readonly flags: number;
  readonly node: {
    readonly size: number;
    readonly shift: number;
    readonly offset: number;
    readonly count: number;
    readonly values: number;
    readonly parent: number;
    readonly array: number;
    readonly slots: number;
    readonly marks: number;
  };
}

const layout = perKernel<Layout, Linux>((k) => ({
  head: k.offset('xarray.xa_head'),
  flags: k.offset('xarray.xa_flags'),
  node: {
    size: k.sizeof('xa_node'),
    shift: k.offset('xa_node.shift'),
    offset: k.offset('xa_node.offset'),
    count: k.offset('xa_node.count'),
    values: k.offset('xa_node.nr_values'),
    parent: k.offset('xa_node.parent'),
    array: k.offset('xa_node.array'),
    slots: k.offset('xa_node.slots'),
    marks: k.offset('xa_node.marks'),
  },
}));

/** An index as the kernel's unsigned long: negative numbers are beyond everything that is stored. */
export function indexOf(value: number): number {
  return value < 0 || value > MAX_INDEX ? MAX_INDEX : value;
}

const isNode = (entry: number): boolean => (entry & 3) === INTERNAL && (entry < 0 || entry > LAST_SPECIAL);
const isValue = (entry: number): boolean => (entry & 1) === 1;

export class Tree {
  private readonly k: Linux;
  private readonly root: Address;
  private readonly o: Layout;

  constructor(k: Linux, root: Address) {
    this.k = k;
    this.root = root;
    this.o = k.state(layout);
  }

  get empty(): boolean {
    return this.head === 0;
  }

  private get head(): number {
    return this.k.memory.ptr(this.root + this.o.head);
  }

  private set head(entry: number) {
    this.k.memory.setPtr(this.root + this.o.head, entry);
  }

  private slotAt(node: Address, offset: number): Address {
    return node + this.o.node.slots + offset * this.k.word;
  }

  private shiftOf(node: Address): number {
    return this.k.memory.u8(node + this.o.node.shift);
  }

  private offsetFor(node: Address, index: number): number {
    return Math.floor(index / 2 ** this.shiftOf(node)) % SLOTS;
  }

  /** The highest index the tree reaches as it stands. */
  private capacity(): number {
    const { head } = this;
    return isNode(head) ? 2 ** (this.shiftOf(head - INTERNAL) + SHIFT) - 1 : 0;
  }

  /** The slot that holds an index, with its node (0 when the entry is the head itself); undefined when there is none. */
  find(index: number): { slot: Address; node: Address; offset: number } | undefined {
    if (index > this.capacity()) return undefined;
    let entry = this.head;
    if (!isNode(entry)) return { slot: this.root + this.o.head, node: 0, offset: 0 };
    for (;;) {
      const node = entry - INTERNAL;
      const offset = this.offsetFor(node, index);
      const slot = this.slotAt(node, offset);
      entry = this.k.memory.ptr(slot);
      if (!isNode(entry)) return this.shiftOf(node) === 0 || entry !== 0 ? { slot, node, offset } : undefined;
    }
  }

  /** The entry at an index as it is stored; 0 for none. */
  load(index: number): number {
    const place = this.find(index);
    return place === undefined ? 0 : this.k.memory.ptr(place.slot);
  }

  /** Makes a slot for an index; undefined when memory has run out. */
  make(index: number): { slot: Address; node: Address; offset: number } | undefined {
    if (this.head === 0 && index === 0) return { slot: this.root + this.o.head, node: 0, offset: 0 };
    if (!this.grow(index)) return undefined;
    let node = this.head - INTERNAL;
    if (!isNode(this.head)) return { slot: this.root + this.o.head, node: 0, offset: 0 };
    while (this.shiftOf(node) > 0) {
      const offset = this.offsetFor(node, index);
      const slot = this.slotAt(node, offset);
      let entry = this.k.memory.ptr(slot);
      if (!isNode(entry)) {
        const child = this.newNode(this.shiftOf(node) - SHIFT, node, offset);
        if (child === 0) return undefined;
        entry = child + INTERNAL;
        this.k.memory.setPtr(slot, entry);
        this.count(node, 1);
      }
      node = entry - INTERNAL;
    }
    const offset = this.offsetFor(node, index);
    return { slot: this.slotAt(node, offset), node, offset };
  }

  /** Stores an entry (0 erases); the old one, or undefined when memory has run out. */
  store(index: number, entry: number): number | undefined {
    const place = entry === 0 ? this.find(index) : this.make(index);
    if (place === undefined) return entry === 0 ? 0 : undefined;
    const old = this.k.memory.ptr(place.slot);
    this.k.memory.setPtr(place.slot, entry);
    if (place.node === 0) {
      if (entry === 0) this.clearRootMarks();
      return old;
    }
    const change = Number(entry !== 0) - Number(old !== 0);
    const values = Number(entry !== 0 && isValue(entry)) - Number(old !== 0 && isValue(old));
    const at = place.node + this.o.node.values;
    this.k.memory.set8(at, this.k.memory.u8(at) + values);
    if (entry === 0) for (let mark = 0; mark < 3; mark++) this.clearMarkAt(place.node, place.offset, mark);
    this.count(place.node, change);
    if (change < 0) this.prune(place.node);
    return old;
  }

  /** The first entry at or after `start` and at or before `max`, with `mark` when it is not negative. */
  next(start: number, max: number, mark = -1): { index: number; entry: number } | undefined {
    const { head } = this;
    if (head === 0 || start > max) return undefined;
    if (!isNode(head)) {
      const fits = start === 0 && head !== ZERO_ENTRY && (mark < 0 || this.rootMarked(mark));
      return fits ? { index: 0, entry: head } : undefined;
    }
    return this.nextIn(head - INTERNAL, 0, start, Math.min(max, this.capacity()), mark);
  }

  private nextIn(
    node: Address,
    base: number,
    start: number,
    max: number,
    mark: number,
  ): { index: number; entry: number } | undefined {
    const span = 2 ** this.shiftOf(node);
    let offset = Math.max(0, Math.floor((start - base) / span));
    for (; offset < SLOTS; offset++) {
      const first = base + offset * span;
      if (first > max) return undefined;
      const entry = this.k.memory.ptr(this.slotAt(node, offset));
      if (entry === 0 || (mark >= 0 && !this.markedAt(node, offset, mark))) continue;
      if (!isNode(entry)) {
        if (entry !== ZERO_ENTRY) return { index: first, entry };
        continue;
      }
      const found = this.nextIn(entry - INTERNAL, first, start, max, mark);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** The first index from `start` to `max` without an entry. */
  firstFree(start: number, max: number): number | undefined {
    for (let index = start; index <= max; ) {
      const place = this.find(index);
      if (place === undefined || this.k.memory.ptr(place.slot) === 0) return index;
      if (place.node === 0) index++;
      else {
        // Full nodes are passed over in one step.
        const full = this.k.memory.u8(place.node + this.o.node.count) === SLOTS;
        index += full && place.offset === 0 ? SLOTS : 1;
      }
    }
    return undefined;
  }

  /** Frees every node; the entries are the owner's. */
  destroy(): void {
    if (isNode(this.head)) this.freeBelow(this.head - INTERNAL);
    this.head = 0;
    this.clearRootMarks();
  }

  // -- marks --------------------------------------------------------------------------------------------------

  marked(index: number, mark: number): boolean {
    const place = this.find(index);
    if (place === undefined || this.k.memory.ptr(place.slot) === 0) return false;
    return place.node === 0 ? this.rootMarked(mark) : this.markedAt(place.node, place.offset, mark);
  }

  setMark(index: number, mark: number): void {
    const place = this.find(index);
    if (place === undefined || this.k.memory.ptr(place.slot) === 0) return;
    let { node, offset } = place;
    while (node !== 0) {
      this.writeMark(node, offset, mark, true);
      offset = this.k.memory.u8(node + this.o.node.offset);
      node = this.k.memory.ptr(node + this.o.node.parent);
    }
    this.setRootMark(mark, true);
  }

  clearMark(index: number, mark: number): void {
    const place = this.find(index);
    if (place === undefined) return;
    if (place.node === 0) this.setRootMark(mark, false);
    else this.clearMarkAt(place.node, place.offset, mark);
  }

  rootMarked(mark: number): boolean {
    return (this.k.memory.u32(this.root + this.o.flags) & (1 << (ROOT_MARK_SHIFT + mark))) !== 0;
  }

  private markAddress(node: Address, offset: number, mark: number): Address {
    return node + this.o.node.marks + mark * 8 + (offset >> 3);
  }

  private markedAt(node: Address, offset: number, mark: number): boolean {
    return ((this.k.memory.u8(this.markAddress(node, offset, mark)) >> (offset & 7)) & 1) === 1;
  }

  private writeMark(node: Address, offset: number, mark: number, on: boolean): void {
    const at = this.markAddress(node, offset, mark);
    const bit = 1 << (offset & 7);
    this.k.memory.set8(at, on ? this.k.memory.u8(at) | bit : this.k.memory.u8(at) & ~bit);
  }

  /** Clears upwards for as long as a node has no marked slot left. */
  private clearMarkAt(node: Address, offset: number, mark: number): void {
    while (node !== 0) {
      if (!this.markedAt(node, offset, mark)) return;
      this.writeMark(node, offset, mark, false);
      if (this.k.memory.u64(node + this.o.node.marks + mark * 8) !== 0n) return;
      offset = this.k.memory.u8(node + this.o.node.offset);
      node = this.k.memory.ptr(node + this.o.node.parent);
    }
    this.setRootMark(mark, false);
  }

  /** An IDR keeps mark 0 of its root for "has free places": that one is never cleared here. */
  private setRootMark(mark: number, on: boolean): void {
    const at = this.root + this.o.flags;
    const bit = 1 << (ROOT_MARK_SHIFT + mark);
    const flags = this.k.memory.u32(at);
    if (!on && mark === 0 && (flags & TRACK_FREE) !== 0) return;
    this.k.memory.set32(at, on ? flags | bit : flags & ~bit);
  }

  private clearRootMarks(): void {
    for (let mark = 0; mark < 3; mark++) this.setRootMark(mark, false);
  }

  // -- nodes --------------------------------------------------------------------------------------------------

  private newNode(shift: number, parent: Address, offset: number): Address {
    const { k, o } = this;
    const node = k.heap.allocate(o.node.size, undefined, callerOf(k));
    if (node === 0) return 0;
    k.memory.set8(node + o.node.shift, shift);
    k.memory.set8(node + o.node.offset, offset);
    k.memory.setPtr(node + o.node.parent, parent);
    k.memory.setPtr(node + o.node.array, this.root);
    return node;
  }

  /** Raises the tree until it reaches an index. */
  private grow(index: number): boolean {
    const { k, o } = this;
    for (;;) {
      const { head } = this;
      if (isNode(head) ? index <= this.capacity() : index === 0 && head !== 0) return true;
      const shift = isNode(head) ? this.shiftOf(head - INTERNAL) + SHIFT : 0;
      const node = this.newNode(head === 0 ? neededShift(index) : shift, 0, 0);
      if (node === 0) return false;
      if (head !== 0) {
        k.memory.setPtr(this.slotAt(node, 0), head);
        this.count(node, 1);
        if (isNode(head)) k.memory.setPtr(head - INTERNAL + o.node.parent, node);
        else if (isValue(head)) k.memory.set8(node + o.node.values, 1);
        for (let mark = 0; mark < 3; mark++) {
          const tracked = mark === 0 && (k.memory.u32(this.root + o.flags) & TRACK_FREE) !== 0;
          if (!tracked && this.rootMarked(mark)) this.writeMark(node, 0, mark, true);
        }
      }
      this.head = node + INTERNAL;
    }
  }

  private count(node: Address, change: number): void {
    const at = node + this.o.node.count;
    this.k.memory.set8(at, this.k.memory.u8(at) + change);
  }

  /** Frees nodes that hold nothing any more, upwards. */
  private prune(node: Address): void {
    const { k, o } = this;
    while (node !== 0 && k.memory.u8(node + o.node.count) === 0) {
      const parent = k.memory.ptr(node + o.node.parent);
      const offset = k.memory.u8(node + o.node.offset);
      k.heap.free(node);
      if (parent === 0) this.head = 0;
      else {
        k.memory.setPtr(this.slotAt(parent, offset), 0);
        this.count(parent, -1);
      }
      node = parent;
    }
  }

  private freeBelow(node: Address): void {
    if (this.shiftOf(node) > 0) {
      for (let offset = 0; offset < SLOTS; offset++) {
        const entry = this.k.memory.ptr(this.slotAt(node, offset));
        if (isNode(entry)) this.freeBelow(entry - INTERNAL);
      }
    }
    this.k.heap.free(node);
  }
}

/** XA_FLAGS_TRACK_FREE and ROOT_IS_IDR are the same bit. */
const TRACK_FREE = 4;

function neededShift(index: number): number {
  let shift = 0;
  while (index >= 2 ** (shift + SHIFT)) shift += SHIFT;
  return shift;
}
