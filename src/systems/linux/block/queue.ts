/** Request queues, and the switches that were flags of them and are features of their limits now. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import { assignBit, hasBit } from '../bits.ts';
import type { Linux } from '../linux.ts';
import { initList } from '../lists.ts';
import { FEATURE, hasFeatures, initialise, limit, limitsOf, setLimit } from './limits.ts';

/** QUEUE_FLAG_* of 6.1 (include/linux/blkdev.h); later kernels have no numbers for what became a feature. */
const FLAG = {
  NONROT: 6,
  IO_STAT: 7,
  ADD_RANDOM: 10,
  STABLE_WRITES: 15,
  POLL: 16,
  WC: 17,
  FUA: 18,
  DAX: 19,
} as const;
const SAME_COMP = 4;
const NOWAIT = 29;
/** BLKDEV_DEFAULT_RQ. */
const DEFAULT_REQUESTS = 128;

export type Switch = keyof typeof SWITCHES;
/** Each switch as a feature and as a flag; one of them is the other way round. */
const SWITCHES = {
  rotational: { feature: FEATURE.ROTATIONAL, flag: FLAG.NONROT },
  iostats: { feature: FEATURE.IO_STAT, flag: FLAG.IO_STAT },
  add_random: { feature: FEATURE.ADD_RANDOM, flag: FLAG.ADD_RANDOM },
  stable_writes: { feature: FEATURE.STABLE_WRITES, flag: FLAG.STABLE_WRITES },
  io_poll: { feature: FEATURE.POLL, flag: FLAG.POLL },
  write_cache: { feature: FEATURE.WRITE_CACHE, flag: FLAG.WC },
  fua: { feature: FEATURE.FUA, flag: FLAG.FUA },
  dax: { feature: FEATURE.DAX, flag: FLAG.DAX },
} as const;

export function isOn(k: Linux, queue: Address, name: Switch): boolean {
  const { feature, flag } = SWITCHES[name];
  if (hasFeatures(k)) return (limit(k, limitsOf(k, queue), 'features') & feature) !== 0;
  return hasBit(k, flagsOf(k, queue), flag) !== (flag === FLAG.NONROT);
}

export function turn(k: Linux, queue: Address, name: Switch, on: boolean): void {
  const { feature, flag } = SWITCHES[name];
  if (!hasFeatures(k)) {
    setQueueFlag(k, queue, flag, on !== (flag === FLAG.NONROT));
    return;
  }
  const limits = limitsOf(k, queue);
  const features = limit(k, limits, 'features');
  setLimit(k, limits, 'features', on ? features | feature : features & ~feature);
}

const flagsOf = (k: Linux, queue: Address): Address => queue + k.offset('request_queue.queue_flags');

export const setQueueFlag = (k: Linux, queue: Address, flag: number, on: boolean): void =>
  assignBit(k, flagsOf(k, queue), flag, on);

const ids = perKernel(() => ({ last: -1 }));

/** blk_alloc_queue: a queue with limits; or a negative errno when those it was given cannot be. */
export function allocateQueue(k: Linux, given: Address, forRequests: boolean): Address {
  const queue = k.heap.allocateZeroed(k.sizeof('request_queue'));
  const error = initialise(k, queue, given, forRequests ? FEATURE.IO_STAT | FEATURE.NOWAIT : 0);
  if (error !== 0) {
    k.heap.free(queue);
    return error;
  }
  k.write('request_queue.id', queue, ++k.state(ids).last);
  k.write('request_queue.nr_requests', queue, DEFAULT_REQUESTS);
  if (k.types.has('request_queue.refs.refs.counter')) k.write('request_queue.refs.refs.counter', queue, 1);
  if (forRequests && !hasFeatures(k)) {
    for (const flag of [FLAG.IO_STAT, SAME_COMP, NOWAIT]) setQueueFlag(k, queue, flag, true);
  }
  for (const list of ['requeue_list', 'tag_set_list', 'unused_hctx_list', 'icq_list'])
    initList(k, queue + k.offset(`request_queue.${list}`));
  return queue;
}
