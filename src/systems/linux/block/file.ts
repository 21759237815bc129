/** What an open block device does (block/fops.c, block/ioctl.c). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { CAPABILITY, currentMay } from '../cred.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { copyFromUser, copyToUser } from '../user.ts';
import { FMODE_READ, FMODE_WRITE, seekWithin } from '../vfs/file.ts';
import type { FileMethods } from '../vfs/node.ts';
import { partNumber, SECTOR } from './bio.ts';
import {
  blockSizeOf,
  bytesOf,
  capacityOf,
  deviceOfFile,
  diskOf,
  inodeOfDevice,
  isReadOnly,
  mappingOf,
  queueOf,
  setReadOnly,
} from './device.ts';
import { limit, limitsOf } from './limits.ts';
import { closeDevice, openDevice, rescan } from './open.ts';
import { find, has, invalidate, PAGE, pageForWrite, set, synchronise, uptodatePage } from './pages.ts';
import { mayScan } from './partitions.ts';
import { isOn } from './queue.ts';
import { initialise as initReadAhead, readAhead, remember } from './readahead.ts';

const modeOf = (k: Linux, file: Address): number => k.read('file.f_mode', file) & (FMODE_READ | FMODE_WRITE);

export const blockMethods: FileMethods = {
  *open(k, file) {
    const number = k.read('inode.i_rdev', k.read('file.f_inode', file));
    const device = yield* openDevice(k, number, modeOf(k, file));
    if (isError(device)) return device;
    k.write('file.f_mapping', file, mappingOf(k, device));
    initReadAhead(k, file, device);
    return 0;
  },
  *read(k, file, buffer, count, position) {
    const device = deviceOfFile(k, file);
    const from = k.memory.ptr(position);
    const end = Math.min(from + count, bytesOf(k, device));
    let at = from;
    while (at < end) {
      const page = yield* pageForRead(k, file, device, Math.floor(at / PAGE), Math.ceil(end / PAGE));
      if (isError(page)) {
        if (at === from) return page;
        break;
      }
      const bytes = Math.min(end - at, PAGE - (at % PAGE));
      const left = copyToUser(k, buffer + (at - from), k.heap.pages.addressOf(page) + (at % PAGE), bytes);
      at += bytes - left;
      if (left > 0) break;
    }
    remember(k, file, at);
    k.memory.setPtr(position, at);
    return at === from && end > from ? -Errno.EFAULT : Math.max(at - from, 0);
  },
  *write(k, file, buffer, count, position) {
    const device = deviceOfFile(k, file);
    if (isReadOnly(k, device)) return -Errno.EPERM;
    if (count === 0) return 0;
    const from = k.memory.ptr(position);
    if (from >= bytesOf(k, device)) return -Errno.ENOSPC;
    const end = Math.min(from + count, bytesOf(k, device));
    let at = from;
    while (at < end) {
      const bytes = Math.min(end - at, PAGE - (at % PAGE));
      const done = yield* writePage(k, device, at, bytes, buffer + (at - from));
      if (done <= 0) {
        if (at === from) return done;
        break;
      }
      at += done;
    }
    k.memory.setPtr(position, at);
    return at - from;
  },
  *seek(k, file, offset, whence) {
    const size = bytesOf(k, deviceOfFile(k, file));
    const base = [0, k.read('file.f_pos', file), size][whence];
    return base !== undefined && base + offset > size
      ? -Errno.EINVAL
      : seekWithin(k, file, offset, whence, size);
  },
  ioctl,
  *release(k, file) {
    yield* closeDevice(k, deviceOfFile(k, file), modeOf(k, file));
  },
};

/** filemap_get_pages: the page, after whatever reading ahead its absence or its mark asks for. */
function* pageForRead(k: Linux, file: Address, device: Address, index: number, end: number): Steps<Address> {
  const there = find(k, device, index);
  if (there === 0) yield* readAhead(k, file, device, index, end - index, false);
  else if (has(k, there, 'PG_readahead')) {
    set(k, there, 'PG_readahead', false);
    yield* readAhead(k, file, device, index, end - index, true);
  }
  return yield* uptodatePage(k, device, index);
}

function* writePage(k: Linux, device: Address, at: number, bytes: number, from: Address): Steps<number> {
  const offset = at % PAGE;
  const page = yield* pageForWrite(k, device, Math.floor(at / PAGE), offset, offset + bytes);
  if (isError(page)) return page;
  const left = copyFromUser(k, k.heap.pages.addressOf(page) + offset, from, bytes);
  if (left === bytes) return -Errno.EFAULT;
  set(k, page, 'PG_uptodate', true);
  set(k, page, 'PG_dirty', true);
  return bytes - left;
}

// -- ioctls --------------------------------------------------------------------------------------------------

/** include/uapi/linux/fs.h */
const BLK = {
  ROSET: 0x125d,
  ROGET: 0x125e,
  RRPART: 0x125f,
  GETSIZE: 0x1260,
  FLSBUF: 0x1261,
  RASET: 0x1262,
  RAGET: 0x1263,
  FRASET: 0x1264,
  FRAGET: 0x1265,
  SECTGET: 0x1267,
  SSZGET: 0x1268,
  IOMIN: 0x1278,
  IOOPT: 0x1279,
  ALIGNOFF: 0x127a,
  PBSZGET: 0x127b,
  DISCARDZEROES: 0x127c,
  ROTATIONAL: 0x127e,
  GETDISKSEQ: 0x80081280,
} as const;
/** _IOR and _IOW of 0x12, 112 to 114 with a size_t, which has the width of a word. */
const sized = (k: Linux, direction: number, number: number): number =>
  (direction * 2 ** 30 + k.word * 2 ** 16 + 0x1200 + number) >>> 0;
const READ = 2;
const WRITE = 1;

function* ioctl(k: Linux, file: Address, raw: number, argument: number): Steps<number> {
  const device = deviceOfFile(k, file);
  const command = raw >>> 0;
  const known = yield* common(k, device, command, argument);
  if (known !== undefined) return known;
  const own = k.read('block_device_operations.ioctl', k.read('gendisk.fops', diskOf(k, device)));
  return own === 0 ? -Errno.ENOTTY : yield* k.callInt(own, device, modeOf(k, file), raw, argument);
}

/** blkdev_common_ioctl; undefined for what is the driver's own. */
function* common(k: Linux, device: Address, command: number, argument: number): Steps<number | undefined> {
  const number = answer(k, device, command);
  if (number !== undefined) return putUser(k, argument, number.value, number.bytes);
  const privileged = currentMay(k, CAPABILITY.SYS_ADMIN);
  switch (command) {
    case BLK.FLSBUF:
      if (!privileged) return -Errno.EACCES;
      yield* synchronise(k, device);
      invalidate(k, device);
      return 0;
    case BLK.ROSET:
      return privileged ? yield* setReadOnlyFrom(k, device, argument) : -Errno.EACCES;
    case BLK.RASET:
    case BLK.FRASET:
      if (!privileged) return -Errno.EACCES;
      k.write('backing_dev_info.ra_pages', bdiOf(k, device), Math.floor((argument * SECTOR) / PAGE));
      return 0;
    case BLK.RRPART:
      if (!privileged) return -Errno.EACCES;
      if (partNumber(k, device) > 0 || !mayScan(k, diskOf(k, device))) return -Errno.EINVAL;
      return yield* rescan(k, diskOf(k, device));
    case sized(k, WRITE, 113):
      return privileged ? setBlockSize(k, device, argument) : -Errno.EACCES;
    default:
      return undefined;
  }
}

const bdiOf = (k: Linux, device: Address): Address => k.read('gendisk.bdi', diskOf(k, device));

/** Commands that ask for one number, and how wide it is. */
function answer(k: Linux, device: Address, command: number): { value: number; bytes: number } | undefined {
  const limits = limitsOf(k, queueOf(k, device));
  const of = (name: string) => ({ value: limit(k, limits, name), bytes: 4 });
  switch (command) {
    case sized(k, READ, 114):
      return { value: bytesOf(k, device), bytes: 8 };
    case BLK.GETSIZE:
      return { value: capacityOf(k, device), bytes: k.word };
    case BLK.RAGET:
    case BLK.FRAGET:
      return {
        value: (k.read('backing_dev_info.ra_pages', bdiOf(k, device)) * PAGE) / SECTOR,
        bytes: k.word,
      };
    case sized(k, READ, 112):
      return { value: blockSizeOf(k, device), bytes: 4 };
    case BLK.GETDISKSEQ:
      return { value: k.read('gendisk.diskseq', diskOf(k, device)), bytes: 8 };
    case BLK.ROGET:
      return { value: Number(isReadOnly(k, device)), bytes: 4 };
    case BLK.SECTGET:
      return { value: Math.min(limit(k, limits, 'max_sectors'), 0xffff), bytes: 2 };
    case BLK.DISCARDZEROES:
      return { value: 0, bytes: 4 };
    case BLK.ROTATIONAL:
      return { value: Number(isOn(k, queueOf(k, device), 'rotational')), bytes: 2 };
    case BLK.SSZGET:
      return of('logical_block_size');
    case BLK.PBSZGET:
      return of('physical_block_size');
    case BLK.IOMIN:
      return of('io_min');
    case BLK.IOOPT:
      return of('io_opt');
    case BLK.ALIGNOFF:
      return of('alignment_offset');
    default:
      return undefined;
  }
}

function putUser(k: Linux, to: Address, value: number, bytes: number): number {
  const cell = k.heap.allocateZeroed(8);
  k.memory.setU64(cell, BigInt(value));
  const left = copyToUser(k, to, cell, bytes);
  k.heap.free(cell);
  return left === 0 ? 0 : -Errno.EFAULT;
}

function intFrom(k: Linux, from: Address): number | undefined {
  const cell = k.heap.allocateZeroed(8);
  const left = copyFromUser(k, cell, from, 4);
  const value = k.memory.i32(cell);
  k.heap.free(cell);
  return left === 0 ? value : undefined;
}

/** blkdev_roset: the driver may have a say. */
function* setReadOnlyFrom(k: Linux, device: Address, argument: Address): Steps<number> {
  const wanted = intFrom(k, argument);
  if (wanted === undefined) return -Errno.EFAULT;
  const own = k.read('block_device_operations.set_read_only', k.read('gendisk.fops', diskOf(k, device)));
  const error = own === 0 ? 0 : yield* k.callInt(own, device, Number(wanted !== 0));
  if (error === 0) setReadOnly(k, device, wanted !== 0);
  return error;
}

/** set_blocksize: a power of two from the device's own block to a page. */
function setBlockSize(k: Linux, device: Address, argument: Address): number {
  const size = intFrom(k, argument);
  if (size === undefined) return -Errno.EFAULT;
  const logical = limit(k, limitsOf(k, queueOf(k, device)), 'logical_block_size');
  if (size > PAGE || size < logical || (size & (size - 1)) !== 0) return -Errno.EINVAL;
  k.write('inode.i_blkbits', inodeOfDevice(k, device), Math.log2(size));
  return 0;
}
