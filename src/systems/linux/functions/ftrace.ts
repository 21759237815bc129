/** Tracing of functions (kernel/trace/ftrace.c): callbacks at the entry of those that a filter names. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import { matchesGlob, parseGlob } from '../glob.ts';
import type { Linux } from '../linux.ts';
import { kallsymsName, nativeGate } from '../syscall.ts';
import { kernelWarning } from './caller.ts';
import { kernelFunctions } from './define.ts';
import { ENTRY_BYTES, type EntryHook, hookEntry, hookEverything, unhook } from './entry-hooks.ts';
import { lookupName } from './kprobes.ts';

/** FTRACE_OPS_FL_*: in use; the callback wants all registers; it may send the call elsewhere. */
const ENABLED = 1 << 0;
const SAVE_REGS = 1 << 2;
const IPMODIFY = 1 << 12;

/** What struct ftrace_ops points at and nobody but ftrace reads: the functions to trace, and those not to. */
interface Filter {
  readonly wanted: Set<Address>;
  readonly unwanted: Set<Address>;
}

const filters = perKernel<Map<Address, Filter>, Linux>(() => new Map());

function filterOf(k: Linux, ops: Address): Filter {
  const all = k.state(filters);
  let filter = all.get(ops);
  if (filter === undefined) {
    filter = { wanted: new Set(), unwanted: new Set() };
    all.set(ops, filter);
  }
  return filter;
}

function hookOf(ops: Address, { unwanted }: Filter): EntryHook {
  return {
    owner: ops,
    enabled: () => true,
    *enter(k, regs, at): Steps<boolean> {
      if (unwanted.has(at)) return false;
      const flags = k.read('ftrace_ops.flags', ops);
      k.write('pt_regs.ip', regs, at);
      // Without its own registers a callback finds no code segment in them (arch_ftrace_get_regs).
      if ((flags & SAVE_REGS) === 0) k.write('pt_regs.cs', regs, 0);
      const parent = k.convention.returnAddress(k.cpu);
      yield* k.call(k.read('ftrace_ops.func', ops), at, parent, ops, regs);
      k.write('pt_regs.cs', regs, 0x10);
      return (flags & IPMODIFY) !== 0 && k.read('pt_regs.ip', regs) !== at;
    },
  };
}

function registerOps(k: Linux, ops: Address): number {
  const flags = k.read('ftrace_ops.flags', ops);
  if ((flags & ENABLED) !== 0) {
    kernelWarning(k, 'kernel/trace/ftrace.c');
    return -Errno.EBUSY;
  }
  const filter = filterOf(k, ops);
  // Nobody may send every function elsewhere (__ftrace_hash_update_ipmodify).
  if (filter.wanted.size === 0 && (flags & IPMODIFY) !== 0) return -Errno.EINVAL;
  const hook = hookOf(ops, filter);
  if (filter.wanted.size === 0) hookEverything(k, hook);
  for (const at of filter.wanted) watch(k, at, hook);
  k.write('ftrace_ops.flags', ops, flags | ENABLED);
  return 0;
}

function watch(k: Linux, at: Address, hook: EntryHook): void {
  // Callbacks that send a call elsewhere go on at the original behind the call to __fentry__: nobody is told of that one.
  k.alias(at + ENTRY_BYTES, at);
  hookEntry(k, at, hook);
}

function unregisterOps(k: Linux, ops: Address): number {
  const flags = k.read('ftrace_ops.flags', ops);
  if ((flags & ENABLED) === 0) {
    kernelWarning(k, 'kernel/trace/ftrace.c');
    return -Errno.EBUSY;
  }
  unhook(k, ops);
  k.write('ftrace_ops.flags', ops, flags & ~ENABLED);
  return 0;
}

/** A filter that is changed while it is used acts at once. */
function changed(k: Linux, ops: Address): void {
  if ((k.read('ftrace_ops.flags', ops) & ENABLED) === 0) return;
  unhook(k, ops);
  const filter = filterOf(k, ops);
  const hook = hookOf(ops, filter);
  if (filter.wanted.size === 0) hookEverything(k, hook);
  for (const at of filter.wanted) watch(k, at, hook);
}

/** Functions whose names match: tracing goes by addresses, and knows one name of each. A plain name may be any that the kernel knows. */
function matching(k: Linux, pattern: string): Address[] {
  if (!/[*?[]/.test(pattern)) {
    const called = pattern.replace(/^__do_sys_/, nativeGate(k).prefix);
    const at = kallsymsName(called) === pattern ? lookupName(k, called) : 0;
    return at !== 0 && k.boundName(at) !== undefined ? [at] : [];
  }
  const parts = parseGlob(pattern, { sets: true });
  const names = [...k.functionNames].filter((name) => matchesGlob(parts, kallsymsName(name)));
  return names.map((name) => k.addressOf(name)).filter((at) => at !== 0 && k.boundName(at) !== undefined);
}

/** buf and len of ftrace_set_filter and its like; NULL with reset clears. */
function setByPattern(
  k: Linux,
  which: keyof Filter,
  ops: Address,
  buffer: Address,
  length: number,
  reset: number,
): number {
  const set = filterOf(k, ops)[which];
  const text = buffer === 0 ? '' : new TextDecoder('latin1').decode(k.memory.bytes(buffer, length));
  const found = buffer === 0 ? [] : matching(k, text.replace(/\0.*$/, '').trim());
  if (buffer !== 0 && found.length === 0) return -Errno.EINVAL;
  if (reset !== 0) set.clear();
  for (const at of found) set.add(at);
  changed(k, ops);
  return 0;
}

function setByAddress(k: Linux, ops: Address, at: Address, remove: number, reset: number): number {
  const { wanted } = filterOf(k, ops);
  if (reset !== 0) wanted.clear();
  if (at !== 0) {
    if (k.boundName(at) === undefined) return -Errno.EINVAL;
    if (remove === 0) wanted.add(at);
    else if (!wanted.delete(at)) return -Errno.ENOENT;
  }
  changed(k, ops);
  return 0;
}

export const ftraceFunctions = kernelFunctions({
  'int register_ftrace_function(struct ftrace_ops *ops)': registerOps,
  'int unregister_ftrace_function(struct ftrace_ops *ops)': unregisterOps,
  'int ftrace_set_filter(struct ftrace_ops *ops, unsigned char *buf, int len, int reset)': (
    k,
    ops,
    buffer,
    length,
    reset,
  ) => setByPattern(k, 'wanted', ops, buffer, length, reset),
  'int ftrace_set_notrace(struct ftrace_ops *ops, unsigned char *buf, int len, int reset)': (
    k,
    ops,
    buffer,
    length,
    reset,
  ) => setByPattern(k, 'unwanted', ops, buffer, length, reset),
  'int ftrace_set_filter_ip(struct ftrace_ops *ops, unsigned long ip, int remove, int reset)': setByAddress,
  'void ftrace_free_filter(struct ftrace_ops *ops)': (k, ops) => {
    k.state(filters).delete(ops);
  },
});
