import { depmod } from '../../tools/linux/kmod/depmod.ts';
import { quick } from './quick.ts';

// A run is over before optimising on further threads pays: they take processors from the two that read modules
// (measured: a fifth of the processor time).
process.getBuiltinModule('node:v8').setFlagsFromString('--no-concurrent-recompilation');

export const run = quick('depmod', depmod);
