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
import type { Address } from '../../memory/space.ts';
import type { DataSymbol } from './data.ts';
import { atomics } from './functions/atomics.ts';
import { blockCalls } from './functions/block-calls.ts';
import { messages } from './functions/cmn-err.ts';
import { cpus } from './functions/cpus.ts';
import { ctf } from './functions/ctf.ts';
import { ddi } from './functions/ddi.ts';
import { devmap } from './functions/devmap.ts';
import { dma } from './functions/dma.ts';
import { faultManagement } from './functions/fault-management.ts';
import { gld } from './functions/gld.ts';
import { hashTables } from './functions/hashes.ts';
import { hostAdapters } from './functions/host-adapters.ts';
import { interrupts } from './functions/interrupts.ts';
import { memory } from './functions/kmem.ts';
import { kstats } from './functions/kstat.ts';
import { layered } from './functions/ldi.ts';
import { linkages } from './functions/linkages.ts';
import { lists } from './functions/lists.ts';
import { locks } from './functions/locks.ts';
import { mac } from './functions/mac.ts';
import { misc } from './functions/misc.ts';
import { LINKAGE_OPERATIONS, moduleCalls } from './functions/module-calls.ts';
import { networkNames } from './functions/network-names.ts';
import { numbers } from './functions/numbers.ts';
import { olderProperties } from './functions/properties.ts';
import { registers } from './functions/registers.ts';
import { registrations } from './functions/registrations.ts';
import { services } from './functions/services.ts';
import { streamCalls } from './functions/stream-calls.ts';
import { createQueue, taskqs } from './functions/taskq.ts';
import { timers } from './functions/time.ts';
import { trees } from './functions/trees.ts';
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
  ...registers,
  dma,
  devmap,
  blockCalls,
  interrupts,
  gld,
  mac,
  networkNames,
  streamCalls,
  vfsCalls,
  atomics,
  lists,
  trees,
  hashTables,
  numbers,
  olderProperties,
  faultManagement,
  hostAdapters,
  services,
  registrations,
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

/** A variable of a pointer's width. */
const word = (name: string, value: number): DataSymbol => ({
  name,
  bytes: 8,
  fill: (k, at) => k.memory.setPtr(at, value),
});

/** One stretch of memory from 0 on: struct memlist of sys/memlist.h is address, size, next, previous. */
function installMemlist(k: Solaris, at: Address): void {
  const list = k.heap.take(16 + 2 * k.word);
  k.memory.setU64(list + 8, BigInt(k.memory.frames.total) * 4096n);
  k.memory.setPtr(at, list);
}

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

const magic = (name: string, text: string): DataSymbol => ({
  name,
  bytes: text.length + 1,
  fill: (k, at) => k.memory.write(at, new TextEncoder().encode(text)),
});

/** Pointers and switches of a booted kernel that nothing has set yet. */
const HOOKS = [
  'dtrace_fasttrap_fork_ptr',
  'dtrace_fasttrap_exec_ptr',
  'dtrace_fasttrap_exit_ptr',
  'dtrace_pid_probe_ptr',
  'dtrace_return_probe_ptr',
  'lockstat_probe',
  'panicstr',
  'audit_active',
  'sys_labeling',
  'cpucaps_enabled',
  'sys_shutdown',
  'quiesce_active',
];

export const solarisData: readonly DataSymbol[] = [
  ...modOps,
  lock('cpu_lock'),
  lock('mod_lock'),
  lock('tod_lock'),
  lock('pidlock'),
  opaque('p0', 4096),
  opaque('kas', 1024),
  opaque('heap_arena', 8),
  opaque('heaptext_arena', 8),
  // An array of pointers by processor number.
  { name: 'cpu', bytes: 512, fill: (k, at) => k.memory.setPtr(at, k.threads.cpu) },
  // NCPU - 1 (sys/cpuvar.h).
  { name: 'max_cpuid', bytes: 4, fill: (k, at) => k.memory.set32(at, k.bits === 64 ? 255 : 31) },
  // PAGESIZE, PAGESHIFT and PAGEOFFSET of modules that do not know the machine (sys/param.h).
  word('_pagesize', 4096),
  word('_pageshift', 12),
  word('_pageoffset', 4095),
  word('_pagemask', -4096),
  // The host's number in decimal digits; this machine has none.
  { name: 'hw_serial', bytes: 11, fill: (k, at) => k.memory.write(at, new TextEncoder().encode('0')) },
  // A timestruc_t.
  { name: 'hrestime', bytes: 16 },
  { name: 'phys_install', bytes: 8, fill: installMemlist },
  int('minclsyspri', 60),
  int('maxclsyspri', 99),
  { name: 'physmax', bytes: 8, fill: (k, at) => k.memory.setPtr(at, k.memory.frames.total - 1) },
  // What programs begin with (common/os/exec.c).
  magic('elfmagic', '\x7fELF'),
  magic('elf32magicstr', '\x7fELF\x01'),
  magic('elf64magicstr', '\x7fELF\x02'),
  magic('intpmagicstr', '#!'),
  magic('javamagicstr', 'PK\x03\x04'),
  // Set by modules when they are there, and empty before (sys/dtrace.h, sys/lockstat.h, sys/panic.h).
  ...HOOKS.map((name) => word(name, 0)),
  { name: 'system_taskq', bytes: 8, fill: (k, at) => k.memory.setPtr(at, createQueue(k, 'system_taskq', 4)) },
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
