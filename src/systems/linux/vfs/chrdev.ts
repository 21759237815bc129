/** Character devices: numbers, cdevs and what opening a device file does (fs/char_dev.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
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
  readonly regions: DeviceRegion[] = TAKEN_AT_BOOT.map((major) => ({ major, first: 0, count: 256, name: '' }));
  private readonly cdevs: { first: number; count: number; cdev: Address }[] = [];

  /** Reserves `count` numbers from `first`; 0 as major picks one. Returns the region or a negative errno. */
  reserve(major: number, first: number, count: number, name: string): DeviceRegion | number {
    if (major === 0) major = this.dynamicMajor();
    if (major < 0) return major;
    if (major >= CHRDEV_MAJOR_MAX) return -Errno.EINVAL;
    if (first + count > MINOR_MASK + 1) return -Errno.EINVAL;
    const taken = this.regions.some(
      (region) => region.major === major && first < region.first + region.count && region.first < first + count,
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
    for (let major = DYNAMIC.extendedFirst; major >= DYNAMIC.extendedLast; major--) if (free(major)) return major;
    return -Errno.EBUSY;
  }
}

export const characterDevices = perKernel<CharacterDevices, Linux>(() => new CharacterDevices());

/** chrdev_open: finds the driver by number, takes its module and hands the file over to its operations. */
export const characterMethods: FileMethods = {
  ...guestMethods,
  *open(k, file) {
    const inode = k.read('file.f_inode', file);
    const cdev = k.state(characterDevices).find(k.read('inode.i_rdev', inode));
    if (cdev === 0) return -Errno.ENXIO;
    // cdev_get pins the module that owns the cdev, fops_get the one that owns the operations; chrdev_open keeps
    // both until release, which is why an open device counts twice.
    const owner = k.read('cdev.owner', cdev);
    if (!tryModuleGet(k, owner)) return -Errno.ENXIO;
    const operations = k.read('cdev.ops', cdev);
    if (!takeOperations(k, operations)) {
      modulePut(k, owner);
      return -Errno.ENXIO;
    }
    k.write('inode.i_cdev', inode, cdev);
    k.write('file.f_op', file, operations);
    const open = k.read('file_operations.open', operations);
    const error = open === 0 ? 0 : yield* k.callInt(open, inode, file);
    if (error !== 0) {
      modulePut(k, k.read('file_operations.owner', k.read('file.f_op', file)));
      modulePut(k, owner);
      return error;
    }
    return 0;
  },
  *release(k, file) {
    const cdev = k.read('inode.i_cdev', k.read('file.f_inode', file));
    const owner = cdev === 0 ? 0 : k.read('cdev.owner', cdev);
    yield* releaseGuestFile(k, file);
    modulePut(k, owner);
  },
};
