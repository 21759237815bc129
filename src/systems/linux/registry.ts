/** Every subsystem's kernel functions and data, in one place: the only list of them. */
import { type FunctionTable, joinTables } from '../../kernel/functions.ts';
import { memoryData, pageFunctions, percpuFunctions, vmallocFunctions } from './functions/page-functions.ts';
import { devicePrintk, hexDump, printk, printkData } from './functions/printk.ts';
import { cacheFunctions, printfFunctions, slabData, slabFunctions } from './functions/slab-functions.ts';
import { paravirtual, thunks } from './functions/thunks.ts';
import { usercopy } from './functions/usercopy.ts';
import { chrdevFunctions } from './functions/chrdev.ts';
import { dcacheFunctions } from './functions/dcache.ts';
import { deviceFunctions } from './functions/device.ts';
import { kobjectData, kobjectFunctions } from './functions/kobject.ts';
import { kprobeFunctions } from './functions/kprobes.ts';
import { libfsData, libfsFunctions } from './functions/libfs.ts';
import { procfsFunctions } from './functions/procfs.ts';
import { seqFileFunctions } from './functions/seqfile.ts';
import { syscallFunctions } from './syscall.ts';
import { readdirFunctions } from './vfs/readdir.ts';
import { paramData, paramFunctions } from './functions/params.ts';
import { staticKeyFunctions } from './functions/static-keys.ts';
import type { DataInitialiser, Linux } from './linux.ts';

export const linuxFunctions: FunctionTable<Linux> = joinTables<Linux>([
  cacheFunctions,
  chrdevFunctions,
  dcacheFunctions,
  deviceFunctions,
  kobjectFunctions,
  kprobeFunctions,
  libfsFunctions,
  procfsFunctions,
  readdirFunctions,
  seqFileFunctions,
  syscallFunctions,
  devicePrintk,
  hexDump,
  pageFunctions,
  paramFunctions,
  percpuFunctions,
  printfFunctions,
  printk,
  slabFunctions,
  staticKeyFunctions,
  usercopy,
  vmallocFunctions,
]);

export const linuxData: readonly DataInitialiser[] = [
  ...kobjectData,
  ...libfsData,
  ...memoryData,
  ...paramData,
  ...paravirtual,
  ...printkData,
  ...slabData,
  ...thunks,
];
