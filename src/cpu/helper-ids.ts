import { Helper } from './ir.ts';

/** Helpers that the builder itself uses; numbered after those a decoder may name. */
export const BuiltinHelper = {
  DIV: 128,
  IDIV: 129,
  MOVS: 130,
  CMPS: 131,
  STOS: 132,
  LODS: 133,
  SCAS: 134,
  INS: 135,
  OUTS: 136,
  CMPXCHG_PAIR: 137,
  PDEP: 138,
  PEXT: 139,
  BEXTR: 140,
  BZHI: 141,
  RCL: 142,
  RCR: 143,
  VECTOR: 144,
} as const;

/** These may change where execution goes on: their block ends with them. */
export const ENDING_HELPERS: ReadonlySet<number> = new Set([
  Helper.HLT,
  Helper.INT,
  Helper.SYSCALL,
  Helper.SYSRET,
  Helper.SYSENTER,
  Helper.SYSEXIT,
  Helper.IRET,
  Helper.WRITE_CR,
  Helper.RETF,
  Helper.FAR_JUMP,
  Helper.FAR_CALL,
]);
