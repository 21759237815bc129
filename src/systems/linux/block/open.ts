/** Opening and closing of block devices (block/bdev.c, blkdev_get_by_dev and blkdev_put). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { modulePut, tryModuleGet } from '../refcount.ts';
import {
  blockDevices,
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
  if (!isLive(k, disk) || !tryModuleGet(k, owner)) return -Errno.ENXIO;
  const error = yield* openWhole(k, device, disk, mode);
  if (error === 0) return device;
  modulePut(k, owner);
  return error;
}

/** blkdev_get_whole. */
function* openWhole(k: Linux, device: Address, disk: Address, mode: number): Steps<number> {
  const open = k.read('block_device_operations.open', k.read('gendisk.fops', disk));
  if (open !== 0) {
    const error = yield* k.callInt(open, byDisk(k) ? disk : device, mode);
    if (error !== 0) return error;
  }
  const logical = limit(k, limitsOf(k, queueOf(k, device)), 'logical_block_size');
  if (openers(k, device) === 0) setFirstBlockSize(k, device, logical);
  if (diskState(k, disk, DISK.NEED_PART_SCAN)) yield* scanPartitions(k, disk, false);
  k.write('block_device.bd_openers.counter', device, openers(k, device) + 1);
  return 0;
}

export function* closeDevice(k: Linux, device: Address, mode: number): Steps<void> {
  const disk = diskOf(k, device);
  if (openers(k, device) === 1) yield* synchronise(k, device);
  k.write('block_device.bd_openers.counter', device, openers(k, device) - 1);
  if (openers(k, device) === 0) {
    yield* synchronise(k, device);
    invalidate(k, device, true);
  }
  const operations = k.read('gendisk.fops', disk);
  const release = k.read('block_device_operations.release', operations);
  if (release !== 0) yield* byDisk(k) ? k.call(release, disk) : k.call(release, disk, mode);
  modulePut(k, k.read('block_device_operations.owner', operations));
}

/** disk_scan_partitions: the disk is opened for a moment, which makes the scan. */
export function* rescan(k: Linux, disk: Address): Steps<void> {
  const number = k.read('block_device.bd_dev', wholeOf(k, disk));
  setDiskState(k, disk, DISK.NEED_PART_SCAN, true);
  const device = yield* openDevice(k, number, OPEN.READ);
  if (device === wholeOf(k, disk)) yield* closeDevice(k, device, OPEN.READ);
}
