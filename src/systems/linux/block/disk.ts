/** Disks: struct gendisk from its allocation to its last reference (block/genhd.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { kobjectOf } from '../driver/names.ts';
import { Errno } from '../errno.ts';
import { addDevice, adoptClass, deleteDevice, initialise as initialiseDevice } from '../functions/device.ts';
import { addGroups, createAndAdd, put, setName } from '../functions/kobject.ts';
import type { Linux } from '../linux.ts';
import { initList } from '../lists.ts';
import { majorOf, makeDevice, minorOf } from '../vfs/chrdev.ts';
import { nameOfDevice, partNumber } from './bio.ts';
import { blockClass } from './class.ts';
import {
  allocateDevice,
  blockDevices,
  capacityOf,
  DISK,
  diskOf,
  diskState,
  freeDevice,
  GENHD,
  hasPartitions,
  isLive,
  kdevOf,
  openers,
  partitionsOf,
  setCapacity,
  setDiskState,
  wholeOf,
} from './device.ts';
import { addDiskFiles, addQueueFiles, removeDiskFiles, statNumbers } from './disk-files.ts';
import { limit, limitsOf } from './limits.ts';
import { BLOCK_EXT_MAJOR, giveBackExtended, takeExtended } from './majors.ts';
import { destroyHardwareQueues } from './mq.ts';
import { rescan } from './open.ts';
import { invalidate, synchronise } from './pages.ts';
import { deviceType, removePartition } from './partition-devices.ts';

/** VM_READAHEAD_PAGES: 128 kB; and MAX_BDI_RATIO. */
const READ_AHEAD_PAGES = 32;
const WHOLE = 100;

const state = perKernel(() => ({ sequence: 0 }));

/** __alloc_disk_node: a disk over a queue, with one reference. */
export function allocateDisk(k: Linux, queue: Address): Address {
  const disk = k.heap.allocateZeroed(k.sizeof('gendisk'));
  const bdi = k.heap.allocateZeroed(k.sizeof('backing_dev_info'));
  k.write('backing_dev_info.refcnt.refcount.refs.counter', bdi, 1);
  k.write('backing_dev_info.ra_pages', bdi, READ_AHEAD_PAGES);
  k.write('backing_dev_info.io_pages', bdi, READ_AHEAD_PAGES);
  k.write('backing_dev_info.max_ratio', bdi, WHOLE);
  k.write('gendisk.bdi', disk, bdi);
  k.write('gendisk.queue', disk, queue);
  initMutex(k, disk + k.offset('gendisk.open_mutex'));
  initList(k, disk + k.offset('gendisk.slave_bdevs'));
  renumber(k, disk);
  const device = allocateDevice(k, disk, queue);
  k.write('gendisk.part0', disk, device);
  k.write('gendisk.part_tbl.xa_head', disk, device);
  k.write('request_queue.disk', queue, disk);
  const kdev = kdevOf(k, disk);
  initialiseDevice(k, kdev);
  k.write(
    'device.class',
    kdev,
    blockClass(k, (at, name) => adoptClass(k, at, name)),
  );
  k.write('device.type', kdev, deviceType(k, 'disk'));
  return disk;
}

function initMutex(k: Linux, mutex: Address): void {
  if (k.types.has('mutex.wait_list')) initList(k, mutex + k.offset('mutex.wait_list'));
}

/** inc_diskseq: no two disks, and no two media of one, have the same number. */
export function renumber(k: Linux, disk: Address): void {
  k.write('gendisk.diskseq', disk, ++k.state(state).sequence);
}

/** device_add_disk: 0 or a negative errno. */
export function* addDisk(k: Linux, parent: Address, disk: Address, groups: Address): Steps<number> {
  const number = numberFor(k, disk);
  if (number < 0) return number;
  const kdev = kdevOf(k, disk);
  const device = wholeOf(k, disk);
  const hidden = (k.read('gendisk.flags', disk) & GENHD.HIDDEN) !== 0;
  setName(k, kobjectOf(k, kdev), k.readString('gendisk.disk_name', disk));
  k.write('device.parent', kdev, parent);
  k.write('block_device.bd_dev', device, number);
  if (!hidden) k.write('device.devt', kdev, number);
  const error = yield* addDevice(k, kdev);
  if (error !== 0) {
    giveBackExtended(k, number);
    return error;
  }
  // What the disk is made of, and what is made of it.
  k.write('gendisk.slave_dir', disk, yield* createAndAdd(k, 'slaves', kobjectOf(k, kdev)));
  k.write('block_device.bd_holder_dir', device, yield* createAndAdd(k, 'holders', kobjectOf(k, kdev)));
  addDiskFiles(k, disk);
  addQueueFiles(k, disk);
  yield* addGroups(k, kobjectOf(k, kdev), groups);
  k.write('inode.i_rdev', device - k.offset('bdev_inode.bdev') + k.offset('bdev_inode.vfs_inode'), number);
  k.state(blockDevices).set(number, device);
  setDiskState(k, disk, DISK.ADDED, true);
  tellBacking(k, disk);
  if (
    !hidden &&
    capacityOf(k, device) > 0 &&
    hasPartitions(k, disk) &&
    !diskState(k, disk, DISK.SUPPRESS_PART_SCAN)
  )
    yield* rescan(k, disk);
  return 0;
}

/** The disk's number: the driver's, or one of the extended major's. */
function numberFor(k: Linux, disk: Address): number {
  const major = k.read('gendisk.major', disk);
  if (major !== 0) {
    const number = makeDevice(major, k.read('gendisk.first_minor', disk));
    return k.state(blockDevices).has(number) ? -Errno.EBUSY : number;
  }
  const minor = takeExtended(k);
  k.write('gendisk.major', disk, BLOCK_EXT_MAJOR);
  k.write('gendisk.first_minor', disk, minor);
  return makeDevice(BLOCK_EXT_MAJOR, minor);
}

/** disk_update_readahead: at least twice the best size of a transfer; and the most that one may be. */
export function tellBacking(k: Linux, disk: Address): void {
  const limits = limitsOf(k, k.read('gendisk.queue', disk));
  const bdi = k.read('gendisk.bdi', disk);
  const best = Math.floor((limit(k, limits, 'io_opt') * 2) / 4096);
  k.write('backing_dev_info.ra_pages', bdi, Math.max(best, READ_AHEAD_PAGES));
  k.write('backing_dev_info.io_pages', bdi, limit(k, limits, 'max_sectors') >>> 3);
}

/** del_gendisk. */
export function* deleteDisk(k: Linux, disk: Address): Steps<void> {
  if (!isLive(k, disk)) return;
  for (const part of partitionsOf(k, disk)) yield* removePartition(k, part);
  const device = wholeOf(k, disk);
  const number = k.read('block_device.bd_dev', device);
  yield* synchronise(k, device);
  invalidate(k, device, true);
  setDiskState(k, disk, DISK.DEAD, true);
  k.state(blockDevices).delete(number);
  setCapacity(k, device, 0);
  removeDiskFiles(k, disk);
  yield* put(k, k.read('block_device.bd_holder_dir', device));
  yield* put(k, k.read('gendisk.slave_dir', disk));
  k.write('gendisk.slave_dir', disk, 0);
  yield* deleteDevice(k, kdevOf(k, disk));
  giveBackExtended(k, number);
  if (diskState(k, disk, DISK.OWNS_QUEUE)) yield* dropQueue(k, disk);
}

/** blk_mq_exit_queue, for the queues that a disk brought with it. */
function* dropQueue(k: Linux, disk: Address): Steps<void> {
  const queue = k.read('gendisk.queue', disk);
  if (k.read('request_queue.mq_ops', queue) !== 0 && k.read('request_queue.nr_hw_queues', queue) > 0)
    yield* destroyHardwareQueues(k, queue);
}

/** disk_release: the last reference is gone. */
export function* releaseDisk(k: Linux, disk: Address): Steps<void> {
  const queue = k.read('gendisk.queue', disk);
  const device = wholeOf(k, disk);
  if (diskState(k, disk, DISK.OWNS_QUEUE)) yield* dropQueue(k, disk);
  const free = k.read('block_device_operations.free_disk', k.read('gendisk.fops', disk) || 0);
  k.write('request_queue.disk', queue, 0);
  if (diskState(k, disk, DISK.ADDED) && free !== 0) yield* k.call(free, disk);
  invalidate(k, device, true);
  k.heap.free(k.read('gendisk.bdi', disk));
  freeDevice(k, device);
  k.heap.free(disk);
  k.heap.free(queue);
}

/** set_capacity_and_notify: true when users are told. */
export function changeCapacity(k: Linux, disk: Address, sectors: number): boolean {
  const device = wholeOf(k, disk);
  const before = capacityOf(k, device);
  setCapacity(k, device, sectors);
  const hidden = (k.read('gendisk.flags', disk) & GENHD.HIDDEN) !== 0;
  if (before === sectors || !isLive(k, disk) || hidden) return false;
  const name = k.readString('gendisk.disk_name', disk);
  k.printk(6, `${name}: detected capacity change from ${before} to ${sectors}`);
  return before > 0 && sectors > 0;
}

/** Disks in the order they came, each with its partitions behind it. */
const devices = (k: Linux): Address[] =>
  [...k.state(blockDevices).values()]
    .filter((device) => partNumber(k, device) === 0)
    .flatMap((device) => [device, ...partitionsOf(k, diskOf(k, device))]);

/** /proc/partitions. */
export function procPartitions(k: Linux): string {
  const rows = devices(k)
    .filter((device) => capacityOf(k, device) > 0)
    .map((device) => {
      const number = k.read('block_device.bd_dev', device);
      const blocks = String(Math.floor(capacityOf(k, device) / 2)).padStart(10);
      const where = `${String(majorOf(number)).padStart(4)}  ${String(minorOf(number)).padStart(7)}`;
      return `${where} ${blocks} ${nameOfDevice(k, device)}\n`;
    });
  return devices(k).length === 0 ? '' : `major minor  #blocks  name\n\n${rows.join('')}`;
}

/** /proc/diskstats (Documentation/admin-guide/iostats.rst). */
export function procDiskstats(k: Linux): string {
  return devices(k)
    .map((device) => {
      const number = k.read('block_device.bd_dev', device);
      const where = `${String(majorOf(number)).padStart(4)} ${String(minorOf(number)).padStart(7)}`;
      return `${where} ${nameOfDevice(k, device)} ${statNumbers(k, device).join(' ')}\n`;
    })
    .join('');
}

/** invalidate_disk: as if nobody had ever opened it. */
export function* emptyDisk(k: Linux, disk: Address): Steps<void> {
  const device = wholeOf(k, disk);
  if (openers(k, device) > 0) yield* synchronise(k, device);
  invalidate(k, device);
  setCapacity(k, device, 0);
}
