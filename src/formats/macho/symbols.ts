/** The symbol table of a Mach-O file (struct nlist and nlist_64) and what LC_DYSYMTAB says of it. */
import { cstring } from '../../bytes/cstring.ts';
import { Invalid, Unsupported } from '../../bytes/errors.ts';
import type { ByteView } from '../../bytes/view.ts';
import { N, N_DESC, NLIST_SIZE } from './layout.ts';

export interface SymbolTable {
  readonly symoff: number;
  readonly nsyms: number;
  readonly stroff: number;
  readonly strsize: number;
}

/** LC_DYSYMTAB: ranges of the symbol table, and the tables that linked files keep apart. */
export interface DynamicTable {
  readonly ilocalsym: number;
  readonly nlocalsym: number;
  readonly iextdefsym: number;
  readonly nextdefsym: number;
  readonly iundefsym: number;
  readonly nundefsym: number;
  readonly indirectsymoff: number;
  readonly nindirectsyms: number;
  readonly extreloff: number;
  readonly nextrel: number;
  readonly locreloff: number;
  readonly nlocrel: number;
}

export type MachoSymbolKind =
  | 'undefined'
  | 'common'
  | 'absolute'
  | 'section'
  | 'indirect'
  | 'prebound'
  | 'debug';

export interface MachoSymbol {
  readonly index: number;
  readonly name: string;
  readonly kind: MachoSymbolKind;
  /** N_EXT without N_PEXT: seen by others. */
  readonly exported: boolean;
  readonly external: boolean;
  readonly privateExternal: boolean;
  readonly weakReference: boolean;
  readonly weakDefinition: boolean;
  /** N_DESC_DISCARDED: kernel exports marked obsolete. */
  readonly obsolete: boolean;
  /** 1-based section ordinal; 0 = none. */
  readonly section: number;
  readonly value: number;
  readonly type: number;
  readonly desc: number;
  /** Of an indirect symbol: the name it stands for. */
  readonly alias: string | undefined;
}

/** Names of all symbols together may repeat the string table this often before the table counts as hostile. */
const NAME_REPEATS = 16;
const LEAST_BUDGET = 1 << 16;

/** Symbols of one file, parsed at once and checked. */
export class MachoSymbols {
  readonly all: readonly MachoSymbol[];
  #byName: Map<string, MachoSymbol> | undefined;

  constructor(view: ByteView, bits: 32 | 64, table: SymbolTable, sections: number) {
    const strings = view.slice(table.stroff, table.strsize, 'string table');
    let budget = Math.max(LEAST_BUDGET, view.length * NAME_REPEATS);
    this.all = Array.from({ length: table.nsyms }, (_, index) => {
      const symbol = readSymbol(
        view,
        bits,
        table.symoff + index * NLIST_SIZE[bits],
        index,
        strings,
        sections,
      );
      budget -= symbol.name.length + 1;
      if (budget < 0) throw new Unsupported('symbol names', 'repeat more bytes than any honest file does');
      return symbol;
    });
  }

  /** The defined symbol of that name that is seen by others, else a local one. */
  find(name: string): MachoSymbol | undefined {
    if (this.#byName === undefined) {
      this.#byName = new Map();
      for (const symbol of this.all) {
        if (symbol.kind === 'debug' || symbol.kind === 'undefined') continue;
        const known = this.#byName.get(symbol.name);
        if (known === undefined || (!known.external && symbol.external))
          this.#byName.set(symbol.name, symbol);
      }
    }
    return this.#byName.get(name);
  }

  get undefined(): readonly MachoSymbol[] {
    return this.all.filter((symbol) => symbol.kind === 'undefined');
  }

  get exports(): readonly MachoSymbol[] {
    return this.all.filter(
      (symbol) =>
        symbol.exported && symbol.kind !== 'undefined' && symbol.kind !== 'common' && symbol.kind !== 'debug',
    );
  }
}

function readSymbol(
  view: ByteView,
  bits: 32 | 64,
  at: number,
  index: number,
  strings: Uint8Array,
  sections: number,
): MachoSymbol {
  const strx = view.u32(at);
  const type = view.u8(at + 4);
  const section = view.u8(at + 5);
  const desc = view.u16(at + 6);
  const value = bits === 64 ? view.s64(at + 8) : view.u32(at + 8);
  const name = nameAt(strings, strx, index, at);
  const kind = kindOf(type, value);
  if (kind === 'section' && (section === 0 || section > sections)) {
    throw new Invalid(`symbol ${name}`, `n_sect names no section of ${sections}`, {
      offset: at + 5,
      value: section,
    });
  }
  const external = kind !== 'debug' && (type & N.EXT) !== 0;
  const privateExternal = kind !== 'debug' && (type & N.PEXT) !== 0;
  return {
    index,
    name,
    kind,
    exported: external && !privateExternal,
    external,
    privateExternal,
    weakReference: kind === 'undefined' && (desc & N_DESC.WEAK_REF) !== 0,
    weakDefinition: kind === 'section' && (desc & N_DESC.WEAK_DEF) !== 0,
    obsolete: kind === 'section' && (desc & N_DESC.DISCARDED) !== 0,
    section: kind === 'section' ? section : 0,
    value,
    type,
    desc,
    alias: kind === 'indirect' ? nameAt(strings, value, index, at) : undefined,
  };
}

function kindOf(type: number, value: number): MachoSymbolKind {
  if ((type & N.STAB) !== 0) return 'debug';
  switch (type & N.TYPE) {
    case N.SECT:
      return 'section';
    case N.ABS:
      return 'absolute';
    case N.INDR:
      return 'indirect';
    case N.PBUD:
      return 'prebound';
    default:
      return value !== 0 && (type & N.EXT) !== 0 ? 'common' : 'undefined';
  }
}

function nameAt(strings: Uint8Array, strx: number, index: number, at: number): string {
  // Index 0 is the empty name by convention, whatever byte stands there.
  if (strx === 0) return '';
  if (!(strx > 0 && strx < strings.length)) {
    const problem = `name is outside the string table of ${strings.length} bytes`;
    throw new Invalid(`symbol ${index}`, problem, { offset: at, value: strx });
  }
  return cstring(strings, strx);
}
