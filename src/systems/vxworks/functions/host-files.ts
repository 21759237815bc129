/**
 * `host:`, the device behind which the machine that a target was booted from offers its files; names without a device
 * are looked for there, as after ioDefPathSet. Files are read only: nothing of a module's goes to the host.
 */
import { ERROR } from '../errno.ts';
import { failed } from '../tasks.ts';
import type { VxWorks } from '../vxworks.ts';

export interface HostFile {
  readonly bytes: Uint8Array;
  position: number;
}

const DEVICE = 'host:';
/** Access modes of open(2), and what makes a file new or shorter. */
const O_ACCESS = 3;
const O_CREAT = 0x200;
const O_TRUNC = 0x400;
/** POSIX numbers. */
const EINVAL = 22;
const EROFS = 30;
/** ioctl codes of ioLib. */
export const FIONREAD = 1;
export const FIOSEEK = 7;
export const FIOWHERE = 8;

/** A file of the host; undefined when there is none, ERROR (with errno) when it is to be written. */
export function openHost(k: VxWorks, path: string, flags: number): HostFile | number | undefined {
  const bytes = k.hostFile(path.startsWith(DEVICE) ? path.slice(DEVICE.length) : path);
  if (bytes === undefined) return undefined;
  if ((flags & O_ACCESS) !== 0 || (flags & (O_CREAT | O_TRUNC)) !== 0) return failed(k, EROFS);
  return { bytes, position: 0 };
}

/** Reads on; gives how many bytes. */
export function readHost(k: VxWorks, file: HostFile, buffer: number, most: number): number {
  const part = file.bytes.subarray(file.position, file.position + Math.max(0, most));
  k.memory.write(buffer, part);
  file.position += part.length;
  return part.length;
}

export function ioctlHost(k: VxWorks, file: HostFile, code: number, argument: number): number {
  switch (code) {
    case FIONREAD:
      k.memory.set32(argument, Math.max(0, file.bytes.length - file.position));
      return 0;
    case FIOSEEK:
      if (argument < 0) return failed(k, EINVAL);
      file.position = argument;
      return 0;
    case FIOWHERE:
      return file.position;
    default:
      failed(k, EINVAL);
      return ERROR;
  }
}
