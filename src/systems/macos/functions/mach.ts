/** Small things of Mach and of the platform: semaphores, waits without a lock, deadlines, virtual memory for the kernel. */
import { perKernel } from '../../../kernel/kernel.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import { type Address, PAGE_SIZE } from '../../../memory/space.ts';
import type { Macos } from '../macos.ts';
import { kernelFunctions } from './define.ts';
import { waitOn } from './threads.ts';

const INVALID_ARGUMENT = 4;
const TIMED_OUT = 49;
/** How long a thread sleeps before it looks again (ns). */
const RETRY = 10_000;

/** A semaphore is a count in kernel memory. */
function* down(k: Macos, at: Address, until = Number.POSITIVE_INFINITY): Steps<number> {
  while (k.memory.i32(at) <= 0) {
    if (k.time.now() >= until) return TIMED_OUT;
    yield* block('a semaphore', Math.min(until, k.time.now() + RETRY));
  }
  k.memory.set32(at, k.memory.i32(at) - 1);
  return 0;
}

/** What a thread has said it will wait for. */
const asserted = perKernel<Map<number, { event: Address; until: number }>, Macos>(() => new Map());
const me = (k: Macos): number => k.scheduler.current?.id ?? 0;
const FOREVER = Number.POSITIVE_INFINITY;

function assertWait(k: Macos, event: Address, until: number): number {
  k.state(asserted).set(me(k), { event, until });
  return WAITING;
}
const WAITING = -1;

function* blockThread(k: Macos): Steps<number> {
  const waits = k.state(asserted);
  const wait = waits.get(me(k));
  waits.delete(me(k));
  if (wait === undefined) {
    yield { kind: 'yield' };
    return 0;
  }
  return yield* waitOn(k, wait.event, wait.until);
}

const clockDeadline = (k: Macos, at: Address, ns: number): void =>
  k.memory.setU64(at, BigInt(Math.floor(ns)));

export const machFunctions = kernelFunctions({
  'kern_return_t semaphore_create(void *task, void **semaphore, int policy, int value)': (
    k,
    _task,
    to,
    _policy,
    value,
  ) => {
    const at = k.heap.allocate(16, 'semaphores');
    k.memory.set32(at, value);
    k.memory.setPtr(to, at);
    return 0;
  },
  'kern_return_t semaphore_destroy(void *task, void *semaphore)': (k, _task, at) => {
    if (at === 0) return INVALID_ARGUMENT;
    k.heap.free(at);
    return 0;
  },
  'kern_return_t semaphore_signal(void *semaphore)': (k, at) => {
    k.memory.set32(at, k.memory.i32(at) + 1);
    return 0;
  },
  'kern_return_t semaphore_signal_all(void *semaphore)': (k, at) => {
    k.memory.set32(at, Math.max(1, k.memory.i32(at) + 1));
    return 0;
  },
  'kern_return_t semaphore_wait(void *semaphore)': (k, at) => down(k, at),
  'wait_result_t assert_wait(void *event, int how)': (k, event) => assertWait(k, event, FOREVER),
  'wait_result_t assert_wait_timeout(void *event, int how, unsigned int interval, unsigned int scale)': (
    k,
    event,
    _how,
    interval,
    scale,
  ) => assertWait(k, event, k.time.now() + interval * scale),
  'wait_result_t assert_wait_deadline(void *event, int how, uint64_t deadline)': (k, event, _how, deadline) =>
    assertWait(k, event, Number(deadline)),
  'wait_result_t thread_block(void *continuation)': (k) => blockThread(k),
  'void *current_task(void)': (k) => k.memory.ptr(k.object('_kernel_task')),
  'void *get_bsdtask_info(void *task)': (k) => k.object('_lkm_current_proc'),
  'void *current_map(void)': (k) => k.memory.ptr(k.object('_kernel_map')),
  'void clock_get_system_microtime(clock_res_t *s, clock_res_t *us)': (k, s, us) => {
    k.memory.set32(s, Math.floor(k.time.now() / 1e9));
    k.memory.set32(us, Math.floor((k.time.now() % 1e9) / 1000));
  },
  'void clock_get_calendar_nanotime(clock_res_t *s, clock_res_t *ns)': function* (k, s, ns) {
    const place = k.heap.allocate(16, 'clock');
    yield* k.call(k.link('_nanotime'), place);
    k.memory.set32(s, k.read('timespec.tv_sec', place));
    k.memory.set32(ns, k.read('timespec.tv_nsec', place));
    k.heap.free(place);
  },
  'void clock_absolutetime_interval_to_deadline(uint64_t interval, uint64_t *result)': (k, interval, at) =>
    clockDeadline(k, at, k.time.now() + Number(interval)),
  'void clock_delay_until(uint64_t deadline)': function* (_k, deadline) {
    yield* block('time to pass', Number(deadline));
  },
  'void IOPause(unsigned int ns)': function* (k, ns) {
    yield* block('time to pass', k.time.now() + ns);
  },
  'SInt8 OSIncrementAtomic8(volatile SInt8 *at)': (k, at) => {
    const old = k.memory.u8(at);
    k.memory.set8(at, old + 1);
    return old;
  },
  'SInt8 OSDecrementAtomic8(volatile SInt8 *at)': (k, at) => {
    const old = k.memory.u8(at);
    k.memory.set8(at, old - 1);
    return old;
  },
  'SInt16 OSIncrementAtomic16(volatile SInt16 *at)': (k, at) => {
    const old = k.memory.u16(at);
    k.memory.set16(at, old + 1);
    return old;
  },
  'SInt16 OSDecrementAtomic16(volatile SInt16 *at)': (k, at) => {
    const old = k.memory.u16(at);
    k.memory.set16(at, old - 1);
    return old;
  },
  // Whole pages of the kernel's map; a fixed address is not given.
  'kern_return_t vm_allocate(void *map, vm_offset_t *address, vm_size_t bytes, int flags)': (
    k,
    _map,
    to,
    bytes,
  ) => {
    const at = k.heap.allocate(Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE, 'vm', PAGE_SIZE);
    if (at === 0) return 3;
    k.memory.setPtr(to, at);
    return 0;
  },
  'kern_return_t vm_deallocate(void *map, vm_offset_t address, vm_size_t bytes)': (k, _map, address) => {
    k.heap.free(address);
    return 0;
  },
});
