/** moduninstall and mod_uninstall_all (common/os/modctl.c), and the daemon of a DEBUG kernel that unloads by itself. */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Deadline } from '../../kernel/time.ts';
import { MODDEBUG, moddebug } from './configuration.ts';
import { detachDriver } from './devices.ts';
import { Errno, errorName } from './errno.ts';
import { moduleOf } from './krtld.ts';
import { modUnload, refuseByTrust } from './load.ts';
import { LOAD_FLAG, type Modctl } from './modctl.ts';
import type { SolarisModule } from './module.ts';
import { modctls } from './modules.ts';
import { partOf } from './parts.ts';
import { Refusal } from './refusal.ts';
import type { Solaris } from './solaris.ts';
import { CE } from './syslog.ts';
import { moduleGate } from './trust.ts';

/** modunload -i ID. Throws a Refusal. A module that is not in memory is as good as unloaded. */
export function* modUnloadById(k: Solaris, id: number): Steps<void> {
  refuseByTrust(k.state(moduleGate));
  if (id === 0) {
    yield* uninstallAllOnRequest(k);
    return;
  }
  const modctl = k.state(modctls).byId(id);
  if (modctl === undefined) {
    throw new Refusal({
      rule: 'unknown-id',
      errno: Errno.EINVAL,
      why: `No module has the id ${id}.`,
      hint: 'modinfo lists them.',
    });
  }
  if (modctl.get('loaded') === 0 && modctl.get('installed') === 0) return;
  yield* modUninstall(k, modctl);
  modUnload(k, modctl);
}

const refuse = (rule: string, errno: number, why: string, hint: string): never => {
  throw new Refusal({ rule, errno, why, hint });
};

/** moduninstall: the checks in their order, and _fini. */
export function* modUninstall(k: Solaris, modctl: Modctl): Steps<void> {
  checkHolders(k, modctl);
  if (partOf(k, modctl.address) !== undefined) {
    modctl.set('installed', 0);
    return;
  }
  const module = moduleOf(k, modctl);
  if (module === undefined) return;
  if (modctl.get('installed') === 0) return;
  if (!(yield* detachDriver(k, modctl.name))) {
    refuse(
      'attached',
      Errno.EBUSY,
      `An instance of ${modctl.name} did not detach, or is open.`,
      'Close its devices.',
    );
  }
  if (moddebug(k, MODDEBUG.LOADMSG2)) k.syslog.plain('uninstalling %s\n', `uninstalling ${modctl.name}`);
  const fini = finiOf(k, modctl, module);
  modctl.set('busy', 1);
  const status = yield* k.callInt(fini);
  modctl.set('busy', 0);
  if (status !== 0) {
    const errno = status === Errno.EALREADY ? Errno.EINVAL : status;
    const why = `Its _fini returned ${errorName(status)}: it does not want to go now.`;
    refuse('fini', errno, why, 'It has work to do, or something it registered is in use.');
  }
  modctl.set('installed', 0);
  if (moddebug(k, MODDEBUG.LOADMSG)) k.syslog.plain('uninstalled %s\n', `uninstalled ${modctl.name}`);
}

function checkHolders(k: Solaris, modctl: Modctl): void {
  const { name } = modctl;
  if (modctl.get('prim') !== 0)
    refuse(
      'primary',
      Errno.EBUSY,
      `${name} is part of the kernel itself.`,
      'It was there at boot and stays.',
    );
  if (modctl.get('ref') === 0) return;
  const holders = [...k.state(modctls)].filter((one) =>
    one.requisites().some(({ address }) => address === modctl.address),
  );
  const names = holders.map((one) => `${one.name} (id ${one.id})`).join(', ');
  refuse('in-use', Errno.EBUSY, `${name} is needed by ${names}.`, `Unload first: ${names}.`);
}

function finiOf(k: Solaris, modctl: Modctl, module: SolarisModule): number {
  const fini = module.symbols.get('_fini');
  if (fini === undefined || modctl.has(LOAD_FLAG.NOUNLOAD) || moddebug(k, MODDEBUG.FINI_EBUSY)) {
    return refuse(
      'no-fini',
      Errno.EBUSY,
      `${modctl.name} has no _fini: it can never be unloaded.`,
      'It stays.',
    );
  }
  if (k.modules.at(fini.address) !== module) {
    const format = '_fini() not defined properly in %s';
    k.syslog.say(format, format.replace('%s', modctl.file), CE.WARN);
    return refuse('fini-outside', Errno.EFAULT, 'Its _fini lies outside of it.', 'Build the module again.');
  }
  return fini.address;
}

/** mod_uninstall_pass_max */
const MAX_PASSES = 6;

/** mod_uninstall_all: everything that nobody needs and that was not asked for by hand. */
export function* uninstallAll(k: Solaris): Steps<void> {
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    let freed = false;
    for (const modctl of [...k.state(modctls)]) {
      if (!unloadable(modctl)) continue;
      const requisites = modctl.requisites();
      if (!(yield* tryUnload(k, modctl))) continue;
      freed ||= requisites.some((one) => one.get('ref') === 0);
    }
    if (!freed) return;
  }
}

function unloadable(modctl: Modctl): boolean {
  if (modctl.get('loaded') === 0 || modctl.get('prim') !== 0) return false;
  if (modctl.get('ref') !== 0 || modctl.get('busy') !== 0) return false;
  return !modctl.has(LOAD_FLAG.NOAUTOUNLOAD);
}

function* tryUnload(k: Solaris, modctl: Modctl): Steps<boolean> {
  try {
    yield* modUninstall(k, modctl);
  } catch (error) {
    if (error instanceof Refusal) return false;
    throw error;
  }
  modUnload(k, modctl);
  return true;
}

/** The thread that waits to be woken when memory is short, or each minute once a DEBUG kernel was told to unload. */
class Daemon {
  timer: Deadline | undefined;
  runs = 0;
  /** It is at work: some exemptions of moddebug hold for it alone. */
  working = false;
}

const daemon = perKernel<Daemon, Solaris>(() => new Daemon());
const MINUTE = 60;

const variable = (k: Solaris, name: string): number => k.data.address(name) ?? 0;

/** modunload -i 0: at once; the first one on a DEBUG kernel only starts the clock of the daemon. */
function* uninstallAllOnRequest(k: Solaris): Steps<void> {
  const interval = variable(k, 'mod_uninstall_interval');
  if (k.debug && k.memory.u32(interval) === 0) {
    k.memory.set32(interval, MINUTE);
    modReap(k);
    schedule(k);
    return;
  }
  yield* uninstallAll(k);
}

/** modreap: wakes the daemon. */
export function modReap(k: Solaris): void {
  k.spawnThread('mod_uninstall_daemon', daemonRun(k));
}

function* daemonRun(k: Solaris): Steps<void> {
  const state = k.state(daemon);
  state.runs++;
  const disabled = k.memory.i32(variable(k, 'modunload_disable_count')) !== 0;
  if (disabled || moddebug(k, MODDEBUG.NOAUTOUNLOAD)) return;
  state.working = true;
  try {
    yield* uninstallAll(k);
  } finally {
    state.working = false;
  }
}

/** Is it the daemon that unloads now, and nobody's command? */
export const daemonWorks = (k: Solaris): boolean => k.state(daemon).working;

/** How often the daemon has run. */
export const daemonRuns = (k: Solaris): number => k.state(daemon).runs;

/** Sets the daemon's clock: each mod_uninstall_interval seconds, as the variable says then. */
function schedule(k: Solaris): void {
  const seconds = k.memory.u32(variable(k, 'mod_uninstall_interval'));
  const state = k.state(daemon);
  if (state.timer !== undefined) k.time.cancel(state.timer);
  if (seconds === 0) return;
  state.timer = k.time.at(k.time.now() + seconds * 1e9, () => {
    modReap(k);
    schedule(k);
  });
}

/** Starts the clock when /etc/system set an interval. */
export function startDaemon(k: Solaris): void {
  schedule(k);
}
