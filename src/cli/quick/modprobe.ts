import { modprobe } from '../../tools/linux/kmod/modprobe.ts';
import { quick } from './quick.ts';

export const run = quick('modprobe', modprobe);
