/** Every subsystem's kernel functions and data, in one place: the only list of them. */
import { type FunctionTable, joinTables } from '../../kernel/functions.ts';
import { memoryData, pageFunctions, percpuFunctions, vmallocFunctions } from './functions/page-functions.ts';
import { devicePrintk, hexDump, printk, printkData } from './functions/printk.ts';
import { cacheFunctions, printfFunctions, slabData, slabFunctions } from './functions/slab-functions.ts';
import { paravirtual, thunks } from './functions/thunks.ts';
import { usercopy } from './functions/usercopy.ts';
import type { DataInitialiser, Linux } from './linux.ts';

export const linuxFunctions: FunctionTable<Linux> = joinTables<Linux>([
  cacheFunctions,
  devicePrintk,
  hexDump,
  pageFunctions,
  percpuFunctions,
  printfFunctions,
  printk,
  slabFunctions,
  usercopy,
  vmallocFunctions,
]);

export const linuxData: readonly DataInitialiser[] = [
  ...memoryData,
  ...paravirtual,
  ...printkData,
  ...slabData,
  ...thunks,
];
