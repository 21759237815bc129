/** Block devices: the structure behind each number, embedded in an inode of its own (block/bdev.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import { assignBit, hasBit } from '../bits.ts';
import type { Linux } from '../linux.ts';
import { S_IFBLK } from '../vfs/node.ts';
import { partNumber, SECTOR, SECTOR_SHIFT } from './bio.ts';

/** GD_* bits of gendisk.state (include/linux/blkdev.h). */
export const DISK = {
  NEED_PART_SCAN: 0,
  READ_ONLY: 1,
  DEAD: 2,
  ADDED: 4,
  SUPPRESS_PART_SCAN: 5,
  OWNS_QUEUE: 6,
} as const;
/** GENHD_FL_* */
export const GENHD = { REMOVABLE: 1, HIDDEN: 2, NO_PART: 4 } as const;
/** BD_READ_ONLY of __bd_flags, which has the number of the partition in its low byte. */
const BD_READ_ONLY = 0x100;
const PAGE = 4096;

/** Live devices by number, as the inodes of the bdev filesystem are found. */
export const blockDevices = perKernel<Map<number, Address>, Linux>(() => new Map());

export const isLive = (k: Linux, disk: Address): boolean =>
  [...k.state(blockDevices).values()].includes(wholeOf(k, disk));

export const wholeOf = (k: Linux, disk: Address): Address => k.read('gendisk.part0', disk);
export const diskOf = (k: Linux, device: Address): Address => k.read('block_device.bd_disk', device);
export const queueOf = (k: Linux, device: Address): Address => k.read('block_device.bd_queue', device);
export const kdevOf = (k: Linux, disk: Address): Address =>
  wholeOf(k, disk) + k.offset('block_device.bd_device');
export const inodeOfDevice = (k: Linux, device: Address): Address =>
  device - k.offset('bdev_inode.bdev') + k.offset('bdev_inode.vfs_inode');
/** I_BDEV. */
export const deviceOfInode = (k: Linux, inode: Address): Address =>
  inode - k.offset('bdev_inode.vfs_inode') + k.offset('bdev_inode.bdev');
export const mappingOf = (k: Linux, device: Address): Address =>
  inodeOfDevice(k, device) + k.offset('inode.i_data');
/** The device of an open file. */
export const deviceOfFile = (k: Linux, file: Address): Address =>
  deviceOfInode(k, k.read('address_space.host', k.read('file.f_mapping', file)));

/** Is a table of partitions looked for on a disk? */
export const hasPartitions = (k: Linux, disk: Address): boolean =>
  (k.read('gendisk.flags', disk) & (GENHD.NO_PART | GENHD.HIDDEN)) === 0;

/** The first sector of a partition on its disk; 0 for the whole. */
export const startOf = (k: Linux, device: Address): number => k.read('block_device.bd_start_sect', device);

/** The struct device inside a block device. */
export const embedded = (k: Linux, device: Address): Address => device + k.offset('block_device.bd_device');

/** Partitions of a disk, by their number. */
export const partitionsOf = (k: Linux, disk: Address): Address[] =>
  [...k.state(blockDevices).values()]
    .filter((device) => diskOf(k, device) === disk && partNumber(k, device) > 0)
    .sort((a, b) => partNumber(k, a) - partNumber(k, b));

/** bdev_alloc: the device of a whole disk, or of a partition. */
export function allocateDevice(k: Linux, disk: Address, queue: Address, part = 0): Address {
  const device = k.heap.allocateZeroed(k.sizeof('bdev_inode')) + k.offset('bdev_inode.bdev');
  const inode = inodeOfDevice(k, device);
  const mapping = mappingOf(k, device);
  k.write('inode.i_mode', inode, S_IFBLK);
  k.write('inode.i_count.counter', inode, 1);
  k.write('inode.i_mapping', inode, mapping);
  k.write('inode.i_blkbits', inode, SECTOR_SHIFT);
  k.write('address_space.host', mapping, inode);
  k.write('block_device.bd_disk', device, disk);
  k.write('block_device.bd_queue', device, queue);
  k.write('block_device.bd_stats', device, k.percpu.allocate(k.sizeof('disk_stats')));
  if (k.types.has('block_device.__bd_flags.counter'))
    k.write('block_device.__bd_flags.counter', device, part);
  else k.write('block_device.bd_partno', device, part);
  if (k.types.has('block_device.bd_inode')) k.write('block_device.bd_inode', device, inode);
  if (k.types.has('block_device.bd_mapping')) k.write('block_device.bd_mapping', device, mapping);
  return device;
}

export function freeDevice(k: Linux, device: Address): void {
  k.percpu.free(k.read('block_device.bd_stats', device));
  k.heap.free(device - k.offset('bdev_inode.bdev'));
}

/** In sectors of 512 bytes. */
export const capacityOf = (k: Linux, device: Address): number => k.read('block_device.bd_nr_sectors', device);
export const bytesOf = (k: Linux, device: Address): number =>
  k.read('inode.i_size', inodeOfDevice(k, device));

/** bdev_set_nr_sectors. */
export function setCapacity(k: Linux, device: Address, sectors: number): void {
  k.write('inode.i_size', inodeOfDevice(k, device), sectors * SECTOR);
  k.write('block_device.bd_nr_sectors', device, sectors);
}

export const diskState = (k: Linux, disk: Address, bit: number): boolean =>
  hasBit(k, disk + k.offset('gendisk.state'), bit);

export const setDiskState = (k: Linux, disk: Address, bit: number, on: boolean): void =>
  assignBit(k, disk + k.offset('gendisk.state'), bit, on);

/** bdev_read_only: the device was set so, or the whole disk. */
export function isReadOnly(k: Linux, device: Address): boolean {
  const own = k.types.has('block_device.__bd_flags.counter')
    ? (k.read('block_device.__bd_flags.counter', device) & BD_READ_ONLY) !== 0
    : k.read('block_device.bd_read_only', device) !== 0;
  return own || diskState(k, diskOf(k, device), DISK.READ_ONLY);
}

export function setReadOnly(k: Linux, device: Address, on: boolean): void {
  if (!k.types.has('block_device.__bd_flags.counter')) {
    k.write('block_device.bd_read_only', device, Number(on));
    return;
  }
  const flags = k.read('block_device.__bd_flags.counter', device);
  k.write('block_device.__bd_flags.counter', device, on ? flags | BD_READ_ONLY : flags & ~BD_READ_ONLY);
}

/** set_init_blocksize: the largest block up to a page that the size is a multiple of. */
export function setFirstBlockSize(k: Linux, device: Address, logical: number): void {
  const size = bytesOf(k, device);
  let block = logical;
  while (block < PAGE && size % (block * 2) === 0) block *= 2;
  k.write('inode.i_blkbits', inodeOfDevice(k, device), Math.log2(block));
}

export const blockSizeOf = (k: Linux, device: Address): number =>
  2 ** k.read('inode.i_blkbits', inodeOfDevice(k, device));

export const openers = (k: Linux, device: Address): number =>
  k.read('block_device.bd_openers.counter', device);
