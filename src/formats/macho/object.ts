/** MachoFile -> the neutral ObjectFile. */
import { Invalid } from '../../bytes/errors.ts';
import type {
  Machine,
  ObjectFile,
  ObjectRelocation,
  ObjectSection,
  ObjectSymbol,
  SymbolPlace,
} from '../object.ts';
import { CPU, MH, S, S_ATTR, VM_PROT } from './layout.ts';
import { type MachoFile, type MachoSection, readMachO } from './read.ts';
import { linkedRelocations, type MachoRelocation, sectionRelocations } from './relocations.ts';
import type { MachoSymbol } from './symbols.ts';

const MACHINES: ReadonlyMap<number, Machine> = new Map([
  [CPU.X86, 'i386'],
  [CPU.X86_64, 'x86-64'],
  [CPU.ARM, 'arm'],
  [CPU.ARM64, 'aarch64'],
  [CPU.PPC, 'ppc'],
  [CPU.PPC64, 'ppc64'],
]);

export function machoMachine(cputype: number): Machine {
  return MACHINES.get(cputype) ?? 'unknown';
}

/** Reads a thin Mach-O file as a neutral object file. @throws BadMagic, Truncated, Invalid, Unsupported */
export function readMachoObject(bytes: Uint8Array): ObjectFile {
  return machoObject(readMachO(bytes));
}

/** The neutral form; symbols and relocations are read when first asked for. */
export function machoObject(file: MachoFile): ObjectFile {
  return new MachoObject(file);
}

class MachoObject implements ObjectFile {
  readonly format = 'macho';
  readonly machine: Machine;
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly kind: ObjectFile['kind'];
  readonly sections: readonly ObjectSection[];
  readonly bytes: Uint8Array;
  readonly #file: MachoFile;
  #symbols: readonly ObjectSymbol[] | undefined;
  #linked: ReadonlyMap<number, readonly ObjectRelocation[]> | undefined;

  constructor(file: MachoFile) {
    this.#file = file;
    this.machine = machoMachine(file.header.cputype);
    this.bits = file.bits;
    this.littleEndian = file.header.littleEndian;
    this.kind = kindOf(file.header.filetype);
    this.bytes = file.bytes;
    this.sections = file.sections.map((section) => objectSection(file, section));
  }

  get symbols(): readonly ObjectSymbol[] {
    this.#symbols ??= (this.#file.symbols()?.all ?? []).map((symbol) => objectSymbol(this.#file, symbol));
    return this.#symbols;
  }

  relocations(section: number): readonly ObjectRelocation[] {
    const file = this.#file;
    if (file.header.filetype === MH.OBJECT) {
      const from = file.sections[section - 1];
      return from === undefined ? [] : sectionRelocations(file, from).map((entry) => neutral(entry, section));
    }
    this.#linked ??= bySection(file);
    return this.#linked.get(section) ?? [];
  }
}

function kindOf(filetype: number): ObjectFile['kind'] {
  if (filetype === MH.OBJECT) return 'relocatable';
  // A kext bundle is linked, keeps its relocations and is placed anywhere: what ELF calls a shared object.
  if (filetype === MH.KEXT_BUNDLE || filetype === MH.DYLIB || filetype === MH.BUNDLE) return 'shared';
  return filetype === MH.EXECUTE ? 'executable' : 'other';
}

function objectSection(file: MachoFile, section: MachoSection): ObjectSection {
  const segment = file.segments.find((candidate) => candidate.sections.includes(section));
  const linked = file.header.filetype !== MH.OBJECT;
  const code = (section.flags & (S_ATTR.PURE_INSTRUCTIONS | S_ATTR.SOME_INSTRUCTIONS)) !== 0;
  return {
    index: section.ordinal,
    name: `${section.segment},${section.name}`,
    allocated: (section.flags & S_ATTR.DEBUG) === 0 && section.segment !== '__DWARF',
    writable: linked ? ((segment?.initprot ?? 0) & VM_PROT.WRITE) !== 0 : section.segment !== '__TEXT',
    executable: code,
    zeroFill: section.zeroFill || section.type === S.ZEROFILL,
    address: section.address,
    size: section.size,
    alignment: section.alignment,
    data: file.data(section),
  };
}

const PLACES: Readonly<Record<MachoSymbol['kind'], SymbolPlace>> = {
  undefined: 'undefined',
  prebound: 'undefined',
  indirect: 'undefined',
  common: 'common',
  absolute: 'absolute',
  section: 'section',
  debug: 'absolute',
};

function objectSymbol(file: MachoFile, symbol: MachoSymbol): ObjectSymbol {
  const section = file.sections[symbol.section - 1];
  const relocatable = file.header.filetype === MH.OBJECT;
  const value = relocatable && section !== undefined ? symbol.value - section.address : symbol.value;
  const executable = section !== undefined && (section.flags & S_ATTR.PURE_INSTRUCTIONS) !== 0;
  return {
    index: symbol.index,
    name: symbol.name,
    binding: !symbol.external ? 'local' : symbol.weakReference || symbol.weakDefinition ? 'weak' : 'global',
    type:
      symbol.kind === 'debug' ? 'other' : section === undefined ? 'none' : executable ? 'function' : 'object',
    place: PLACES[symbol.kind],
    section: symbol.section,
    value,
    size: 0,
  };
}

function neutral(entry: MachoRelocation, section: number): ObjectRelocation {
  return {
    section,
    offset: entry.address,
    type: entry.type,
    symbol: entry.external ? entry.symbol : -1,
    addend: undefined,
  };
}

/** A linked file's entries by the section that holds their address; those of local symbols have no symbol (-1). */
function bySection(file: MachoFile): Map<number, ObjectRelocation[]> {
  const { external, local } = linkedRelocations(file);
  const map = new Map<number, ObjectRelocation[]>();
  for (const entry of [...external, ...local]) {
    const section = file.sections.find(
      (s) => entry.address >= s.address && entry.address < s.address + s.size,
    );
    if (section === undefined) {
      throw new Invalid('relocation', 'address is in no section', { value: entry.address });
    }
    const list = map.get(section.ordinal) ?? [];
    list.push(neutral(entry, section.ordinal));
    map.set(section.ordinal, list);
  }
  return map;
}
