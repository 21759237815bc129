/** What /sys/block/NAME/stat counts (struct disk_stats of a block device; block/blk-core.c, block/genhd.c). */
import type { Address } from '../../../memory/space.ts';
import { jiffies, NS_PER_JIFFY } from '../functions/clock.ts';
import type { Linux } from '../linux.ts';
import { isWrite, OP, operationOf, partNumber } from './bio.ts';
import { diskOf, wholeOf } from './device.ts';

/** enum stat_group. */
const GROUP = { READ: 0, WRITE: 1, DISCARD: 2, FLUSH: 3 } as const;

/** op_stat_group. */
const groupOf = (operation: number): number =>
  operation === OP.DISCARD ? GROUP.DISCARD : isWrite(operation) ? GROUP.WRITE : GROUP.READ;

/** This processor's counters. */
const statsOf = (k: Linux, device: Address): Address =>
  k.percpu.base + k.read('block_device.bd_stats', device);

function cell(k: Linux, device: Address, name: string, index: number): Address {
  const width = name === 'nsecs' ? 8 : k.word;
  return statsOf(k, device) + k.offset(`disk_stats.${name}`) + index * width;
}

function count(k: Linux, device: Address, name: string, index: number): number {
  const at = cell(k, device, name, index);
  return name === 'nsecs' ? Number(k.memory.u64(at)) : k.memory.ptr(at);
}

/** What a partition does counts for its disk, too. */
function add(k: Linux, device: Address, name: string, index: number, amount: number): void {
  addOne(k, device, name, index, amount);
  if (partNumber(k, device) > 0) addOne(k, wholeOf(k, diskOf(k, device)), name, index, amount);
}

function addOne(k: Linux, device: Address, name: string, index: number, amount: number): void {
  const at = cell(k, device, name, index);
  if (name === 'nsecs') k.memory.setU64(at, BigInt(count(k, device, name, index) + amount));
  else k.memory.setPtr(at, count(k, device, name, index) + amount);
}

/** update_io_ticks: time in which the disk had something to do. */
function tick(k: Linux, device: Address, now: number, ending: boolean): void {
  const stamp = k.read('block_device.bd_stamp', device);
  if (now <= stamp) return;
  const busy = count(k, device, 'in_flight', 0) + count(k, device, 'in_flight', 1) > 0;
  k.write('block_device.bd_stamp', device, now);
  if (ending || busy) addOne(k, device, 'io_ticks', 0, ending ? now - stamp : 1);
  if (partNumber(k, device) > 0) tick(k, wholeOf(k, diskOf(k, device)), now, ending);
}

/** A transfer of a driver that keeps its own account begins; gives the time to end it with. */
export function begin(k: Linux, device: Address, flags: number, start = jiffies(k)): number {
  tick(k, device, start, false);
  add(k, device, 'in_flight', isWrite(operationOf(flags)) ? 1 : 0, 1);
  return start;
}

/** ... and ends. */
export function finish(k: Linux, device: Address, flags: number, start: number): void {
  const now = jiffies(k);
  const operation = operationOf(flags);
  tick(k, device, now, true);
  add(k, device, 'nsecs', groupOf(operation), (now - start) * NS_PER_JIFFY);
  add(k, device, 'in_flight', isWrite(operation) ? 1 : 0, -1);
}

/** One transfer of that many sectors. */
export function transfer(k: Linux, device: Address, flags: number, sectors: number): void {
  const group = groupOf(operationOf(flags));
  add(k, device, 'ios', group, 1);
  add(k, device, 'sectors', group, sectors);
}

/** blk_account_io_done: a request is through; `ns` is how long it took. */
export function requestDone(k: Linux, device: Address, flags: number, ns: number): void {
  const group = groupOf(operationOf(flags));
  tick(k, device, jiffies(k), true);
  add(k, device, 'ios', group, 1);
  add(k, device, 'nsecs', group, ns);
}

/** blk_account_io_start. */
export function requestBegins(k: Linux, device: Address): void {
  tick(k, device, jiffies(k), false);
}

/** blk_account_io_completion: sectors, as they are done. */
export function sectorsDone(k: Linux, device: Address, flags: number, sectors: number): void {
  add(k, device, 'sectors', groupOf(operationOf(flags)), sectors);
}

/** A bio was put to the request before it. */
export function merged(k: Linux, device: Address, flags: number): void {
  add(k, device, 'merges', groupOf(operationOf(flags)), 1);
}

const milliseconds = (ns: number): number => Math.floor(ns / 1e6);

/** The seventeen numbers (Documentation/block/stat.rst); `inFlight` of queues whose requests are counted themselves. */
export function numbers(k: Linux, device: Address, inFlight?: number): number[] {
  const of = (group: number) => [
    count(k, device, 'ios', group),
    count(k, device, 'merges', group),
    count(k, device, 'sectors', group),
    milliseconds(count(k, device, 'nsecs', group)),
  ];
  const [reads, writes, discards] = [of(GROUP.READ), of(GROUP.WRITE), of(GROUP.DISCARD)];
  const flushes = [
    count(k, device, 'ios', GROUP.FLUSH),
    milliseconds(count(k, device, 'nsecs', GROUP.FLUSH)),
  ];
  const busy = milliseconds(count(k, device, 'io_ticks', 0) * NS_PER_JIFFY);
  const running = inFlight ?? count(k, device, 'in_flight', 0) + count(k, device, 'in_flight', 1);
  const waited: readonly number[] = Object.values(GROUP);
  const total = waited.reduce((sum, group) => sum + milliseconds(count(k, device, 'nsecs', group)), 0);
  return [...reads, ...writes, running, busy, total, ...discards, ...flushes];
}
