/**
 * Signals as modules meet them: a kernel thread ignores every one but those it let through with allow_signal
 * (kernel/signal.c); the base kernel's own processes take any, which ends their interruptible sleep.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';
import { clearSignals, signalTask } from './sched.ts';

/** _NSIG */
const SIGNALS = 64;
/** PF_KTHREAD (include/linux/sched.h) */
const PF_KTHREAD = 0x00200000;
/** SIG_IGN, the handler that drops a signal. */
const IGNORE = 1;

const allowed = perKernel(() => new WeakMap<object, Set<number>>());

function allowedOf(k: Linux, task: Address): Set<number> {
  // Keyed by the thread, not by the address: that is used again for another task.
  const thread = k.tasks.threadOf(task);
  if (thread === undefined) return new Set();
  const found = k.state(allowed).get(thread) ?? new Set<number>();
  k.state(allowed).set(thread, found);
  return found;
}

/** 0, or -EINVAL for what is no signal. */
export function sendSignal(k: Linux, signal: number, task: Address): number {
  if (signal < 0 || signal > SIGNALS) return -Errno.EINVAL;
  const kernelThread = (k.read('task_struct.flags', task) & PF_KTHREAD) !== 0;
  if (signal !== 0 && (!kernelThread || allowedOf(k, task).has(signal))) signalTask(k, task);
  return 0;
}

export const signals = kernelFunctions({
  'void kernel_sigaction(int sig, __sighandler_t action)': (k, signal, action) => {
    const set = allowedOf(k, k.current);
    if (action === IGNORE) set.delete(signal);
    else set.add(signal);
  },
  'void flush_signals(struct task_struct *t)': (k, task) => clearSignals(k, task),
  'int send_sig(int sig, struct task_struct *p, int priv)': (k, signal, task) => sendSignal(k, signal, task),
});
