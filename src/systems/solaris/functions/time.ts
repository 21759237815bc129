/** Time: timeout(9F), delay(9F), periodic calls, and reading the clock. Calls come in threads of their own. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { StandingThing } from '../../../kernel/standing.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import type { Thread } from '../../../kernel/thread.ts';
import type { Deadline } from '../../../kernel/time.ts';
import type { Address } from '../../../memory/space.ts';
import type { Solaris } from '../solaris.ts';
import { HZ, NS_PER_TICK, seconds, ticks } from './clock.ts';
import { kernelFunctions } from './define.ts';

interface Callout {
  readonly func: Address;
  readonly deadline: Deadline;
  readonly tick: number;
  /** Running now. */
  thread: Thread | undefined;
  done: boolean;
}

class Callouts {
  readonly all = new Map<number, Callout>();
  next = 1;
}

const callouts = perKernel(() => new Callouts());

function callAt(k: Solaris, func: Address, arg: Address, delta: number): number {
  const state = k.state(callouts);
  const id = state.next++;
  const tick = ticks(k) + Math.max(1, delta);
  const callout: Callout = {
    func,
    deadline: k.time.at(k.time.now() + Math.max(1, delta) * NS_PER_TICK, () => {
      callout.thread = k.spawnThread('callout', runCallout(k, id, func, arg));
    }),
    tick,
    thread: undefined,
    done: false,
  };
  state.all.set(id, callout);
  return id;
}

function* runCallout(k: Solaris, id: number, func: Address, arg: Address): Steps<void> {
  const state = k.state(callouts);
  yield* k.call(func, arg);
  const callout = state.all.get(id);
  if (callout !== undefined) callout.done = true;
  state.all.delete(id);
}

/** untimeout: ticks that were left, or -1 when it has run. One that is running now is waited for. */
function* cancel(k: Solaris, id: number): Steps<number> {
  const callout = k.state(callouts).all.get(id);
  if (callout === undefined) return -1;
  if (callout.thread === undefined) {
    k.time.cancel(callout.deadline);
    k.state(callouts).all.delete(id);
    return Math.max(0, callout.tick - ticks(k));
  }
  while (!callout.done && callout.thread !== k.scheduler.current && callout.thread.state !== 'dead')
    yield* block('untimeout', k.time.now() + NS_PER_TICK);
  return -1;
}

interface Periodic {
  readonly func: Address;
  readonly arg: Address;
  readonly ns: number;
  stopped: boolean;
}

const periodics = perKernel(() => new Map<number, Periodic>());

function repeat(k: Solaris, periodic: Periodic): void {
  k.time.at(k.time.now() + periodic.ns, () => {
    if (periodic.stopped) return;
    k.spawnThread('periodic', k.call(periodic.func, periodic.arg));
    repeat(k, periodic);
  });
}

/** What is still to be called, with the function it is. */
export function* timersNow(k: Solaris): Generator<StandingThing> {
  for (const [id, { func }] of k.state(callouts).all) yield { what: 'timeout', key: id, name: k.where(func) };
  for (const [id, { func, stopped }] of k.state(periodics))
    if (!stopped) yield { what: 'periodic call', key: id, name: k.where(func) };
}

/** ddi_periodic_add takes no less than 10 ms. */
const MIN_PERIOD = 10_000_000;

export const timers = kernelFunctions({
  'timeout_id_t timeout(void (*func)(void *), void *arg, clock_t delta)': callAt,
  'timeout_id_t realtime_timeout(void (*func)(void *), void *arg, clock_t delta)': callAt,
  'clock_t untimeout(timeout_id_t id)': cancel,
  *'void delay(clock_t delta)'(k, delta) {
    if (delta > 0) yield* block('delay', k.time.now() + delta * NS_PER_TICK);
  },
  *'int delay_sig(clock_t delta)'(k, delta) {
    if (delta > 0) yield* block('delay', k.time.now() + delta * NS_PER_TICK);
    return 0;
  },
  'void drv_usecwait(clock_t microseconds)': (k, microseconds) =>
    k.time.skip(Math.max(0, microseconds) * 1000),
  'clock_t drv_usectohz(clock_t microseconds)': (_k, microseconds) => Math.ceil(microseconds / (1e6 / HZ)),
  'clock_t drv_hztousec(clock_t hertz)': (_k, hertz) => hertz * (1e6 / HZ),
  'clock_t ddi_get_lbolt(void)': ticks,
  'int64_t ddi_get_lbolt64(void)': (k) => BigInt(ticks(k)),
  'int64_t gethrtime(void)': (k) => BigInt(Math.floor(k.time.now())),
  'int64_t gethrtime_unscaled(void)': (k) => BigInt(Math.floor(k.time.now())),
  'void gethrestime(timespec_t *at)': (k, at) => {
    k.memory.setPtr(at, seconds(k));
    k.memory.setPtr(at + k.word, Math.floor(k.time.now() % 1e9));
  },
  'time_t gethrestime_sec(void)': seconds,
  'time_t ddi_get_time(void)': seconds,
  'void *ddi_periodic_add(void (*func)(void *), void *arg, longlong_t interval, int level)': (
    k,
    func,
    arg,
    interval,
  ) => {
    const all = k.state(periodics);
    const id = all.size + 1;
    const periodic = { func, arg, ns: Math.max(MIN_PERIOD, Number(interval)), stopped: false };
    all.set(id, periodic);
    repeat(k, periodic);
    return id;
  },
  'void ddi_periodic_delete(void *id)': (k, id) => {
    const periodic = k.state(periodics).get(id);
    if (periodic !== undefined) periodic.stopped = true;
  },
});
