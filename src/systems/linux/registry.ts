/** Every subsystem's kernel functions and data, in one place: the only list of them. */
import { type FunctionTable, joinTables, withOthers } from '../../kernel/functions.ts';
import { builtInCiphers } from './crypto/builtin-ciphers.ts';
import { builtInHashes } from './crypto/builtin-hashes.ts';
import { lzoFunctions } from './crypto/builtin-lzo.ts';
import { platformData } from './driver/platform.ts';
import { acpiFunctions } from './functions/acpi.ts';
import { aesFunctions } from './functions/aes.ts';
import { asyncFunctions } from './functions/async.ts';
import { atomic64 } from './functions/atomic64.ts';
import { attributeContainers } from './functions/attribute-container.ts';
import { auxiliaryBusFunctions } from './functions/auxiliary-bus.ts';
import { badBlocks } from './functions/badblocks.ts';
import { bdiFunctions } from './functions/bdi.ts';
import { bioFunctions } from './functions/bio.ts';
import { bitmaps, cpumasks, findBits } from './functions/bitmaps.ts';
import { blake2sFunctions } from './functions/blake2s.ts';
import { blkMqFunctions } from './functions/blk-mq.ts';
import { blkSettings } from './functions/blk-settings.ts';
import { blockFunctions } from './functions/block.ts';
import { blockHolders, daxFunctions } from './functions/block-holders.ts';
import { chachaFunctions } from './functions/chacha.ts';
import { checks } from './functions/checks.ts';
import { chrdevFunctions } from './functions/chrdev.ts';
import { classFileFunctions } from './functions/class-files.ts';
import { compressionFunctions } from './functions/compression.ts';
import { kfifos, klists, llists, mempools } from './functions/containers.ts';
import { counterData, percpuCounters } from './functions/counters.ts';
import { cpuData } from './functions/cpu-data.ts';
import { cpuHotplug } from './functions/cpu-hotplug.ts';
import { credentials } from './functions/credentials.ts';
import { cryptoFunctions } from './functions/crypto.ts';
import { aeadFunctions } from './functions/crypto-aead.ts';
import { cipherCode } from './functions/crypto-ciphers.ts';
import { hmacFunctions } from './functions/crypto-hmac.ts';
import { modeFunctions } from './functions/crypto-modes.ts';
import { cryptoRegistrations } from './functions/crypto-registrations.ts';
import { hashFunctions } from './functions/crypto-shash.ts';
import { cipherFunctions } from './functions/crypto-skcipher.ts';
import { templateFunctions } from './functions/crypto-templates.ts';
import { dcacheFunctions } from './functions/dcache.ts';
import { debugfsFunctions } from './functions/debugfs.ts';
import { deviceFunctions } from './functions/device.ts';
import { devres, managedMemory } from './functions/devm.ts';
import { deviceGroups } from './functions/devres-groups.ts';
import { dmaFunctions } from './functions/dma.ts';
import { driverCoreFunctions } from './functions/driver-core.ts';
import { driverFunctions } from './functions/drivers.ts';
import { fasyncFunctions } from './functions/fasync.ts';
import { firmwareFunctions } from './functions/firmware.ts';
import { fpuCode } from './functions/fpu.ts';
import { ftraceFunctions } from './functions/ftrace.ts';
import { fragmentFunctions } from './functions/inet-frags.ts';
import { internetSums } from './functions/internet-sums.ts';
import { interruptFunctions } from './functions/interrupts.ts';
import { kernelFiles } from './functions/kernel-files.ts';
import { keyData, keyFunctions } from './functions/keys.ts';
import { kobjectData, kobjectFunctions } from './functions/kobject.ts';
import { kprobeFunctions } from './functions/kprobes.ts';
import { kthreads } from './functions/kthread.ts';
import { kthreadWorkers } from './functions/kthread-worker.ts';
import { arithmetic, checksums, hexFunctions, libraryData, sorting } from './functions/lib-sort.ts';
import { libfsData, libfsFunctions } from './functions/libfs.ts';
import { mutexes, rwlocks, rwSemaphores, semaphores, spinlocks } from './functions/locks.ts';
import { machineData, machineQueries } from './functions/machine-queries.ts';
import { moduleCalls } from './functions/module-calls.ts';
import { napiFunctions } from './functions/napi.ts';
import { narrowFunctions } from './functions/narrow.ts';
import { familyFunctions } from './functions/net-families.ts';
import { netFunctions } from './functions/net-registrations.ts';
import {
  deviceAddresses,
  deviceCounters,
  deviceLookups,
  netDeviceData,
  netDeviceFunctions,
  routing,
} from './functions/netdev.ts';
import { netDevicePrintk } from './functions/netdev-printk.ts';
import { deviceLinks, linkRequests, stackedDevices } from './functions/netdev-stacking.ts';
import { attributeFunctions, messageFunctions } from './functions/netlink-attributes.ts';
import { newerData, newerFunctions, newestFunctions } from './functions/newer.ts';
import { newerBlock } from './functions/newer-block.ts';
import { newerCrypto } from './functions/newer-crypto.ts';
import { fauxBusFunctions } from './functions/newer-faux-bus.ts';
import { isaBus } from './functions/newer-isa-bus.ts';
import { newerKindData, newerKinds } from './functions/newer-kinds.ts';
import { newerRegistrations } from './functions/newer-registrations.ts';
import { nlsFunctions } from './functions/nls.ts';
import { kernelChains, notifiers } from './functions/notifiers.ts';
import { kstrto, parser, simpleNumbers } from './functions/numbers.ts';
import { memoryData, pageFunctions, percpuFunctions, vmallocFunctions } from './functions/page-functions.ts';
import { pageStateFunctions } from './functions/page-state.ts';
import { pageCacheFunctions } from './functions/pagecache.ts';
import { paramData, paramFunctions } from './functions/params.ts';
import { pidFunctions } from './functions/pids.ts';
import { machineIdentity, resourceData, resources, schedulingClasses } from './functions/platform.ts';
import { platformBusFunctions } from './functions/platform-bus.ts';
import { devicePrintk, hexDump, printk, printkData } from './functions/printk.ts';
import { crossCpu, moduleFunctions, processData } from './functions/process.ts';
import { procfsFunctions } from './functions/procfs.ts';
import { pseudoFileSystems } from './functions/pseudo-fs.ts';
import { random, randomData } from './functions/random.ts';
import { rbtrees } from './functions/rbtree.ts';
import { rcu, srcu } from './functions/rcu.ts';
import { rootDevices } from './functions/root-devices.ts';
import { rtLocks } from './functions/rt-locks.ts';
import { scanning } from './functions/scanf.ts';
import { scatterlists } from './functions/scatterlist.ts';
import { schedFunctions } from './functions/sched.ts';
import { seqFileFunctions } from './functions/seqfile.ts';
import { serviceData, serviceFunctions } from './functions/services.ts';
import { signals } from './functions/signals.ts';
import { simpleAttributes } from './functions/simple-attributes.ts';
import { ethernetFunctions, packetFunctions, trafficFunctions } from './functions/skb.ts';
import { packetQueues } from './functions/skb-queues.ts';
import { cacheFunctions, printfFunctions, slabData, slabFunctions } from './functions/slab-functions.ts';
import { staticCallFunctions } from './functions/static-calls.ts';
import { staticKeyFunctions } from './functions/static-keys.ts';
import { memoryFunctions, stringData, stringFunctions, stringHelpers } from './functions/string.ts';
import { subsystemFunctions } from './functions/subsystem-registrations.ts';
import { sysctlData, sysctlFunctions } from './functions/sysctl.ts';
import { sysctlTableFunctions } from './functions/sysctl-tables.ts';
import { taskFunctions } from './functions/task-functions.ts';
import { paravirtual, thunks } from './functions/thunks.ts';
import { timeConversions, timeData, timeFunctions } from './functions/time.ts';
import { hrtimers, tasklets, timers } from './functions/timers.ts';
import { ttyDrivers } from './functions/tty-drivers.ts';
import { usercopy } from './functions/usercopy.ts';
import { completions, simpleWaitQueues, waitQueues } from './functions/wait.ts';
import { bitWaits } from './functions/wait-bit.ts';
import { workqueueData, workqueues } from './functions/workqueue.ts';
import { idas, idrs, radixTrees, xarrays } from './functions/xarray.ts';
import { xxhashFunctions } from './functions/xxhash.ts';
import type { DataInitialiser, Linux } from './linux.ts';
import { syscallFunctions } from './syscall.ts';
import { taskData } from './task-struct.ts';
import { readdirFunctions } from './vfs/readdir.ts';

const functions: FunctionTable<Linux> = joinTables<Linux>([
  arithmetic,
  bitmaps,
  bitWaits,
  checksums,
  internetSums,
  cpumasks,
  credentials,
  crossCpu,
  findBits,
  hexFunctions,
  idas,
  idrs,
  kfifos,
  klists,
  llists,
  mempools,
  radixTrees,
  random,
  rbtrees,
  sorting,
  xarrays,
  builtInHashes,
  builtInCiphers,
  blockHolders,
  daxFunctions,
  lzoFunctions,
  pageCacheFunctions,
  pageStateFunctions,
  sysctlFunctions,
  cacheFunctions,
  cryptoFunctions,
  hashFunctions,
  aeadFunctions,
  hmacFunctions,
  modeFunctions,
  templateFunctions,
  cipherFunctions,
  nlsFunctions,
  checks,
  completions,
  hrtimers,
  kernelChains,
  kstrto,
  kthreads,
  memoryFunctions,
  machineIdentity,
  managedMemory,
  resources,
  schedulingClasses,
  moduleCalls,
  moduleFunctions,
  percpuCounters,
  devres,
  kthreadWorkers,
  scanning,
  scatterlists,
  mutexes,
  notifiers,
  parser,
  rcu,
  rwlocks,
  rwSemaphores,
  rtLocks,
  schedFunctions,
  semaphores,
  simpleNumbers,
  simpleWaitQueues,
  spinlocks,
  srcu,
  narrowFunctions,
  staticCallFunctions,
  stringFunctions,
  stringHelpers,
  tasklets,
  timeConversions,
  timeFunctions,
  timers,
  waitQueues,
  workqueues,
  chrdevFunctions,
  dcacheFunctions,
  deviceFunctions,
  kobjectFunctions,
  kprobeFunctions,
  ftraceFunctions,
  interruptFunctions,
  pidFunctions,
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
  xxhashFunctions,
  compressionFunctions,
  aesFunctions,
  blake2sFunctions,
  driverFunctions,
  acpiFunctions,
  asyncFunctions,
  cpuHotplug,
  ttyDrivers,
  firmwareFunctions,
  keyFunctions,
  attributeContainers,
  ...driverCoreFunctions,
  ...platformBusFunctions,
  ...auxiliaryBusFunctions,
  netFunctions,
  netDeviceFunctions,
  netDevicePrintk,
  deviceLinks,
  linkRequests,
  stackedDevices,
  napiFunctions,
  packetQueues,
  fragmentFunctions,
  attributeFunctions,
  messageFunctions,
  deviceAddresses,
  deviceCounters,
  deviceLookups,
  routing,
  packetFunctions,
  trafficFunctions,
  ethernetFunctions,
  subsystemFunctions,
  bdiFunctions,
  deviceGroups,
  dmaFunctions,
  rootDevices,
  familyFunctions,
  isaBus,
  pseudoFileSystems,
  serviceFunctions,
  debugfsFunctions,
  sysctlTableFunctions,
  cryptoRegistrations,
  machineQueries,
  chachaFunctions,
  classFileFunctions,
  vmallocFunctions,
  kernelFiles,
  fasyncFunctions,
  signals,
  simpleAttributes,
  taskFunctions,
  badBlocks,
  bioFunctions,
  blkMqFunctions,
  blkSettings,
  blockFunctions,
]);

export const linuxFunctions: FunctionTable<Linux> = withOthers(functions, [
  newerFunctions,
  newestFunctions,
  newerBlock,
  newerCrypto,
  newerRegistrations,
  newerKinds,
  ...fauxBusFunctions,
]);

export const linuxData: readonly DataInitialiser[] = [
  ...kobjectData,
  ...keyData,
  ...libfsData,
  ...cpuData,
  ...counterData,
  ...resourceData,
  ...platformData,
  ...libraryData,
  ...memoryData,
  ...processData,
  ...randomData,
  ...paramData,
  ...paravirtual,
  ...printkData,
  ...slabData,
  ...stringData,
  ...taskData,
  ...timeData,
  ...workqueueData,
  ...netDeviceData,
  ...sysctlData,
  ...newerData,
  ...newerKindData,
  ...serviceData,
  ...machineData,
  ...thunks,
  ...cipherCode,
  ...fpuCode,
  ...atomic64,
];
