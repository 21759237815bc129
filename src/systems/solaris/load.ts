/**
 * mod_load and modinstall (common/os/modctl.c): a module comes into memory, is asked for its linkage, gets the values
 * that /etc/system has for it, and is started. The order is the kernel's.
 */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { applyAssignments } from './assign.ts';
import { configuration, MODDEBUG, moddebug } from './configuration.ts';
import { Errno, errorName } from './errno.ts';
import { kobjLoadModule, moduleOf } from './krtld.ts';
import { LOAD_FLAG, type Modctl, moduleName } from './modctl.ts';
import type { SolarisModule } from './module.ts';
import { modctls } from './modules.ts';
import { dropPart, findPart, holdPart, type Part, partOf } from './parts.ts';
import { Refusal } from './refusal.ts';
import type { Solaris } from './solaris.ts';
import { CE } from './syslog.ts';
import { type ModuleGate, moduleGate } from './trust.ts';

export interface LoadRequest {
  /** A path, or with `usePath` a name such as drv/foo that is looked for along the module path. */
  readonly name: string;
  readonly usePath: boolean;
  /** The module goes when nobody needs it any more, unlike one that modload(1M) brought. */
  readonly autoloaded?: boolean;
}

/** Loads and starts; gives the modctl. Throws a Refusal with the errno that the system call returns. */
export function* modLoadAndInstall(k: Solaris, request: LoadRequest): Steps<Modctl> {
  const gate = k.state(moduleGate);
  refuseByTrust(gate);
  const modctl = yield* modLoad(k, request);
  if (request.autoloaded !== true) modctl.set('loadflags', modctl.get('loadflags') | LOAD_FLAG.NOAUTOUNLOAD);
  yield* modInstall(k, modctl);
  return modctl;
}

/** With an immutable zone only what comes in over the trusted path may change the kernel. */
export function refuseByTrust(gate: ModuleGate): void {
  if (!gate.immutable || gate.trustedPath) return;
  throw new Refusal({
    rule: 'trusted-path',
    errno: Errno.EPERM,
    why: 'The global zone is immutable, and the request does not come over the trusted path.',
    hint: 'Give the command from the trusted path domain: tpd COMMAND (on Solaris: zlogin -T).',
  });
}

/** The file that a name stands for (kobj_open_path): in each directory first the one of the kernel's own width. */
export function findModule(
  k: Solaris,
  { name, usePath }: LoadRequest,
): { path: string; bytes: Uint8Array } | undefined {
  const { files, modulePath } = k.state(configuration);
  const candidates = usePath && !name.startsWith('/') ? candidatesOf(k, name, modulePath) : [name];
  for (const path of candidates) {
    const bytes = files.read(path);
    if (bytes !== undefined) return { path, bytes };
  }
  return undefined;
}

function candidatesOf(k: Solaris, name: string, path: readonly string[]): string[] {
  const plain = path.map((directory) => `${directory}/${name}`);
  if (k.bits === 32) return plain;
  const slash = name.lastIndexOf('/');
  const wide = `${name.slice(0, slash + 1)}amd64/${name.slice(slash + 1)}`;
  return [...path.map((directory) => `${directory}/${wide}`), ...plain];
}

/** mod_load: the module is in memory afterwards, and has not run. */
export function* modLoad(k: Solaris, request: LoadRequest): Steps<Modctl> {
  const all = k.state(modctls);
  const modname = moduleName(request.name);
  const modctl = all.hold(request.name);
  if (modctl.get('loaded') !== 0) return modctl;
  if (modctl.get('busy') !== 0) {
    throw new Refusal({
      rule: 'circular',
      errno: Errno.EBUSY,
      why: `${modname} is being loaded already: its dependencies go round in a circle.`,
      hint: 'Move what both need into a module of its own.',
    });
  }
  checkExcluded(k, modctl, request.name);
  modctl.set('busy', 1);
  try {
    yield* bringIn(k, modctl, request);
  } catch (error) {
    if (error instanceof Refusal && moddebug(k, MODDEBUG.ERRMSG))
      k.syslog.plain(
        "error loading '%s', error %d\n",
        `error loading '${modctl.file || request.name}', error ${error.errno}`,
      );
    throw error;
  } finally {
    modctl.set('busy', 0);
  }
  return modctl;
}

function checkExcluded(k: Solaris, modctl: Modctl, name: string): void {
  const { excluded } = k.state(configuration);
  if (!excluded.some((one) => one === name || one === modctl.name)) return;
  if (moddebug(k, MODDEBUG.LOADMSG)) {
    const text = `module ${name}(${modctl.name}) is EXCLUDED and will not be loaded`;
    k.syslog.plain('module %s(%s) is EXCLUDED and will not be loaded\n', text);
  }
  throw new Refusal({
    rule: 'excluded',
    errno: Errno.ENXIO,
    why: `/etc/system excludes ${modctl.name}.`,
    hint: 'Take the exclude line out and boot again.',
  });
}

function* bringIn(k: Solaris, modctl: Modctl, request: LoadRequest): Steps<void> {
  const found = findModule(k, request);
  const part = found === undefined ? findPart(request.name) : undefined;
  if (part !== undefined) {
    loadPart(k, modctl, part);
    return;
  }
  if (found === undefined) {
    const where = request.usePath ? ` along ${k.state(configuration).modulePath.join(' ')}` : '';
    throw new Refusal({
      rule: 'not-found',
      errno: Errno.ENOENT,
      why: `There is no file ${request.name}${where}.`,
      hint: '64-bit modules lie in a directory amd64 below that of their class; with -p give class and name: drv/foo.',
    });
  }
  if (moddebug(k, MODDEBUG.LOADMSG2))
    k.syslog.plain("loading '%s' id %d\n", `loading '${request.name}' id ${modctl.id}`);
  modctl.file = found.path;
  const module = yield* kobjLoadModule(k, {
    ...found,
    modctl,
    signatures: k.state(moduleGate),
    dependency: (name) => loadDependency(k, name),
  });
  modctl.set('loaded', 1);
  modctl.set('loadcnt', modctl.get('loadcnt') + 1);
  modctl.set('text', module.text.address);
  modctl.set('text_size', module.text.size);
  if (moddebug(k, MODDEBUG.LOADMSG)) {
    const format = "load '%s' id %d loaded @ 0x%p/0x%p size %d/%d\n";
    k.syslog.plain(format, `load ${placeText(k, modctl, module)}`);
  }
  yield* askLinkage(k, modctl, module);
  applyAssignments(k, module);
}

/** What moddebug shows of a module in memory. */
function placeText(k: Solaris, modctl: Modctl, { text, data }: SolarisModule): string {
  const at = (value: Address) => BigInt.asUintN(k.bits, BigInt(value)).toString(16);
  const where = `0x${at(text.address)}/0x${at(data.address)}`;
  return `'${modctl.file}' id ${modctl.id} loaded @ ${where} size ${text.size}/${data.size}`;
}

/** A module of the system itself, for which the base kernel stands: there is nothing to link. */
function loadPart(k: Solaris, modctl: Modctl, part: Part): void {
  const isa = k.bits === 64 ? 'amd64/' : '';
  modctl.file = `/kernel/${part.name.replace('/', `/${isa}`)}`;
  holdPart(k, modctl.address, part);
  modctl.set('loaded', 1);
  modctl.set('loadcnt', modctl.get('loadcnt') + 1);
  modctl.set('text', k.map.gates.base);
}

/** A dependency that cannot be loaded is left out: the symbols tell whether it mattered (do_dependents). */
function* loadDependency(k: Solaris, name: string): Steps<Modctl | undefined> {
  try {
    return yield* modLoad(k, { name, usePath: true, autoloaded: true });
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}

/** _info with MI_INFO_LINKAGE: where the module's modlinkage lies. A module without _info has none until it starts. */
function* askLinkage(k: Solaris, modctl: Modctl, module: SolarisModule): Steps<void> {
  const info = yield* callInfo(k, module, MI.LINKAGE);
  modctl.set('linkage', info === undefined ? 0 : k.read('modinfo.mi_base', info));
  if (info !== undefined) k.heap.free(info);
}

/** mi_info (sys/modctl.h). */
export const MI = { ONE: 1, ALL: 2, CNT: 4, LINKAGE: 8, NOBASE: 16 } as const;

/** Calls _info; gives a struct modinfo that the caller frees, or undefined when the module did not answer. */
export function* callInfo(k: Solaris, module: SolarisModule, what: number): Steps<Address | undefined> {
  const entry = module.symbols.get('_info');
  if (entry === undefined || k.modules.at(entry.address) !== module) {
    const format = '_info() not defined properly in %s';
    const { file } = k.state(modctls).byAddress(module.control) ?? { file: module.name };
    k.syslog.say(format, format.replace('%s', file), CE.WARN);
    return undefined;
  }
  const info = k.heap.take(k.sizeof('modinfo'));
  k.write('modinfo.mi_info', info, what);
  if ((yield* k.callInt(entry.address, info)) === 1) return info;
  k.heap.free(info);
  return undefined;
}

/** modinstall: first what it needs, then _init. A module whose _init fails is taken out of memory again. */
export function* modInstall(k: Solaris, modctl: Modctl): Steps<void> {
  if (modctl.get('installed') !== 0) return;
  if (partOf(k, modctl.address) !== undefined) {
    modctl.set('installed', 1);
    return;
  }
  const module = moduleOf(k, modctl);
  if (module === undefined) throw new Error(`${modctl.name} is marked as loaded, but is not in memory`);
  if (moddebug(k, MODDEBUG.LOADMSG)) {
    const text = `installing ${modctl.name}, module id ${modctl.id}.`;
    k.syslog.plain('installing %s, module id %d.\n', text);
  }
  modctl.set('busy', 1);
  try {
    yield* installRequisites(k, modctl);
    yield* start(k, modctl, module);
  } catch (error) {
    if (error instanceof Refusal) modUnload(k, modctl);
    throw error;
  } finally {
    modctl.set('busy', 0);
  }
  modctl.set('installed', 1);
}

function* installRequisites(k: Solaris, modctl: Modctl): Steps<void> {
  for (const needed of modctl.requisites()) {
    try {
      if (needed.get('busy') === 0) yield* modInstall(k, needed);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      throw new Refusal({
        rule: 'requisite',
        errno: Errno.ENXIO,
        why: `${needed.name}, which it needs, did not start: ${error.why}`,
        hint: error.hint,
      });
    }
  }
}

function* start(k: Solaris, modctl: Modctl, module: SolarisModule): Steps<void> {
  if (moddebug(k, MODDEBUG.ERRMSG)) {
    const format = "init '%s' id %d loaded @ 0x%p/0x%p size %lu/%lu\n";
    k.syslog.plain(format, `init ${placeText(k, modctl, module)}`);
  }
  const init = module.symbols.get('_init');
  if (init === undefined || k.modules.at(init.address) !== module) {
    k.syslog.say(
      '_init() not defined properly in %s',
      `_init() not defined properly in ${modctl.file}`,
      CE.WARN,
    );
    throw new Refusal({
      rule: 'no-init',
      errno: Errno.EFAULT,
      why: 'It has no _init of its own.',
      hint: 'Every module defines int _init(void), which calls mod_install.',
    });
  }
  const status = yield* k.callInt(init.address);
  if (status === 0) return;
  if (moddebug(k, MODDEBUG.ERRMSG))
    k.syslog.plain(
      'loadmodule:%s(%s): _init() error %d\n',
      `loadmodule:${modctl.file}(${modctl.name}): _init() error ${status}`,
    );
  throw new Refusal({
    rule: 'init',
    errno: status,
    why: `Its _init returned ${errorName(status)}: it did not want to start.`,
    hint: 'Messages before this one may say why; a driver must be in /etc/name_to_major first (add_drv).',
  });
}

/** mod_unload: memory and requisites are given back; the modctl stays. */
export function modUnload(k: Solaris, modctl: Modctl): void {
  const module = moduleOf(k, modctl);
  if (moddebug(k, MODDEBUG.LOADMSG)) {
    const count = modctl.get('loadcnt');
    const text = `unloading ${modctl.name}, module id ${modctl.id}, loadcnt ${count}.`;
    k.syslog.plain('unloading %s, module id %d, loadcnt %d.\n', text);
  }
  const freed = k.state(modctls).releaseRequisites(modctl);
  module?.release();
  dropPart(k, modctl.address);
  for (const field of ['loaded', 'linkage', 'mp', 'text', 'text_size', 'delay_unload'] as const)
    modctl.set(field, 0);
  for (const one of freed) if (one.get('delay_unload') !== 0 && one.get('installed') === 0) modUnload(k, one);
}
