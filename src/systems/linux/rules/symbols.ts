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
