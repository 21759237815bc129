/** The calling process's memory, as far as a system call reaches into it: buffers that live as long as the call. */
import { perKernel } from '../../kernel/kernel.ts';
import { UserBuffers } from '../../kernel/user-buffers.ts';
import { type Address, GuestFault, PAGE_SIZE } from '../../memory/space.ts';
import type { Solaris } from './solaris.ts';

export const userSpace = perKernel<UserBuffers, Solaris>(
  (k) => new UserBuffers(k, k.map.user.base, k.map.user.bytes / PAGE_SIZE),
);

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
