/** Exported data objects of the base kernel. Values are those of a small machine: one processor, hz 1000, no hardware. */
import { guestText } from '../../kernel/text/printf.ts';
import type { Address } from '../../memory/space.ts';
import type { DataSymbol, FreeBsd } from './freebsd.ts';
import { deviceClassNamed } from './functions/bus.ts';
import { epochData } from './functions/epochs.ts';
import { initMutex, initSx } from './functions/locks.ts';
import { makeZone, NO_HOOKS } from './functions/memory.ts';
import { HZ } from './functions/sleep.ts';
import { makeQueue } from './functions/tasks.ts';
import { initTailQueue } from './lists.ts';
import { processData } from './processes.ts';
import { fillNode, fillNodeChildren } from './sysctl-nodes.ts';
import { SYSENT_ENTRIES, sysent32Symbol, sysentSymbol } from './sysent.ts';
import { majorOf, releaseOf } from './version.ts';
import { vnetOf } from './vnet.ts';

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
/** M_VERSION of 13 and later. */
const MALLOC_VERSION = 2020110501;

function fillMallocType(k: FreeBsd, at: Address, name: string): void {
  const shown = k.heap.string(MALLOC_TYPES[name] ?? name);
  k.write('malloc_type.ks_shortdesc', at, shown);
  if (k.types.has('malloc_type.ks_magic')) k.write('malloc_type.ks_magic', at, MALLOC_MAGIC);
  else k.write('malloc_type.ks_version', at, MALLOC_VERSION);
}

/** Where what an operation does by default is described: apart from it up to 9. */
const defaultMethod = (k: FreeBsd, description: Address): Address =>
  majorOf(k.version) < 10
    ? k.data.reserve(k.sizeof('kobj_method'))
    : description + k.offset('kobjop_desc.deflt');

/** A method description of a kobj interface that the kernel has: only its identity counts; the default says ENXIO. */
function fillMethodDescription(k: FreeBsd, at: Address): void {
  const method = defaultMethod(k, at);
  k.write('kobj_method.desc', method, at);
  k.write('kobj_method.func', method, k.kernelSymbol('kobj_error_method') ?? 0);
  if (majorOf(k.version) < 10) k.write('kobjop_desc.deflt', at, method);
}

const text = (name: string, value: string): DataSymbol => ({
  name,
  bytes: value.length + 1,
  fill: (k, at) => k.memory.write(at, new TextEncoder().encode(`${value}\0`)),
});

/** Interfaces whose methods drivers implement; named `INTERFACE_METHOD_desc` by makeobjops.awk. */
const METHOD_DESCRIPTIONS =
  /^(device|bus|pci|pcib|isa|miibus|usb|ata|iicbus|iicbb|smbus|cardbus|card|power|acpi|agp|cpufreq_drv|cryptodev|gpio|gpiobus|hdac|hdaa|channel|mixer|ac97|feeder|midi|mpu|mpufoi|synth|linker|mmcbr|mmcbus|ppbus|pcf_isa|rman|sdhci|serdev|spibus|uart|virtio|virtio_bus|vmbus|g_part|nvram|led|clock|eisa|fb|hvmulti|hv|mii_bitbang|pic|syscon|firewire|fwohci|bhnd|evdev|g_raid|g_raid_md|g_raid_tr|xen|xenbus|kbd|ofw_bus|nand|lbc|icee|hpet|hid|sec|fdt|wlan|eventtimer)_\w+_desc$/;

/** `if_foo_p`, `foo_func` and their like, named one by one: a name alone does not say that it is a hook. */
const HOOKS = (
  'ip_fw_ctl_ptr ip_fw_chk_ptr ip_dn_ctl_ptr ip_dn_io_ptr ip_divert_ptr ng_ipfw_input_p ng_ether_attach_p ' +
  'ng_ether_detach_p ng_ether_input_p ng_ether_input_orphan_p ng_ether_link_state_p ng_atm_attach_p ng_atm_detach_p ' +
  'ng_atm_input_p ng_atm_event_p ng_atm_message_p ng_atm_input_orphans nlminfo_release_p aio_swake faithprefix_p ' +
  'lagg_input_p lagg_input_ethernet_p lagg_input_infiniband_p lagg_linkstate_p bridge_input_p bridge_output_p bridge_dn_p bridge_linkstate_p ' +
  'carp_iamatch_p carp_iamatch6_p carp_macmatch6_p carp_output_p carp_linkstate_p carp_forus_p carp_ioctl_p ' +
  'carp_attach_p carp_detach_p carp_get_vhid_p carp_master_p vlan_input_p vlan_link_state_p vlan_trunk_cap_p ' +
  'vlan_trunkdev_p vlan_tag_p vlan_setcookie_p vlan_cookie_p vlan_devat_p vlan_pcp_p ' +
  'netlink_callback_p linux_netlink_p p_random_alg_context inet_pfil_head inet6_pfil_head link_pfil_head shmexit_hook shmfork_hook softdep_ast_cleanup carp_demote_adj_p ng_atm_output_p ng_ether_output_p ' +
  'send_sendso_input_hook ip6_mforward ip6_mrouter_set ip6_mrouter_get ip6_mrouter_done mrt6_ioctl ip_mforward ' +
  'mq_fdclose ksem_info _read_random _is_random_seeded ' +
  'ef_inputp ef_outputp rsvp_input_p ip6_mrouter ng_atm_input_orphan_p lkpi_alloc_current _read_random_uio ' +
  'usb_test_quirk_p usb_quirk_ioctl_p usb_temp_get_desc_p usb_temp_setup_by_index_p usb_temp_unsetup_p m_addr_chg_pf_p vmm_resume_p ip_mrouter_set ip_mrouter_get ip_mrouter_done ip_mcast_src ip_rsvp_vif ip_rsvp_force_done mrt_ioctl legal_vif_num ' +
  'tbr_dequeue_ptr altq_input pfsync_state_import_ptr pfsync_insert_state_ptr ' +
  'pfsync_update_state_ptr pfsync_delete_state_ptr pfsync_clear_states_ptr pfsync_defer_ptr pfsync_up_ptr ' +
  'pflog_packet_ptr pmc_hook pmc_intr dtrace_trap_func dtrace_doubletrap_func dtrace_invop_jump_addr ' +
  'dtrace_pid_probe_ptr dtrace_return_probe_ptr dtrace_fasttrap_fork dtrace_fasttrap_exec dtrace_fasttrap_exit ' +
  'dtrace_malloc_probe dtrace_vtime_switch_func systrace_probe_func sdt_probe_func lockstat_probe_func nfs_advlock_p nfs_reclaim_p'
).split(' ');
const MAX_CPUS = 256;

const className = (k: FreeBsd, symbol: string): Address =>
  deviceClassNamed(k, symbol.replace(/_devclass$/, '')).address;

/** struct kobj_class of a driver of the kernel's: its name, and no methods that anyone could call. */
function fillDriver(k: FreeBsd, at: Address, symbol: string): void {
  k.write('kobj_class.name', at, k.heap.string(symbol.replace(/_driver$/, '')));
  k.write('kobj_class.methods', at, k.data.reserve(2 * k.word));
}

/** A table of struct gate_descriptor: on amd64 the address is in three pieces of 16, 16 and 32 bits (x86/segments.h). */
function reservedGates(k: FreeBsd): Address {
  const bytes = k.bits / 4;
  const gates = k.data.reserve(256 * bytes);
  const entry = BigInt.asUintN(64, BigInt(k.symbolAddress('Xrsvd')));
  for (let at = gates; at < gates + 256 * bytes; at += bytes) {
    k.memory.set16(at, Number(entry & 0xffffn));
    k.memory.set16(at + 6, Number((entry >> 16n) & 0xffffn));
    if (k.bits === 64) k.memory.set32(at + 8, Number(BigInt.asIntN(32, entry >> 32n)));
  }
  return gates;
}

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
  text('uart_driver_name', 'uart'),
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
  { name: /^sysctl___[a-z]\w*$/, bytes: (k) => k.sizeof('sysctl_oid'), fill: fillNode },
  // Queues that the kernel itself serves; the symbol is a pointer to each.
  ...['taskqueue_thread', 'taskqueue_swi', 'taskqueue_swi_giant', 'taskqueue_fast'].map(
    (name): DataSymbol => ({
      name,
      bytes: 8,
      fill: (k, at) => k.memory.setPtr(at, makeQueue(k, name, true).address),
    }),
  ),
  // The kernel's own vnode operations: none is written, so a filesystem's own must do.
  zeros('default_vnodeops', 1024),
  // Hooks: a module that serves one puts its function there, and the kernel calls it when it has a use for it.
  ...HOOKS.flatMap((name) => [zeros(name, 8), zeros(`vnet_entry_${name}`, 8)]),
  { name: 'cyclic_clock_func', bytes: (k) => MAX_CPUS * k.word },
  {
    name: 'topology_lock',
    bytes: (k) => k.sizeof('sx'),
    fill: (k, at) => initSx(k, at, k.heap.string('GEOM topology')),
  },
  ...[
    'ifnet_sxlock',
    'allprison_lock',
    'proctree_lock',
    'allproc_lock',
    'kld_sx',
    'modules_sx',
    'vnet_sxlock',
  ].map(
    (name): DataSymbol => ({
      name,
      bytes: (k) => k.sizeof('sx'),
      fill: (k, at) => initSx(k, at, k.heap.string(name)),
    }),
  ),
  ...['devmtx', 'kld_mtx', 'uma_mtx', 'dt_lock'].map(
    (name): DataSymbol => ({
      name,
      bytes: (k) => k.sizeof('mtx'),
      fill: (k, at) => initMutex(k, at, k.heap.string(name), 0),
    }),
  ),
  // The kernel's own lists of what is loaded: the kernel linker walks these very lists.
  ...['linker_files', 'modules', 'cdevp_list'].map(
    (name): DataSymbol => ({
      name,
      bytes: (k) => 2 * k.word,
      fill: (k, head) => initTailQueue(k, { head, entry: 0 }),
    }),
  ),
  int('next_file_id', 1),
  int('nextid', 1),
  sysentSymbol,
  sysent32Symbol,
  ...epochData,
  ...processData,
  ...['ifnet_rwlock', 'tidhash_lock'].map(
    (name): DataSymbol => ({
      name,
      bytes: (k) => k.sizeof('rwlock'),
      fill: (k, at) => initSx(k, at, k.heap.string(name)),
    }),
  ),
  { name: 'vnet0', bytes: 8, fill: (k, at) => k.memory.setPtr(at, vnetOf(k)?.address ?? 0) },
  // What soft updates put their functions into (sys/buf.h), and the distance of per-CPU data of each processor.
  zeros('bioops', 64),
  zeros('dpcpu_off', MAX_CPUS * 8),
  int('g_debugflags', 0),
  int('first_msi_irq', 256),
  int('num_msi_irqs', 512),
  // Lists and structures of the kernel's that modules walk: there is nobody in them.
  ...['allprison', 'ifnet', 'ifg_head', 'uma_kegs', 'ip_protox', 'inetsw'].map((name) =>
    zeros(name, name === 'inetsw' ? 4096 : 256),
  ),
  zeros('prison0', 2048),
  zeros('nfs_pub', 512),
  // Zones of items for each processor, by their size (vm/uma_core.c).
  ...[4, 8, 16, 32, 64].map(
    (size): DataSymbol => ({
      name: `pcpu_zone_${size}`,
      bytes: 8,
      fill: (k, at) =>
        k.memory.setPtr(at, makeZone(k, { name: `pcpu-${size}`, size, ...NO_HOOKS, ofKernel: true })),
    }),
  ),
  zeros('tcp_protosw', 256),
  zeros('tcp6_protosw', 256),
  // Groups of task queues that the kernel itself makes: a pointer to each.
  { name: /^qgroup_\w+$/, bytes: 8, fill: (k, at) => k.memory.setPtr(at, k.data.reserve(64)) },
  // The device that all others hang below: its address is all that modules need.
  { name: 'root_bus', bytes: 8, fill: (k, at) => k.memory.setPtr(at, k.data.reserve(512)) },
  int('hw_lower_amd64_sharedpage', 1),
  // MAXCPU of GENERIC on amd64.
  { name: 'mp_maxcpus', bytes: 4, fill: (k, at) => k.memory.set32(at, majorOf(k.version) < 14 ? 256 : 1024) },
  {
    name: 'osrelease',
    bytes: 32,
    fill: (k, at) => k.memory.write(at, new TextEncoder().encode(`${releaseOf(k.version)}-RELEASE\0`)),
  },
  int('async_io_version', 0),
  int('pmc_kernel_version', 0),
  int('pti', 0),
  { name: 'tsc_freq', bytes: 8, fill: (k, at) => k.memory.setU64(at, 1000000000n) },
  long('hibufspace', 16 * 2 ** 20),
  int('vm_ndomains', 1),
  int('stathz', 127),
  int('dtrace_vtime_active', 0),
  { name: 'boottime', bytes: 16, fill: (k, at) => k.memory.setPtr(at, BOOT_TIME) },
  int('via_feature_rng', 0),
  int('via_feature_xcrypt', 0),
  int('cpu_stdext_feature', 0),
  int('cpu_stdext_feature2', 0),
  long('maxphys', 1048576),
  long('efi_systbl_phys', 0),
  // Safe memory reclamation of vnodes' names (sys/smr.h): there is one processor, and nothing is looked up here.
  long('vfs_smr', 0),
  int('desiredvnodes', 70000),
  int('numvnodes', 0),
  // struct cc_algo of the kernel's own congestion control: nothing runs it.
  zeros('newreno_cc_algo', 512),
  // Interrupt gates: each has the entry of those that are not in use (amd64/amd64/machdep.c).
  { name: 'idt', bytes: 8, fill: (k, at) => k.memory.setPtr(at, reservedGates(k)) },
  zeros('Xrsvd', 16),
  zeros('Xrsvd_pti', 16),
  // Variables of the one network stack instance that modules walk: there is nobody in them.
  ...['ifnet', 'ifg_head'].map((name) => zeros(`vnet_entry_${name}`, 16)),
  { name: 'vnet_head', bytes: 8, fill: (k, at) => k.memory.setPtr(at, vnetOf(k)?.address ?? 0) },
  // struct sysentvec: how many system calls a program has, and their table (sys/sysent.h).
  ...['elf64_freebsd_sysvec', 'elf32_freebsd_sysvec', 'elf_freebsd_sysvec', 'ia32_freebsd_sysvec'].map(
    (name): DataSymbol => ({
      name,
      bytes: 512,
      fill(k, at, name) {
        k.memory.set32(at, SYSENT_ENTRIES);
        const table = name === 'ia32_freebsd_sysvec' ? 'freebsd32_sysent' : 'sysent';
        k.memory.setPtr(at + k.word, k.symbolAddress(table));
      },
    }),
  ),
  // A set of processors, of which there is the first.
  { name: 'all_cpus', bytes: 128, fill: (k, at) => k.memory.set32(at, 1) },
  // An array of blocks before 13, the address of one from then on.
  {
    name: '__pcpu',
    bytes: 8,
    fill: (k, at) => k.memory.setPtr(at, k.threads.pcpu),
  },
  // Devices' classes and drivers that are the kernel's own, for modules that hang theirs below or derive from them.
  { name: /^\w+_devclass$/, bytes: 8, fill: (k, at, name) => k.memory.setPtr(at, className(k, name)) },
  {
    name: /^(?!\w*(add|delete|register|unregister|find|attach|detach)_driver$)\w+_driver$/,
    bytes: (k) => k.sizeof('kobj_class') + k.word,
    fill: fillDriver,
  },
  // Lock classes: only their addresses are compared.
  zeros(/^lock_class_\w+$/, 128),
];

/** 2020-01-01 00:00 UTC: wall-clock time at boot, the same in every run. */
export const BOOT_TIME = 1577836800;

/** The name of a malloc type in guest memory, for leak reports. */
export function mallocTypeName(k: FreeBsd, type: Address): string {
  return type === 0 ? 'kernel' : guestText(k, k.read('malloc_type.ks_shortdesc', type), 64);
}
