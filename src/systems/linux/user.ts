/**
 * The user side of a system call: one small address space that stands for the calling process, where the
 * buffers of read, write, ioctl and mount lie. Pages come into being at first touch.
 */
import { perKernel } from '../../kernel/kernel.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { Linux } from './linux.ts';

/** Near the top of the lower half, where a real process has its stack. */
const USER_BASE = 0x7ffc00000000;
/** Larger than any single transfer the shell and the tour make; frames are taken only for touched pages. */
const USER_PAGES = 4096;

export class UserSpace {
  private readonly k: Linux;
  private next = USER_BASE;

  constructor(k: Linux) {
    this.k = k;
    k.memory.mapLazy(USER_BASE, USER_PAGES, Perm.R | Perm.W | Perm.U, 'user buffers', () => undefined);
  }

  /** Room for `bytes`; released by `release` of an earlier mark. Throws RangeError when it is full. */
  allocate(bytes: number): Address {
    const at = this.next;
    this.next += Math.max(16, Math.ceil(bytes / 16) * 16);
    if (this.next > USER_BASE + USER_PAGES * PAGE_SIZE) {
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

  putString(text: string): Address {
    return this.put(new TextEncoder().encode(text + '\0'));
  }

  mark(): Address {
    return this.next;
  }

  release(mark: Address): void {
    this.next = mark;
  }
}

export const userSpace = perKernel<UserSpace, Linux>((k) => new UserSpace(k));
