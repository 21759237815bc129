import { modinfoTool } from '../../tools/linux/kmod/modinfo-tool.ts';
import { quick } from './quick.ts';

export const run = quick('modinfo', modinfoTool);
