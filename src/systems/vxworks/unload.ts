/**
 * unldByModuleId: destructors, then the module's names, then its memory. It refuses only where a task hook points into
 * the text; tasks that still run there are the caller's business, and so are pointers that others keep.
 */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/address.ts';
import { ERRNO } from './errno.ts';
import { UNLD } from './load-flags.ts';
import type { VxModule } from './module.ts';
import type { VxWorks } from './vxworks.ts';

/** Somebody who will be surprised: our own finding, the system does not look. */
export interface Dangling {
  readonly who: string;
  readonly why: string;
}

/** Unloads; gives an errno when it refuses, 0 when the module is gone. */
export function* unloadModule(k: VxWorks, module: VxModule, options: number): Steps<number> {
  if ((options & UNLD.FORCE) === 0 && hookInText(k, module) !== undefined) return ERRNO.S_unldLib_TEXT_IN_USE;
  const automatic = (options & UNLD.CPLUS_XTOR_AUTO) !== 0 || k.automaticConstructors;
  if (automatic && (options & UNLD.CPLUS_XTOR_MANUAL) === 0)
    for (const destructor of module.destructors) yield* k.call(destructor);
  release(k, module);
  return 0;
}

function release(k: VxWorks, module: VxModule): void {
  k.sysSymTbl.removeGroup(module.group);
  module.forget();
  k.modules.remove(module);
  for (const { address, bytes } of Object.values(module.segments)) {
    if (bytes === 0 || k.pool.free(address) === undefined) continue;
    // What is freed is used again sooner or later; filling it makes a stale call fail at once, and the same each time.
    k.memory.fill(address, bytes, FREED);
  }
  k.pool.free(module.id);
}

/** An undefined instruction in every position (ud0 is not: 0xee is `out`, so a run of 0xff decodes to nothing). */
const FREED = 0xff;

/** The hook that keeps the module in memory. */
export function hookInText(k: VxWorks, module: VxModule): string | undefined {
  for (const { kind, routine } of k.hooks) {
    if (inText(module, routine)) return `the ${kind} hook ${k.describe(routine)}`;
  }
  return undefined;
}

function inText({ segments: { text } }: VxModule, address: Address): boolean {
  return address >= text.address && address < text.address + text.bytes;
}

/** Who still points into the module: tasks that execute it, modules linked with it, drivers, watchdogs, hooks. */
export function danglingOf(k: VxWorks, module: VxModule): Dangling[] {
  const found: Dangling[] = [];
  for (const task of k.tasks) {
    if (task.thread.state === 'dead') continue;
    if (inText(module, task.entry))
      found.push({ who: `task ${task.name}`, why: `runs ${k.describe(task.entry)}` });
  }
  for (const other of k.modules) {
    const names = other === module ? undefined : other.uses.get(module.group);
    if (names !== undefined)
      found.push({ who: `module ${other.name}`, why: `was linked with ${names.join(', ')}` });
  }
  for (const { kind, routine } of k.hooks) {
    if (inText(module, routine)) found.push({ who: `${kind} hook`, why: `is ${k.describe(routine)}` });
  }
  for (const pointer of k.pointers()) {
    const { what, which, address } = pointer;
    if (inText(module, address))
      found.push({ who: `${what} ${which}`.trimEnd(), why: `calls ${k.describe(address)}` });
  }
  return found;
}
