/** Scatter lists: arrays of page, offset and length, chained by the low bits of the page word (include/linux/scatterlist.h). */
import { type Address, PAGE_SIZE } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { callerOf } from './caller.ts';
import { kernelFunctions } from './define.ts';

const CHAIN = 1;
const END = 2;
/** Entries to a page: longer tables are chained (SG_MAX_SINGLE_ALLOC). */
const PER_PAGE = 128;
/** Longer chains lead back into themselves. */
const MAX_ENTRIES = 1 << 20;

const size = (k: Linux): number => k.sizeof('scatterlist');
const linkOf = (k: Linux, sg: Address): number => k.read('scatterlist.page_link', sg);

/** The entry behind one, following a chain; 0 behind the last. */
export function next(k: Linux, sg: Address): Address {
  const link = linkOf(k, sg);
  if ((link & END) !== 0) return 0;
  const following = sg + size(k);
  const chained = linkOf(k, following);
  return (chained & CHAIN) !== 0 ? chained - (chained & 3) : following;
}

/** sg_init_table */
export function initTable(k: Linux, list: Address, count: number): void {
  k.memory.fill(list, count * size(k), 0);
  if (count > 0) k.write('scatterlist.page_link', list + (count - 1) * size(k), END);
}

/** One entry over bytes of the direct map (sg_init_one). */
export function initOne(k: Linux, sg: Address, buffer: Address, length: number): void {
  initTable(k, sg, 1);
  k.write('scatterlist.page_link', sg, k.heap.pages.ofAddress(buffer) + END);
  k.write('scatterlist.offset', sg, buffer & (PAGE_SIZE - 1));
  k.write('scatterlist.length', sg, length);
}

/** Two entries at `to`: what is left of the bytes of `sg` behind the first `skip`, and a chain to its followers. */
export function chainFrom(k: Linux, to: Address, sg: Address, skip: number): void {
  const link = linkOf(k, sg);
  initTable(k, to, 2);
  k.write('scatterlist.page_link', to, link - (link & 3));
  k.write('scatterlist.offset', to, k.read('scatterlist.offset', sg) + skip);
  k.write('scatterlist.length', to, k.read('scatterlist.length', sg) - skip);
  const following = next(k, sg);
  if (following === 0) k.write('scatterlist.page_link', to, link - (link & 3) + END);
  else k.write('scatterlist.page_link', to + size(k), following + CHAIN);
}

/** Address of the bytes an entry describes. */
export function bytesAt(k: Linux, sg: Address): Address {
  const link = linkOf(k, sg);
  return k.heap.pages.addressOf(link - (link & 3)) + k.read('scatterlist.offset', sg);
}

function* walk(k: Linux, list: Address, count: number): Iterable<Address> {
  for (let sg = list, i = 0; sg !== 0 && i < Math.min(count, MAX_ENTRIES); sg = next(k, sg), i++) yield sg;
}

/** Copies between a buffer and the entries, leaving out the first `skip` bytes of these; how much. */
function copy(
  k: Linux,
  list: Address,
  count: number,
  buffer: Address,
  length: number,
  skip: number,
  toBuffer: boolean,
): number {
  let done = 0;
  for (const sg of walk(k, list, count)) {
    const bytes = k.read('scatterlist.length', sg);
    if (skip >= bytes) {
      skip -= bytes;
      continue;
    }
    const part = Math.min(bytes - skip, length - done);
    const at = bytesAt(k, sg) + skip;
    if (toBuffer) k.memory.copy(buffer + done, at, part);
    else k.memory.copy(at, buffer + done, part);
    skip = 0;
    done += part;
    if (done === length) break;
  }
  return done;
}

function allocateTable(k: Linux, table: Address, count: number): number {
  k.memory.fill(table, k.sizeof('sg_table'), 0);
  if (count === 0) return -Errno.EINVAL;
  let previous: Address = 0;
  for (let left = count; left > 0; ) {
    const here = left > PER_PAGE ? PER_PAGE : left;
    const list = k.heap.allocate(here * size(k), undefined, callerOf(k));
    if (list === 0) {
      freeTable(k, table);
      return -Errno.ENOMEM;
    }
    initTable(k, list, here);
    if (previous === 0) k.write('sg_table.sgl', table, list);
    else {
      const chain = previous + (PER_PAGE - 1) * size(k);
      k.memory.fill(chain, size(k), 0);
      k.write('scatterlist.page_link', chain, list + CHAIN);
    }
    // The last place of a full page holds the chain, so one entry less is usable.
    left -= left > PER_PAGE ? PER_PAGE - 1 : here;
    previous = list;
  }
  k.write('sg_table.nents', table, count);
  k.write('sg_table.orig_nents', table, count);
  return 0;
}

function freeTable(k: Linux, table: Address): void {
  let list = k.read('sg_table.sgl', table);
  for (let left = k.read('sg_table.orig_nents', table); list !== 0 && left > 0; ) {
    const chained = left > PER_PAGE ? linkOf(k, list + (PER_PAGE - 1) * size(k)) : 0;
    k.heap.free(list);
    left -= PER_PAGE - 1;
    list = chained === 0 ? 0 : chained - (chained & 3);
  }
  k.memory.fill(table, k.sizeof('sg_table'), 0);
}

const miter = (k: Linux, at: Address, field: string): number => k.read(`sg_mapping_iter.${field}`, at);
const setMiter = (k: Linux, at: Address, values: Readonly<Record<string, number>>): void => {
  for (const [field, value] of Object.entries(values)) k.write(`sg_mapping_iter.${field}`, at, value);
};

/** sg_miter_stop: what was not consumed comes again. */
function stopMapping(k: Linux, at: Address): void {
  if (miter(k, at, 'addr') === 0) return;
  const consumed = miter(k, at, 'consumed');
  const rest = {
    __offset: miter(k, at, '__offset') + consumed,
    __remaining: miter(k, at, '__remaining') - consumed,
  };
  setMiter(k, at, { ...rest, page: 0, addr: 0, length: 0, consumed: 0 });
}

/** sg_miter_next: the following stretch inside one page; 0 behind the last. */
function nextMapping(k: Linux, at: Address): number {
  stopMapping(k, at);
  if (miter(k, at, '__remaining') === 0 && !nextPage(k, at)) return 0;
  const sg = miter(k, at, 'piter.sg');
  const length = miter(k, at, '__remaining');
  const start =
    bytesAt(k, sg) - k.read('scatterlist.offset', sg) + miter(k, at, 'piter.sg_pgoffset') * PAGE_SIZE;
  const page = k.heap.pages.ofAddress(start);
  setMiter(k, at, { page, addr: start + miter(k, at, '__offset'), length, consumed: length });
  return 1;
}

function nextPage(k: Linux, at: Address): boolean {
  let sg = miter(k, at, 'piter.sg');
  let left = miter(k, at, 'piter.__nents');
  const begun = miter(k, at, 'piter.__pg_advance') !== 0;
  let index = begun ? miter(k, at, 'piter.sg_pgoffset') + 1 : -1;
  for (; sg !== 0 && left > 0; sg = next(k, sg), left--, index = -1) {
    const offset = k.read('scatterlist.offset', sg);
    const end = offset + k.read('scatterlist.length', sg);
    const first = Math.floor(offset / PAGE_SIZE);
    const here = index < 0 ? first : index;
    if (here * PAGE_SIZE >= end || end === offset) continue;
    const start = here === first ? offset % PAGE_SIZE : 0;
    setMiter(k, at, {
      'piter.sg': sg,
      'piter.__nents': left,
      'piter.sg_pgoffset': here,
      'piter.__pg_advance': 1,
      __offset: start,
      __remaining: Math.min(end - here * PAGE_SIZE - start, PAGE_SIZE - start),
    });
    return true;
  }
  setMiter(k, at, { 'piter.__nents': 0 });
  return false;
}

export const scatterlists = kernelFunctions({
  'void sg_miter_start(struct sg_mapping_iter *miter, struct scatterlist *sgl, unsigned int nents, unsigned int flags)':
    (k, at, list, count, flags) => {
      k.memory.fill(at, k.sizeof('sg_mapping_iter'), 0);
      setMiter(k, at, { 'piter.sg': list, 'piter.__nents': count, __flags: flags });
    },
  'bool sg_miter_next(struct sg_mapping_iter *miter)': nextMapping,
  'void sg_miter_stop(struct sg_mapping_iter *miter)': stopMapping,
  'struct scatterlist *sg_next(struct scatterlist *sg)': (k, sg) => next(k, sg),
  'int sg_nents(struct scatterlist *sg)': (k, sg) => [...walk(k, sg, MAX_ENTRIES)].length,
  'int sg_nents_for_len(struct scatterlist *sg, u64 len)': (k, list, length) => {
    if (length === 0n) return 0;
    let total = 0n;
    let count = 0;
    for (const sg of walk(k, list, MAX_ENTRIES)) {
      count++;
      total += BigInt(k.read('scatterlist.length', sg));
      if (total >= length) return count;
    }
    return -Errno.EINVAL;
  },
  'struct scatterlist *sg_last(struct scatterlist *sgl, unsigned int nents)': (k, list, count) => {
    let last: Address = 0;
    for (const sg of walk(k, list, count)) last = sg;
    return last;
  },
  'void sg_init_table(struct scatterlist *sgl, unsigned int nents)': (k, list, count) =>
    initTable(k, list, count),
  'void sg_init_one(struct scatterlist *sg, const void *buf, unsigned int buflen)': initOne,
  'int sg_alloc_table(struct sg_table *table, unsigned int nents, gfp_t gfp_mask)': (k, table, count) =>
    allocateTable(k, table, count),
  'void sg_free_table(struct sg_table *table)': (k, table) => freeTable(k, table),
  'size_t sg_copy_from_buffer(struct scatterlist *sgl, unsigned int nents, const void *buf, size_t buflen)': (
    k,
    list,
    count,
    buffer,
    length,
  ) => copy(k, list, count, buffer, length, 0, false),
  'size_t sg_copy_to_buffer(struct scatterlist *sgl, unsigned int nents, void *buf, size_t buflen)': (
    k,
    list,
    count,
    buffer,
    length,
  ) => copy(k, list, count, buffer, length, 0, true),
  'size_t sg_pcopy_from_buffer(struct scatterlist *sgl, unsigned int nents, const void *buf, size_t buflen, off_t skip)':
    (k, list, count, buffer, length, skip) => copy(k, list, count, buffer, length, skip, false),
  'size_t sg_pcopy_to_buffer(struct scatterlist *sgl, unsigned int nents, void *buf, size_t buflen, off_t skip)':
    (k, list, count, buffer, length, skip) => copy(k, list, count, buffer, length, skip, true),
});
