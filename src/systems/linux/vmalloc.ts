/** vmalloc space: virtually contiguous memory out of single frames. */
import { AreaError } from '../../memory/areas.ts';
import { OutOfMemory } from '../../memory/frames.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { AllocationIndex } from './allocations.ts';
import type { Linux } from './linux.ts';

interface Area {
  readonly base: Address;
  readonly pages: number;
  /** Frames of its own, freed with it; a vmap area borrows the caller's. */
  readonly owned: boolean;
}

export class Vmalloc {
  private readonly k: Linux;
  private readonly index: AllocationIndex;
  private readonly areas = new Map<Address, Area>();

  constructor(k: Linux, index: AllocationIndex) {
    this.k = k;
    this.index = index;
  }

  /** Zeroed memory; 0 when there is none. */
  allocate(size: number, caller: Address, perm: number = Perm.R | Perm.W): Address {
    const pages = Math.ceil(size / PAGE_SIZE);
    if (!(pages > 0) || pages > this.k.memory.frames.freePages) return 0;
    return this.attempt(() => {
      const base = this.k.mapPages(this.k.vmallocArea, pages, perm, 'vmalloc');
      this.areas.set(base, { base, pages, owned: true });
      this.index.add('vmalloc', base, size, caller);
      return base;
    });
  }

  /**
   * Maps frames that exist already into one run of addresses; 0 when there is no room. As many areas as there are
   * frames are enough: on a real kernel each costs memory too, here it would be the host's.
   */
  map(frames: readonly number[], caller: Address, perm: number = Perm.R | Perm.W): Address {
    if (frames.length === 0 || this.areas.size >= this.k.memory.frames.total) return 0;
    return this.attempt(() => {
      const base = this.k.vmallocArea.allocate(frames.length);
      frames.forEach((pfn, i) => {
        this.k.memory.map(base + i * PAGE_SIZE, pfn, 1, perm, 'vmap');
      });
      this.areas.set(base, { base, pages: frames.length, owned: false });
      this.index.add('vmalloc', base, frames.length * PAGE_SIZE, caller);
      return base;
    });
  }

  /** False when no area starts there. */
  free(base: Address): boolean {
    const area = this.areas.get(base);
    if (area === undefined) return false;
    this.areas.delete(base);
    this.index.remove(base);
    if (area.owned) this.k.unmapPages(this.k.vmallocArea, base, area.pages);
    else {
      this.k.memory.unmap(base, area.pages);
      this.k.vmallocArea.free(base);
    }
    return true;
  }

  /** Is this address in vmalloc space, mapped or not? (is_vmalloc_addr) */
  holds(address: Address): boolean {
    const { vmalloc, vmallocBytes } = this.k.map;
    return address >= vmalloc && address < vmalloc + vmallocBytes;
  }

  /** Bytes of the area that starts at `base`. */
  sizeOf(base: Address): number | undefined {
    const area = this.areas.get(base);
    return area === undefined ? undefined : area.pages * PAGE_SIZE;
  }

  private attempt(make: () => Address): Address {
    try {
      return make();
    } catch (error) {
      if (error instanceof OutOfMemory || error instanceof AreaError) return 0;
      throw error;
    }
  }
}
