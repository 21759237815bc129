/** A module file as the loader sees it once the ELF checks have passed: which sections are special, and .modinfo. */
import { cstring, cstrings, nulAt } from '../../bytes/cstring.ts';
import type { ElfSection } from '../../formats/elf/headers.ts';
import { SHF, SHT } from '../../formats/elf/layout.ts';
import { elfObject } from '../../formats/elf/object.ts';
import type { ElfFile } from '../../formats/elf/read.ts';
import type { ColumnarFile } from '../../formats/object.ts';

/** The strings of `.modinfo`: `tag=value`, and what stands between them. */
export class ModInfo {
  readonly entries: readonly { readonly tag: string; readonly value: string }[];
  /** Every string, as it stands and in order. */
  readonly strings: readonly string[];
  /** Strings without a known form: no '=' in them. The compiler never writes one; an embedded NUL leaves one. */
  readonly strays: readonly string[];

  constructor(bytes: Uint8Array) {
    const entries: { tag: string; value: string }[] = [];
    const strays: string[] = [];
    const strings: string[] = [];
    for (const { text } of cstrings(bytes)) {
      strings.push(text);
      const equals = text.indexOf('=');
      if (equals < 0) strays.push(text);
      else entries.push({ tag: text.slice(0, equals), value: text.slice(equals + 1) });
    }
    this.entries = entries;
    this.strings = strings;
    this.strays = strays;
  }

  /** The first value of a tag (get_modinfo). */
  get(tag: string): string | undefined {
    return this.entries.find((entry) => entry.tag === tag)?.value;
  }

  all(tag: string): string[] {
    return this.entries.filter((entry) => entry.tag === tag).map((entry) => entry.value);
  }

  /** Comma-separated names of all `depends=` entries. */
  get depends(): string[] {
    return this.all('depends')
      .flatMap((value) => value.split(','))
      .filter((name) => name !== '');
  }
}

/** Versions of names of any length: a table of numbers, and one of names in the same order (6.14 and later). */
export const EXTENDED = { crcs: '__version_ext_crcs', names: '__version_ext_names' } as const;

/** Symbol versions of a module's imports (`struct modversion_info`: unsigned long crc, char name[]). */
const VERSION_BYTES = 64;

export class ModuleFile {
  readonly elf: ElfFile;
  readonly object: ColumnarFile;
  /** As given, with the signature if there was one. */
  readonly whole: Uint8Array;
  readonly modinfo: ModInfo;
  /** The name in `struct module` (mod->name): what the module is called once it is there. */
  readonly name: string;
  /** The `name=` of .modinfo, else the other one (info->name): what the first rules call it. */
  readonly statedName: string;
  /** `.gnu.linkonce.this_module` */
  readonly thisModule: ElfSection;
  readonly symbolTable: ElfSection;
  readonly perCpu: ElfSection | undefined;
  #versions: ReadonlyMap<string, number> | undefined;
  #extended: ReadonlyMap<string, number> | undefined;

  constructor(
    elf: ElfFile,
    parts: {
      whole: Uint8Array;
      name: string;
      statedName: string;
      thisModule: ElfSection;
      symbolTable: ElfSection;
      modinfo: ModInfo;
    },
  ) {
    this.elf = elf;
    this.object = elfObject(elf);
    this.whole = parts.whole;
    this.modinfo = parts.modinfo;
    this.name = parts.name;
    this.statedName = parts.statedName;
    this.thisModule = parts.thisModule;
    this.symbolTable = parts.symbolTable;
    this.perCpu = findSection(elf, '.data..percpu');
  }

  /** find_sec: only sections that occupy memory count, and the first of that name wins. */
  section(name: string): ElfSection | undefined {
    return findSection(this.elf, name);
  }

  data(name: string): Uint8Array {
    const section = this.section(name);
    return section === undefined ? new Uint8Array(0) : this.elf.data(section);
  }

  /** CRC by imported name; undefined when the module has no `__versions` section. */
  get versions(): ReadonlyMap<string, number> | undefined {
    const section = this.section('__versions');
    if (section === undefined) return undefined;
    this.#versions ??= readVersions(this.#bytesOf(section), this.elf.bits / 8, this.elf.littleEndian);
    return this.#versions;
  }

  /** As `versions`, of the two tables of newer modules; undefined when the module has none. */
  get extendedVersions(): ReadonlyMap<string, number> | undefined {
    const [crcs, names] = [this.section(EXTENDED.crcs), this.section(EXTENDED.names)];
    if (crcs === undefined || names === undefined) return undefined;
    this.#extended ??= readExtended(this.#bytesOf(crcs), this.#bytesOf(names), this.elf.littleEndian);
    return this.#extended;
  }

  /** What the file has there, whatever type the section is said to have. */
  #bytesOf({ offset, size }: ElfSection): Uint8Array {
    return this.whole.subarray(offset, offset + size);
  }
}

export function findSection(elf: ElfFile, name: string): ElfSection | undefined {
  const first = elf.section(name);
  if (first === undefined || (first.flags & SHF.ALLOC) !== 0) return first;
  return elf.sections.find((section) => section.name === name && (section.flags & SHF.ALLOC) !== 0);
}

export function findSymbolTable(elf: ElfFile): ElfSection | undefined {
  return elf.sections.find((section, index) => index > 0 && section.type === SHT.SYMTAB);
}

function readVersions(bytes: Uint8Array, nameAt: number, littleEndian: boolean): Map<string, number> {
  const versions = new Map<string, number>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + VERSION_BYTES <= bytes.length; at += VERSION_BYTES) {
    let name = '';
    for (let i = at + nameAt; i < at + VERSION_BYTES && bytes[i] !== 0; i++)
      name += String.fromCharCode(bytes[i]);
    // The first entry of a name is the one the kernel compares.
    // A whole unsigned long is compared, of which a checksum fills 32 bits.
    if (!versions.has(name)) versions.set(name, long(view, at, nameAt, littleEndian));
  }
  return versions;
}

function long(view: DataView, at: number, bytes: number, littleEndian: boolean): number {
  return bytes === 8 ? Number(view.getBigUint64(at, littleEndian)) : view.getUint32(at, littleEndian);
}

function readExtended(crcs: Uint8Array, names: Uint8Array, littleEndian: boolean): Map<string, number> {
  const versions = new Map<string, number>();
  const view = new DataView(crcs.buffer, crcs.byteOffset, crcs.byteLength);
  let name = 0;
  for (let at = 0; at + 4 <= crcs.length && name < names.length; at += 4) {
    const text = cstring(names, name);
    const end = nulAt(names, name);
    name = end < 0 ? names.length : end + 1;
    if (!versions.has(text)) versions.set(text, view.getUint32(at, littleEndian));
  }
  return versions;
}
