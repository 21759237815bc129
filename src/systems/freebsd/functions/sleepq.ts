/**
 * sleepqueue(9), one step below sleep(9): a thread puts itself on the queue of a channel, then waits (sys/kern/subr_sleepqueue.c).
 * Locking a queue does nothing: no other thread runs before this one sleeps.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { FreeBsd } from '../freebsd.ts';
import { kernelFunctions } from './define.ts';
import { unlockObject } from './locks.ts';
import { HZ, nsOfSbt } from './sleep.ts';
import { sleepOn, wakeChannel } from './sleepqueue.ts';

/** What a thread said before it waits, by its struct thread. */
interface Announced {
  readonly lock: Address;
  readonly why: string;
  readonly until: number;
}

const announced = perKernel(() => new Map<Address, Announced>());

/** sleepq_set_timeout_sbt's flags: the time is absolute, since boot. */
const C_ABSOLUTE = 0x0200;

function limit(k: FreeBsd, until: number): void {
  const said = k.state(announced).get(k.curthread);
  if (said !== undefined)
    k.state(announced).set(k.curthread, { ...said, until: Math.max(until, k.time.now()) });
}

function* wait(k: FreeBsd, channel: Address, timed: boolean): Steps<number> {
  const said = k.state(announced).get(k.curthread);
  k.state(announced).delete(k.curthread);
  if (said !== undefined && said.lock !== 0) unlockObject(k, said.lock);
  const until = timed ? (said?.until ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY;
  const woken = yield* sleepOn(k, channel, said?.why ?? 'sleep', until);
  return woken ? 0 : Errno.EWOULDBLOCK;
}

export const sleepQueues = kernelFunctions({
  'void sleepq_lock(const void *wchan)': () => undefined,
  'void sleepq_release(const void *wchan)': () => undefined,
  'void sleepq_add(const void *wchan, void *lock, const char *wmesg, int flags, int queue)': (
    k,
    _channel,
    lock,
    text,
  ) => {
    const why = text === 0 ? 'sleep' : k.memory.cstring(text, 64);
    k.state(announced).set(k.curthread, { lock, why, until: Number.POSITIVE_INFINITY });
  },
  'void sleepq_set_timeout_sbt(const void *wchan, int64_t sbt, int64_t pr, int flags)': (
    k,
    _channel,
    sbt,
    _precision,
    flags,
  ) => limit(k, ((flags & C_ABSOLUTE) !== 0 ? 0 : k.time.now()) + nsOfSbt(sbt)),
  /** Up to 9: in ticks. */
  'void sleepq_set_timeout(const void *wchan, int timo)': (k, _channel, ticks) =>
    limit(k, k.time.now() + (ticks * 1e9) / HZ),
  *'void sleepq_wait(const void *wchan, int pri)'(k, channel) {
    yield* wait(k, channel, false);
  },
  'int sleepq_wait_sig(const void *wchan, int pri)': (k, channel) => wait(k, channel, false),
  'int sleepq_timedwait(const void *wchan, int pri)': (k, channel) => wait(k, channel, true),
  'int sleepq_timedwait_sig(const void *wchan, int pri)': (k, channel) => wait(k, channel, true),
  // Nobody is ever swapped out, which is what these would tell.
  'int sleepq_signal(const void *wchan, int flags, int pri, int queue)': (k, channel) => {
    wakeChannel(k, channel, 1);
    return 0;
  },
  'int sleepq_broadcast(const void *wchan, int flags, int pri, int queue)': (k, channel) => {
    wakeChannel(k, channel);
    return 0;
  },
});
