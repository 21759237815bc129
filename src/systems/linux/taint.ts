/**
 * The taint mask (Documentation/admin-guide/tainted-kernels.rst, kernel/panic.c) and what is said about modules in
 * oopses, warnings and /proc/modules.
 */
import { perKernel } from '../../kernel/kernel.ts';
import { type Address, GuestFault } from '../../memory/space.ts';
import type { Linux } from './linux.ts';
import { ModuleState } from './module.ts';
import { moduleList } from './module-list.ts';

export { TAINT } from './taint-bits.ts';

/** By bit number; a kernel that is not proprietary shows G in the first place. */
const LETTERS = 'PFSRMBUDAWCIOELKXTN';
/** Bits that may be set on a single module. */
const MODULE_LETTERS = new Set([0, 1, 10, 12, 13, 15, 16, 17, 18]);

const state = perKernel(() => ({ lockDebugging: true, lastUnloaded: '' }));

export function tainted(k: Linux, bit: number): boolean {
  return (k.taint & (1 << bit)) !== 0;
}

/** add_taint: `lockdepUnreliable` ends lock debugging, which the kernel mentions once. */
export function taintKernel(k: Linux, bit: number, lockdepUnreliable = false): void {
  const own = k.state(state);
  if (lockdepUnreliable && own.lockDebugging) {
    own.lockDebugging = false;
    k.printk(4, 'Disabling lock debugging due to kernel taint');
  }
  k.taint |= 1 << bit;
}

/** An oops ends lock debugging without a word (debug_locks_off, lib/debug_locks.c). */
export function lockDebuggingOff(k: Linux): void {
  k.state(state).lockDebugging = false;
}

/** What a failed load that must leave no trace puts back. */
export function taintSnapshot(k: Linux): () => void {
  const own = k.state(state);
  const { lockDebugging, lastUnloaded } = own;
  const mask = k.taint;
  return () => {
    own.lockDebugging = lockDebugging;
    own.lastUnloaded = lastUnloaded;
    k.taint = mask;
  };
}

/** print_tainted: `Not tainted`, or `Tainted: ` and a letter or a blank for every bit. */
export function taintText(k: Linux): string {
  if (k.taint === 0) return 'Not tainted';
  const letters = [...LETTERS].map((letter, bit) => (tainted(k, bit) ? letter : bit === 0 ? 'G' : ' '));
  return `Tainted: ${letters.join('')}`;
}

/** Letters of a module's own taints, in bit order. */
export function moduleTaintLetters(taints: number): string {
  return [...LETTERS].filter((_, bit) => MODULE_LETTERS.has(bit) && (taints & (1 << bit)) !== 0).join('');
}

/** module_flags: `(OE+)`, or nothing for a live module without taints. */
export function moduleFlags(k: Linux, module: Address): string {
  const taints = k.read('module.taints', module);
  const current = k.read('module.state', module);
  const moving = current === ModuleState.GOING ? '-' : current === ModuleState.COMING ? '+' : '';
  if (taints === 0 && moving === '') return '';
  return `(${moduleTaintLetters(taints)}${moving})`;
}

/** The text behind `Modules linked in:` (print_modules), newest module first. */
export function modulesLinkedIn(k: Linux): string {
  let text = '';
  try {
    for (const module of moduleList(k)) {
      if (k.read('module.state', module) === ModuleState.UNFORMED) continue;
      text += ` ${k.readString('module.name', module)}${moduleFlags(k, module)}`;
    }
  } catch (error) {
    // A module may have written over the list; a report about it must not fail because of that.
    if (!(error instanceof GuestFault)) throw error;
  }
  const { lastUnloaded } = k.state(state);
  return lastUnloaded === '' ? text : `${text} [last unloaded: ${lastUnloaded}]`;
}

/** Remembers the module that was unloaded last, with its taints, as oopses show it. */
export function rememberUnloaded(k: Linux, module: Address): void {
  const letters = moduleTaintLetters(k.read('module.taints', module));
  const name = k.readString('module.name', module);
  k.state(state).lastUnloaded = letters === '' ? name : `${name}(${letters})`;
}
