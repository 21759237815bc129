/**
 * NetWare loadable modules: numbers and offsets, no logic. Sources: the descriptions that the linkers and converters of
 * the time carry (GNU binutils include/nlm, Open Watcom exenov.h), which agree on everything that stands here.
 * i386 only: little endian, packed records. What the sources do not settle is marked [uncertain].
 */

/** The 24 bytes that every NLM begins with. */
export const SIGNATURE = 'NetWare Loadable Module\x1a';

/** The fixed header; the variable header begins right behind it. */
export const FIXED = {
  version: 0x18,
  moduleName: 0x1c,
  codeImageOffset: 0x2a,
  codeImageSize: 0x2e,
  dataImageOffset: 0x32,
  dataImageSize: 0x36,
  uninitializedDataSize: 0x3a,
  customDataOffset: 0x3e,
  customDataSize: 0x42,
  moduleDependencyOffset: 0x46,
  numberOfModuleDependencies: 0x4a,
  relocationFixupOffset: 0x4e,
  numberOfRelocationFixups: 0x52,
  externalReferencesOffset: 0x56,
  numberOfExternalReferences: 0x5a,
  publicsOffset: 0x5e,
  numberOfPublics: 0x62,
  debugInfoOffset: 0x66,
  numberOfDebugRecords: 0x6a,
  codeStartOffset: 0x6e,
  exitProcedureOffset: 0x72,
  checkUnloadProcedureOffset: 0x76,
  moduleType: 0x7a,
  flags: 0x7e,
  size: 0x82,
} as const;

/** Names of the 32-bit fields of the fixed header, in file order. */
export const FIXED_WORDS = [
  'codeImageOffset',
  'codeImageSize',
  'dataImageOffset',
  'dataImageSize',
  'uninitializedDataSize',
  'customDataOffset',
  'customDataSize',
  'moduleDependencyOffset',
  'numberOfModuleDependencies',
  'relocationFixupOffset',
  'numberOfRelocationFixups',
  'externalReferencesOffset',
  'numberOfExternalReferences',
  'publicsOffset',
  'numberOfPublics',
  'debugInfoOffset',
  'numberOfDebugRecords',
  'codeStartOffset',
  'exitProcedureOffset',
  'checkUnloadProcedureOffset',
  'moduleType',
  'flags',
] as const;

/** The version every loader takes, and the bit that says that NLMPACK compressed everything behind offset 0x190. */
export const NLM_VERSION = 4;
export const PACKED = 0x80;

/** Longest module name behind its length byte: eight, a dot, three. */
export const MAX_NAME = 12;
export const MAX_DESCRIPTION = 127;
export const MAX_SCREEN_NAME = 71;
/** What GNU writes; Watcom stops at 17. */
export const MAX_THREAD_NAME = 71;
/** The field that once held the old thread name: always these five bytes. */
export const OLD_THREAD_NAME = ' LONG';

/** Stamps of the auxiliary headers behind the variable header, in any order; the first unknown one ends them. */
export const STAMP = {
  version: 'VeRsIoN#',
  copyright: 'CoPyRiGhT=',
  messages: 'MeSsAgEs',
  custom: 'CuStHeAd',
} as const;

/** Words of the MeSsAgEs header (the "extended header"), in file order. */
export const EXTENDED_WORDS = [
  'languageId',
  'messageFileOffset',
  'messageFileLength',
  'messageCount',
  'helpFileOffset',
  'helpFileLength',
  'rpcDataOffset',
  'rpcDataLength',
  'sharedCodeOffset',
  'sharedCodeLength',
  'sharedDataOffset',
  'sharedDataLength',
  'sharedRelocationFixupOffset',
  'sharedRelocationFixupCount',
  'sharedExternalReferenceOffset',
  'sharedExternalReferenceCount',
  'sharedPublicsOffset',
  'sharedPublicsCount',
  'sharedDebugRecordOffset',
  'sharedDebugRecordCount',
  'sharedInitializationOffset',
  'sharedExitProcedureOffset',
  'productId',
  'reserved0',
  'reserved1',
  'reserved2',
  'reserved3',
  'reserved4',
  'reserved5',
] as const;

/** A message file: its own header, then offsets of NUL-terminated strings. */
export const MESSAGE_FILE = {
  signature: 'NetWare Message File: ',
  languageId: 106,
  count: 110,
  /** [uncertain] Where the table of string offsets begins; nothing beyond the count is documented. */
  table: 118,
} as const;

/** moduleType. 10 to 12 and 15 upwards are names that disassemblers know. */
export const MODULE_TYPES: ReadonlyMap<number, { readonly extension: string; readonly title: string }> =
  new Map([
    [0, { extension: 'NLM', title: 'generic' }],
    [1, { extension: 'LAN', title: 'LAN driver' }],
    [2, { extension: 'DSK', title: 'disk driver' }],
    [3, { extension: 'NAM', title: 'name space' }],
    [4, { extension: 'NLM', title: 'utility' }],
    [5, { extension: 'MSL', title: 'mirrored server link' }],
    [6, { extension: 'NLM', title: 'operating system' }],
    [7, { extension: 'NLM', title: 'paged high operating system' }],
    [8, { extension: 'HAM', title: 'host adapter' }],
    [9, { extension: 'CDM', title: 'custom device' }],
    [10, { extension: 'NLM', title: 'file system engine' }],
    [11, { extension: 'NLM', title: 'real mode' }],
    [12, { extension: 'NLM', title: 'hidden' }],
    [13, { extension: 'PSM', title: 'platform support' }],
    [14, { extension: 'NLM', title: 'NIOS client' }],
    [15, { extension: 'CAD', title: 'CIOS CAD' }],
    [16, { extension: 'CLS', title: 'CIOS CLS' }],
  ]);

export const NLM_FLAGS = {
  /** A second LOAD calls the start procedure of the same copy again. */
  REENTRANT: 0x01,
  /** A second LOAD makes a second copy. */
  MULTIPLE: 0x02,
  /** The loader waits until the module calls SynchronizeStart. */
  SYNCHRONIZE: 0x04,
  PSEUDOPREEMPTION: 0x08,
  OS_DOMAIN: 0x10,
  /** Unloaded when nothing imports from it any more, if it was loaded automatically. */
  AUTOUNLOAD: 0x40,
} as const;

/** High bits of the words in fixups, references and publics. Bit 31 has another meaning in each. */
export const RECORD_BIT = {
  /** Fixup: the target is the code image. Reference: absolute, not relative. Public: it is in the code image. */
  high: 0x80000000,
  /** Fixup and reference: the place to change is in the code image. */
  inCode: 0x40000000,
  offset: 0x3fffffff,
} as const;

/** Type byte of a debug record. */
export const DEBUG_TYPE = { data: 0, code: 1, absolute: 2 } as const;

/** Relocation types that the neutral object file gives NLM records; the format itself numbers none. */
export const NLM_RELOCATION = {
  /** *place += address of the symbol (fixups, absolute references). */
  ABSOLUTE: 1,
  /** *place += address of the symbol - address of the place (references from calls). */
  RELATIVE: 2,
} as const;
