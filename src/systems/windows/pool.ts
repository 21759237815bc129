/**
 * Paged and nonpaged pool. A block has the pool header of the system in front of it (tag at its place); blocks of a page or
 * more begin at a page. Smaller ones never cross a page. TypeScript keeps sizes and callers by address, which the guest
 * cannot see in the real system either.
 */
import { AreaAllocator } from '../../memory/areas.ts';
import { OutOfMemory } from '../../memory/frames.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { Windows } from './windows.ts';

export type PoolKind = 'nonpaged' | 'paged';

export interface PoolBlock {
  readonly address: Address;
  readonly bytes: number;
  readonly tag: number;
  readonly kind: PoolKind;
  /** Return address of the allocation: whose it is. */
  readonly caller: Address;
}

interface Chunk {
  readonly base: Address;
  readonly pages: number;
}

const HEADER = { 8: 16, 4: 8 } as const;

export class Pool {
  private readonly k: Windows;
  private readonly areas: Record<PoolKind, AreaAllocator>;
  private readonly blocks = new Map<Address, PoolBlock>();
  private readonly pages = new Map<Address, Chunk>();
  /** Free small blocks by kind and size. */
  private readonly free = new Map<string, Address[]>();
  /** Where the next small block is cut from, by kind. */
  private readonly cut = new Map<PoolKind, { at: Address; end: Address }>();
  /** Addresses that were blocks once: a second free of one is told from a wild one. */
  private readonly freed = new Set<Address>();

  constructor(k: Windows) {
    this.k = k;
    this.areas = {
      nonpaged: new AreaAllocator(k.map.nonPaged.base, k.map.nonPaged.end),
      paged: new AreaAllocator(k.map.paged.base, k.map.paged.end),
    };
  }

  /** 0 when the pool is exhausted. The bytes are what was there before; zeroed when `zero`. */
  allocate(kind: PoolKind, bytes: number, tag: number, caller: Address, zero = false): Address {
    const wanted = Math.max(1, bytes);
    if (!(wanted <= this.k.memory.frames.total * PAGE_SIZE)) return 0;
    let address: Address;
    try {
      address =
        wanted + HEADER[this.k.word] > PAGE_SIZE ? this.large(kind, wanted) : this.small(kind, wanted, tag);
    } catch (error) {
      if (error instanceof OutOfMemory) return 0;
      throw error;
    }
    this.blocks.set(address, { address, bytes, tag, kind, caller });
    this.freed.delete(address);
    if (zero) this.k.asHigh(() => this.k.memory.fill(address, wanted, 0));
    return address;
  }

  block(address: Address): PoolBlock | undefined {
    return this.blocks.get(address);
  }

  wasFreed(address: Address): boolean {
    return this.freed.has(address);
  }

  /** False when no block starts there. */
  release(address: Address): boolean {
    const block = this.blocks.get(address);
    if (block === undefined) return false;
    this.blocks.delete(address);
    this.freed.add(address);
    const chunk = this.pages.get(address);
    if (chunk === undefined) {
      const key = `${block.kind} ${this.rounded(Math.max(1, block.bytes))}`;
      const list = this.free.get(key);
      if (list === undefined) this.free.set(key, [address]);
      else list.push(address);
    } else {
      this.pages.delete(address);
      if (block.kind === 'paged') this.k.irql.forgetPaged(chunk.base);
      this.k.unmapPages(this.areas[block.kind], chunk.base, chunk.pages);
    }
    return true;
  }

  /** Blocks that live now. */
  get live(): Iterable<PoolBlock> {
    return this.blocks.values();
  }

  private rounded(bytes: number): number {
    const header = HEADER[this.k.word];
    return Math.ceil((bytes + header) / header) * header;
  }

  private large(kind: PoolKind, bytes: number): Address {
    const pages = Math.ceil(bytes / PAGE_SIZE);
    const base = this.map(kind, pages);
    this.pages.set(base, { base, pages });
    return base;
  }

  private map(kind: PoolKind, pages: number): Address {
    const perm = Perm.R | Perm.W | (kind === 'nonpaged' ? Perm.X : 0);
    const base = this.k.mapPages(this.areas[kind], pages, perm, `${kind} pool`);
    if (kind === 'paged') this.k.irql.addPaged(base, pages, perm);
    return base;
  }

  private small(kind: PoolKind, bytes: number, tag: number): Address {
    const size = this.rounded(bytes);
    const reused = this.free.get(`${kind} ${size}`)?.pop();
    const header = HEADER[this.k.word];
    const address = reused ?? this.carve(kind, size) + header;
    this.k.asHigh(() => this.k.memory.set32(address - header + 4, tag));
    return address;
  }

  private carve(kind: PoolKind, size: number): Address {
    let place = this.cut.get(kind);
    if (place === undefined || place.at + size > place.end) {
      const base = this.map(kind, 1);
      place = { at: base, end: base + PAGE_SIZE };
      this.cut.set(kind, place);
    }
    place.at += size;
    return place.at - size;
  }
}

/** Four characters, lowest byte first; what does not print is a dot. */
export function tagText(tag: number): string {
  return [0, 8, 16, 24]
    .map((shift) => {
      const byte = (tag >>> shift) & 0x7f;
      return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.';
    })
    .join('');
}
