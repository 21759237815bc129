/** Processors and interrupt levels: one processor, which is always online and never changes. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';

/** Who wants to be told when processors come or go: nobody ever is, since none does. */
const setups = perKernel(() => [] as { func: Address; arg: Address }[]);

const setPriority = (k: Solaris, level: number): void => k.write('cpu.cpu_pri', k.threads.cpu, level);
const priority = (k: Solaris): number => k.read('cpu.cpu_pri', k.threads.cpu);

export const cpus = kernelFunctions({
  'int splr(int level)': (k, level) => {
    const old = priority(k);
    if (level > old) setPriority(k, level);
    return old;
  },
  'void splx(int level)': setPriority,
  'int getpil(void)': priority,
  'int servicing_interrupt(void)': (k) => (k.scheduler.interrupting ? 1 : 0),
  'void *curcpup(void)': (k) => k.threads.cpu,
  'int cpu_is_online(void *cpu)': () => 1,
  'void register_cpu_setup_func(void *func, void *arg)': (k, func, arg) => {
    k.state(setups).push({ func, arg });
  },
  'void unregister_cpu_setup_func(void *func, void *arg)': (k, func, arg) => {
    const all = k.state(setups);
    const at = all.findIndex((one) => one.func === func && one.arg === arg);
    if (at >= 0) all.splice(at, 1);
  },
  *'void preempt(void)'() {
    yield { kind: 'yield' };
  },
  *'void kpreempt(int how)'() {
    yield { kind: 'yield' };
  },
});
