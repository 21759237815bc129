/** Probes on the entry and the return of kernel functions (kernel/kprobes.c), and the symbol look-ups that go with them. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import { probedName } from '../internal-names.ts';
import type { Linux } from '../linux.ts';
import { systemCallSymbol } from '../syscall.ts';
import { kernelWarning } from './caller.ts';
import { kernelFunctions } from './define.ts';
import {
  awaitReturn,
  ENTRY_BYTES,
  type EntryHook,
  hookEntry,
  hookedFunctions,
  unhook,
} from './entry-hooks.ts';

/** KPROBE_FLAG_DISABLED */
const DISABLED = 2;
/** KRETPROBE_MAX_DATA_SIZE */
const MAX_RETURN_DATA = 4096;

/** Address of any name this kernel knows: exports, functions of ours, data of ours, modules' symbols. */
export function lookupName(k: Linux, name: string): Address {
  const ofCalls = systemCallSymbol(k, name);
  if (ofCalls !== undefined) return ofCalls;
  const [symbol, module] = name.includes(':') ? name.split(':').reverse() : [name, undefined];
  if (module !== undefined) return k.symbols.find(symbol, module) ?? 0;
  return k.addressOf(symbol) || (k.symbols.find(symbol) ?? probedName(k, symbol) ?? 0);
}

/** What watches functions, with the functions of each. */
export function* watchedFunctions(k: Linux): Generator<{ owner: Address; name: string }> {
  for (const [owner, at] of hookedFunctions(k)) {
    const names = at.map((one) => k.boundName(one) ?? k.describe(one));
    yield { owner, name: names.length === 0 ? 'all functions' : names.join(', ') };
  }
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

/** Where a probe is to be: an address, or a negative errno. */
function place(k: Linux, probe: Address): Address {
  if (hookedFunctions(k).has(probe)) {
    kernelWarning(k, 'kernel/kprobes.c');
    return -Errno.EINVAL;
  }
  const at = probedAddress(k, probe);
  if (at === -Errno.EINVAL || at === -Errno.ENOENT) return at;
  if (k.boundName(at) === undefined) return -Errno.EINVAL;
  k.write('kprobe.addr', probe, at);
  k.write('kprobe.nmissed', probe, 0);
  k.write('kprobe.flags', probe, k.read('kprobe.flags', probe) & DISABLED);
  return at;
}

const enabled = (k: Linux, probe: Address): boolean => (k.read('kprobe.flags', probe) & DISABLED) === 0;

function count(k: Linux, field: string, at: Address): void {
  k.write(field, at, k.read(field, at) + 1);
}

/** The handlers see the instruction pointer where a probe on the call to __fentry__ has it (kprobe_ftrace_handler). */
function kprobeHook(probe: Address): EntryHook {
  return {
    owner: probe,
    enabled: (k) => enabled(k, probe),
    missed: (k) => count(k, 'kprobe.nmissed', probe),
    *enter(k, regs, at): Steps<boolean> {
      const handler = k.read('kprobe.pre_handler', probe);
      k.write('pt_regs.ip', regs, at + 1);
      return handler !== 0 && (yield* k.callInt(handler, probe, regs)) !== 0;
    },
    *started(k, regs, at): Steps<void> {
      const handler = k.read('kprobe.post_handler', probe);
      k.write('pt_regs.ip', regs, at + ENTRY_BYTES);
      if (handler !== 0) yield* k.call(handler, probe, regs, 0);
    },
  };
}

function register(k: Linux, probe: Address): number {
  const at = place(k, probe);
  if (at === -Errno.EINVAL || at === -Errno.ENOENT) return at;
  hookEntry(k, at, kprobeHook(probe));
  return 0;
}

// -- return probes ----------------------------------------------------------------------------------------------------

/**
 * struct kretprobe_instance begins with a struct rethook_node, both in words: two of a list or of RCU, one of another list, then
 * the struct rethook (whose first member leads to the probe), the return address, the frame; then the data of the user.
 */
const INSTANCE = { rethook: 3, returnAddress: 4, frame: 5, data: 6 } as const;

function returnHook(probe: Address, rethook: Address): EntryHook {
  let live = 0;
  const hook: EntryHook = {
    owner: probe,
    enabled: (k) => enabled(k, probe),
    missed: (k) => count(k, 'kretprobe.nmissed', probe),
    *enter(k, regs, at): Steps<boolean> {
      if (live >= k.read('kretprobe.maxactive', probe)) {
        count(k, 'kretprobe.nmissed', probe);
        return false;
      }
      const instance = k.heap.allocateZeroed(INSTANCE.data * k.word + k.read('kretprobe.data_size', probe));
      k.memory.setPtr(instance + INSTANCE.rethook * k.word, rethook);
      k.memory.setPtr(instance + INSTANCE.returnAddress * k.word, k.convention.returnAddress(k.cpu));
      k.memory.setPtr(instance + INSTANCE.frame * k.word, k.read('pt_regs.sp', regs));
      k.write('pt_regs.ip', regs, at + 1);
      live++;
      const handler = k.read('kretprobe.entry_handler', probe);
      // Not 0: this call is not to be told.
      if (handler !== 0 && (yield* k.callInt(handler, instance, regs)) !== 0) {
        k.heap.free(instance);
        live--;
      } else awaitReturn(k, hook, instance);
      return false;
    },
    *returned(k, regs, instance): Steps<void> {
      live--;
      const handler = k.read('kretprobe.handler', probe);
      if (handler !== 0 && enabled(k, probe)) yield* k.call(handler, instance, regs);
    },
  };
  return hook;
}

function registerReturn(k: Linux, probe: Address): number {
  if (k.read('kretprobe.data_size', probe) > MAX_RETURN_DATA) return -Errno.E2BIG;
  const at = place(k, probe);
  if (at === -Errno.EINVAL || at === -Errno.ENOENT) return at;
  // max_t(unsigned int, 10, 2 * num_possible_cpus())
  if (k.read('kretprobe.maxactive', probe) <= 0) k.write('kretprobe.maxactive', probe, 10);
  k.write('kretprobe.nmissed', probe, 0);
  // get_kretprobe, an inline function, finds the probe through it.
  const rethook = k.heap.allocateZeroed(8 * k.word);
  k.memory.setPtr(rethook, probe);
  k.write('kretprobe.rh', probe, rethook);
  hookEntry(k, at, returnHook(probe, rethook));
  return 0;
}

function unregisterReturn(k: Linux, probe: Address): void {
  if (!hookedFunctions(k).has(probe)) return;
  unhook(k, probe);
  k.heap.free(k.read('kretprobe.rh', probe));
  k.write('kretprobe.rh', probe, 0);
}

/** An array of pointers to probes: all of them, or none. */
function registerAll(
  k: Linux,
  array: Address,
  number: number,
  add: (k: Linux, probe: Address) => number,
  remove: (k: Linux, probe: Address) => void,
): number {
  if (number <= 0) return -Errno.EINVAL;
  for (let i = 0; i < number; i++) {
    const error = add(k, k.memory.ptr(array + i * k.word));
    if (error === 0) continue;
    for (let j = 0; j < i; j++) remove(k, k.memory.ptr(array + j * k.word));
    return error;
  }
  return 0;
}

function removeAll(
  k: Linux,
  array: Address,
  number: number,
  remove: (k: Linux, probe: Address) => void,
): void {
  for (let i = 0; i < number; i++) remove(k, k.memory.ptr(array + i * k.word));
}

const disable = (k: Linux, probe: Address): number => {
  k.write('kprobe.flags', probe, k.read('kprobe.flags', probe) | DISABLED);
  return 0;
};

export const kprobeFunctions = kernelFunctions({
  'int register_kprobe(struct kprobe *p)': register,
  'void unregister_kprobe(struct kprobe *p)': unhook,
  'int register_kprobes(struct kprobe **kps, int num)': (k, array, number) =>
    registerAll(k, array, number, register, unhook),
  'void unregister_kprobes(struct kprobe **kps, int num)': (k, array, number) =>
    removeAll(k, array, number, unhook),
  // The kprobe is the first member of a kretprobe.
  'int register_kretprobe(struct kretprobe *rp)': registerReturn,
  'void unregister_kretprobe(struct kretprobe *rp)': unregisterReturn,
  'int register_kretprobes(struct kretprobe **rps, int num)': (k, array, number) =>
    registerAll(k, array, number, registerReturn, unregisterReturn),
  'void unregister_kretprobes(struct kretprobe **rps, int num)': (k, array, number) =>
    removeAll(k, array, number, unregisterReturn),
  'int enable_kprobe(struct kprobe *kp)': (k, probe) => {
    k.write('kprobe.flags', probe, k.read('kprobe.flags', probe) & ~DISABLED);
    return 0;
  },
  'int disable_kprobe(struct kprobe *kp)': disable,
  'unsigned long kallsyms_lookup_name(const char *name)': (k, name) => lookupName(k, k.memory.cstring(name)),
});
