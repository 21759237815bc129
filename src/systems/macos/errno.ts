/** Error numbers (bsd/sys/errno.h) with the texts of strerror. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
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
  ENOSPC: 28,
  EPIPE: 32,
  EAGAIN: 35,
  ENAMETOOLONG: 63,
  ECONNREFUSED: 61,
} as const;

const TEXTS: ReadonlyMap<number, string> = new Map([
  [1, 'Operation not permitted'],
  [2, 'No such file or directory'],
  [5, 'Input/output error'],
  [6, 'Device not configured'],
  [7, 'Argument list too long'],
  [9, 'Bad file descriptor'],
  [12, 'Cannot allocate memory'],
  [13, 'Permission denied'],
  [14, 'Bad address'],
  [16, 'Resource busy'],
  [17, 'File exists'],
  [19, 'Operation not supported by device'],
  [20, 'Not a directory'],
  [21, 'Is a directory'],
  [22, 'Invalid argument'],
  [25, 'Inappropriate ioctl for device'],
  [28, 'No space left on device'],
  [32, 'Broken pipe'],
  [35, 'Resource temporarily unavailable'],
  [61, 'Connection refused'],
  [63, 'File name too long'],
]);

export function strerror(errno: number): string {
  return TEXTS.get(errno) ?? `Unknown error: ${errno}`;
}
