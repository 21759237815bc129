/** Per-CPU counters, reference counts with locks, and per-CPU rw-semaphores on a machine with one CPU. */
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { initList } from '../lists.ts';
import { callerOf } from './caller.ts';
import { kernelFunctions } from './define.ts';

const count = (k: Linux, counter: Address): Address => counter + k.offset('percpu_counter.count');
const local = (k: Linux, counter: Address): Address =>
  k.percpu.addressOf(k.read('percpu_counter.counters', counter));
const total = (k: Linux, counter: Address): bigint =>
  BigInt.asIntN(64, k.memory.u64(count(k, counter))) + BigInt(k.memory.i32(local(k, counter)));

/** Adds to the CPU's own share until that outgrows the batch, then to the shared count. */
function add(k: Linux, counter: Address, amount: bigint, batch: number): void {
  const own = BigInt(k.memory.i32(local(k, counter))) + amount;
  if (own >= BigInt(batch) || own <= -BigInt(batch)) {
    k.memory.setU64(count(k, counter), k.memory.u64(count(k, counter)) + own);
    k.memory.set32(local(k, counter), 0);
  } else k.memory.set32(local(k, counter), Number(own));
}

export const percpuCounters = kernelFunctions({
  'int __percpu_counter_init(struct percpu_counter *fbc, s64 amount, gfp_t gfp, struct lock_class_key *key)':
    (k, counter, amount) => {
      const shares = k.percpu.allocate(4, 4);
      if (shares === 0) return -Errno.ENOMEM;
      k.heap.allocations.add('percpu', shares, 4, callerOf(k));
      k.memory.set32(counter, 0);
      k.memory.setU64(count(k, counter), amount);
      k.write('percpu_counter.counters', counter, shares);
      initList(k, counter + k.offset('percpu_counter.list'));
      return 0;
    },
  'void percpu_counter_destroy(struct percpu_counter *fbc)': (k, counter) => {
    const shares = k.read('percpu_counter.counters', counter);
    if (shares === 0) return;
    k.heap.allocations.remove(shares);
    k.percpu.free(shares);
    k.write('percpu_counter.counters', counter, 0);
  },
  'void percpu_counter_add_batch(struct percpu_counter *fbc, s64 amount, s32 batch)': (
    k,
    counter,
    amount,
    batch,
  ) => add(k, counter, amount, batch),
  'void percpu_counter_set(struct percpu_counter *fbc, s64 amount)': (k, counter, amount) => {
    k.memory.set32(local(k, counter), 0);
    k.memory.setU64(count(k, counter), amount);
  },
  'void percpu_counter_sync(struct percpu_counter *fbc)': (k, counter) => add(k, counter, 0n, 0),
  's64 __percpu_counter_sum(struct percpu_counter *fbc)': (k, counter) => total(k, counter),
  'int __percpu_counter_compare(struct percpu_counter *fbc, s64 rhs, s32 batch)': (k, counter, other) => {
    const value = total(k, counter);
    return value > other ? 1 : value < other ? -1 : 0;
  },
});

export const counterData: readonly DataInitialiser[] = [
  // percpu_counter_batch: 32, or twice the CPUs where those are many.
  {
    symbol: 'percpu_counter_batch',
    when: 'import',
    fill: (k, at) => k.memory.poke(at, Uint8Array.of(32, 0, 0, 0)),
  },
];
