/** Who is told when a module changes its state: the guest's own chain (functions/notifiers.ts) and hooks of ours. */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import { callChain, callRobust, moduleChain } from './functions/notifiers.ts';
import type { Linux } from './linux.ts';
import type { LinuxModule } from './module.ts';

/** NOTIFY_OK and NOTIFY_STOP_MASK (include/linux/notifier.h). */
const NOTIFY_OK = 1;
const NOTIFY_STOP_MASK = 0x8000;

/** For parts of the base kernel that follow modules coming and going, as tracepoints and live patches do; cannot veto. */
export type ModuleHook = (k: Linux, module: LinuxModule, state: number) => Steps<void>;

/** Hooks in the order they are called, before the guest's chain. */
export const moduleHooks = perKernel(() => ({ hooks: [] as ModuleHook[] }));

/** notifier_to_errno: 0, or a positive errno. */
function errnoOf(result: number): number {
  const code = result & ~NOTIFY_STOP_MASK;
  return code > NOTIFY_OK ? code - NOTIFY_OK : 0;
}

/** Tells everybody of the module's new state. */
export function* notifyModule(k: Linux, module: LinuxModule, state: number): Steps<void> {
  for (const hook of [...k.state(moduleHooks).hooks]) yield* hook(k, module, state);
  yield* callChain(k, k.state(moduleChain), state, module.control);
}

/** Tells everybody; when one objects, those told before are told `back`. Gives a positive errno, or 0. */
export function* notifyRobust(k: Linux, module: LinuxModule, state: number, back: number): Steps<number> {
  const { hooks } = k.state(moduleHooks);
  for (const hook of [...hooks]) yield* hook(k, module, state);
  const errno = errnoOf(yield* callRobust(k, k.state(moduleChain), state, back, module.control));
  if (errno !== 0) for (const hook of [...hooks]) yield* hook(k, module, back);
  return errno;
}
