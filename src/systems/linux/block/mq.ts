/** Queues of requests: what drivers are handed by queue_rq, and how they say that it is done (block/blk-mq.c). */

import { perKernel } from '../../../kernel/kernel.ts';
import { MissingFunctionReached } from '../../../kernel/missing.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import type { Thread } from '../../../kernel/thread.ts';
import type { Address } from '../../../memory/space.ts';
import { assignBit, hasBit } from '../bits.ts';
import { HZ, jiffies } from '../functions/clock.ts';
import type { Linux } from '../linux.ts';
import { addTail, entries, initList, listEmpty, removeInit } from '../lists.ts';
import * as bios from './bio.ts';
import { limit, limitsOf } from './limits.ts';
import { isOn } from './queue.ts';
import * as stats from './stats.ts';
import { operationName, STATUS, statusWords } from './status.ts';
import { mapAt, operation, requestsOf, tagsOf } from './tags.ts';

/** enum hctx_type. */
const DEFAULT = 0;
const READING = 1;
/** A queue that had no room is tried again after this long (BLK_MQ_RESOURCE_DELAY). */
const RETRY_NS = 3_000_000;
/** RQ_END_IO_FREE of enum rq_end_io_ret. */
const END_IO_FREE = 1;
/** REQ_FAILFAST_MASK: what nobody waits for is not tried again. */
const FAILFAST = 0x700;
/** Best effort, and the level that goes with a task's nice value of 0 (get_current_ioprio). */
const DEFAULT_PRIORITY = (2 << 13) | 4;
/** BLK_MQ_S_STOPPED. */
const STOPPED = 0;

const stateOf = (k: Linux, name: 'IDLE' | 'IN_FLIGHT' | 'COMPLETE'): number =>
  k.types.enumerator('MQ_RQ_IDLE') + ['IDLE', 'IN_FLIGHT', 'COMPLETE'].indexOf(name);

// -- queues --------------------------------------------------------------------------------------------------

/** blk_mq_init_allocated_queue: hardware queues and the processor's own one. */
export function* makeHardwareQueues(k: Linux, queue: Address, set: Address): Steps<number> {
  const count = k.read('blk_mq_tag_set.nr_hw_queues', set);
  k.write('request_queue.mq_ops', queue, k.read('blk_mq_tag_set.ops', set));
  k.write('request_queue.tag_set', queue, set);
  k.write('request_queue.nr_hw_queues', queue, count);
  k.write('request_queue.rq_timeout', queue, k.read('blk_mq_tag_set.timeout', set) || 30 * HZ);
  k.write('request_queue.nr_requests', queue, k.read('blk_mq_tag_set.queue_depth', set));
  if (k.types.has('request_queue.poll_nsec')) k.write('request_queue.poll_nsec', queue, -1);
  const table = !k.types.has('request_queue.queue_hw_ctx') ? 0 : k.heap.allocateZeroed(count * k.word);
  if (table !== 0) k.write('request_queue.queue_hw_ctx', queue, table);
  for (let number = 0; number < count; number++) {
    const hardware = makeHardware(k, queue, set, number);
    if (table !== 0) k.memory.setPtr(table + number * k.word, hardware);
    else
      yield* k.call(
        k.addressOf('xa_store'),
        queue + k.offset('request_queue.hctx_table'),
        number,
        hardware,
        0xcc0,
      );
    const init = operation(k, k.read('blk_mq_tag_set.ops', set), 'init_hctx');
    const error =
      init === 0 ? 0 : yield* k.callInt(init, hardware, k.read('blk_mq_tag_set.driver_data', set), number);
    if (error !== 0) return error;
  }
  makeProcessorQueue(k, queue, set);
  addTail(k, queue + k.offset('request_queue.tag_set_list'), set + k.offset('blk_mq_tag_set.tag_list'));
  return 0;
}

function makeHardware(k: Linux, queue: Address, set: Address, number: number): Address {
  const hardware = k.heap.allocateZeroed(k.sizeof('blk_mq_hw_ctx'));
  k.write('blk_mq_hw_ctx.queue', hardware, queue);
  k.write('blk_mq_hw_ctx.queue_num', hardware, number);
  k.write('blk_mq_hw_ctx.tags', hardware, tagsOf(k, set, number));
  k.write('blk_mq_hw_ctx.flags', hardware, k.read('blk_mq_tag_set.flags', set));
  k.write('blk_mq_hw_ctx.nr_ctx', hardware, number === 0 ? 1 : 0);
  for (const list of ['dispatch', 'hctx_list']) initList(k, hardware + k.offset(`blk_mq_hw_ctx.${list}`));
  return hardware;
}

/** struct blk_mq_ctx of the only processor. */
function makeProcessorQueue(k: Linux, queue: Address, set: Address): void {
  const own = k.percpu.allocate(k.sizeof('blk_mq_ctx'), 64);
  k.write('request_queue.queue_ctx', queue, own);
  const at = k.percpu.base + own;
  k.write('blk_mq_ctx.queue', at, queue);
  const hardware = hardwareQueues(k, queue);
  for (let type = 0; type < 3; type++) {
    const number = k.memory.u32(mapOfType(k, set, type));
    k.memory.setPtr(at + k.offset('blk_mq_ctx.hctxs') + type * k.word, hardware[number] ?? 0);
  }
}

/** mq_map of a type of queue; types without queues of their own use the default. */
function mapOfType(k: Linux, set: Address, type: number): Address {
  const maps = k.read('blk_mq_tag_set.nr_maps', set);
  const own = type < maps && k.read('blk_mq_queue_map.nr_queues', mapAt(k, set, type)) > 0 ? type : DEFAULT;
  return k.read('blk_mq_queue_map.mq_map', mapAt(k, set, own));
}

/** The hardware queues in order, from the table that inline code of drivers looks at. */
export function hardwareQueues(k: Linux, queue: Address): Address[] {
  const count = k.read('request_queue.nr_hw_queues', queue);
  if (k.types.has('request_queue.queue_hw_ctx')) {
    const table = k.read('request_queue.queue_hw_ctx', queue);
    return Array.from({ length: count }, (_, i) => k.memory.ptr(table + i * k.word));
  }
  const head = k.read('xarray.xa_head', queue + k.offset('request_queue.hctx_table'));
  if (count <= 1) return head === 0 ? [] : [head];
  // An internal entry: the node's address and 2. One node has 64 slots, and no more queues are made.
  const slots = head - 2 + k.offset('xa_node.slots');
  return Array.from({ length: Math.min(count, 64) }, (_, i) => k.memory.ptr(slots + i * k.word)).filter(
    (at) => at !== 0,
  );
}

/** blk_mq_exit_queue. */
export function* destroyHardwareQueues(k: Linux, queue: Address): Steps<void> {
  const exit = operation(k, k.read('request_queue.mq_ops', queue), 'exit_hctx');
  for (const [number, hardware] of hardwareQueues(k, queue).entries()) {
    if (exit !== 0) yield* k.call(exit, hardware, number);
    k.heap.free(hardware);
  }
  if (k.types.has('request_queue.hctx_table'))
    yield* k.call(k.addressOf('xa_destroy'), queue + k.offset('request_queue.hctx_table'));
  else k.heap.free(k.read('request_queue.queue_hw_ctx', queue));
  const own = k.read('request_queue.queue_ctx', queue);
  if (own !== 0) k.percpu.free(own);
  removeInit(k, queue + k.offset('request_queue.tag_set_list'));
  k.write('request_queue.nr_hw_queues', queue, 0);
}

// -- requests ------------------------------------------------------------------------------------------------

/** Who waits for a request of a set of tags to be free, or for a queue to thaw. */
const waiting = perKernel(() => new Map<Address, Set<Thread>>());

function* sleepOn(k: Linux, what: Address, why: string): Steps<void> {
  const { current } = k.scheduler;
  if (current === undefined) return;
  const all = k.state(waiting);
  all.set(what, (all.get(what) ?? new Set()).add(current));
  yield* block(why);
}

function wake(k: Linux, what: Address): void {
  const threads = k.state(waiting).get(what);
  k.state(waiting).delete(what);
  for (const thread of threads ?? []) k.scheduler.wake(thread);
}

const references = (k: Linux, request: Address): number => k.read('request.ref.counter', request);

/** Requests of a queue that its driver has. */
export function runningRequests(k: Linux, queue: Address): Address[] {
  const idle = stateOf(k, 'IDLE');
  return hardwareQueues(k, queue).flatMap((hardware) =>
    [...requestsOf(k, k.read('blk_mq_hw_ctx.tags', hardware))].filter(
      (request) =>
        references(k, request) > 0 &&
        k.read('request.q', request) === queue &&
        k.read('request.state', request) !== idle,
    ),
  );
}

/** blk_mq_submit_bio: in pieces that the queue takes, a request for each. */
export function* submitToQueue(k: Linux, queue: Address, bio: Address): Steps<void> {
  const flags = k.read('bio.bi_opf', bio);
  if ((flags & (1 << k.types.enumerator('__REQ_PREFLUSH'))) !== 0)
    throw new MissingFunctionReached('block layer', 'blk_insert_flush', k.describe(queue));
  if (k.read('bio.bi_ioprio', bio) >>> 13 === 0) k.write('bio.bi_ioprio', bio, DEFAULT_PRIORITY);
  const most = mostSectors(k, queue, bios.operationOf(flags));
  while (bios.sectorsOf(k, bio) > most) {
    const first = bios.split(k, bio, most, 0);
    bios.chain(k, first, bio);
    yield* issueBio(k, queue, first);
  }
  yield* issueBio(k, queue, bio);
}

/** How much of an operation one request may be. */
function mostSectors(k: Linux, queue: Address, of: number): number {
  const names: Readonly<Record<number, string>> = {
    [bios.OP.DISCARD]: 'max_discard_sectors',
    [bios.OP.WRITE_ZEROES]: 'max_write_zeroes_sectors',
    [bios.OP.SECURE_ERASE]: 'max_secure_erase_sectors',
  };
  return limit(k, limitsOf(k, queue), names[of] ?? 'max_sectors');
}

function* issueBio(k: Linux, queue: Address, bio: Address): Steps<void> {
  while (k.read('request_queue.mq_freeze_depth', queue) > 0)
    yield* sleepOn(k, queue, 'a frozen request queue');
  const hardware = hardwareFor(k, queue, bios.operationOf(k.read('bio.bi_opf', bio)));
  const request = yield* takeRequest(k, queue, hardware);
  prepare(k, request, bio);
  if (isOn(k, queue, 'iostats')) stats.requestBegins(k, k.read('bio.bi_bdev', bio));
  yield* issue(k, hardware, request);
}

function hardwareFor(k: Linux, queue: Address, of: number): Address {
  const at = k.percpu.base + k.read('request_queue.queue_ctx', queue);
  const type = of === bios.OP.READ ? READING : DEFAULT;
  return k.memory.ptr(at + k.offset('blk_mq_ctx.hctxs') + type * k.word);
}

/** blk_mq_get_tag and blk_mq_rq_ctx_init: a request that nobody has, after a sleep if there is none. */
function* takeRequest(k: Linux, queue: Address, hardware: Address): Steps<Address> {
  const tags = k.read('blk_mq_hw_ctx.tags', hardware);
  const reserved = k.read('blk_mq_tags.nr_reserved_tags', tags);
  for (;;) {
    const all = [...requestsOf(k, tags)];
    const tag = all.findIndex((request, i) => i >= reserved && references(k, request) === 0);
    if (tag >= 0) {
      k.memory.setPtr(k.read('blk_mq_tags.rqs', tags) + tag * k.word, all[tag]);
      return begin(k, queue, hardware, all[tag], tag);
    }
    yield* sleepOn(k, tags, 'a free request of a disk');
  }
}

function begin(k: Linux, queue: Address, hardware: Address, request: Address, tag: number): Address {
  k.memory.fill(request, k.sizeof('request'), 0);
  k.write('request.q', request, queue);
  k.write('request.mq_ctx', request, k.percpu.base + k.read('request_queue.queue_ctx', queue));
  k.write('request.mq_hctx', request, hardware);
  k.write('request.tag', request, tag);
  k.write('request.internal_tag', request, -1);
  k.write('request.__sector', request, -1);
  k.write('request.ref.counter', request, 1);
  k.write('request.start_time_ns', request, k.time.now());
  initList(k, request + k.offset('request.queuelist'));
  return request;
}

/** blk_mq_bio_to_request. */
function prepare(k: Linux, request: Address, bio: Address): void {
  const flags = k.read('bio.bi_opf', bio);
  const ahead = (flags & (1 << k.types.enumerator('__REQ_RAHEAD'))) !== 0;
  k.write('request.cmd_flags', request, ahead ? flags | FAILFAST : flags);
  k.write('request.__sector', request, bios.sectorOf(k, bio));
  k.write('request.__data_len', request, k.read('bio.bi_iter.bi_size', bio));
  k.write('request.bio', request, bio);
  k.write('request.biotail', request, bio);
  if (k.types.has('request.ioprio')) k.write('request.ioprio', request, k.read('bio.bi_ioprio', bio));
  k.write('request.part', request, k.read('bio.bi_bdev', bio));
  k.write('request.nr_phys_segments', request, countSegments(k, request));
}

/** Pieces of memory as a device sees them: what lies side by side is one, up to the queue's size of a segment. */
function countSegments(k: Linux, request: Address): number {
  const limits = limitsOf(k, k.read('request.q', request));
  const most = limit(k, limits, 'max_segment_size');
  let count = 0;
  let [end, size] = [Number.NaN, 0];
  for (let bio = k.read('request.bio', request); bio !== 0; bio = k.read('bio.bi_next', bio)) {
    const of = bios.operationOf(k.read('bio.bi_opf', bio));
    if (of === bios.OP.DISCARD || of === bios.OP.SECURE_ERASE) return 1;
    if (of === bios.OP.WRITE_ZEROES) return 0;
    for (const { at, length } of bios.segments(k, bio)) {
      if (at === end && size + length <= most) size += length;
      else {
        count++;
        size = length;
      }
      end = at + length;
    }
  }
  return count;
}

/** blk_mq_request_issue_directly: queue_rq, or the list of those that wait for the queue to go on. */
function* issue(k: Linux, hardware: Address, request: Address): Steps<void> {
  if (isHalted(k, hardware)) {
    addTail(k, request + k.offset('request.queuelist'), hardware + k.offset('blk_mq_hw_ctx.dispatch'));
    return;
  }
  const operations = k.read('request_queue.mq_ops', k.read('request.q', request));
  const data = k.heap.allocateZeroed(k.sizeof('blk_mq_queue_data'));
  k.write('blk_mq_queue_data.rq', data, request);
  k.write('blk_mq_queue_data.last', data, 1);
  const status = (yield* k.callInt(operation(k, operations, 'queue_rq'), hardware, data)) & 0xff;
  k.heap.free(data);
  if (status === STATUS.OK) return;
  if (status === STATUS.RESOURCE || status === STATUS.DEV_RESOURCE) {
    requeue(k, request);
    runLater(k, hardware, RETRY_NS);
  } else yield* endRequest(k, request, status);
}

function isHalted(k: Linux, hardware: Address): boolean {
  const stopped = hasBit(k, hardware + k.offset('blk_mq_hw_ctx.state'), STOPPED);
  return stopped || k.read('request_queue.quiesce_depth', k.read('blk_mq_hw_ctx.queue', hardware)) > 0;
}

export const setStopped = (k: Linux, hardware: Address, on: boolean): void =>
  assignBit(k, hardware + k.offset('blk_mq_hw_ctx.state'), STOPPED, on);

/** Puts a request back to those that wait. */
export function requeue(k: Linux, request: Address): void {
  k.write('request.state', request, stateOf(k, 'IDLE'));
  const hardware = k.read('request.mq_hctx', request);
  addTail(k, request + k.offset('request.queuelist'), hardware + k.offset('blk_mq_hw_ctx.dispatch'));
}

/** blk_mq_run_hw_queue: hands over what waits. */
export function* runQueue(k: Linux, hardware: Address): Steps<void> {
  const list = hardware + k.offset('blk_mq_hw_ctx.dispatch');
  const waits = [...entries(k, list)].map((entry) => entry - k.offset('request.queuelist'));
  for (const request of waits) {
    if (isHalted(k, hardware)) return;
    removeInit(k, request + k.offset('request.queuelist'));
    yield* issue(k, hardware, request);
  }
}

/** The queue is run by a worker, now or after a while. */
export function runLater(k: Linux, hardware: Address, delay = 0): void {
  if (listEmpty(k, hardware + k.offset('blk_mq_hw_ctx.dispatch'))) return;
  k.tasks.spawn('kworker/0:1H', delayed(k, hardware, delay));
}

function* delayed(k: Linux, hardware: Address, delay: number): Steps<void> {
  if (delay > 0) yield* block('a disk that had no room', k.time.now() + delay);
  yield* runQueue(k, hardware);
}

/** blk_mq_start_request: the driver has it, and this long to do it. */
export function start(k: Linux, request: Address): void {
  const timeout =
    k.read('request.timeout', request) || k.read('request_queue.rq_timeout', k.read('request.q', request));
  k.write('request.timeout', request, timeout);
  k.write('request.deadline', request, jiffies(k) + timeout);
  k.write('request.io_start_time_ns', request, k.time.now());
  k.write('request.state', request, stateOf(k, 'IN_FLIGHT'));
}

/** blk_mq_complete_request: the driver's own function ends it, in the context of whoever says so. */
export function* complete(k: Linux, request: Address): Steps<void> {
  k.write('request.state', request, stateOf(k, 'COMPLETE'));
  const own = operation(k, k.read('request_queue.mq_ops', k.read('request.q', request)), 'complete');
  yield* k.call(own, request);
}

/** blk_mq_end_request. */
export function* endRequest(k: Linux, request: Address, status: number): Steps<void> {
  yield* update(k, request, status, k.read('request.__data_len', request));
  yield* finish(k, request, status);
}

/** blk_update_request: so many bytes are done; true when something is left. */
export function* update(k: Linux, request: Address, status: number, bytes: number): Steps<boolean> {
  if (k.read('request.bio', request) === 0) return false;
  if (status !== STATUS.OK) printError(k, request, status);
  const flags = k.read('request.cmd_flags', request);
  const part = k.read('request.part', request);
  if (part !== 0 && isOn(k, k.read('request.q', request), 'iostats'))
    stats.sectorsDone(k, part, flags, bytes >>> bios.SECTOR_SHIFT);
  let left = bytes;
  for (let bio = k.read('request.bio', request); bio !== 0; bio = k.read('request.bio', request)) {
    const size = k.read('bio.bi_iter.bi_size', bio);
    const done = Math.min(size, left);
    if (done === size) k.write('request.bio', request, k.read('bio.bi_next', bio));
    if (status !== STATUS.OK) k.write('bio.bi_status', bio, status);
    bios.advance(k, bio, done);
    left -= done;
    if (done === size) {
      k.write('bio.bi_next', bio, 0);
      yield* bios.end(k, bio);
    }
    if (left === 0) break;
  }
  if (k.read('request.bio', request) === 0) {
    k.write('request.__data_len', request, 0);
    return false;
  }
  k.write('request.__data_len', request, k.read('request.__data_len', request) - (bytes - left));
  k.write(
    'request.__sector',
    request,
    k.read('request.__sector', request) + ((bytes - left) >>> bios.SECTOR_SHIFT),
  );
  k.write('request.nr_phys_segments', request, countSegments(k, request));
  return true;
}

/** blk_print_req_error. */
function printError(k: Linux, request: Address, status: number): void {
  const flags = k.read('request.cmd_flags', request);
  const of = bios.operationOf(flags);
  const part = k.read('request.part', request);
  const where = `dev ${part === 0 ? '?' : bios.nameOfDevice(k, part)}, sector ${k.read('request.__sector', request)}`;
  const what = `op 0x${of.toString(16)}:(${operationName(of)}) flags 0x${((flags >>> 8) << 8).toString(16)}`;
  const segments = `phys_seg ${k.read('request.nr_phys_segments', request)}`;
  const bio = k.read('request.bio', request);
  const priority = k.read('bio.bi_ioprio', bio) >>> 13;
  k.printk(3, `${statusWords(status)} error, ${where} ${what} ${segments} prio class ${priority}`);
}

/** __blk_mq_end_request. */
export function* finish(k: Linux, request: Address, status: number): Steps<void> {
  const part = k.read('request.part', request);
  const queue = k.read('request.q', request);
  const flags = k.read('request.cmd_flags', request);
  const began = k.read('request.start_time_ns', request);
  if (part !== 0 && isOn(k, queue, 'iostats')) stats.requestDone(k, part, flags, k.time.now() - began);
  const own = k.read('request.end_io', request);
  if (own !== 0 && (yield* k.callInt(own, request, status)) !== END_IO_FREE) return;
  free(k, request);
}

/** blk_mq_free_request. */
export function free(k: Linux, request: Address): void {
  const hardware = k.read('request.mq_hctx', request);
  k.write('request.state', request, stateOf(k, 'IDLE'));
  k.write('request.ref.counter', request, 0);
  wake(k, k.read('blk_mq_hw_ctx.tags', hardware));
  wake(k, k.read('request.q', request));
  runLater(k, hardware);
}

/** blk_mq_freeze_queue: nothing new begins, and what has begun is waited for. */
export function* freeze(k: Linux, queue: Address): Steps<void> {
  k.write('request_queue.mq_freeze_depth', queue, k.read('request_queue.mq_freeze_depth', queue) + 1);
  while (runningRequests(k, queue).length > 0) yield* sleepOn(k, queue, 'a request queue to be frozen');
}

export function unfreeze(k: Linux, queue: Address): void {
  const depth = k.read('request_queue.mq_freeze_depth', queue) - 1;
  k.write('request_queue.mq_freeze_depth', queue, depth);
  if (depth === 0) wake(k, queue);
}
