/**
 * RCU and SRCU in first form: with one CPU and no preemption of kernel code, a grace period is over once every other
 * task has had its turn. Callbacks run in softirq context after one.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';
import { softInterrupt } from './sched.ts';
import { release } from './slab-functions.ts';

/** How long a grace period takes here: a few jiffies, as on an idle machine. */
const GRACE_NS = 12_000_000;
/** An RCU callback below this is the offset of the head in the object to free (__is_kvfree_rcu_offset). */
const MAX_KFREE_OFFSET = 4096;

const callbacks = perKernel(() => ({ pending: 0 }));

/** Runs `done` after a grace period, in softirq context. */
function afterGrace(k: Linux, done: () => Steps<void>): void {
  const state = k.state(callbacks);
  state.pending++;
  k.time.at(k.time.now() + GRACE_NS, () =>
    softInterrupt(k, 'rcu', function* () {
      state.pending--;
      yield* done();
    }),
  );
}

function callRcu(k: Linux, head: Address, func: Address): void {
  k.write('callback_head.func', head, func);
  k.write('callback_head.next', head, 0);
  afterGrace(k, function* () {
    yield* k.call(func, head);
  });
}

function freeObject(k: Linux, object: Address): void {
  if (k.heap.virtual.holds(object)) k.heap.virtual.free(object);
  else release(k, object);
}

function* synchronize(k: Linux): Steps<void> {
  yield* block('synchronize_rcu', k.time.now() + GRACE_NS);
}

function* barrier(k: Linux): Steps<void> {
  while (k.state(callbacks).pending > 0) yield* block('rcu_barrier', k.time.now() + GRACE_NS);
}

/** task->rcu_read_lock_nesting, which PREEMPT_RCU counts. */
function nest(k: Linux, delta: number): void {
  const path = 'task_struct.rcu_read_lock_nesting';
  if (k.types.has(path)) k.write(path, k.current, k.read(path, k.current) + delta);
}

export const rcu = kernelFunctions({
  'void __rcu_read_lock(void)': (k) => nest(k, 1),
  'void __rcu_read_unlock(void)': (k) => nest(k, -1),
  'void call_rcu(struct callback_head *head, rcu_callback_t func)': (k, head, func) => callRcu(k, head, func),
  'void call_rcu_tasks(struct callback_head *rhp, rcu_callback_t func)': (k, head, func) =>
    callRcu(k, head, func),
  'void kvfree_call_rcu(struct callback_head *head, rcu_callback_t func)': function* (k, head, func) {
    if (head === 0) {
      // Without a head inside the object, `func` is the object itself, and the caller may sleep.
      yield* synchronize(k);
      freeObject(k, func);
      return;
    }
    // Until 6.1 the distance of the head from the object's start, then the object.
    const object = func >= 0 && func < MAX_KFREE_OFFSET ? head - func : func;
    k.heap.allocations.disown(object);
    afterGrace(k, function* () {
      freeObject(k, object);
      yield* [];
    });
  },
  'void synchronize_rcu(void)': (k) => synchronize(k),
  'void synchronize_rcu_expedited(void)': (k) => synchronize(k),
  'void synchronize_rcu_tasks(void)': (k) => synchronize(k),
  'void synchronize_net(void)': (k) => synchronize(k),
  'void rcu_barrier(void)': (k) => barrier(k),
  'void rcu_barrier_tasks(void)': (k) => barrier(k),
  'bool rcu_is_watching(void)': () => 1,
  'void rcu_expedite_gp(void)': () => undefined,
  'void rcu_unexpedite_gp(void)': () => undefined,
});

/** Readers of each SRCU domain by index: the real counts are per-CPU and private to it. */
const readers = perKernel(() => new Map<Address, [number, number]>());

function readersOf(k: Linux, domain: Address): [number, number] {
  const map = k.state(readers);
  let counts = map.get(domain);
  if (counts === undefined) {
    counts = [0, 0];
    map.set(domain, counts);
  }
  return counts;
}

function* synchronizeSrcu(k: Linux, domain: Address): Steps<void> {
  const counts = readersOf(k, domain);
  const old = k.read('srcu_struct.srcu_idx', domain) & 1;
  k.write('srcu_struct.srcu_idx', domain, k.read('srcu_struct.srcu_idx', domain) + 1);
  do yield* block('synchronize_srcu', k.time.now() + GRACE_NS);
  while (counts[old] > 0);
}

export const srcu = kernelFunctions({
  'int init_srcu_struct(struct srcu_struct *ssp)': (k, domain) => {
    k.memory.fill(domain, k.sizeof('srcu_struct'), 0);
    k.state(readers).delete(domain);
    return 0;
  },
  'void cleanup_srcu_struct(struct srcu_struct *ssp)': (k, domain) => {
    k.state(readers).delete(domain);
  },
  'int __srcu_read_lock(struct srcu_struct *ssp)': (k, domain) => {
    const index = k.read('srcu_struct.srcu_idx', domain) & 1;
    readersOf(k, domain)[index]++;
    return index;
  },
  'void __srcu_read_unlock(struct srcu_struct *ssp, int idx)': (k, domain, index) => {
    readersOf(k, domain)[index & 1]--;
  },
  'void synchronize_srcu(struct srcu_struct *ssp)': (k, domain) => synchronizeSrcu(k, domain),
  'void synchronize_srcu_expedited(struct srcu_struct *ssp)': (k, domain) => synchronizeSrcu(k, domain),
  'void srcu_barrier(struct srcu_struct *ssp)': (k) => barrier(k),
});
