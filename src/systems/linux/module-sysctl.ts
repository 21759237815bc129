/** kernel.modules_disabled: a switch that can only be turned on (kernel/module/main.c); a command line can start with it on. */
import { perKernel } from '../../kernel/kernel.ts';
import type { Linux } from './linux.ts';
import { disabledFromStart } from './rules/caller.ts';

const state = perKernel((k: Linux) => ({
  disabled: disabledFromStart(k.commandLine, k.file.rules),
}));

export function modulesDisabled(k: Linux): boolean {
  return k.state(state).disabled;
}

/** False when the value is refused: proc_dointvec_minmax takes 1 only. */
export function setModulesDisabled(k: Linux, value: number): boolean {
  if (value !== 1) return false;
  k.state(state).disabled = true;
  return true;
}
