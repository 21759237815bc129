/** Where the CPU's state is, from {@link CPU_STATE}; and the fields of one flat operation. */
import { CPU_STATE } from '../memory/layout.ts';

/** 32 registers of 8 bytes; an operand byte of an operation is the offset of its register in here. */
export const REGISTERS = CPU_STATE;
export const RIP = CPU_STATE + 0x100;
/** {@link FlagKind} | log2(size) << 4, and perhaps {@link NOTED} flags. */
export const FLAG_KIND = CPU_STATE + 0x108;
export const FLAG_A = CPU_STATE + 0x110;
export const FLAG_B = CPU_STATE + 0x118;
/** The bits of the flags register that arithmetic does not touch, in place. */
export const FLAGS_OTHER = CPU_STATE + 0x120;
/** The register in the lower half; {@link WATCHED} beside it. */
export const MXCSR = CPU_STATE + 0x124;
/** The thread has read MXCSR: from then on its exception flags are kept, which makes floating-point operations slower. */
export const WATCHED = 0x80000000;
/** Of the word at {@link MXCSR}: what has to be {@link USUAL_FLOATS} for WebAssembly's own operations to mean the same. */
export const FLOAT_CONTROL = WATCHED | 0xffc0;
/** Rounding to nearest, denormals as they are, all exceptions masked, and nobody looks at their flags. */
export const USUAL_FLOATS = 0x1f80;
/** Current privilege level, 0 or 3. */
export const CPL = CPU_STATE + 0x128;
/** x87 registers by physical number, 16 bytes each of which ten are used; control and status word; a bit for each not empty. */
export const X87_REGISTERS = CPU_STATE + 0x140;
export const X87_CONTROL = CPU_STATE + 0x1c0;
export const X87_STATUS = CPU_STATE + 0x1c2;
export const X87_VALID = CPU_STATE + 0x1c4;
export const XMM = CPU_STATE + 0x200;
/** Everything before this belongs to a thread and is saved on a switch. */
export const CONTEXT_BYTES = 0x300;

/** What follows is not part of a thread's state. */
/** Address of the access a slow path was entered for. */
export const MISS_VA = CPU_STATE + 0x400;
/** Value to be stored by the slow path. */
export const MISS_VALUE = CPU_STATE + 0x408;
/** Operation at which execution left. */
export const EXIT_IP = CPU_STATE + 0x410;
/** Budget left, at every call out of the interpreter and at its end. */
export const LEFT = CPU_STATE + 0x414;
/** {@link FaultCause} of the fault that is being reported. */
export const CAUSE = CPU_STATE + 0x418;
/** {@link Leave} code with which translated code left. */
export const LEAVE_CODE = CPU_STATE + 0x41c;
/** Not 0: translated code was dropped while it may be running; it leaves after the current instruction. */
export const STALE = CPU_STATE + 0x420;
/** Two 16-byte temporaries for vector operations. */
export const XMM_TEMP = CPU_STATE + 0x440;

/**
 * How the arithmetic flags follow from A and B. A and B are shifted so that the operand's sign is bit 63:
 * every comparison is then one 64-bit instruction, whatever the size.
 */
export const FlagKind = {
  /** B holds the flag bits themselves. */
  RAW: 0,
  /** A - B. */
  SUB: 1,
  /** ZF SF PF from the result A; CF AF OF are bits of B. */
  RESULT: 2,
  /** A is the sum, B one of the operands; no carry came in. */
  ADD: 3,
  /** As ADD, with a carry in. */
  ADC: 4,
  /** A - B - 1. */
  SBB: 5,
  /** ZF SF PF from the result A; CF AF OF are 0. */
  LOGIC: 6,
  /** A * B, both signed and sign-extended instead of shifted; CF and OF say that the product does not fit. */
  PRODUCT: 7,
} as const;

/**
 * Instructions that set one or two flags and leave the rest note them in the kind: that costs less than to work out all of
 * them. Each has a mark, and its value stands in the upper half of the kind, as in the flags register.
 */
export const NOTED = { CF: 0x100, ZF: 0x200, OF: 0x400 } as const;
export const NOTED_SHIFT = 16;
export const ANY_NOTED = NOTED.CF | NOTED.ZF | NOTED.OF;

export const FLAG = {
  CF: 1,
  PF: 4,
  AF: 0x10,
  ZF: 0x40,
  SF: 0x80,
  TF: 0x100,
  IF: 0x200,
  DF: 0x400,
  OF: 0x800,
  IOPL: 0x3000,
  NT: 0x4000,
  RF: 0x10000,
  AC: 0x40000,
  ID: 0x200000,
} as const;
export const ARITHMETIC = FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF | FLAG.OF;

/** An operation is 24 bytes. */
export const OP_BYTES = 24;
export const OP = {
  /** u16: index into the operation table. */
  CODE: 0,
  /** u8 each: register offsets. */
  D: 2,
  A: 3,
  B: 4,
  X: 5,
  SCALE: 6,
  AUX: 7,
  /** i64; or i32 displacement and i32 immediate. */
  IMM: 8,
  DISP32: 8,
  IMM32: 12,
  /** u16: start of its instruction, from the start of the block. */
  PC: 16,
  /** u16: instructions of the block retired before this one. */
  COUNT: 18,
  /** u32: offset of an operation (branches). */
  TARGET: 20,
} as const;

/** Why the interpreter returned. */
export const Leave = {
  /** At a stub: its target has to be translated and linked. */
  LINK: 1,
  BUDGET: 2,
  FAULT: 3,
  /** An indirect branch whose target (RIP) is not in the lookup cache. */
  MISS: 4,
  /** A helper asked for it; it has set RIP. */
  HELPER: 5,
  HOST: 6,
  /** A block has been entered often: its operation is a count that has run out. */
  HOT: 7,
  /** Translated code goes on at RIP, where the budget is not looked at. */
  GO: 8,
  /** Translated code has come to an access that is not a plain one: the interpreter goes on at that operation. */
  RESUME: 9,
  /** As RESUME, for several accesses that were looked up together: it is counted. */
  APART: 10,
  /** As MISS, from an indirect jump of translated code: where it goes to may yet become known there. */
  JUMP: 11,
  /** As RESUME, from code that was made for accesses to the direct map alone: it is told. */
  STRAY: 12,
} as const;

export const FaultCause = {
  /** A memory access: the details are with the slow path that refused it. */
  ACCESS: 0,
  DIVIDE: 1,
  /** #GP(0): non-canonical target, misaligned vector access... */
  PROTECTION: 2,
  UNDEFINED: 3,
} as const;
