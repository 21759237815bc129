/** blk_status_t: what became of a bio or a request, as an errno and in words (block/blk-core.c, blk_errors). */
import { Errno } from '../errno.ts';

/** BLK_STS_* that stand for the same in every kernel (include/linux/blk_types.h). */
export const STATUS = { OK: 0, NOTSUPP: 1, RESOURCE: 9, IOERR: 10, DEV_RESOURCE: 13 } as const;

const MEANINGS: readonly (readonly [status: number, errno: number, words: string])[] = [
  [STATUS.OK, 0, ''],
  [STATUS.NOTSUPP, Errno.EOPNOTSUPP, 'operation not supported'],
  [2, Errno.ETIMEDOUT, 'timeout'],
  [3, Errno.ENOSPC, 'critical space allocation'],
  [4, 67, 'recoverable transport'],
  [5, 121, 'critical target'],
  [6, 52, 'critical nexus'],
  [7, Errno.ENODATA, 'critical medium'],
  [8, Errno.EILSEQ, 'protection'],
  [STATUS.RESOURCE, Errno.ENOMEM, 'kernel resource'],
  [11, 78, 'dm internal retry'],
  [12, Errno.EAGAIN, 'nonblocking retry'],
  [STATUS.DEV_RESOURCE, Errno.EBUSY, 'device resource'],
  [STATUS.IOERR, Errno.EIO, 'I/O'],
];

/** blk_status_to_errno: a negative errno, or 0. */
export function errnoOfStatus(status: number): number {
  const found = MEANINGS.find(([known]) => known === status);
  return found === undefined ? -Errno.EIO : -found[1] || 0;
}

/** errno_to_blk_status, of a negative errno. */
export function statusOfErrno(errno: number): number {
  return MEANINGS.find(([, known]) => known === -errno)?.[0] ?? STATUS.IOERR;
}

export function statusWords(status: number): string {
  return MEANINGS.find(([known]) => known === status)?.[2] ?? 'I/O';
}

/** enum req_op in the words of blk_op_str, which are also those of the log. */
const OPERATIONS: Readonly<Record<number, string>> = {
  0: 'READ',
  1: 'WRITE',
  2: 'FLUSH',
  3: 'DISCARD',
  5: 'SECURE_ERASE',
  9: 'WRITE_ZEROES',
  34: 'DRV_IN',
  35: 'DRV_OUT',
};

export const operationName = (operation: number): string => OPERATIONS[operation] ?? 'UNKNOWN';
