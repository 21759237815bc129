/** tickLib, clockLib and the auxiliary clock: time as modules read and set it. */
import { definer } from '../../../kernel/functions.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import type { Deadline } from '../../../kernel/time.ts';
import { ERROR, OK } from '../errno.ts';
import type { CodePointer, VxWorks } from '../vxworks.ts';

const functions = definer<VxWorks>();

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;

interface Clocks {
  /** ns by which the settable clock is ahead of the time since boot. */
  realtime: number;
  auxiliary: { routine: number; argument: number; rate: number; next: Deadline | undefined };
}

const clocks = perKernel((kernel) => {
  const k = kernel as VxWorks;
  const all: Clocks = { realtime: 0, auxiliary: { routine: 0, argument: 0, rate: 60, next: undefined } };
  k.pointerSources.push(function* (): Iterable<CodePointer> {
    const { next, routine } = all.auxiliary;
    if (next !== undefined) yield { what: 'auxiliary clock', which: '', address: routine };
  });
  return all;
});

export const clockFunctions = functions({
  'int clock_gettime(int clock, struct timespec *at)': (k, clock, at) => {
    if (clock !== CLOCK_REALTIME && clock !== CLOCK_MONOTONIC) return ERROR;
    // The system clock moves in ticks.
    const ns = k.ticks * k.tick + (clock === CLOCK_REALTIME ? k.state(clocks).realtime : 0);
    k.write('struct timespec.tv_sec', at, Math.floor(ns / 1e9));
    k.write('struct timespec.tv_nsec', at, Math.round(ns % 1e9));
    return OK;
  },
  'int clock_settime(int clock, const struct timespec *at)': (k, clock, at) => {
    if (clock !== CLOCK_REALTIME) return ERROR;
    const ns = k.read('struct timespec.tv_sec', at) * 1e9 + k.read('struct timespec.tv_nsec', at);
    k.state(clocks).realtime = ns - k.ticks * k.tick;
    return OK;
  },
  'time_t time(time_t *at)': (k, at) => {
    const seconds = Math.floor((k.ticks * k.tick + k.state(clocks).realtime) / 1e9);
    if (at !== 0) k.memory.setPtr(at, seconds);
    return seconds;
  },
  'int nanosleep(const struct timespec *span, struct timespec *left)': function* (
    k,
    span,
    left,
  ): Steps<number> {
    const ns = k.read('struct timespec.tv_sec', span) * 1e9 + k.read('struct timespec.tv_nsec', span);
    yield* block('nanosleep', k.after(Math.ceil(ns / k.tick)));
    if (left !== 0) k.memory.fill(left, k.sizeof('struct timespec'), 0);
    return OK;
  },
  'unsigned int sleep(unsigned int seconds)': function* (k, seconds): Steps<number> {
    yield* block(`sleep of ${seconds} s`, k.after(seconds * k.rate));
    return 0;
  },
  'void tickSet(_Vx_ticks_t ticks)': (k, ticks) => {
    k.tickBase += ticks - k.ticks;
  },
  'STATUS sysAuxClkConnect(FUNCPTR routine, _Vx_usr_arg_t argument)': (k, routine, argument) => {
    const { auxiliary } = k.state(clocks);
    auxiliary.routine = routine;
    auxiliary.argument = argument;
    return OK;
  },
  'STATUS sysAuxClkRateSet(int ticksPerSecond)': (k, ticksPerSecond) => {
    if (ticksPerSecond < 2 || ticksPerSecond > 8192) return ERROR;
    k.state(clocks).auxiliary.rate = ticksPerSecond;
    return OK;
  },
  'int sysAuxClkRateGet(void)': (k) => k.state(clocks).auxiliary.rate,
  'void sysAuxClkEnable(void)': (k) => {
    if (k.state(clocks).auxiliary.next === undefined) schedule(k);
  },
  'void sysAuxClkDisable(void)': (k) => {
    const { auxiliary } = k.state(clocks);
    if (auxiliary.next !== undefined) k.time.cancel(auxiliary.next);
    auxiliary.next = undefined;
  },
});

function schedule(k: VxWorks): void {
  const { auxiliary } = k.state(clocks);
  auxiliary.next = k.time.at(k.time.now() + Math.round(1e9 / auxiliary.rate), () => {
    const { routine, argument } = auxiliary;
    if (routine !== 0) k.scheduler.interrupt('auxiliary clock', () => k.call(routine, argument));
    schedule(k);
  });
}
