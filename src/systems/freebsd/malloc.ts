/**
 * malloc(9): powers of two up to a page out of whole pages, larger blocks as pages of kernel memory, with a count per
 * `struct malloc_type` (sys/kern/kern_malloc.c). What is freed twice or was never allocated ends in the panic of
 * uma_core.c.
 */
import { OutOfMemory } from '../../memory/frames.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { FreeBsd } from './freebsd.ts';

export const M = { NOWAIT: 1, WAITOK: 2, ZERO: 0x100 } as const;

const SMALLEST = 16;
/** A block larger than this is refused: no module asks for more, a damaged size does. */
const LARGEST = 256 * 2 ** 20;
/** What fresh memory holds with INVARIANTS off: anything. A pattern makes use of it visible and repeatable. */
const FRESH = 0xde;

export interface Allocation {
  readonly address: Address;
  readonly bytes: number;
  /** `struct malloc_type` or 0. */
  readonly type: Address;
  /** Return address of the caller, for the leak report; 0 for the kernel itself. */
  readonly caller: Address;
  /** The caller as symbol+offset, once its module is gone. */
  where?: string;
}

export class HeapMisuse extends Error {
  readonly address: Address;

  constructor(address: Address, what: string) {
    super(what);
    this.name = 'HeapMisuse';
    this.address = address;
  }
}

export class Malloc {
  private readonly k: FreeBsd;
  private readonly live = new Map<Address, Allocation>();
  private readonly freed = new Map<number, Address[]>();
  private readonly blocks = new Set<Address>();

  constructor(k: FreeBsd) {
    this.k = k;
  }

  /** 0 when memory has run out. */
  allocate(bytes: number, flags: number = M.ZERO, type: Address = 0, caller: Address = 0): Address {
    if (!(bytes >= 0) || bytes > LARGEST) return 0;
    const size = Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(Math.max(1, bytes))));
    const at = size > PAGE_SIZE ? this.large(bytes) : this.small(size);
    if (at === 0) return 0;
    this.blocks.add(at);
    this.live.set(at, { address: at, bytes, type, caller });
    this.k.memory.fill(at, bytes, (flags & M.ZERO) !== 0 ? 0 : FRESH);
    return at;
  }

  /** @throws HeapMisuse for what is not an allocation in use; NULL is fine */
  free(at: Address): Allocation | undefined {
    if (at === 0) return undefined;
    const known = this.live.get(at);
    if (known === undefined) {
      const what = this.blocks.has(at) ? 'it was freed before' : 'nothing was allocated there';
      throw new HeapMisuse(at, what);
    }
    this.live.delete(at);
    const size = Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(Math.max(1, known.bytes))));
    if (size > PAGE_SIZE) {
      this.blocks.delete(at);
      this.k.unmapPages(this.k.kmem, at, Math.ceil(known.bytes / PAGE_SIZE));
    } else this.freeList(size).push(at);
    return known;
  }

  /** Bytes of an allocation in use. */
  find(at: Address): Allocation | undefined {
    return this.live.get(at);
  }

  /** A NUL-terminated copy of a text. */
  string(text: string): Address {
    const bytes = new TextEncoder().encode(`${text}\0`);
    const at = this.allocate(bytes.length);
    if (at === 0) throw new OutOfMemory(0, this.k.memory.frames.freePages);
    this.k.memory.write(at, bytes);
    return at;
  }

  allocations(): Iterable<Allocation> {
    return this.live.values();
  }

  /** Notes where live allocations were made by code between two addresses, before the names there are gone. */
  noteCallers(from: Address, to: Address): void {
    for (const one of this.live.values()) {
      if (one.caller >= from && one.caller < to) one.where = this.k.describeReturn(one.caller);
    }
  }

  private freeList(size: number): Address[] {
    let list = this.freed.get(size);
    if (list === undefined) {
      list = [];
      this.freed.set(size, list);
    }
    return list;
  }

  private small(size: number): Address {
    const list = this.freeList(size);
    if (list.length === 0) {
      const page = this.page();
      if (page === 0) return 0;
      // Last first: objects are then given out in address order.
      for (let at = page + PAGE_SIZE - size; at >= page; at -= size) list.push(at);
    }
    return list.pop() ?? 0;
  }

  /** A page of the direct map where there is one, as uma_small_alloc takes it. */
  private page(): Address {
    try {
      if (this.k.map.directMap === undefined)
        return this.k.mapPages(this.k.kmem, 1, Perm.R | Perm.W, 'malloc');
      return this.k.memory.directMap(this.k.memory.frames.allocate(0, 'malloc'));
    } catch (error) {
      if (error instanceof OutOfMemory) return 0;
      throw error;
    }
  }

  private large(bytes: number): Address {
    const pages = Math.ceil(bytes / PAGE_SIZE);
    if (pages > this.k.memory.frames.freePages) return 0;
    try {
      return this.k.mapPages(this.k.kmem, pages, Perm.R | Perm.W, 'malloc');
    } catch (error) {
      if (error instanceof OutOfMemory) return 0;
      throw error;
    }
  }
}
