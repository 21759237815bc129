/** The buffers of the process on whose behalf a system call runs; pages come into being at first touch. */
import { perKernel } from '../../kernel/kernel.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { FreeBsd } from './freebsd.ts';

export class UserSpace {
  private readonly k: FreeBsd;
  private next: Address;

  constructor(k: FreeBsd) {
    const { base, pages } = k.map.user;
    this.k = k;
    this.next = base;
    k.memory.mapLazy(base, pages, Perm.R | Perm.W | Perm.U, 'user buffers');
  }

  /** @throws RangeError when it is full */
  allocate(bytes: number): Address {
    const { base, pages } = this.k.map.user;
    const at = this.next;
    this.next += Math.max(16, Math.ceil(bytes / 16) * 16);
    if (this.next > base + pages * PAGE_SIZE) {
      this.next = at;
      throw new RangeError(`a transfer of ${bytes} bytes is larger than the user buffer area`);
    }
    return at;
  }

  put(bytes: Uint8Array): Address {
    const at = this.allocate(bytes.length);
    this.k.memory.write(at, bytes);
    return at;
  }

  mark(): Address {
    return this.next;
  }

  release(mark: Address): void {
    this.next = mark;
  }
}

export const userSpace = perKernel<UserSpace, FreeBsd>((k) => new UserSpace(k));
