/**
 * add_drv(1M), rem_drv(1M), update_drv(1M): the tables in /etc, and the kernel's own bindings. Their steps are in the order
 * of the commands of illumos (cmd/modload), and so are their words, which go to standard error.
 */
import type { Steps } from '../../kernel/steps.ts';
import { configuration } from '../../systems/solaris/configuration.ts';
import {
  attachDriver,
  bindHardware,
  detachDriver,
  deviceFiles,
  findConf,
  instancesOf,
  isAttached,
  loadDriverConf,
  nodes,
  removeNodes,
} from '../../systems/solaris/devices.ts';
import { Errno, errorText } from '../../systems/solaris/errno.ts';
import { hardwareOf } from '../../systems/solaris/hardware.ts';
import { findModule } from '../../systems/solaris/load.ts';
import { modctls } from '../../systems/solaris/modules.ts';
import { Refusal } from '../../systems/solaris/refusal.ts';
import { moduleGate } from '../../systems/solaris/trust.ts';
import { modUnloadById } from '../../systems/solaris/unload.ts';
import type { ToolResult } from '../system.ts';
import {
  aliasesOf,
  badToken,
  blankInQuotes,
  type Options,
  optionsOf,
  permissionLine,
  permissionsOf,
  policyOf,
  TEXT,
} from './driver-options.ts';
import { DriverTables } from './driver-tables.ts';
import { type CommandRow, done, failed } from './results.ts';
import type { SolarisSession } from './session.ts';

/** What the library functions of these commands give as exit status when an entry is not there, and on errors. */
const NONE_FOUND = 252;
const ERROR = 255;

/** Privilege, and the trusted path of an immutable zone. */
function refusedToAll(session: SolarisSession, tables: DriverTables): ToolResult | undefined {
  if (!session.isRoot) return failed(TEXT.notRoot);
  const gate = session.kernel.state(moduleGate);
  if (!gate.immutable || gate.trustedPath) return undefined;
  const note = 'the global zone is immutable: give the command over the trusted path (tpd COMMAND)';
  return failed(`${errorText(Errno.EROFS)}\nCannot access file (${tables.path('majors')}).`, 1, note);
}

/** Does the process's result count as done? What a kernel that died under it says goes on to the user. */
const isDone = ({ code }: ToolResult): boolean => code === 0;

const stderr = (...lines: readonly string[]): ToolResult => ({ code: 0, out: '', err: lines.join('') });

// -- add_drv --------------------------------------------------------------------------------------------------

function addDriver(session: SolarisSession, args: readonly string[]): ToolResult {
  if (!session.isRoot) return failed(TEXT.notRoot);
  const options = optionsOf('add_drv', args, 'vfn', 'mibcpP');
  if ('wrong' in options) return failed(options.wrong + TEXT.addUsage);
  const { driver, flags, values } = options;
  if (driver.includes('/')) {
    const path = driver.replace(/\/+/g, '/');
    const name = path.slice(path.lastIndexOf('/') + 1);
    return failed(
      `Error: driver may not be specified by path (${path})\nError: Could not install driver (${name}).`,
    );
  }
  const tables = new DriverTables(session, values.get('b'));
  const prepared = prepare(session, tables, options);
  if ('code' in prepared) return prepared;
  const load = tables.running && !flags.has('n') && prepared.loadable;
  const major = tables.bind(driver);
  if (major === undefined) return failed('No available major numbers.');
  enter(tables, options, prepared);
  tables.reconfigure();
  const told = flags.has('v') ? `Driver (${driver}) installed.\n` : '';
  if (!load) return stderr(prepared.said, 'Reboot client to install driver.\n', told);
  const { majors, aliases } = session.kernel.state(configuration);
  majors.set(driver, major);
  for (const alias of aliasesOf(values.get('i'))) aliases.set(alias, driver);
  const attached = attach(session, driver);
  return { ...attached, err: prepared.said + attached.err + (isDone(attached) ? told : '') };
}

interface Prepared {
  /** Words that stop nothing. */
  readonly said: string;
  readonly loadable: boolean;
  readonly permissions: readonly string[];
  readonly policy: readonly string[];
}

/** What is checked before anything is changed. */
function prepare(session: SolarisSession, tables: DriverTables, options: Options): Prepared | ToolResult {
  const { driver, flags, values } = options;
  const quoted = blankInQuotes(values.get('i') ?? '');
  if (quoted !== undefined) return failed(quoted);
  const refused = refusedToAll(session, tables);
  if (refused !== undefined) return refused;
  const permissions = permissionsOf(values.get('m') ?? '');
  if (permissions.errors !== '' || values.get('m') === '') return failed(permissions.errors + TEXT.addUsage);
  const taken = values.has('i') ? aliasesTaken(tables, aliasesOf(values.get('i'))) : undefined;
  if (taken !== undefined) return failed(taken);
  const policy = policyGiven(tables, options, false);
  if ('wrong' in policy) return failed(policy.wrong);
  if (tables.aliases().some((one) => one.driver !== driver && one.alias === driver))
    return failed(`("${driver}") already in use as a driver or alias.`);
  if (tables.majors().has(driver)) return failed(`Driver (${driver}) is already installed.`);
  const plan = { permissions: permissions.entries, policy: policy.lines };
  if (flags.has('n') || !tables.running) return { said: '', loadable: false, ...plan };
  const found = findModule(session.kernel, { name: `drv/${driver}`, usePath: true });
  if (found === undefined) return failed(`Cannot find module (${driver}).`);
  const said = wrongWidth(session, driver, found.bytes);
  return { said, loadable: said === '', ...plan };
}

/** A driver for a kernel of the other width is added to the tables, and not loaded. */
function wrongWidth({ kernel }: SolarisSession, driver: string, bytes: Uint8Array): string {
  const own = bytes[4] === 2 ? 64 : 32;
  if (own === kernel.bits) return '';
  return (
    `No ${kernel.bits}-bit version of (${driver}) found; ${own}-bit version of this driver exists.\n` +
    `${own}-bit driver (${driver}) not loadable on ${kernel.bits}-bit kernel.\n`
  );
}

/** The first alias that cannot be a new one. */
function aliasesTaken(tables: DriverTables, aliases: readonly string[]): string | undefined {
  const majors = tables.majors();
  const known = tables.aliases();
  for (const alias of aliases) {
    if (majors.has(alias)) return `Alias ("${alias}") already in use as driver name.`;
    if (known.some((one) => one.driver === alias || one.alias === alias))
      return `("${alias}") already in use as a driver or alias.`;
    const bad = badToken(alias);
    if (bad !== undefined) return bad;
  }
  return undefined;
}

/** Lines that -p gives; none without it. */
function policyGiven(
  tables: DriverTables,
  { driver, values }: Options,
  toDelete: boolean,
): { readonly lines: readonly string[] } | { readonly wrong: string } {
  const text = values.get('p');
  if (text === undefined) return { lines: [] };
  const more = (values.get('P') ?? '').split(',');
  return policyOf(text, driver, toDelete, new Set([...tables.privileges(), ...more]));
}

const privilegesOf = (text = ''): string[] => text.split(',').filter((one) => one !== '');

function enter(tables: DriverTables, { driver, values }: Options, { permissions, policy }: Prepared): void {
  for (const entry of permissions) tables.append('permissions', permissionLine(driver, entry));
  for (const alias of aliasesOf(values.get('i'))) tables.append('aliases', `${driver} "${alias}"`);
  for (const name of (values.get('c') ?? '').split(' ').filter((one) => one !== ''))
    tables.append('classes', `${driver}\t${name}`);
  for (const name of privilegesOf(values.get('P'))) tables.append('privileges', `${driver}:${name}`);
  for (const line of policy) tables.append('policy', line);
}

/** devfsadm -i DRIVER: its nodes are made and attached. */
function attach(session: SolarisSession, driver: string): ToolResult {
  const { kernel } = session;
  loadDriverConf(kernel, driver);
  bindHardware(kernel);
  return session.process(
    'add_drv',
    (function* (): Steps<ToolResult> {
      if ((yield* attachDriver(kernel, driver)) > 0) return done();
      const text = `Warning: Driver (${driver}) successfully added to system but failed to attach\n`;
      return { ...stderr(text), note: whyNotAttached(session, driver) };
    })(),
  );
}

function whyNotAttached({ kernel }: SolarisSession, driver: string): string | undefined {
  const major = kernel.state(configuration).majors.get(driver) ?? -1;
  if (instancesOf(kernel, major).some((dip) => hardwareOf(kernel, dip) !== undefined))
    return 'its device is there, but nobody answers behind the registers: what is read is all ones';
  if (findConf(kernel, driver) !== undefined) return undefined;
  return 'no device of it is there, and no driver.conf makes one: parent="pseudo" in /usr/kernel/drv/NAME.conf would';
}

// -- rem_drv --------------------------------------------------------------------------------------------------

function removeDriver(session: SolarisSession, args: readonly string[]): ToolResult {
  if (!session.isRoot) return failed(TEXT.notRoot);
  const options = optionsOf('rem_drv', args, 'Cn', 'b');
  if ('wrong' in options) return failed(options.wrong + TEXT.removeUsage);
  const { driver, flags, values } = options;
  const tables = new DriverTables(session, values.get('b'));
  const refused = refusedToAll(session, tables);
  if (refused !== undefined) return refused;
  const major = tables.majors().get(driver);
  if (major === undefined) return failed(`Driver (${driver}) not installed.`);
  const state = session.kernel.state(configuration);
  const running = tables.running && !flags.has('n');
  const unloaded = running ? unloadDriver(session, driver) : done();
  if (session.kernel.panicked !== undefined) return unloaded;
  if (running && unloaded.err === '') {
    removeNodes(session.kernel, major);
    state.majors.delete(driver);
    for (const [alias, name] of [...state.aliases]) if (name === driver) state.aliases.delete(alias);
  }
  // Its number stays its own, so that it gets it again.
  tables.append('removed', `${driver} ${major}`);
  tables.forget(driver);
  return { ...unloaded, code: 0 };
}

/** MODUNLOAD of a driver's module: its devices are detached first. In `err` what the command says when it stays. */
function unloadDriver(session: SolarisSession, driver: string): ToolResult {
  const { kernel } = session;
  const still = `Cannot unload module: ${driver}\nWill be unloaded upon reboot.\n`;
  const busy = `${errorText(Errno.EBUSY)}\n${still}`;
  return session.process(
    'rem_drv',
    (function* (): Steps<ToolResult> {
      if (!(yield* detachDriver(kernel, driver))) return stderr(busy);
      const modctl = kernel.state(modctls).byName(driver);
      if (modctl === undefined || modctl.get('loaded') === 0) return done();
      try {
        yield* modUnloadById(kernel, modctl.id);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        return { ...stderr(`${errorText(error.errno)}\n${still}`), note: error.why };
      }
      return done();
    })(),
  );
}

// -- update_drv -----------------------------------------------------------------------------------------------

function updateDriver(session: SolarisSession, args: readonly string[]): ToolResult {
  if (!session.isRoot) return failed(TEXT.notRoot);
  const options = optionsOf('update_drv', args, 'adlfuvn', 'mibpP');
  if ('wrong' in options) return failed(options.wrong + TEXT.updateUsage);
  const { driver, flags, values } = options;
  const quoted = blankInQuotes(values.get('i') ?? '');
  if (quoted !== undefined) return failed(quoted);
  const given = ['m', 'i', 'p', 'P'].some((letter) => values.has(letter));
  const changes = flags.has('a') || flags.has('d');
  if ((flags.has('a') && flags.has('d')) || changes !== given) return failed(TEXT.updateUsage);
  const tables = new DriverTables(session, values.get('b'));
  if (flags.has('l')) return done(linesAbout(tables.read('permissions'), driver));
  const refused = refusedToAll(session, tables);
  if (refused !== undefined) return refused;
  const policy = policyGiven(tables, options, flags.has('d'));
  if ('wrong' in policy) return failed(policy.wrong);
  if (flags.has('a')) return addEntries(session, tables, options, policy.lines);
  if (flags.has('d')) return removeEntries(session, tables, options, policy.lines);
  return rereadConf(session, tables, options);
}

/** -l: lines of minor_perm without their comments. */
const linesAbout = (text: string, driver: string): string =>
  text
    .split('\n')
    .map((line) => line.replace(/#.*$/, ''))
    .filter((line) => line.trim() !== '' && line.trim().split(':')[0] === driver)
    .map((line) => `${line}\n`)
    .join('');

/** Does the running kernel follow what is changed? Not with -b nor -n. */
const follows = (tables: DriverTables, { flags }: Options): boolean => tables.running && !flags.has('n');

function addEntries(
  session: SolarisSession,
  tables: DriverTables,
  options: Options,
  policy: readonly string[],
): ToolResult {
  const { driver, flags, values } = options;
  let said = '';
  if (values.has('m')) {
    const { entries, errors } = permissionsOf(values.get('m') ?? '');
    if (errors !== '' && !flags.has('f')) return failed(errors, ERROR);
    said += errors;
    if (errors === '') for (const entry of entries) tables.setPermission(driver, entry);
  }
  for (const name of privilegesOf(values.get('P'))) tables.append('privileges', `${driver}:${name}`);
  tables.setPolicy(policy);
  if (values.has('i')) {
    const wrong = addAliases(session, tables, options);
    if (wrong !== undefined) return { ...wrong, err: said + wrong.err };
  }
  const load = follows(tables, options) && (values.has('i') || values.has('p'));
  const attached = load ? attach(session, driver) : done();
  return { ...attached, err: said + attached.err };
}

/** Those that the driver has already are passed over, so that a package may name them all again. */
function addAliases(session: SolarisSession, tables: DriverTables, options: Options): ToolResult | undefined {
  const { driver, flags, values } = options;
  if (!tables.majors().has(driver)) return failed(`Driver (${driver}) not installed.`);
  const known = tables.aliases();
  const fresh: string[] = [];
  for (const alias of aliasesOf(values.get('i'))) {
    const used = known.some((one) => one.driver === alias || (one.alias === alias && one.driver !== driver));
    if (used) return failed(`("${alias}") already in use as a driver or alias.`, ERROR);
    const bad = badToken(alias);
    if (bad !== undefined) return failed(bad, ERROR);
    if (!known.some((one) => one.alias === alias)) fresh.push(alias);
  }
  const paths = new Set(deviceFiles(session.kernel).map(({ path }) => `/${path.replace(/:[^:/]*$/, '')}`));
  const nowhere = fresh.find((alias) => alias.startsWith('/') && !paths.has(alias));
  if (nowhere !== undefined && !flags.has('f'))
    return failed(`no device at specified path-oriented alias "${nowhere}"`, ERROR);
  for (const alias of fresh) {
    tables.append('aliases', `${driver} "${alias}"`);
    if (follows(tables, options)) session.kernel.state(configuration).aliases.set(alias, driver);
  }
  return undefined;
}

function removeEntries(
  session: SolarisSession,
  tables: DriverTables,
  options: Options,
  policy: readonly string[],
): ToolResult {
  const { driver, values } = options;
  const missing = (table: Parameters<DriverTables['path']>[0]): string =>
    `No entry found for driver (${driver}) in file (${tables.path(table)}).\n`;
  let said = '';
  let code = 0;
  if (values.has('m') && !tables.removeEntry('permissions', driver, values.get('m') ?? '')) {
    said += missing('permissions');
    code = NONE_FOUND;
  }
  // The command's own oversight: an alias that is not there is told, but is no failure by itself.
  const alias = aliasesOf(values.get('i'))[0] ?? '';
  if (values.has('i') && !tables.removeEntry('aliases', driver, alias)) said += missing('aliases');
  else if (follows(tables, options)) session.kernel.state(configuration).aliases.delete(alias);
  for (const name of privilegesOf(values.get('P')))
    if (!tables.removeEntry('privileges', driver, name)) said += missing('privileges');
  for (const line of policy) if (!tables.removePolicy(line)) said += missing('policy');
  if (code !== 0 || !follows(tables, options)) return { code, out: '', err: said };
  if (!values.has('i') && !values.has('m')) return stderr(said);
  const unloaded = unloadForUpdate(session, options);
  return { ...unloaded, err: said + unloaded.err };
}

/** Without -f a driver that cannot be unloaded ends the command. */
function unloadForUpdate(session: SolarisSession, { driver, flags }: Options): ToolResult {
  const unloaded = unloadDriver(session, driver);
  if (session.kernel.panicked !== undefined) return unloaded;
  if (unloaded.err === '') return done();
  const text = `Cannot unload module: ${driver}\nWill be unloaded upon reboot.\n`;
  if (flags.has('f')) return stderr(text, `Forcing update of ${driver}.conf.\n`);
  return failed(
    text + (flags.has('v') ? `${driver}.conf not updated in the kernel\n` : ''),
    1,
    unloaded.note,
  );
}

/** update_drv DRIVER: driver.conf is read again; instances that are attached keep what they read. */
function rereadConf(session: SolarisSession, tables: DriverTables, options: Options): ToolResult {
  const { driver, flags } = options;
  if (!follows(tables, options)) return done();
  const unloaded = unloadForUpdate(session, options);
  if (!isDone(unloaded)) return unloaded;
  const major = session.kernel.state(configuration).majors.get(driver);
  if (major === undefined) return failed(`${unloaded.err}Failed to update ${driver}.conf for driver.`);
  if (unloaded.err === '') removeNodes(session.kernel, major);
  const told = flags.has('v') ? `${driver}.conf updated in the kernel.\n` : '';
  const attached = attach(session, driver);
  return { ...attached, err: unloaded.err + told + attached.err };
}

/** `prtconf -D`: the nodes by bus, and which driver is attached to each. */
function prtconf(session: SolarisSession): ToolResult {
  const { kernel } = session;
  const lines = ['System Configuration:  lkm base kernel  i86pc', 'i86pc'];
  const byBus = new Map<string, string[]>([['pseudo', []]]);
  for (const dip of nodes(kernel)) {
    const bus = (hardwareOf(kernel, dip)?.bus ?? '/pseudo').replace(/^\/|@.*$/g, '');
    const driver = kernel.readString('dev_info.devi_binding_name', dip);
    const instance = kernel.read('dev_info.devi_instance', dip) | 0;
    const state = isAttached(kernel, dip) ? ` (driver name: ${driver})` : ' (driver not attached)';
    const number = instance < 0 ? '' : `, instance #${instance}`;
    const line = `        ${kernel.readString('dev_info.devi_node_name', dip)}${number}${state}`;
    byBus.set(bus, [...(byBus.get(bus) ?? []), line]);
  }
  for (const [bus, own] of byBus) lines.push(`    ${bus}, instance #0`, ...own);
  return done(`${lines.join('\n')}\n`);
}

export const driverCommands: readonly CommandRow[] = [
  {
    name: 'add_drv',
    usage: "[-nfv] [-m PERMS] [-i 'ALIASES'] [-b DIR] [-c CLASS] [-p POLICY] [-P PRIVS] DRIVER",
    summary: 'add a driver to the system',
    run: addDriver,
  },
  {
    name: 'rem_drv',
    usage: '[-nC] [-b DIR] DRIVER',
    summary: 'remove a driver from the system',
    run: removeDriver,
  },
  {
    name: 'update_drv',
    usage: '[-adflnv] [-m PERMS] [-i ALIASES] [-b DIR] [-p POLICY] [-P PRIVS] DRIVER',
    summary: 'change a driver, or read its .conf again',
    run: updateDriver,
  },
  { name: 'prtconf', usage: '', summary: 'show devices and their drivers', run: prtconf },
];
