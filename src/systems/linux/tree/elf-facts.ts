/**
 * What the module tools want to know of a module file, read with as few bytes as possible: the symbols it offers with
 * their versions, the symbols it needs, and the strings of .modinfo. Damage is judged as the tools judge it, which is
 * milder than the kernel's loader: a section that lies outside the file is as good as absent.
 */

/** The bytes of a file, in pieces. Reading beyond the end gives fewer bytes. */
export interface ByteSource {
  readonly size: number;
  /** A view that stays valid as long as the file is open. */
  read(offset: number, length: number): Uint8Array;
}

/** How a file was refused: errno of the tools' library. */
export class NotAModule extends Error {
  /** ENOEXEC: no ELF file; EINVAL: a damaged one; ENODATA: the part that is asked for is absent. */
  readonly errno: 'ENOEXEC' | 'EINVAL' | 'ENODATA';

  constructor(errno: NotAModule['errno'], what: string) {
    super(what);
    this.name = 'NotAModule';
    this.errno = errno;
  }
}

export interface ModuleSymbol {
  readonly name: string;
  /** Unsigned; versions are 32-bit words that 64-bit files store in 64. */
  readonly crc: number;
}

export interface NeededSymbol extends ModuleSymbol {
  readonly weak: boolean;
}

interface Section {
  readonly offset: number;
  readonly size: number;
}

const WANTED = [
  '__ksymtab_strings',
  '.modinfo',
  '.strtab',
  '.symtab',
  '__versions',
  '.note.gnu.build-id',
] as const;
type Wanted = (typeof WANTED)[number];

const ELF_IDENT = 16;
const HEADER_BYTES = { 32: 52, 64: 64 } as const;
const SECTION_BYTES = { 32: 40, 64: 64 } as const;
const SYMBOL_BYTES = { 32: 16, 64: 24 } as const;
/** struct modversion_info: a word and a name, 64 bytes in both classes. */
const VERSION_BYTES = 64;
const SHN_UNDEF = 0;
const SHN_ABS = 0xfff1;
const STB_WEAK = 2;
/** Registers that SPARC's compiler lists as undefined symbols. */
const STT_REGISTER = 13;
const SPARC_MACHINES: readonly number[] = [2, 43];
/** `__crc_`, as the bytes of a string table. */
const CRC_PREFIX = [0x5f, 0x5f, 0x63, 0x72, 0x63, 0x5f];
const NT_GNU_BUILD_ID = 3;
/** What a version without a match in the file is taken for. */
const NO_CRC = 2 ** 64;

/** `.m`, `.n`, `.s`, `__`: how wanted names begin; a kernel module has seventy sections, most of other names. */
function couldBeWanted(first: number, second: number): boolean {
  if (first === 0x2e) return second === 0x6d || second === 0x6e || second === 0x73;
  return first === 0x5f && second === 0x5f;
}

/** An ELF file as the module tools see it. */
export class ElfFacts {
  private readonly source: ByteSource;
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly machine: number;
  /** e_type: 1 is an object file, as modules are. */
  readonly type: number;
  /** By position in WANTED. */
  private readonly sections: (Section | undefined)[] = [];
  /** All section headers, for the versions that stand in a section. */
  private readonly headers: DataView;
  /** Where they begin in the file. */
  private readonly tableAt: number;
  private readonly names: Uint8Array;
  private tables: Tables | undefined;

  /** @throws NotAModule */
  constructor(source: ByteSource) {
    this.source = source;
    const head = source.read(0, 64);
    if (source.size <= ELF_IDENT || head[0] !== 0x7f || latin(head, 1, 4) !== 'ELF')
      throw new NotAModule('ENOEXEC', 'no ELF file');
    this.bits = head[4] === 1 ? 32 : 64;
    this.littleEndian = head[5] === 1;
    if (head[4] < 1 || head[4] > 2 || head[5] < 1 || head[5] > 2 || source.size <= HEADER_BYTES[this.bits])
      throw new NotAModule(
        'EINVAL',
        'an ELF file of no known class or byte order, or one that ends in its header',
      );
    const view = viewOf(head);
    const wide = this.bits === 64;
    this.machine = view.getUint16(18, this.littleEndian);
    this.type = view.getUint16(16, this.littleEndian);
    const at = wide ? u64(view, 40, this.littleEndian) : view.getUint32(32, this.littleEndian);
    const tail = wide ? 58 : 46;
    const entry = view.getUint16(tail, this.littleEndian);
    const count = view.getUint16(tail + 2, this.littleEndian);
    const strings = view.getUint16(tail + 4, this.littleEndian);
    if (entry !== SECTION_BYTES[this.bits] || !this.inside(at, entry * count))
      throw new NotAModule('EINVAL', 'section headers outside the file');
    this.tableAt = at;
    this.headers = viewOf(source.read(at, entry * count));
    const names = strings === 0 || strings >= count ? undefined : this.extent(strings);
    this.names = names === undefined ? EMPTY : source.read(names.offset, names.size);
    // The tools want the table's own name to be in it, too.
    const own = this.names.length === 0 ? 0 : this.headers.getUint32(strings * entry, this.littleEndian);
    if (own >= this.names.length || this.names[this.names.length - 1] !== 0)
      throw new NotAModule('EINVAL', 'no table of section names');
    this.findSections(count);
  }

  private findSections(count: number): void {
    const { names, headers, sections } = this;
    const step = SECTION_BYTES[this.bits];
    for (let i = 1; i < count; i++) {
      const nameAt = headers.getUint32(i * step, this.littleEndian);
      if (!couldBeWanted(names[nameAt], names[nameAt + 1])) continue;
      const wanted = wantedAt(names, nameAt);
      if (wanted >= 0) sections[wanted] ??= this.extent(i);
    }
  }

  /** Where the header of the first section of that name stands; undefined without one that the file holds. */
  headerOf(name: Wanted): number | undefined {
    const step = SECTION_BYTES[this.bits];
    for (let at = step; at + step <= this.headers.byteLength; at += step) {
      const nameAt = this.headers.getUint32(at, this.littleEndian);
      if (wantedAt(this.names, nameAt) === WANTED.indexOf(name) && this.extent(at / step) !== undefined)
        return this.tableAt + at;
    }
    return undefined;
  }

  /** The bytes of the first section of any name; undefined without one. */
  anyBytes(name: string): Uint8Array | undefined {
    const step = SECTION_BYTES[this.bits];
    const wanted = bytesOfName(name);
    for (let at = step; at + step <= this.headers.byteLength; at += step) {
      if (!isName(this.names, this.headers.getUint32(at, this.littleEndian), wanted)) continue;
      const extent = this.extent(at / step);
      return extent && this.source.read(extent.offset, extent.size);
    }
    return undefined;
  }

  /** Every symbol but the first, in order. @throws NotAModule EINVAL without a symbol table */
  *symbols(): Generator<FileSymbol> {
    const tables = this.symbolTables();
    if (tables === undefined) throw new NotAModule('EINVAL', 'no symbol table');
    const { symbols, strings } = tables;
    const view = viewOf(symbols);
    const step = SYMBOL_BYTES[this.bits];
    const [infoAt, sectionAt] = this.bits === 64 ? [4, 6] : [12, 14];
    for (let at = step; at + step <= symbols.length; at += step) {
      const name = view.getUint32(at, this.littleEndian);
      if (name >= strings.length) throw new NotAModule('EINVAL', 'a name outside the string table');
      const info = symbols[at + infoAt];
      yield {
        name: cstringAt(strings, name),
        binding: info >> 4,
        type: info & 15,
        section: view.getUint16(at + sectionAt, this.littleEndian),
      };
    }
  }

  /** Where .modinfo begins. */
  get modinfoOffset(): number {
    return this.section('.modinfo')?.offset ?? 0;
  }

  private section(name: Wanted): Section | undefined {
    return this.sections[WANTED.indexOf(name)];
  }

  private inside(offset: number, size: number): boolean {
    return offset + size <= this.source.size;
  }

  /** Where a section lies; undefined when the file does not hold it. */
  private extent(index: number): Section | undefined {
    const at = index * SECTION_BYTES[this.bits];
    const wide = this.bits === 64;
    if (at + SECTION_BYTES[this.bits] > this.headers.byteLength) return undefined;
    const word = (field: number) =>
      wide
        ? u64(this.headers, at + 24 + 8 * field, this.littleEndian)
        : this.headers.getUint32(at + 16 + 4 * field, this.littleEndian);
    const [offset, size] = [word(0), word(1)];
    return this.inside(offset, size) ? { offset, size } : undefined;
  }

  private bytesOf(name: Wanted): Uint8Array | undefined {
    const section = this.section(name);
    // At offset 0 stands the file's own header: no section can.
    if (section === undefined || section.offset === 0) return undefined;
    return this.source.read(section.offset, section.size);
  }

  /** The strings of .modinfo, in order; empty ones are padding. @throws NotAModule ENODATA without the section */
  modinfo(): string[] {
    return stringsOf(this.modinfoBytes());
  }

  modinfoBytes(): Uint8Array {
    const bytes = this.bytesOf('.modinfo');
    if (bytes === undefined) throw new NotAModule('ENODATA', 'no .modinfo');
    return bytes;
  }

  /** The symbols it exports, with their versions. @throws NotAModule ENODATA when it says nothing about any */
  exports(): ModuleSymbol[] {
    const tables = this.symbolTables();
    const found = tables === undefined ? undefined : this.versionedExports(tables);
    return found === undefined || found.length === 0 ? this.namedExports() : found;
  }

  /** `__crc_NAME` symbols; undefined where a name lies outside the string table. */
  private versionedExports({ symbols, strings }: Tables): ModuleSymbol[] | undefined {
    const found: ModuleSymbol[] = [];
    const step = SYMBOL_BYTES[this.bits];
    const view = viewOf(symbols);
    for (let at = step; at + step <= symbols.length; at += step) {
      const name = view.getUint32(at, this.littleEndian);
      if (name >= strings.length) return undefined;
      if (!CRC_PREFIX.every((byte, i) => strings[name + i] === byte)) continue;
      found.push({ name: cstringAt(strings, name + CRC_PREFIX.length), crc: this.crcOf(view, at) });
    }
    return found;
  }

  private crcOf(view: DataView, at: number): number {
    const wide = this.bits === 64;
    const value = wide ? u64(view, at + 8, this.littleEndian) : view.getUint32(at + 4, this.littleEndian);
    const section = view.getUint16(at + (wide ? 6 : 14), this.littleEndian);
    if (section === SHN_ABS || section === SHN_UNDEF) return value;
    const extent = this.extent(section);
    if (extent === undefined || extent.size < 4 || value > extent.size - 4) return NO_CRC;
    const word = this.source.read(extent.offset + value, 4);
    return viewOf(word).getUint32(0, this.littleEndian);
  }

  /** Names alone, from the strings of the export table: modules without versions. */
  namedExports(): ModuleSymbol[] {
    const bytes = this.bytesOf('__ksymtab_strings');
    if (bytes === undefined) throw new NotAModule('ENODATA', 'no exported symbols');
    const start = bytes.findIndex((byte) => byte !== 0);
    if (start < 0 || bytes.length - start <= 1) return [];
    if (bytes[bytes.length - 1] !== 0) throw new NotAModule('EINVAL', 'names of exports without an end');
    return stringsOf(bytes).map((name) => ({ name, crc: 0 }));
  }

  /** `.symtab` and `.strtab`; undefined where one is absent or damaged. */
  symbolTables(): Tables | undefined {
    this.tables ??= this.readTables();
    return this.tables;
  }

  private readTables(): Tables | undefined {
    const [symtab, strtab] = [this.section('.symtab'), this.section('.strtab')];
    if (symtab === undefined || strtab === undefined || symtab.offset === 0 || strtab.offset === 0)
      return undefined;
    if (symtab.size % SYMBOL_BYTES[this.bits] !== 0) return undefined;
    const { source } = this;
    const gap = strtab.offset - symtab.offset - symtab.size;
    if (gap < 0 || gap > ALIGNMENT)
      return {
        symbols: source.read(symtab.offset, symtab.size),
        strings: source.read(strtab.offset, strtab.size),
      };
    // As linkers place them: one read for both.
    const both = source.read(symtab.offset, symtab.size + gap + strtab.size);
    return { symbols: both.subarray(0, symtab.size), strings: both.subarray(symtab.size + gap) };
  }

  /** The symbols it needs, in the order of its symbol table; then versions of symbols that it does not name. */
  needs(): NeededSymbol[] {
    const tables = this.symbolTables();
    if (tables === undefined) throw new NotAModule('EINVAL', 'no symbol table');
    const versions = this.versions() ?? [];
    const crcs = new Map<string, number>();
    for (const { name, crc } of versions) if (!crcs.has(name)) crcs.set(name, crc);
    const needed: NeededSymbol[] = [];
    const seen = new Set<string>();
    for (const { name, weak } of this.undefinedSymbols(tables)) {
      needed.push({ name, crc: crcs.get(name) ?? 0, weak });
      seen.add(name);
    }
    const first = new Set<string>();
    for (const { name, crc } of versions) {
      // Only a name's first version is the one its symbol has; a second one counts as not asked for.
      if (!seen.has(name) || first.has(name)) needed.push({ name, crc, weak: false });
      first.add(name);
    }
    return needed;
  }

  private *undefinedSymbols({ symbols, strings }: Tables): Generator<{ name: string; weak: boolean }> {
    const step = SYMBOL_BYTES[this.bits];
    const view = viewOf(symbols);
    const [infoAt, sectionAt] = this.bits === 64 ? [4, 6] : [12, 14];
    const registers = SPARC_MACHINES.includes(this.machine);
    for (let at = step; at + step <= symbols.length; at += step) {
      if (view.getUint16(at + sectionAt, this.littleEndian) !== SHN_UNDEF) continue;
      const info = symbols[at + infoAt];
      if (registers && (info & 15) === STT_REGISTER) continue;
      const name = view.getUint32(at, this.littleEndian);
      if (name >= strings.length) throw new NotAModule('EINVAL', 'a name outside the string table');
      if (strings[name] !== 0) yield { name: cstringAt(strings, name), weak: info >> 4 === STB_WEAK };
    }
  }

  /** Does it have the section with the names of its exports? */
  get namesExports(): boolean {
    return (this.section('__ksymtab_strings')?.offset ?? 0) !== 0;
  }

  /** How many versions there are, without reading them. */
  get versionCount(): number {
    const section = this.section('__versions');
    return section === undefined || section.offset === 0 ? 0 : Math.floor(section.size / VERSION_BYTES);
  }

  /** The entries of `__versions`; undefined without them or where they are damaged. */
  versions(): ModuleSymbol[] | undefined {
    const bytes = this.bytesOf('__versions');
    if (bytes === undefined || bytes.length % VERSION_BYTES !== 0) return undefined;
    const found: ModuleSymbol[] = [];
    const view = viewOf(bytes);
    const wide = this.bits === 64;
    for (let at = 0; at < bytes.length; at += VERSION_BYTES) {
      const start = at + (wide ? 8 : 4);
      const nul = bytes.indexOf(0, start);
      if (nul < 0 || nul >= at + VERSION_BYTES) throw new NotAModule('EINVAL', 'a version without a name');
      const crc = wide ? u64(view, at, this.littleEndian) : view.getUint32(at, this.littleEndian);
      found.push({ name: latin(bytes, start, nul), crc });
    }
    return found;
  }

  /** The build id that the linker made; undefined without one. */
  buildId(): Uint8Array | undefined {
    const bytes = this.bytesOf('.note.gnu.build-id');
    if (bytes === undefined || bytes.length < 12) return undefined;
    const view = viewOf(bytes);
    const [nameSize, size, type] = [0, 4, 8].map((at) => view.getUint32(at, this.littleEndian));
    if (bytes.length < 12 + nameSize + size || type !== NT_GNU_BUILD_ID) return undefined;
    if (latin(bytes, 12, 16) !== 'GNU\0') return undefined;
    return bytes.slice(12 + nameSize, 12 + nameSize + size);
  }
}

/** A symbol as the file has it: numbers are those of ELF. */
export interface FileSymbol {
  readonly name: string;
  readonly binding: number;
  readonly type: number;
  /** Index of its section; 0: undefined. */
  readonly section: number;
}

export interface Tables {
  readonly symbols: Uint8Array;
  readonly strings: Uint8Array;
}

/** At most so far apart are sections that follow each other. */
const ALIGNMENT = 64;

const EMPTY = new Uint8Array();

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Exact up to 2^53, which no file's size and no version reaches. */
const u64 = (view: DataView, at: number, little: boolean): number =>
  view.getUint32(at + (little ? 0 : 4), little) + view.getUint32(at + (little ? 4 : 0), little) * 2 ** 32;

const decoder = /* @__PURE__ */ new TextDecoder('latin1');

/** Bytes as a string of bytes. TextDecoder's "latin1" is windows-1252: only ASCII is the same there. */
export function latin(bytes: Uint8Array, from: number, to: number): string {
  if (to - from > 24) {
    for (let i = from; i < to; i++) if (bytes[i] >= 0x80) return slowLatin(bytes, from, to);
    return decoder.decode(bytes.subarray(from, to));
  }
  return slowLatin(bytes, from, to);
}

function slowLatin(bytes: Uint8Array, from: number, to: number): string {
  let text = '';
  for (let i = from; i < to; i++) text += String.fromCharCode(bytes[i]);
  return text;
}

function cstringAt(bytes: Uint8Array, at: number): string {
  const nul = bytes.indexOf(0, at);
  return latin(bytes, at, nul < 0 ? bytes.length : nul);
}

const bytesOfName = (name: string): readonly number[] => [...name, '\0'].map((char) => char.charCodeAt(0));

/** Does that name stand there, NUL and all? */
const isName = (names: Uint8Array, at: number, name: readonly number[]): boolean =>
  name.every((byte, i) => names[at + i] === byte);

const WANTED_BYTES = WANTED.map(bytesOfName);

/** Which wanted name stands there, NUL and all; -1 = none. */
function wantedAt(names: Uint8Array, at: number): number {
  for (let n = 0; n < WANTED_BYTES.length; n++) {
    const name = WANTED_BYTES[n];
    let i = 0;
    while (i < name.length && names[at + i] === name[i]) i++;
    if (i === name.length) return n;
  }
  return -1;
}

/** NUL-terminated strings; the last may be without its NUL. */
export function stringsOf(bytes: Uint8Array): string[] {
  const strings: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const nul = bytes.indexOf(0, at);
    const end = nul < 0 ? bytes.length : nul;
    if (end > at) strings.push(latin(bytes, at, end));
    at = end + 1;
  }
  return strings;
}
