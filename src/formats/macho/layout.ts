/**
 * Mach-O constants and offsets: mach-o/loader.h, nlist.h, reloc.h, fat.h and fixup-chains.h as Apple publishes them
 * (xnu, EXTERNAL_HEADERS/mach-o). No logic.
 */

export const MAGIC = {
  MH: 0xfeedface,
  MH_64: 0xfeedfacf,
  FAT: 0xcafebabe,
  FAT_64: 0xcafebabf,
} as const;

/** mach/machine.h; CPU_ARCH_ABI64 is bit 24. */
export const CPU = {
  X86: 7,
  X86_64: 0x01000007,
  ARM: 12,
  ARM64: 0x0100000c,
  ARM64_32: 0x0200000c,
  PPC: 18,
  PPC64: 0x01000012,
} as const;

/** The low 24 bits of cpusubtype; the rest are capability bits. */
export const CPU_SUBTYPE_MASK = 0x00ffffff;
export const CPU_SUBTYPE = { X86_ALL: 3, X86_64_H: 8, ARM64_ALL: 0, ARM64_V8: 1, ARM64E: 2 } as const;

export const MH = {
  OBJECT: 1,
  EXECUTE: 2,
  FVMLIB: 3,
  CORE: 4,
  PRELOAD: 5,
  DYLIB: 6,
  DYLINKER: 7,
  BUNDLE: 8,
  DYLIB_STUB: 9,
  DSYM: 10,
  KEXT_BUNDLE: 11,
  FILESET: 12,
} as const;

export const FILE_TYPE_NAMES: readonly string[] = [
  '',
  'OBJECT',
  'EXECUTE',
  'FVMLIB',
  'CORE',
  'PRELOAD',
  'DYLIB',
  'DYLINKER',
  'BUNDLE',
  'DYLIB_STUB',
  'DSYM',
  'KEXT_BUNDLE',
  'FILESET',
];

/** struct mach_header and mach_header_64: the latter has a reserved word at its end. */
export const HEADER = {
  magic: 0,
  cputype: 4,
  cpusubtype: 8,
  filetype: 12,
  ncmds: 16,
  sizeofcmds: 20,
  flags: 24,
  size: { 32: 28, 64: 32 },
} as const;

/** Bits of mach_header.flags. */
export const HEADER_FLAG_NAMES: readonly string[] = [
  'NOUNDEFS',
  'INCRLINK',
  'DYLDLINK',
  'BINDATLOAD',
  'PREBOUND',
  'SPLIT_SEGS',
  'LAZY_INIT',
  'TWOLEVEL',
  'FORCE_FLAT',
  'NOMULTIDEFS',
  'NOFIXPREBINDING',
  'PREBINDABLE',
  'ALLMODSBOUND',
  'SUBSECTIONS_VIA_SYMBOLS',
  'CANONICAL',
  'WEAK_DEFINES',
  'BINDS_TO_WEAK',
  'ALLOW_STACK_EXECUTION',
  'ROOT_SAFE',
  'SETUID_SAFE',
  'NO_REEXPORTED_DYLIBS',
  'PIE',
  'DEAD_STRIPPABLE_DYLIB',
  'HAS_TLV_DESCRIPTORS',
  'NO_HEAP_EXECUTION',
  'APP_EXTENSION_SAFE',
  'NLIST_OUTOFSYNC_WITH_DYLDINFO',
  'SIM_SUPPORT',
];

const REQ_DYLD = 0x80000000;

export const LC = {
  SEGMENT: 0x1,
  SYMTAB: 0x2,
  SYMSEG: 0x3,
  THREAD: 0x4,
  UNIXTHREAD: 0x5,
  LOADFVMLIB: 0x6,
  IDFVMLIB: 0x7,
  IDENT: 0x8,
  FVMFILE: 0x9,
  PREPAGE: 0xa,
  DYSYMTAB: 0xb,
  LOAD_DYLIB: 0xc,
  ID_DYLIB: 0xd,
  LOAD_DYLINKER: 0xe,
  ID_DYLINKER: 0xf,
  PREBOUND_DYLIB: 0x10,
  ROUTINES: 0x11,
  SUB_FRAMEWORK: 0x12,
  SUB_UMBRELLA: 0x13,
  SUB_CLIENT: 0x14,
  SUB_LIBRARY: 0x15,
  TWOLEVEL_HINTS: 0x16,
  PREBIND_CKSUM: 0x17,
  LOAD_WEAK_DYLIB: 0x18 + REQ_DYLD,
  SEGMENT_64: 0x19,
  ROUTINES_64: 0x1a,
  UUID: 0x1b,
  RPATH: 0x1c + REQ_DYLD,
  CODE_SIGNATURE: 0x1d,
  SEGMENT_SPLIT_INFO: 0x1e,
  REEXPORT_DYLIB: 0x1f + REQ_DYLD,
  LAZY_LOAD_DYLIB: 0x20,
  ENCRYPTION_INFO: 0x21,
  DYLD_INFO: 0x22,
  DYLD_INFO_ONLY: 0x22 + REQ_DYLD,
  LOAD_UPWARD_DYLIB: 0x23 + REQ_DYLD,
  VERSION_MIN_MACOSX: 0x24,
  VERSION_MIN_IPHONEOS: 0x25,
  FUNCTION_STARTS: 0x26,
  DYLD_ENVIRONMENT: 0x27,
  MAIN: 0x28 + REQ_DYLD,
  DATA_IN_CODE: 0x29,
  SOURCE_VERSION: 0x2a,
  DYLIB_CODE_SIGN_DRS: 0x2b,
  ENCRYPTION_INFO_64: 0x2c,
  LINKER_OPTION: 0x2d,
  LINKER_OPTIMIZATION_HINT: 0x2e,
  VERSION_MIN_TVOS: 0x2f,
  VERSION_MIN_WATCHOS: 0x30,
  NOTE: 0x31,
  BUILD_VERSION: 0x32,
  DYLD_EXPORTS_TRIE: 0x33 + REQ_DYLD,
  DYLD_CHAINED_FIXUPS: 0x34 + REQ_DYLD,
  FILESET_ENTRY: 0x35 + REQ_DYLD,
  ATOM_INFO: 0x36,
} as const;

const NAME_OF_COMMAND: ReadonlyMap<number, string> = new Map(
  Object.entries(LC).map(([name, value]) => [value, `LC_${name}`]),
);

/** `LC_SEGMENT_64`; a number nobody named is `LC_0x...`. */
export function commandName(cmd: number): string {
  return NAME_OF_COMMAND.get(cmd) ?? `LC_0x${cmd.toString(16)}`;
}

/** Offsets in struct segment_command; the fields before vmaddr are the same in both widths. */
export const SEGMENT = {
  32: {
    vmaddr: 24,
    vmsize: 28,
    fileoff: 32,
    filesize: 36,
    maxprot: 40,
    initprot: 44,
    nsects: 48,
    flags: 52,
    size: 56,
  },
  64: {
    vmaddr: 24,
    vmsize: 32,
    fileoff: 40,
    filesize: 48,
    maxprot: 56,
    initprot: 60,
    nsects: 64,
    flags: 68,
    size: 72,
  },
} as const;

export const SECTION = {
  32: {
    addr: 32,
    size: 36,
    offset: 40,
    align: 44,
    reloff: 48,
    nreloc: 52,
    flags: 56,
    reserved1: 60,
    reserved2: 64,
    bytes: 68,
  },
  64: {
    addr: 32,
    size: 40,
    offset: 48,
    align: 52,
    reloff: 56,
    nreloc: 60,
    flags: 64,
    reserved1: 68,
    reserved2: 72,
    bytes: 80,
  },
} as const;

export const VM_PROT = { READ: 1, WRITE: 2, EXECUTE: 4 } as const;

export const SECTION_TYPE_MASK = 0xff;
export const S = {
  REGULAR: 0,
  ZEROFILL: 1,
  CSTRING_LITERALS: 2,
  NON_LAZY_SYMBOL_POINTERS: 6,
  LAZY_SYMBOL_POINTERS: 7,
  SYMBOL_STUBS: 8,
  MOD_INIT_FUNC_POINTERS: 9,
  MOD_TERM_FUNC_POINTERS: 10,
  GB_ZEROFILL: 12,
  THREAD_LOCAL_ZEROFILL: 18,
} as const;
export const S_ATTR = { PURE_INSTRUCTIONS: 0x80000000, SOME_INSTRUCTIONS: 0x400, DEBUG: 0x02000000 } as const;

/** n_type bits and the values of its N_TYPE field (mach-o/nlist.h). */
export const N = {
  STAB: 0xe0,
  PEXT: 0x10,
  TYPE: 0x0e,
  EXT: 0x01,
  UNDF: 0x0,
  ABS: 0x2,
  INDR: 0xa,
  PBUD: 0xc,
  SECT: 0xe,
} as const;
export const N_DESC = { DISCARDED: 0x20, WEAK_REF: 0x40, WEAK_DEF: 0x80 } as const;
export const NLIST_SIZE = { 32: 12, 64: 16 } as const;

export const INDIRECT_SYMBOL = { LOCAL: 0x80000000, ABS: 0x40000000 } as const;

export const X86_64_RELOC = {
  UNSIGNED: 0,
  SIGNED: 1,
  BRANCH: 2,
  GOT_LOAD: 3,
  GOT: 4,
  SUBTRACTOR: 5,
  SIGNED_1: 6,
  SIGNED_2: 7,
  SIGNED_4: 8,
  TLV: 9,
} as const;

export const GENERIC_RELOC = {
  VANILLA: 0,
  PAIR: 1,
  SECTDIFF: 2,
  PB_LA_PTR: 3,
  LOCAL_SECTDIFF: 4,
  TLV: 5,
} as const;

export const R_SCATTERED = 0x80000000;

/** Relocation type names by CPU, as Apple's headers have them. */
export const RELOCATION_NAMES: ReadonlyMap<number, readonly string[]> = new Map([
  [
    CPU.X86_64,
    [
      'UNSIGNED',
      'SIGNED',
      'BRANCH',
      'GOT_LOAD',
      'GOT',
      'SUBTRACTOR',
      'SIGNED_1',
      'SIGNED_2',
      'SIGNED_4',
      'TLV',
    ],
  ],
  [CPU.X86, ['VANILLA', 'PAIR', 'SECTDIFF', 'PB_LA_PTR', 'LOCAL_SECTDIFF', 'TLV']],
  [
    CPU.ARM64,
    [
      'UNSIGNED',
      'SUBTRACTOR',
      'BRANCH26',
      'PAGE21',
      'PAGEOFF12',
      'GOT_LOAD_PAGE21',
      'GOT_LOAD_PAGEOFF12',
      'POINTER_TO_GOT',
      'TLVP_LOAD_PAGE21',
      'TLVP_LOAD_PAGEOFF12',
      'ADDEND',
      'AUTHENTICATED_POINTER',
    ],
  ],
  [
    CPU.PPC,
    [
      'VANILLA',
      'PAIR',
      'BR14',
      'BR24',
      'HI16',
      'LO16',
      'HA16',
      'LO14',
      'SECTDIFF',
      'PB_LA_PTR',
      'HI16_SECTDIFF',
      'LO16_SECTDIFF',
      'HA16_SECTDIFF',
      'JBSR',
      'LO14_SECTDIFF',
      'LOCAL_SECTDIFF',
    ],
  ],
]);

/** LC_BUILD_VERSION platforms. */
export const PLATFORM_NAMES: readonly string[] = [
  'unknown',
  'macos',
  'ios',
  'tvos',
  'watchos',
  'bridgeos',
  'macCatalyst',
  'iosSimulator',
  'tvosSimulator',
  'watchosSimulator',
  'driverKit',
];
