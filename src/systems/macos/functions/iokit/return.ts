/** I/O Kit's error numbers: their names, and what errno a program of the Unix side gets for them (iokit/IOKit/IOReturn.h). */
import { ERRNO } from '../../errno.ts';

interface Meaning {
  readonly name: string;
  readonly errno: number;
}

const of = (name: string, errno: number): Meaning => ({ name, errno });

/** Numbers of iokit_common_err. */
const MEANINGS: ReadonlyMap<number, Meaning> = new Map([
  [0x000, of('success', 0)],
  [0x2bc, of('general error', ERRNO.EIO)],
  [0x2bd, of('memory allocation error', ERRNO.ENOMEM)],
  [0x2be, of('resource shortage', ERRNO.EAGAIN)],
  [0x2c0, of('no such device', ERRNO.ENXIO)],
  [0x2c1, of('privilege violation', ERRNO.EACCES)],
  [0x2c2, of('invalid argument', ERRNO.EINVAL)],
  [0x2c5, of('device is opened exclusively', ERRNO.EBUSY)],
  [0x2c7, of('unsupported function', ERRNO.EINVAL)],
  [0x2c9, of('misc. I/O failure', ERRNO.EIO)],
  [0x2ca, of('bus error', ERRNO.EIO)],
  [0x2cc, of('cannot acquire lock', ERRNO.EBUSY)],
  [0x2cd, of('device is not open', ERRNO.EIO)],
  [0x2d5, of('device is busy', ERRNO.EBUSY)],
  [0x2d6, of('I/O timeout', ERRNO.EIO)],
  [0x2d8, of('not ready', ERRNO.EBUSY)],
  [0x2d9, of('device/channel is not attached', ERRNO.ENXIO)],
  [0x2db, of('no DMA space available', ERRNO.ENOMEM)],
  [0x2e2, of('not permitted', ERRNO.EPERM)],
  [0x2e7, of('request overrun', ERRNO.EIO)],
  [0x2eb, of('aborted', ERRNO.EIO)],
  [0x2ed, of('not responding', ERRNO.EBUSY)],
  [0x2f0, of('not found', ERRNO.ENOENT)],
]);
const COMMON = 0xe0000000;

const meaning = (value: number): Meaning | undefined =>
  value === 0 || value >>> 16 === COMMON >>> 16 ? MEANINGS.get(value & 0xffff) : undefined;

/** IOService::stringFromReturn */
export const ioReturnName = (value: number): string =>
  meaning(value)?.name ?? `0x${(value >>> 0).toString(16)}`;

/** IOService::errnoFromReturn */
export const errnoOf = (value: number): number => meaning(value)?.errno ?? ERRNO.EIO;
