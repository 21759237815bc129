/**
 * The user side of a system call: one small address space that stands for the calling process, where the
 * buffers of read, write, ioctl and mount lie. Pages come into being at first touch.
 */
import { perKernel } from '../../kernel/kernel.ts';
import { type Address, GuestFault, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { Linux } from './linux.ts';

/** Larger than any single transfer the shell and the tour make; frames are taken only for touched pages. */
const USER_PAGES = 4096;

export class UserSpace {
  private readonly k: Linux;
  private readonly base: Address;
  private next: Address;

  constructor(k: Linux) {
    this.k = k;
    this.base = this.next = k.map.user;
    k.memory.mapLazy(this.base, USER_PAGES, Perm.R | Perm.W | Perm.U, 'user buffers', () => undefined);
  }

  /** Room for `bytes`; released by `release` of an earlier mark. Throws RangeError when it is full. */
  allocate(bytes: number): Address {
    const at = this.next;
    this.next += Math.max(16, Math.ceil(bytes / 16) * 16);
    if (this.next > this.base + USER_PAGES * PAGE_SIZE) {
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
