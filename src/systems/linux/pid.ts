/**
 * struct pid (kernel/pid.c): the number of a task as an object that outlives it. Modules follow task_struct.thread_pid and
 * pid.numbers by themselves. There is one name space of numbers, and each task is alone in its group and session.
 */
import type { Address } from '../../memory/space.ts';
import type { Linux } from './linux.ts';
import { addToHlist, removeFromHlist } from './lists.ts';

const COUNT = 'pid.count.refs.counter';
const NUMBERS = 'pid.numbers';
/** PIDTYPE_PID, PIDTYPE_TGID, PIDTYPE_PGID, PIDTYPE_SID */
const KINDS = 4;

/** Gives a task its number's object; a kernel file without these types has none. */
export function linkPid(k: Linux, task: Address, number: number): void {
  if (!k.types.has(NUMBERS) || !k.types.has('task_struct.thread_pid')) return;
  // Some releases count the one number into the structure, others have it behind.
  const size = Math.max(k.sizeof('pid'), k.offset(NUMBERS) + k.sizeof('upid'));
  const pid = k.heap.allocateZeroed(size);
  k.write(COUNT, pid, 1);
  const first = pid + k.offset(NUMBERS);
  k.write('upid.nr', first, number);
  k.write('upid.ns', first, k.file.exports.find('init_pid_ns')?.address ?? 0);
  k.write('task_struct.thread_pid', task, pid);
  for (let kind = 0; kind < KINDS; kind++) addToHlist(k, link(k, task, kind), head(k, pid, kind));
}

/** The task ends; its number stays for those that hold it. */
export function unlinkPid(k: Linux, task: Address): void {
  const pid = pidOf(k, task);
  if (pid === 0) return;
  for (let kind = 0; kind < KINDS; kind++) removeFromHlist(k, link(k, task, kind));
  k.write('task_struct.thread_pid', task, 0);
  putPid(k, pid);
}

/** 0 for a task that has ended. */
export const pidOf = (k: Linux, task: Address): Address =>
  k.types.has('task_struct.thread_pid') ? k.read('task_struct.thread_pid', task) : 0;

export const pidNumber = (k: Linux, pid: Address): number =>
  pid === 0 ? 0 : k.read('upid.nr', pid + k.offset(NUMBERS));

/** The task that has the number; 0 when it has ended. */
export function pidTask(k: Linux, pid: Address, kind: number): Address {
  if (pid === 0 || kind < 0 || kind >= KINDS) return 0;
  const first = k.memory.ptr(head(k, pid, kind));
  return first === 0 ? 0 : first - link(k, 0, kind);
}

export function getPid(k: Linux, pid: Address): Address {
  if (pid !== 0) k.write(COUNT, pid, k.read(COUNT, pid) + 1);
  return pid;
}

export function putPid(k: Linux, pid: Address): void {
  if (pid === 0) return;
  const left = k.read(COUNT, pid) - 1;
  k.write(COUNT, pid, left);
  if (left <= 0) k.heap.free(pid);
}

const link = (k: Linux, task: Address, kind: number): Address =>
  task + k.offset('task_struct.pid_links') + kind * 2 * k.word;

const head = (k: Linux, pid: Address, kind: number): Address => pid + k.offset('pid.tasks') + kind * k.word;
