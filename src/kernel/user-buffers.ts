/**
 * The user side of system calls: one small address space that stands for the calling process, where the buffers of read,
 * write, ioctl and mount lie. Pages come into being at first touch.
 */
import { type Address, PAGE_SIZE, Perm } from '../memory/space.ts';
import type { Kernel } from './kernel.ts';

export class UserBuffers {
  private readonly k: Kernel;
  private readonly end: Address;
  private next: Address;

  /** `pages` from `base` on; larger than any single transfer, as only touched pages take memory. */
  constructor(k: Kernel, base: Address, pages: number) {
    this.k = k;
    this.next = base;
    this.end = base + pages * PAGE_SIZE;
    k.memory.mapLazy(base, pages, Perm.R | Perm.W | Perm.U, 'user buffers', () => undefined);
  }

  /** Room for `bytes`; given back by `release` of an earlier mark. @throws RangeError when it is full */
  allocate(bytes: number): Address {
    const at = this.next;
    this.next += Math.max(16, Math.ceil(bytes / 16) * 16);
    if (this.next <= this.end) return at;
    this.next = at;
    throw new RangeError(`a transfer of ${bytes} bytes is larger than the user buffer area`);
  }

  put(bytes: Uint8Array): Address {
    const at = this.allocate(bytes.length);
    this.k.memory.write(at, bytes);
    return at;
  }

  putString(text: string): Address {
    return this.put(new TextEncoder().encode(`${text}\0`));
  }

  mark(): Address {
    return this.next;
  }

  release(mark: Address): void {
    this.next = mark;
  }

  /** Zeroed room for the duration of `use`. @throws RangeError when it is full */
  *with<T, R>(bytes: number, use: (at: Address) => Generator<R, T, number>): Generator<R, T, number> {
    const at = this.allocate(bytes);
    try {
      this.k.memory.fill(at, bytes, 0);
      return yield* use(at);
    } finally {
      this.release(at);
    }
  }
}
