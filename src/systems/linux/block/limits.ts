/** What a queue says of the requests it takes (struct queue_limits; block/blk-settings.c). */
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';

/** BLK_SAFE_MAX_SECTORS, BLK_DEF_MAX_SECTORS, BLK_MAX_SEGMENTS, BLK_MAX_SEGMENT_SIZE, BLK_SEG_BOUNDARY_MASK. */
const SAFE_MAX_SECTORS = 255;
const DEFAULT_MAX_SECTORS = 2560;
const MAX_SEGMENTS = 128;
const MAX_SEGMENT_SIZE = 65536;
const SEGMENT_BOUNDARY = 0xffffffff;
const UINT_MAX = 0xffffffff;
const USHRT_MAX = 0xffff;
const PAGE = 4096;
const SECTOR = 512;
/** BLK_FEAT_*, from 6.11 on (include/linux/blkdev.h). */
export const FEATURE = {
  WRITE_CACHE: 1,
  FUA: 2,
  ROTATIONAL: 4,
  ADD_RANDOM: 8,
  IO_STAT: 16,
  STABLE_WRITES: 32,
  NOWAIT: 128,
  DAX: 256,
  POLL: 512,
} as const;

export const limitsOf = (k: Linux, queue: Address): Address => queue + k.offset('request_queue.limits');

export function limit(k: Linux, limits: Address, name: string): number {
  const path = `queue_limits.${name}`;
  return k.types.has(path) ? k.read(path, limits) : 0;
}

/** Sets a limit that this kernel has. */
export function setLimit(k: Linux, limits: Address, name: string, value: number): void {
  const path = `queue_limits.${name}`;
  if (k.types.has(path)) k.write(path, limits, value);
}

/** Features are a word of the limits from 6.11 on; before, each was a flag of the queue. */
export const hasFeatures = (k: Linux): boolean => k.types.has('queue_limits.features');

const down = (value: number, unit: number): number => value - (value % Math.max(unit, 1));

/** blk_set_default_limits of 6.1. */
export function setDefaults(k: Linux, limits: Address): void {
  k.memory.fill(limits, k.sizeof('queue_limits'), 0);
  const values: Readonly<Record<string, number>> = {
    max_segments: MAX_SEGMENTS,
    max_discard_segments: 1,
    seg_boundary_mask: SEGMENT_BOUNDARY,
    max_segment_size: MAX_SEGMENT_SIZE,
    max_sectors: SAFE_MAX_SECTORS,
    max_hw_sectors: SAFE_MAX_SECTORS,
    logical_block_size: SECTOR,
    physical_block_size: SECTOR,
    io_min: SECTOR,
    dma_alignment: SECTOR - 1,
  };
  for (const [name, value] of Object.entries(values)) setLimit(k, limits, name, value);
}

/** blk_set_stacking_limits: those of a disk made of others, before it is made of any. */
export function setStacking(k: Linux, limits: Address): void {
  setDefaults(k, limits);
  const most = ['max_hw_sectors', 'max_sectors', 'max_dev_sectors', 'max_write_zeroes_sectors'];
  for (const name of [...most, 'max_segment_size', 'max_zone_append_sectors'])
    setLimit(k, limits, name, UINT_MAX);
  setLimit(k, limits, 'max_segments', USHRT_MAX);
  setLimit(k, limits, 'max_discard_segments', USHRT_MAX);
  if (!hasFeatures(k)) return;
  setLimit(k, limits, 'max_user_discard_sectors', UINT_MAX);
  setLimit(k, limits, 'max_hw_zone_append_sectors', UINT_MAX);
}

const isPowerOfTwo = (value: number): boolean => value > 0 && (value & (value - 1)) === 0;

/** blk_validate_limits (6.9 on): fills in what was left open; 0 or -EINVAL. */
export function validate(k: Linux, limits: Address): number {
  const get = (name: string) => limit(k, limits, name);
  const set = (name: string, value: number) => setLimit(k, limits, name, value);
  const ifUnset = (name: string, value: number) => {
    if (get(name) === 0) set(name, value);
  };
  const atLeast = (name: string, value: number) => set(name, Math.max(get(name), value));
  ifUnset('logical_block_size', SECTOR);
  const block = get('logical_block_size');
  if (block < SECTOR || block > PAGE || !isPowerOfTwo(block)) {
    k.printk(4, `Invalid logical block size (${block})`);
    return -Errno.EINVAL;
  }
  atLeast('physical_block_size', block);
  atLeast('io_min', get('physical_block_size'));
  set('io_opt', down(get('io_opt'), get('physical_block_size')));
  ifUnset('max_hw_sectors', SAFE_MAX_SECTORS);
  if (get('max_hw_sectors') < PAGE / SECTOR) return -Errno.EINVAL;
  set('max_hw_sectors', down(get('max_hw_sectors'), block / SECTOR));
  const most = Math.min(get('max_hw_sectors'), get('max_dev_sectors') || UINT_MAX);
  const wanted = get('max_user_sectors') || Math.max(DEFAULT_MAX_SECTORS, get('io_opt') / SECTOR);
  set('max_sectors', down(Math.min(most, wanted), block / SECTOR));
  ifUnset('max_segments', MAX_SEGMENTS);
  ifUnset('max_discard_segments', 1);
  ifUnset('seg_boundary_mask', SEGMENT_BOUNDARY);
  if (get('virt_boundary_mask') !== 0) ifUnset('max_segment_size', UINT_MAX);
  else ifUnset('max_segment_size', MAX_SEGMENT_SIZE);
  set('max_discard_sectors', Math.min(get('max_hw_discard_sectors'), get('max_user_discard_sectors')));
  const discards = get('max_hw_discard_sectors') !== 0;
  set('discard_granularity', discards ? Math.max(get('discard_granularity'), get('physical_block_size')) : 0);
  ifUnset('dma_alignment', SECTOR - 1);
  const features = get('features');
  if ((features & FEATURE.WRITE_CACHE) === 0) set('features', features & ~FEATURE.FUA);
  return 0;
}

/** The limits a new queue begins with: those the driver hands over, in kernels where it does. */
export function initialise(k: Linux, queue: Address, given: Address, features = 0): number {
  const limits = limitsOf(k, queue);
  if (!hasFeatures(k)) {
    setDefaults(k, limits);
    return 0;
  }
  if (given !== 0) k.memory.copy(limits, given, k.sizeof('queue_limits'));
  setLimit(k, limits, 'features', limit(k, limits, 'features') | features);
  setLimit(k, limits, 'max_user_discard_sectors', UINT_MAX);
  return validate(k, limits);
}

// -- what 6.1 has a function for each of ----------------------------------------------------------------------

export function setLogicalBlock(k: Linux, limits: Address, size: number): void {
  setLimit(k, limits, 'logical_block_size', size);
  raise(k, limits, 'physical_block_size', size);
  raise(k, limits, 'io_min', limit(k, limits, 'physical_block_size'));
  for (const name of ['max_hw_sectors', 'max_sectors'])
    setLimit(k, limits, name, down(limit(k, limits, name), size / SECTOR));
}

export function setPhysicalBlock(k: Linux, limits: Address, size: number): void {
  setLimit(k, limits, 'physical_block_size', Math.max(size, limit(k, limits, 'logical_block_size')));
  raise(k, limits, 'io_min', limit(k, limits, 'physical_block_size'));
}

/** blk_limits_io_min. */
export function setMinimum(k: Linux, limits: Address, size: number): void {
  setLimit(k, limits, 'io_min', size);
  raise(k, limits, 'io_min', limit(k, limits, 'logical_block_size'));
  raise(k, limits, 'io_min', limit(k, limits, 'physical_block_size'));
}

/** blk_queue_max_hw_sectors, without what it tells the backing device of its disk. */
export function setMaxSectors(k: Linux, limits: Address, sectors: number): void {
  let hard = sectors;
  if (hard * SECTOR < PAGE) {
    hard = PAGE / SECTOR;
    k.printk(6, `blk_queue_max_hw_sectors: set to minimum ${hard}`);
  }
  const unit = limit(k, limits, 'logical_block_size') / SECTOR;
  hard = down(hard, unit);
  setLimit(k, limits, 'max_hw_sectors', hard);
  const device = limit(k, limits, 'max_dev_sectors') || UINT_MAX;
  setLimit(k, limits, 'max_sectors', down(Math.min(hard, device, DEFAULT_MAX_SECTORS), unit));
}

function raise(k: Linux, limits: Address, name: string, least: number): void {
  setLimit(k, limits, name, Math.max(limit(k, limits, name), least));
}
