/** Opening and closing of block devices (block/bdev.c, blkdev_get_by_dev and blkdev_put). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import { lockMutex, unlockMutex } from '../functions/locks.ts';
import { TASK } from '../functions/sched.ts';
import type { Linux } from '../linux.ts';
import { modulePut, tryModuleGet } from '../refcount.ts';
import {
  blockDevices,
  capacityOf,
  DISK,
  diskOf,
  diskState,
  isLive,
  openers,
  queueOf,
  setDiskState,
  setFirstBlockSize,
  wholeOf,
} from './device.ts';
import { limit, limitsOf } from './limits.ts';
import { requestDisk } from './majors.ts';
import { invalidate, synchronise } from './pages.ts';
import { scanPartitions } from './partitions.ts';

/** FMODE_READ and its like are BLK_OPEN_READ and its like in every kernel. */
export const OPEN = { READ: 1, WRITE: 2 } as const;

/** From 6.5 on a driver is opened with its disk, and closed without a mode. */
const byDisk = (k: Linux): boolean => k.types.has('gendisk.open_mode');

/** Opens the device of a number: the device, or a negative errno. */
export function* openDevice(k: Linux, number: number, mode: number): Steps<Address> {
  const devices = k.state(blockDevices);
  if (!devices.has(number)) yield* requestDisk(k, number);
  const device = devices.get(number);
  if (device === undefined) return -Errno.ENXIO;
  const disk = diskOf(k, device);
  const owner = k.read('block_device_operations.owner', k.read('gendisk.fops', disk));
  const mutex = openMutex(k, disk);
  yield* lockMutex(k, mutex, TASK.UNINTERRUPTIBLE);
  const gone = !isLive(k, disk) || !tryModuleGet(k, owner);
  const error = gone ? -Errno.ENXIO : yield* openEither(k, device, disk, mode);
  unlockMutex(k, mutex);
  if (error === 0) return device;
  if (!gone) modulePut(k, owner);
  return error;
}

/** What opening, closing and looking for partitions of a disk happen under. */
const openMutex = (k: Linux, disk: Address): Address => disk + k.offset('gendisk.open_mutex');

/** blkdev_get_part: with a partition the whole disk is open, too. */
function* openEither(k: Linux, device: Address, disk: Address, mode: number): Steps<number> {
  const whole = wholeOf(k, disk);
  const error = yield* openWhole(k, whole, disk, mode);
  if (error !== 0 || device === whole) return error;
  if (capacityOf(k, device) === 0 || !isPresent(k, device)) {
    yield* closeWhole(k, disk, mode);
    return -Errno.ENXIO;
  }
  if (openers(k, device) === 0) setFirstBlockSize(k, device, blockOf(k, device));
  changeOpeners(k, device, 1);
  k.write('gendisk.open_partitions', disk, k.read('gendisk.open_partitions', disk) + 1);
  return 0;
}

/** A new look at the disk may have found other partitions. */
const isPresent = (k: Linux, device: Address): boolean =>
  k.state(blockDevices).get(k.read('block_device.bd_dev', device)) === device;

const blockOf = (k: Linux, device: Address): number =>
  limit(k, limitsOf(k, queueOf(k, device)), 'logical_block_size');

const changeOpeners = (k: Linux, device: Address, by: number): void =>
  k.write('block_device.bd_openers.counter', device, openers(k, device) + by);

/** blkdev_get_whole. */
function* openWhole(k: Linux, device: Address, disk: Address, mode: number): Steps<number> {
  const open = k.read('block_device_operations.open', k.read('gendisk.fops', disk));
  if (open !== 0) {
    const error = yield* k.callInt(open, byDisk(k) ? disk : device, mode);
    if (error !== 0) return error;
  }
  if (openers(k, device) === 0) setFirstBlockSize(k, device, blockOf(k, device));
  if (diskState(k, disk, DISK.NEED_PART_SCAN)) yield* scanPartitions(k, disk, false);
  changeOpeners(k, device, 1);
  return 0;
}

export function* closeDevice(k: Linux, device: Address, mode: number): Steps<void> {
  const disk = diskOf(k, device);
  if (openers(k, device) === 1) yield* synchronise(k, device);
  yield* lockMutex(k, openMutex(k, disk), TASK.UNINTERRUPTIBLE);
  if (device !== wholeOf(k, disk)) {
    changeOpeners(k, device, -1);
    if (openers(k, device) === 0) yield* forgetPages(k, device);
    k.write('gendisk.open_partitions', disk, k.read('gendisk.open_partitions', disk) - 1);
  }
  yield* closeWhole(k, disk, mode);
  unlockMutex(k, openMutex(k, disk));
  modulePut(k, k.read('block_device_operations.owner', k.read('gendisk.fops', disk)));
}

/** blkdev_put_whole. */
function* closeWhole(k: Linux, disk: Address, mode: number): Steps<void> {
  const device = wholeOf(k, disk);
  changeOpeners(k, device, -1);
  if (openers(k, device) === 0) yield* forgetPages(k, device);
  const release = k.read('block_device_operations.release', k.read('gendisk.fops', disk));
  if (release !== 0) yield* byDisk(k) ? k.call(release, disk) : k.call(release, disk, mode);
}

/** blkdev_flush_mapping. */
function* forgetPages(k: Linux, device: Address): Steps<void> {
  yield* synchronise(k, device);
  invalidate(k, device, true);
}

/** disk_scan_partitions: the disk is opened for a moment, which makes the scan; 0 or a negative errno. */
export function* rescan(k: Linux, disk: Address): Steps<number> {
  if (k.read('gendisk.open_partitions', disk) > 0) return -Errno.EBUSY;
  const number = k.read('block_device.bd_dev', wholeOf(k, disk));
  setDiskState(k, disk, DISK.NEED_PART_SCAN, true);
  const device = yield* openDevice(k, number, OPEN.READ);
  if (isError(device)) return device;
  yield* closeDevice(k, device, OPEN.READ);
  return 0;
}
