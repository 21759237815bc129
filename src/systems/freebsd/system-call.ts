/** A system call that a module added, as a process makes it (sys/amd64/amd64/trap.c, sys/kern/subr_syscall.c). */
import type { Steps } from '../../kernel/steps.ts';
import { Errno, KernelErrno } from './errno.ts';
import type { FreeBsd } from './freebsd.ts';
import { addedCalls } from './functions/modules.ts';

/** struct thread's td_retval is not at a place that every release shares; what a call returns beside an error is 0. */
export function* callSystem(k: FreeBsd, number: number, args: readonly number[]): Steps<number> {
  const entry = k.state(addedCalls).get(number);
  if (entry === undefined) {
    const why = `No module has added the system call ${number}.`;
    throw new KernelErrno(Errno.ENOSYS, why, 'On a real system the process also gets SIGSYS.');
  }
  const count = k.read('sysent.sy_narg', entry);
  const block = k.heap.allocate(Math.max(8, 8 * count));
  for (let i = 0; i < count; i++) k.memory.setPtr(block + i * k.word, args[i] ?? 0);
  const error = yield* k.callInt(k.read('sysent.sy_call', entry), k.curthread, block);
  k.heap.free(block);
  if (error !== 0) throw new KernelErrno(error, `The system call returned error ${error}.`);
  return 0;
}
