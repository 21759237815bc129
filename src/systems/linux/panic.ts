/** Panics: the machine stops, and nothing runs any more (kernel/panic.c). */
import { perKernel } from '../../kernel/kernel.ts';
import type { Linux } from './linux.ts';

const state = perKernel<{ reason: string | undefined }>(() => ({ reason: undefined }));

/** Why the kernel panicked; undefined while it lives. */
export function panicReason(k: Linux): string | undefined {
  return k.state(state).reason;
}

/** Writes the panic's lines; `report` comes between the first and the last ones (a backtrace). */
export function panicNow(k: Linux, reason: string, report: () => void = () => undefined): void {
  k.printk(0, `Kernel panic - not syncing: ${reason}`);
  report();
  k.printk(0, 'Kernel Offset: disabled');
  k.printk(0, `---[ end Kernel panic - not syncing: ${reason} ]---`);
  k.state(state).reason = reason;
}

/** `oops=panic` or `panic_on_oops=1` on the command line (Documentation/admin-guide/kernel-parameters.txt). */
export function panicsOnOops(k: Linux): boolean {
  return /(^|\s)(oops=panic|panic_on_oops=1)(\s|$)/.test(k.commandLine);
}
