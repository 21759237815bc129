import { modinfoTool } from '../../tools/linux/kmod/modinfo-tool.ts';
import { quick } from './quick.ts';
import { tuneForShortRun } from './short-run.ts';

tuneForShortRun();

export const run = quick('modinfo', modinfoTool);
