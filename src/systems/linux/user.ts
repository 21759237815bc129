/** What system calls do to the memory of the calling process. */
import { perKernel } from '../../kernel/kernel.ts';
import { UserBuffers } from '../../kernel/user-buffers.ts';
import { type Address, GuestFault, PAGE_SIZE } from '../../memory/space.ts';
import type { Linux } from './linux.ts';

/** Larger than any single transfer the shell and the tour make; frames are taken only for touched pages. */
const USER_PAGES = 4096;

export const userSpace = perKernel<UserBuffers, Linux>((k) => new UserBuffers(k, k.map.user, USER_PAGES));

/** access_ok: the range lies in the user half. */
export function accessOk(k: Linux, at: Address, bytes: number): boolean {
  return at >= 0 && bytes >= 0 && at + bytes <= k.map.userEnd;
}

/** copy_to_user: returns the bytes that could not be copied. Faults on the kernel's side are real faults. */
export function copyToUser(k: Linux, to: Address, from: Address, bytes: number): number {
  if (!accessOk(k, to, bytes)) return bytes;
  return copyPages(to, bytes, (at, size) => k.memory.write(to + at, k.memory.bytes(from + at, size)), to);
}

/** copy_from_user: returns the bytes that could not be copied; the rest of the target is zeroed, as the kernel does. */
export function copyFromUser(k: Linux, to: Address, from: Address, bytes: number): number {
  const left = accessOk(k, from, bytes)
    ? copyPages(from, bytes, (at, size) => k.memory.write(to + at, k.memory.bytes(from + at, size)), from)
    : bytes;
  if (left > 0) k.memory.fill(to + bytes - left, left, 0);
  return left;
}

/** Copies page by page of the user side, so that a fault in the middle counts what was done before it. */
function copyPages(
  user: Address,
  bytes: number,
  copy: (at: number, size: number) => void,
  base: Address,
): number {
  let done = 0;
  while (done < bytes) {
    const size = Math.min(bytes - done, PAGE_SIZE - ((user + done) % PAGE_SIZE));
    try {
      copy(done, size);
    } catch (error) {
      const ours = error instanceof GuestFault && error.va >= base && error.va < base + bytes;
      if (ours) return bytes - done;
      throw error;
    }
    done += size;
  }
  return 0;
}
