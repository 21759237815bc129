/**
 * Processes as modules see them: struct proc in the kernel's lists (allproc, pidhashtbl) with its credential.
 */
import type { Address } from '../../memory/space.ts';
import type { DataSymbol, FreeBsd } from './freebsd.ts';
import { initMutex } from './functions/locks.ts';

/** Lists that pidhashtbl has room for, less one: as many as a small machine's. */
const PID_HASH = 1023;
/** PRS_NORMAL */
const NORMAL = 1;

const pointer = (name: string, lists: number): DataSymbol => ({
  name,
  bytes: (k) => k.word,
  fill: (k, at) => k.memory.setPtr(at, k.data.reserve(lists * k.word)),
});
const number = (name: string, value: number): DataSymbol => ({
  name,
  bytes: 8,
  fill: (k, at) => k.memory.setPtr(at, value),
});

export const processData: readonly DataSymbol[] = [
  { name: 'allproc', bytes: 16 },
  { name: 'zombproc', bytes: 16 },
  pointer('pidhashtbl', PID_HASH + 1),
  number('pidhash', PID_HASH),
  pointer('tidhashtbl', 1),
  number('tidhash', 0),
  number('nprocs', 0),
  number('pid_max', 99999),
];

/** LIST_INSERT_HEAD: an entry is the next element and the address of the pointer to this one. */
function insertInList(k: FreeBsd, head: Address, element: Address, entry: number): void {
  const { memory, word } = k;
  const first = memory.ptr(head);
  memory.setPtr(element + entry, first);
  memory.setPtr(element + entry + word, head);
  if (first !== 0) memory.setPtr(first + entry + word, element + entry);
  memory.setPtr(head, element);
}

function removeFromList(k: FreeBsd, element: Address, entry: number): void {
  const { memory, word } = k;
  const [next, previous] = [memory.ptr(element + entry), memory.ptr(element + entry + word)];
  // A module that hides a process has taken it out itself.
  if (previous === 0) return;
  if (next !== 0) memory.setPtr(next + entry + word, previous);
  memory.setPtr(previous, next);
}

const bucket = (k: FreeBsd, pid: number): Address =>
  k.memory.ptr(k.symbolAddress('pidhashtbl')) + (pid & PID_HASH) * k.word;

function countProcesses(k: FreeBsd, by: number): void {
  const at = k.symbolAddress('nprocs');
  k.memory.set32(at, k.memory.i32(at) + by);
}

/** A new process: its number, its state, its credential, its place in the lists. */
export function enterProcess(k: FreeBsd, proc: Address, pid: number, uid: number): void {
  const credential = k.heap.allocate(Math.max(512, k.sizeof('ucred')));
  k.write('ucred.cr_ref', credential, 1);
  for (const field of ['cr_uid', 'cr_ruid', 'cr_svuid']) k.write(`ucred.${field}`, credential, uid);
  const groups = credential + k.sizeof('ucred');
  k.memory.set32(groups, uid === 0 ? 0 : uid);
  k.write('ucred.cr_ngroups', credential, 1);
  k.write('ucred.cr_groups', credential, groups);
  k.write('ucred.cr_prison', credential, k.symbolAddress('prison0'));
  k.write('proc.p_ucred', proc, credential);
  k.write('proc.p_pid', proc, pid);
  k.write('proc.p_state', proc, NORMAL);
  initMutex(k, proc + k.offset('proc.p_mtx'), k.heap.string('process lock'), 0);
  insertInList(k, k.symbolAddress('allproc'), proc, k.offset('proc.p_list'));
  insertInList(k, bucket(k, pid), proc, k.offset('proc.p_hash'));
  countProcesses(k, 1);
}

export function leaveProcess(k: FreeBsd, proc: Address): void {
  removeFromList(k, proc, k.offset('proc.p_list'));
  removeFromList(k, proc, k.offset('proc.p_hash'));
  k.heap.free(k.read('lock_object.lo_name', proc + k.offset('proc.p_mtx')));
  k.heap.free(k.read('proc.p_ucred', proc));
  countProcesses(k, -1);
}
