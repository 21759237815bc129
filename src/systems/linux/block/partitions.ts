/**
 * Looking for partitions (block/partitions/core.c): tables of DOS and GPT. Of the further parsers of a distribution's kernel
 * only what they read is read, and their errors are told.
 */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { partitionPrefix, SECTOR } from './bio.ts';
import {
  capacityOf,
  DISK,
  diskState,
  hasPartitions,
  isLive,
  partitionsOf,
  setDiskState,
  wholeOf,
} from './device.ts';
import { limit, limitsOf } from './limits.ts';
import { invalidate, PAGE, synchronise, uptodatePage } from './pages.ts';
import { addPartition, removePartition } from './partition-devices.ts';
import { type FoundPartition, findTable } from './partition-tables.ts';

const SECTORS_PER_PAGE = 8;
/** DISK_MAX_PARTS. */
const MOST_PARTITIONS = 256;
/** RDB_ALLOCATION_LIMIT (affs_hardblocks.h), and the sector of ULTRIX' table: the superblock's end, 16384 - 72. */
const AMIGA_BLOCKS = 16;
const ULTRIX_SECTOR = 31;

/** disk_scan_partitions, before it looks: may this disk be looked at now? */
export const mayScan = (k: Linux, disk: Address): boolean =>
  hasPartitions(k, disk) && !diskState(k, disk, DISK.SUPPRESS_PART_SCAN);

/** bdev_disk_changed. */
export function* scanPartitions(k: Linux, disk: Address, forget: boolean): Steps<number> {
  if (!isLive(k, disk)) return -Errno.ENXIO;
  if (k.read('gendisk.open_partitions', disk) > 0) return -Errno.EBUSY;
  const device = wholeOf(k, disk);
  yield* synchronise(k, device);
  invalidate(k, device);
  for (const part of partitionsOf(k, disk)) yield* removePartition(k, part);
  setDiskState(k, disk, DISK.NEED_PART_SCAN, false);
  if (forget || capacityOf(k, device) === 0) return 0;
  return yield* checkPartitions(k, disk);
}

/** check_partition: the parsers, in their order; then what they found is added. */
function* checkPartitions(k: Linux, disk: Address): Steps<number> {
  const name = k.readString('gendisk.disk_name', disk);
  const device = wholeOf(k, disk);
  const seen = { beyond: false, failed: false };
  const table = yield* findTable({
    *read(number) {
      const at = yield* sector(k, device, number, seen);
      return at === 0 ? undefined : k.memory.bytes(at, SECTOR).slice();
    },
    sectors: capacityOf(k, device),
    unit: limit(k, limitsOf(k, k.read('gendisk.queue', disk)), 'logical_block_size') / SECTOR,
    warn: (text) => k.printk(4, text),
    most: MOST_PARTITIONS,
  });
  if (table !== undefined) {
    const prefix = partitionPrefix(name);
    const short = prefix === name ? name : 'p';
    k.printk(6, ` ${name}:${table.text.replace(/ P(?=\d)/g, ` ${short}`)}`);
    for (const found of table.partitions) yield* addFound(k, disk, name, found);
    return 0;
  }
  for (let at = 0; at < AMIGA_BLOCKS && !seen.failed; at++)
    if ((yield* sector(k, device, at, seen)) === 0)
      k.printk(3, `Dev ${name}: unable to read RDB block ${at}`);
  yield* sector(k, device, ULTRIX_SECTOR, seen);
  if (!seen.failed) return 0;
  k.printk(6, ` ${name}: unable to read partition table`);
  if (seen.beyond) k.printk(4, `${name}: partition table beyond EOD, truncated`);
  return -Errno.EIO;
}

/** blk_add_partition: what begins behind the end is left out, what reaches beyond it is cut. */
function* addFound(k: Linux, disk: Address, name: string, found: FoundPartition): Steps<void> {
  const { number, start, sectors } = found;
  if (sectors === 0) return;
  const size = capacityOf(k, wholeOf(k, disk));
  if (start >= size) {
    k.printk(4, `${name}: p${number} start ${start} is beyond EOD, truncated`);
    return;
  }
  const beyond = start + sectors > size;
  if (beyond) k.printk(4, `${name}: p${number} size ${sectors} extends beyond EOD, truncated`);
  const error = yield* addPartition(k, disk, beyond ? { ...found, sectors: size - start } : found);
  if (error !== 0) k.printk(3, ` ${name}: p${number} could not be added: ${-error}`);
}

/** read_part_sector: where its bytes are; 0 when they cannot be had. */
function* sector(
  k: Linux,
  device: Address,
  number: number,
  seen: { beyond: boolean; failed: boolean },
): Steps<Address> {
  if (number >= capacityOf(k, device)) {
    seen.beyond = seen.failed = true;
    return 0;
  }
  const page = yield* uptodatePage(k, device, Math.floor(number / SECTORS_PER_PAGE));
  if (isError(page)) {
    seen.failed = true;
    return 0;
  }
  return k.heap.pages.addressOf(page) + ((number * 512) % PAGE);
}
