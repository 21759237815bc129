/** What a row of the opcode tables says, as the compiler of the tables and the decoder have it. */

/** Conditions in encoding order, with the names objdump prints. */
export const CONDITIONS = [
  'o',
  'no',
  'b',
  'ae',
  'e',
  'ne',
  'be',
  'a',
  's',
  'ns',
  'p',
  'np',
  'l',
  'ge',
  'le',
  'g',
] as const;

/** Processor mode: 64 is long mode, 32 protected mode with 32-bit segments. */
export type Mode = 32 | 64;

/** Flags of an opcode row. */
export const RowFlag = { Default64: 1, Lock: 2, Rep: 4, FixedSize: 8, Simd: 16, X87: 32, Vex: 64 } as const;

/** One row of the tables, compiled. */
export interface OpcodeRow {
  /** Mnemonic ids for operand sizes 2, 4 and 8. */
  readonly names: readonly [number, number, number];
  /** Operand specifications, one number each: `where * 16 + width`. */
  readonly operands: readonly number[];
  readonly flags: number;
  readonly modrm: boolean;
  /** Condition code of a `{cc}` row, else -1. */
  readonly condition: number;
}

/** The letters of operand specifications, in the order of their numbers. */
export const WHERE = 'EGMRZBIJOSCDXYVWUPQNA'.split('');
/** Widths in the order of their numbers. */
export const WIDTH = ['b', 'w', 'd', 'q', 'v', 'z', 'y', 'x', 'p', 'bs', 'n', 'b2'];
/** Operands named literally; their numbers follow the lettered ones. */
export const LITERAL = ['AL', 'rAX', 'rAXz', 'CL', 'DX', '1', 'ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'Sw'];
export const LITERAL_BASE = 512;
