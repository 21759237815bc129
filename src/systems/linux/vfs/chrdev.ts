/** Character devices: numbers, cdevs and what opening a device file does (fs/char_dev.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import { moduleRequest } from '../functions/request-module.ts';
import type { Linux } from '../linux.ts';
import { modulePut, tryModuleGet } from '../refcount.ts';
import { guestMethods, releaseGuestFile, takeOperations } from './guestfile.ts';
import type { FileMethods } from './node.ts';

/** MINORBITS (include/linux/kdev_t.h). */
export const MINOR_BITS = 20;
export const MINOR_MASK = (1 << MINOR_BITS) - 1;
export const CHRDEV_MAJOR_MAX = 512;
/** Dynamic majors: 254 down to 234, then 511 down to 384 (Documentation/admin-guide/devices.txt). */
const DYNAMIC = { first: 254, last: 234, extendedFirst: 511, extendedLast: 384 };
/** Majors that a Debian machine has already given away from the top when the first module asks. */
const TAKEN_AT_BOOT = [254, 253, 252, 251, 250, 249, 248, 247];

export const makeDevice = (major: number, minor: number): number => major * 2 ** MINOR_BITS + minor;
export const majorOf = (device: number): number => Math.floor(device / 2 ** MINOR_BITS);
export const minorOf = (device: number): number => device % 2 ** MINOR_BITS;

export interface DeviceRegion {
  readonly major: number;
  readonly first: number;
  readonly count: number;
  readonly name: string;
}

/** The numbers that are given out and the cdevs behind them: indexes by number. */
export class CharacterDevices {
  readonly regions: DeviceRegion[] = TAKEN_AT_BOOT.map((major) => ({
    major,
    first: 0,
    count: 256,
    name: '',
  }));
  private readonly cdevs: { first: number; count: number; cdev: Address }[] = [];

  /** Inodes whose i_cdev points to a cdev (cdev->list): an index, the pointer is in the inode. */
  private readonly inodes = new Map<Address, Address>();
  /** cdevs that the kernel allocated and frees. */
  readonly allocated = new Set<Address>();

  remember(inode: Address, cdev: Address): void {
    this.inodes.set(inode, cdev);
  }

  inodesOf(cdev: Address): Address[] {
    const found = [...this.inodes].filter(([, of]) => of === cdev).map(([inode]) => inode);
    for (const inode of found) this.inodes.delete(inode);
    return found;
  }

  /** Reserves `count` numbers from `first`; 0 as major picks one. Returns the region or a negative errno. */
  reserve(major: number, first: number, count: number, name: string): DeviceRegion | number {
    if (major === 0) major = this.dynamicMajor();
    if (major < 0) return major;
    if (major >= CHRDEV_MAJOR_MAX) return -Errno.EINVAL;
    if (first + count > MINOR_MASK + 1) return -Errno.EINVAL;
    const taken = this.regions.some(
      (region) =>
        region.major === major && first < region.first + region.count && region.first < first + count,
    );
    if (taken) return -Errno.EBUSY;
    const region = { major, first, count, name };
    this.regions.push(region);
    return region;
  }

  release(major: number, first: number, count: number): boolean {
    const at = this.regions.findIndex((r) => r.major === major && r.first === first && r.count === count);
    if (at < 0) return false;
    this.regions.splice(at, 1);
    return true;
  }

  add(cdev: Address, first: number, count: number): void {
    this.cdevs.push({ first, count, cdev });
  }

  remove(cdev: Address): void {
    const at = this.cdevs.findIndex((entry) => entry.cdev === cdev);
    if (at >= 0) this.cdevs.splice(at, 1);
  }

  find(device: number): Address {
    return this.cdevs.find((entry) => device >= entry.first && device < entry.first + entry.count)?.cdev ?? 0;
  }

  private dynamicMajor(): number {
    const free = (major: number) => !this.regions.some((region) => region.major === major);
    for (let major = DYNAMIC.first; major >= DYNAMIC.last; major--) if (free(major)) return major;
    for (let major = DYNAMIC.extendedFirst; major >= DYNAMIC.extendedLast; major--)
      if (free(major)) return major;
    return -Errno.EBUSY;
  }
}

export const characterDevices = perKernel<CharacterDevices, Linux>(() => new CharacterDevices());

const counterOf = (cdev: Address): [path: string, base: Address] => [
  'cdev.kobj.kref.refcount.refs.counter',
  cdev,
];

/** cdev_get: the owner's module and the cdev itself. */
function holdCdev(k: Linux, cdev: Address): boolean {
  if (!tryModuleGet(k, k.read('cdev.owner', cdev))) return false;
  k.write(...counterOf(cdev), k.read(...counterOf(cdev)) + 1);
  return true;
}

/** cdev_put. */
export function putCdev(k: Linux, cdev: Address): void {
  if (cdev === 0) return;
  const owner = k.read('cdev.owner', cdev);
  dropCdev(k, cdev);
  modulePut(k, owner);
}

/**
 * The last reference makes the inodes forget the cdev (cdev_purge), frees one that the kernel allocated, and the name that
 * its kobject was given.
 */
export function dropCdev(k: Linux, cdev: Address): void {
  const count = k.read(...counterOf(cdev)) - 1;
  k.write(...counterOf(cdev), count);
  if (count !== 0) return;
  const name = k.read('cdev.kobj.name', cdev);
  const devices = k.state(characterDevices);
  for (const inode of devices.inodesOf(cdev)) k.write('inode.i_cdev', inode, 0);
  if (devices.allocated.delete(cdev)) k.heap.free(cdev);
  else k.write('cdev.kobj.name', cdev, 0);
  k.heap.free(name);
}

/** The driver of a number; where there is none the kernel asks for a module by the number (base_probe). */
function* driverOf(k: Linux, device: number): Steps<Address> {
  const devices = k.state(characterDevices);
  const known = devices.find(device);
  if (known !== 0) return known;
  const { load } = k.state(moduleRequest);
  const major = `char-major-${majorOf(device)}`;
  if ((yield* load(k, `${major}-${minorOf(device)}`, true)) > 0) yield* load(k, major, true);
  return devices.find(device);
}

/**
 * chrdev_open: the inode's cdev, else the driver found by number; takes its module and hands the file over to
 * its operations. The cdev and the operations are pinned separately, which is why an open device counts twice.
 */
export const characterMethods: FileMethods = {
  ...guestMethods,
  *open(k, file) {
    const devices = k.state(characterDevices);
    const inode = k.read('file.f_inode', file);
    const cdev = k.read('inode.i_cdev', inode) || (yield* driverOf(k, k.read('inode.i_rdev', inode)));
    if (cdev === 0 || !holdCdev(k, cdev)) return -Errno.ENXIO;
    k.write('inode.i_cdev', inode, cdev);
    devices.remember(inode, cdev);
    const operations = k.read('cdev.ops', cdev);
    if (!takeOperations(k, operations)) {
      putCdev(k, cdev);
      return -Errno.ENXIO;
    }
    k.write('file.f_op', file, operations);
    const open = k.read('file_operations.open', operations);
    const error = open === 0 ? 0 : yield* k.callInt(open, inode, file);
    if (error === 0) return 0;
    modulePut(k, k.read('file_operations.owner', k.read('file.f_op', file)));
    putCdev(k, cdev);
    return error;
  },
  *release(k, file) {
    const cdev = k.read('inode.i_cdev', k.read('file.f_inode', file));
    yield* releaseGuestFile(k, file);
    putCdev(k, cdev);
  },
};
