/** What stands in a Linux kernel that somebody registered: files, timers, threads, probes (kernel/standing.ts). */

import { FILE, MODULE, type StandingThing } from '../../kernel/standing.ts';
import { registeredMajors } from './block/majors.ts';
import { interruptHandlers } from './functions/interrupts.ts';
import { watchedFunctions } from './functions/kprobes.ts';
import { runningThreads } from './functions/kthread.ts';
import { registeredNotifiers } from './functions/notifiers.ts';
import { pendingTimers } from './functions/timers.ts';
import { pendingWorks } from './functions/workqueue.ts';
import type { Linux } from './linux.ts';
import { moduleList } from './module-list.ts';
import { liveRegistrations } from './registered.ts';
import { changedSystemCalls } from './syscall.ts';
import { characterDevices } from './vfs/chrdev.ts';
import { namespace } from './vfs/namespace.ts';
import type { Node } from './vfs/node.ts';
import { filesystemTypes } from './vfs/super.ts';

export const SYSTEM_CALL = 'entry of sys_call_table';
export const HIDDEN = 'hidden module';

/** Everything that stands now. */
export function* standing(k: Linux): Generator<StandingThing> {
  for (const { name, control } of k.modules) yield { what: MODULE, key: control, name };
  for (const path of filePaths(k)) yield { what: FILE, key: path, name: path };
  yield* numbersAndTypes(k);
  yield* callbacks(k);
  for (const { what, at, name } of liveRegistrations(k)) yield { what, key: at, name };
  for (const { number, target } of changedSystemCalls(k))
    yield { what: SYSTEM_CALL, key: number, name: `${number} (leads to ${nameAt(k, target)})` };
  const listed = new Set(moduleList(k));
  for (const { name, control } of k.modules)
    if (!listed.has(control)) yield { what: HIDDEN, key: name, name };
}

function* numbersAndTypes(k: Linux): Generator<StandingThing> {
  for (const { major, first, count, name } of k.state(characterDevices).regions)
    yield { what: 'device number', key: `${major}:${first}+${count}`, name: `${major} (${name})` };
  for (const { major, name } of registeredMajors(k))
    yield { what: 'block major', key: major, name: `${major} (${name})` };
  for (const type of k.state(filesystemTypes).list)
    yield { what: 'file system type', key: type, name: nameAt(k, type) };
}

/** What the kernel will call, or runs. */
function* callbacks(k: Linux): Generator<StandingThing> {
  for (const timer of pendingTimers(k)) yield { what: 'timer', key: timer, name: nameAt(k, timer) };
  for (const work of pendingWorks(k)) yield { what: 'queued work', key: work, name: nameAt(k, work) };
  for (const { task, name } of runningThreads(k)) yield { what: 'kernel thread', key: task, name };
  for (const { owner, name } of watchedFunctions(k)) yield { what: 'probe', key: owner, name };
  for (const { key, name } of interruptHandlers(k)) yield { what: 'interrupt handler', key, name };
  for (const block of registeredNotifiers(k)) yield { what: 'notifier', key: block, name: nameAt(k, block) };
}

/** The symbol that a structure of a module is. */
function nameAt(k: Linux, address: number): string {
  return k
    .describe(address)
    .replace(/\+0x0\/0x[0-9a-f]+/, '')
    .replace(/\/0x[0-9a-f]+/, '');
}

/**
 * Files below /dev, /proc and /sys that the kernel or a module made. The files of modules themselves (/sys/module) come and go with them.
 */
function* filePaths(k: Linux): Generator<string> {
  const { dev, proc, sys } = k.state(namespace);
  for (const node of [dev, proc, sys]) yield* leaves(node);
}

function* leaves(node: Node): Generator<string> {
  if (node.path === '/sys/module') return;
  for (const child of node.children.values()) {
    if (child.isDirectory) yield* leaves(child);
    else if (!child.lasting) yield child.path;
  }
}
