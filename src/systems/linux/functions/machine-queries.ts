/**
 * Questions about hardware and firmware that this machine answers with no: no PCI device, no EDAC or
 * frequency driver, no AVX. And registrations for events that such a machine never has.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import { kobjectOf } from '../driver/names.ts';
import { Errno } from '../errno.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { register, registered, unregister } from '../registered.ts';
import { commandLineOptions } from '../rules/judge.ts';
import { kernelFunctions } from './define.ts';
import { put } from './kobject.ts';
import { registrationPairs } from './registration.ts';

/** States that FXSAVE keeps: x87 and SSE. The declared processor has no XSAVE for more. */
const KEPT = 3n;
/** The kernel's words for the states by bit (arch/x86/kernel/fpu/xstate.c); what is above is not known. */
const STATES = [
  'x87 floating point registers',
  'SSE registers',
  'AVX registers',
  'MPX bounds registers',
  'MPX CSR',
];
const stateNames = perKernel<Map<string, Address>, Linux>(() => new Map());

function stateName(k: Linux, text: string): Address {
  const names = k.state(stateNames);
  let at = names.get(text);
  if (at === undefined) {
    at = k.heap.allocateZeroed(64);
    k.memory.write(at, new TextEncoder().encode(text));
    names.set(text, at);
  }
  return at;
}

/** cpu_has_xfeatures: names the most advanced of the states that are missing, or else that were asked for. */
function hasExtendedState(k: Linux, needed: bigint, nameAt: Address): number {
  const missing = needed & ~KEPT;
  const bit = (missing === 0n ? needed : missing).toString(2).length - 1;
  if (nameAt !== 0) k.memory.setPtr(nameAt, stateName(k, STATES[bit] ?? 'unknown xstate feature'));
  return missing === 0n ? 1 : 0;
}

/** Drivers that set modes are to stay away when the command line says so (drivers/video/nomodeset.c). */
const nomodeset = (k: Linux): number => (k.commandLine.split(/\s+/).includes('nomodeset') ? 1 : 0);

const answers = kernelFunctions({
  'struct pci_dev *pci_get_device(unsigned int vendor, unsigned int device, struct pci_dev *from)': () => 0,
  'struct pci_dev *pci_get_subsys(unsigned int vendor, unsigned int device, unsigned int ss_vendor, unsigned int ss_device, struct pci_dev *from)':
    () => 0,
  'struct pci_dev *pci_get_class(unsigned int class, struct pci_dev *from)': () => 0,
  'struct pci_dev *pci_get_domain_bus_and_slot(int domain, unsigned int bus, unsigned int devfn)': () => 0,
  'struct pci_bus *pci_find_bus(int domain, int busnr)': () => 0,
  'void pci_dev_put(struct pci_dev *dev)': function* (k, device) {
    if (device !== 0) yield* put(k, kobjectOf(k, device + k.offset('pci_dev.dev')));
  },
  'bool video_firmware_drivers_only(void)': nomodeset,
  'bool drm_firmware_drivers_only(void)': nomodeset,
  'const struct dmi_device *dmi_find_device(int type, const char *name, const struct dmi_device *from)': () =>
    0,
  // No function of this kernel makes a register map, so no device has one.
  'struct regmap *dev_get_regmap(struct device *dev, const char *name)': () => 0,
  'bool fb_modesetting_disabled(const char *drvname)': (k, driver) => {
    const disabled = nomodeset(k);
    if (disabled !== 0)
      k.printk(4, `Driver ${k.memory.cstring(driver)} not loading because of nomodeset parameter`);
    return disabled;
  },
  'const char *edac_get_owner(void)': () => 0,
  'const char *cpufreq_get_current_driver(void)': () => 0,
  'int cpu_has_xfeatures(u64 xfeatures_needed, const char **feature_name)': hasExtendedState,
  'void dmaengine_get(void)': () => undefined,
  'void dmaengine_put(void)': () => undefined,
  // Programs with type information come through bpf(), which there is not.
  'int register_btf_kfunc_id_set(enum bpf_prog_type prog_type, const struct btf_kfunc_id_set *kset)': () => 0,
});

/** What a video= option of the command line says for a driver: the last that names it, or the mode for all (fb_cmdline.c). */
function videoOption(k: Linux, name: string): { text: string | undefined; off: boolean } {
  const given = commandLineOptions(k.commandLine, 'video').filter((value) => value !== '');
  const only = given.some((value) => value.startsWith('ofonly'));
  const others = given.filter((value) => !value.startsWith('ofonly'));
  const named = others.filter((value) => value.includes(':') && value.startsWith(`${name}:`)).at(-1);
  const mode = others.filter((value) => !value.includes(':')).at(-1);
  const refused = only && name !== '' && !name.startsWith('offb');
  const text = (refused || name === '' ? undefined : named?.slice(name.length + 1)) ?? mode;
  return { text, off: refused || (text?.startsWith('off') ?? false) };
}

/** No EFI, no embedded controller, no hypervisor's interface, no second graphics card; ports of the clock read as all ones. */
const absences = kernelFunctions({
  'int efivar_supports_writes(void)': () => 0,
  'struct kobject *efivars_kobject(void)': () => 0,
  'bool kvm_para_available(void)': () => 0,
  'int ec_read(u8 addr, u8 *val)': () => -Errno.ENODEV,
  'int ec_write(u8 addr, u8 val)': () => -Errno.ENODEV,
  'unsigned char rtc_cmos_read(unsigned char addr)': () => 0xff,
  'void vga_switcheroo_unregister_handler(void)': () => undefined,
  'void cxl_bus_drain(void)': () => undefined,
  'int acpi_resources_are_enforced(void)': (k) => {
    const wish = commandLineOptions(k.commandLine, 'acpi_enforce_resources').at(-1);
    return Number(wish !== 'lax' && wish !== 'no');
  },
  'int fb_get_options(const char *name, char **option)': (k, name, to) => {
    const { text, off } = videoOption(k, k.memory.cstring(name));
    if (to !== 0) {
      const bytes = new TextEncoder().encode(`${text ?? ''}\0`);
      const at = text === undefined ? 0 : k.heap.allocate(bytes.length);
      if (at !== 0) k.memory.write(at, bytes);
      k.memory.setPtr(to, at);
    }
    return Number(off);
  },
});

const pairs = registrationPairs([
  {
    what: 'memory notifier',
    add: 'int register_memory_notifier(struct notifier_block *nb)',
    remove: 'void unregister_memory_notifier(struct notifier_block *nb)',
    twice: -Errno.EEXIST,
  },
  {
    what: 'class interface',
    add: 'int class_interface_register(struct class_interface *class_intf)',
    remove: 'void class_interface_unregister(struct class_interface *class_intf)',
  },
  {
    what: 'machine check decoder',
    add: 'void mce_register_decode_chain(struct notifier_block *nb)',
    remove: 'void mce_unregister_decode_chain(struct notifier_block *nb)',
  },
  {
    what: 'netlink notifier',
    add: 'int netlink_register_notifier(struct notifier_block *nb)',
    remove: 'int netlink_unregister_notifier(struct notifier_block *nb)',
    twice: -Errno.EEXIST,
    absent: -Errno.ENOENT,
  },
  {
    what: 'security module notifier',
    add: 'int register_blocking_lsm_notifier(struct notifier_block *nb)',
    remove: 'int unregister_blocking_lsm_notifier(struct notifier_block *nb)',
    twice: -Errno.EEXIST,
    absent: -Errno.ENOENT,
  },
  {
    what: 'power management notifier',
    add: 'int register_pm_notifier(struct notifier_block *nb)',
    remove: 'int unregister_pm_notifier(struct notifier_block *nb)',
    twice: -Errno.EEXIST,
    absent: -Errno.ENOENT,
  },
  {
    what: 'notifier of copied machines',
    add: 'int register_random_vmfork_notifier(struct notifier_block *nb)',
    remove: 'int unregister_random_vmfork_notifier(struct notifier_block *nb)',
    twice: -Errno.EEXIST,
    absent: -Errno.ENOENT,
  },
  {
    what: 'system core operations',
    add: 'void register_syscore_ops(struct syscore_ops *ops)',
    remove: 'void unregister_syscore_ops(struct syscore_ops *ops)',
  },
  {
    what: 'block cgroup policy',
    add: 'int blkcg_policy_register(struct blkcg_policy *pol)',
    remove: 'void blkcg_policy_unregister(struct blkcg_policy *pol)',
  },
  {
    what: 'frequency governor',
    add: 'int devfreq_add_governor(struct devfreq_governor *governor)',
    remove: 'int devfreq_remove_governor(struct devfreq_governor *governor)',
    twice: -Errno.EEXIST,
    absent: -Errno.ENOENT,
  },
  {
    what: 'transform input',
    add: 'int xfrm_input_register_afinfo(const struct xfrm_input_afinfo *afinfo)',
    remove: 'int xfrm_input_unregister_afinfo(const struct xfrm_input_afinfo *afinfo)',
    twice: -Errno.EEXIST,
    absent: -Errno.EINVAL,
  },
]);

/** Interrupts that cannot be masked never come; a handler is found again by its name. */
const NMI = 'nmi handler';

const nmi = kernelFunctions({
  'int __register_nmi_handler(unsigned int type, struct nmiaction *action)': (k, _type, action) => {
    if (k.read('nmiaction.handler', action) === 0) return -Errno.EINVAL;
    return register(k, NMI, action, k.readString('nmiaction.name', action));
  },
  'void unregister_nmi_handler(unsigned int type, const char *name)': (k, _type, name) =>
    forgetByName(k, name),
});

function forgetByName(k: Linux, name: number): void {
  const wanted = k.memory.cstring(name);
  for (const [at, known] of [...registered(k, NMI)]) if (known === wanted) unregister(k, NMI, at);
}

/** The machine has one virtual console and nothing on it: a blank struct vc_data. */
const CONSOLE_BYTES = 4096;
/** A cpumask of Debian's 8192 processors. */
const CPUMASK_BYTES = 1024;

/** A pointer to the set of processors that has only the first. */
function onlyProcessor(k: Linux, at: Address): void {
  const mask = k.heap.allocateZeroed(CPUMASK_BYTES);
  k.memory.set8(mask, 1);
  k.memory.setPtr(at, mask);
}

export const machineData: readonly DataInitialiser[] = [
  {
    symbol: 'vc_cons',
    when: 'import',
    fill: (k, at) => k.memory.setPtr(at, k.heap.allocateZeroed(CONSOLE_BYTES)),
  },
  // The one processor is alone on its memory node, in its core and in its package.
  { symbol: 'node_to_cpumask_map', when: 'import', fill: onlyProcessor },
  { symbol: 'cpu_sibling_map', when: 'import', fill: (k, at) => onlyProcessor(k, k.percpu.addressOf(at)) },
  { symbol: 'cpu_core_map', when: 'import', fill: (k, at) => onlyProcessor(k, k.percpu.addressOf(at)) },
];

export const machineQueries = new Map([...answers, ...absences, ...pairs, ...nmi]);
