/** The kernel's allocator: blocks of a pool that grows by pages, each with the caller that asked for it. */
import { Pool } from '../../kernel/pool.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { Macos } from './macos.ts';

/** Room for all kexts together; pages take memory only once they are touched. */
const HEAP_BYTES = 64 * 1024 * 1024;

/** A block was freed that is not in use, or with another size than it has. */
export class HeapMisuse extends Error {
  override readonly name = 'HeapMisuse';
}

export interface Leak {
  readonly bytes: number;
  readonly address: Address;
  readonly caller: Address;
}

export class Heap {
  private readonly pool: Pool<string>;
  private readonly k: Macos;

  constructor(k: Macos) {
    this.k = k;
    this.pool = new Pool<string>(k.map.heap, HEAP_BYTES, 16);
    k.memory.mapLazy(k.map.heap, HEAP_BYTES / PAGE_SIZE, Perm.R | Perm.W, 'kalloc');
  }

  /** Zeroed; 0 when there is no room. `zone` is the kernel's word for the kind of memory. */
  allocate(bytes: number, zone: string, align = 16): Address {
    if (!(bytes > 0 && bytes < HEAP_BYTES)) return 0;
    const at = this.pool.allocate(bytes, zone, this.k.caller(), align);
    if (at !== 0) this.k.memory.fill(at, bytes, 0);
    return at;
  }

  free(address: Address, bytes?: number): void {
    if (address === 0) return;
    const block = this.pool.free(address);
    if (block === undefined) throw new HeapMisuse(`no block in use begins at 0x${hex(address)}`);
    if (bytes !== undefined && bytes !== block.bytes) {
      throw new HeapMisuse(`0x${hex(address)} has ${block.bytes} bytes and was freed as ${bytes}`);
    }
  }

  size(address: Address): number | undefined {
    return this.pool.get(address)?.bytes;
  }

  get usedBytes(): number {
    return this.pool.usedBytes;
  }

  /** What callers in this range have taken and not given back. */
  heldBy(base: Address, bytes: number): Leak[] {
    return this.pool
      .all()
      .filter(({ caller }) => caller >= base && caller < base + bytes)
      .map(({ address, bytes: size, caller }) => ({ address, bytes: size, caller }));
  }
}

const hex = (address: Address): string => BigInt.asUintN(64, BigInt(address)).toString(16);
