/** Probes on the entry of kernel functions (kernel/kprobes.c) and the symbol look-ups that go with them. */
import { registerName } from '../../../cpu/x86/print.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Thread } from '../../../kernel/thread.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { systemCallSymbol } from '../syscall.ts';
import { kernelFunctions } from './define.ts';

/** KPROBE_FLAG_DISABLED */
const DISABLED = 2;

/** pt_regs members by hardware register number. */
const REGISTERS = Array.from({ length: 16 }, (_, n) => registerName(n, 8).replace(/^r(?=\D)/, ''));

/** Probes in place, by probed address, in the order they were registered. */
const probes = perKernel(() => new Map<Address, Address[]>());

/** Address of any name this kernel knows: exports, functions of ours, data of ours, modules' symbols. */
export function lookupName(k: Linux, name: string): Address {
  const ofCalls = systemCallSymbol(k, name);
  if (ofCalls !== undefined) return ofCalls;
  const [symbol, module] = name.includes(':') ? name.split(':').reverse() : [name, undefined];
  if (module !== undefined) return k.symbols.find(symbol, module) ?? 0;
  return k.addressOf(symbol) || (k.symbols.find(symbol) ?? 0);
}

/** Probes in place, with the function each is on. */
export function* probedFunctions(k: Linux): Generator<{ probe: Address; name: string }> {
  for (const [at, here] of k.state(probes))
    for (const probe of here) yield { probe, name: k.boundName(at) ?? k.describe(at) };
}

function probedAddress(k: Linux, probe: Address): Address {
  const symbol = k.read('kprobe.symbol_name', probe);
  const at = k.read('kprobe.addr', probe);
  // Both or neither is a mistake of the caller (_kprobe_addr).
  if ((symbol === 0) === (at === 0)) return -Errno.EINVAL;
  if (symbol === 0) return at + k.read('kprobe.offset', probe);
  const found = lookupName(k, k.memory.cstring(symbol));
  return found === 0 ? -Errno.ENOENT : found + k.read('kprobe.offset', probe);
}

function register(k: Linux, probe: Address): number {
  const at = probedAddress(k, probe);
  if (at === -Errno.EINVAL || at === -Errno.ENOENT) return at;
  // Only entries of kernel functions can be probed here: code inside modules is not patched with breakpoints.
  if (k.boundName(at) === undefined) return -Errno.EINVAL;
  k.write('kprobe.addr', probe, at);
  const table = k.state(probes);
  const here = table.get(at) ?? [];
  table.set(at, [...here, probe]);
  k.intercepts.set(at, (thread, run) => hit(k, thread, at, run));
  return 0;
}

function unregister(k: Linux, probe: Address): void {
  const at = k.read('kprobe.addr', probe);
  const table = k.state(probes);
  const left = (table.get(at) ?? []).filter((other) => other !== probe);
  if (left.length > 0) table.set(at, left);
  else {
    table.delete(at);
    k.intercepts.delete(at);
  }
}

/** The probed function was called: every pre_handler runs; one that returns non-zero has set where to go on. */
function hit(k: Linux, thread: Thread, at: Address, run: () => void): void {
  const active = (k.state(probes).get(at) ?? []).filter(
    (probe) => (k.read('kprobe.flags', probe) & DISABLED) === 0,
  );
  k.scheduler.complete(thread, 'kprobe', preHandlers(k, active, at), (moved) => {
    if (moved !== true) run();
  });
}

function* preHandlers(k: Linux, active: readonly Address[], at: Address): Steps<boolean> {
  const regs = k.heap.allocateZeroed(k.sizeof('pt_regs'));
  saveRegisters(k, regs, at);
  let moved = false;
  for (const probe of active) {
    const handler = k.read('kprobe.pre_handler', probe);
    if (handler !== 0 && (yield* k.callInt(handler, probe, regs)) !== 0) {
      moved = true;
      break;
    }
  }
  restoreRegisters(k, regs, moved ? k.read('pt_regs.ip', regs) : at);
  k.heap.free(regs);
  return moved;
}

function saveRegisters(k: Linux, regs: Address, at: Address): void {
  REGISTERS.forEach((name, number) => {
    k.memory.setU64(regs + k.offset(`pt_regs.${name}`), k.cpu.gprBig(number));
  });
  k.write('pt_regs.ip', regs, at);
  k.write('pt_regs.flags', regs, Number(k.cpu.rflags));
  k.write('pt_regs.orig_ax', regs, -1);
  k.write('pt_regs.cs', regs, 0x10);
}

/** The handler may have changed any register; the instruction pointer only when it said so. */
function restoreRegisters(k: Linux, regs: Address, ip: Address): void {
  REGISTERS.forEach((name, number) => {
    k.cpu.setGprBig(number, k.memory.u64(regs + k.offset(`pt_regs.${name}`)));
  });
  k.cpu.rip = ip;
}

export const kprobeFunctions = kernelFunctions({
  'int register_kprobe(struct kprobe *p)': register,
  'void unregister_kprobe(struct kprobe *p)': unregister,
  'int enable_kprobe(struct kprobe *kp)': (k, probe) => {
    k.write('kprobe.flags', probe, k.read('kprobe.flags', probe) & ~DISABLED);
    return 0;
  },
  'int disable_kprobe(struct kprobe *kp)': (k, probe) => {
    k.write('kprobe.flags', probe, k.read('kprobe.flags', probe) | DISABLED);
    return 0;
  },
  'unsigned long kallsyms_lookup_name(const char *name)': (k, name) => lookupName(k, k.memory.cstring(name)),
});
