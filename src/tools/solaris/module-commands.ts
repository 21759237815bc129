/** modload(1M), modunload(1M), modinfo(1M): usage, columns and exit codes are the commands' own. */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { Errno, errorText } from '../../systems/solaris/errno.ts';
import { moduleOf } from '../../systems/solaris/krtld.ts';
import { callInfo, MI, modLoadAndInstall } from '../../systems/solaris/load.ts';
import type { Modctl } from '../../systems/solaris/modctl.ts';
import { modctls } from '../../systems/solaris/modules.ts';
import { partOf } from '../../systems/solaris/parts.ts';
import type { Solaris } from '../../systems/solaris/solaris.ts';
import { modUnloadById } from '../../systems/solaris/unload.ts';
import type { ToolResult } from '../system.ts';
import { type CommandRow, done, failed } from './results.ts';
import type { SolarisSession } from './session.ts';

const LOAD_USAGE = 'usage:  modload [-p] [-e <exec_file>] <filename>';
const UNLOAD_USAGE = 'usage:  modunload -i <module_id> [-e <exec_file>]';
const INFO_USAGE = 'usage:  modinfo [-w] [-c] [-i module-id]';

/** modload's own words for one error. */
const loadText = (errno: number): string =>
  errno === Errno.ENOSPC
    ? 'Out of memory or no room in system tables'
    : errno === Errno.EPERM
      ? 'Insufficient privileges to load a module'
      : errorText(errno);

function modload(session: SolarisSession, args: readonly string[]): ToolResult {
  const usePath = args.includes('-p');
  const rest = args.filter((word) => word !== '-p');
  if (rest.length !== 1 || rest[0].startsWith('-')) return failed(LOAD_USAGE);
  const [name] = rest;
  if (!session.isRoot) return failed('Insufficient privileges to load a module', Errno.EPERM);
  const request = { name: name.startsWith('/') || usePath ? name : `./${name}`, usePath };
  // A path of the machine that lkm runs on is put where modules of its class are.
  if (!usePath && session.files.read(request.name) === undefined) {
    const placed = session.install(name);
    if ('code' in placed) return placed;
    request.name = `/usr/kernel/${placed.directory}${session.kernel.bits === 64 ? '/amd64' : ''}/${placed.name}`;
  }
  return session.process('modload', load(session.kernel, request), (refusal) => {
    const text = loadText(refusal.errno);
    return failed(refusal.errno === Errno.EPERM ? text : `can't load module: ${text}`, refusal.errno);
  });
}

function* load(k: Solaris, request: { name: string; usePath: boolean }): Steps<ToolResult> {
  yield* modLoadAndInstall(k, request);
  return done();
}

/** The module to unload: by -i ID or, as later releases of illumos have it, by name. */
function unloadTarget(session: SolarisSession, args: readonly string[]): number | undefined {
  const { kernel } = session;
  if (args.length === 2 && args[0] === '-i' && /^\d+$/.test(args[1])) return Number(args[1]);
  if (args.length !== 1 || args[0].startsWith('-') || kernel.variant !== 'illumos') return undefined;
  return kernel.state(modctls).byName(args[0])?.id ?? -1;
}

function modunload(session: SolarisSession, args: readonly string[]): ToolResult {
  const id = unloadTarget(session, args);
  if (id === undefined) return failed(UNLOAD_USAGE);
  if (!session.isRoot) return failed('Insufficient privileges to unload the module', Errno.EPERM);
  return session.process('modunload', unload(session.kernel, id), (refusal) =>
    id === 0 ? done() : failed(`can't unload the module: ${errorText(refusal.errno)}`, refusal.errno),
  );
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

interface InfoOptions {
  wide: boolean;
  counts: boolean;
  ids: number[];
}

function infoOptions(args: readonly string[]): InfoOptions | ToolResult {
  const options: InfoOptions = { wide: false, counts: false, ids: [] };
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '-w') options.wide = true;
    else if (args[i] === '-c') options.counts = true;
    else if (args[i] === '-i' && args[i + 1] !== undefined) {
      if (!/^\d+$/.test(args[++i])) return failed(`Invalid id ${args[i]}`);
      options.ids.push(Number(args[i]));
    } else return failed(INFO_USAGE);
  }
  return options;
}

function modinfo(session: SolarisSession, args: readonly string[]): ToolResult {
  const options = infoOptions(args);
  if ('code' in options) return options;
  return session.process('modinfo', listModules(session.kernel, options));
}

function* listModules(k: Solaris, { wide, counts, ids }: InfoOptions): Steps<ToolResult> {
  const rows: ModinfoRow[] = [];
  for (const modctl of [...k.state(modctls)]) {
    const wanted = ids.length > 0 ? ids.includes(modctl.id) : counts || modctl.get('installed') !== 0;
    if (wanted) rows.push(yield* modinfoRow(k, modctl));
  }
  if (ids.some((id) => !rows.some((row) => row.id === id)) || rows.length === 0)
    return failed("can't get module information: Invalid argument");
  return done(counts ? countLines(rows) : modinfoLines(rows, k.bits, wide));
}

export const moduleCommands: readonly CommandRow[] = [
  {
    name: 'modload',
    usage: '[-p] FILE',
    summary: 'load a module; -p looks along the module path',
    run: modload,
  },
  { name: 'modunload', usage: '-i ID', summary: 'unload a module; 0 is everything unused', run: modunload },
  { name: 'modinfo', usage: '[-w] [-c] [-i ID]', summary: 'list the modules that are loaded', run: modinfo },
];
