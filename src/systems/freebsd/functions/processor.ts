/** Processors, counters, floating point and memory of devices: sys/kern/subr_smp.c, subr_counter.c, amd64/fpu.c, pmap.c. */
import type { Steps } from '../../../kernel/steps.ts';
import { type Address, PAGE_SIZE, Perm } from '../../../memory/space.ts';
import type { FreeBsd } from '../freebsd.ts';
import { majorOf } from '../version.ts';
import { kernelFunctions } from './define.ts';

/** The three functions of a rendezvous, one after another: there is one processor. */
function* rendezvous(k: FreeBsd, functions: readonly Address[], arg: Address): Steps<void> {
  for (const fn of functions) {
    if (fn !== 0) yield* k.call(fn, arg);
  }
}

/**
 * counter(9): a word per processor. Inline code of modules adds to it through the per-CPU segment; from 13 on what it is
 * given is the distance from the first per-CPU block, before that the address.
 */
const counterBase = (k: FreeBsd): Address => (majorOf(k.version) < 13 ? 0 : k.threads.pcpu);

function allocateCounter(k: FreeBsd): Address {
  const at = k.heap.allocate(8, undefined, 0, k.convention.returnAddress(k.cpu));
  return at === 0 ? 0 : at - counterBase(k);
}

const counterAt = (k: FreeBsd, counter: Address): Address => counter + counterBase(k);

/** Physical addresses that are no RAM have no device either: reads give all ones, as an empty bus does. */
function mapDevice(k: FreeBsd, physical: Address, bytes: number): Address {
  const offset = physical % PAGE_SIZE;
  const pages = Math.max(1, Math.ceil((offset + bytes) / PAGE_SIZE));
  if (pages > k.memory.frames.freePages) return 0;
  const at = k.mapPages(k.kmem, pages, Perm.R | Perm.W, 'device memory');
  k.memory.fill(at, pages * PAGE_SIZE, 0xff);
  return at + offset;
}

function unmapDevice(k: FreeBsd, at: Address, bytes: number): void {
  const offset = ((at % PAGE_SIZE) + PAGE_SIZE) % PAGE_SIZE;
  k.unmapPages(k.kmem, at - offset, Math.max(1, Math.ceil((offset + bytes) / PAGE_SIZE)));
}

/** GSEL(GCODE_SEL, SEL_KPL) of amd64. */
const KERNEL_CODE = 0x20;

export const processors = kernelFunctions({
  'void smp_rendezvous(void *setup, void *action, void *teardown, void *arg)': (
    k,
    setup,
    action,
    teardown,
    arg,
  ) => rendezvous(k, [setup, action, teardown], arg),
  /**
   * The set of processors has one word up to 10 and comes first in the registers; from 11 on amd64 has room for more
   * processors, and it lies on the stack, where no register counts for it.
   */
  'void smp_rendezvous_cpus(void *a, void *b, void *c, void *d, void *e)': (k, a, b, c, d, e) =>
    k.bits === 64 && majorOf(k.version) >= 11 ? rendezvous(k, [a, b, c], d) : rendezvous(k, [b, c, d], e),
  /** A gate of the table; on i386 the last argument is its selector (struct gate_descriptor of x86/segments.h). */
  'void setidt(int idx, void *func, int typ, int dpl, int ist)': (k, index, entry, type, dpl, last) => {
    const at = k.memory.ptr(k.symbolAddress('idt')) + (index & 0xff) * (k.bits / 4);
    const value = BigInt.asUintN(64, BigInt(entry));
    const wide = k.bits === 64;
    k.memory.set16(at, Number(value & 0xffffn));
    k.memory.set16(at + 2, wide ? KERNEL_CODE : last);
    k.memory.set8(at + 4, wide ? last : 0);
    k.memory.set8(at + 5, 0x80 | (dpl << 5) | type);
    k.memory.set16(at + 6, Number((value >> 16n) & 0xffffn));
    if (wide) k.memory.set32(at + 8, Number(BigInt.asIntN(32, value >> 32n)));
  },
  'void smp_no_rendezvous_barrier(void *dummy)': () => undefined,
  'void smp_no_rendevous_barrier(void *dummy)': () => undefined,
  // Threads here save all registers when they switch: the kernel's use of the FPU needs no more.
  'int fpu_kern_thread(unsigned int flags)': () => 0,
  'int fpu_kern_enter(void *td, void *ctx, unsigned int flags)': () => 0,
  'int fpu_kern_leave(void *td, void *ctx)': () => 0,
  'int is_fpu_kern_thread(unsigned int flags)': () => 1,
  'void *fpu_kern_alloc_ctx(unsigned int flags)': (k) => k.heap.allocate(64),
  'void fpu_kern_free_ctx(void *ctx)': (k, at) => {
    k.heap.free(at);
  },
});

export const counters = kernelFunctions({
  'void *counter_u64_alloc(int flags)': allocateCounter,
  'void counter_u64_free(void *c)': (k, counter) => {
    if (counter !== 0) k.heap.free(counterAt(k, counter));
  },
  'void counter_u64_zero(void *c)': (k, counter) => k.memory.setU64(counterAt(k, counter), 0n),
  'uint64_t counter_u64_fetch(void *c)': (k, counter) => k.memory.u64(counterAt(k, counter)),
});

export const deviceMemory = kernelFunctions({
  'void *pmap_mapbios(unsigned long pa, size_t size)': mapDevice,
  'void *pmap_mapdev(unsigned long pa, size_t size)': mapDevice,
  'void *pmap_mapdev_attr(unsigned long pa, size_t size, int mode)': mapDevice,
  'void pmap_unmapbios(vm_offset_t va, size_t size)': unmapDevice,
  'void pmap_unmapdev(vm_offset_t va, size_t size)': unmapDevice,
  'int pmap_change_attr(vm_offset_t va, size_t size, int mode)': () => 0,
});
