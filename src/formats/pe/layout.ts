/**
 * Numbers of the Portable Executable format ("PE Format", Microsoft's published specification; section names in comments are
 * its own). No logic.
 */

/** "MZ", and "PE\0\0" where e_lfanew points. */
export const DOS_MAGIC = 0x5a4d;
export const PE_MAGIC = 0x4550;
/** Offset of e_lfanew in the DOS header. */
export const E_LFANEW = 0x3c;

/** Machine types. */
export const MACHINE = {
  I386: 0x14c,
  R4000: 0x166,
  ALPHA: 0x184,
  POWERPC: 0x1f0,
  ARM: 0x1c0,
  ARMNT: 0x1c4,
  IA64: 0x200,
  AMD64: 0x8664,
  ARM64: 0xaa64,
} as const;

export const MACHINE_NAMES: ReadonlyMap<number, string> = new Map<number, string>([
  [MACHINE.I386, 'x86'],
  [MACHINE.R4000, 'MIPS'],
  [MACHINE.ALPHA, 'Alpha'],
  [MACHINE.POWERPC, 'PowerPC'],
  [MACHINE.ARM, 'ARM'],
  [MACHINE.ARMNT, 'ARM (Thumb-2)'],
  [MACHINE.IA64, 'Itanium'],
  [MACHINE.AMD64, 'x64'],
  [MACHINE.ARM64, 'ARM64'],
]);

/** Characteristics of the file header. */
export const FILE = {
  RELOCS_STRIPPED: 0x0001,
  EXECUTABLE_IMAGE: 0x0002,
  LARGE_ADDRESS_AWARE: 0x0020,
  MACHINE_32BIT: 0x0100,
  DEBUG_STRIPPED: 0x0200,
  SYSTEM: 0x1000,
  DLL: 0x2000,
  UP_SYSTEM_ONLY: 0x4000,
} as const;

export const OPTIONAL_MAGIC = { PE32: 0x10b, PE32_PLUS: 0x20b } as const;

/** Windows subsystem. */
export const SUBSYSTEM_NATIVE = 1;

export const DLL_CHARACTERISTICS = {
  HIGH_ENTROPY_VA: 0x0020,
  DYNAMIC_BASE: 0x0040,
  FORCE_INTEGRITY: 0x0080,
  NX_COMPAT: 0x0100,
  NO_ISOLATION: 0x0200,
  NO_SEH: 0x0400,
  NO_BIND: 0x0800,
  APPCONTAINER: 0x1000,
  WDM_DRIVER: 0x2000,
  GUARD_CF: 0x4000,
  TERMINAL_SERVER_AWARE: 0x8000,
} as const;

/** Section flags. */
export const SECTION = {
  CODE: 0x0000_0020,
  INITIALISED: 0x0000_0040,
  UNINITIALISED: 0x0000_0080,
  DISCARDABLE: 0x0200_0000,
  NOT_CACHED: 0x0400_0000,
  NOT_PAGED: 0x0800_0000,
  SHARED: 0x1000_0000,
  EXECUTE: 0x2000_0000,
  READ: 0x4000_0000,
  WRITE: 0x8000_0000,
} as const;

export const FILE_HEADER_BYTES = 20;
export const SECTION_HEADER_BYTES = 40;

/** Indexes of the optional header's data directories. */
export const DIRECTORY = {
  EXPORT: 0,
  IMPORT: 1,
  RESOURCE: 2,
  EXCEPTION: 3,
  /** Its address is a file offset, not an RVA. */
  SECURITY: 4,
  BASE_RELOCATION: 5,
  DEBUG: 6,
  LOAD_CONFIG: 10,
  IAT: 12,
  DELAY_IMPORT: 13,
} as const;
export const DIRECTORY_COUNT = 16;

/** Base relocation types (".reloc section"). */
export const RELOCATION = { ABSOLUTE: 0, HIGH: 1, LOW: 2, HIGHLOW: 3, HIGHADJ: 4, DIR64: 10 } as const;

/** Types of debug directory entries. */
export const DEBUG_TYPE = { CODEVIEW: 2, REPRO: 16 } as const;

/** Resource type of version information. */
export const RESOURCE_VERSION = 16;

/** What a compiler puts into the security cookie's place before the loader does: x64 and x86. */
export const DEFAULT_COOKIE = { x64: 0x00002b992ddfa232n, x86: 0xbb40e64en } as const;
