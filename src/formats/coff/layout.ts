/**
 * COFF object files as Unix System V Release 3 and the GNU tools write them: numbers and offsets, no logic. (Windows
 * objects share the layout of the headers, but not the meaning of what stands in the places to relocate.)
 * Source: System V Release 3 Programmer's Guide, "Common Object File Format".
 */

/** f_magic, in the byte order of the machine. */
export const COFF_MACHINES: readonly {
  readonly magic: number;
  readonly machine: 'i386' | 'm68k' | 'sh';
  readonly littleEndian: boolean;
}[] = [
  { magic: 0x14c, machine: 'i386', littleEndian: true },
  { magic: 0x150, machine: 'm68k', littleEndian: false },
  { magic: 0x500, machine: 'sh', littleEndian: false },
  { magic: 0x550, machine: 'sh', littleEndian: true },
];

export const FILE_HEADER = {
  sections: 2,
  time: 4,
  symbols: 8,
  symbolCount: 12,
  optionalSize: 16,
  flags: 18,
  size: 20,
} as const;

export const F_EXEC = 2;

export const SECTION_HEADER = {
  name: 0,
  physical: 8,
  virtual: 12,
  bytes: 16,
  data: 20,
  relocations: 24,
  lines: 28,
  relocationCount: 32,
  lineCount: 34,
  flags: 36,
  size: 40,
} as const;

export const STYP = { TEXT: 0x20, DATA: 0x40, BSS: 0x80, INFO: 0x200, LIT: 0x8020 } as const;

/**
 * Flags that only objects of Microsoft's kind of COFF have (PE format specification, section flags): gcc for Windows
 * hosts writes them, and with it the tools of Tornado's simulators.
 */
export const PE_FLAGS = {
  REMOVE: 0x800,
  DISCARDABLE: 0x02000000,
  EXECUTE: 0x20000000,
  READ: 0x40000000,
  WRITE: 0x80000000,
} as const;

export const SYMBOL_SIZE = 18;
export const RELOCATION_SIZE = 10;

/** n_scnum of what is in no section. */
export const N = { UNDEF: 0, ABS: -1, DEBUG: -2 } as const;
/** n_sclass. */
export const C = { EXT: 2, STAT: 3, LABEL: 6, FILE: 103, WEAKEXT: 127 } as const;

/** r_type on i386. */
export const R_I386_COFF = { DIR32: 6, PCRLONG: 20 } as const;
