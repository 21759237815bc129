/**
 * epoch(9) and the library under it (sys/kern/subr_epoch.c, contrib/ck): readers are counted by nobody, since no other thread
 * runs before one of them has left, and what waits for them to leave has nobody to wait for.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import type { DataSymbol, FreeBsd } from '../freebsd.ts';
import { kernelFunctions } from './define.ts';

/** struct epoch is private to subr_epoch.c. */
const EPOCH_BYTES = 256;

const global = (name: string): DataSymbol => ({
  name,
  bytes: (k) => k.word,
  fill: (k, at) => k.memory.setPtr(at, k.data.reserve(EPOCH_BYTES)),
});

export const epochData: readonly DataSymbol[] = [
  global('global_epoch'),
  global('global_epoch_preempt'),
  global('net_epoch_preempt'),
  global('net_epoch'),
];

/** How many callbacks have not run yet. */
const deferred = perKernel<{ count: number }>(() => ({ count: 0 }));

/** A callback runs in a thread of its own, when whoever asked for it has left. */
function defer(k: FreeBsd, fn: Address, context: Address): void {
  const state = k.state(deferred);
  state.count++;
  const thread = k.scheduler.spawn('epoch callback', k.call(fn, context));
  k.threads.adopt(thread, 'epoch callback');
  thread.onExit(() => {
    state.count--;
  });
}

export const epochs = kernelFunctions({
  'void *epoch_alloc(const char *name, int flags)': (k) => k.heap.allocate(EPOCH_BYTES),
  'void epoch_free(void *epoch)': (k, at) => {
    k.heap.free(at);
  },
  'void epoch_enter(void *epoch)': () => undefined,
  'void epoch_exit(void *epoch)': () => undefined,
  'void _epoch_enter_preempt(void *epoch, void *tracker)': () => undefined,
  'void _epoch_exit_preempt(void *epoch, void *tracker)': () => undefined,
  'void epoch_enter_preempt(void *epoch, void *tracker)': () => undefined,
  'void epoch_exit_preempt(void *epoch, void *tracker)': () => undefined,
  'void epoch_wait(void *epoch)': () => undefined,
  'void epoch_wait_preempt(void *epoch)': () => undefined,
  'void epoch_call(void *epoch, void *callback, void *ctx)': (k, _epoch, fn, context) =>
    defer(k, fn, context),
  *'void epoch_drain_callbacks(void *epoch)'(k) {
    while (k.state(deferred).count > 0) yield { kind: 'yield' };
  },
  'void ck_epoch_init(void *global)': (k, at) => k.memory.set32(at, 1),
  /** struct ck_epoch_record: the next one, the epoch, state. */
  'void ck_epoch_register(void *global, void *record, void *ct)': (k, epoch, record) => {
    k.memory.setPtr(record + k.word, epoch);
  },
  'void ck_epoch_unregister(void *record)': () => undefined,
  'void ck_epoch_synchronize(void *record)': () => undefined,
  'void ck_epoch_synchronize_wait(void *global, void *cb, void *ct)': () => undefined,
});
