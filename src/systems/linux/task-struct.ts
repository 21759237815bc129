/**
 * The members of a task_struct that modules read by themselves, through macros and inline functions: the list of
 * all tasks (for_each_process), families, threads of a group, name spaces (utsname()), the reference count
 * (get_task_struct). What only functions of the kernel look at stays out.
 */
import type { Address } from '../../memory/space.ts';
import type { DataInitialiser, Linux } from './linux.ts';
import { addTail, initList, unlink } from './lists.ts';
import { linkPid, unlinkPid } from './pid.ts';

/** Priority of a task that nobody changed: DEFAULT_PRIO (include/linux/sched/prio.h). */
const DEFAULT_PRIO = 120;
/** Room for each text of struct new_utsname: __NEW_UTS_LEN + 1. */
const UTS_BYTES = 65;

/** Fills a new task, and links it behind the boot task unless it is the boot task. */
export function linkTask(k: Linux, task: Address, init: Address): void {
  k.write('task_struct.usage.refs.counter', task, 1);
  for (const priority of ['prio', 'static_prio', 'normal_prio'])
    k.write(`task_struct.${priority}`, task, DEFAULT_PRIO);
  const mask = task + k.offset('task_struct.cpus_mask');
  k.memory.setPtr(mask, 1);
  k.write('task_struct.cpus_ptr', task, mask);
  for (const list of ['tasks', 'children', 'sibling', 'thread_group', 'pending.list'])
    if (k.types.has(`task_struct.${list}`)) initList(k, member(k, task, list));
  const signal = k.heap.allocateZeroed(k.sizeof('signal_struct'));
  k.write('signal_struct.nr_threads', signal, 1);
  initList(k, signal + k.offset('signal_struct.thread_head'));
  addTail(k, member(k, task, 'thread_node'), signal + k.offset('signal_struct.thread_head'));
  k.write('task_struct.signal', task, signal);
  k.write('task_struct.nsproxy', task, task === init ? namespaces(k) : k.read('task_struct.nsproxy', init));
  if (task === init) return;
  linkPid(k, task, k.read('task_struct.pid', task));
  addTail(k, member(k, task, 'tasks'), member(k, init, 'tasks'));
  addTail(k, member(k, task, 'sibling'), member(k, init, 'children'));
}

/** A task that has ended: off the lists. True when nobody else refers to it, and it can be freed. */
export function unlinkTask(k: Linux, task: Address): boolean {
  unlinkPid(k, task);
  unlink(k, member(k, task, 'tasks'));
  unlink(k, member(k, task, 'sibling'));
  k.heap.free(k.read('task_struct.signal', task));
  k.write('task_struct.signal', task, 0);
  const left = k.read('task_struct.usage.refs.counter', task) - 1;
  k.write('task_struct.usage.refs.counter', task, left);
  return left <= 0;
}

function member(k: Linux, task: Address, name: string): Address {
  return task + k.offset(`task_struct.${name}`);
}

/** The one set of name spaces, as init_nsproxy has it. */
function namespaces(k: Linux): Address {
  const set = k.heap.allocateZeroed(k.sizeof('nsproxy'));
  k.write('nsproxy.count', set, 1);
  for (const [field, symbol] of [
    ['uts_ns', 'init_uts_ns'],
    ['pid_ns_for_children', 'init_pid_ns'],
    ['net_ns', 'init_net'],
  ] as const) {
    const found = k.file.exports.find(symbol);
    if (found !== undefined) k.write(`nsproxy.${field}`, set, found.address);
  }
  return set;
}

function writeName(k: Linux, space: Address, field: string, text: string): void {
  const bytes = new Uint8Array(UTS_BYTES);
  bytes.set(new TextEncoder().encode(text).subarray(0, UTS_BYTES - 1));
  k.memory.poke(space + k.offset(`uts_namespace.name.${field}`), bytes);
}

/** What uname tells (init/version.c): release and version as the banner has them. */
export const taskData: readonly DataInitialiser[] = [
  {
    symbol: 'init_uts_ns',
    when: 'boot',
    fill: (k, at) => {
      const version = /\s(#\d+.*)$/.exec(k.file.banner)?.[1] ?? '';
      writeName(k, at, 'sysname', 'Linux');
      writeName(k, at, 'nodename', '(none)');
      writeName(k, at, 'release', k.file.release);
      writeName(k, at, 'version', version);
      writeName(k, at, 'machine', 'x86_64');
      writeName(k, at, 'domainname', '(none)');
    },
  },
];
