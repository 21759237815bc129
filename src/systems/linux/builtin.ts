/**
 * What the loader asks of the kernel's own image: which names its built-in parts have in /sys/module, and whether it carries
 * a certificate. A saved kernel file has no image; what is then assumed is said below.
 */
import { cstring } from '../../bytes/cstring.ts';
import type { KernelFile } from './kernelfile/kernelfile.ts';

/** Built-in parts with parameters in Debian's 6.1 kernel for amd64, read from its `__param` section. */
const DEBIAN_NAMES =
  '8250 acpi acpiphp amd64_agp apparmor atkbd blk_cgroup block braille_console clocksource cpufreq cpuidle ' +
  'cpuidle_haltpoll cryptomgr cxl_core device_hmem dynamic_debug edac_core encrypted_keys fb firmware_class fscrypto ' +
  'ghes gpiolib_acpi grant_table i8042 ima intel_idle ipv6 kernel keyboard memory_hotplug mmiotrace module mousedev ' +
  'netpoll nmi_backtrace page_alloc page_reporting pci_hotplug pcie_aspm pciehp printk processor pstore random ' +
  'rcupdate rcutree rng_core rtc_cmos secretmem shpchp sis_agp spidev spurious srcutree suspend syscall sysrq ' +
  'tcp_cubic thermal tpm tpm_tis vt workqueue xen xen_fbfront xen_kbdfront zswap';

/** sizeof(struct kernel_param) with 64-bit pointers; its first field points at `module.parameter`. */
const PARAM_BYTES = 40;
const MAX_NAME = 128;

const names = new WeakMap<KernelFile, ReadonlySet<string>>();

/** Names that a module cannot have because a built-in part has its directory in /sys/module. */
export function builtinNames(kernel: KernelFile): ReadonlySet<string> {
  let known = names.get(kernel);
  if (known === undefined) {
    known = readNames(kernel) ?? new Set(DEBIAN_NAMES.split(' '));
    names.set(kernel, known);
  }
  return known;
}

function readNames(kernel: KernelFile): Set<string> | undefined {
  const section = kernel.sections.find(({ name }) => name === '__param');
  const table = section === undefined ? undefined : kernel.read(section.base, section.size);
  if (table === undefined || kernel.bits !== 64) return undefined;
  const view = new DataView(table.buffer, table.byteOffset, table.length);
  const found = new Set<string>();
  for (let at = 0; at + PARAM_BYTES <= table.length; at += PARAM_BYTES) {
    const bytes = kernel.read(Number(view.getBigInt64(at, kernel.littleEndian)), MAX_NAME);
    const name = bytes === undefined ? '' : cstring(bytes, 0);
    // Parameters without a prefix are the core kernel's.
    if (name !== '') found.add(name.includes('.') ? name.slice(0, name.indexOf('.')) : 'kernel');
  }
  return found;
}

/**
 * Does the image hold a certificate of that serial number (hexadecimal)? Undefined when there is no image to look in. The
 * certificates are DER in the init data, where the serial number stands as an INTEGER.
 */
export function hasCertificate(kernel: KernelFile, serial: string): boolean | undefined {
  const bytes = serial.match(/../g)?.map((pair) => Number.parseInt(pair, 16)) ?? [];
  const wanted = [0x02, bytes.length, ...bytes];
  let looked = false;
  for (const { role, zeroFill, base, size } of kernel.sections) {
    if (role !== 'init' || zeroFill) continue;
    const data = kernel.read(base, size);
    if (data === undefined) continue;
    looked = true;
    if (bytes.length > 0 && contains(data, wanted)) return true;
  }
  return looked ? false : undefined;
}

function contains(data: Uint8Array, wanted: readonly number[]): boolean {
  for (let at = data.indexOf(wanted[2]); at >= 0; at = data.indexOf(wanted[2], at + 1)) {
    if (at >= 2 && wanted.every((byte, i) => data[at - 2 + i] === byte)) return true;
  }
  return false;
}
