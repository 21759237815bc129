/** Error numbers as positive integers, x86 values (include/uapi/asm-generic/errno-base.h, errno.h). */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  ENOEXEC: 8,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  ENOTBLK: 15,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  ETXTBSY: 26,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EMLINK: 31,
  EPIPE: 32,
  EDOM: 33,
  ERANGE: 34,
  EDEADLK: 35,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  ETIME: 62,
  EPROTO: 71,
  ENOPKG: 65,
  EBADMSG: 74,
  EOVERFLOW: 75,
  ELIBBAD: 80,
  EILSEQ: 84,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  EADDRINUSE: 98,
  ENOBUFS: 105,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EALREADY: 114,
  EINPROGRESS: 115,
  ENOKEY: 126,
  EKEYREJECTED: 129,
  /** In-kernel codes that never reach a system call's caller (include/linux/errno.h). */
  ERESTARTSYS: 512,
  ENOIOCTLCMD: 515,
  EPROBE_DEFER: 517,
  ENOTSUPP: 524,
} as const;

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(Errno).map(([name, number]) => [number, name]),
);

/** `EINVAL` for 22; undefined for a number that has no name. */
export const errnoName = (errno: number): string | undefined => NAMES.get(errno);

/** Largest errno that a pointer can carry (include/linux/err.h, MAX_ERRNO). */
const MAX_ERRNO = 4095;

/** The address in a word of all bits; an error pointer of a 32-bit kernel is negative, as on 64 bits. */
export function addressOfWord(raw: bigint, bytes: 4 | 8): number {
  if (bytes === 8) return Number(BigInt.asIntN(64, raw));
  return raw > 0xffffffffn - BigInt(MAX_ERRNO) ? Number(raw) - 2 ** 32 : Number(raw);
}

/** IS_ERR: a "pointer" that is really a negative errno. */
export function isError(pointer: number): boolean {
  return pointer < 0 && pointer >= -MAX_ERRNO;
}
