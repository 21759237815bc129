/** Constants of code signatures: xnu osfmk/kern/cs_blobs.h and Security's CSCommon.h as Apple publishes them. No logic. */

export const CSMAGIC = {
  REQUIREMENT: 0xfade0c00,
  REQUIREMENTS: 0xfade0c01,
  CODEDIRECTORY: 0xfade0c02,
  EMBEDDED_SIGNATURE: 0xfade0cc0,
  EMBEDDED_ENTITLEMENTS: 0xfade7171,
  EMBEDDED_DER_ENTITLEMENTS: 0xfade7172,
  LAUNCH_CONSTRAINT: 0xfade8181,
  BLOBWRAPPER: 0xfade0b01,
} as const;

/** Slots of a SuperBlob; those from 1 to 11 are the special slots of a CodeDirectory as well. */
export const SLOT = {
  CODEDIRECTORY: 0,
  INFO: 1,
  REQUIREMENTS: 2,
  RESOURCES: 3,
  APPLICATION: 4,
  ENTITLEMENTS: 5,
  REP_SPECIFIC: 6,
  DER_ENTITLEMENTS: 7,
  LAUNCH_CONSTRAINT_SELF: 8,
  LAUNCH_CONSTRAINT_PARENT: 9,
  LAUNCH_CONSTRAINT_RESPONSIBLE: 10,
  LIBRARY_CONSTRAINT: 11,
  ALTERNATE: 0x1000,
  ALTERNATE_END: 0x1005,
  SIGNATURE: 0x10000,
  IDENTIFICATION: 0x10001,
  TICKET: 0x10002,
} as const;

export const SPECIAL_NAMES: ReadonlyMap<number, string> = new Map([
  [SLOT.INFO, 'Info.plist'],
  [SLOT.REQUIREMENTS, 'requirements'],
  [SLOT.RESOURCES, 'CodeResources'],
  [SLOT.APPLICATION, 'application'],
  [SLOT.ENTITLEMENTS, 'entitlements'],
  [SLOT.REP_SPECIFIC, 'disk image'],
  [SLOT.DER_ENTITLEMENTS, 'DER entitlements'],
  [SLOT.LAUNCH_CONSTRAINT_SELF, 'launch constraint (self)'],
  [SLOT.LAUNCH_CONSTRAINT_PARENT, 'launch constraint (parent)'],
  [SLOT.LAUNCH_CONSTRAINT_RESPONSIBLE, 'launch constraint (responsible)'],
  [SLOT.LIBRARY_CONSTRAINT, 'library constraint'],
]);

/** Files of `_CodeSignature` in which a bundle keeps the slots of a program that cannot hold a signature itself. */
export const DETACHED_NAMES: ReadonlyMap<string, number> = new Map<string, number>([
  ['CodeDirectory', SLOT.CODEDIRECTORY],
  ['CodeRequirements', SLOT.REQUIREMENTS],
  ['CodeEntitlements', SLOT.ENTITLEMENTS],
  ['CodeEntitlementDER', SLOT.DER_ENTITLEMENTS],
  // Alternates carry the name of the requirements, whatever it was meant to say.
  ...[1, 2, 3, 4, 5].map((n) => [`CodeRequirements-${n}`, SLOT.ALTERNATE + n - 1] as const),
  ['CodeSignature', SLOT.SIGNATURE],
]);

export const HASH_NAMES: Readonly<Record<number, string>> = {
  1: 'sha1',
  2: 'sha256',
  3: 'sha256 truncated',
  4: 'sha384',
  5: 'sha512',
};

/** Bits of CodeDirectory.flags, under the names that codesign(1) prints. */
export const FLAG_NAMES: readonly (readonly [bit: number, name: string])[] = [
  [0x1, 'host'],
  [0x2, 'adhoc'],
  [0x100, 'hard'],
  [0x200, 'kill'],
  [0x400, 'expires'],
  [0x800, 'restrict'],
  [0x1000, 'enforcement'],
  [0x2000, 'library-validation'],
  [0x10000, 'runtime'],
  [0x20000, 'linker-signed'],
];

/** CodeDirectory versions from which on a field is there. */
export const VERSION = {
  SCATTER: 0x20100,
  TEAM: 0x20200,
  LIMIT64: 0x20300,
  EXEC_SEGMENT: 0x20400,
  RUNTIME: 0x20500,
  LINKAGE: 0x20600,
} as const;

/** Offsets in a CodeDirectory; all fields are big-endian. */
export const DIRECTORY = {
  version: 8,
  flags: 12,
  hashOffset: 16,
  identOffset: 20,
  nSpecialSlots: 24,
  nCodeSlots: 28,
  codeLimit: 32,
  hashSize: 36,
  hashType: 37,
  platform: 38,
  pageSize: 39,
  /** What version 0x20001 has at least. */
  least: 44,
  scatterOffset: 44,
  teamOffset: 48,
  codeLimit64: 56,
  execSegBase: 64,
  execSegLimit: 72,
  execSegFlags: 80,
  runtime: 88,
  preEncryptOffset: 92,
  linkageHashType: 96,
  linkageApplicationType: 97,
  linkageApplicationSubType: 98,
  linkageOffset: 100,
  linkageSize: 104,
} as const;

export const SCATTER_BYTES = 24;
