/** The calling process's memory, as far as a system call reaches into it: buffers that live as long as the call. */
import { perKernel } from '../../kernel/kernel.ts';
import { type Address, GuestFault, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { Solaris } from './solaris.ts';

export class UserSpace {
  private readonly k: Solaris;
  private readonly end: Address;
  private next: Address;

  constructor(k: Solaris) {
    this.k = k;
    const { base, bytes } = k.map.user;
    this.next = base;
    this.end = base + bytes;
    k.memory.mapLazy(base, bytes / PAGE_SIZE, Perm.R | Perm.W | Perm.U, 'user buffers');
  }

  /** @throws RangeError when it is full */
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
}

export const userSpace = perKernel<UserSpace, Solaris>((k) => new UserSpace(k));

/** Does the range lie below the kernel? */
export const isUser = (k: Solaris, at: Address, bytes: number): boolean =>
  at >= 0 && bytes >= 0 && at + bytes <= k.map.kernelBase;

/** copyin and copyout: false where the user's side cannot be reached. A fault of the kernel's side is a real one. */
export function copyUser(
  k: Solaris,
  to: Address,
  from: Address,
  bytes: number,
  user: 'to' | 'from',
): boolean {
  const side = user === 'to' ? to : from;
  if (!isUser(k, side, bytes)) return false;
  try {
    k.memory.write(to, k.memory.bytes(from, bytes));
    return true;
  } catch (error) {
    if (error instanceof GuestFault && error.va >= side && error.va < side + Math.max(1, bytes)) return false;
    throw error;
  }
}
