/** Tag sets: the requests of a driver, made beforehand, and the map from processors to hardware queues (block/blk-mq.c). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { initList } from '../lists.ts';

/** BLK_MQ_MAX_DEPTH. */
const MOST_TAGS = 10240;

/** The functions of a set or a queue by name; 0 for what the driver leaves out. */
export const operation = (k: Linux, operations: Address, name: string): Address =>
  k.read(`blk_mq_ops.${name}`, operations);

/** blk_mq_alloc_tag_set: 0 or a negative errno. */
export function* allocateSet(k: Linux, set: Address): Steps<number> {
  const operations = k.read('blk_mq_tag_set.ops', set);
  const depth = k.read('blk_mq_tag_set.queue_depth', set);
  const reserved = k.read('blk_mq_tag_set.reserved_tags', set);
  if (k.read('blk_mq_tag_set.nr_hw_queues', set) === 0 || depth === 0 || depth < reserved + 1)
    return -Errno.EINVAL;
  const [get, give] = ['get_budget', 'put_budget'].map((name) => operation(k, operations, name) !== 0);
  if (operation(k, operations, 'queue_rq') === 0 || get !== give) return -Errno.EINVAL;
  if (depth > MOST_TAGS) {
    k.printk(6, `blk-mq: reduced tag depth to ${MOST_TAGS}`);
    k.write('blk_mq_tag_set.queue_depth', set, MOST_TAGS);
  }
  if (k.read('blk_mq_tag_set.nr_maps', set) === 0) k.write('blk_mq_tag_set.nr_maps', set, 1);
  // More queues than processors are of no use, unless some are for polling or reading alone.
  if (k.read('blk_mq_tag_set.nr_maps', set) === 1) k.write('blk_mq_tag_set.nr_hw_queues', set, 1);
  initList(k, set + k.offset('blk_mq_tag_set.tag_list'));
  yield* mapQueues(k, set, operations);
  return yield* makeRequests(k, set, operations);
}

export const mapAt = (k: Linux, set: Address, type: number): Address =>
  set + k.offset('blk_mq_tag_set.map') + type * k.sizeof('blk_mq_queue_map');

function* mapQueues(k: Linux, set: Address, operations: Address): Steps<void> {
  for (let type = 0; type < k.read('blk_mq_tag_set.nr_maps', set); type++) {
    const map = mapAt(k, set, type);
    // One processor: an array of one int.
    k.write('blk_mq_queue_map.mq_map', map, k.heap.allocateZeroed(4));
  }
  if (k.read('blk_mq_tag_set.nr_maps', set) === 1)
    k.write('blk_mq_queue_map.nr_queues', mapAt(k, set, 0), k.read('blk_mq_tag_set.nr_hw_queues', set));
  const own = operation(k, operations, 'map_queues');
  if (own === 0) mapEvenly(k, mapAt(k, set, 0));
  else yield* k.call(own, set);
}

/** blk_mq_map_queues: the only processor uses the first queue of the map. */
export function mapEvenly(k: Linux, map: Address): void {
  const offset = k.read('blk_mq_queue_map.queue_offset', map);
  k.memory.set32(k.read('blk_mq_queue_map.mq_map', map), offset);
}

function* makeRequests(k: Linux, set: Address, operations: Address): Steps<number> {
  const queues = k.read('blk_mq_tag_set.nr_hw_queues', set);
  const all = k.heap.allocateZeroed(queues * k.word);
  k.write('blk_mq_tag_set.tags', set, all);
  for (let number = 0; number < queues; number++) {
    const tags = makeTags(k, set);
    k.memory.setPtr(all + number * k.word, tags);
    const error = yield* prepare(k, set, operations, tags, number);
    if (error === 0) continue;
    yield* freeSet(k, set);
    return error;
  }
  return 0;
}

function makeTags(k: Linux, set: Address): Address {
  const depth = k.read('blk_mq_tag_set.queue_depth', set);
  const bytes = k.sizeof('request') + k.read('blk_mq_tag_set.cmd_size', set);
  const tags = k.heap.allocateZeroed(k.sizeof('blk_mq_tags'));
  k.write('blk_mq_tags.nr_tags', tags, depth);
  k.write('blk_mq_tags.nr_reserved_tags', tags, k.read('blk_mq_tag_set.reserved_tags', set));
  for (const table of ['rqs', 'static_rqs'])
    k.write(`blk_mq_tags.${table}`, tags, k.heap.allocateZeroed(depth * k.word));
  const made = k.read('blk_mq_tags.static_rqs', tags);
  for (let tag = 0; tag < depth; tag++) k.memory.setPtr(made + tag * k.word, k.heap.allocateZeroed(bytes));
  initList(k, tags + k.offset('blk_mq_tags.page_list'));
  return tags;
}

function* prepare(k: Linux, set: Address, operations: Address, tags: Address, number: number): Steps<number> {
  const init = operation(k, operations, 'init_request');
  if (init === 0) return 0;
  for (const request of requestsOf(k, tags)) {
    const error = yield* k.callInt(init, set, request, number, 0);
    if (error !== 0) return error;
  }
  return 0;
}

/** The requests of a hardware queue by tag. */
export function* requestsOf(k: Linux, tags: Address): Generator<Address> {
  const made = k.read('blk_mq_tags.static_rqs', tags);
  for (let tag = 0; tag < k.read('blk_mq_tags.nr_tags', tags); tag++) yield k.memory.ptr(made + tag * k.word);
}

export const tagsOf = (k: Linux, set: Address, number: number): Address =>
  k.memory.ptr(k.read('blk_mq_tag_set.tags', set) + number * k.word);

/** blk_mq_free_tag_set. */
export function* freeSet(k: Linux, set: Address): Steps<void> {
  const exit = operation(k, k.read('blk_mq_tag_set.ops', set), 'exit_request');
  const all = k.read('blk_mq_tag_set.tags', set);
  for (let number = 0; all !== 0 && number < k.read('blk_mq_tag_set.nr_hw_queues', set); number++) {
    const tags = k.memory.ptr(all + number * k.word);
    if (tags === 0) continue;
    for (const request of requestsOf(k, tags)) {
      if (exit !== 0) yield* k.call(exit, set, request, number);
      k.heap.free(request);
    }
    for (const table of ['rqs', 'static_rqs']) k.heap.free(k.read(`blk_mq_tags.${table}`, tags));
    k.heap.free(tags);
  }
  k.heap.free(all);
  k.write('blk_mq_tag_set.tags', set, 0);
  for (let type = 0; type < k.read('blk_mq_tag_set.nr_maps', set); type++) {
    k.heap.free(k.read('blk_mq_queue_map.mq_map', mapAt(k, set, type)));
    k.write('blk_mq_queue_map.mq_map', mapAt(k, set, type), 0);
  }
}
