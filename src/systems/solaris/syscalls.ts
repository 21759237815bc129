/** The table of system calls (sysent): in guest memory, with the entries of modules among ours that are empty. */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { configuration } from './configuration.ts';
import { Errno } from './errno.ts';
import { modLoadAndInstall } from './load.ts';
import { Refusal } from './refusal.ts';
import type { Solaris } from './solaris.ts';

/** NSYSCALL */
export const SYSTEM_CALLS = 256;
export const SYSENT_LOADED = 0x10;
/** The handler takes its arguments as C does, not as one structure. */
const SE_ARGC = 0x40;

const table = perKernel<Address, Solaris>((k) => k.data.take(SYSTEM_CALLS * k.sizeof('sysent')));

export function sysentOf(k: Solaris, number: number): Address {
  return k.state(table) + (number % SYSTEM_CALLS) * k.sizeof('sysent');
}

export type CallResult = { readonly value: number } | { readonly errno: number };

/** A system call by number; its module is loaded when /etc/name_to_sysnum knows the number (loadable_syscall). */
export function* systemCall(k: Solaris, number: number, args: readonly number[]): Steps<CallResult> {
  if (!(number > 0 && number < SYSTEM_CALLS)) return { errno: Errno.ENOSYS };
  const entry = sysentOf(k, number);
  if ((k.read('sysent.sy_flags', entry) & SYSENT_LOADED) === 0) {
    const name = [...k.state(configuration).sysnums].find(([, value]) => value === number)?.[0];
    if (name === undefined || !(yield* autoload(k, `sys/${name}`))) return { errno: Errno.ENOSYS };
    if ((k.read('sysent.sy_flags', entry) & SYSENT_LOADED) === 0) return { errno: Errno.ENOSYS };
  }
  return yield* call(k, entry, args);
}

function* call(k: Solaris, entry: Address, args: readonly number[]): Steps<CallResult> {
  const wanted = k.read('sysent.sy_narg', entry);
  const given = Array.from({ length: wanted }, (_, i) => args[i] ?? 0);
  const thread = k.curthread;
  k.state(errors).delete(thread);
  let value: number;
  if ((k.read('sysent.sy_flags', entry) & SE_ARGC) !== 0) {
    value = yield* k.callWide(k.read('sysent.sy_callc', entry), ...given);
  } else {
    // sy_call gets a structure of its arguments and one for its results, and returns an errno.
    const at = k.heap.take((wanted + 2) * k.word);
    for (const [i, one] of given.entries()) k.memory.setPtr(at + i * k.word, one);
    const status = yield* k.callInt(k.read('sysent.sy_call', entry), at, at + wanted * k.word);
    value = k.memory.ptr(at + wanted * k.word);
    k.heap.free(at);
    if (status !== 0) return { errno: status };
  }
  const errno = k.state(errors).get(thread);
  return errno === undefined ? { value } : { errno };
}

/** What set_errno(9F) left behind, by thread. */
export const errors = perKernel(() => new Map<Address, number>());

/** Loads a module because something of it is wanted; false when it cannot be had. */
export function* autoload(k: Solaris, name: string): Steps<boolean> {
  try {
    yield* modLoadAndInstall(k, { name, usePath: true, autoloaded: true });
    return true;
  } catch (error) {
    if (error instanceof Refusal) return false;
    throw error;
  }
}
