/**
 * The page cache of block devices: what users read and write goes through it, in pages that are read ahead and
 * written when the device is synchronised or last closed (block/fops.c, mm/readahead.c, fs/buffer.c). Pages and their
 * flags are the guest's; which page holds what is indexed here.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import type { Thread } from '../../../kernel/thread.ts';
import type { Address } from '../../../memory/space.ts';
import { assignBit, hasBit } from '../bits.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { GFP } from '../pages.ts';
import { allocate, appendPage, nameOfDevice, OP, put, SECTOR } from './bio.ts';
import { blockSizeOf, bytesOf, mappingOf } from './device.ts';
import { submit } from './submit.ts';

export const PAGE = 4096;
/** BIO_MAX_VECS. */
const MOST_PAGES = 256;
/** AS_EIO of address_space.flags: a write failed that nobody waited for. */
const AS_EIO = 0;

type Flag = 'PG_locked' | 'PG_uptodate' | 'PG_dirty' | 'PG_writeback' | 'PG_readahead';

const caches = perKernel<Map<Address, Map<number, Address>>, Linux>(() => new Map());
const waiters = perKernel(() => new Map<Address, Set<Thread>>());

function cacheOf(k: Linux, mapping: Address): Map<number, Address> {
  const all = k.state(caches);
  const cache = all.get(mapping) ?? new Map<number, Address>();
  all.set(mapping, cache);
  return cache;
}

export const has = (k: Linux, page: Address, flag: Flag): boolean =>
  hasBit(k, page + k.offset('page.flags'), k.types.enumerator(flag));

export const set = (k: Linux, page: Address, flag: Flag, on: boolean): void =>
  assignBit(k, page + k.offset('page.flags'), k.types.enumerator(flag), on);

export const find = (k: Linux, device: Address, index: number): Address =>
  k.state(caches).get(mappingOf(k, device))?.get(index) ?? 0;

const indexField = (k: Linux): string => (k.types.has('page.index') ? 'page.index' : 'page.__folio_index');

function insert(k: Linux, device: Address, index: number): Address {
  const page = k.heap.pages.allocate(0, GFP.KERNEL, 0);
  if (page === 0) return 0;
  const mapping = mappingOf(k, device);
  k.write('page.mapping', page, mapping);
  k.write(indexField(k), page, index);
  cacheOf(k, mapping).set(index, page);
  k.write('address_space.nrpages', mapping, k.read('address_space.nrpages', mapping) + 1);
  return page;
}

function drop(k: Linux, mapping: Address, index: number, page: Address): void {
  cacheOf(k, mapping).delete(index);
  k.write('page.mapping', page, 0);
  k.write('address_space.nrpages', mapping, k.read('address_space.nrpages', mapping) - 1);
  for (const flag of ['PG_uptodate', 'PG_dirty', 'PG_readahead'] as const) set(k, page, flag, false);
  k.heap.pages.free(page, 0);
}

/** invalidate_bdev: clean pages go; with `all` (kill_bdev) the others, too. */
export function invalidate(k: Linux, device: Address, all = false): void {
  const mapping = mappingOf(k, device);
  for (const [index, page] of [...(k.state(caches).get(mapping) ?? [])]) {
    const busy = has(k, page, 'PG_locked') || has(k, page, 'PG_writeback');
    if (!busy && (all || !has(k, page, 'PG_dirty'))) drop(k, mapping, index, page);
  }
  if (cacheOf(k, mapping).size === 0) k.state(caches).delete(mapping);
}

/** folio_wait_bit: sleeps while a page has a flag. */
export const waitWhile = (k: Linux, page: Address, flag: Flag): Steps<void> =>
  waitForBit(k, page, k.types.enumerator(flag));

export function* waitForBit(k: Linux, page: Address, bit: number): Steps<void> {
  while (hasBit(k, page + k.offset('page.flags'), bit)) {
    const { current } = k.scheduler;
    if (current === undefined) return;
    const waiting = k.state(waiters);
    waiting.set(page, (waiting.get(page) ?? new Set()).add(current));
    yield* block('a page that is being read or written');
  }
}

/** Whoever waits for a flag of a page looks again. */
export function wakeWaiters(k: Linux, page: Address): void {
  const waiting = k.state(waiters).get(page);
  k.state(waiters).delete(page);
  for (const thread of waiting ?? []) k.scheduler.wake(thread);
}

/** How many bytes of a page the device has. */
const extent = (k: Linux, device: Address, index: number): number =>
  Math.min(PAGE, bytesOf(k, device) - index * PAGE);

const lengthOnDisk = (k: Linux, device: Address, index: number): number =>
  Math.ceil(extent(k, device, index) / SECTOR) * SECTOR;

/** Submits bios that fill locked pages which follow each other. */
function* readIn(
  k: Linux,
  device: Address,
  first: number,
  pages: readonly Address[],
  ahead: boolean,
): Steps<void> {
  const flags = OP.READ | (ahead ? 1 << k.types.enumerator('__REQ_RAHEAD') : 0);
  for (let at = 0; at < pages.length; at += MOST_PAGES) {
    const part = pages.slice(at, at + MOST_PAGES);
    const bio = allocate(k, device, part.length, flags, 0);
    k.write('bio.bi_iter.bi_sector', bio, (first + at) * (PAGE / SECTOR));
    k.write('bio.bi_end_io', bio, k.addressOf('mpage_end_io'));
    for (const [i, page] of part.entries())
      appendPage(k, bio, page, lengthOnDisk(k, device, first + at + i), 0);
    yield* submit(k, bio);
  }
}

/** mpage_end_io: the pages have what the disk has, or have not. */
export function pagesRead(k: Linux, bio: Address): void {
  const good = k.read('bio.bi_status', bio) === 0;
  for (const page of pagesOf(k, bio)) {
    set(k, page, 'PG_uptodate', good);
    set(k, page, 'PG_locked', false);
    wakeWaiters(k, page);
  }
  put(k, bio);
}

function* pagesOf(k: Linux, bio: Address): Generator<Address> {
  const vectors = k.read('bio.bi_io_vec', bio);
  for (let i = 0; i < k.read('bio.bi_vcnt', bio); i++)
    yield k.read('bio_vec.bv_page', vectors + i * k.sizeof('bio_vec'));
}

/** end_bio_bh_io_sync: a page has been written, or could not be. */
export function pageWritten(k: Linux, bio: Address): void {
  const failed = k.read('bio.bi_status', bio) !== 0;
  const device = k.read('bio.bi_bdev', bio);
  for (const page of pagesOf(k, bio)) {
    if (failed) {
      bufferError(k, device, k.read(indexField(k), page), 'lost async page write');
      assignBit(k, mappingOf(k, device) + k.offset('address_space.flags'), AS_EIO, true);
    }
    set(k, page, 'PG_writeback', false);
    wakeWaiters(k, page);
  }
  put(k, bio);
}

/** buffer_io_error. */
function bufferError(k: Linux, device: Address, index: number, what: string): void {
  const number = Math.floor((index * PAGE) / blockSizeOf(k, device));
  k.printk(3, `Buffer I/O error on dev ${nameOfDevice(k, device)}, logical block ${number}, ${what}`);
}

/** page_cache_ra_unbounded: reads pages that are not there; the one `marked` from the start asks for more when it is met. */
export function* readPages(
  k: Linux,
  device: Address,
  start: number,
  count: number,
  marked: number,
): Steps<void> {
  const last = Math.ceil(bytesOf(k, device) / PAGE) - 1;
  let run: Address[] = [];
  const end = Math.min(start + count - 1, last);
  for (let index = start; index <= end; index++) {
    const there = find(k, device, index) !== 0;
    if (there) {
      yield* readIn(k, device, index - run.length, run, true);
      run = [];
      continue;
    }
    const page = insert(k, device, index);
    if (page === 0) break;
    set(k, page, 'PG_locked', true);
    if (index - start === marked) set(k, page, 'PG_readahead', true);
    run.push(page);
    if (index === end) yield* readIn(k, device, index + 1 - run.length, run, true);
  }
}

/** One page, read by itself if need be (read_mapping_folio): 0 or a negative errno. */
export function* uptodatePage(k: Linux, device: Address, index: number): Steps<Address> {
  const page = find(k, device, index) || insert(k, device, index);
  if (page === 0) return -Errno.ENOMEM;
  yield* waitWhile(k, page, 'PG_locked');
  if (has(k, page, 'PG_uptodate')) return page;
  set(k, page, 'PG_locked', true);
  yield* readIn(k, device, index, [page], false);
  yield* waitWhile(k, page, 'PG_locked');
  if (has(k, page, 'PG_uptodate')) return page;
  bufferError(k, device, index, 'async page read');
  return -Errno.EIO;
}

/** A page that is about to be written in part or as a whole: what stays of it is read first. */
export function* pageForWrite(
  k: Linux,
  device: Address,
  index: number,
  from: number,
  to: number,
): Steps<Address> {
  const page = find(k, device, index);
  if (page !== 0 && has(k, page, 'PG_uptodate')) return page;
  if (to - from < extent(k, device, index)) return yield* uptodatePage(k, device, index);
  const fresh = page || insert(k, device, index);
  if (fresh === 0) return -Errno.ENOMEM;
  yield* waitWhile(k, fresh, 'PG_locked');
  return fresh;
}

/** sync_blockdev: writes what has changed and waits; -EIO when some of it was lost. */
export function* synchronise(k: Linux, device: Address): Steps<number> {
  const mapping = mappingOf(k, device);
  const dirty = [...(k.state(caches).get(mapping) ?? [])].filter(([, page]) => has(k, page, 'PG_dirty'));
  for (const [index, page] of dirty.sort(([a], [b]) => a - b)) {
    yield* waitWhile(k, page, 'PG_writeback');
    set(k, page, 'PG_dirty', false);
    set(k, page, 'PG_writeback', true);
    const bio = allocate(k, device, 1, OP.WRITE | (1 << k.types.enumerator('__REQ_SYNC')), 0);
    k.write('bio.bi_iter.bi_sector', bio, index * (PAGE / SECTOR));
    k.write('bio.bi_end_io', bio, k.addressOf('end_bio_bh_io_sync'));
    appendPage(k, bio, page, lengthOnDisk(k, device, index), 0);
    yield* submit(k, bio);
  }
  for (const [, page] of dirty) yield* waitWhile(k, page, 'PG_writeback');
  const flags = mapping + k.offset('address_space.flags');
  const failed = hasBit(k, flags, AS_EIO);
  assignBit(k, flags, AS_EIO, false);
  return failed ? -Errno.EIO : 0;
}
