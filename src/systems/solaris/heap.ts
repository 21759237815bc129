/** kmem: the kernel's heap, with a note of which module took each block. */
import { Pool, type PoolBlock } from '../../kernel/pool.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { SolarisModule } from './module.ts';
import type { Solaris } from './solaris.ts';

/** A free that the kernel would not survive: the texts are those of its allocator with checks on. */
export class HeapMisuse extends Error {
  constructor(problem: string) {
    super(problem);
    this.name = 'HeapMisuse';
  }
}

export class Heap {
  private readonly k: Solaris;
  private readonly pool: Pool<SolarisModule>;

  constructor(k: Solaris) {
    this.k = k;
    const { base, bytes } = k.map.heap;
    this.pool = new Pool<SolarisModule>(base, bytes, 16);
    k.memory.mapLazy(base, bytes / PAGE_SIZE, Perm.R | Perm.W, 'kernel heap');
  }

  /** Zeroed memory; 0 when there is none. `caller` is where machine code asked for it. */
  allocate(bytes: number, caller: Address = 0, align?: number): Address {
    const owner = caller === 0 ? undefined : this.k.modules.at(caller);
    const at = this.pool.allocate(bytes, owner, caller, align);
    if (at !== 0) this.k.memory.fill(at, bytes, 0);
    return at;
  }

  /** As allocate, and throws when there is no memory: for the kernel's own small structures. */
  take(bytes: number): Address {
    const at = this.allocate(bytes);
    if (at === 0) throw new HeapMisuse('the kernel heap is exhausted');
    return at;
  }

  /** A string of the kernel's own. */
  takeString(text: string): Address {
    const bytes = new TextEncoder().encode(`${text}\0`);
    const at = this.take(bytes.length);
    this.k.memory.write(at, bytes);
    return at;
  }

  /** @throws HeapMisuse when there is no such block, or it is of another size */
  free(at: Address, bytes?: number): void {
    if (at === 0) return;
    const block = this.pool.get(at);
    if (block === undefined) {
      throw new HeapMisuse('invalid free: buffer not in cache, or freed twice');
    }
    if (bytes !== undefined && bytes !== block.bytes) {
      throw new HeapMisuse(`invalid free: ${bytes} bytes are given back, ${block.bytes} were allocated`);
    }
    this.pool.free(at);
  }

  get(at: Address): PoolBlock<SolarisModule> | undefined {
    return this.pool.get(at);
  }

  /** What a module took and did not give back. */
  of(module: SolarisModule): PoolBlock<SolarisModule>[] {
    return this.pool.all().filter(({ owner }) => owner === module);
  }

  get usedBytes(): number {
    return this.pool.usedBytes;
  }
}
