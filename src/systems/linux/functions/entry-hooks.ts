/**
 * What runs when a kernel function is entered and when it returns: the ground that kprobes, return probes and function
 * tracing stand on. Functions of the kernel are entered through host entries, where a call is caught; code inside modules
 * is not patched, so only functions of the kernel can be watched.
 */
import { registerName } from '../../../cpu/x86/print.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Thread } from '../../../kernel/thread.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';

/** Bytes of the call to __fentry__ that functions begin with (MCOUNT_INSN_SIZE). */
export const ENTRY_BYTES = 5;

/** Something that wants to know of one function's calls. */
export interface EntryHook {
  /** Guest structure it belongs to: kprobe, kretprobe, ftrace_ops. */
  readonly owner: Address;
  /** False while it is switched off. */
  enabled(k: Linux): boolean;
  /** The function is entered with these registers (struct pt_regs); true when it is not to run, and `ip` says where to go on. */
  enter(k: Linux, regs: Address, at: Address): Steps<boolean>;
  /** The function is about to run, after all hooks were entered. */
  started?(k: Linux, regs: Address, at: Address): Steps<void>;
  /** It has returned. Called for those only whose `enter` left something in `returns`. */
  returned?(k: Linux, regs: Address, instance: Address): Steps<void>;
  /** A call came while a hook ran on this thread: it is not told, only counted. */
  missed?(k: Linux): void;
}

/** A call that somebody waits for the end of. */
export interface PendingReturn {
  readonly hook: EntryHook;
  readonly instance: Address;
}

interface State {
  /** By function, in the order they came. */
  readonly byAddress: Map<Address, EntryHook[]>;
  /** Hooks of all functions. */
  everywhere: EntryHook[];
  /** Threads on which a hook runs: what it calls itself is not told again. */
  readonly running: Set<Thread>;
  /** Left by the hooks that are entered now. */
  pending: PendingReturn[];
}

const hooks = perKernel<State, Linux>(() => ({
  byAddress: new Map(),
  everywhere: [],
  running: new Set(),
  pending: [],
}));

/** Watches a function; false when no function of the kernel begins there. */
export function hookEntry(k: Linux, at: Address, hook: EntryHook): boolean {
  if (k.boundName(at) === undefined) return false;
  const { byAddress } = k.state(hooks);
  byAddress.set(at, [...(byAddress.get(at) ?? []), hook]);
  k.intercepts.set(at, (thread, run) => entered(k, thread, at, run));
  return true;
}

/** Watches every function of the kernel. */
export function hookEverything(k: Linux, hook: EntryHook): void {
  k.state(hooks).everywhere.push(hook);
  k.interceptAll = (thread, at, run) => entered(k, thread, at, run);
}

/** Takes all hooks of an owner back. */
export function unhook(k: Linux, owner: Address): void {
  const state = k.state(hooks);
  for (const [at, all] of [...state.byAddress]) {
    const left = all.filter((hook) => hook.owner !== owner);
    if (left.length === all.length) continue;
    if (left.length > 0) state.byAddress.set(at, left);
    else {
      state.byAddress.delete(at);
      k.intercepts.delete(at);
    }
  }
  state.everywhere = state.everywhere.filter((hook) => hook.owner !== owner);
  if (state.everywhere.length === 0) k.interceptAll = undefined;
}

/** Each owner with the functions it watches; none for one that watches all. */
export function hookedFunctions(k: Linux): Map<Address, Address[]> {
  const found = new Map<Address, Address[]>();
  const { byAddress, everywhere } = k.state(hooks);
  for (const { owner } of everywhere) found.set(owner, []);
  for (const [at, all] of byAddress)
    for (const { owner } of all) found.set(owner, [...(found.get(owner) ?? []), at]);
  return found;
}

/** `enter` of a hook asks to be told when the function has returned. */
export function awaitReturn(k: Linux, hook: EntryHook, instance: Address): void {
  k.state(hooks).pending.push({ hook, instance });
}

function entered(k: Linux, thread: Thread, at: Address, run: () => void): void {
  const { byAddress, everywhere, running } = k.state(hooks);
  const active = [...(byAddress.get(at) ?? []), ...everywhere].filter((hook) => hook.enabled(k));
  if (running.has(thread)) {
    for (const hook of active) hook.missed?.(k);
    run();
    return;
  }
  if (active.length === 0) {
    run();
    return;
  }
  k.scheduler.complete(thread, 'probe', enter(k, thread, active, at), (outcome) => {
    const { moved, pending } = outcome as Entry;
    // The frame lies under the function's own: it goes on when the function has returned.
    if (pending.length > 0) k.scheduler.complete(thread, 'return probe', leave(k, thread, pending), () => {});
    if (!moved) run();
  });
}

interface Entry {
  readonly moved: boolean;
  readonly pending: readonly PendingReturn[];
}

function* enter(k: Linux, thread: Thread, active: readonly EntryHook[], at: Address): Steps<Entry> {
  const state = k.state(hooks);
  const regs = k.heap.allocateZeroed(k.sizeof('pt_regs'));
  saveRegisters(k, regs, at);
  state.running.add(thread);
  state.pending = [];
  let moved = false;
  try {
    for (const hook of active) {
      moved = yield* hook.enter(k, regs, at);
      if (moved) break;
    }
    for (const hook of moved ? [] : active) if (hook.started !== undefined) yield* hook.started(k, regs, at);
  } finally {
    state.running.delete(thread);
  }
  restoreRegisters(k, regs, moved ? k.read('pt_regs.ip', regs) : at);
  k.heap.free(regs);
  const pending = state.pending.reverse();
  state.pending = [];
  if (!moved) return { moved, pending };
  // Where it goes on instead is code of a module, whose return nobody catches here.
  for (const { instance } of pending) k.heap.free(instance);
  return { moved, pending: [] };
}

function* leave(k: Linux, thread: Thread, pending: readonly PendingReturn[]): Steps<void> {
  const state = k.state(hooks);
  const regs = k.heap.allocateZeroed(k.sizeof('pt_regs'));
  const back = k.cpu.rip;
  saveRegisters(k, regs, back);
  state.running.add(thread);
  try {
    for (const { hook, instance } of pending) {
      if (hook.returned !== undefined) yield* hook.returned(k, regs, instance);
      k.heap.free(instance);
    }
  } finally {
    state.running.delete(thread);
  }
  restoreRegisters(k, regs, back);
  k.heap.free(regs);
}

/** pt_regs members by hardware register number. */
const REGISTERS = Array.from({ length: 16 }, (_, n) => registerName(n, 8).replace(/^r(?=\D)/, ''));

const registersOf = (k: Linux): readonly string[] => (k.arch.bits === 64 ? REGISTERS : REGISTERS.slice(0, 8));

function saveRegisters(k: Linux, regs: Address, at: Address): void {
  for (const [number, name] of registersOf(k).entries()) {
    const place = regs + k.offset(`pt_regs.${name}`);
    if (k.arch.bits === 64) k.memory.setU64(place, k.cpu.gprBig(number));
    else k.memory.set32(place, k.cpu.gpr(number));
  }
  k.write('pt_regs.ip', regs, at);
  k.write('pt_regs.flags', regs, Number(k.cpu.rflags));
  k.write('pt_regs.orig_ax', regs, -1);
  k.write('pt_regs.cs', regs, 0x10);
}

/** A hook may have changed any register. */
function restoreRegisters(k: Linux, regs: Address, ip: Address): void {
  for (const [number, name] of registersOf(k).entries()) {
    const place = regs + k.offset(`pt_regs.${name}`);
    k.cpu.setGprBig(number, k.arch.bits === 64 ? k.memory.u64(place) : BigInt(k.memory.u32(place)));
  }
  k.cpu.rip = ip;
}
