/** Every subsystem's kernel functions, in one place: the only list of them. */
import {
  characterFunctions,
  memoryFunctions,
  numberFunctions,
  sortFunctions,
  stringFunctions,
} from '../../kernel/clib.ts';
import { type FunctionTable, joinTables } from '../../kernel/functions.ts';
import type { FreeBsd } from './freebsd.ts';
import { builtIn, wireless } from './functions/built-in.ts';
import { busFunctions, configHooks, firmwareFunctions } from './functions/bus.ts';
import { deviceChildren } from './functions/children.ts';
import { clocks, rootHolds } from './functions/clocks.ts';
import { deviceFunctions } from './functions/devices.ts';
import { epochs } from './functions/epochs.ts';
import { networkInterfaces } from './functions/interfaces.ts';
import { softwareInterrupts } from './functions/interrupts.ts';
import { lockManager } from './functions/lockmgr.ts';
import { condvars, mutexes, rmLocks, rwLocks, sxLocks, threadLocks } from './functions/locks.ts';
import { md5 } from './functions/md5.ts';
import { environment, memory, uma } from './functions/memory.ts';
import { moduleCalls, notifications, systemCalls } from './functions/modules.ts';
import { frameworks, objectData, protocols, standards, vnets } from './functions/network.ts';
import { nvlists } from './functions/nvlists.ts';
import { output } from './functions/output.ts';
import { counters, deviceMemory, processors } from './functions/processor.ts';
import { cloners, interfaceKinds, registrationFunctions } from './functions/registrations.ts';
import { sbufs } from './functions/sbuf.ts';
import { semaphores } from './functions/semaphores.ts';
import { callouts, sleeping } from './functions/sleep.ts';
import { sleepQueues } from './functions/sleepq.ts';
import { atomics, strings } from './functions/strings.ts';
import { sysctls } from './functions/sysctl.ts';
import { kernelProcesses, taskqueues, unitNumbers } from './functions/tasks.ts';
import { vnodeFunctions } from './functions/vnodes.ts';

export const freebsdFunctions: FunctionTable<FreeBsd> = joinTables<FreeBsd>([
  memoryFunctions,
  stringFunctions,
  characterFunctions,
  numberFunctions,
  sortFunctions,
  atomics,
  busFunctions,
  configHooks,
  callouts,
  condvars,
  deviceFunctions,
  environment,
  firmwareFunctions,
  memory,
  moduleCalls,
  mutexes,
  output,
  rmLocks,
  rwLocks,
  semaphores,
  sleeping,
  strings,
  sxLocks,
  sysctls,
  systemCalls,
  uma,
  cloners,
  interfaceKinds,
  registrationFunctions,
  kernelProcesses,
  taskqueues,
  unitNumbers,
  vnodeFunctions,
  vnets,
  protocols,
  objectData,
  frameworks,
  processors,
  counters,
  deviceMemory,
  sbufs,
  threadLocks,
  clocks,
  rootHolds,
  softwareInterrupts,
  epochs,
  standards,
  deviceChildren,
  lockManager,
  md5,
  notifications,
  nvlists,
  networkInterfaces,
  builtIn,
  wireless,
  sleepQueues,
]);
