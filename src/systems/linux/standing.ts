/**
 * What stands in a kernel that somebody registered: files, timers, threads, probes. Compared before a module was loaded and after
 * it has gone, that is what it forgot to take back, and what will call code that is no longer there. Memory is told
 * apart (allocations.ts).
 */

import { probedFunctions } from './functions/kprobes.ts';
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

/** One thing that stands. */
export interface Standing {
  /** The kind, in the kernel's word: `timer`, `kernel thread`, `file`. */
  readonly what: string;
  readonly name: string;
}

export const SYSTEM_CALL = 'entry of sys_call_table';
export const HIDDEN = 'hidden module';

/** Everything that stands now, under keys that stay the same as long as it does. */
export function standing(k: Linux): Map<string, Standing> {
  const found = new Map<string, Standing>();
  const add = (what: string, key: string | number, name: string) =>
    found.set(`${what} ${key}`, { what, name });
  for (const path of filePaths(k)) add(FILE, path, path);
  for (const { major, first, count, name } of k.state(characterDevices).regions)
    add('device number', `${major}:${first}+${count}`, `${major} (${name})`);
  for (const type of k.state(filesystemTypes).list) add('file system type', type, nameAt(k, type));
  for (const timer of pendingTimers(k)) add('timer', timer, nameAt(k, timer));
  for (const work of pendingWorks(k)) add('queued work', work, nameAt(k, work));
  for (const { task, name } of runningThreads(k)) add('kernel thread', task, name);
  for (const { probe, name } of probedFunctions(k)) add('probe', probe, name);
  for (const block of registeredNotifiers(k)) add('notifier', block, nameAt(k, block));
  for (const { what, at, name } of liveRegistrations(k)) add(what, at, name);
  for (const { number, target } of changedSystemCalls(k))
    add(SYSTEM_CALL, number, `${number} (leads to ${nameAt(k, target)})`);
  const listed = new Set(moduleList(k));
  for (const { name, control } of k.modules) if (!listed.has(control)) add(HIDDEN, name, name);
  return found;
}

/** What stands in `after` and did not in `before`; the names are those of `during`, when they could still be read. */
export function leftStanding(
  before: ReadonlyMap<string, Standing>,
  during: ReadonlyMap<string, Standing>,
  after: ReadonlyMap<string, Standing>,
): Standing[] {
  const left = [...after].filter(([key]) => !before.has(key)).map(([key, one]) => during.get(key) ?? one);
  const folders = (all: Iterable<Standing>) =>
    [...all].filter(({ what }) => what === FILE).map(({ name }) => posixFolder(name));
  const old = new Set(folders(before.values()));
  const fresh = folders(left).filter((folder) => !old.has(folder));
  // Of a folder that has come with several files the files say no more than the folder.
  const told = new Set(fresh.filter((folder, i) => fresh.indexOf(folder) !== i));
  const files = left.filter(({ what, name }) => what === FILE && !told.has(posixFolder(name)));
  const others = left.filter(({ what }) => what !== FILE);
  return [...files, ...[...told].map((name) => ({ what: 'folder', name })), ...others];
}

const FILE = 'file';

const posixFolder = (path: string): string => path.slice(0, path.lastIndexOf('/'));

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
