/** A system call that a module added or put itself before, as a process makes it (sys/amd64/amd64/trap.c, sys/kern/subr_syscall.c). */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { Errno, KernelErrno } from './errno.ts';
import type { FreeBsd } from './freebsd.ts';
import { SYSENT_ENTRIES, sysentOf } from './sysent.ts';
import { THREAD_BYTES } from './threads.ts';
import { majorOf } from './version.ts';

/** Offset of td_retval in struct thread on amd64, as modules of these releases write it. */
const RETVAL: Readonly<Record<number, number>> = { 10: 0x380, 14: 0x460 };

/**
 * What a call has put into td_retval[0]. Where that lies is known of some releases only; elsewhere it is the first word of
 * the struct thread that the call has changed, since the base kernel itself changes none while a call runs.
 */
function returned(k: FreeBsd, td: Address, before: Uint8Array): number {
  const known = k.bits === 64 ? RETVAL[majorOf(k.version)] : undefined;
  if (known !== undefined) return k.memory.ptr(td + known);
  const after = k.memory.bytes(td, before.length);
  const changed = after.findIndex((byte, i) => byte !== before[i]);
  return changed < 0 ? 0 : k.memory.ptr(td + changed - (changed % k.word));
}

/** What stands at a number that no call has. */
const NOBODYS = ['nosys', 'lkmnosys', 'lkmressys'];

/** @throws KernelErrno for what the call returned as its error */
export function* callSystem(k: FreeBsd, number: number, args: readonly number[]): Steps<number> {
  const entry = number >= 0 && number < SYSENT_ENTRIES ? sysentOf(k, number) : 0;
  const fn = entry === 0 ? 0 : k.read('sysent.sy_call', entry);
  if (NOBODYS.some((name) => fn === k.symbolAddress(name)) || fn === 0) {
    const why = `No module has added the system call ${number}.`;
    throw new KernelErrno(Errno.ENOSYS, why, 'On a real system the process also gets SIGSYS.');
  }
  const count = Math.max(k.read('sysent.sy_narg', entry), args.length);
  const block = k.heap.allocate(Math.max(8, k.word * count));
  for (let i = 0; i < count; i++) k.memory.setPtr(block + i * k.word, args[i] ?? 0);
  const td = k.curthread;
  const known = k.bits === 64 ? RETVAL[majorOf(k.version)] : undefined;
  if (known !== undefined) k.memory.fill(td + known, 2 * k.word, 0);
  const before = k.memory.bytes(td, THREAD_BYTES).slice();
  const error = yield* k.callInt(fn, td, block);
  k.heap.free(block);
  if (error !== 0) throw new KernelErrno(error, `The system call returned error ${error}.`);
  return returned(k, td, before);
}
