/** All functions of the VxWorks kernel, by name; and how one is started. */
import { cLibrary } from '../../kernel/clib.ts';
import { type FunctionTable, joinTables } from '../../kernel/functions.ts';
import { clockFunctions } from './functions/clocks.ts';
import { eventFunctions } from './functions/events.ts';
import { ioFunctions } from './functions/io.ts';
import { libraryFunctions } from './functions/library.ts';
import { listFunctions } from './functions/lists.ts';
import { memoryPartition } from './functions/memory.ts';
import { messageFunctions } from './functions/messages.ts';
import { moduleFunctions } from './functions/modules.ts';
import { printingFunctions } from './functions/printing.ts';
import { semaphoreFunctions } from './functions/semaphores.ts';
import { taskFunctions } from './functions/tasks.ts';
import { interruptFunctions, watchdogFunctions } from './functions/watchdogs.ts';
import { VxWorks, type VxWorksOptions } from './vxworks.ts';

export const vxWorksFunctions: FunctionTable<VxWorks> = joinTables<VxWorks>([
  ...cLibrary,
  clockFunctions,
  eventFunctions,
  interruptFunctions,
  ioFunctions,
  libraryFunctions,
  listFunctions,
  memoryPartition,
  messageFunctions,
  moduleFunctions,
  printingFunctions,
  semaphoreFunctions,
  taskFunctions,
  watchdogFunctions,
]);

export function bootVxWorks(options: Omit<VxWorksOptions, 'functions'>): VxWorks {
  return new VxWorks({ ...options, functions: vxWorksFunctions });
}
