/** Block devices in the hands of other drivers: opened by number, claimed, and linked with the disks made of them (block/bdev.c, holder.c). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { sysfs } from '../sysfs.ts';
import { makeDevice } from '../vfs/chrdev.ts';
import { leave, namespace } from '../vfs/namespace.ts';
import { S_IFBLK, S_IFMT, symlink } from '../vfs/node.ts';
import { nameOfDevice } from './bio.ts';
import { blockDevices, diskOf, embedded, kdevOf, wholeOf } from './device.ts';
import { closeDevice, openDevice } from './open.ts';

/** FMODE_EXCL: for its holder alone. */
const EXCLUSIVE = 0x80;
const MODE = 3;

/** bd_prepare_to_claim: nobody else may have the device, or the disk it is on, for himself. */
export function prepareToClaim(k: Linux, device: Address, holder: Address): number {
  const whole = wholeOf(k, diskOf(k, device));
  const owner = k.read('block_device.bd_holder', device);
  const taken = owner !== 0 && owner !== holder;
  // The whole is marked with its own address when parts of it are claimed.
  const onWhole = k.read('block_device.bd_holder', whole);
  if (taken || (device !== whole && onWhole !== 0 && onWhole !== whole)) return -Errno.EBUSY;
  const claiming = k.read('block_device.bd_claiming', whole);
  if (claiming !== 0 && claiming !== holder) return -Errno.EBUSY;
  k.write('block_device.bd_claiming', whole, holder);
  return 0;
}

export function abortClaiming(k: Linux, device: Address): void {
  k.write('block_device.bd_claiming', wholeOf(k, diskOf(k, device)), 0);
}

function countHolders(k: Linux, device: Address, holder: Address, by: number): void {
  const count = k.read('block_device.bd_holders', device) + by;
  k.write('block_device.bd_holders', device, count);
  k.write('block_device.bd_holder', device, count === 0 ? 0 : holder);
}

/** blkdev_get_by_dev: the device, or a negative errno. */
export function* getDevice(k: Linux, number: number, mode: number, holder: Address): Steps<Address> {
  const device = yield* openDevice(k, number, mode & MODE);
  if (isError(device) || (mode & EXCLUSIVE) === 0) return device;
  const error = prepareToClaim(k, device, holder);
  if (error !== 0) {
    yield* closeDevice(k, device, mode & MODE);
    return error;
  }
  const whole = wholeOf(k, diskOf(k, device));
  if (whole !== device) countHolders(k, whole, whole, 1);
  countHolders(k, device, holder, 1);
  abortClaiming(k, device);
  return device;
}

/** blkdev_put. */
export function* putDevice(k: Linux, device: Address, mode: number): Steps<void> {
  if ((mode & EXCLUSIVE) !== 0) {
    const whole = wholeOf(k, diskOf(k, device));
    if (whole !== device) countHolders(k, whole, whole, -1);
    countHolders(k, device, k.read('block_device.bd_holder', device), -1);
  }
  yield* closeDevice(k, device, mode & MODE);
}

/** lookup_bdev: the number of the block device that a path leads to; 0, or a negative errno. */
export function* lookUp(k: Linux, path: Address, number: Address): Steps<number> {
  const place = yield* k.state(namespace).walk(k, k.memory.cstring(path));
  if (typeof place === 'number') return place;
  const inode = place.kind === 'node' ? 0 : k.read('dentry.d_inode', place.dentry);
  const mode = place.kind === 'node' ? place.node.mode : k.read('inode.i_mode', inode);
  const rdev = place.kind === 'node' ? place.node.rdev : k.read('inode.i_rdev', inode);
  yield* leave(k, place);
  if ((mode & S_IFMT) !== S_IFBLK) return -Errno.ENOTBLK;
  k.memory.set32(number, rdev);
  return 0;
}

/** name_to_dev_t: MAJOR:MINOR, or /dev/NAME of a disk or partition; 0 when it is neither. */
export function numberOfName(k: Linux, name: string): number {
  const pair = /^(\d+):(\d+)$/.exec(name);
  if (pair !== null) return makeDevice(Number(pair[1]), Number(pair[2]));
  if (!name.startsWith('/dev/')) return 0;
  for (const [number, device] of k.state(blockDevices))
    if (nameOfDevice(k, device) === name.slice('/dev/'.length)) return number;
  return 0;
}

/** bd_link_disk_holder: slaves/DEVICE below the disk, holders/DISK below the device. */
export function linkHolder(k: Linux, device: Address, disk: Address): number {
  const tree = k.state(sysfs);
  const slaves = tree.directoryOf(k.read('gendisk.slave_dir', disk) || 0);
  const holders = tree.directoryOf(k.read('block_device.bd_holder_dir', device) || 0);
  const [below, above] = [embedded(k, device), kdevOf(k, disk)].map((kdev) =>
    tree.directoryOf(kdev + k.offset('device.kobj')),
  );
  if (slaves === undefined || holders === undefined || below === undefined || above === undefined)
    return -Errno.EINVAL;
  slaves.add(symlink(below.name, below.path));
  holders.add(symlink(above.name, above.path));
  return 0;
}

export function unlinkHolder(k: Linux, device: Address, disk: Address): void {
  const tree = k.state(sysfs);
  tree.directoryOf(k.read('gendisk.slave_dir', disk) || 0)?.remove(nameOfDevice(k, device));
  const name = k.readString('gendisk.disk_name', disk);
  tree.directoryOf(k.read('block_device.bd_holder_dir', device) || 0)?.remove(name);
}
