/** Functions that are called soon, in threads of the kernel, with a number that tells their order (kernel/async.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import type { Thread } from '../../../kernel/thread.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

interface Asynchronous {
  next: bigint;
  /** Numbers of what has not ended yet, and the domain each belongs to (0: none of its own). */
  readonly pending: Map<bigint, Address>;
  readonly waiting: Set<Thread>;
}

const state = perKernel<Asynchronous>(() => ({ next: 1n, pending: new Map(), waiting: new Set() }));

function schedule(k: Linux, call: Address, data: Address, domain: Address): bigint {
  const own = k.state(state);
  const cookie = own.next++;
  own.pending.set(cookie, domain);
  k.tasks.spawn('kworker/async', run(k, call, data, cookie));
  return cookie;
}

function* run(k: Linux, call: Address, data: Address, cookie: bigint): Steps<void> {
  const own = k.state(state);
  try {
    yield* k.call(call, data, cookie);
  } finally {
    own.pending.delete(cookie);
    for (const thread of own.waiting) k.scheduler.wake(thread);
    own.waiting.clear();
  }
}

/** Waits until nothing below `cookie` is under way, in a domain or (0) in any. */
function* synchronise(k: Linux, cookie: bigint | undefined, domain: Address): Steps<void> {
  const own = k.state(state);
  const open = () =>
    [...own.pending].some(
      ([number, of]) => (cookie === undefined || number < cookie) && (domain === 0 || of === domain),
    );
  while (open()) {
    const thread = k.scheduler.current;
    if (thread !== undefined) own.waiting.add(thread);
    yield* block('async_synchronize');
  }
}

/** async_synchronize_full: everything that was asked for has been done. */
export const finishAsynchronous = (k: Linux): Steps<void> => synchronise(k, undefined, 0);

export const asyncFunctions = kernelFunctions({
  'u64 async_schedule_node(void *func, void *data, int node)': (k, call, data) => schedule(k, call, data, 0),
  'u64 async_schedule_node_domain(void *func, void *data, int node, struct async_domain *domain)': (
    k,
    call,
    data,
    _node,
    domain,
  ) => schedule(k, call, data, domain),
  'void async_synchronize_full(void)': finishAsynchronous,
  'void async_synchronize_full_domain(struct async_domain *domain)': (k, domain) =>
    synchronise(k, undefined, domain),
  'void async_synchronize_cookie(u64 cookie)': (k, cookie) => synchronise(k, cookie, 0),
});
