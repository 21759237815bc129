/** Disks and their majors, as drivers add and remove them (block/genhd.c, block/bdev.c). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import {
  capacityOf,
  DISK,
  deviceOfInode,
  diskState,
  kdevOf,
  setCapacity,
  setDiskState,
  wholeOf,
} from '../block/device.ts';
import {
  addDisk,
  allocateDisk,
  changeCapacity,
  deleteDisk,
  emptyDisk,
  releaseDisk,
  renumber,
} from '../block/disk.ts';
import { registerMajor, unregisterMajor } from '../block/majors.ts';
import { invalidate, synchronise } from '../block/pages.ts';
import { releasePartition, tellDisk, tellPartition } from '../block/partition-devices.ts';
import { scanPartitions } from '../block/partitions.ts';
import { allocateQueue } from '../block/queue.ts';
import { kobjectOf } from '../driver/names.ts';
import { isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';
import { put } from './kobject.ts';

/** A disk over a queue of its own, without requests. */
export function allocateForBios(k: Linux, limits: Address): Address {
  const queue = allocateQueue(k, limits, false);
  if (isError(queue)) return queue;
  const disk = allocateDisk(k, queue);
  setDiskState(k, disk, DISK.OWNS_QUEUE, true);
  return disk;
}

function* release(k: Linux, disk: Address): Steps<void> {
  if (disk !== 0) yield* put(k, kobjectOf(k, kdevOf(k, disk)));
}

export const blockFunctions = kernelFunctions({
  'int __register_blkdev(unsigned int major, const char *name, void (*probe)(dev_t devt))': (
    k,
    major,
    name,
    probe,
  ) => registerMajor(k, major, k.memory.cstring(name), probe),
  'void unregister_blkdev(unsigned int major, const char *name)': (k, major, name) =>
    unregisterMajor(k, major, k.memory.cstring(name)),
  'struct gendisk *__blk_alloc_disk(int node, struct lock_class_key *lkclass)': (k) => allocateForBios(k, 0),
  'int device_add_disk(struct device *parent, struct gendisk *disk, const struct attribute_group **groups)':
    addDisk,
  'void del_gendisk(struct gendisk *disk)': deleteDisk,
  'void put_disk(struct gendisk *disk)': release,
  'void disk_release(struct device *dev)': (k, kdev) =>
    releaseDisk(k, k.read('block_device.bd_disk', kdev - k.offset('block_device.bd_device'))),
  'void part_release(struct device *dev)': releasePartition,
  'int block_uevent(struct device *dev, struct kobj_uevent_env *env)': tellDisk,
  'int part_uevent(struct device *dev, struct kobj_uevent_env *env)': tellPartition,
  'void set_capacity(struct gendisk *disk, sector_t sectors)': (k, disk, sectors) =>
    setCapacity(k, wholeOf(k, disk), sectors),
  'bool set_capacity_and_notify(struct gendisk *disk, sector_t size)': changeCapacity,
  'void set_disk_ro(struct gendisk *disk, bool read_only)': (k, disk, on) =>
    setDiskState(k, disk, DISK.READ_ONLY, Number(on) !== 0),
  'struct block_device *I_BDEV(struct inode *inode)': deviceOfInode,
  'int sync_blockdev(struct block_device *bdev)': function* (k, device) {
    return device === 0 ? 0 : yield* synchronise(k, device);
  },
  'void invalidate_bdev(struct block_device *bdev)': (k, device) => invalidate(k, device),
  'void invalidate_disk(struct gendisk *disk)': emptyDisk,
  'int bdev_disk_changed(struct gendisk *disk, bool invalidate)': (k, disk, forget) =>
    scanPartitions(k, disk, Number(forget) !== 0),
  'bool disk_force_media_change(struct gendisk *disk, unsigned int events)': function* (k, disk) {
    yield* mediaChanged(k, disk);
    return true;
  },
  'void disk_uevent(struct gendisk *disk, enum kobject_action action)': () => undefined,
});

/** disk_force_media_change: another disk may be in there now. */
export function* mediaChanged(k: Linux, disk: Address): Steps<void> {
  renumber(k, disk);
  yield* synchronise(k, wholeOf(k, disk));
  invalidate(k, wholeOf(k, disk));
  if (capacityOf(k, wholeOf(k, disk)) > 0 && diskState(k, disk, DISK.ADDED))
    setDiskState(k, disk, DISK.NEED_PART_SCAN, true);
}
