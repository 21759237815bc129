/** sema(9): sys/kern/kern_sema.c. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { FreeBsd } from '../freebsd.ts';
import { kernelFunctions } from './define.ts';
import { initMutex } from './locks.ts';
import { HZ } from './sleep.ts';
import { sleepOn, wakeChannel } from './sleepqueue.ts';

/** struct sema: a mutex, a condition variable (its description and two counts), who waits, the value (sys/sema.h). */
const semaphore = (k: FreeBsd, sema: Address) => {
  const variable = sema + k.sizeof('mtx');
  const value = variable + 2 * k.word + 4;
  return { variable, value, count: () => k.memory.i32(value) };
};

function* waitSemaphore(k: FreeBsd, sema: Address, until: number): Steps<boolean> {
  const { variable, value, count } = semaphore(k, sema);
  const why = k.memory.cstring(k.memory.ptr(variable), 64);
  while (count() === 0) if (!(yield* sleepOn(k, variable, why, until))) return false;
  k.memory.set32(value, count() - 1);
  return true;
}

export const semaphores = kernelFunctions({
  'void sema_init(void *sema, int value, const char *description)': (k, sema, value, name) => {
    initMutex(k, sema, k.heap.string('sema backing lock'), 0);
    const { variable, value: at } = semaphore(k, sema);
    k.memory.setPtr(variable, name);
    k.memory.set32(variable + k.word, 0);
    k.memory.set32(at - 4, 0);
    k.memory.set32(at, value);
  },
  'void sema_destroy(void *sema)': (k, sema) => void k.heap.free(k.read('lock_object.lo_name', sema)),
  'void _sema_post(void *sema, const char *file, int line)': (k, sema) => {
    const { variable, value, count } = semaphore(k, sema);
    k.memory.set32(value, count() + 1);
    wakeChannel(k, variable, 1);
  },
  *'void _sema_wait(void *sema, const char *file, int line)'(k, sema) {
    yield* waitSemaphore(k, sema, Number.POSITIVE_INFINITY);
  },
  *'int _sema_timedwait(void *sema, int timo, const char *file, int line)'(k, sema, ticks) {
    const got = yield* waitSemaphore(k, sema, k.time.now() + (ticks * 1e9) / HZ);
    return got ? 0 : Errno.EWOULDBLOCK;
  },
  'int _sema_trywait(void *sema, const char *file, int line)': (k, sema) => {
    const { value, count } = semaphore(k, sema);
    if (count() === 0) return 0;
    k.memory.set32(value, count() - 1);
    return 1;
  },
  'int sema_value(void *sema)': (k, sema) => semaphore(k, sema).count(),
});
