/**
 * mod_install, mod_remove, mod_info (9F), and the operations behind the linkages (common/os/modconf.c). A linkage begins
 * with the address of its kind's mod_ops; these hold the addresses of the functions below, so that a module with
 * operations of its own is served in the same way.
 */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { configuration, MODDEBUG, moddebug } from '../configuration.ts';
import { driverOps, instancesOf, setDriverOps } from '../devices.ts';
import { Errno } from '../errno.ts';
import { FS_SLOTS, type FsSlot, findFsType, freeFsSlot, fsSlot, initialiseFs } from '../filesystems.ts';
import { MI } from '../load.ts';
import type { Modctl } from '../modctl.ts';
import { modctls } from '../modules.ts';
import type { Solaris } from '../solaris.ts';
import { registerStrmod, strmodsOf, unregisterStrmod } from '../streams.ts';
import { SYSENT_LOADED, sysentOf } from '../syscalls.ts';
import { CE } from '../syslog.ts';
import { daemonWorks } from '../unload.ts';
import { kernelFunctions } from './define.ts';

const MODREV_1 = 1;
const D_MP = 0x20;
const SYS_LINKINFO = 32;

/** Linkages of a modlinkage, up to the null pointer or the end of the array. */
function linkages(k: Solaris, modlinkage: Address): Address[] {
  const list = k.field('modlinkage.ml_linkage');
  const found: Address[] = [];
  for (let i = 0; i < (list.count ?? 0); i++) {
    const at = k.memory.ptr(modlinkage + list.offset + i * k.word);
    if (at === 0) break;
    found.push(at);
  }
  return found;
}

type Operation = 'modm_install' | 'modm_remove' | 'modm_info';

function* operate(k: Solaris, which: Operation, linkage: Address, ...more: number[]): Steps<number> {
  const ops = k.read('modlany.ops', linkage);
  return yield* k.callInt(k.read(`mod_ops.${which}`, ops), linkage, ...more);
}

function* install(k: Solaris, modlinkage: Address): Steps<number> {
  if (k.read('modlinkage.ml_rev', modlinkage) !== MODREV_1) {
    const text = 'mod_install:  modlinkage structure is not MODREV_1';
    k.syslog.plain(`${text}\n`, text);
    return Errno.EINVAL;
  }
  const all = linkages(k, modlinkage);
  if (all.length === 0) return -1;
  for (const [i, linkage] of all.entries()) {
    const status = yield* operate(k, 'modm_install', linkage, modlinkage);
    if (status === 0) continue;
    for (const earlier of all.slice(0, i)) yield* operate(k, 'modm_remove', earlier, modlinkage);
    return status;
  }
  return 0;
}

function* remove(k: Solaris, modlinkage: Address): Steps<number> {
  const all = linkages(k, modlinkage);
  for (const [i, linkage] of all.entries()) {
    const status = yield* operate(k, 'modm_remove', linkage, modlinkage);
    if (status === 0) continue;
    for (const earlier of all.slice(0, i)) {
      if ((yield* operate(k, 'modm_install', earlier, modlinkage)) === 0) continue;
      const format = 'Could not reinstall %s\nReboot to correct the problem';
      k.syslog.say(format, format.replace('%s', k.readString('modlany.linkinfo', earlier)), CE.WARN);
      break;
    }
    return status;
  }
  return 0;
}

/** Size of msi_linkinfo, with its NUL. */
function* info(k: Solaris, modlinkage: Address, modinfo: Address): Steps<number> {
  if ((k.read('modinfo.mi_info', modinfo) & MI.LINKAGE) !== 0) {
    k.write('modinfo.mi_base', modinfo, modlinkage);
    return 1;
  }
  k.write('modinfo.mi_rev', modinfo, k.read('modlinkage.ml_rev', modlinkage));
  const entry = k.field('modinfo.mi_msinfo');
  const size = entry.elementSize ?? 0;
  for (const [i, linkage] of linkages(k, modlinkage).entries()) {
    const at = modinfo + entry.offset + i * size;
    const p0 = at + SYS_LINKINFO;
    k.memory.set32(p0, -1);
    if ((yield* operate(k, 'modm_info', linkage, modlinkage, p0)) !== 0) return 0;
    const text = new TextEncoder()
      .encode(k.readString('modlany.linkinfo', linkage))
      .subarray(0, SYS_LINKINFO - 1);
    k.memory.write(at, new Uint8Array(SYS_LINKINFO));
    k.memory.write(at, text);
  }
  return 1;
}

/** The module whose modlinkage this is (mod_getctl). */
export function ownerOf(k: Solaris, modlinkage: Address): Modctl | undefined {
  for (const one of k.state(modctls)) if (one.get('linkage') === modlinkage) return one;
  // _info comes before _init, but a module without one is known by where its linkage lies.
  const module = k.modules.at(modlinkage);
  return module === undefined ? undefined : k.state(modctls).byAddress(module.control);
}

const warn = (k: Solaris, format: string, name: string): void =>
  k.syslog.say(format, format.replace('%s', name), CE.WARN);

// -- drivers ------------------------------------------------------------------------------------------------

function majorOf(k: Solaris, modlinkage: Address): { name: string; major: number | undefined } | undefined {
  const owner = ownerOf(k, modlinkage);
  if (owner === undefined) return undefined;
  return { name: owner.name, major: k.state(configuration).majors.get(owner.name) };
}

function installDriver(k: Solaris, linkage: Address, modlinkage: Address): number {
  const driver = majorOf(k, modlinkage);
  if (driver === undefined) {
    warn(k, 'mod_install: bad module linkage data', '');
    return Errno.ENXIO;
  }
  const { name, major } = driver;
  if (major === undefined) {
    if (k.debug) warn(k, 'mod_installdrv: no major number for %s', name);
    return Errno.ENXIO;
  }
  const ops = k.read('modlany.data', linkage);
  const cb = k.read('dev_ops.devo_cb_ops', ops);
  if (cb !== 0 && (k.read('cb_ops.cb_flag', cb) & D_MP) === 0) {
    warn(k, "mod_installdrv: MT-unsafe driver '%s' rejected", name);
    return Errno.ENXIO;
  }
  if (driverOps(k, major) !== 0) {
    warn(k, 'mod_installdrv: driver already installed %s', name);
    return Errno.EALREADY;
  }
  setDriverOps(k, major, ops);
  return 0;
}

/** Does moddebug keep modules of a kind, and is that so for whoever unloads? */
const kept = (k: Solaris, bit: number, byDaemonAlone = false): boolean =>
  moddebug(k, bit) && (!byDaemonAlone || daemonWorks(k));

function removeDriver(k: Solaris, linkage: Address, modlinkage: Address): number {
  if (kept(k, MODDEBUG.NOAUL_DRV, true)) return Errno.EBUSY;
  const driver = majorOf(k, modlinkage);
  if (driver?.major === undefined) {
    warn(k, 'Cannot uninstall %s; not installed', ownerOf(k, modlinkage)?.name ?? '');
    return Errno.EINVAL;
  }
  const ops = driverOps(k, driver.major);
  if (ops !== k.read('modlany.data', linkage)) {
    const format = 'mod_removedrv: mismatched driver for %s';
    k.syslog.say(format, format.replace('%s', driver.name), CE.NOTE);
    return Errno.EBUSY;
  }
  if (instancesOf(k, driver.major).some((dip) => k.read('dev_info.devi_ref', dip) > 0)) return Errno.EBUSY;
  setDriverOps(k, driver.major, 0);
  return 0;
}

// -- system calls -------------------------------------------------------------------------------------------

function sysentFor(k: Solaris, modlinkage: Address): { number: number; at: Address } | undefined {
  const name = ownerOf(k, modlinkage)?.name ?? '';
  const number = k.state(configuration).sysnums.get(name);
  return number === undefined ? undefined : { number, at: sysentOf(k, number) };
}

function installCall(k: Solaris, linkage: Address, modlinkage: Address): number {
  const slot = sysentFor(k, modlinkage);
  if (slot === undefined) {
    warn(k, 'system call missing from bind file', '');
    return Errno.ENOSPC;
  }
  if ((k.read('sysent.sy_flags', slot.at) & SYSENT_LOADED) !== 0) return Errno.EEXIST;
  const from = k.read('modlany.data', linkage);
  k.memory.write(slot.at, k.memory.bytes(from, k.sizeof('sysent')));
  k.write('sysent.sy_flags', slot.at, k.read('sysent.sy_flags', from) | SYSENT_LOADED);
  return 0;
}

const SE_NOUNLOAD = 0x20;

function removeCall(k: Solaris, linkage: Address, modlinkage: Address): number {
  const slot = sysentFor(k, modlinkage);
  const own = k.read('sysent.sy_call', k.read('modlany.data', linkage));
  if (slot === undefined || k.read('sysent.sy_call', slot.at) !== own) {
    warn(k, 'Cannot uninstall %s; not installed', ownerOf(k, modlinkage)?.name ?? '');
    return Errno.EINVAL;
  }
  if (kept(k, MODDEBUG.NOAUL_SYS)) return Errno.EBUSY;
  if ((k.read('sysent.sy_flags', slot.at) & SE_NOUNLOAD) !== 0) return Errno.EBUSY;
  k.memory.fill(slot.at, k.sizeof('sysent'), 0);
  return 0;
}

// -- file systems -------------------------------------------------------------------------------------------

const VFSDEF_VERSION = 5;

function* installFs(k: Solaris, linkage: Address): Steps<number> {
  const definition = k.read('modlany.data', linkage);
  const name = k.readString('vfsdef.name', definition);
  if (k.read('vfsdef.def_version', definition) !== VFSDEF_VERSION) {
    warn(k, "file system '%s' version mismatch", name);
    return Errno.ENXIO;
  }
  let slot: FsSlot | undefined = findFsType(k, name);
  slot ??= freeFsSlot(k, name);
  if (slot === undefined) {
    warn(k, "no room for '%s' in vfssw!", name);
    return Errno.ENXIO;
  }
  if (k.read('vfsdef.init', definition) === 0) {
    warn(k, "file system '%s' does not have an init routine", name);
    return Errno.EFAULT;
  }
  return yield* initialiseFs(k, slot, definition);
}

function removeFs(k: Solaris, linkage: Address, modlinkage: Address): number {
  if (kept(k, MODDEBUG.NOAUL_FS)) return Errno.EBUSY;
  const slot = findFsType(k, k.readString('vfsdef.name', k.read('modlany.data', linkage)));
  if (slot === undefined) {
    warn(k, 'Cannot uninstall %s; not installed', ownerOf(k, modlinkage)?.name ?? '');
    return Errno.EINVAL;
  }
  if (k.read('vfssw.vsw_count', slot.at) > 1) return Errno.EBUSY;
  k.heap.free(k.read('vfssw.vsw_name', slot.at));
  k.memory.fill(slot.at, k.sizeof('vfssw'), 0);
  return 0;
}

function fsIndex(k: Solaris, linkage: Address): number {
  const name = k.readString('vfsdef.name', k.read('modlany.data', linkage));
  for (let i = 1; i < FS_SLOTS; i++) {
    const at = fsSlot(k, i);
    if (k.read('vfssw.vsw_name', at) !== 0 && k.readString('vfssw.vsw_name', at) === name) return i;
  }
  return -1;
}

// -- STREAMS modules ----------------------------------------------------------------------------------------

function installStrmod(k: Solaris, linkage: Address): number {
  const fmodsw = k.read('modlany.data', linkage);
  const name = k.readString('fmodsw.f_name', fmodsw);
  if ((k.read('fmodsw.f_flag', fmodsw) & D_MP) === 0) {
    warn(k, "mod_install: MT-unsafe strmod '%s' rejected", name);
    return Errno.ENXIO;
  }
  return registerStrmod(k, name, fmodsw) ? 0 : Errno.EEXIST;
}

function removeStrmod(k: Solaris, linkage: Address): number {
  if (kept(k, MODDEBUG.NOAUL_STR)) return Errno.EBUSY;
  const name = k.readString('fmodsw.f_name', k.read('modlany.data', linkage));
  if (strmodsOf(k).get(name)?.used) return Errno.EBUSY;
  unregisterStrmod(k, name);
  return 0;
}

const unnumbered = (): number => 0;

/** The p0 of a linkage: the Info column of modinfo(1M). */
const setP0 = (k: Solaris, at: Address, value: number | undefined): number => {
  k.memory.set32(at, value ?? -1);
  return 0;
};

export const moduleCalls = kernelFunctions({
  'int mod_install(struct modlinkage *linkage)': install,
  'int mod_remove(struct modlinkage *linkage)': remove,
  'int mod_info(struct modlinkage *linkage, struct modinfo *info)': info,
  'int mod_installdrv(void *linkage, struct modlinkage *modlinkage)': installDriver,
  'int mod_removedrv(void *linkage, struct modlinkage *modlinkage)': removeDriver,
  'int mod_infodrv(void *linkage, struct modlinkage *modlinkage, int *p0)': (k, _linkage, modlinkage, p0) =>
    setP0(k, p0, majorOf(k, modlinkage)?.major),
  'int mod_installsys(void *linkage, struct modlinkage *modlinkage)': installCall,
  'int mod_removesys(void *linkage, struct modlinkage *modlinkage)': removeCall,
  'int mod_infosys(void *linkage, struct modlinkage *modlinkage, int *p0)': (k, _linkage, modlinkage, p0) =>
    setP0(k, p0, sysentFor(k, modlinkage)?.number),
  'int mod_installfs(void *linkage, struct modlinkage *modlinkage)': installFs,
  'int mod_removefs(void *linkage, struct modlinkage *modlinkage)': removeFs,
  'int mod_infofs(void *linkage, struct modlinkage *modlinkage, int *p0)': (k, linkage, _modlinkage, p0) =>
    setP0(k, p0, fsIndex(k, linkage)),
  'int mod_installstrmod(void *linkage, struct modlinkage *modlinkage)': installStrmod,
  'int mod_removestrmod(void *linkage, struct modlinkage *modlinkage)': removeStrmod,
  'int mod_infonull(void *linkage, struct modlinkage *modlinkage, int *p0)': unnumbered,
  'int mod_null(void *linkage, struct modlinkage *modlinkage)': unnumbered,
  'struct modctl *mod_getctl(struct modlinkage *linkage)': (k, modlinkage) =>
    ownerOf(k, modlinkage)?.address ?? 0,
  'const char *mod_modname(struct modlinkage *linkage)': (k, modlinkage) => {
    const owner = ownerOf(k, modlinkage);
    return owner === undefined ? 0 : k.read('modctl.mod_modname', owner.address);
  },
  'id_t mod_name_to_modid(char *name)': (k, name) =>
    k.state(modctls).byName(k.memory.cstring(name))?.id ?? -1,
  'struct modctl *mod_hold_by_id(id_t id)': (k, id) => k.state(modctls).byId(id)?.address ?? 0,
  'void mod_release_mod(struct modctl *modctl)': () => undefined,
});

/** `mod_driverops` and its like: which functions each kind of linkage has. */
export const LINKAGE_OPERATIONS: Readonly<
  Record<string, readonly [install: string, remove: string, info: string]>
> = {
  mod_driverops: ['mod_installdrv', 'mod_removedrv', 'mod_infodrv'],
  mod_syscallops: ['mod_installsys', 'mod_removesys', 'mod_infosys'],
  mod_syscallops32: ['mod_null', 'mod_null', 'mod_infosys'],
  mod_fsops: ['mod_installfs', 'mod_removefs', 'mod_infofs'],
  mod_strmodops: ['mod_installstrmod', 'mod_removestrmod', 'mod_infonull'],
  mod_miscops: ['mod_null', 'mod_null', 'mod_infonull'],
  mod_cryptoops: ['mod_null', 'mod_null', 'mod_infonull'],
  mod_schedops: ['mod_installsched', 'mod_removesched', 'mod_infosched'],
  mod_execops: ['mod_installexec', 'mod_removeexec', 'mod_infoexec'],
  mod_cpuops: ['mod_installcpu', 'mod_removecpu', 'mod_infonull'],
  mod_dacfops: ['mod_installdacf', 'mod_removedacf', 'mod_infonull'],
  mod_pcbeops: ['mod_installpcbe', 'mod_removepcbe', 'mod_infonull'],
  mod_brandops: ['mod_installbrand', 'mod_removebrand', 'mod_infonull'],
  mod_ippops: ['mod_installipp', 'mod_removeipp', 'mod_infonull'],
  mod_sockmodops: ['mod_installsockmod', 'mod_removesockmod', 'mod_infonull'],
  mod_kiconvops: ['mod_installkiconv', 'mod_removekiconv', 'mod_infonull'],
};
