/**
 * Looking for partitions (block/partitions/core.c). What the parsers of a distribution's kernel read of a disk is read,
 * and their errors are told; a table that one of them would know is named, and its partitions are not made.
 */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { registeredOnly } from '../registered.ts';
import { capacityOf, DISK, GENHD, isLive, setDiskState, wholeOf } from './device.ts';
import { invalidate, PAGE, synchronise, uptodatePage } from './pages.ts';

const SECTORS_PER_PAGE = 8;
const BOOT_SIGNATURE = 0xaa55;
/** RDB_ALLOCATION_LIMIT (affs_hardblocks.h), and the sector of ULTRIX' table: the superblock's end, 16384 - 72. */
const AMIGA_BLOCKS = 16;
const ULTRIX_SECTOR = 31;

export const hasPartitions = (k: Linux, disk: Address): boolean =>
  (k.read('gendisk.flags', disk) & (GENHD.NO_PART | GENHD.HIDDEN)) === 0;

/** bdev_disk_changed. */
export function* scanPartitions(k: Linux, disk: Address, forget: boolean): Steps<number> {
  if (!isLive(k, disk)) return -Errno.ENXIO;
  const device = wholeOf(k, disk);
  yield* synchronise(k, device);
  invalidate(k, device);
  setDiskState(k, disk, DISK.NEED_PART_SCAN, false);
  if (forget || capacityOf(k, device) === 0) return 0;
  return yield* checkPartitions(k, disk);
}

/** check_partition: the parsers, in their order. */
function* checkPartitions(k: Linux, disk: Address): Steps<number> {
  const name = k.readString('gendisk.disk_name', disk);
  const device = wholeOf(k, disk);
  const seen = { beyond: false, failed: false };
  const first = yield* sector(k, device, 0, seen);
  if (first !== 0 && k.memory.u16(first + 510) === BOOT_SIGNATURE) {
    registeredOnly(k, 'partition table', name);
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
