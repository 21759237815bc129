/** What drivers say of their queues (block/blk-settings.c): one by one up to 6.9, later as a whole. */
import type { Address } from '../../../memory/space.ts';
import { tellBacking } from '../block/disk.ts';
import * as limits from '../block/limits.ts';
import { setQueueFlag, turn } from '../block/queue.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';
import { unlockMutex } from './locks.ts';

type Set = (k: Linux, queue: Address, value: number) => void;

/** A function that sets one limit to what it is given. */
const setter =
  (name: string): Set =>
  (k, queue, value) =>
    limits.setLimit(k, limits.limitsOf(k, queue), name, value);

/** The disk's backing device follows the limits. */
function follow(k: Linux, queue: Address): void {
  const disk = k.read('request_queue.disk', queue);
  if (disk !== 0) tellBacking(k, disk);
}

/** queue_limits_set: the new limits as a whole, if they can be. */
function replace(k: Linux, queue: Address, given: Address): number {
  const error = limits.validate(k, given);
  if (error !== 0) return error;
  k.memory.copy(limits.limitsOf(k, queue), given, k.sizeof('queue_limits'));
  follow(k, queue);
  return 0;
}

export const blkSettings = kernelFunctions({
  'void blk_queue_flag_set(unsigned int flag, struct request_queue *q)': (k, flag, queue) =>
    setQueueFlag(k, queue, flag, true),
  'void blk_queue_flag_clear(unsigned int flag, struct request_queue *q)': (k, flag, queue) =>
    setQueueFlag(k, queue, flag, false),
  'void blk_queue_logical_block_size(struct request_queue *q, unsigned int size)': (k, queue, size) =>
    limits.setLogicalBlock(k, limits.limitsOf(k, queue), size),
  'void blk_queue_physical_block_size(struct request_queue *q, unsigned int size)': (k, queue, size) =>
    limits.setPhysicalBlock(k, limits.limitsOf(k, queue), size),
  'void blk_queue_io_min(struct request_queue *q, unsigned int min)': (k, queue, size) =>
    limits.setMinimum(k, limits.limitsOf(k, queue), size),
  'void blk_limits_io_min(struct queue_limits *limits, unsigned int min)': limits.setMinimum,
  'void blk_queue_io_opt(struct request_queue *q, unsigned int opt)': (k, queue, size) => {
    setter('io_opt')(k, queue, size);
    follow(k, queue);
  },
  'void blk_limits_io_opt(struct queue_limits *limits, unsigned int opt)': (k, at, size) =>
    limits.setLimit(k, at, 'io_opt', size),
  'void blk_queue_max_hw_sectors(struct request_queue *q, unsigned int max_hw_sectors)': (
    k,
    queue,
    sectors,
  ) => {
    limits.setMaxSectors(k, limits.limitsOf(k, queue), sectors);
    follow(k, queue);
  },
  'void blk_queue_max_segments(struct request_queue *q, unsigned short max_segments)': setter('max_segments'),
  'void blk_queue_max_discard_segments(struct request_queue *q, unsigned short max_segments)':
    setter('max_discard_segments'),
  'void blk_queue_max_segment_size(struct request_queue *q, unsigned int max_size)':
    setter('max_segment_size'),
  'void blk_queue_segment_boundary(struct request_queue *q, unsigned long mask)': setter('seg_boundary_mask'),
  'void blk_queue_virt_boundary(struct request_queue *q, unsigned long mask)': (k, queue, mask) => {
    setter('virt_boundary_mask')(k, queue, mask);
    if (mask !== 0) setter('max_segment_size')(k, queue, 0xffffffff);
  },
  'void blk_queue_dma_alignment(struct request_queue *q, int mask)': setter('dma_alignment'),
  'void blk_queue_update_dma_alignment(struct request_queue *q, int mask)': (k, queue, mask) => {
    const at = limits.limitsOf(k, queue);
    limits.setLimit(k, at, 'dma_alignment', Math.max(mask, limits.limit(k, at, 'dma_alignment')));
  },
  'void blk_queue_max_discard_sectors(struct request_queue *q, unsigned int max_discard_sectors)': (
    k,
    queue,
    sectors,
  ) => {
    setter('max_hw_discard_sectors')(k, queue, sectors);
    setter('max_discard_sectors')(k, queue, sectors);
  },
  'void blk_queue_max_secure_erase_sectors(struct request_queue *q, unsigned int max_sectors)':
    setter('max_secure_erase_sectors'),
  'void blk_queue_max_write_zeroes_sectors(struct request_queue *q, unsigned int max_write_zeroes_sectors)':
    setter('max_write_zeroes_sectors'),
  'void blk_queue_max_zone_append_sectors(struct request_queue *q, unsigned int max_zone_append_sectors)':
    setter('max_zone_append_sectors'),
  'void blk_queue_chunk_sectors(struct request_queue *q, unsigned int chunk_sectors)':
    setter('chunk_sectors'),
  'void blk_queue_alignment_offset(struct request_queue *q, unsigned int offset)': setter('alignment_offset'),
  'void blk_queue_write_cache(struct request_queue *q, bool wc, bool fua)': (k, queue, cache, fua) => {
    turn(k, queue, 'write_cache', Number(cache) !== 0);
    turn(k, queue, 'fua', Number(fua) !== 0);
  },
  'void blk_queue_required_elevator_features(struct request_queue *q, unsigned int features)': (
    k,
    queue,
    features,
  ) => k.write('request_queue.required_elevator_features', queue, features),
  'void blk_queue_rq_timeout(struct request_queue *q, unsigned int timeout)': (k, queue, timeout) =>
    k.write('request_queue.rq_timeout', queue, timeout),
  'void blk_set_stacking_limits(struct queue_limits *lim)': limits.setStacking,
  'int queue_limits_set(struct request_queue *q, struct queue_limits *lim)': replace,
  'int queue_limits_commit_update(struct request_queue *q, struct queue_limits *lim)': (k, queue, given) => {
    const result = replace(k, queue, given);
    // queue_limits_start_update, which is inline, took the lock.
    return k.types.has('request_queue.limits_lock') ? unlocked(k, queue, result) : result;
  },
});

function unlocked(k: Linux, queue: Address, result: number): number {
  unlockMutex(k, queue + k.offset('request_queue.limits_lock'));
  return result;
}
