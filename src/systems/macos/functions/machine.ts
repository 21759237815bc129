/** The machine and small things of osfmk and bsd that drivers ask for. */
import { guestText, writeGuestText } from '../../../kernel/text/printf.ts';
import { type Address, MappingError, PAGE_SIZE } from '../../../memory/space.ts';
import { ERRNO } from '../errno.ts';
import type { DataSymbol, Macos } from '../macos.ts';
import { kernelFunctions } from './define.ts';

/** RFLAGS.IF */
const INTERRUPT_FLAG = 0x200;

function setInterrupts(k: Macos, on: boolean): number {
  const flags = k.cpu.rflags;
  const before = (flags & INTERRUPT_FLAG) !== 0;
  k.cpu.rflags = on ? flags | INTERRUPT_FLAG : flags & ~INTERRUPT_FLAG;
  return before ? 1 : 0;
}

/** A block of another size with what was in it; 0 frees. */
function reallocate(k: Macos, at: Address, bytes: number): Address {
  if (at === 0) return k.heap.allocate(bytes, 'kern_os');
  const old = k.heap.size(at) ?? 0;
  const next = bytes === 0 ? 0 : k.heap.allocate(bytes, 'kern_os');
  if (next !== 0) k.memory.copy(next, at, Math.min(old, bytes));
  if (next !== 0 || bytes === 0) k.heap.free(at);
  return next;
}

/** VM_PROT_READ, _WRITE and _EXECUTE are the bits of a page's permissions. */
const PROTECTIONS = 7;
const KERN_INVALID_ADDRESS = 1;

/** Every map is the kernel's here: a process has no memory of its own. */
function protect(k: Macos, at: Address, bytes: number, maximum: number, protection: number): number {
  const first = at - (((at % PAGE_SIZE) + PAGE_SIZE) % PAGE_SIZE);
  try {
    if (maximum === 0)
      k.memory.protect(first, Math.ceil((at + bytes - first) / PAGE_SIZE), protection & PROTECTIONS);
    return 0;
  } catch (error) {
    if (!(error instanceof MappingError)) throw error;
    return KERN_INVALID_ADDRESS;
  }
}

export const machineFunctions = kernelFunctions({
  'kern_return_t vm_protect(void *map, vm_address_t at, vm_size_t bytes, boolean_t maximum, int protection)':
    (k, _map, at, bytes, maximum, protection) => protect(k, at, bytes, maximum, protection),
  // The number of the frame, and 0 for what is not mapped.
  'uint32_t pmap_find_phys(void *map, uint64_t at)': (k, _map, at) =>
    k.memory.pfnOf(Number(BigInt.asIntN(64, at))) ?? 0,
  // Nothing is slid here.
  'void vm_kernel_unslide_or_perm_external(vm_offset_t at, vm_offset_t *result)': (k, at, result) =>
    k.memory.setPtr(result, at),
  // Registers that the processor has not are no fault of the asker's.
  'int rdmsr_carefully(uint32_t register, uint32_t *low, uint32_t *high)': (k, index, low, high) => {
    const value = k.cpu.machine.rdmsr(index);
    if (value === undefined) return 1;
    k.memory.set32(low, Number(value & 0xffffffffn));
    k.memory.set32(high, Number(value >> 32n));
    return 0;
  },
  'boolean_t ml_get_interrupts_enabled(void)': (k) => ((k.cpu.rflags & INTERRUPT_FLAG) !== 0 ? 1 : 0),
  'boolean_t preemption_enabled(void)': (k) => ((k.cpu.rflags & INTERRUPT_FLAG) !== 0 ? 1 : 0),
  'boolean_t ml_set_interrupts_enabled(boolean_t on)': (k, on) => setInterrupts(k, on !== 0),
  'boolean_t ml_at_interrupt_context(void)': () => 0,
  'size_t strlcpy(char *to, const char *from, size_t room)': (k, to, from, room) => {
    const text = guestText(k, from);
    if (room > 0) writeGuestText(k, to, text.slice(0, room - 1));
    return text.length;
  },
  'int cpu_number(void)': () => 0,
  'void *kern_os_realloc(void *at, size_t bytes)': reallocate,
  'void nanouptime(struct timespec *ts)': (k, ts) => {
    k.write('timespec.tv_sec', ts, Math.floor(k.time.now() / 1e9));
    k.write('timespec.tv_nsec', ts, Math.floor(k.time.now() % 1e9));
  },
  'void microuptime(struct timeval *tv)': (k, tv) => {
    k.write('timeval.tv_sec', tv, Math.floor(k.time.now() / 1e9));
    k.write('timeval.tv_usec', tv, Math.floor((k.time.now() % 1e9) / 1000));
  },
  'void clock_get_system_nanotime(clock_res_t *s, clock_res_t *ns)': (k, s, ns) => {
    k.memory.set32(s, Math.floor(k.time.now() / 1e9));
    k.memory.set32(ns, Math.floor(k.time.now() % 1e9));
  },
  'int copystr(const void *from, void *to, size_t room, size_t *done)': (k, from, to, room, done) => {
    const text = guestText(k, from, room);
    if (text.length >= room) return ERRNO.ENAMETOOLONG;
    writeGuestText(k, to, text);
    if (done !== 0) k.memory.setPtr(done, text.length + 1);
    return 0;
  },
  // The only processor runs the action itself (osfmk/i386/mp.c).
  'void mp_rendezvous_no_intrs(void *action, void *argument)': function* (k, action, argument) {
    const before = setInterrupts(k, false);
    yield* k.call(action, argument);
    setInterrupts(k, before !== 0);
  },
  'void mp_rendezvous(void *setup, void *action, void *teardown, void *argument)': function* (
    k,
    setup,
    action,
    teardown,
    argument,
  ) {
    for (const routine of [setup, action, teardown]) if (routine !== 0) yield* k.call(routine, argument);
  },
  'void OSReportWithBacktrace(const char *format, ...)': (k, format) => k.print(`${guestText(k, format)}\n`),
});

/** An object that kexts only hand on. */
const opaque = (name: string): DataSymbol => ({
  name,
  bytes: 16,
  fill: (k, at) => k.memory.setPtr(at, k.takeData(64)),
});

export const machineData: readonly DataSymbol[] = [
  opaque('_kernel_task'),
  opaque('_kernel_map'),
  opaque('_kernel_pmap'),
  opaque('_kernproc'),
  { name: '_desiredvnodes', bytes: 4, fill: (k, at) => k.memory.set32(at, 66560) },
];
