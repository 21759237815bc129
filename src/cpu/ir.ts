/**
 * The vocabulary between a decoder and the machine that runs code.
 *
 * A decoder reads guest bytes and describes each instruction through {@link BlockBuilder}. The builder
 * chooses flat operations (see `ops/`), fuses a comparison with its branch and leaves out flag writes that
 * nothing can observe; a decoder never has to think about speed.
 */
import type { Address } from '../memory/address.ts';

/** Operand width in bytes. */
export type Size = 1 | 2 | 4 | 8;

/** Register numbers. 0..15 are the general registers in x86 encoding order. */
export const Reg = {
  RAX: 0,
  RCX: 1,
  RDX: 2,
  RBX: 3,
  RSP: 4,
  RBP: 5,
  RSI: 6,
  RDI: 7,
  R8: 8,
  R9: 9,
  R10: 10,
  R11: 11,
  R12: 12,
  R13: 13,
  R14: 14,
  R15: 15,
  /** Always reads 0; "no base" and "no index". */
  ZERO: 16,
  /** Segment bases. */
  FS: 17,
  GS: 18,
  /** Reserved for the builder. */
  S0: 20,
  S1: 21,
  S2: 22,
  S3: 23,
  /** Temporaries a decoder may use inside one instruction. */
  T0: 24,
  T1: 25,
  T2: 26,
  T3: 27,
} as const;

export interface RegOperand {
  readonly kind: 'reg';
  readonly reg: number;
  /** ah ch dh bh: bits 8..15 of `reg` (0..3). Only with size 1. */
  readonly high?: boolean;
}

export interface ImmOperand {
  readonly kind: 'imm';
  /** Already sign-extended as the instruction says; a bigint where 53 bits do not do. */
  readonly value: number | bigint;
}

export interface MemOperand {
  readonly kind: 'mem';
  /** {@link Reg.ZERO} for none. */
  readonly base: number;
  /** {@link Reg.ZERO} for none. */
  readonly index: number;
  /** The index is shifted left by this. */
  readonly scale: 0 | 1 | 2 | 3;
  /** For an address relative to rip: `base` ZERO and the absolute address here. */
  readonly disp: number | bigint;
  /** {@link Reg.FS}, {@link Reg.GS}, or {@link Reg.ZERO} where the segment base is 0. */
  readonly segment: number;
  /** 2, 4: the sum (before the segment base) is cut to 16 or 32 bits; no less than the guest's own width cuts nothing. */
  readonly addressSize: 2 | 4 | 8;
}

export type Operand = RegOperand | ImmOperand | MemOperand;
export type Place = RegOperand | MemOperand;

export const reg = (number: number, high = false): RegOperand => ({ kind: 'reg', reg: number, high });
export const imm = (value: number | bigint): ImmOperand => ({ kind: 'imm', value });
export const mem = (
  base: number,
  disp: number | bigint = 0,
  index: number = Reg.ZERO,
  scale: 0 | 1 | 2 | 3 = 0,
  segment: number = Reg.ZERO,
  addressSize: 2 | 4 | 8 = 8,
): MemOperand => ({ kind: 'mem', base, index, scale, disp, segment, addressSize });

/** Condition codes in x86 encoding order (the low nibble of Jcc, SETcc, CMOVcc); odd ones negate. */
export const Cond = {
  O: 0,
  NO: 1,
  B: 2,
  AE: 3,
  E: 4,
  NE: 5,
  BE: 6,
  A: 7,
  S: 8,
  NS: 9,
  P: 10,
  NP: 11,
  L: 12,
  GE: 13,
  LE: 14,
  G: 15,
} as const;

/** In x86 encoding order (opcode bits 3..5 of the 00..3f group). */
export type AluOp = 'add' | 'or' | 'adc' | 'sbb' | 'and' | 'sub' | 'xor' | 'cmp' | 'test';
export type UnaryOp = 'inc' | 'dec' | 'neg' | 'not';
export type ShiftOp = 'rol' | 'ror' | 'rcl' | 'rcr' | 'shl' | 'shr' | 'sar';
export type BitOp = 'bt' | 'bts' | 'btr' | 'btc';
/** `dst = op(src)`; bsf and bsr leave dst alone when src is 0. Flags as the instruction of that name. */
export type ScanOp = 'bsf' | 'bsr' | 'tzcnt' | 'lzcnt' | 'popcnt';
/** Three-operand instructions of BMI1, BMI2 and ADX; flags as the instruction of that name. */
export type Bmi2Op = 'andn' | 'bextr' | 'bzhi' | 'shlx' | 'shrx' | 'sarx' | 'rorx' | 'pdep' | 'pext';
export type BmiOp = 'blsi' | 'blsr' | 'blsmsk';
export type StringOp = 'movs' | 'cmps' | 'stos' | 'lods' | 'scas' | 'ins' | 'outs';
export type RepPrefix = 'none' | 'rep' | 'repne';

/**
 * Rare instructions done in TypeScript (`helpers.ts`). Each takes the operands named here; those marked
 * (ends) may change where execution goes on, and the builder ends the block after them by itself.
 */
export const Helper = {
  CPUID: 1,
  RDTSC: 2,
  RDTSCP: 3,
  RDMSR: 4,
  WRMSR: 5,
  RDPMC: 6,
  /** size; a = register with the port, or imm = port. Result in al/ax/eax. */
  IN: 7,
  /** size; a = register with the port, or imm = port. Value from al/ax/eax. */
  OUT: 8,
  /** (ends) */
  HLT: 9,
  /** (ends) imm = vector: int n, int3 (3), int1 (1), into (4). */
  INT: 10,
  /** (ends) */
  SYSCALL: 11,
  /** (ends) size = 4 or 8 */
  SYSRET: 12,
  /** (ends) */
  SYSENTER: 13,
  /** (ends) */
  SYSEXIT: 14,
  /** (ends) size = operand size */
  IRET: 15,
  SWAPGS: 16,
  /** a = register holding the address (use `lea` into a temporary). */
  INVLPG: 17,
  /** imm = number of the control register, a = general register written. */
  READ_CR: 18,
  /** (ends) imm = number of the control register, a = general register read. */
  WRITE_CR: 19,
  READ_DR: 20,
  WRITE_DR: 21,
  /** a = register holding the address of the descriptor operand. */
  LGDT: 22,
  LIDT: 23,
  SGDT: 24,
  SIDT: 25,
  /** a = register with the selector. */
  LLDT: 26,
  LTR: 27,
  /** a = register written with the selector. */
  SLDT: 28,
  STR: 29,
  SMSW: 30,
  LMSW: 31,
  CLTS: 32,
  XGETBV: 33,
  XSETBV: 34,
  /** a = register holding the address. size 8 for the "64" forms. */
  FXSAVE: 35,
  FXRSTOR: 36,
  /** a = register holding the address. */
  LDMXCSR: 37,
  STMXCSR: 38,
  /** imm = segment register (0 es 1 cs 2 ss 3 ds 4 fs 5 gs), a = register written / read. */
  READ_SEGMENT: 39,
  WRITE_SEGMENT: 40,
  /** imm: 0 rdfsbase, 1 rdgsbase, 2 wrfsbase, 3 wrgsbase; a = register, size 4 or 8. */
  FSGSBASE: 41,
  CLI: 42,
  STI: 43,
  CLD: 44,
  STD: 45,
  CLAC: 46,
  STAC: 47,
  LAHF: 48,
  SAHF: 49,
  CLC: 50,
  STC: 51,
  CMC: 52,
  /** size. Pushes and pops the flags register. */
  PUSHF: 53,
  POPF: 54,
  /** imm: low 16 bits frame size, bits 16..20 nesting level. */
  ENTER: 55,
  /** a = register holding the address, size 8 for the 64-bit form. */
  XSAVE: 56,
  XRSTOR: 57,
  /** (ends) far return; size = operand size, imm = bytes to release. */
  RETF: 58,
  RDRAND: 59,
  RDSEED: 60,
  RDPID: 61,
  INVPCID: 62,
  WBINVD: 63,
  /** size = source size 1 2 4 8; a = destination register (32-bit accumulator), b = source register. */
  CRC32: 64,
  FNINIT: 65,
  SERIALIZE: 66,
  /** imm 0 verr, 1 verw; a = register with the selector. Only ZF changes. */
  VERIFY: 67,
  /** Decimal adjustments of al and ah; imm of AAM and AAD: the base. 32-bit code only, as what follows. */
  AAA: 68,
  AAS: 69,
  DAA: 70,
  DAS: 71,
  AAM: 72,
  AAD: 73,
  /** size 2 or 4. */
  PUSHA: 74,
  POPA: 75,
  /** a = register holding the address of the limits, b = register with the index, size 2 or 4. */
  BOUND: 76,
  INTO: 77,
  /** (ends) a = register with the offset, b = register with the selector. */
  FAR_JUMP: 78,
  FAR_CALL: 79,
  /** imm = opcode byte << 8 | ModRM, a = register holding the address of a memory operand. */
  X87: 80,
  /** imm: what packMmxCall gives. */
  MMX: 81,
  EMMS: 82,
  /** a = register holding the address, size 8 for MMX registers else 4, imm = mask operand << 5 | source operand. */
  MASKED_STORE: 83,
} as const;
export type HelperId = (typeof Helper)[keyof typeof Helper];

/** Why an instruction cannot be run; one of more than 15 bytes is a protection fault, the others are undefined opcodes. */
export type Undefined = 'undefined-opcode' | 'privileged' | 'unsupported' | 'too-long';

/** What the decoder calls. All methods between two `begin` calls describe one guest instruction. */
export interface BlockBuilder {
  /**
   * Starts the instruction at `pc` of `length` bytes. Returns false when the block is long enough (or left
   * the page): stop decoding and return then, the builder links to `pc` by itself.
   */
  begin(pc: Address, length: number): boolean;
  /** True after an operation that ends the block (jump, call, return, some helpers): return then. */
  readonly ended: boolean;

  /** add or adc sbb and sub xor cmp test. src: reg, imm (sign-extended) or mem; not two mems. */
  alu(op: AluOp, size: Size, dst: Place, src: Operand): void;
  /** The same with a lock prefix has the same meaning here (one CPU); call `alu`. */
  unary(op: UnaryOp, size: Size, dst: Place): void;
  /** count: imm, or reg RCX (cl). Masked as the CPU does; a count of 0 changes no flag. */
  shift(op: ShiftOp, size: Size, dst: Place, count: RegOperand | ImmOperand): void;
  /** shld / shrd, sizes 2 4 8. */
  doubleShift(
    op: 'shld' | 'shrd',
    size: Size,
    dst: Place,
    src: RegOperand,
    count: RegOperand | ImmOperand,
  ): void;
  /** reg-reg, reg-imm (imm64 allowed for size 8 register), load, store of reg or imm32. A 32-bit register
   * write clears the upper half, here and everywhere. */
  mov(size: Size, dst: Place, src: Operand): void;
  movzx(dstSize: Size, srcSize: Size, dst: RegOperand, src: Place): void;
  /** Also movsxd and cbw/cwde/cdqe (dst = src = rax). */
  movsx(dstSize: Size, srcSize: Size, dst: RegOperand, src: Place): void;
  /** cwd cdq cqo: fills rdx with the sign of rax. */
  signToDx(size: Size): void;
  /** No memory access; the segment is ignored. */
  lea(size: Size, dst: RegOperand, src: MemOperand): void;
  /** size: 2, or the width of the guest's addresses. */
  push(size: 2 | 4 | 8, src: Operand): void;
  pop(size: 2 | 4 | 8, dst: Place): void;
  leave(): void;
  /** Two or three operands: dst = a * b, truncated. */
  imul(size: Size, dst: RegOperand, a: Place, b: Operand): void;
  /** One operand: rdx:rax = rax * src (ax = al * src for size 1). */
  wideMultiply(op: 'mul' | 'imul', size: Size, src: Place): void;
  /** div, idiv with #DE. */
  divide(op: 'div' | 'idiv', size: Size, src: Place): void;
  /** bt family. With a memory operand and a register offset the addressed unit moves with the offset. */
  bitTest(op: BitOp, size: Size, dst: Place, offset: RegOperand | ImmOperand): void;
  scan(op: ScanOp, size: Size, dst: RegOperand, src: Place): void;
  bswap(size: Size, dst: RegOperand): void;
  /** movbe: one side is memory. */
  movbe(size: Size, dst: Place, src: Place): void;
  setcc(cc: number, dst: Place): void;
  /** The load happens whatever the condition; a 32-bit destination is zero-extended either way. */
  cmov(cc: number, size: Size, dst: RegOperand, src: Place): void;
  xchg(size: Size, a: Place, b: RegOperand): void;
  xadd(size: Size, dst: Place, src: RegOperand): void;
  cmpxchg(size: Size, dst: Place, src: RegOperand): void;
  /** cmpxchg8b (size 4), cmpxchg16b (size 8). */
  cmpxchgPair(size: 4 | 8, dst: MemOperand): void;
  bmi2(op: Bmi2Op, size: 4 | 8, dst: RegOperand, a: Place, b: Operand): void;
  bmi(op: BmiOp, size: 4 | 8, dst: RegOperand, src: Place): void;
  /** hi:lo = rdx * src without flags; lo is written first. */
  mulx(size: 4 | 8, hi: RegOperand, lo: RegOperand, src: Place): void;
  /** adcx (carry) / adox (overflow as carry). */
  addExtended(op: 'adcx' | 'adox', size: 4 | 8, dst: RegOperand, src: Place): void;
  /** String instructions. segment: the override for the source of movs/lods/cmps/outs. */
  string(op: StringOp, size: Size, rep: RepPrefix, segment?: number, addressSize?: 4 | 8): void;

  /** Direct branch; a block goes on after a jcc. */
  jcc(cc: number, target: Address): void;
  /** Ends the block, as do all below. */
  jmp(target: Address): void;
  jmpIndirect(target: Place): void;
  call(target: Address): void;
  callIndirect(target: Place): void;
  ret(release: number): void;
  /** jrcxz (jecxz with addressSize 4). A block goes on after it. */
  jcxz(addressSize: 4 | 8, target: Address): void;
  /** loop (cc -1), loope (Cond.E), loopne (Cond.NE). A block goes on after it. */
  loop(cc: number, addressSize: 4 | 8, target: Address): void;

  /** A rare instruction; see {@link Helper}. `a`, `b` are register numbers. */
  helper(id: HelperId, operands?: { size?: Size; a?: number; b?: number; imm?: number }): void;
  /** nop, pause, fences, prefetch, endbr: retires and does nothing. */
  nop(): void;
  /** #UD (ud2, opcodes nobody knows, instructions this CPU does not declare). Ends the block. */
  undefined(why: Undefined): void;

  /** Vector registers: see `VectorOp` in ops/vector.ts. Sources that are memory are 16-byte loads. */
  vector: VectorBuilder;
}

export interface XmmOperand {
  readonly kind: 'xmm';
  readonly reg: number;
}
export const xmm = (number: number): XmmOperand => ({ kind: 'xmm', reg: number });

export interface VectorBuilder {
  /** movaps movups movdqa movdqu movapd...: 16 bytes; `aligned` faults (#GP) on a misaligned address. */
  move(dst: XmmOperand | MemOperand, src: XmmOperand | MemOperand, aligned: boolean): void;
  /** The low 4 or 8 bytes of an xmm register to or from a general register or memory (movd movq movss movsd).
   * To an xmm register the rest is cleared, unless `merge` (movss/movsd between registers, movlps, movhps). */
  moveLow(
    size: 4 | 8,
    dst: XmmOperand | Place,
    src: XmmOperand | Place,
    options?: { merge?: boolean; dstHigh?: boolean; srcHigh?: boolean },
  ): void;
  /** dst = op(dst, src): `name` is the SSE mnemonic (pxor, paddd, pshufb, addsd...). False: not known. */
  binary(name: string, dst: XmmOperand, src: XmmOperand | MemOperand, immediate?: number): boolean;
  /** Conversions and compares between xmm and general registers or flags (cvtsi2sd, cvttsd2si, comisd,
   * pmovmskb, pextrw, pinsrq, ...). size: of the general register. False: not known. */
  mixed(
    name: string,
    size: 4 | 8,
    dst: XmmOperand | Place,
    src: XmmOperand | Place,
    immediate?: number,
  ): boolean;
}

/** One instruction as a person sees it. */
export interface Inspection {
  /** Bytes. */
  readonly length: number;
  /** In the notation of the instruction set's own tools. */
  readonly text: string;
  /** Where execution goes after it. */
  readonly flow: 'next' | 'branch' | 'jump' | 'call' | 'return';
  /** An address that the bytes name: the goal of a direct branch, an operand relative to the instruction. */
  readonly target: Address | undefined;
}

/** Where a function is, as far as the way back to its caller needs it. */
export interface CallFrame {
  readonly ip: Address;
  readonly sp: Address;
  /** The register that holds frame pointers where there are any. */
  readonly fp: Address;
}

/** Finds the callers of functions. */
export interface CallFinder {
  /** `start` is where the function begins that `frame` is in; undefined when the caller cannot be told. */
  caller(
    peek: (address: Address, length: number) => Uint8Array,
    start: Address,
    frame: CallFrame,
  ): CallFrame | undefined;
  /** Code has changed: what was learned of it may be wrong. */
  forget(): void;
}

/** Data that an instruction touches. */
export interface DataAccess {
  readonly address: Address;
  /** Bytes. */
  readonly length: number;
  readonly reads: boolean;
  readonly writes: boolean;
}

/** Registers as addresses are made of them. */
export interface RegisterView {
  gpr(n: number): number;
  /** Cuts a sum to the width of an address. */
  wrap(address: Address): Address;
}

/** Puts the bytes from `va` on, all of one page, to places `from` to `end` of `to`. @throws GuestFault */
export type CopyCode = (va: Address, to: Uint8Array, from: number, end: number) => void;

/** One per instruction set. */
export interface Translator {
  /** Width of the guest's addresses; 64 when left out. In a 32-bit guest everything wraps at 4 GiB. */
  readonly bits?: 32 | 64;
  /** Registers of the stack and frame pointer. */
  readonly frameRegisters: { readonly sp: number; readonly fp: number };
  callFinder(): CallFinder;
  /** The instruction at the start of `bytes`, which lie at `pc`. */
  inspect(bytes: Uint8Array, pc: Address): Inspection;
  /** The data that the instruction at the start of `bytes` is about to touch. */
  accesses(bytes: Uint8Array, pc: Address, registers: RegisterView): readonly DataAccess[];
  /**
   * Describes the instructions from `pc` on, until `begin` says false, the block has ended, or an
   * instruction was undefined. `fetch` gives the byte at an address or throws GuestFault, which the
   * translator lets through: the builder then ends the block before the instruction that could not be read.
   */
  translate(fetch: (va: Address) => number, pc: Address, builder: BlockBuilder, copy?: CopyCode): void;
}
