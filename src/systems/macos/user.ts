/** Buffers of the calling process, in the user half of the address space. */
import { perKernel } from '../../kernel/kernel.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { Macos } from './macos.ts';
import { MAP } from './map.ts';

/** Larger than any single transfer of the shell; pages take memory once they are touched. */
const PAGES = 1024;

class UserBuffers {
  private readonly k: Macos;
  private next = MAP.user as Address;

  constructor(k: Macos) {
    this.k = k;
    k.memory.mapLazy(MAP.user, PAGES, Perm.R | Perm.W | Perm.U, 'user buffers', () => undefined);
  }

  /** Room for the duration of `use`. @throws RangeError when a transfer is larger than the area */
  *with<T, R>(bytes: number, use: (at: Address) => Generator<R, T, number>): Generator<R, T, number> {
    const at = this.next;
    this.next += Math.max(16, Math.ceil(bytes / 16) * 16);
    if (this.next > MAP.user + PAGES * PAGE_SIZE) {
      this.next = at;
      throw new RangeError(`a transfer of ${bytes} bytes is larger than the user buffer area`);
    }
    try {
      this.k.memory.fill(at, bytes, 0);
      return yield* use(at);
    } finally {
      this.next = at;
    }
  }
}

export const userBuffers = perKernel<UserBuffers, Macos>((k) => new UserBuffers(k));
