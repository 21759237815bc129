/** Every subsystem's kernel functions and objects, in one place: the only list of them. */
import { cLibrary } from '../../kernel/clib.ts';
import { type FunctionTable, joinTables } from '../../kernel/functions.ts';
import type { Address } from '../../memory/space.ts';
import { atomics } from './functions/atomic.ts';
import { kernelControls } from './functions/bsd/control.ts';
import { mbufs } from './functions/bsd/mbuf.ts';
import { filters, interfaces, protocols } from './functions/bsd/network.ts';
import { kauth, policies } from './functions/bsd/security.ts';
import { vfsData, vfsFunctions } from './functions/bsd/vfs.ts';
import { vnodeFunctions } from './functions/bsd/vnode.ts';
import { deviceFunctions } from './functions/devices.ts';
import { firmwareData, firmwareFunctions } from './functions/firmware.ts';
import { iokitData } from './functions/iokit/data.ts';
import { entryFunctions } from './functions/iokit/entry.ts';
import { registryIterators } from './functions/iokit/iterator.ts';
import { memoryBuffers, memoryDescriptors, memoryMaps } from './functions/iokit/memory.ts';
import { nvram } from './functions/iokit/nvram.ts';
import { powerManagement } from './functions/iokit/power.ts';
import { serviceFunctions, serviceMatching } from './functions/iokit/service.ts';
import { userClients } from './functions/iokit/userclient.ts';
import { eventSources, workLoops } from './functions/iokit/workloop.ts';
import { arrays, dictionaries, iterators, sets } from './functions/libkern/collections.ts';
import { objectFunctions } from './functions/libkern/object.ts';
import { orderedSets } from './functions/libkern/ordered-set.ts';
import { serializers } from './functions/libkern/serialize.ts';
import { data, numbers, strings } from './functions/libkern/values.ts';
import { locks } from './functions/locks.ts';
import { logging } from './functions/log.ts';
import { machFunctions } from './functions/mach.ts';
import { machineData, machineFunctions } from './functions/machine.ts';
import { allocation } from './functions/memory.ts';
import { miscellany } from './functions/misc.ts';
import { clocks, processes } from './functions/process.ts';
import { sysctlData, sysctlFunctions } from './functions/sysctl.ts';
import { texts } from './functions/text.ts';
import { threadFunctions } from './functions/threads.ts';
import { transfers } from './functions/uio.ts';
import type { DataSymbol, Macos } from './macos.ts';
import { metaClassFunctions } from './runtime/classes.ts';
import { cppRuntime } from './runtime/modules.ts';

export const macosFunctions: FunctionTable<Macos> = joinTables<Macos>([
  allocation,
  arrays,
  atomics,
  clocks,
  cppRuntime,
  data,
  deviceFunctions,
  dictionaries,
  entryFunctions,
  eventSources,
  iterators,
  locks,
  logging,
  firmwareFunctions,
  machineFunctions,
  metaClassFunctions,
  miscellany,
  numbers,
  objectFunctions,
  processes,
  serviceFunctions,
  serviceMatching,
  sets,
  strings,
  sysctlFunctions,
  threadFunctions,
  filters,
  interfaces,
  kauth,
  kernelControls,
  mbufs,
  memoryBuffers,
  memoryDescriptors,
  machFunctions,
  memoryMaps,
  nvram,
  orderedSets,
  policies,
  powerManagement,
  protocols,
  registryIterators,
  serializers,
  texts,
  transfers,
  userClients,
  vfsFunctions,
  vnodeFunctions,
  workLoops,
  ...cLibrary,
]);

/** A string that kexts read as an array. */
const text = (name: string, value: (k: Macos) => string): DataSymbol => ({
  name,
  bytes: 256,
  fill: (k, at) => k.memory.poke(at, new TextEncoder().encode(value(k))),
});

export const macosData: readonly DataSymbol[] = [
  ...sysctlData,
  ...iokitData,
  ...vfsData,
  ...firmwareData,
  ...machineData,
  { name: '_gOSKextUnresolved', bytes: 16 },
  { name: '_lkm_current_proc', bytes: 16 },
  { name: '_hz', bytes: 4, fill: (k, at) => k.memory.set32(at, 100) },
  { name: '_page_size', bytes: 8, fill: (k, at) => k.memory.setPtr(at, 4096) },
  { name: '_page_mask', bytes: 8, fill: (k, at) => k.memory.setPtr(at, 4095) },
  { name: '_page_shift', bytes: 4, fill: (k, at) => k.memory.set32(at, 12) },
  { name: '__os_log_default', bytes: 64 },
  text('_version', ({ release }) => `Darwin Kernel Version ${release.darwin}`),
  text('_osrelease', ({ release }) => release.darwin),
  text('_ostype', () => 'Darwin'),
  ...['_version_major', '_version_minor', '_version_revision'].map((name, i) => ({
    name,
    bytes: 4,
    fill: (k: Macos, at: Address) => k.memory.set32(at, Number(k.release.darwin.split('.')[i])),
  })),
  { name: '___stack_chk_guard', bytes: 8, fill: (k, at) => k.memory.setU64(at, BigInt(k.random32()) << 8n) },
];
