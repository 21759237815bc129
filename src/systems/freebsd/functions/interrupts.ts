/** Software interrupts (sys/kern/kern_intr.c): a thread for each kind, which runs its handlers when they are scheduled. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { FreeBsd } from '../freebsd.ts';
import { kernelFunctions } from './define.ts';
import { sleepOn, wakeChannel } from './sleepqueue.ts';

/** struct intr_handler is private to kern_intr.c: modules have its address only. */
interface Handler {
  readonly cookie: Address;
  readonly event: Address;
  readonly fn: Address;
  readonly arg: Address;
  due: boolean;
  gone: boolean;
}

export const softwareHandlers = perKernel(() => new Map<Address, Handler>());

function* serve(k: FreeBsd, handler: Handler): Steps<void> {
  while (!handler.gone) {
    if (!handler.due) {
      yield* sleepOn(k, handler.cookie, '-', Number.POSITIVE_INFINITY);
      continue;
    }
    handler.due = false;
    yield* k.call(handler.fn, handler.arg);
  }
}

export const softwareInterrupts = kernelFunctions({
  'int swi_add(void **eventp, const char *name, void *handler, void *arg, int pri, int flags, void **cookiep)':
    (k, eventAt, name, fn, arg, _priority, _flags, cookieAt) => {
      let event = eventAt === 0 ? 0 : k.memory.ptr(eventAt);
      if (event === 0) event = k.heap.allocate(256);
      if (eventAt !== 0) k.memory.setPtr(eventAt, event);
      const cookie = k.heap.allocate(64);
      const handler: Handler = { cookie, event, fn, arg, due: false, gone: false };
      k.state(softwareHandlers).set(cookie, handler);
      if (cookieAt !== 0) k.memory.setPtr(cookieAt, cookie);
      const title = `swi: ${guestText(k, name)}`;
      k.threads.adopt(k.scheduler.spawn(title, serve(k, handler)), title);
      return 0;
    },
  'void swi_sched(void *cookie, int flags)': (k, cookie) => {
    const handler = k.state(softwareHandlers).get(cookie);
    if (handler === undefined) throw new RangeError('swi_sched of something that swi_add did not give');
    handler.due = true;
    wakeChannel(k, cookie);
  },
  'int swi_remove(void *cookie)': (k, cookie) => {
    const handler = k.state(softwareHandlers).get(cookie);
    if (handler === undefined) return Errno.EINVAL;
    handler.gone = true;
    wakeChannel(k, cookie);
    k.state(softwareHandlers).delete(cookie);
    k.heap.free(cookie);
    return 0;
  },
  // The event goes with its last handler; whoever asks for that has taken them away before.
  'int intr_event_destroy(void *ie)': (k, event) => {
    if ([...k.state(softwareHandlers).values()].some((one) => one.event === event)) return Errno.EBUSY;
    if (k.heap.find(event) !== undefined) k.heap.free(event);
    return 0;
  },
});
