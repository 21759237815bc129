/** add_drv(1M), rem_drv(1M), update_drv(1M): the tables in /etc, and the kernel's own bindings. Words of errmsg.h. */
import type { Steps } from '../../kernel/steps.ts';
import { configuration, textOf } from '../../systems/solaris/configuration.ts';
import {
  attachDriver,
  bindHardware,
  detachDriver,
  findConf,
  instancesOf,
  isAttached,
  loadDriverConf,
  MAX_MAJOR,
  removeNodes,
} from '../../systems/solaris/devices.ts';
import { errorText } from '../../systems/solaris/errno.ts';
import {
  freeNumber,
  parseNumbers,
  permissionLine,
  withLine,
  withoutName,
} from '../../systems/solaris/etc/name-files.ts';
import { hardwareOf } from '../../systems/solaris/hardware.ts';
import { findModule } from '../../systems/solaris/load.ts';
import { LOAD_FLAG } from '../../systems/solaris/modctl.ts';
import { modctls } from '../../systems/solaris/modules.ts';
import { Refusal } from '../../systems/solaris/refusal.ts';
import { moduleGate } from '../../systems/solaris/trust.ts';
import { modUnloadById } from '../../systems/solaris/unload.ts';
import type { ToolResult } from '../system.ts';
import { type CommandRow, done, failed } from './results.ts';
import type { SolarisSession } from './session.ts';

const FILES = {
  major: '/etc/name_to_major',
  removed: '/etc/rem_name_to_major',
  aliases: '/etc/driver_aliases',
  classes: '/etc/driver_classes',
  permissions: '/etc/minor_perm',
} as const;

const NOT_ROOT = 'You must be root to run this program.';

const ADD_USAGE = [
  'usage:\tadd_drv [ -m <permission list> ] [ -n ] [ -f ] [ -v ]',
  "\t\t[ -i '<identify_name list>' ] [ -b <basedir> ]",
  '\t\t[ -c <class_name> ] [ -p <policy> ] [ -P <privileges> ] <driver_module>',
].join('\n');
const REM_USAGE = 'usage:\trem_drv [ -n ] [ -C ] [ -b <basedir> ] <driver_name>';
const UPDATE_USAGE = [
  'usage:\tupdate_drv [ -f | -v ] [ -n ] <driver_module>',
  "\tupdate_drv -a [ -f | -v ] [ -n ] [ -m <permission list> ] [ -i '<identify_name list>' ] <driver_module>",
  "\tupdate_drv -d [ -f | -v ] [ -n ] [ -m <permission list> ] [ -i '<identify_name list>' ] <driver_module>",
].join('\n');

interface Options {
  readonly flags: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, string>;
  readonly driver: string;
}

/** getopt(3C): letters with and without a value, and one driver. */
function optionsOf(args: readonly string[], plain: string, valued: string): Options | undefined {
  const flags = new Set<string>();
  const values = new Map<string, string>();
  let i = 0;
  for (; i < args.length && /^-./.test(args[i]); i++) {
    const letters = args[i].slice(1);
    for (let at = 0; at < letters.length; at++) {
      const letter = letters[at];
      if (plain.includes(letter)) flags.add(letter);
      else if (valued.includes(letter)) {
        const value = at + 1 < letters.length ? letters.slice(at + 1) : args[++i];
        if (value === undefined) return undefined;
        values.set(letter, value);
        break;
      } else return undefined;
    }
  }
  return i === args.length - 1 && args[i] !== '' ? { flags, values, driver: args[i] } : undefined;
}

const read = (session: SolarisSession, path: string): string => textOf(session.files.read(path));
const write = (session: SolarisSession, path: string, text: string): void =>
  session.files.write(path, new TextEncoder().encode(text));
const append = (session: SolarisSession, path: string, line: string): void =>
  write(session, path, withLine(read(session, path), line));

/** Privilege, and the trusted path of an immutable zone. */
function refusedToAll(session: SolarisSession): ToolResult | undefined {
  if (!session.isRoot) return failed(NOT_ROOT);
  const gate = session.kernel.state(moduleGate);
  if (gate.immutable && !gate.trustedPath) {
    const note = 'the global zone is immutable: give the command over the trusted path (tpd COMMAND)';
    return failed(`cannot open (${FILES.major}): ${errorText(30)}`, 1, note);
  }
  return undefined;
}

/** `'a b'` or `'"pci11c1,480" "pci1"'`: words, quoted or not. */
const words = (text: string): string[] =>
  [...text.matchAll(/"([^"]+)"|(\S+)/g)].map((match) => match[1] ?? match[2]);

function addDriver(session: SolarisSession, args: readonly string[]): ToolResult {
  const options = optionsOf(args, 'nfv', 'mibcpP');
  if (options === undefined) return failed(ADD_USAGE);
  const refused = refusedToAll(session) ?? checkNew(session, options);
  if (refused !== undefined) return refused;
  const { flags } = options;
  const { majors } = session.kernel.state(configuration);
  const major = freeNumber(new Map([...majors, ...parseNumbers(read(session, FILES.removed))]));
  if (major >= MAX_MAJOR) return failed('No available major numbers.');
  bind(session, options, major);
  if (flags.has('n')) return done();
  return attach(session, options);
}

/** What is checked before anything is changed. */
function checkNew(session: SolarisSession, { driver, values }: Options): ToolResult | undefined {
  const state = session.kernel.state(configuration);
  if (findModule(session.kernel, { name: `drv/${driver}`, usePath: true }) === undefined)
    return failed(`Cannot find module (${driver}).`);
  if (state.majors.has(driver)) return failed(`Driver (${driver}) is already installed.`);
  for (const alias of words(values.get('i') ?? '')) {
    if (state.aliases.has(alias) || state.majors.has(alias))
      return failed(`("${alias}") already in use as a driver or alias.`);
  }
  for (const permission of (values.get('m') ?? '').split(',').filter((one) => one !== ''))
    if (permissionLine(driver, permission) === undefined)
      return failed(`Option (-m) : missing token: (${permission})`);
  return undefined;
}

/** The files, and MODADDMAJBIND: the kernel knows the number from now on. */
function bind(session: SolarisSession, { driver, values }: Options, major: number): void {
  const state = session.kernel.state(configuration);
  append(session, FILES.major, `${driver} ${major}`);
  write(session, FILES.removed, withoutName(read(session, FILES.removed), driver));
  state.majors.set(driver, major);
  addAliases(session, driver, values.get('i'));
  for (const name of words(values.get('c') ?? '')) append(session, FILES.classes, `${driver}\t${name}`);
  addPermissions(session, driver, values.get('m'));
}

function addAliases(session: SolarisSession, driver: string, text = ''): void {
  for (const alias of words(text)) {
    append(session, FILES.aliases, `${driver} "${alias}"`);
    session.kernel.state(configuration).aliases.set(alias, driver);
  }
}

function addPermissions(session: SolarisSession, driver: string, text = ''): void {
  for (const one of text.split(',')) {
    const line = permissionLine(driver, one);
    if (line !== undefined) append(session, FILES.permissions, line);
  }
}

function attach(session: SolarisSession, { driver, flags }: Options): ToolResult {
  const { kernel } = session;
  loadDriverConf(kernel, driver);
  bindHardware(kernel);
  return session.process(
    'add_drv',
    (function* (): Steps<ToolResult> {
      const attached = yield* attachDriver(kernel, driver);
      if (attached > 0) return done(flags.has('v') ? `Driver (${driver}) installed.\n` : '');
      const text = `Warning: Driver (${driver}) successfully added to system but failed to attach`;
      const major = kernel.state(configuration).majors.get(driver) ?? -1;
      const note = instancesOf(kernel, major).some((dip) => hardwareOf(kernel, dip) !== undefined)
        ? 'its device is there, but nobody answers behind the registers: what is read is all ones'
        : findConf(kernel, driver) === undefined
          ? 'no device of it is there, and no driver.conf makes one: parent="pseudo" in /usr/kernel/drv/NAME.conf would'
          : undefined;
      return { code: 0, out: '', err: `${text}\n`, note };
    })(),
  );
}

function removeDriver(session: SolarisSession, args: readonly string[]): ToolResult {
  const options = optionsOf(args, 'nC', 'b');
  if (options === undefined) return failed(REM_USAGE);
  const refused = refusedToAll(session);
  if (refused !== undefined) return refused;
  const { kernel } = session;
  const { driver, flags } = options;
  const state = kernel.state(configuration);
  const major = state.majors.get(driver);
  if (major === undefined) return failed(`Driver (${driver}) not installed.`);
  const unloaded = flags.has('n') ? done() : unloadForRemoval(session, driver);
  for (const path of [FILES.major, FILES.aliases, FILES.classes, FILES.permissions])
    write(session, path, withoutName(read(session, path), driver));
  if (unloaded.err !== '') {
    // It is still in memory: its number stays its own until the next boot.
    append(session, FILES.removed, `${driver} ${major}`);
    return { ...unloaded, code: 0 };
  }
  state.majors.delete(driver);
  for (const [alias, name] of [...state.aliases]) if (name === driver) state.aliases.delete(alias);
  removeNodes(kernel, major);
  return done();
}

function unloadForRemoval(session: SolarisSession, driver: string): ToolResult {
  const { kernel } = session;
  const modctl = kernel.state(modctls).byName(driver);
  return session.process(
    'rem_drv',
    (function* (): Steps<ToolResult> {
      const still = `Cannot unload module: ${driver}\nWill be unloaded upon reboot.\n`;
      if (!(yield* detachDriver(kernel, driver))) return { code: 0, out: '', err: still };
      if (modctl === undefined || modctl.get('loaded') === 0) return done();
      modctl.set('loadflags', modctl.get('loadflags') & ~LOAD_FLAG.NOAUTOUNLOAD);
      try {
        yield* modUnloadById(kernel, modctl.id);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        return { code: 0, out: '', err: still, note: error.why };
      }
      return done();
    })(),
  );
}

function updateDriver(session: SolarisSession, args: readonly string[]): ToolResult {
  const options = optionsOf(args, 'adfnv', 'mibpP');
  if (options === undefined || (options.flags.has('a') && options.flags.has('d')))
    return failed(UPDATE_USAGE);
  const refused = refusedToAll(session);
  if (refused !== undefined) return refused;
  const { driver, flags, values } = options;
  const state = session.kernel.state(configuration);
  if (!state.majors.has(driver)) return failed(`Driver (${driver}) not installed.`);
  if (flags.has('a')) {
    for (const alias of words(values.get('i') ?? ''))
      if (state.aliases.has(alias)) return failed(`("${alias}") already in use as a driver or alias.`);
    addAliases(session, driver, values.get('i'));
    addPermissions(session, driver, values.get('m'));
    return done();
  }
  if (flags.has('d')) return removeBindings(session, options);
  return flags.has('n') ? done() : rereadConf(session, options);
}

function removeBindings(session: SolarisSession, { driver, values }: Options): ToolResult {
  const state = session.kernel.state(configuration);
  for (const alias of words(values.get('i') ?? '')) {
    if (state.aliases.get(alias) !== driver)
      return failed(`No entry found for driver (${driver}) in file (${FILES.aliases}).`);
    state.aliases.delete(alias);
    const kept = read(session, FILES.aliases)
      .split('\n')
      .filter((line) => line.trim() !== `${driver} "${alias}"`);
    write(session, FILES.aliases, kept.join('\n'));
  }
  for (const permission of (values.get('m') ?? '').split(',').filter((one) => one !== '')) {
    const line = permissionLine(driver, permission);
    const kept = read(session, FILES.permissions)
      .split('\n')
      .filter((one) => one !== line);
    write(session, FILES.permissions, kept.join('\n'));
  }
  return done();
}

/** update_drv DRIVER: driver.conf is read again; instances that are attached keep what they read. */
function rereadConf(session: SolarisSession, { driver, flags }: Options): ToolResult {
  const { kernel } = session;
  const forced = flags.has('f') ? `Forcing update of ${driver}.conf.\n` : '';
  return session.process(
    'update_drv',
    (function* (): Steps<ToolResult> {
      const major = kernel.state(configuration).majors.get(driver) ?? -1;
      const detached = yield* detachDriver(kernel, driver);
      if (!detached && !flags.has('f'))
        return failed(`${forced}Cannot unload module: ${driver}\n${driver}.conf not updated in the kernel`);
      if (detached) removeNodes(kernel, major);
      loadDriverConf(kernel, driver);
      yield* attachDriver(kernel, driver);
      const told = flags.has('v') ? `${driver}.conf updated in the kernel.\n` : '';
      return done(forced + told);
    })(),
  );
}

/** `prtconf -D`: the nodes, and which driver is attached to each. */
function prtconf(session: SolarisSession): ToolResult {
  const { kernel } = session;
  const lines = ['System Configuration:  lkm base kernel  i86pc', 'i86pc', '    pseudo, instance #0'];
  for (const [name, major] of kernel.state(configuration).majors) {
    for (const dip of instancesOf(kernel, major)) {
      const node = kernel.readString('dev_info.devi_node_name', dip);
      const state = isAttached(kernel, dip) ? ` (driver name: ${name})` : ' (driver not attached)';
      lines.push(`        ${node}, instance #${kernel.read('dev_info.devi_instance', dip)}${state}`);
    }
  }
  return done(`${lines.join('\n')}\n`);
}

export const driverCommands: readonly CommandRow[] = [
  {
    name: 'add_drv',
    usage: "[-nfv] [-m PERMS] [-i 'ALIASES'] DRIVER",
    summary: 'add a driver to the system',
    run: addDriver,
  },
  { name: 'rem_drv', usage: '[-n] DRIVER', summary: 'remove a driver from the system', run: removeDriver },
  {
    name: 'update_drv',
    usage: '[-adfv] [-m PERMS] [-i ALIASES] DRIVER',
    summary: 'change a driver, or read its .conf again',
    run: updateDriver,
  },
  { name: 'prtconf', usage: '', summary: 'show devices and their drivers', run: prtconf },
];
