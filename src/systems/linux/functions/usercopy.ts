/** Copies between kernel and user space, and the bounds that hardened usercopy checks. */
import { type Address, GuestFault, PAGE_SIZE } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { accessOk, copyFromUser, copyToUser } from '../user.ts';
import { callerOf, kernelBug, kernelWarning } from './caller.ts';
import { kernelFunctions } from './define.ts';

/** Longest string that strncpy_from_user and strnlen_user look at here; callers pass PATH_MAX or less. */
const MAX_STRING = 1 << 20;

/** Copies without knowing which side is the user's: what was not copied when either faults. */
function copyEither(k: Linux, to: Address, from: Address, bytes: number): number {
  let done = 0;
  try {
    while (done < bytes) {
      const size = Math.min(
        bytes - done,
        PAGE_SIZE - ((to + done) & (PAGE_SIZE - 1)),
        PAGE_SIZE - ((from + done) & (PAGE_SIZE - 1)),
      );
      k.memory.write(to + done, k.memory.bytes(from + done, size));
      done += size;
    }
  } catch (fault) {
    if (!(fault instanceof GuestFault)) throw fault;
  }
  return bytes - done;
}

/** Clears user memory; returns the bytes that could not be. */
export function clearUserMemory(k: Linux, to: Address, bytes: number): number {
  if (!accessOk(k, to, bytes)) return bytes;
  let done = 0;
  try {
    while (done < bytes) {
      const size = Math.min(bytes - done, PAGE_SIZE - ((to + done) & (PAGE_SIZE - 1)));
      k.memory.fill(to + done, size, 0);
      done += size;
    }
  } catch (fault) {
    if (!(fault instanceof GuestFault)) throw fault;
  }
  return bytes - done;
}

/** Reads a user string byte by byte: its length without NUL, `count` when there is none, -EFAULT. */
function userStringLength(k: Linux, at: Address, count: number): number {
  for (let i = 0; i < Math.min(count, MAX_STRING); i++) {
    try {
      if (!accessOk(k, at + i, 1)) return -Errno.EFAULT;
      if (k.memory.u8(at + i) === 0) return i;
    } catch (fault) {
      if (!(fault instanceof GuestFault)) throw fault;
      return -Errno.EFAULT;
    }
  }
  return count;
}

/** usercopy_abort (mm/usercopy.c): a copy that would run over an object's end. */
function abortCopy(
  k: Linux,
  what: string,
  name: string,
  toUser: boolean,
  offset: number,
  bytes: number,
): never {
  const direction = toUser ? 'exposure' : 'overwrite';
  const preposition = toUser ? 'from' : 'to';
  const detail = name === '' ? '' : ` '${name}'`;
  k.printk(
    0,
    `usercopy: Kernel memory ${direction} attempt detected ${preposition} ${what}${detail} (offset ${offset}, size ${bytes})!`,
  );
  return kernelBug(k, 'mm/usercopy.c:101');
}

function checkObject(k: Linux, at: Address, bytes: number, toUser: boolean): void {
  if (bytes === 0) return;
  if (at >= 0 && at <= 16) abortCopy(k, 'null address', '', toUser, 0, bytes);
  const place = k.heap.objectAt(at);
  if (place !== undefined) {
    const { cache, offset } = place;
    const from = offset - cache.userOffset;
    if (from < 0 || from + bytes > cache.userSize)
      abortCopy(k, 'SLUB object', cache.name, toUser, offset, bytes);
    return;
  }
  const area = k.vmallocArea.find(at);
  if (area !== undefined && at + bytes > area.base + area.pages * PAGE_SIZE) {
    abortCopy(k, 'vmalloc', '', toUser, at - area.base, bytes);
  }
}

export const usercopy = kernelFunctions({
  'unsigned long _copy_from_user(void *to, const void *from, unsigned long n)': (k, to, from, n) =>
    copyFromUser(k, to, from, n),
  'unsigned long _copy_to_user(void *to, const void *from, unsigned long n)': (k, to, from, n) =>
    copyToUser(k, to, from, n),
  'unsigned long copy_user_generic_unrolled(void *to, const void *from, unsigned int len)': (
    k,
    to,
    from,
    n,
  ) => copyEither(k, to, from, n),
  'unsigned long copy_user_generic_string(void *to, const void *from, unsigned int len)': (k, to, from, n) =>
    copyEither(k, to, from, n),
  'unsigned long copy_user_enhanced_fast_string(void *to, const void *from, unsigned int len)': (
    k,
    to,
    from,
    n,
  ) => copyEither(k, to, from, n),
  'long __copy_user_nocache(void *dst, const void *src, unsigned int size, int zerorest)': (k, to, from, n) =>
    copyEither(k, to, from, n),
  'long strncpy_from_user(char *dst, const char *src, long count)': (k, dst, src, count) => {
    if (count <= 0) return 0;
    const length = userStringLength(k, src, count);
    if (length < 0) return length;
    const bytes = Math.min(length + (length < count ? 1 : 0), MAX_STRING);
    k.memory.write(dst, k.memory.bytes(src, bytes));
    return length;
  },
  'long strnlen_user(const char *str, long count)': (k, str, count) => {
    if (count <= 0) return 0;
    const length = userStringLength(k, str, count);
    // The length counts the NUL; 0 stands for a fault, count + 1 for "too long".
    return length < 0 ? 0 : length + 1;
  },
  'void __check_object_size(const void *ptr, unsigned long n, bool to_user)': (k, at, n, toUser) =>
    checkObject(k, at, n, toUser !== 0),
  'void __copy_overflow(int size, unsigned long count)': (k, size, count) =>
    kernelWarning(k, 'mm/maccess.c:228', `Buffer overflow detected (${size} < ${count})!`),
  'long copy_from_kernel_nofault(void *dst, const void *src, size_t size)': (k, dst, src, size) => {
    if (!inKernelHalf(k, src)) return -Errno.ERANGE;
    return copyEither(k, dst, src, size) === 0 ? 0 : -Errno.EFAULT;
  },
  'long copy_from_user_nofault(void *dst, const void *src, size_t size)': (k, dst, src, size) =>
    copyFromUser(k, dst, src, size) === 0 ? 0 : -Errno.EFAULT,
  'long copy_to_user_nofault(void *dst, const void *src, size_t size)': (k, dst, src, size) =>
    copyToUser(k, dst, src, size) === 0 ? 0 : -Errno.EFAULT,
  'void *memdup_user(const void *src, size_t len)': (k, src, length) => duplicate(k, src, length, false),
  'void *memdup_user_nul(const void *src, size_t len)': (k, src, length) => duplicate(k, src, length, true),
  'void *vmemdup_user(const void *src, size_t len)': (k, src, length) => duplicate(k, src, length, false),
  'char *strndup_user(const char *s, long n)': (k, s, n) => {
    const length = userStringLength(k, s, n);
    if (length < 0) return -Errno.EFAULT;
    if (length + 1 > n) return -Errno.EINVAL;
    return duplicate(k, s, length, true);
  },
  'int check_zeroed_user(const void *from, size_t size)': (k, from, size) => {
    try {
      if (!accessOk(k, from, size)) return -Errno.EFAULT;
      return k.memory.bytes(from, size).every((byte) => byte === 0) ? 1 : 0;
    } catch (fault) {
      if (!(fault instanceof GuestFault)) throw fault;
      return -Errno.EFAULT;
    }
  },
});

/** copy_from_kernel_nofault_allowed (arch/x86/mm/maccess.c): canonical and not of user space. */
function inKernelHalf(k: Linux, at: Address): boolean {
  if (k.word === 4) return at >= k.map.userEnd;
  return at < 0 && at >= -0x8000_0000_0000;
}

function duplicate(k: Linux, from: Address, length: number, terminate: boolean): Address {
  const bytes = length + (terminate ? 1 : 0);
  const to = k.heap.allocate(bytes, undefined, callerOf(k));
  if (to === 0) return -Errno.ENOMEM;
  if (copyFromUser(k, to, from, length) !== 0) {
    k.heap.free(to);
    return -Errno.EFAULT;
  }
  if (terminate) k.memory.set8(to + length, 0);
  return to;
}
