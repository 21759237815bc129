/** modload(1M), modunload(1M), modinfo(1M): usage, columns and exit codes are the commands' own. */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { textOf } from '../../systems/solaris/configuration.ts';
import { Errno, errorText } from '../../systems/solaris/errno.ts';
import { moduleOf } from '../../systems/solaris/krtld.ts';
import { callInfo, MI, modLoadAndInstall } from '../../systems/solaris/load.ts';
import { type Modctl, moduleName } from '../../systems/solaris/modctl.ts';
import { modctls } from '../../systems/solaris/modules.ts';
import { findPart, partOf } from '../../systems/solaris/parts.ts';
import type { Solaris } from '../../systems/solaris/solaris.ts';
import { modUnloadById } from '../../systems/solaris/unload.ts';
import type { ToolResult } from '../system.ts';
import { type CommandRow, done, failed } from './results.ts';
import type { SolarisSession } from './session.ts';

const LOAD_USAGE = 'usage:  modload [-p] [-e <exec_file>] <filename>';
const UNLOAD_USAGE = 'usage:  modunload -i <module_id> [-e <exec_file>]';
const INFO_USAGE = 'usage:  modinfo [-w] [-c] [-i module-id]';
/** What the program that takes names says (illumos since 2025): its words begin with its own name. */
const NEW_UNLOAD_USAGE = 'usage:  modunload [-e <exec_file>] -i <id> | <name>';

/** Exit status of fatal(): -1. */
const FATAL = 255;

/** error(): a text, what the system call failed with, and that as the exit status (cmd/modload/modsubr.c). */
function systemError(text: string, errno: number): ToolResult {
  const why = errno === Errno.ENOSPC ? 'Out of memory or no room in system tables' : errorText(errno);
  return failed(`${text}: ${why}`, errno);
}

/** scanf's %d: digits at the beginning count, what follows is passed over. */
function scanNumber(text: string): number | undefined {
  const match = /^\s*([-+]?\d{1,10})/.exec(text);
  return match === null ? undefined : Number(match[1]);
}

/** getopt(3C) with options that have a value (`valued`) and some that have none; undefined where it would complain. */
function scan(
  args: readonly string[],
  plain: string,
  valued: string,
): { flags: Set<string>; values: Map<string, string>; rest: readonly string[] } | undefined {
  const flags = new Set<string>();
  const values = new Map<string, string>();
  let i = 0;
  for (; i < args.length && /^-./.test(args[i]); i++) {
    for (let at = 1; at < args[i].length; at++) {
      const letter = args[i][at];
      if (plain.includes(letter)) flags.add(letter);
      else if (!valued.includes(letter)) return undefined;
      else {
        const value = at + 1 < args[i].length ? args[i].slice(at + 1) : args[++i];
        if (value === undefined) return undefined;
        values.set(letter, value);
        break;
      }
    }
  }
  return { flags, values, rest: args.slice(i) };
}

// -- modload, modunload -------------------------------------------------------------------------------------

async function modload(session: SolarisSession, args: readonly string[]): Promise<ToolResult> {
  const options = args.length > 4 ? undefined : scan(args, 'p', 'e');
  if (options === undefined || args.length === 0) return failed(LOAD_USAGE, FATAL);
  const [name] = options.rest;
  if (name === undefined) return { ...failed(LOAD_USAGE, FATAL), out: 'modpath is null\n' };
  if (!session.isRoot) return failed('Insufficient privileges to load a module', FATAL);
  const usePath = options.flags.has('p');
  const request = { name: name.startsWith('/') || usePath ? name : `./${name}`, usePath };
  // A path of the machine that lkm runs on is put where modules of its class are.
  if (!usePath && session.files.read(request.name) === undefined && findPart(name) === undefined) {
    const placed = session.install(name);
    if ('code' in placed) return placed;
    request.name = `/usr/kernel/${placed.directory}${session.kernel.bits === 64 ? '/amd64' : ''}/${placed.name}`;
  }
  const loaded = session.process('modload', load(session.kernel, request), (refusal) =>
    refusal.errno === Errno.EPERM
      ? failed('Insufficient privileges to load a module', FATAL)
      : systemError("can't load module", refusal.errno),
  );
  const program = options.values.get('e');
  const modctl = session.kernel.state(modctls).byName(moduleName(name));
  if (loaded.code !== 0 || program === undefined || modctl === undefined) return loaded;
  const status = await execute(session, program, modctl);
  if (status.code === 0) return status;
  return { ...status, out: `${status.out}'${program}' returned error ${status.code}.\n` };
}

function* load(k: Solaris, request: { name: string; usePath: boolean }): Steps<ToolResult> {
  yield* modLoadAndInstall(k, request);
  return done();
}

/** Lines of a program that are followed at most: one that calls itself ends. */
const MAX_LINES = 200;

/**
 * The program of -e gets the module's id and the number of its first linkage. It is a file of the machine with commands of
 * this shell, in which $1 and $2 stand for them; its status is that of its last command.
 */
async function execute(session: SolarisSession, program: string, modctl: Modctl): Promise<ToolResult> {
  const bytes = session.files.read(program) ?? session.host.read(program);
  if (bytes === undefined) return systemError(`couldn't exec ${program}`, Errno.ENOENT);
  let number = -1;
  session.process(
    'modload',
    (function* (): Steps<ToolResult> {
      number = (yield* modinfoRow(session.kernel, modctl)).linkages[0]?.p0 ?? -1;
      return done();
    })(),
  );
  let result = done();
  for (const line of textOf(bytes).split('\n').slice(0, MAX_LINES)) {
    const command = line.replace(/(^|\s)#.*$/, '').trim();
    if (command === '') continue;
    const words = command.replaceAll('$1', String(modctl.id)).replaceAll('$2', String(number)).split(/\s+/);
    const one = await session.run(words.map((word) => word.replace(/^"(.*)"$/, '$1')));
    result = { ...one, out: result.out + one.out, err: result.err + one.err };
  }
  return result;
}

async function modunload(session: SolarisSession, args: readonly string[]): Promise<ToolResult> {
  const options = scan(args, '', 'ie');
  const { kernel } = session;
  if (kernel.variant === 'illumos' && !args.includes('-i')) return await unloadByName(session, options);
  const given = options?.values.get('i');
  if (options === undefined || args.length < 2 || given === undefined) return failed(UNLOAD_USAGE, FATAL);
  const id = scanNumber(given);
  if (id === undefined) return failed(`Invalid id ${given}`, FATAL);
  const before = await runBefore(session, options.values.get('e'), id);
  if (before.code !== 0) return before;
  if (!session.isRoot) return failed('Insufficient privileges to unload a module', FATAL);
  const result = session.process('modunload', unload(kernel, id), (refusal) => {
    if (refusal.errno === Errno.EPERM) return failed('Insufficient privileges to unload a module', FATAL);
    return id === 0 ? done() : systemError("can't unload the module", refusal.errno);
  });
  return { ...result, out: before.out + result.out };
}

/** The program of -e, which runs before the module goes and may keep it. */
async function runBefore(
  session: SolarisSession,
  program: string | undefined,
  id: number,
): Promise<ToolResult> {
  if (program === undefined) return done();
  const modctl = session.kernel.state(modctls).byId(id);
  const result =
    modctl === undefined
      ? systemError("can't get module information", Errno.EINVAL)
      : await execute(session, program, modctl);
  if (result.code === 0) return result;
  // The status of wait(2) has the exit status in its second byte.
  return { ...result, out: `${result.out}${program} returned error ${result.code << 8}.\n` };
}

async function unloadByName(session: SolarisSession, options: ReturnType<typeof scan>): Promise<ToolResult> {
  if (options === undefined) return failed(NEW_UNLOAD_USAGE);
  const [name, more] = options.rest;
  if (more !== undefined) return failed('modunload: Only one module name can be specified');
  if (name === undefined) return failed(`missing required module id or name\n${NEW_UNLOAD_USAGE}`);
  const modctl = session.kernel.state(modctls).byName(name);
  if (modctl === undefined || modctl.get('loaded') === 0)
    return failed(`modunload: can't get module information: ${errorText(Errno.EINVAL)}`);
  const program = options.values.get('e');
  const before = program === undefined ? done() : await execute(session, program, modctl);
  if (before.code !== 0)
    return { ...before, err: `${before.err}modunload: ${program} returned error ${before.code << 8}.\n` };
  if (!session.isRoot) return failed('modunload: Insufficient privileges to unload a module');
  const result = session.process('modunload', unload(session.kernel, modctl.id), (refusal) =>
    failed(`modunload: can't unload the module: ${errorText(refusal.errno)}`),
  );
  return { ...result, out: before.out + result.out };
}

function* unload(k: Solaris, id: number): Steps<ToolResult> {
  yield* modUnloadById(k, id);
  return done();
}

// -- modinfo ------------------------------------------------------------------------------------------------

export interface ModinfoRow {
  readonly id: number;
  readonly name: string;
  readonly loadAddress: Address;
  readonly size: number;
  readonly rev: number;
  readonly loadCount: number;
  readonly loaded: boolean;
  readonly installed: boolean;
  readonly linkages: readonly { readonly text: string; readonly p0: number }[];
}

/** What MODINFO gives for one module: its own _info fills in the linkages. */
export function* modinfoRow(k: Solaris, modctl: Modctl): Steps<ModinfoRow> {
  const module = moduleOf(k, modctl);
  const info = module === undefined ? undefined : yield* callInfo(k, module, MI.ONE);
  const linkages: { text: string; p0: number }[] = [];
  const entry = k.field('modinfo.mi_msinfo');
  for (let i = 0; info !== undefined && i < (entry.count ?? 0); i++) {
    const at = info + entry.offset + i * (entry.elementSize ?? 0);
    const text = k.memory.cstring(at, 32);
    if (text !== '') linkages.push({ text, p0: k.memory.i32(at + 32) });
  }
  const part = partOf(k, modctl.address);
  if (part !== undefined) linkages.push({ text: part.text, p0: -1 });
  const rev = info === undefined ? (part === undefined ? 0 : 1) : k.read('modinfo.mi_rev', info);
  if (info !== undefined) k.heap.free(info);
  return {
    id: modctl.id,
    name: modctl.name,
    loadAddress: modctl.get('text'),
    size: module === undefined ? modctl.get('text_size') : module.text.size + module.data.size,
    rev,
    loadCount: modctl.get('loadcnt'),
    loaded: modctl.get('loaded') !== 0,
    installed: modctl.get('installed') !== 0,
    linkages: linkages.length === 0 ? [{ text: '', p0: -1 }] : linkages,
  };
}

/** Widths of the name column, which -w lifts. */
const NAME_WIDTH = { 64: 43, 32: 51 } as const;

export function modinfoLines(rows: readonly ModinfoRow[], bits: 32 | 64, wide: boolean): string {
  const header =
    bits === 64
      ? ' Id         Loadaddr   Size Info Rev Module Name\n'
      : ' Id Loadaddr   Size Info Rev Module Name\n';
  const lines = rows.flatMap((row) =>
    row.linkages.map(({ text, p0 }) => {
      const at = BigInt.asUintN(bits, BigInt(row.loadAddress))
        .toString(16)
        .padStart(bits / 4);
      const head = `${String(row.id).padStart(3)} ${at} ${row.size.toString(16).padStart(6)} `;
      const info = p0 === -1 ? '  - ' : `${String(p0).padStart(3)} `;
      const name = `${row.name} (${text})`;
      return `${head}${info}  ${row.rev}  ${wide ? name : name.slice(0, NAME_WIDTH[bits])}\n`;
    }),
  );
  return header + lines.join('');
}

function countLines(rows: readonly ModinfoRow[]): string {
  const header = ' Id    Loadcnt Module Name                            State\n';
  const lines = rows.map(({ id, loadCount, name, loaded, installed }) => {
    const state = `${loaded ? 'LOADED' : 'UNLOADED'}/${installed ? 'INSTALLED' : 'UNINSTALLED'}`;
    return `${String(id).padStart(3)} ${String(loadCount).padStart(10)} ${name.padEnd(32)} ${state}\n`;
  });
  return header + lines.join('');
}

/** Of several -i the last one counts. */
function modinfo(session: SolarisSession, args: readonly string[]): ToolResult {
  let given: string | undefined;
  const flags = new Set<string>();
  for (let i = 0; i < args.length; i++) {
    const one = scan(args[i] === '-i' ? args.slice(i, i + 2) : [args[i]], 'wc', 'i');
    if (one === undefined || one.rest.length > 0) return failed(INFO_USAGE, FATAL);
    for (const flag of one.flags) flags.add(flag);
    given = one.values.get('i') ?? given;
    if (args[i] === '-i') i++;
  }
  const id = given === undefined ? undefined : scanNumber(given);
  if (given !== undefined && id === undefined) return failed(`Invalid id ${given}`, FATAL);
  // -1 is what the system call means by all of them.
  const options = { wide: flags.has('w'), counts: flags.has('c'), id: id === -1 ? 0 : id };
  return session.process('modinfo', listModules(session.kernel, options));
}

interface InfoOptions {
  readonly wide: boolean;
  readonly counts: boolean;
  readonly id: number | undefined;
}

function* listModules(k: Solaris, { wide, counts, id }: InfoOptions): Steps<ToolResult> {
  const rows: ModinfoRow[] = [];
  for (const modctl of [...k.state(modctls)]) {
    if (id !== undefined && modctl.id !== id) continue;
    if (counts || modctl.get('installed') !== 0) rows.push(yield* modinfoRow(k, modctl));
  }
  if (id !== undefined && rows.length === 0) return systemError("can't get module information", Errno.EINVAL);
  return done(counts ? countLines(rows) : modinfoLines(rows, k.bits, wide));
}

export const moduleCommands: readonly CommandRow[] = [
  {
    name: 'modload',
    usage: '[-p] [-e PROGRAM] FILE',
    summary: 'load a module; -p looks along the module path',
    run: modload,
  },
  {
    name: 'modunload',
    usage: '-i ID [-e PROGRAM]',
    summary: 'unload a module; 0 is everything unused',
    run: modunload,
  },
  { name: 'modinfo', usage: '[-w] [-c] [-i ID]', summary: 'list the modules that are loaded', run: modinfo },
];
