/**
 * The structs of ELF as they stand in the file, unjudged: for systems that re-do their kernel's own checks with its own
 * words, and as the first step of readElf.
 */
import { BadMagic, Truncated, Unsupported } from '../../bytes/errors.ts';
import { ByteView } from '../../bytes/view.ts';
import { EHDR, EI, ELFCLASS, ELFDATA, PHDR, SHDR } from './layout.ts';

/** The header as it stands in the file: counts are the raw fields, before extended numbering. */
export interface ElfHeader {
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly osAbi: number;
  readonly abiVersion: number;
  readonly type: number;
  readonly machine: number;
  readonly version: number;
  readonly entry: number;
  readonly phoff: number;
  readonly shoff: number;
  readonly flags: number;
  readonly ehsize: number;
  readonly phentsize: number;
  readonly phnum: number;
  readonly shentsize: number;
  readonly shnum: number;
  readonly shstrndx: number;
}

/** A section header as it stands in the file. Addresses are signed in 64-bit files, unsigned in 32-bit ones. */
export interface SectionHeader {
  readonly nameOffset: number;
  readonly type: number;
  /** The low 32 bits, unsigned: no flag above them is defined. */
  readonly flags: number;
  readonly flagsHigh: number;
  readonly address: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly alignment: number;
  readonly entrySize: number;
}

export interface ElfSection extends SectionHeader {
  readonly index: number;
  readonly name: string;
}

export interface ElfSegment {
  readonly index: number;
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly address: number;
  readonly physicalAddress: number;
  readonly fileSize: number;
  readonly memorySize: number;
  readonly alignment: number;
}

/**
 * The ELF header alone. Checks the identification and that the header is all there; no other field is judged.
 * @throws BadMagic, Truncated, Unsupported (unknown class or byte order)
 */
export function readElfHeader(bytes: Uint8Array): ElfHeader {
  if (bytes.length < 4 || bytes[0] !== 0x7f || bytes[1] !== 0x45 || bytes[2] !== 0x4c || bytes[3] !== 0x46) {
    throw new BadMagic('e_ident', 'not an ELF file: it must begin with 7f 45 4c 46', { offset: 0 });
  }
  if (bytes.length < EI.SIZE)
    throw new Truncated('e_ident', `needs ${EI.SIZE} bytes`, { offset: bytes.length });
  const elfClass = bytes[EI.CLASS];
  const data = bytes[EI.DATA];
  if (elfClass !== ELFCLASS[32] && elfClass !== ELFCLASS[64]) {
    throw new Unsupported('EI_CLASS', 'is neither 32 bit (1) nor 64 bit (2)', {
      offset: EI.CLASS,
      value: elfClass,
    });
  }
  if (data !== ELFDATA.LSB && data !== ELFDATA.MSB) {
    throw new Unsupported('EI_DATA', 'is neither little (1) nor big endian (2)', {
      offset: EI.DATA,
      value: data,
    });
  }
  const bits = elfClass === ELFCLASS[64] ? 64 : 32;
  const littleEndian = data === ELFDATA.LSB;
  const view = new ByteView(bytes, littleEndian);
  const at = EHDR[bits];
  view.need(0, at.size, 'ELF header');
  const wide = bits === 64;
  return {
    bits,
    littleEndian,
    osAbi: bytes[EI.OSABI],
    abiVersion: bytes[EI.ABIVERSION],
    type: view.u16(16),
    machine: view.u16(18),
    version: view.u32(20),
    entry: wide ? view.s64(24) : view.u32(24),
    phoff: wide ? view.n64(at.phoff) : view.u32(at.phoff),
    shoff: wide ? view.n64(at.shoff) : view.u32(at.shoff),
    flags: view.u32(at.flags),
    ehsize: view.u16(at.ehsize),
    phentsize: view.u16(at.phentsize),
    phnum: view.u16(at.phnum),
    shentsize: view.u16(at.shentsize),
    shnum: view.u16(at.shnum),
    shstrndx: view.u16(at.shstrndx),
  };
}

/** The section header at byte offset `at`, unjudged. @throws Truncated */
export function readSectionHeader(view: ByteView, at: number, bits: 32 | 64): SectionHeader {
  const field = SHDR[bits];
  view.need(at, field.size, 'section header');
  const wide = bits === 64;
  const lowWord = view.littleEndian ? 0 : 4;
  const flagsAt = at + field.flags;
  return {
    nameOffset: view.u32(at),
    type: view.u32(at + 4),
    flags: view.u32(wide ? flagsAt + lowWord : flagsAt),
    flagsHigh: wide ? view.u32(flagsAt + 4 - lowWord) : 0,
    address: wide ? view.s64(at + field.addr) : view.u32(at + field.addr),
    offset: wide ? view.n64(at + field.offset) : view.u32(at + field.offset),
    size: wide ? view.n64(at + field.bytes) : view.u32(at + field.bytes),
    link: view.u32(at + field.link),
    info: view.u32(at + field.info),
    alignment: wide ? view.n64(at + field.addralign) : view.u32(at + field.addralign),
    entrySize: wide ? view.n64(at + field.entsize) : view.u32(at + field.entsize),
  };
}

/** Program header `index`, at byte offset `at`, unjudged. @throws Truncated */
export function readSegment(view: ByteView, at: number, index: number, bits: 32 | 64): ElfSegment {
  const field = PHDR[bits];
  view.need(at, field.size, `program header ${index}`);
  const wide = bits === 64;
  return {
    index,
    type: view.u32(at),
    flags: view.u32(at + field.flags),
    offset: wide ? view.n64(at + field.offset) : view.u32(at + field.offset),
    address: wide ? view.s64(at + field.vaddr) : view.u32(at + field.vaddr),
    physicalAddress: wide ? view.s64(at + field.paddr) : view.u32(at + field.paddr),
    fileSize: wide ? view.n64(at + field.filesz) : view.u32(at + field.filesz),
    memorySize: wide ? view.n64(at + field.memsz) : view.u32(at + field.memsz),
    alignment: wide ? view.n64(at + field.align) : view.u32(at + field.align),
  };
}
