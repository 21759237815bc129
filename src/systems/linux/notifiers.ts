/**
 * The module notifier chain. The chain of registered blocks is in guest memory; whoever writes
 * register_module_notifier adds a hook here that walks it.
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Linux } from './linux.ts';
import type { LinuxModule } from './module.ts';

/** Return values of a notifier (include/linux/notifier.h). */
export const NOTIFY_OK = 1;
const NOTIFY_STOP_MASK = 0x8000;

/** Called with a new module state; gives what a notifier returns (NOTIFY_DONE 0, NOTIFY_OK 1, or an error). */
export type ModuleHook = (k: Linux, module: LinuxModule, state: number) => Steps<number>;

/** Hooks in the order they are called. */
export const moduleHooks = perKernel(() => ({ hooks: [] as ModuleHook[] }));

/** notifier_to_errno: 0, or a positive errno. */
function errnoOf(result: number): number {
  const code = result & ~NOTIFY_STOP_MASK;
  return code > NOTIFY_OK ? code - NOTIFY_OK : 0;
}

/** Tells every hook; stops at the first that says so. Gives a positive errno, or 0. */
export function* notifyModule(k: Linux, module: LinuxModule, state: number): Steps<number> {
  let result = 0;
  for (const hook of [...k.state(moduleHooks).hooks]) {
    result = yield* hook(k, module, state);
    if ((result & NOTIFY_STOP_MASK) !== 0) break;
  }
  return errnoOf(result);
}

/** blocking_notifier_call_chain_robust: when one objects, those told before are told `back`. */
export function* notifyRobust(k: Linux, module: LinuxModule, state: number, back: number): Steps<number> {
  const told: ModuleHook[] = [];
  for (const hook of [...k.state(moduleHooks).hooks]) {
    const result = yield* hook(k, module, state);
    if (errnoOf(result) !== 0 && (result & NOTIFY_STOP_MASK) !== 0) {
      for (const earlier of told) yield* earlier(k, module, back);
      return errnoOf(result);
    }
    told.push(hook);
    if ((result & NOTIFY_STOP_MASK) !== 0) break;
  }
  return 0;
}
