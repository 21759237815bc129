/** All kernel functions and exported variables of the Solaris base kernel. */
import {
  characterFunctions,
  memoryFunctions,
  numberFunctions,
  printFunctions,
  sortFunctions,
  stringFunctions,
} from '../../kernel/clib.ts';
import { type FunctionTable, joinTables } from '../../kernel/functions.ts';
import type { DataSymbol } from './data.ts';
import { messages } from './functions/cmn-err.ts';
import { cpus } from './functions/cpus.ts';
import { ctf } from './functions/ctf.ts';
import { ddi } from './functions/ddi.ts';
import { memory } from './functions/kmem.ts';
import { kstats } from './functions/kstat.ts';
import { layered } from './functions/ldi.ts';
import { linkages } from './functions/linkages.ts';
import { locks } from './functions/locks.ts';
import { misc } from './functions/misc.ts';
import { LINKAGE_OPERATIONS, moduleCalls } from './functions/module-calls.ts';
import { streamCalls } from './functions/stream-calls.ts';
import { taskqs } from './functions/taskq.ts';
import { timers } from './functions/time.ts';
import { vfsCalls } from './functions/vfs-calls.ts';
import type { Solaris } from './solaris.ts';

export const solarisFunctions: FunctionTable<Solaris> = joinTables<Solaris>([
  messages,
  memory,
  locks,
  timers,
  taskqs,
  moduleCalls,
  linkages,
  layered,
  kstats,
  ctf,
  cpus,
  ddi,
  streamCalls,
  vfsCalls,
  misc,
  memoryFunctions,
  stringFunctions,
  characterFunctions,
  numberFunctions,
  printFunctions,
  sortFunctions,
]);

/** A variable of four bytes. */
const int = (name: string, value = 0): DataSymbol => ({
  name,
  bytes: 4,
  fill: (k, at) => k.memory.set32(at, value),
});

const modOps = Object.entries(LINKAGE_OPERATIONS).map(
  ([name, operations]): DataSymbol => ({
    name,
    bytes: (k) => k.sizeof('mod_ops'),
    fill: (k, at) => {
      for (const [i, one] of operations.entries())
        k.memory.setPtr(at + i * k.word, k.functionGates.address(one) ?? 0);
    },
  }),
);

/** A lock that is free. */
const lock = (name: string): DataSymbol => ({ name, bytes: 8 });

/** A structure that modules only hand to functions: its address counts, nothing in it. */
const opaque = (name: string, bytes: number): DataSymbol => ({ name, bytes });

export const solarisData: readonly DataSymbol[] = [
  ...modOps,
  lock('cpu_lock'),
  lock('mod_lock'),
  lock('tod_lock'),
  opaque('p0', 4096),
  opaque('kas', 1024),
  opaque('heap_arena', 8),
  opaque('heaptext_arena', 8),
  // An array of pointers by processor number.
  { name: 'cpu', bytes: 512, fill: (k, at) => k.memory.setPtr(at, k.threads.cpu) },
  // NCPU - 1 (sys/cpuvar.h).
  { name: 'max_cpuid', bytes: 4, fill: (k, at) => k.memory.set32(at, k.bits === 64 ? 255 : 31) },
  int('minclsyspri', 60),
  int('maxclsyspri', 99),
  { name: 'physmax', bytes: 8, fill: (k, at) => k.memory.setPtr(at, k.memory.frames.total - 1) },
  int('moddebug'),
  int('mod_uninstall_interval'),
  int('modunload_disable_count'),
  int('hz', 100),
  int('ncpus', 1),
  int('max_ncpus', 1),
  int('maxusers', 64),
  int('kobj_map_space_len', 0x100000),
  int('boothowto'),
  int('nsec_per_tick', 10_000_000),
  int('usec_per_tick', 10_000),
  {
    name: 'kcred',
    bytes: 8,
    fill: (k, at) => k.memory.setPtr(at, k.threads.kernelCredential),
  },
  { name: 'physmem', bytes: 8, fill: (k, at) => k.memory.setPtr(at, k.memory.frames.total) },
  { name: 'kernelbase', bytes: 8, fill: (k, at) => k.memory.setPtr(at, k.map.kernelBase) },
];
