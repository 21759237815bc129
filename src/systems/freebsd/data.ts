/** Exported data objects of the base kernel. Values are those of a small machine: one processor, hz 1000, no hardware. */
import { guestText } from '../../kernel/text/printf.ts';
import type { Address } from '../../memory/space.ts';
import type { DataSymbol, FreeBsd } from './freebsd.ts';
import { initMutex } from './functions/locks.ts';
import { HZ } from './functions/sleep.ts';
import { makeQueue } from './functions/tasks.ts';
import { fillNode, fillNodeChildren } from './sysctl-nodes.ts';

const int = (name: string, value: number): DataSymbol => ({
  name,
  bytes: 4,
  fill: (k, at) => k.memory.set32(at, value | 0),
});
const long = (name: string, value: number): DataSymbol => ({
  name,
  bytes: 8,
  fill: (k, at) => k.memory.setPtr(at, value),
});
const zeros = (name: string | RegExp, bytes: number): DataSymbol => ({ name, bytes });

/** malloc types that the kernel defines (MALLOC_DEFINE of sys/kern and others), with their names in vmstat -m. */
const MALLOC_TYPES: Readonly<Record<string, string>> = {
  M_TEMP: 'temp',
  M_DEVBUF: 'devbuf',
  M_CACHE: 'cache',
  M_IOV: 'iov',
  M_MOUNT: 'mount',
  M_VNODE: 'vnodes',
  M_SYSCTL: 'sysctl',
  M_SYSCTLOID: 'sysctloid',
  M_IFADDR: 'ifaddr',
  M_IFMADDR: 'ether_multi',
  M_PCB: 'pcb',
  M_SONAME: 'soname',
  M_FIRMWARE: 'firmware',
  M_TASKQUEUE: 'taskqueue',
  M_SBUF: 'sbuf',
  M_KOBJ: 'kobj',
  M_80211_VAP: '80211vap',
  M_80211_NODE: '80211node',
  M_80211_CRYPTO: '80211crypto',
  M_GEOM: 'GEOM',
  M_CRED: 'cred',
  M_SUBPROC: 'subproc',
  M_SHM: 'shm',
  M_FREE: 'free',
  M_LINKER: 'linker',
  M_CRYPTO_DATA: 'crypto',
  M_FADV: 'fadvise',
};
const MALLOC_MAGIC = 877983977;

function fillMallocType(k: FreeBsd, at: Address, name: string): void {
  const shown = k.heap.string(MALLOC_TYPES[name] ?? name);
  k.write('malloc_type.ks_shortdesc', at, shown);
  if (k.types.has('malloc_type.ks_magic')) k.write('malloc_type.ks_magic', at, MALLOC_MAGIC);
  else k.write('malloc_type.ks_version', at, 0);
}

/** A method description of a kobj interface that the kernel has: only its identity counts; the default says ENXIO. */
function fillMethodDescription(k: FreeBsd, at: Address): void {
  k.write('kobjop_desc.deflt.desc', at, at);
  k.write('kobjop_desc.deflt.func', at, k.kernelSymbol('kobj_error_method') ?? 0);
}

const text = (name: string, value: string): DataSymbol => ({
  name,
  bytes: value.length + 1,
  fill: (k, at) => k.memory.write(at, new TextEncoder().encode(`${value}\0`)),
});

/** Interfaces whose methods drivers implement; named `INTERFACE_METHOD_desc` by makeobjops.awk. */
const METHOD_DESCRIPTIONS =
  /^(device|bus|pci|pcib|isa|miibus|usb|ata|iicbus|iicbb|smbus|cardbus|card|power|acpi|agp|cpufreq_drv|cryptodev|gpio|gpiobus|hdac|hdaa|channel|mixer|ac97|feeder|midi|mpu|mpufoi|synth|linker|mmcbr|mmcbus|ppbus|pcf_isa|rman|sdhci|serdev|spibus|uart|virtio|virtio_bus|vmbus|g_part|nvram|led|clock|eisa|fb|hvmulti|hv|mii_bitbang|pic|syscon|firewire|fwohci|bhnd|evdev|g_raid|g_raid_md|g_raid_tr|xen|xenbus|kbd|ofw_bus|nand|lbc|icee|hpet|sec|fdt|wlan|eventtimer)_\w+_desc$/;

export const freebsdData: readonly DataSymbol[] = [
  int('hz', HZ),
  int('tick', 1000000 / HZ),
  { name: 'tick_sbt', bytes: 8, fill: (k, at) => k.memory.setU64(at, 2n ** 32n / BigInt(HZ)) },
  {
    name: 'ticks',
    bytes: 4,
    fill: (k, at) => void k.clocks.push(() => k.memory.set32(at, Math.floor((k.time.now() * HZ) / 1e9) | 0)),
  },
  {
    name: 'time_uptime',
    bytes: 8,
    fill: (k, at) => void k.clocks.push(() => k.memory.setPtr(at, 1 + Math.floor(k.time.now() / 1e9))),
  },
  {
    name: 'time_second',
    bytes: 8,
    fill: (k, at) =>
      void k.clocks.push(() => k.memory.setPtr(at, BOOT_TIME + Math.floor(k.time.now() / 1e9))),
  },
  int('bootverbose', 0),
  int('cold', 0),
  int('mp_ncpus', 1),
  int('mp_maxid', 0),
  int('smp_cpus', 1),
  int('smp_started', 1),
  int('cpu_vendor_id', 0x8086),
  int('cpu_id', 0x6f1),
  int('maxusers', 384),
  int('maxproc', 6164),
  int('nmbclusters', 25600),
  int('ifqmaxlen', 50),
  int('rebooting', 0),
  int('kdb_active', 0),
  int('dumping', 0),
  int('vm_guest', 0),
  int('boothowto', 0),
  int('securelevel', -1),
  long('physmem', 16384),
  long('realmem', 16384),
  long('panicstr', 0),
  {
    name: '__stack_chk_guard',
    bytes: 64,
    fill: (k, at) => k.memory.setPtr(at, k.random32() * 256),
  },
  zeros('__start_set_pcpu', 16),
  zeros('__stop_set_pcpu', 16),
  int('cpu_feature', 0x0789a3fd | 0),
  int('cpu_feature2', 0x00982201 | 0),
  int('amd_feature', 0x2c100800 | 0),
  text('ostype', 'FreeBSD'),
  text('cpu_vendor', 'GenuineIntel'),
  // Memory for the kernel's own map, and its bounds.
  long('vm_kmem_size', 64 * 2 ** 20),
  int('nswbuf', 16),
  int('cpu_clflush_line_size', 64),
  zeros('mem_range_softc', 64),
  // struct vmmeter: counters that nothing counts here.
  zeros('cnt', 1024),
  zeros('vm_cnt', 1024),
  { name: 'osreldate', bytes: 4, fill: (k, at) => k.memory.set32(at, k.version) },
  {
    name: 'Giant',
    bytes: (k) => k.sizeof('mtx'),
    fill: (k, at) => initMutex(k, at, k.heap.string('Giant'), 4),
  },
  { name: /^M_[A-Z0-9_]+$/, bytes: (k) => k.sizeof('malloc_type'), fill: fillMallocType },
  { name: METHOD_DESCRIPTIONS, bytes: (k) => k.sizeof('kobjop_desc'), fill: fillMethodDescription },
  { name: /^sysctl__\w*_children$/, bytes: 8, fill: fillNodeChildren },
  { name: 'sysctl__children', bytes: 8 },
  { name: /^sysctl__[a-z]\w*$/, bytes: (k) => k.sizeof('sysctl_oid'), fill: fillNode },
  // Queues that the kernel itself serves; the symbol is a pointer to each.
  ...['taskqueue_thread', 'taskqueue_swi', 'taskqueue_swi_giant', 'taskqueue_fast'].map(
    (name): DataSymbol => ({
      name,
      bytes: 8,
      fill: (k, at) => k.memory.setPtr(at, makeQueue(k, name).address),
    }),
  ),
  // The kernel's own vnode operations: none is written, so a filesystem's own must do.
  zeros('default_vnodeops', 1024),
  // Lock classes: only their addresses are compared.
  zeros(/^lock_class_\w+$/, 128),
];

/** 2020-01-01 00:00 UTC: wall-clock time at boot, the same in every run. */
const BOOT_TIME = 1577836800;

/** The name of a malloc type in guest memory, for leak reports. */
export function mallocTypeName(k: FreeBsd, type: Address): string {
  return type === 0 ? 'kernel' : guestText(k, k.read('malloc_type.ks_shortdesc', type), 64);
}
