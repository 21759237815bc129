/** FreeBSD's error numbers and their texts (sys/errno.h, strerror(3)). */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  ENOEXEC: 8,
  EBADF: 9,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
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
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EPIPE: 32,
  ERANGE: 34,
  EWOULDBLOCK: 35,
  EOPNOTSUPP: 45,
  ETIMEDOUT: 60,
  ENAMETOOLONG: 63,
  ENOTEMPTY: 66,
  ENOSYS: 78,
  EJUSTRETURN: -2,
  ENOIOCTL: -3,
} as const;

const TEXTS: Readonly<Record<number, string>> = {
  1: 'Operation not permitted',
  2: 'No such file or directory',
  4: 'Interrupted system call',
  5: 'Input/output error',
  6: 'Device not configured',
  7: 'Argument list too long',
  8: 'Exec format error',
  9: 'Bad file descriptor',
  12: 'Cannot allocate memory',
  13: 'Permission denied',
  14: 'Bad address',
  16: 'Device busy',
  17: 'File exists',
  18: 'Cross-device link',
  19: 'Operation not supported by device',
  20: 'Not a directory',
  21: 'Is a directory',
  22: 'Invalid argument',
  23: 'Too many open files in system',
  24: 'Too many open files',
  25: 'Inappropriate ioctl for device',
  27: 'File too large',
  28: 'No space left on device',
  29: 'Illegal seek',
  30: 'Read-only file system',
  32: 'Broken pipe',
  34: 'Result too large',
  35: 'Resource temporarily unavailable',
  45: 'Operation not supported',
  60: 'Operation timed out',
  63: 'File name too long',
  66: 'Directory not empty',
  78: 'Function not implemented',
};

/** strerror(3). */
export function errorText(errno: number): string {
  return TEXTS[errno] ?? `Unknown error: ${errno}`;
}

/** A system call's error; `why` and `hint` are ours, for a person who wants to know more than the number. */
export class KernelErrno extends Error {
  readonly errno: number;
  readonly why: string;
  readonly hint: string;

  constructor(errno: number, why = '', hint = '') {
    super(why === '' ? errorText(errno) : why);
    this.name = 'KernelErrno';
    this.errno = errno;
    this.why = why;
    this.hint = hint;
  }
}
