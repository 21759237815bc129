/** Drivers that are handed requests (block/blk-mq.c). */
import { MissingFunctionReached } from '../../../kernel/missing.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { DISK, setDiskState } from '../block/device.ts';
import { allocateDisk } from '../block/disk.ts';
import * as mq from '../block/mq.ts';
import { allocateQueue } from '../block/queue.ts';
import { allocateSet, freeSet, mapEvenly, requestsOf } from '../block/tags.ts';
import { isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

/** A disk over a queue that is handed requests. */
export function* allocateForRequests(k: Linux, set: Address, limits: Address, data: Address): Steps<Address> {
  const queue = allocateQueue(k, limits, true);
  if (isError(queue)) return queue;
  k.write('request_queue.queuedata', queue, data);
  const error = yield* mq.makeHardwareQueues(k, queue, set);
  if (error !== 0) {
    yield* mq.destroyHardwareQueues(k, queue);
    k.heap.free(queue);
    return error;
  }
  const disk = allocateDisk(k, queue);
  setDiskState(k, disk, DISK.OWNS_QUEUE, true);
  return disk;
}

function* runAll(k: Linux, queue: Address): Steps<void> {
  for (const hardware of mq.hardwareQueues(k, queue)) yield* mq.runQueue(k, hardware);
}

/** Lets stopped queues go on. */
function* startAll(k: Linux, queue: Address): Steps<void> {
  for (const hardware of mq.hardwareQueues(k, queue)) mq.setStopped(k, hardware, false);
  yield* runAll(k, queue);
}

function changeQuiesce(k: Linux, queue: Address, by: number): number {
  const depth = k.read('request_queue.quiesce_depth', queue) + by;
  k.write('request_queue.quiesce_depth', queue, Math.max(depth, 0));
  return depth;
}

/** blk_mq_end_request_batch: requests that a driver ends together, linked by rq_next. */
function* endBatch(k: Linux, batch: Address): Steps<void> {
  const list = batch + k.offset('io_comp_batch.req_list');
  for (let request = k.memory.ptr(list); request !== 0; request = k.memory.ptr(list)) {
    k.memory.setPtr(list, k.read('request.rq_next', request));
    yield* mq.endRequest(k, request, 0);
  }
}

export const blkMqFunctions = kernelFunctions({
  'int blk_mq_alloc_tag_set(struct blk_mq_tag_set *set)': allocateSet,
  'void blk_mq_free_tag_set(struct blk_mq_tag_set *set)': freeSet,
  'struct gendisk *__blk_mq_alloc_disk(struct blk_mq_tag_set *set, void *queuedata, struct lock_class_key *lkclass)':
    (k, set, data) => allocateForRequests(k, set, 0, data),
  'void blk_mq_map_queues(struct blk_mq_queue_map *qmap)': mapEvenly,
  'void blk_mq_start_request(struct request *rq)': mq.start,
  'void blk_mq_end_request(struct request *rq, blk_status_t error)': mq.endRequest,
  'void __blk_mq_end_request(struct request *rq, blk_status_t error)': mq.finish,
  'void blk_mq_end_request_batch(struct io_comp_batch *iob)': endBatch,
  'void blk_mq_complete_request(struct request *rq)': mq.complete,
  'bool blk_update_request(struct request *req, blk_status_t error, unsigned int nr_bytes)': mq.update,
  'void blk_mq_requeue_request(struct request *rq, bool kick_requeue_list)': (k, request, kick) => {
    const hardware = k.read('request.mq_hctx', request);
    mq.requeue(k, request);
    if (Number(kick) !== 0) mq.runLater(k, hardware);
  },
  'void blk_mq_kick_requeue_list(struct request_queue *q)': (k, queue) => {
    for (const hardware of mq.hardwareQueues(k, queue)) mq.runLater(k, hardware);
  },
  'void blk_mq_stop_hw_queue(struct blk_mq_hw_ctx *hctx)': (k, hardware) => mq.setStopped(k, hardware, true),
  'void blk_mq_stop_hw_queues(struct request_queue *q)': (k, queue) => {
    for (const hardware of mq.hardwareQueues(k, queue)) mq.setStopped(k, hardware, true);
  },
  'void blk_mq_start_hw_queue(struct blk_mq_hw_ctx *hctx)': function* (k, hardware) {
    mq.setStopped(k, hardware, false);
    yield* mq.runQueue(k, hardware);
  },
  'void blk_mq_start_hw_queues(struct request_queue *q)': startAll,
  'void blk_mq_start_stopped_hw_queues(struct request_queue *q, bool async)': startAll,
  'void blk_mq_run_hw_queue(struct blk_mq_hw_ctx *hctx, bool async)': function* (k, hardware, later) {
    if (Number(later) !== 0) mq.runLater(k, hardware);
    else yield* mq.runQueue(k, hardware);
  },
  'void blk_mq_run_hw_queues(struct request_queue *q, bool async)': function* (k, queue, later) {
    if (Number(later) === 0) yield* runAll(k, queue);
    else for (const hardware of mq.hardwareQueues(k, queue)) mq.runLater(k, hardware);
  },
  'void blk_mq_update_nr_hw_queues(struct blk_mq_tag_set *set, int nr_hw_queues)': (k, set, count) => {
    // One processor needs one queue: only sets with queues for reading or polling can change.
    const now = k.read('blk_mq_tag_set.nr_hw_queues', set);
    const wanted = k.read('blk_mq_tag_set.nr_maps', set) === 1 ? Math.min(count, 1) : count;
    if (wanted >= 1 && wanted !== now)
      throw new MissingFunctionReached('block layer', 'blk_mq_realloc_hw_ctxs', k.describe(set));
  },
  'void blk_mq_freeze_queue(struct request_queue *q)': mq.freeze,
  'void blk_mq_unfreeze_queue(struct request_queue *q)': mq.unfreeze,
  'void blk_mq_quiesce_queue(struct request_queue *q)': (k, queue) => void changeQuiesce(k, queue, 1),
  'void blk_mq_unquiesce_queue(struct request_queue *q)': function* (k, queue) {
    if (changeQuiesce(k, queue, -1) === 0) yield* runAll(k, queue);
  },
  'struct request *blk_mq_tag_to_rq(struct blk_mq_tags *tags, unsigned int tag)': (k, tags, tag) =>
    tag < k.read('blk_mq_tags.nr_tags', tags) ? [...requestsOf(k, tags)][tag] : 0,
  'u32 blk_mq_unique_tag(struct request *rq)': (k, request) =>
    k.read('blk_mq_hw_ctx.queue_num', k.read('request.mq_hctx', request)) * 0x10000 +
    (k.read('request.tag', request) & 0xffff),
  'void blk_mq_free_request(struct request *rq)': mq.free,
});
