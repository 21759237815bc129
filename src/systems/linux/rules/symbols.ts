/** Which exported symbol an import gets, and whether it may: resolve_symbol (kernel/module/main.c). */
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { ModuleFile } from '../module-file.ts';
import { TAINT } from '../taint-bits.ts';
import { type Judge, Level } from './judge.ts';
import { forceLoad, type LoadFlags } from './modinfo.ts';

/** A symbol that was found, from the kernel (`owner` undefined) or from a module. */
export interface FoundSymbol<Owner> {
  readonly name: string;
  readonly address: Address;
  readonly crc: number | undefined;
  readonly gplOnly: boolean;
  readonly namespace: string;
  readonly owner: Owner | undefined;
}

/** What the rules ask about the module that owns a symbol. */
export interface SymbolOwner {
  readonly name: string;
  /** Its own taint mask. */
  readonly taints: number;
}

/** Everything about the importer that the rules need and change. */
export interface Importer {
  readonly file: ModuleFile;
  readonly flags: LoadFlags;
  /** mod->using_gplonly_symbols */
  usesGplOnly: boolean;
}

/** Where imports come from: the kernel, then other modules. `gplOk` lets GPL-only symbols be found. */
export interface SymbolSource<Owner extends SymbolOwner> {
  find(name: string, gplOk: boolean): FoundSymbol<Owner> | undefined;
  /** Why a symbol cannot be had although something exports it; in our words. */
  absent?(name: string): string | undefined;
}

export type Resolution<Owner> =
  | { readonly found: FoundSymbol<Owner> }
  /** 0: it does not exist for this importer, which a weak reference lets pass. */
  | { readonly errno: number; readonly why: string };

/** resolve_symbol: the symbol if the importer may have it. */
export function resolveSymbol<Owner extends SymbolOwner>(
  judge: Judge,
  importer: Importer,
  name: string,
  source: SymbolSource<Owner>,
): Resolution<Owner> {
  const gplOk = (judge.taints & (1 << TAINT.PROPRIETARY)) === 0;
  const found = source.find(name, gplOk);
  if (found === undefined) {
    const hidden = !gplOk && source.find(name, true) !== undefined;
    const why = hidden
      ? 'it is for GPL-compatible modules only, and this one is not'
      : (source.absent?.(name) ?? 'neither the kernel nor a loaded module exports it');
    return { errno: 0, why };
  }
  const permission = checkSymbol(judge, importer, found);
  if (permission.ok) return { found };
  // A symbol withheld for its owner's taint counts as not found, so that a weak reference lets it pass.
  return { errno: permission.errno === Errno.ENOENT ? 0 : permission.errno, why: permission.why };
}

export interface SymbolFailure {
  readonly name: string;
  readonly errno: number;
  readonly why: string;
}

/** Symbols that compilers refer to and nobody defines. */
const IGNORED = new Set(['_GLOBAL_OFFSET_TABLE_']);

/** simplify_symbols: what a symbol that cannot be had means; undefined where it counts as zero. */
export function failedSymbol(
  judge: Judge,
  file: ModuleFile,
  symbol: { readonly name: string; readonly binding: string },
  result: { readonly errno: number; readonly why: string },
): SymbolFailure | undefined {
  const { name } = symbol;
  if (result.errno === 0 && (symbol.binding === 'weak' || IGNORED.has(name))) return undefined;
  const errno = result.errno || Errno.ENOENT;
  judge.say(Level.WARNING, `${file.name}: Unknown symbol ${name} (err -${errno})`);
  return { name, errno, why: result.why };
}

/** A common symbol has no place in a module; compilers mark objects of link-time optimisation with one. */
export function commonSymbol(judge: Judge, file: ModuleFile, name: string): SymbolFailure | undefined {
  if (name.startsWith('__gnu_lto')) return undefined;
  judge.say(Level.WARNING, `${file.name}: please compile with -fno-common`);
  return { name, errno: Errno.ENOEXEC, why: 'it is a common symbol, which has no place' };
}

/** Every symbol was tried; the last error counts. */
export function refuseUnresolved(judge: Judge, failures: readonly SymbolFailure[]): void {
  const last = failures.at(-1);
  if (last === undefined) return;
  const byReason = new Map<string, string[]>();
  for (const { name, why } of failures) byReason.set(why, [...(byReason.get(why) ?? []), name]);
  const list = [...byReason].map(([why, names]) => `${someOf(names)} (${why})`).join('; ');
  const why = `${failures.length} of the symbols it needs cannot be had: ${list}.`;
  const hint =
    'Load the modules that export them first (modprobe does), or build the module for this kernel.';
  judge.refuse('symbols', last.errno, why, hint);
}

/** More names than a person reads are counted. */
const FEW = 6;

function someOf(names: readonly string[]): string {
  const more = names.length > FEW ? ` and ${names.length - FEW} more` : '';
  return names.slice(0, FEW).join(', ') + more;
}

export type Permission =
  | { readonly ok: true }
  | { readonly ok: false; readonly errno: number; readonly why: string };

const ok: Permission = { ok: true };

/** May the importer use the symbol? Says what the kernel says; -ENOENT and -EINVAL become `Unknown symbol` afterwards. */
export function checkSymbol(judge: Judge, importer: Importer, found: FoundSymbol<SymbolOwner>): Permission {
  if (found.gplOnly) importer.usesGplOnly = true;
  if (!inheritTaint(judge, importer, found)) {
    const why = `${found.name} comes from the proprietary module ${found.owner?.name}, and GPL-only symbols are in use`;
    return { ok: false, errno: Errno.ENOENT, why };
  }
  if (!checkVersion(judge, importer.file, importer.flags, found.name, found.crc)) {
    return {
      ok: false,
      errno: Errno.EINVAL,
      why: `the version of ${found.name} is not the one it was built against`,
    };
  }
  return checkNamespace(judge, importer.file, found);
}

/** Using a proprietary module's symbols makes the user proprietary, or is impossible beside GPL-only symbols. */
function inheritTaint(judge: Judge, importer: Importer, found: FoundSymbol<SymbolOwner>): boolean {
  const { owner } = found;
  const proprietary = 1 << TAINT.PROPRIETARY;
  if (!judge.has('inherit-taint') || owner === undefined || (owner.taints & proprietary) === 0) return true;
  const { name } = importer.file;
  if (importer.usesGplOnly) {
    const text = `module using GPL-only symbols uses symbols ${found.name} from proprietary module ${owner.name}.`;
    judge.say(Level.ERR, `${name}: ${text}`);
    return false;
  }
  if ((judge.taints & proprietary) === 0) {
    const text = `module uses symbols ${found.name} from proprietary module ${owner.name}, inheriting taint.`;
    judge.say(Level.WARNING, `${name}: ${text}`);
    judge.taints |= proprietary;
  }
  return true;
}

/** check_version: compares the CRC of an export with the one that the module was built against. */
export function checkVersion(
  judge: Judge,
  file: ModuleFile,
  flags: LoadFlags,
  symbol: string,
  crc: number | undefined,
): boolean {
  if (!judge.has('symbol-versions') || crc === undefined) return true;
  const versions = flags.ignoreModversions ? undefined : file.versions;
  if (versions === undefined) return forceLoad(judge, file.name, symbol);
  const wanted = versions.get(symbol);
  if (wanted === crc) return true;
  if (wanted === undefined) {
    const required = judge.has('version-entry-required');
    if (required || judge.firstTime('no symbol version')) {
      judge.say(Level.WARNING, `${file.name}: no symbol version for ${symbol}`);
    }
    return !required;
  }
  judge.say(Level.WARNING, `${file.name}: disagrees about version of symbol ${symbol}`);
  return false;
}

/** check_modstruct_version: the CRC of `module_layout` stands for struct module itself. */
export function checkModuleLayout(judge: Judge, file: ModuleFile, flags: LoadFlags): void {
  judge.enter('module-layout');
  const layout = judge.kernel.exports.find('module_layout');
  if (checkVersion(judge, file, flags, 'module_layout', layout?.crc)) return;
  const versions = flags.ignoreModversions ? undefined : file.versions;
  const given = versions?.get('module_layout');
  const hex = (crc: number | undefined) =>
    crc === undefined ? 'none' : `0x${crc.toString(16).padStart(8, '0')}`;
  const why =
    `The module was built against another struct module: its CRC of module_layout is ${hex(given)}, ` +
    `the kernel's ${hex(layout?.crc)}.`;
  judge.refuse(
    'module-layout',
    Errno.ENOEXEC,
    why,
    'Build the module against the headers of exactly this kernel.',
  );
}

/** verify_namespace_is_imported */
function checkNamespace(judge: Judge, file: ModuleFile, found: FoundSymbol<SymbolOwner>): Permission {
  if (!judge.has('namespaces') || found.namespace === '') return ok;
  if (file.modinfo.all('import_ns').includes(found.namespace)) return ok;
  const lenient = judge.has('namespaces-lenient');
  const text = `module uses symbol (${found.name}) from namespace ${found.namespace}, but does not import it.`;
  judge.say(lenient ? Level.WARNING : Level.ERR, `${file.name}: ${text}`);
  if (lenient) return ok;
  const why = `${found.name} is in the namespace ${found.namespace}; the module needs MODULE_IMPORT_NS(${found.namespace})`;
  return { ok: false, errno: Errno.EINVAL, why };
}
