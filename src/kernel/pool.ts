/**
 * A heap in guest memory: first fit over one range of addresses, with a note of who took each block. For systems whose
 * kernels have one pool for everything. Where the blocks are is known here only: machine code sees their bytes.
 */
import { roundUp } from '../bytes/align.ts';
import type { Address } from '../memory/address.ts';

export interface PoolBlock<Owner> {
  readonly address: Address;
  readonly bytes: number;
  readonly owner: Owner | undefined;
  /** Where machine code asked for it; 0 = the kernel itself. */
  readonly caller: Address;
}

export class Pool<Owner = unknown> {
  readonly base: Address;
  readonly end: Address;
  private readonly align: number;
  /** By address. */
  private readonly blocks: PoolBlock<Owner>[] = [];
  private used = 0;

  /** @param align of every block, a power of two */
  constructor(base: Address, bytes: number, align = 16) {
    this.base = base;
    this.end = base + bytes;
    this.align = align;
  }

  /** 0 when there is no room for so much in one piece. */
  allocate(bytes: number, owner?: Owner, caller: Address = 0, align = this.align): Address {
    const step = Math.max(align, this.align);
    // A block of no bytes has an address of its own all the same.
    const room = Math.max(bytes, 1);
    let at = roundUp(this.base, step);
    let i = 0;
    for (; i < this.blocks.length; i++) {
      const next = this.blocks[i];
      if (at + room <= next.address) break;
      at = roundUp(next.address + Math.max(next.bytes, 1), step);
    }
    if (!(bytes >= 0) || at + room > this.end) return 0;
    this.blocks.splice(i, 0, { address: at, bytes, owner, caller });
    this.used += bytes;
    return at;
  }

  /** The block that begins there, taken out of use; undefined when none does. */
  free(address: Address): PoolBlock<Owner> | undefined {
    const at = this.find(address);
    if (at < 0) return undefined;
    const [block] = this.blocks.splice(at, 1);
    this.used -= block.bytes;
    return block;
  }

  /** The block that begins there. */
  get(address: Address): PoolBlock<Owner> | undefined {
    const at = this.find(address);
    return at < 0 ? undefined : this.blocks[at];
  }

  /** All blocks in use, by address. */
  all(): readonly PoolBlock<Owner>[] {
    return this.blocks;
  }

  get usedBytes(): number {
    return this.used;
  }

  private find(address: Address): number {
    let low = 0;
    let high = this.blocks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.blocks[middle].address < address) low = middle + 1;
      else high = middle;
    }
    return this.blocks[low]?.address === address ? low : -1;
  }
}
