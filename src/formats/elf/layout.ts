/**
 * ELF numbers and offsets, no logic. Sources: System V gABI chapters 4 and 5, the LSB for the GNU section types, and the
 * processor supplements for machine numbers. Offsets come as one object per class (32 or 64 bit).
 */

/** e_ident (gABI, "ELF Identification"). */
export const EI = { CLASS: 4, DATA: 5, VERSION: 6, OSABI: 7, ABIVERSION: 8, SIZE: 16 } as const;
export const ELFCLASS = { 32: 1, 64: 2 } as const;
export const ELFDATA = { LSB: 1, MSB: 2 } as const;
export const EV_CURRENT = 1;

export const ET = { NONE: 0, REL: 1, EXEC: 2, DYN: 3, CORE: 4 } as const;

/** e_machine of every architecture that loads, or loaded, kernel modules in ELF. */
export const EM = {
  NONE: 0,
  SPARC: 2,
  386: 3,
  '68K': 4,
  MIPS: 8,
  MIPS_RS3_LE: 10,
  PARISC: 15,
  SPARC32PLUS: 18,
  PPC: 20,
  PPC64: 21,
  S390: 22,
  ARM: 40,
  SH: 42,
  SPARCV9: 43,
  IA_64: 50,
  X86_64: 62,
  AARCH64: 183,
  RISCV: 243,
  LOONGARCH: 258,
  /** The number that alpha toolchains and kernels really use; 41 was assigned later and never adopted. */
  ALPHA: 0x9026,
  /** The number of s390 before 22 was assigned. */
  S390_OLD: 0xa390,
} as const;

/** Offsets in Elf32_Ehdr and Elf64_Ehdr behind the common part (e_type 16, e_machine 18, e_version 20, e_entry 24). */
export const EHDR = {
  32: {
    size: 52,
    phoff: 28,
    shoff: 32,
    flags: 36,
    ehsize: 40,
    phentsize: 42,
    phnum: 44,
    shentsize: 46,
    shnum: 48,
    shstrndx: 50,
  },
  64: {
    size: 64,
    phoff: 32,
    shoff: 40,
    flags: 48,
    ehsize: 52,
    phentsize: 54,
    phnum: 56,
    shentsize: 58,
    shnum: 60,
    shstrndx: 62,
  },
} as const;

/** Offsets in a section header; sh_name is at 0 and sh_type at 4 in both. */
export const SHDR = {
  32: { size: 40, flags: 8, addr: 12, offset: 16, bytes: 20, link: 24, info: 28, addralign: 32, entsize: 36 },
  64: { size: 64, flags: 8, addr: 16, offset: 24, bytes: 32, link: 40, info: 44, addralign: 48, entsize: 56 },
} as const;

/** Offsets in a program header; p_type is at 0 in both. */
export const PHDR = {
  32: { size: 32, flags: 24, offset: 4, vaddr: 8, paddr: 12, filesz: 16, memsz: 20, align: 28 },
  64: { size: 56, flags: 4, offset: 8, vaddr: 16, paddr: 24, filesz: 32, memsz: 40, align: 48 },
} as const;

/** Offsets in a symbol; st_name is at 0 in both. */
export const SYM = {
  32: { size: 16, value: 4, bytes: 8, info: 12, other: 13, shndx: 14 },
  64: { size: 24, value: 8, bytes: 16, info: 4, other: 5, shndx: 6 },
} as const;

export const REL_SIZE = { 32: 8, 64: 16 } as const;
export const RELA_SIZE = { 32: 12, 64: 24 } as const;
export const DYN_SIZE = { 32: 8, 64: 16 } as const;

export const SHN = {
  UNDEF: 0,
  LORESERVE: 0xff00,
  ABS: 0xfff1,
  COMMON: 0xfff2,
  /** The real index is in a SHT_SYMTAB_SHNDX section (symbols) or in section header 0 (e_shstrndx). */
  XINDEX: 0xffff,
} as const;

/** e_phnum when the real count is in sh_info of section header 0. */
export const PN_XNUM = 0xffff;

export const SHT = {
  NULL: 0,
  PROGBITS: 1,
  SYMTAB: 2,
  STRTAB: 3,
  RELA: 4,
  HASH: 5,
  DYNAMIC: 6,
  NOTE: 7,
  NOBITS: 8,
  REL: 9,
  SHLIB: 10,
  DYNSYM: 11,
  INIT_ARRAY: 14,
  FINI_ARRAY: 15,
  PREINIT_ARRAY: 16,
  GROUP: 17,
  SYMTAB_SHNDX: 18,
  RELR: 19,
  GNU_ATTRIBUTES: 0x6ffffff5,
  GNU_HASH: 0x6ffffff6,
  GNU_LIBLIST: 0x6ffffff7,
  GNU_VERDEF: 0x6ffffffd,
  GNU_VERNEED: 0x6ffffffe,
  GNU_VERSYM: 0x6fffffff,
} as const;

export const SHF = {
  WRITE: 0x1,
  ALLOC: 0x2,
  EXECINSTR: 0x4,
  MERGE: 0x10,
  STRINGS: 0x20,
  INFO_LINK: 0x40,
  LINK_ORDER: 0x80,
  OS_NONCONFORMING: 0x100,
  GROUP: 0x200,
  TLS: 0x400,
  COMPRESSED: 0x800,
  GNU_RETAIN: 0x200000,
  GNU_MBIND: 0x1000000,
  ORDERED: 0x40000000,
  EXCLUDE: 0x80000000,
} as const;

export const STB = { LOCAL: 0, GLOBAL: 1, WEAK: 2, GNU_UNIQUE: 10 } as const;
export const STT = {
  NOTYPE: 0,
  OBJECT: 1,
  FUNC: 2,
  SECTION: 3,
  FILE: 4,
  COMMON: 5,
  TLS: 6,
  GNU_IFUNC: 10,
} as const;

export const PT = {
  NULL: 0,
  LOAD: 1,
  DYNAMIC: 2,
  INTERP: 3,
  NOTE: 4,
  SHLIB: 5,
  PHDR: 6,
  TLS: 7,
  GNU_EH_FRAME: 0x6474e550,
  GNU_STACK: 0x6474e551,
  GNU_RELRO: 0x6474e552,
  GNU_PROPERTY: 0x6474e553,
} as const;
export const PF = { X: 1, W: 2, R: 4 } as const;

export const GRP_COMDAT = 1;

/** d_tag values with a meaning that a loader of modules needs, and their names. */
export const DT = {
  NULL: 0,
  NEEDED: 1,
  PLTRELSZ: 2,
  PLTGOT: 3,
  HASH: 4,
  STRTAB: 5,
  SYMTAB: 6,
  RELA: 7,
  RELASZ: 8,
  RELAENT: 9,
  STRSZ: 10,
  SYMENT: 11,
  INIT: 12,
  FINI: 13,
  SONAME: 14,
  RPATH: 15,
  SYMBOLIC: 16,
  REL: 17,
  RELSZ: 18,
  RELENT: 19,
  PLTREL: 20,
  DEBUG: 21,
  TEXTREL: 22,
  JMPREL: 23,
  BIND_NOW: 24,
  INIT_ARRAY: 25,
  FINI_ARRAY: 26,
  INIT_ARRAYSZ: 27,
  FINI_ARRAYSZ: 28,
  RUNPATH: 29,
  FLAGS: 30,
  PREINIT_ARRAY: 32,
  PREINIT_ARRAYSZ: 33,
  SYMTAB_SHNDX: 34,
  RELRSZ: 35,
  RELR: 36,
  RELRENT: 37,
  GNU_HASH: 0x6ffffef5,
  VERSYM: 0x6ffffff0,
  RELACOUNT: 0x6ffffff9,
  RELCOUNT: 0x6ffffffa,
  FLAGS_1: 0x6ffffffb,
  VERDEF: 0x6ffffffc,
  VERDEFNUM: 0x6ffffffd,
  VERNEED: 0x6ffffffe,
  VERNEEDNUM: 0x6fffffff,
} as const;

/** n_type of notes whose owner is "GNU". */
export const NT_GNU = { ABI_TAG: 1, HWCAP: 2, BUILD_ID: 3, GOLD_VERSION: 4, PROPERTY_TYPE_0: 5 } as const;
