/** Error numbers of Solaris (Intro(2)) and the texts of its strerror(3C), which the commands print. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENOTTY: 25,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  ERANGE: 34,
  ENOTSUP: 48,
  ENOSTR: 60,
  ETIME: 62,
  ENAMETOOLONG: 78,
  ENOSYS: 89,
  EALREADY: 149,
} as const;

const TEXTS: Readonly<Record<number, string>> = {
  1: 'Not owner',
  2: 'No such file or directory',
  3: 'No such process',
  4: 'Interrupted system call',
  5: 'I/O error',
  6: 'No such device or address',
  7: 'Arg list too long',
  8: 'Exec format error',
  9: 'Bad file number',
  11: 'Resource temporarily unavailable',
  12: 'Not enough space',
  13: 'Permission denied',
  14: 'Bad address',
  16: 'Device busy',
  17: 'File exists',
  19: 'No such device',
  20: 'Not a directory',
  21: 'Is a directory',
  22: 'Invalid argument',
  24: 'Too many open files',
  25: 'Inappropriate ioctl for device',
  27: 'File too large',
  28: 'No space left on device',
  30: 'Read-only file system',
  33: 'Argument out of domain',
  34: 'Result too large',
  48: 'Operation not supported',
  60: 'Not a stream device',
  62: 'Timer expired',
  71: 'Protocol error',
  78: 'File name too long',
  79: 'Value too large for defined data type',
  89: 'Operation not applicable',
  149: 'Operation already in progress',
  150: 'Operation now in progress',
};

/** strerror(3C). */
export function errorText(errno: number): string {
  return TEXTS[errno] ?? 'Unknown error';
}

/** `EINVAL`; the number itself where it has no name here. */
export function errorName(errno: number): string {
  return Object.entries(Errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
}
