/**
 * elf_validity_check and setup_load_info (kernel/module/main.c), in their order and with their words. They look at raw
 * fields: the kernel reads them all as its own class and byte order, whatever e_ident says.
 */
import { cstring, nulAt } from '../../../bytes/cstring.ts';
import type { FormatError } from '../../../bytes/errors.ts';
import { ByteView } from '../../../bytes/view.ts';
import { type ElfSection, readSectionHeader, type SectionHeader } from '../../../formats/elf/headers.ts';
import { EHDR, EM, ET, SHDR, SHF, SHN, SHT } from '../../../formats/elf/layout.ts';
import { type ElfFile, readElf } from '../../../formats/elf/read.ts';
import type { Machine } from '../../../formats/object.ts';
import { Errno } from '../errno.ts';
import { EXTENDED, findSection, findSymbolTable, ModInfo, ModuleFile } from '../module-file.ts';
import { asKernelReads, namesBeyond, readTable, type Table } from './as-read.ts';
import { type Judge, Level } from './judge.ts';
import type { LoadFlags } from './modinfo.ts';

const HINT_FILE = 'Compare the file with its package; it may have been cut short or changed on the way.';
const HINT_KERNEL = 'Build or fetch the module for this kernel and this machine.';

/**
 * The checks before anything of the file is used; `read` may give what was read of the same bytes before, and `known` is
 * what this function gave for them.
 * @throws FormatError where the kernel would not have noticed
 */
export function checkElf(judge: Judge, bytes: Uint8Array, read = readElf, known?: ElfFile): ElfFile {
  checkHeader(judge, bytes);
  const at = EHDR[judge.kernel.bits];
  const view = new ByteView(bytes, judge.kernel.littleEndian);
  const sections = checkSectionTable(judge, view, at);
  if (judge.has('cached-elf-checks')) {
    checkFirst(judge, sections);
    for (let i = 1; i < sections.length; i++) checkExtent(judge, view, sections[i], i);
    checkNames(judge, view, at, sections);
    for (let i = 1; i < sections.length; i++)
      checkName(judge, sections[view.u16(at.shstrndx)], sections[i], i);
  } else {
    checkNames(judge, view, at, sections);
    checkFirst(judge, sections);
    checkSections(judge, view, at, sections);
  }
  judge.enter('elf-damaged');
  if (known !== undefined) return known;
  const asRead = asKernelReads(bytes, judge.kernel);
  return asRead === bytes ? read(bytes) : readElf(asRead);
}

/** The file passed the kernel's checks, but a table that is read later contradicts itself. */
export function refuseDamaged(judge: Judge, error: FormatError): never {
  const why = `The kernel's own checks pass, but the file contradicts itself: ${error.message}.`;
  return judge.refuse('elf-damaged', Errno.ENOEXEC, why, HINT_FILE);
}

type HeaderOffsets = (typeof EHDR)[32 | 64];

/** elf_check_arch: the number an ELF header has for the machine, and its name. */
const ARCHITECTURES: Partial<Record<Machine, readonly [number, string]>> = {
  'x86-64': [EM.X86_64, 'x86-64'],
  i386: [EM[386], 'i386'],
  aarch64: [EM.AARCH64, 'arm64'],
  arm: [EM.ARM, 'arm'],
  ppc: [EM.PPC, 'powerpc'],
  ppc64: [EM.PPC64, 'powerpc64'],
  s390x: [EM.S390, 's390x'],
  mips: [EM.MIPS, 'mips'],
  mips64: [EM.MIPS, 'mips64'],
  riscv: [EM.RISCV, 'riscv'],
  loongarch: [EM.LOONGARCH, 'loongarch'],
};

function checkHeader(judge: Judge, bytes: Uint8Array): void {
  const at = EHDR[judge.kernel.bits];
  judge.enter('elf-size');
  if (bytes.length < at.size) {
    const why = `The file has ${bytes.length} bytes, an ELF header alone needs ${at.size}.`;
    judge.reject('elf-size', Errno.ENOEXEC, `Invalid ELF header len ${bytes.length}`, why, HINT_FILE);
  }
  judge.enter('elf-magic');
  if (bytes[0] !== 0x7f || bytes[1] !== 0x45 || bytes[2] !== 0x4c || bytes[3] !== 0x46) {
    const why = 'The file does not begin with 7f 45 4c 46: it is no ELF file at all.';
    const message = 'Invalid ELF header magic: != \x7fELF';
    judge.reject(
      'elf-magic',
      Errno.ENOEXEC,
      message,
      why,
      'If it is compressed, unpack it first (modprobe and insmod do that).',
    );
  }
  const view = new ByteView(bytes, judge.kernel.littleEndian);
  judge.enter('elf-type');
  const type = view.u16(16);
  if (type !== ET.REL) {
    const kinds: Record<number, string> = {
      2: 'a program',
      3: 'a shared library or program',
      4: 'a core dump',
    };
    const why = `The file is ${kinds[type] ?? `of ELF type ${type}`}; a Linux module is a relocatable object (type 1).`;
    judge.reject(
      'elf-type',
      Errno.ENOEXEC,
      `Invalid ELF header type: ${type} != 1`,
      why,
      'Give the .ko file that the build made.',
    );
  }
  judge.enter('elf-machine');
  if (judge.kernel.gaps?.has('machine')) {
    judge.unknown({ what: "the kernel's machine", how: 'give its configuration or its image' });
    return;
  }
  const machine = view.u16(18);
  const [own, name] = ARCHITECTURES[judge.kernel.machine] ?? [0, judge.kernel.machine];
  if (machine !== own) {
    const theirs =
      Object.values(ARCHITECTURES).find(([number]) => number === machine)?.[1] ?? 'another processor';
    const why = `The module is for ${theirs} (e_machine ${machine}), this kernel runs on ${name} (${own}).`;
    judge.reject(
      'elf-machine',
      Errno.ENOEXEC,
      `Invalid architecture in ELF header: ${machine}`,
      why,
      HINT_KERNEL,
    );
  }
}

function checkSectionTable(judge: Judge, view: ByteView, at: HeaderOffsets): SectionHeader[] {
  const { bits } = judge.kernel;
  const size = SHDR[bits].size;
  judge.enter('elf-shentsize');
  if (view.u16(at.shentsize) !== size) {
    const why = `Section headers of ${view.u16(at.shentsize)} bytes: a ${bits}-bit file has ${size}.`;
    judge.reject('elf-shentsize', Errno.ENOEXEC, 'Invalid ELF section header size', why, HINT_FILE);
  }
  judge.enter('elf-section-table');
  const offset = bits === 64 ? view.n64(at.shoff) : view.u32(at.shoff);
  const count = view.u16(at.shnum);
  if (offset >= view.length || count * size > view.length - offset) {
    const why = `The section table (${count} entries at ${offset}) ends beyond the file of ${view.length} bytes.`;
    judge.reject('elf-section-table', Errno.ENOEXEC, 'Invalid ELF section header overflow', why, HINT_FILE);
  }
  return Array.from({ length: count }, (_, i) => readSectionHeader(view, offset + i * size, bits));
}

function inside(view: ByteView, section: SectionHeader): boolean {
  const { offset, size } = section;
  return offset + size <= view.length && offset + size < 2 ** 64;
}

function checkNames(
  judge: Judge,
  view: ByteView,
  at: HeaderOffsets,
  sections: readonly SectionHeader[],
): void {
  judge.enter('elf-names');
  const index = view.u16(at.shstrndx);
  if (index === SHN.UNDEF || index >= sections.length) {
    const message = `Invalid ELF section name index: ${index} || e_shstrndx (${index}) >= e_shnum (${sections.length})`;
    judge.reject(
      'elf-names',
      Errno.ENOEXEC,
      message,
      'The header names no section that holds the section names.',
      HINT_FILE,
    );
  }
  const names = sections[index];
  if (judge.has('cached-elf-checks') && names.type !== SHT.STRTAB) {
    const message = `Invalid ELF section name table type: ${names.type}`;
    judge.reject('elf-names', Errno.ENOEXEC, message, 'The section of names is no string table.', HINT_FILE);
  }
  if (!inside(view, names)) {
    const message = `Invalid ELF section hdr(type ${names.type})`;
    judge.reject(
      'elf-names',
      Errno.ENOEXEC,
      message,
      'The section names lie beyond the end of the file.',
      HINT_FILE,
    );
  }
  if (names.size === 0) {
    judge.reject(
      'elf-names',
      Errno.ENOEXEC,
      'empty section name table',
      'There are no section names.',
      HINT_FILE,
    );
  }
  if (view.u8(names.offset + names.size - 1) !== 0) {
    const message = "ELF Spec violation: section name table isn't null terminated";
    judge.reject('elf-names', Errno.ENOEXEC, message, 'The last section name has no end.', HINT_FILE);
  }
}

function checkFirst(judge: Judge, [first]: readonly SectionHeader[]): void {
  judge.enter('elf-first-section');
  if (first === undefined) return;
  if (first.type !== SHT.NULL || first.size !== 0 || first.address !== 0) {
    const message = `ELF Spec violation: section 0 type(${first.type})!=SH_NULL or non-zero len or addr`;
    judge.reject('elf-first-section', Errno.ENOEXEC, message, 'Section 0 must be empty.', HINT_FILE);
  }
}

function checkSections(
  judge: Judge,
  view: ByteView,
  at: HeaderOffsets,
  sections: readonly SectionHeader[],
): void {
  judge.enter('elf-section');
  const names = sections[view.u16(at.shstrndx)];
  for (let i = 1; i < sections.length; i++) {
    const { type, link, flags } = sections[i];
    if (type === SHT.NULL || type === SHT.NOBITS) continue;
    if (type === SHT.SYMTAB && (link === SHN.UNDEF || link >= sections.length)) {
      const message = `Invalid ELF sh_link!=SHN_UNDEF(${link}) or (sh_link(${link}) >= hdr->e_shnum(${sections.length})`;
      judge.reject(
        'elf-section',
        Errno.ENOEXEC,
        message,
        `The symbol table (section ${i}) names no string table.`,
        HINT_FILE,
      );
    }
    checkExtent(judge, view, sections[i], i);
    if ((flags & SHF.ALLOC) !== 0) checkName(judge, names, sections[i], i);
  }
}

function checkExtent(judge: Judge, view: ByteView, section: SectionHeader, index: number): void {
  judge.enter('elf-section');
  const { type } = section;
  if (type === SHT.NULL || type === SHT.NOBITS || inside(view, section)) return;
  const message = `Invalid ELF section in module (section ${index} type ${type})`;
  const why = `Section ${index} lies beyond the end of the file of ${view.length} bytes.`;
  judge.reject('elf-section', Errno.ENOEXEC, message, why, HINT_FILE);
}

function checkName(
  judge: Judge,
  names: SectionHeader,
  { type, nameOffset }: SectionHeader,
  index: number,
): void {
  judge.enter('elf-section');
  if (nameOffset < names.size) return;
  const message = `Invalid ELF section name in module (section ${index} type ${type})`;
  judge.reject('elf-section', Errno.ENOEXEC, message, `Section ${index} has no name.`, HINT_FILE);
}

/** setup_load_info: finds the special sections and the module's name. `known` is what it gave for the same bytes before. */
export function checkModuleSections(
  judge: Judge,
  elf: ElfFile,
  whole: Uint8Array,
  flags: LoadFlags = {},
  known?: ModuleFile,
): ModuleFile {
  const before = known?.elf === elf ? known : undefined;
  const sized = judge.has('this-module-size');
  const cached = judge.has('cached-elf-checks');
  judge.enter('single-modinfo');
  if (judge.has('single-modinfo')) checkSingle(judge, elf);
  // Kernels that count the sections of a name do not ask whether they are loaded.
  const info = sized ? named(judge, elf, '.modinfo')[0] : findSection(elf, '.modinfo');
  const modinfo =
    before?.modinfo ?? new ModInfo(info === undefined ? new Uint8Array(0) : modinfoBytes(whole, info));
  const stated = modinfo.get('name');
  const shown = stated ?? '(missing .modinfo section or name field)';
  if (sized && cached) checkThisModule(judge, elf, shown);
  const symbolTable = checkSymbolTable(judge, elf, whole, shown);
  if (sized && !cached) checkThisModule(judge, elf, shown);
  if (cached) {
    const strings = symbolStrings(judge, whole, symbolTable.index);
    if (judge.has('extended-versions') && !flags.ignoreModversions) checkVersionSections(judge, elf, whole);
    judge.enter('symbol-strings');
    if (strings !== undefined) checkSymbolNames(judge, strings);
  }
  judge.enter('no-module');
  const thisModule = sized
    ? named(judge, elf, '.gnu.linkonce.this_module')[0]
    : findSection(elf, '.gnu.linkonce.this_module');
  if (thisModule === undefined) {
    judge.say(Level.WARNING, `${shown}: No module found in object`);
    const why =
      'There is no .gnu.linkonce.this_module section: this is an object file, but not a finished module.';
    judge.refuse(
      'no-module',
      Errno.ENOEXEC,
      why,
      'Let kbuild finish it: modpost writes that section into the .ko file.',
    );
  }
  const name = structName(judge, whole, thisModule);
  if (before !== undefined) return before;
  return new ModuleFile(elf, { whole, name, statedName: stated ?? name, thisModule, symbolTable, modinfo });
}

/** Up to 6.3 the first one counts; kernels that count the sections of a name want one alone. */
function checkSymbolTable(judge: Judge, elf: ElfFile, whole: Uint8Array, shown: string): ElfSection {
  judge.enter('no-symbols');
  const found = findSymbolTable(elf);
  // By the types that stand in the file.
  const sections = readTable(whole, judge.kernel)?.sections ?? elf.sections;
  const count = sections.filter(({ type }, index) => index > 0 && type === SHT.SYMTAB).length;
  if (found !== undefined && (count === 1 || !judge.has('this-module-size'))) return found;
  judge.say(Level.WARNING, `${shown}: module has no symbols (stripped?)`);
  if (found !== undefined) {
    const why = `The file has ${count} symbol tables; this kernel wants exactly one.`;
    judge.refuse('no-symbols', Errno.ENOEXEC, why, HINT_FILE);
  }
  const why = 'The symbol table is gone: without it nothing can be linked. `strip` removed it.';
  const hint = 'Use `strip --strip-debug`, which keeps what the kernel needs.';
  return judge.refuse('no-symbols', Errno.ENOEXEC, why, hint);
}

interface Strings {
  readonly table: Table;
  /** The symbol table. */
  readonly symbols: SectionHeader;
  readonly strings: SectionHeader;
}

/** elf_validity_cache_index_str, by the fields as they stand in the file. */
function symbolStrings(judge: Judge, whole: Uint8Array, index: number): Strings | undefined {
  judge.enter('symbol-strings');
  const table = readTable(whole, judge.kernel);
  const symbols = table?.sections[index];
  if (table === undefined || symbols === undefined) return undefined;
  const { sections } = table;
  const { link } = symbols;
  const strings = sections[link];
  if (link === SHN.UNDEF || strings === undefined) {
    const message = `Invalid ELF sh_link!=SHN_UNDEF(${link}) or (sh_link(${link}) >= hdr->e_shnum(${sections.length})`;
    const why = `The symbol table (section ${index}) names no string table.`;
    judge.reject('symbol-strings', Errno.ENOEXEC, message, why, HINT_FILE);
  }
  if (strings.type !== SHT.STRTAB) {
    const message = `Invalid ELF symbol string table type: ${strings.type}`;
    const why = 'The section of symbol names is no string table.';
    judge.reject('symbol-strings', Errno.ENOEXEC, message, why, HINT_FILE);
  }
  return { table, symbols, strings };
}

/** elf_validity_cache_strtab */
function checkSymbolNames(judge: Judge, found: Strings): void {
  if (!judge.has('symbol-string-checks')) return;
  const fault = nameFault(judge, found);
  if (fault !== undefined) judge.reject('symbol-strings', Errno.ENOEXEC, fault[0], fault[1], HINT_FILE);
}

function nameFault(
  judge: Judge,
  { table, symbols, strings: { offset, size } }: Strings,
): readonly [message: string, why: string] | undefined {
  const { view } = table;
  if (size === 0) return ['empty symbol string table', 'There are no symbol names.'];
  if (view.u8(offset) !== 0)
    return ['symbol string table missing leading NUL', 'The first symbol name is not empty.'];
  if (view.u8(offset + size - 1) !== 0)
    return ["symbol string table isn't NUL terminated", 'The last symbol name has no end.'];
  return namesBeyond(table, symbols, size, judge.kernel.bits)
    ? ['symbol name out of bounds in string table', 'The name of a symbol lies beyond the names.']
    : undefined;
}

/** elf_validity_cache_index_versions: both tables of extended versions or none, and a name for each number. */
function checkVersionSections(judge: Judge, elf: ElfFile, whole: Uint8Array): void {
  judge.enter('version-sections');
  const crcs = findSection(elf, EXTENDED.crcs);
  const names = findSection(elf, EXTENDED.names);
  if (crcs === undefined && names === undefined) return;
  if (crcs === undefined || names === undefined) {
    const why = `Of the tables of extended versions only ${crcs === undefined ? EXTENDED.names : EXTENDED.crcs} is there.`;
    const message = 'extended version crc+name presence does not match';
    judge.reject('version-sections', Errno.ENOEXEC, message, why, HINT_FILE);
  }
  const wanted = Math.floor(crcs.size / 4);
  const count = whole.subarray(names.offset, names.offset + names.size).filter((byte) => byte === 0).length;
  if (count >= wanted) return;
  const why = `There are ${wanted} extended versions, and ${count} names for them.`;
  judge.reject('version-sections', Errno.ENOEXEC, 'more extended version crcs than names', why, HINT_FILE);
}

/** Strings are read to their end, also where the last one ends beyond the section; and whatever type the section has. */
function modinfoBytes(whole: Uint8Array, { offset, size }: ElfSection): Uint8Array {
  const end = Math.min(offset + size, whole.length);
  if (size === 0 || whole[end - 1] === 0) return whole.subarray(Math.min(offset, end), end);
  const nul = nulAt(whole, end);
  return whole.subarray(Math.min(offset, end), nul < 0 ? whole.length : nul);
}

/** MODULE_NAME_LEN behind the state and the list head, where the kernel's types are not known. */
const NAME_AT = { 64: { offset: 24, size: 56 }, 32: { offset: 12, size: 60 } } as const;

/** The section may be too small for the name: older kernels read what follows it. */
function structName(judge: Judge, whole: Uint8Array, { offset: start }: ElfSection): string {
  const { types, bits } = judge.kernel;
  const { offset, size } = types.has('module.name') ? types.field('module.name') : NAME_AT[bits];
  const at = Math.min(start + offset, whole.length);
  return cstring(whole, at, Math.min(at + size, whole.length));
}

/** Sections of a name; before the file was judged part by part, those without bytes in it were passed over. */
const named = (judge: Judge, elf: ElfFile, name: string): ElfSection[] =>
  elf.sections.filter(
    (one) =>
      one.name === name &&
      (judge.has('cached-elf-checks') || (one.type !== SHT.NULL && one.type !== SHT.NOBITS)),
  );

function checkSingle(judge: Judge, elf: ElfFile): void {
  const count = named(judge, elf, '.modinfo').length;
  if (count < 2) return;
  const why = `The module has ${count} .modinfo sections; this kernel wants one.`;
  judge.reject('single-modinfo', Errno.ENOEXEC, 'Only one .modinfo section must exist.', why, HINT_FILE);
}

/** The size rule of newer kernels (6.5 and what took it over). */
function checkThisModule(judge: Judge, elf: ElfFile, name: string): void {
  judge.enter('this-module-size');
  const found = named(judge, elf, '.gnu.linkonce.this_module');
  const one = judge.has('cached-elf-checks') ? 'Exactly one' : 'Only one';
  const reject = (what: string, why: string) =>
    judge.reject('this-module-size', Errno.ENOEXEC, `module ${name}: ${what}`, why, HINT_KERNEL);
  if (found.length !== 1) {
    reject(`${one} .gnu.linkonce.this_module section must exist.`, `The file has ${found.length} of them.`);
  }
  if (found[0].type === SHT.NOBITS) {
    reject('.gnu.linkonce.this_module section must have a size set', 'The section has no bytes in the file.');
  }
  if ((found[0].flags & SHF.ALLOC) === 0) {
    const words = '.gnu.linkonce.this_module must occupy memory during process execution';
    reject(words, 'The section is not marked as loaded.');
  }
  const { moduleBytes } = judge.kernel;
  if (moduleBytes === undefined && !judge.has('symbol-versions')) {
    judge.unknown({ what: 'sizeof(struct module)', how: 'give a kernel image with type information (BTF)' });
  }
  if (moduleBytes !== undefined && found[0].size !== moduleBytes) {
    const words =
      ".gnu.linkonce.this_module section size must match the kernel's built struct module size at run time";
    reject(words, `The module's struct module has ${found[0].size} bytes, the kernel's ${moduleBytes}.`);
  }
}
