/**
 * sysent[], the table of system calls (sys/kern/init_sysent.c). Modules add to it by SYSCALL_MODULE, and those that put
 * themselves before a call of the kernel's write into it: whatever a process calls is looked for here.
 */
import type { Address } from '../../memory/space.ts';
import type { DataSymbol, FreeBsd } from './freebsd.ts';
import { SYSCALL_NAMES } from './syscall-names.ts';

/** Entries that the table has room for: more than any release uses, so that each number is in it. */
export const SYSENT_ENTRIES = 1024;

/** Free numbers for modules (lkmnosys). */
export const FREE = { first: 210, last: 219 } as const;

/**
 * Numbers that the kernel keeps for modules of its own (NOSTD in sys/kern/syscalls.master; lkmressys until they come):
 * nlm_syscall, nfssvc, System V IPC, aio, afs, semaphores, message queues, sctp, gssd, rpctls.
 */
const RESERVED: readonly (readonly [first: number, last: number])[] = [
  [154, 155],
  [169, 171],
  [220, 231],
  [255, 257],
  [314, 320],
  [339, 339],
  [359, 359],
  [377, 377],
  [400, 408],
  [441, 441],
  [457, 462],
  [465, 465],
  [471, 474],
  [505, 505],
  [510, 512],
  [543, 543],
  [576, 576],
];

const isReserved = (number: number): boolean =>
  RESERVED.some(([first, last]) => number >= first && number <= last);

/** The kernel's function for a number as long as no module has put its own there. */
function ownFunction(k: FreeBsd, number: number): Address {
  if (number >= FREE.first && number <= FREE.last) return k.symbolAddress('lkmnosys');
  if (isReserved(number)) return k.symbolAddress('lkmressys');
  const name = SYSCALL_NAMES.get(number);
  if (name === undefined) return k.symbolAddress('nosys');
  return k.symbolAddress(callSymbol(k.version, name));
}

/** Functions of calls are called as the calls up to 8, `sys_NAME` from 9 on. */
function callSymbol(version: number, name: string): string {
  return version < 900044 || name === 'nosys' ? name : `sys_${name}`;
}

const callFunctions = (version: number): ReadonlySet<string> =>
  new Set([...SYSCALL_NAMES.values()].map((name) => callSymbol(version, name)));
const OLD_FUNCTIONS = callFunctions(0);
const NEW_FUNCTIONS = callFunctions(900044);

/** Is this the name of a kernel's function that serves a system call? */
export function isCallFunction(version: number, name: string): boolean {
  return (version < 900044 ? OLD_FUNCTIONS : NEW_FUNCTIONS).has(name);
}

/** The table of 32-bit programs on amd64, which nobody calls. */
export const sysent32Symbol: DataSymbol = {
  name: 'freebsd32_sysent',
  bytes: (k) => SYSENT_ENTRIES * k.sizeof('sysent'),
};

export const sysentSymbol: DataSymbol = {
  name: 'sysent',
  bytes: (k) => SYSENT_ENTRIES * k.sizeof('sysent'),
  fill(k, table) {
    const [size, call] = [k.sizeof('sysent'), k.offset('sysent.sy_call')];
    for (let number = 0; number < SYSENT_ENTRIES; number++)
      k.memory.setPtr(table + number * size + call, ownFunction(k, number));
  },
};

/** struct sysent of a number. */
export function sysentOf(k: FreeBsd, number: number): Address {
  return k.symbolAddress('sysent') + number * k.sizeof('sysent');
}

/** Numbers whose function is not the kernel's own, and where they lead. */
export function* changedCalls(k: FreeBsd): Generator<{ number: number; target: Address }> {
  // Nobody has looked at the table yet.
  if (!k.data.isPlaced('sysent')) return;
  for (let number = 0; number < SYSENT_ENTRIES; number++) {
    const target = k.read('sysent.sy_call', sysentOf(k, number));
    if (target !== ownFunction(k, number)) yield { number, target };
  }
}

/** Does a module's call, or what a module has put there, stand at this number? */
export function isTaken(k: FreeBsd, number: number): boolean {
  const call = k.read('sysent.sy_call', sysentOf(k, number));
  return call !== k.symbolAddress('lkmnosys') && call !== k.symbolAddress('lkmressys');
}
