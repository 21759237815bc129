/** What drivers that stand on other disks call: claims, limits that add up, groups of processes, direct access (block/, drivers/dax/super.c). */
import { MissingFunctionReached } from '../../../kernel/missing.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { nameOfDevice } from '../block/bio.ts';
import {
  abortClaiming,
  getDevice,
  linkHolder,
  lookUp,
  numberOfName,
  prepareToClaim,
  putDevice,
  unlinkHolder,
} from '../block/claims.ts';
import { DISK, queueOf, setDiskState, startOf } from '../block/device.ts';
import { tellBacking } from '../block/disk.ts';
import { limitsOf } from '../block/limits.ts';
import { synchronise } from '../block/pages.ts';
import { isOn } from '../block/queue.ts';
import { stack } from '../block/stacking.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

/** freeze_bdev, on a device without a mounted filesystem. */
function* freeze(k: Linux, device: Address): Steps<number> {
  const depth = k.read('block_device.bd_fsfreeze_count', device);
  k.write('block_device.bd_fsfreeze_count', device, depth + 1);
  return depth > 0 ? 0 : yield* synchronise(k, device);
}

function thaw(k: Linux, device: Address): number {
  const depth = k.read('block_device.bd_fsfreeze_count', device);
  if (depth === 0) return -Errno.EINVAL;
  k.write('block_device.bd_fsfreeze_count', device, depth - 1);
  return 0;
}

/** disk_stack_limits. */
function stackDisk(k: Linux, disk: Address, device: Address, offset: number): void {
  const own = limitsOf(k, k.read('gendisk.queue', disk));
  const start = startOf(k, device) + Math.floor(offset / 512);
  if (stack(k, own, limitsOf(k, queueOf(k, device)), start) < 0) {
    const name = k.readString('gendisk.disk_name', disk);
    k.printk(5, `${name}: Warning: Device ${nameOfDevice(k, device)} is misaligned`);
  }
  tellBacking(k, disk);
}

export const blockHolders = kernelFunctions({
  'int bd_prepare_to_claim(struct block_device *bdev, void *holder)': prepareToClaim,
  'void bd_abort_claiming(struct block_device *bdev, void *holder)': abortClaiming,
  'struct block_device *blkdev_get_by_dev(dev_t dev, fmode_t mode, void *holder)': getDevice,
  'void blkdev_put(struct block_device *bdev, fmode_t mode)': putDevice,
  'int lookup_bdev(const char *pathname, dev_t *dev)': lookUp,
  'dev_t name_to_dev_t(const char *name)': (k, name) => numberOfName(k, k.memory.cstring(name)),
  'int bd_link_disk_holder(struct block_device *bdev, struct gendisk *disk)': linkHolder,
  'void bd_unlink_disk_holder(struct block_device *bdev, struct gendisk *disk)': unlinkHolder,
  'int freeze_bdev(struct block_device *bdev)': freeze,
  'int thaw_bdev(struct block_device *bdev)': thaw,
  'int blk_stack_limits(struct queue_limits *t, struct queue_limits *b, sector_t start)': stack,
  'void disk_stack_limits(struct gendisk *disk, struct block_device *bdev, sector_t offset)': stackDisk,
  'void disk_update_readahead(struct gendisk *disk)': tellBacking,
  'void blk_mark_disk_dead(struct gendisk *disk)': (k, disk) => setDiskState(k, disk, DISK.DEAD, true),
  // No disk here checks its data itself, so there is nothing to be taken back.
  'void blk_integrity_unregister(struct gendisk *disk)': () => undefined,
  // Groups of processes are not told apart: no bio belongs to one.
  'struct cgroup_subsys_state *bio_blkcg_css(struct bio *bio)': () => 0,
  'void bio_associate_blkg(struct bio *bio)': () => undefined,
  'void bio_clone_blkg_association(struct bio *dst, struct bio *src)': (k, to, from) =>
    k.write('bio.bi_blkg', to, k.read('bio.bi_blkg', from)),
  // IMA measures nothing while it has no policy.
  'int ima_measure_critical_data(const char *event_label, const char *event_name, const void *buf, size_t buf_len, bool hash, u8 *digest, size_t digest_len)':
    () => -Errno.ENOENT,
  // drivers/md/dm-builtin.c: a completion lies behind the kobject.
  'void dm_kobject_release(struct kobject *kobj)': function* (k, kobject) {
    yield* k.call(k.addressOf('complete'), kobject + k.sizeof('kobject'));
  },
});

// -- direct access: a device of which nobody has mapped anything -------------------------------------------------------

/** What the kernel keeps of one: its owner's pointer, and bits. Modules have only the address. */
const DAX = { owner: 0, flags: 8, bytes: 64 } as const;
const BIT = { ALIVE: 1, WRITE_CACHE: 2, SYNCHRONOUS: 4, NO_CACHE: 8, NO_MACHINE_CHECK: 16 } as const;

const flagsOf = (k: Linux, dax: Address): number => k.memory.u32(dax + DAX.flags);
const turn = (k: Linux, dax: Address, bit: number, on: boolean): void =>
  k.memory.set32(dax + DAX.flags, on ? flagsOf(k, dax) | bit : flagsOf(k, dax) & ~bit);
const isSet = (k: Linux, dax: Address, bit: number): number =>
  dax !== 0 && (flagsOf(k, dax) & bit) !== 0 ? 1 : 0;

export const daxFunctions = kernelFunctions({
  'struct dax_device *alloc_dax(void *private, const struct dax_operations *ops)': (k, owner) => {
    const dax = k.heap.allocateZeroed(DAX.bytes);
    k.memory.setPtr(dax + DAX.owner, owner);
    turn(k, dax, BIT.ALIVE, true);
    return dax;
  },
  'void put_dax(struct dax_device *dax_dev)': (k, dax) => {
    if (dax !== 0) k.heap.free(dax);
  },
  'void kill_dax(struct dax_device *dax_dev)': (k, dax) => {
    if (dax !== 0) turn(k, dax, BIT.ALIVE, false);
  },
  'void *dax_get_private(struct dax_device *dax_dev)': (k, dax) =>
    isSet(k, dax, BIT.ALIVE) === 1 ? k.memory.ptr(dax + DAX.owner) : 0,
  'void set_dax_nocache(struct dax_device *dax_dev)': (k, dax) => turn(k, dax, BIT.NO_CACHE, true),
  'void set_dax_nomc(struct dax_device *dax_dev)': (k, dax) => turn(k, dax, BIT.NO_MACHINE_CHECK, true),
  'void set_dax_synchronous(struct dax_device *dax_dev)': (k, dax) => turn(k, dax, BIT.SYNCHRONOUS, true),
  'bool dax_synchronous(struct dax_device *dax_dev)': (k, dax) => isSet(k, dax, BIT.SYNCHRONOUS),
  'void dax_write_cache(struct dax_device *dax_dev, bool wc)': (k, dax, on) =>
    turn(k, dax, BIT.WRITE_CACHE, Number(on) !== 0),
  'bool dax_write_cache_enabled(struct dax_device *dax_dev)': (k, dax) => isSet(k, dax, BIT.WRITE_CACHE),
  // Which disk a device of direct access stands behind is asked by fs_dax_get_by_bdev alone, which finds none.
  'int dax_add_host(struct dax_device *dax_dev, struct gendisk *disk)': () => 0,
  'void dax_remove_host(struct gendisk *disk)': () => undefined,
  'struct dax_device *fs_dax_get_by_bdev(struct block_device *bdev, u64 *start_off, void *holder, const struct dax_holder_operations *ops)':
    (k, device) => {
      if (isOn(k, queueOf(k, device), 'dax'))
        throw new MissingFunctionReached('block layer', 'dax_direct_access', nameOfDevice(k, device));
      return 0;
    },
});
