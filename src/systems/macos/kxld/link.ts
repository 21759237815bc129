/**
 * The link of one kext (kxld_kext_relocate): its undefined symbols get addresses from the direct dependencies, duplicates
 * and leftovers are refused in kxld's words, and the image is relocated.
 */
import type { MachoFile } from '../../../formats/macho/read.ts';
import type { MachoSymbol, MachoSymbols } from '../../../formats/macho/symbols.ts';
import type { Address } from '../../../memory/address.ts';
import { checkShape, LinkFailure, LinkImage } from './image.ts';
import { relocateImage } from './relocate.ts';
import { type ParentClasses, patchVtables, type Vtable } from './vtables.ts';

/** What a direct dependency defines, by name. */
export interface LinkSymbols {
  /** Address of a symbol of a direct dependency; undefined when none exports it. */
  resolve(name: string): Address | undefined;
  /** Address of what a dependency is known to define under that name. */
  defined(name: string): Address | undefined;
  /** The kernel's stand-in for weak references that nobody defines. */
  readonly weakDefault: Address;
  /** Classes that those of the kext may inherit from. */
  readonly classes: ParentClasses;
}

export interface LinkedKext {
  readonly image: LinkImage;
  /** What others may link against: name to address. */
  readonly exports: ReadonlyMap<string, Address>;
  /** Defined symbols with their addresses, local ones too, for reports. */
  readonly symbols: readonly { readonly name: string; readonly address: Address }[];
  /** Vtables of its classes, for kexts that inherit from them. */
  readonly vtables: ReadonlyMap<string, Vtable>;
  /** Address of `_kmod_info`. */
  readonly kmodInfo: Address;
}

export const KMOD_INFO = '_kmod_info';
/** A kext that tests its weak references refers to this variable. */
const UNRESOLVED_TEST = '_gOSKextUnresolved';

/** Links a kext at `base`. @throws LinkFailure with the text that kxld logs; FormatError for a damaged file */
export function linkKext(file: MachoFile, base: Address, symbols: LinkSymbols): LinkedKext {
  checkShape(file);
  const table = file.symbols();
  if (table === undefined) throw new LinkFailure('The Mach-O file is malformed: No symbol table found.');
  const image = new LinkImage(file, base);
  const own = (symbol: MachoSymbol): Address => {
    if (symbol.kind === 'absolute') return symbol.value;
    return image.commons.get(symbol.index) ?? symbol.value + image.slide;
  };
  checkDefinitions(table, own, symbols, image.commons);
  const { resolved, left } = resolveUndefined(table, symbols, base);
  const kmodInfo = table.find(KMOD_INFO);
  if (kmodInfo?.kind !== 'section') throw new LinkFailure('The kext is missing its kmod_info structure.');
  relocateImage(image, (index) => {
    const symbol = table.all[index];
    if (symbol === undefined)
      throw new LinkFailure('The Mach-O file is malformed: A relocation names no symbol.');
    return resolved.get(symbol.name) ?? own(symbol);
  });
  const { vtables, patched } = patchVtables(image, table, symbols.classes);
  // A slot that now holds the parent's function does not need the one that it named.
  const unresolved = left.filter((name) => !patched.has(name));
  if (unresolved.length > 0) throw new UnresolvedSymbols(unresolved);
  const defined = table.all.filter((symbol) => symbol.kind === 'section' && symbol.name !== '');
  return {
    image,
    exports: exportsOf(table, own, resolved),
    vtables,
    symbols: defined.map((symbol) => ({ name: symbol.name, address: own(symbol) })),
    kmodInfo: own(kmodInfo),
  };
}

/** Common symbols, and names that a direct dependency has defined already, end the link. */
function checkDefinitions(
  table: MachoSymbols,
  own: (symbol: MachoSymbol) => Address,
  symbols: LinkSymbols,
  placed: ReadonlyMap<number, Address>,
): void {
  const common = table.all.filter(({ kind, index }) => kind === 'common' && !placed.has(index));
  if (common.length > 0) {
    throw new LinkFailure(
      'Common symbols are not supported in kernel extensions. Use -fno-common to build your kext. ' +
        `The following are common symbols:\n${common.map(({ name }) => `\t${name}`).join('\n')}`,
    );
  }
  const twice = table.exports.flatMap((symbol) => {
    const theirs = symbol.name === KMOD_INFO ? undefined : symbols.defined(symbol.name);
    return theirs === undefined || theirs === own(symbol)
      ? []
      : [{ name: symbol.name, theirs, ours: own(symbol) }];
  });
  if (twice.length === 0) return;
  throw new LinkFailure(
    `The following symbols were defined more than once:\n${twice
      .map(({ name, theirs, ours }) => `\t${name}: ${hex(theirs)} - ${hex(ours)}`)
      .join('\n')}`,
    'a library now exports what the kext brings itself: rename it or make it static',
  );
}

const hex = (address: Address): string => `0x${BigInt.asUintN(64, BigInt(address)).toString(16)}`;

interface Resolved {
  readonly resolved: ReadonlyMap<string, Address>;
  /** Names that nobody defines; until that is said they stand for the image itself, which any displacement reaches. */
  readonly left: readonly string[];
}

function resolveUndefined(table: MachoSymbols, symbols: LinkSymbols, base: Address): Resolved {
  const resolved = new Map<string, Address>();
  const left: string[] = [];
  const tests = table.all.some(({ name }) => name === UNRESOLVED_TEST);
  for (const symbol of table.all) {
    if (symbol.kind !== 'undefined' && symbol.kind !== 'indirect') continue;
    if (symbol.name === '' || resolved.has(symbol.name)) continue;
    const address = symbols.resolve(symbol.alias ?? symbol.name);
    if (address !== undefined) resolved.set(symbol.name, address);
    else if (symbol.weakReference) {
      if (!tests) {
        throw new LinkFailure(
          'This kext has weak references but does not test for them. Test for weak references with ' +
            'OSKextSymbolIsResolved(). (found in <libkern/OSKextLib.h>)',
        );
      }
      resolved.set(symbol.name, symbols.weakDefault);
    } else {
      left.push(symbol.name);
      resolved.set(symbol.name, base);
    }
  }
  return { resolved, left };
}

/** Names that no direct dependency exports. */
export class UnresolvedSymbols extends LinkFailure {
  readonly names: readonly string[];

  constructor(names: readonly string[]) {
    super(
      `The following symbols are unresolved for this kext:\n${names.map((name) => `\t${name}`).join('\n')}`,
    );
    this.name = 'UnresolvedSymbols';
    this.names = names;
  }
}

function exportsOf(
  table: MachoSymbols,
  own: (symbol: MachoSymbol) => Address,
  resolved: ReadonlyMap<string, Address>,
): Map<string, Address> {
  const exports = new Map<string, Address>();
  for (const symbol of table.exports) {
    if (symbol.name === KMOD_INFO) continue;
    const address = symbol.kind === 'indirect' ? resolved.get(symbol.name) : own(symbol);
    if (address !== undefined) exports.set(symbol.name, address);
  }
  return exports;
}
