/** wdLib: functions called from the clock interrupt after so many ticks; and intLib, what keeps interrupts out. */
import { definer } from '../../../kernel/functions.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import type { Deadline } from '../../../kernel/time.ts';
import { ERRNO, OK } from '../errno.ts';
import { failed } from '../tasks.ts';
import type { CodePointer, VxWorks } from '../vxworks.ts';
import { Handles } from '../waiting.ts';
import { hex } from '../wording.ts';

const functions = definer<VxWorks>();

interface Watchdog {
  deadline: Deadline | undefined;
  routine: number;
}

const watchdogs = perKernel((kernel) => {
  const k = kernel as VxWorks;
  const all = new Handles<Watchdog>(k);
  k.pointerSources.push(function* (): Iterable<CodePointer> {
    for (const [id, { deadline, routine }] of all) {
      if (deadline !== undefined && !deadline.cancelled)
        yield { what: 'watchdog', which: hex(id, k.spec.pointerBytes * 8), address: routine };
    }
  });
  return all;
});

interface Vector {
  readonly routine: number;
  readonly argument: number;
}

const vectors = perKernel((kernel) => {
  const k = kernel as VxWorks;
  const all = new Map<number, Vector[]>();
  k.pointerSources.push(function* (): Iterable<CodePointer> {
    for (const [vector, list] of all)
      for (const { routine } of list)
        yield { what: 'interrupt vector', which: `0x${vector.toString(16)}`, address: routine };
  });
  return all;
});

/** Lets an interrupt happen, as a device would; false when nothing is connected to the vector. */
export function raiseInterrupt(k: VxWorks, vector: number): boolean {
  const list = k.state(vectors).get(vector) ?? [];
  for (const { routine, argument } of list)
    k.scheduler.interrupt(`vector 0x${vector.toString(16)}`, () => k.call(routine, argument));
  return list.length > 0;
}

export const watchdogFunctions = functions({
  'WDOG_ID wdCreate(void)': (k) => k.state(watchdogs).add({ deadline: undefined, routine: 0 }, k.caller),
  'STATUS wdStart(WDOG_ID id, int delay, FUNCPTR routine, _Vx_usr_arg_t argument)': (
    k,
    id,
    delay,
    routine,
    argument,
  ) => {
    const watchdog = k.state(watchdogs).get(id);
    if (watchdog === undefined) return failed(k, ERRNO.S_objLib_OBJ_ID_ERROR);
    stop(k, watchdog);
    watchdog.routine = routine;
    watchdog.deadline = k.time.at(k.after(Math.max(1, delay)), () => {
      watchdog.deadline = undefined;
      k.scheduler.interrupt('watchdog', () => k.call(routine, argument));
    });
    return OK;
  },
  'STATUS wdCancel(WDOG_ID id)': (k, id) => {
    const watchdog = k.state(watchdogs).get(id);
    if (watchdog === undefined) return failed(k, ERRNO.S_objLib_OBJ_ID_ERROR);
    stop(k, watchdog);
    return OK;
  },
  'STATUS wdDelete(WDOG_ID id)': (k, id) => {
    const watchdog = k.state(watchdogs).get(id);
    if (watchdog === undefined) return failed(k, ERRNO.S_objLib_OBJ_ID_ERROR);
    stop(k, watchdog);
    k.state(watchdogs).remove(id);
    return OK;
  },
});

function stop(k: VxWorks, watchdog: Watchdog): void {
  if (watchdog.deadline !== undefined) k.time.cancel(watchdog.deadline);
  watchdog.deadline = undefined;
}

export const interruptFunctions = functions({
  // The key that intUnlock wants back is how deep interrupts were locked before.
  'int intLock(void)': (k) => k.interruptLocks++,
  'void intUnlock(int key)': (k, key) => {
    k.interruptLocks = Math.max(0, key);
  },
  'BOOL intContext(void)': (k) => (k.scheduler.interrupting ? 1 : 0),
  'STATUS intConnect(VOIDFUNCPTR *vector, VOIDFUNCPTR routine, _Vx_usr_arg_t argument)': (
    k,
    vector,
    routine,
    argument,
  ) => {
    const table = k.state(vectors);
    // INUM_TO_IVEC: a vector is its number times the size of what it holds.
    const number = Math.floor(vector / 8);
    table.set(number, [...(table.get(number) ?? []), { routine, argument }]);
    return OK;
  },
});
