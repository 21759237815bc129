/** bios: pieces of pages on their way to a disk, in the kernel's own structures (block/bio.c). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';

export const SECTOR_SHIFT = 9;
export const SECTOR = 512;
/** REQ_OP_* (include/linux/blk_types.h): the low byte of bi_opf; odd ones move data to the device. */
export const OP = { READ: 0, WRITE: 1, FLUSH: 2, DISCARD: 3, SECURE_ERASE: 5, WRITE_ZEROES: 9 } as const;
export const operationOf = (flags: number): number => flags & 0xff;
export const isWrite = (operation: number): boolean => (operation & 1) === 1;
const UINT_MAX = 0xffffffff;

/** Numbers of bi_flags; their places change from kernel to kernel. */
const FLAG = {
  cloned: (k: Linux) => k.types.enumerator('BIO_CLONED'),
  held: (k: Linux) => k.types.enumerator('BIO_REFFED'),
  chained: (k: Linux) => k.types.enumerator('BIO_CHAIN'),
  moved: (k: Linux) => k.types.enumerator('BIO_REMAPPED'),
} as const;

function hasFlag(k: Linux, bio: Address, flag: keyof typeof FLAG): boolean {
  return (k.read('bio.bi_flags', bio) & (1 << FLAG[flag](k))) !== 0;
}

function setFlag(k: Linux, bio: Address, flag: keyof typeof FLAG, on: boolean): void {
  const bit = 1 << FLAG[flag](k);
  const flags = k.read('bio.bi_flags', bio);
  k.write('bio.bi_flags', bio, on ? flags | bit : flags & ~bit);
}

/** bio_init. */
export function initialise(
  k: Linux,
  bio: Address,
  device: Address,
  table: Address,
  most: number,
  flags: number,
): void {
  k.memory.fill(bio, k.sizeof('bio'), 0);
  k.write('bio.bi_bdev', bio, device);
  k.write('bio.bi_opf', bio, flags);
  k.write('bio.__bi_remaining.counter', bio, 1);
  k.write('bio.__bi_cnt.counter', bio, 1);
  k.write('bio.bi_io_vec', bio, table);
  k.write('bio.bi_max_vecs', bio, most);
}

/** bio_alloc_bioset: what the set wants in front, the bio, its vectors. One piece of memory, whatever its size. */
export function allocate(k: Linux, device: Address, vectors: number, flags: number, set: Address): Address {
  const front = set === 0 ? 0 : k.read('bio_set.front_pad', set);
  const size = k.sizeof('bio');
  const bio = k.heap.allocateZeroed(front + size + vectors * k.sizeof('bio_vec')) + front;
  initialise(k, bio, device, vectors === 0 ? 0 : bio + size, vectors, flags);
  k.write('bio.bi_pool', bio, set);
  return bio;
}

/** bio_put: the last holder of an allocated bio frees it. */
export function put(k: Linux, bio: Address): void {
  if (hasFlag(k, bio, 'held')) {
    const count = k.read('bio.__bi_cnt.counter', bio) - 1;
    k.write('bio.__bi_cnt.counter', bio, count);
    if (count > 0) return;
  }
  const set = k.read('bio.bi_pool', bio);
  k.heap.free(bio - (set === 0 ? 0 : k.read('bio_set.front_pad', set)));
}

/** bio_add_page: the bytes taken, all or none. */
export function addPage(k: Linux, bio: Address, page: Address, length: number, offset: number): number {
  const size = k.read('bio.bi_iter.bi_size', bio);
  if (hasFlag(k, bio, 'cloned') || size > UINT_MAX - length) return 0;
  const count = k.read('bio.bi_vcnt', bio);
  if (count > 0) {
    const last = vectorAt(k, bio, count - 1);
    const end = k.read('bio_vec.bv_offset', last) + k.read('bio_vec.bv_len', last);
    const { pages } = k.heap;
    if (pages.addressOf(k.read('bio_vec.bv_page', last)) + end === pages.addressOf(page) + offset) {
      k.write('bio_vec.bv_len', last, k.read('bio_vec.bv_len', last) + length);
      k.write('bio.bi_iter.bi_size', bio, size + length);
      return length;
    }
  }
  if (count >= k.read('bio.bi_max_vecs', bio)) return 0;
  appendPage(k, bio, page, length, offset);
  return length;
}

/** __bio_add_page: the caller knows that there is room. */
export function appendPage(k: Linux, bio: Address, page: Address, length: number, offset: number): void {
  const count = k.read('bio.bi_vcnt', bio);
  const vector = vectorAt(k, bio, count);
  k.write('bio_vec.bv_page', vector, page);
  k.write('bio_vec.bv_len', vector, length);
  k.write('bio_vec.bv_offset', vector, offset);
  k.write('bio.bi_vcnt', bio, count + 1);
  k.write('bio.bi_iter.bi_size', bio, k.read('bio.bi_iter.bi_size', bio) + length);
}

const vectorAt = (k: Linux, bio: Address, index: number): Address =>
  k.read('bio.bi_io_vec', bio) + index * k.sizeof('bio_vec');

export const sectorOf = (k: Linux, bio: Address): number => k.read('bio.bi_iter.bi_sector', bio);
export const sectorsOf = (k: Linux, bio: Address): number =>
  k.read('bio.bi_iter.bi_size', bio) >>> SECTOR_SHIFT;
/** The number of a partition; 0 for the whole disk. It is the low byte of __bd_flags in later kernels. */
export const partNumber = (k: Linux, device: Address): number =>
  k.types.has('block_device.__bd_flags.counter')
    ? k.read('block_device.__bd_flags.counter', device) & 0xff
    : k.read('block_device.bd_partno', device);

/** bdev_name: a disk, or a partition of it: `sda1`, `loop0p1`. */
export function nameOfDevice(k: Linux, device: Address): string {
  const name = k.readString('gendisk.disk_name', k.read('block_device.bd_disk', device));
  const part = partNumber(k, device);
  return part === 0 ? name : `${partitionPrefix(name)}${part}`;
}

/** What the number of a partition stands behind. */
export const partitionPrefix = (name: string): string => (/\d$/.test(name) ? `${name}p` : name);

/** blk_partition_remap: a bio for a partition, which was checked against its end, is one for the disk from now on. */
export function moveToDisk(k: Linux, bio: Address, start: number): void {
  if (start === 0 || hasFlag(k, bio, 'moved')) return;
  k.write('bio.bi_iter.bi_sector', bio, sectorOf(k, bio) + start);
  setFlag(k, bio, 'moved', true);
}

export const isMoved = (k: Linux, bio: Address): boolean => hasFlag(k, bio, 'moved');

/** The memory that is still to be done: pieces that lie in one piece. */
export function* segments(k: Linux, bio: Address): Generator<{ at: Address; length: number }> {
  let index = k.read('bio.bi_iter.bi_idx', bio);
  let done = k.read('bio.bi_iter.bi_bvec_done', bio);
  for (let left = k.read('bio.bi_iter.bi_size', bio); left > 0; index++, done = 0) {
    const vector = vectorAt(k, bio, index);
    const length = Math.min(k.read('bio_vec.bv_len', vector) - done, left);
    const page = k.heap.pages.addressOf(k.read('bio_vec.bv_page', vector));
    yield { at: page + k.read('bio_vec.bv_offset', vector) + done, length };
    left -= length;
  }
}

/** Operations without data of their own move by sectors alone (bio_no_advance_iter). */
const withoutData = (operation: number): boolean =>
  operation === OP.DISCARD || operation === OP.SECURE_ERASE || operation === OP.WRITE_ZEROES;

/** bio_advance_iter. */
export function advance(k: Linux, bio: Address, bytes: number): void {
  k.write('bio.bi_iter.bi_sector', bio, sectorOf(k, bio) + (bytes >>> SECTOR_SHIFT));
  k.write('bio.bi_iter.bi_size', bio, k.read('bio.bi_iter.bi_size', bio) - bytes);
  if (withoutData(operationOf(k.read('bio.bi_opf', bio)))) return;
  let index = k.read('bio.bi_iter.bi_idx', bio);
  let done = k.read('bio.bi_iter.bi_bvec_done', bio) + bytes;
  for (let left = done; left > 0; ) {
    const length = k.read('bio_vec.bv_len', vectorAt(k, bio, index));
    if (done < length) break;
    done -= length;
    left = done;
    index++;
  }
  k.write('bio.bi_iter.bi_idx', bio, index);
  k.write('bio.bi_iter.bi_bvec_done', bio, done);
}

export function zeroFill(k: Linux, bio: Address): void {
  for (const { at, length } of segments(k, bio)) k.memory.fill(at, length, 0);
}

/** bio_alloc_clone: another bio over the same vectors. */
export function clone(k: Linux, device: Address, source: Address, set: Address): Address {
  const copy = allocate(k, device, 0, k.read('bio.bi_opf', source), set);
  setFlag(k, copy, 'cloned', true);
  k.memory.copy(copy + k.offset('bio.bi_iter'), source + k.offset('bio.bi_iter'), k.sizeof('bvec_iter'));
  k.write('bio.bi_ioprio', copy, k.read('bio.bi_ioprio', source));
  k.write('bio.bi_io_vec', copy, k.read('bio.bi_io_vec', source));
  return copy;
}

/** bio_split: the first sectors as a bio of their own; the rest stays. */
export function split(k: Linux, bio: Address, sectors: number, set: Address): Address {
  const first = clone(k, k.read('bio.bi_bdev', bio), bio, set);
  k.write('bio.bi_iter.bi_size', first, sectors << SECTOR_SHIFT);
  advance(k, bio, sectors << SECTOR_SHIFT);
  return first;
}

/** bio_chain: the parent is not done before the bio is. */
export function chain(k: Linux, bio: Address, parent: Address): void {
  k.write('bio.bi_private', bio, parent);
  k.write('bio.bi_end_io', bio, k.addressOf('bio_chain_endio'));
  setFlag(k, parent, 'chained', true);
  k.write('bio.__bi_remaining.counter', parent, k.read('bio.__bi_remaining.counter', parent) + 1);
}

/** bio_endio: the bio is done, with what its status says. */
export function* end(k: Linux, bio: Address): Steps<void> {
  let at = bio;
  for (;;) {
    if (hasFlag(k, at, 'chained')) {
      const left = k.read('bio.__bi_remaining.counter', at) - 1;
      k.write('bio.__bi_remaining.counter', at, left);
      if (left > 0) return;
      setFlag(k, at, 'chained', false);
    }
    const done = k.read('bio.bi_end_io', at);
    if (done !== k.addressOf('bio_chain_endio')) {
      if (done !== 0) yield* k.call(done, at);
      return;
    }
    const parent = k.read('bio.bi_private', at);
    const status = k.read('bio.bi_status', at);
    if (status !== 0 && k.read('bio.bi_status', parent) === 0) k.write('bio.bi_status', parent, status);
    put(k, at);
    at = parent;
  }
}

export function* endWith(k: Linux, bio: Address, status: number): Steps<void> {
  k.write('bio.bi_status', bio, status);
  yield* end(k, bio);
}
