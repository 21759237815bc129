/** The end of the system (kern_reboot of sys/kern/kern_shutdown.c): event handlers, then MOD_SHUTDOWN to every module. */
import type { Steps } from '../../kernel/steps.ts';
import type { Booted } from './boot.ts';
import { invokeEvent } from './functions/modules.ts';
import { elements } from './lists.ts';
import { MOD } from './modules.ts';

/** RB_POWEROFF of sys/reboot.h: what shutdown -p asks for. */
const POWER_OFF = 0x4000;

/** Modules are told in reverse of the order they were registered in (module_shutdown of kern_module.c). */
export function* shutDown({ k, linker }: Booted): Steps<void> {
  for (const list of ['shutdown_pre_sync', 'shutdown_post_sync']) yield* invokeEvent(k, list, POWER_OFF);
  k.printf(`Uptime: ${uptime(k.time.now())}\n`);
  for (const module of elements(k, linker.registry.all).reverse())
    yield* linker.registry.event(module, MOD.SHUTDOWN);
  yield* invokeEvent(k, 'shutdown_final', POWER_OFF);
}

/** print_uptime: days, hours and minutes only where there are any. */
function uptime(ns: number): string {
  const seconds = 1 + Math.floor(ns / 1e9);
  const parts = [
    [86400, 'd'],
    [3600, 'h'],
    [60, 'm'],
  ] as const;
  let text = '';
  let rest = seconds;
  for (const [unit, letter] of parts) {
    if (rest >= unit || text !== '') text += `${Math.floor(rest / unit)}${letter}`;
    rest %= unit;
  }
  return `${text}${rest}s`;
}
