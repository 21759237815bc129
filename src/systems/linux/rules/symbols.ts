/** Which exported symbol an import gets, and whether it may: resolve_symbol (kernel/module/main.c). */
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { ModuleFile } from '../module-file.ts';
import { TAINT } from '../taint-bits.ts';
import { oddSymbols } from './as-read.ts';
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

/** Why a symbol is not to be had; in `why` in our words, about "it". */
export interface Withheld {
  readonly kind: 'missing' | 'version' | 'licence' | 'namespace' | 'common' | 'owner' | 'other';
  /** 0: it does not exist for this importer, which a weak reference lets pass. */
  readonly errno: number;
  readonly why: string;
}

export type Resolution<Owner> = { readonly found: FoundSymbol<Owner> } | Withheld;

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
    if (hidden) {
      const why = 'it is for GPL-compatible modules only, and this one is not';
      return { kind: 'licence', errno: 0, why };
    }
    const absent = source.absent?.(name);
    const why = absent ?? 'neither the kernel nor a loaded module exports it';
    return { kind: absent === undefined ? 'missing' : 'owner', errno: 0, why };
  }
  return checkSymbol(judge, importer, found) ?? { found };
}

export interface SymbolFailure extends Withheld {
  readonly name: string;
}

/** A symbol that compilers for x86 refer to and nobody defines (ignore_undef_symbol). */
const IGNORED = '_GLOBAL_OFFSET_TABLE_';
const IGNORING: ReadonlySet<string> = new Set(['x86-64', 'i386']);
/** The table of contents of powerpc64, which the loader defines (module_frob_arch_sections). */
const TABLE_OF_CONTENTS = '.TOC.';

/** simplify_symbols: what a symbol that cannot be had means; undefined where it counts as zero. */
export function failedSymbol(
  judge: Judge,
  file: ModuleFile,
  symbol: { readonly name: string; readonly binding: string },
  result: Withheld,
): SymbolFailure | undefined {
  const { name } = symbol;
  if (result.errno === 0 && (symbol.binding === 'weak' || isIgnored(judge, name))) return undefined;
  if (name === TABLE_OF_CONTENTS && judge.kernel.machine === 'ppc64') return undefined;
  const errno = result.errno || Errno.ENOENT;
  judge.say(Level.WARNING, `${file.name}: Unknown symbol ${name} (err -${errno})`);
  return { ...result, name, errno };
}

const isIgnored = ({ kernel }: Judge, name: string): boolean =>
  name === IGNORED && IGNORING.has(kernel.machine);

/** A common symbol has no place in a module; compilers mark objects of link-time optimisation with one. */
export function commonSymbol(judge: Judge, file: ModuleFile, name: string): SymbolFailure | undefined {
  if (name.startsWith('__gnu_lto')) return undefined;
  judge.say(Level.WARNING, `${file.name}: please compile with -fno-common`);
  return { kind: 'common', name, errno: Errno.ENOEXEC, why: 'it is a common symbol, which has no place' };
}

/** Symbols that claim to be in a section that is not there. They are told after the others, if there are others. */
export function misplacedSymbols(judge: Judge, file: ModuleFile): SymbolFailure[] {
  return oddSymbols(file).map(({ name, section, most }) => {
    const why = `it is said to be in section ${section}, and the last one is ${most}`;
    // Kernels without this look read whatever lies there, and mostly crash.
    if (judge.has('symbol-section-index'))
      judge.say(
        Level.ERR,
        `${file.name}: Symbol ${name} has an invalid section index ${section} (max ${most})`,
      );
    return { kind: 'other', name, errno: Errno.ENOEXEC, why };
  });
}

/** Every symbol was tried; the last error counts. */
export function refuseUnresolved(judge: Judge, failures: readonly SymbolFailure[]): void {
  const last = failures.at(-1);
  if (last === undefined) return;
  const byReason = new Map<string, string[]>();
  for (const { name, why } of failures) byReason.set(why, [...(byReason.get(why) ?? []), name]);
  const list = [...byReason].map(([why, names]) => `${someOf(names)} (${why})`).join('; ');
  const why = `${failures.length} of the symbols it needs cannot be had: ${list}.`;
  const hints = new Set(failures.map(({ kind }) => HINTS[kind]));
  judge.refuse('symbols', last.errno, why, [...hints].join(' '));
}

const FOR_THIS_KERNEL =
  'Build the module against the headers of exactly this kernel, or fetch the one built for it.';

const HINTS: Readonly<Record<Withheld['kind'], string>> = {
  missing: 'Load the modules that export them first (modprobe does), or build the module for this kernel.',
  owner: 'Mend the module that exports them first.',
  version: FOR_THIS_KERNEL,
  licence: 'Only a module under a licence that is compatible with the GPL may use them.',
  namespace: 'Add MODULE_IMPORT_NS for the namespace and build the module again.',
  other: 'Compare the file with its package; it was changed on the way.',
  common: 'Compile with -fno-common, or give the variable a value.',
};

/** More names than a person reads are counted. */
const FEW = 6;

function someOf(names: readonly string[]): string {
  const more = names.length > FEW ? ` and ${names.length - FEW} more` : '';
  return names.slice(0, FEW).join(', ') + more;
}

/** What keeps the importer from using the symbol, after the kernel has said so; undefined when nothing does. */
function checkSymbol(
  judge: Judge,
  importer: Importer,
  found: FoundSymbol<SymbolOwner>,
): Withheld | undefined {
  if (found.gplOnly) importer.usesGplOnly = true;
  if (!inheritTaint(judge, importer, found)) {
    const why = `it comes from the proprietary module ${found.owner?.name}, and GPL-only symbols are in use`;
    // A symbol withheld for its owner's taint counts as not found, so that a weak reference lets it pass.
    return { kind: 'licence', errno: 0, why };
  }
  if (!checkVersion(judge, importer.file, importer.flags, found.name, found.crc)) {
    const listed = versionsOf(judge, importer.file)?.has(found.name) === true;
    const why = listed
      ? 'its version is not the one that the module was built against'
      : 'the module does not say which version of it was built against';
    return { kind: 'version', errno: Errno.EINVAL, why };
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
  if (!judge.has('symbol-versions')) return true;
  if (crc === undefined) {
    if (judge.kernel.gaps?.has('versions') && file.versions !== undefined) {
      judge.unknown({
        what: "the versions of the kernel's symbols",
        how: 'give its Module.symvers or its image',
      });
    }
    return true;
  }
  const extended =
    judge.has('extended-versions') && !flags.ignoreModversions ? file.extendedVersions : undefined;
  if (extended !== undefined) return checkExtended(judge, file, symbol, crc, extended.get(symbol));
  const versions = flags.ignoreModversions ? undefined : file.versions;
  if (versions === undefined) return forceLoad(judge, file.name, symbol);
  const wanted = versions.get(symbol);
  if (wanted === crc) return true;
  if (wanted === undefined) {
    const required = judge.has('version-entry-required');
    if (required || judge.firstTime('no symbol version')) {
      judge.say(Level.WARNING, `${file.statedName}: no symbol version for ${symbol}`);
    }
    return !required;
  }
  judge.say(Level.WARNING, `${file.statedName}: disagrees about version of symbol ${symbol}`);
  return false;
}

/** The versions that this kernel looks at. */
export const versionsOf = (judge: Judge, file: ModuleFile): ReadonlyMap<string, number> | undefined =>
  (judge.has('extended-versions') ? file.extendedVersions : undefined) ?? file.versions;

/** Extended versions count alone where they are; a name that is not among them is let pass. */
function checkExtended(
  judge: Judge,
  file: ModuleFile,
  symbol: string,
  crc: number,
  wanted: number | undefined,
): boolean {
  if (wanted === crc) return true;
  if (wanted === undefined) {
    if (judge.firstTime('no extended symbol version'))
      judge.say(Level.WARNING, `${file.statedName}: no extended symbol version for ${symbol}`);
    return true;
  }
  judge.say(Level.WARNING, `${file.statedName}: disagrees about version of symbol ${symbol}`);
  return false;
}

/** check_modstruct_version: the CRC of `module_layout` stands for struct module itself. */
export function checkModuleLayout(judge: Judge, file: ModuleFile, flags: LoadFlags): void {
  judge.enter('module-layout');
  const layout = judge.kernel.exports.find('module_layout');
  if (checkVersion(judge, file, flags, 'module_layout', layout?.crc)) return;
  const versions = flags.ignoreModversions ? undefined : versionsOf(judge, file);
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
function checkNamespace(
  judge: Judge,
  file: ModuleFile,
  found: FoundSymbol<SymbolOwner>,
): Withheld | undefined {
  const { namespace } = found;
  if (!judge.has('namespaces') || namespace === '') return undefined;
  if (judge.has('module-namespaces') && isForModule(namespace, file.name)) return undefined;
  if (file.modinfo.all('import_ns').includes(namespace)) return undefined;
  const lenient = judge.has('namespaces-lenient');
  const text = `module uses symbol (${found.name}) from namespace ${namespace}, but does not import it.`;
  judge.say(lenient ? Level.WARNING : Level.ERR, `${file.name}: ${text}`);
  if (lenient) return undefined;
  const why = namespace.startsWith(FOR_MODULES)
    ? `it is only for the modules ${namespace.slice(FOR_MODULES.length)}`
    : `it is in the namespace ${namespace}; the module needs MODULE_IMPORT_NS(${namespace})`;
  return { kind: 'namespace', errno: Errno.EINVAL, why };
}

const FOR_MODULES = 'module:';

/**
 * verify_module_namespace: `module:foo,bar-*` names the modules that may use a symbol; a star ends a beginning, and - and _
 * are the same (mod_strncmp).
 */
function isForModule(namespace: string, module: string): boolean {
  if (!namespace.startsWith(FOR_MODULES)) return false;
  const name = module.replaceAll('-', '_');
  return namespace
    .replaceAll('-', '_')
    .slice(FOR_MODULES.length)
    .split(',')
    .some((one) => (one.endsWith('*') ? name.startsWith(one.slice(0, -1)) : one === name));
}
