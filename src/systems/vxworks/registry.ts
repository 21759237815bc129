/** All functions of the VxWorks kernel, by name; and how one is started. */
import { cLibrary, rememberingFunctions } from '../../kernel/clib.ts';
import { type FunctionTable, joinTables } from '../../kernel/functions.ts';
import { mathFunctions } from '../../kernel/math.ts';
import { atomicFunctions, boardFunctions } from './functions/board.ts';
import { clockFunctions } from './functions/clocks.ts';
import { eventFunctions } from './functions/events.ts';
import { ioFunctions } from './functions/io.ts';
import { libraryFunctions } from './functions/library.ts';
import { listFunctions } from './functions/lists.ts';
import { memoryPartition } from './functions/memory.ts';
import { messageFunctions } from './functions/messages.ts';
import { moduleFunctions } from './functions/modules.ts';
import { environmentFunctions, partitionFunctions } from './functions/partitions.ts';
import { pipeFunctions } from './functions/pipes.ts';
import { printingFunctions } from './functions/printing.ts';
import { ringFunctions } from './functions/rings.ts';
import { runtimeFunctions } from './functions/runtime.ts';
import { selectFunctions } from './functions/select.ts';
import { semaphoreFunctions } from './functions/semaphores.ts';
import { addressFunctions, socketFunctions } from './functions/sockets.ts';
import { streamFunctions } from './functions/streams.ts';
import { taskFunctions } from './functions/tasks.ts';
import { interruptFunctions, watchdogFunctions } from './functions/watchdogs.ts';
import { VxWorks, type VxWorksOptions } from './vxworks.ts';

export const vxWorksFunctions: FunctionTable<VxWorks> = joinTables<VxWorks>([
  ...cLibrary,
  rememberingFunctions,
  mathFunctions,
  atomicFunctions,
  boardFunctions,
  clockFunctions,
  eventFunctions,
  interruptFunctions,
  ioFunctions,
  libraryFunctions,
  listFunctions,
  memoryPartition,
  messageFunctions,
  moduleFunctions,
  environmentFunctions,
  partitionFunctions,
  pipeFunctions,
  printingFunctions,
  ringFunctions,
  runtimeFunctions,
  selectFunctions,
  semaphoreFunctions,
  addressFunctions,
  socketFunctions,
  streamFunctions,
  taskFunctions,
  watchdogFunctions,
]);

export function bootVxWorks(options: Omit<VxWorksOptions, 'functions'>): VxWorks {
  return new VxWorks({ ...options, functions: vxWorksFunctions });
}
