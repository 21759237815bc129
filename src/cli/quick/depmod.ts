import { depmod } from '../../tools/linux/kmod/depmod.ts';
import { quick } from './quick.ts';
import { tuneForShortRun } from './short-run.ts';

tuneForShortRun();

export const run = quick('depmod', depmod);
