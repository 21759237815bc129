/** Registry hives ("Windows registry file format specification", a public description): offsets and flags. */

export const MAGIC = 0x66676572; // regf
/** Cells are counted from behind the base block. */
export const BASE_BYTES = 4096;
export const BASE = {
  PRIMARY: 4,
  SECONDARY: 8,
  WRITTEN: 12,
  MAJOR: 20,
  MINOR: 24,
  ROOT: 36,
  BINS_BYTES: 40,
  FILE_NAME: 48,
  CHECKSUM: 508,
} as const;

/** Signatures of cells, two characters little-endian. */
export const CELL = {
  NK: 0x6b6e,
  VK: 0x6b76,
  LF: 0x666c,
  LH: 0x686c,
  LI: 0x696c,
  RI: 0x6972,
  DB: 0x6264,
} as const;

export const KEY = {
  FLAGS: 2,
  WRITTEN: 4,
  SUBKEYS: 0x14,
  SUBKEY_LIST: 0x1c,
  VALUES: 0x24,
  VALUE_LIST: 0x28,
  NAME_BYTES: 0x48,
  NAME: 0x4c,
} as const;
export const KEY_NAME_LATIN = 0x20;

export const VALUE = { NAME_BYTES: 2, DATA_BYTES: 4, DATA: 8, TYPE: 0xc, FLAGS: 0x10, NAME: 0x14 } as const;
export const VALUE_NAME_LATIN = 1;
/** The data are in the offset's own four bytes. */
export const RESIDENT = 0x80000000;
/** Longer data are cut into segments of that many bytes. */
export const SEGMENT = 16344;
/** No offset. */
export const NOWHERE = 0xffffffff;
