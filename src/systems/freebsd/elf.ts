/**
 * The checks that the kernel's two linker classes make of a file before they place anything (link_elf_load_file of
 * sys/kern/link_elf_obj.c and link_elf.c), in their order and with their words.
 */
import { FormatError } from '../../bytes/errors.ts';
import { readElfHeader } from '../../formats/elf/headers.ts';
import { EM, ET, EV_CURRENT, SHF, SHT, STT } from '../../formats/elf/layout.ts';
import { elfObject } from '../../formats/elf/object.ts';
import { type ElfFile, readElf } from '../../formats/elf/read.ts';
import type { ElfSymbol } from '../../formats/elf/symbols.ts';
import type { ObjectFile } from '../../formats/object.ts';
import type { Bits } from './declarations.ts';
import { Errno } from './errno.ts';
import { KldFile } from './kldfile.ts';

/** A file that passed the checks of a class. */
export interface Elf {
  /** Base name. */
  readonly name: string;
  readonly path: string;
  readonly file: ElfFile;
  readonly object: ObjectFile;
  readonly kld: KldFile;
}

/** What a check found: the error number, and what the kernel prints (nothing where it is silent). */
export interface ElfFinding {
  /** Is it the header that the class does not take, or what the file contains? */
  readonly part: 'header' | 'contents';
  readonly errno: number;
  /** `kldload: FILE: MESSAGE` */
  readonly message?: string;
  readonly why: string;
}

export type ElfVerdict = { readonly elf: Elf } | { readonly finding: ElfFinding };

/** ELFOSABI_FREEBSD: what FreeBSD's linkers write; its kernel does not look at it. */
export const OSABI_FREEBSD = 9;

/**
 * Was the file made for another system? FreeBSD's linker would take it all the same, and stop at the first symbol that is
 * not FreeBSD's: for such a file no symbol is one that only the base kernel lacks.
 */
export const isForeign = ({ file, kld }: Elf): boolean =>
  file.header.osAbi !== OSABI_FREEBSD && kld.sets().length === 0;

/** What the kernel's machine takes (ELF_TARG_CLASS, ELF_TARG_DATA, ELF_TARG_MACH of machine/elf.h). */
export interface ElfTarget {
  readonly bits: 32 | 64;
  readonly machine: number;
  readonly bigEndian?: boolean;
}

const TARGETS: Readonly<Record<string, ElfTarget>> = {
  amd64: { bits: 64, machine: EM.X86_64 },
  i386: { bits: 32, machine: EM[386] },
  arm64: { bits: 64, machine: EM.AARCH64 },
  arm: { bits: 32, machine: EM.ARM },
  riscv64: { bits: 64, machine: EM.RISCV },
  powerpc64: { bits: 64, machine: EM.PPC64, bigEndian: true },
  powerpc64le: { bits: 64, machine: EM.PPC64 },
  powerpc: { bits: 32, machine: EM.PPC, bigEndian: true },
};

/** By the name that uname -m has; undefined for a machine whose ELF numbers are not known here. */
export const elfTarget = (machine: string): ElfTarget | undefined => TARGETS[machine];

/** Of the machines whose code runs here. */
export const targetOfBits = (bits: Bits): ElfTarget => (bits === 64 ? TARGETS.amd64 : TARGETS.i386);

/** What link_elf_obj says of a file. */
export function judgeRelocatable(bytes: Uint8Array, path: string, target: ElfTarget): ElfVerdict {
  const common = judgeHeader(bytes, target, [ET.REL]);
  if (common !== undefined) return { finding: common };
  return judged(bytes, path, (file) => {
    if (file.sections.length === 0) return silent(Errno.ENOEXEC, 'The file has no section headers.');
    const loaded = file.sections.some(
      ({ type, size, flags }) =>
        (type === SHT.PROGBITS || type === SHT.NOBITS || type === 0x70000001) &&
        size > 0 &&
        (flags & SHF.ALLOC) !== 0,
    );
    if (!loaded) return said(Errno.ENOEXEC, 'file has no contents');
    const tables = file.sections.filter(({ type }) => type === SHT.SYMTAB);
    if (tables.length !== 1) return said(Errno.ENOEXEC, 'file must have exactly one symbol table');
    const strings = file.sections[tables[0].link];
    if (strings?.type !== SHT.STRTAB) return said(Errno.ENOEXEC, 'file has invalid symbol strings');
    return undefined;
  });
}

/**
 * What the static symbol table of a shared object defines. The kernel linker looks there for a name that the dynamic one
 * does not have (link_elf_lookup_symbol), so that what was made local can be used by other modules all the same.
 */
export function staticSymbols(elf: Elf): readonly ElfSymbol[] {
  try {
    const all = elf.file.symbols()?.all() ?? [];
    return all.filter(({ name, place, type }) => place === 'section' && name !== '' && type !== STT.SECTION);
  } catch (error) {
    if (error instanceof FormatError) return [];
    throw error;
  }
}

/** More segments than link_elf.c takes (MAXSEGS). */
const MAX_SEGMENTS = 3;
const PT = { LOAD: 1, DYNAMIC: 2, INTERP: 3 } as const;

/** What link_elf says of a file: shared objects, as every architecture but amd64 has them. */
export function judgeShared(bytes: Uint8Array, path: string, target: ElfTarget): ElfVerdict {
  const common = judgeHeader(bytes, target, [ET.DYN, ET.EXEC]);
  if (common !== undefined) return { finding: common };
  return judged(bytes, path, (file) => {
    const count = (type: number) => file.segments.filter((segment) => segment.type === type).length;
    if (count(PT.INTERP) > 0) return silent(Errno.ENOSYS, 'The file asks for an interpreter.');
    if (count(PT.LOAD) > MAX_SEGMENTS) return said(Errno.ENOEXEC, 'Too many sections');
    if (count(PT.DYNAMIC) === 0) return said(Errno.ENOEXEC, 'Object is not dynamically-linked');
    if (count(PT.LOAD) === 0) return said(Errno.ENOEXEC, 'No sections');
    if (file.sectionOfType(SHT.HASH) === undefined) return said(Errno.ENOEXEC, 'missing symbol hash table');
    return undefined;
  });
}

const said = (errno: number, message: string): ElfFinding => ({
  part: 'contents',
  errno,
  message,
  why: `${message}.`,
});
const silent = (errno: number, why: string): ElfFinding => ({ part: 'contents', errno, why });

function judgeHeader(bytes: Uint8Array, target: ElfTarget, types: readonly number[]): ElfFinding | undefined {
  const found = headerFinding(bytes, target, types);
  return found === undefined ? undefined : { ...found, part: 'header' };
}

function headerFinding(
  bytes: Uint8Array,
  { bits, machine, bigEndian }: ElfTarget,
  types: readonly number[],
): ElfFinding | undefined {
  const magic = [0x7f, 0x45, 0x4c, 0x46];
  if (bytes.length < 52 || magic.some((byte, i) => bytes[i] !== byte))
    return silent(Errno.ENOEXEC, 'This is no ELF file.');
  if (bytes[4] !== bits / 32 || bytes[5] !== (bigEndian === true ? 2 : 1))
    return said(Errno.ENOEXEC, 'Unsupported file layout');
  try {
    const header = readElfHeader(bytes);
    if (bytes[6] !== EV_CURRENT || header.version !== EV_CURRENT)
      return said(Errno.ENOEXEC, 'Unsupported file version');
    if (!types.includes(header.type))
      return silent(Errno.ENOSYS, 'This linker class takes another kind of ELF file.');
    if (header.machine !== machine) return said(Errno.ENOEXEC, 'Unsupported machine');
  } catch (error) {
    if (error instanceof FormatError) return silent(Errno.ENOEXEC, error.message);
    throw error;
  }
  return undefined;
}

/** Reads the rest of a file whose header is right; what contradicts itself is no executable. */
function judged(
  bytes: Uint8Array,
  path: string,
  check: (file: ElfFile) => ElfFinding | undefined,
): ElfVerdict {
  try {
    const file = readElf(bytes);
    const finding = check(file);
    if (finding !== undefined) return { finding };
    const object = elfObject(file);
    const name = path.slice(path.lastIndexOf('/') + 1);
    return { elf: { name, path, file, object, kld: new KldFile(object) } };
  } catch (error) {
    if (error instanceof FormatError) return { finding: silent(Errno.ENOEXEC, error.message) };
    throw error;
  }
}
