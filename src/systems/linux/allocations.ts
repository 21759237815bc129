/**
 * Who allocated what: an index by address of everything modules hold, for leak reports. The memory itself, its
 * reference counts and its `struct page` live in the guest.
 */
import type { Address } from '../../memory/space.ts';
import type { LinuxModule } from './module.ts';

export type AllocationKind = 'slab' | 'pages' | 'vmalloc' | 'percpu' | 'cache';

export interface Allocation {
  readonly kind: AllocationKind;
  readonly address: Address;
  /** As asked for by the caller. */
  readonly bytes: number;
  /** Where machine code called the allocator; 0 when the base kernel itself allocated. */
  readonly caller: Address;
  /** The module that `caller` lies in; undefined for the base kernel. */
  readonly owner: LinuxModule | undefined;
}

/** Allocations of modules by address; those of the base kernel are not recorded. */
export class AllocationIndex {
  private readonly ownerOf: (caller: Address) => LinuxModule | undefined;
  private readonly byAddress = new Map<Address, Allocation>();

  constructor(ownerOf: (caller: Address) => LinuxModule | undefined) {
    this.ownerOf = ownerOf;
  }

  add(kind: AllocationKind, address: Address, bytes: number, caller: Address): void {
    const owner = caller === 0 ? undefined : this.ownerOf(caller);
    if (owner !== undefined) this.byAddress.set(address, { kind, address, bytes, caller, owner });
  }

  remove(address: Address): void {
    this.byAddress.delete(address);
  }

  /** What the module allocated and has not freed, oldest first. */
  of(owner: LinuxModule): Allocation[] {
    return [...this.byAddress.values()].filter((allocation) => allocation.owner === owner);
  }

  /** Stops counting an allocation as its allocator's: it was handed to the kernel, which will free it. */
  disown(address: Address): void {
    this.byAddress.delete(address);
  }
}
