/** The way of a bio to its driver (block/blk-core.c, submit_bio_noacct). */
import { perKernel } from '../../../kernel/kernel.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import type { Thread } from '../../../kernel/thread.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import {
  endWith,
  isMoved,
  isWrite,
  moveToDisk,
  nameOfDevice,
  OP,
  operationOf,
  sectorOf,
  sectorsOf,
} from './bio.ts';
import { capacityOf, diskOf, isReadOnly, queueOf, startOf } from './device.ts';
import { limit, limitsOf } from './limits.ts';
import { submitToQueue } from './mq.ts';
import { isOn } from './queue.ts';
import { errnoOfStatus, STATUS } from './status.ts';

/** submit_bio: what a driver submits while it is handed a bio waits until that one is through. */
export function* submit(k: Linux, bio: Address): Steps<void> {
  const refused = admit(k, bio);
  if (refused !== undefined) {
    yield* endWith(k, bio, refused);
    return;
  }
  const task = k.current;
  const waiting = k.read('task_struct.bio_list', task);
  if (waiting !== 0) {
    append(k, waiting, bio);
    return;
  }
  // bio_list_on_stack: a list, and another that bios of lower devices are sorted with.
  const list = k.heap.allocateZeroed(4 * k.word);
  k.write('task_struct.bio_list', task, list);
  try {
    for (let next = bio; next !== 0; next = takeFirst(k, list)) yield* handOver(k, next);
  } finally {
    k.write('task_struct.bio_list', task, 0);
    k.heap.free(list);
  }
}

function* handOver(k: Linux, bio: Address): Steps<void> {
  const device = k.read('bio.bi_bdev', bio);
  const own = k.read('block_device_operations.submit_bio', k.read('gendisk.fops', diskOf(k, device)));
  if (own !== 0) yield* k.call(own, bio);
  else yield* submitToQueue(k, queueOf(k, device), bio);
}

/** struct bio_list: head and tail, linked by bi_next. */
function append(k: Linux, list: Address, bio: Address): void {
  k.write('bio.bi_next', bio, 0);
  const tail = k.memory.ptr(list + k.word);
  if (tail === 0) k.memory.setPtr(list, bio);
  else k.write('bio.bi_next', tail, bio);
  k.memory.setPtr(list + k.word, bio);
}

function takeFirst(k: Linux, list: Address): Address {
  const bio = k.memory.ptr(list);
  if (bio === 0) return 0;
  const next = k.read('bio.bi_next', bio);
  k.memory.setPtr(list, next);
  if (next === 0) k.memory.setPtr(list + k.word, 0);
  k.write('bio.bi_next', bio, 0);
  return bio;
}

/** The checks of submit_bio_noacct: the status a bio ends with at once, or undefined when the driver is to have it. */
function admit(k: Linux, bio: Address): number | undefined {
  const device = k.read('bio.bi_bdev', bio);
  const flags = k.read('bio.bi_opf', bio);
  const operation = operationOf(flags);
  const sectors = sectorsOf(k, bio);
  if (isWrite(operation) && sectors > 0 && isReadOnly(k, device))
    k.printk(4, `Trying to write to read-only block-device ${nameOfDevice(k, device)}`);
  if (!isMoved(k, bio)) {
    if (sectors > 0 && sectorOf(k, bio) + sectors > capacityOf(k, device)) {
      beyondEnd(k, device, bio);
      return STATUS.IOERR;
    }
    moveToDisk(k, bio, startOf(k, device));
  }
  const sync = (1 << k.types.enumerator('__REQ_PREFLUSH')) | (1 << k.types.enumerator('__REQ_FUA'));
  if ((flags & sync) !== 0 && !isOn(k, queueOf(k, device), 'write_cache')) {
    k.write('bio.bi_opf', bio, flags & ~sync);
    if (sectors === 0) return STATUS.OK;
  }
  return takes(k, queueOf(k, device), operation) ? undefined : STATUS.NOTSUPP;
}

function takes(k: Linux, queue: Address, operation: number): boolean {
  const limits = limitsOf(k, queue);
  if (operation === OP.DISCARD) return limit(k, limits, 'max_discard_sectors') > 0;
  if (operation === OP.SECURE_ERASE) return limit(k, limits, 'max_secure_erase_sectors') > 0;
  if (operation === OP.WRITE_ZEROES) return limit(k, limits, 'max_write_zeroes_sectors') > 0;
  return true;
}

/** handle_bad_sector, in the words since 5.19. */
function beyondEnd(k: Linux, device: Address, bio: Address): void {
  const size = sectorsOf(k, bio);
  k.printk(6, `${k.readString('task_struct.comm', k.current)}: attempt to access beyond end of device`);
  const what = `rw=${k.read('bio.bi_opf', bio)}, sector=${sectorOf(k, bio)}, nr_sectors = ${size}`;
  k.printk(6, `${nameOfDevice(k, device)}: ${what} limit=${capacityOf(k, device)}`);
}

/** Threads that sleep until a bio is done. */
const sleepers = perKernel(() => new Map<Address, Thread | undefined>());

/** submit_bio_wait: 0 or a negative errno. The caller keeps the bio. */
export function* submitAndWait(k: Linux, bio: Address): Steps<number> {
  const waiting = k.state(sleepers);
  waiting.set(bio, k.scheduler.current);
  k.write('bio.bi_end_io', bio, k.addressOf('submit_bio_wait_endio'));
  k.write('bio.bi_opf', bio, k.read('bio.bi_opf', bio) | (1 << k.types.enumerator('__REQ_SYNC')));
  yield* submit(k, bio);
  while (waiting.has(bio)) yield* block('a transfer to or from a disk');
  return errnoOfStatus(k.read('bio.bi_status', bio));
}

/** submit_bio_wait_endio. */
export function wakeSleeper(k: Linux, bio: Address): void {
  const thread = k.state(sleepers).get(bio);
  k.state(sleepers).delete(bio);
  if (thread !== undefined) k.scheduler.wake(thread);
}
