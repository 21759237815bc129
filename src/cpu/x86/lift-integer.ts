/** Meaning of the integer, bit, string and control instructions: x86 to builder calls. SDM vol. 2 by mnemonic. */
import type {
  AluOp,
  BitOp,
  BlockBuilder,
  Bmi2Op,
  BmiOp,
  RepPrefix,
  ScanOp,
  ShiftOp,
  StringOp,
  UnaryOp,
} from '../ir.ts';
import { Cond, Helper, imm, type MemOperand, mem, Reg } from '../ir.ts';
import { type Instruction, Operand } from './decode.ts';
import {
  countOf,
  immediate,
  memoryOperand,
  place,
  RAX,
  register,
  segmentOf,
  sizeOf,
  source,
  TEMP0,
} from './operands.ts';

/** Describes one decoded instruction to the builder. */
export type Lifter = (builder: BlockBuilder, insn: Instruction) => void;
export type Lifters = Record<string, Lifter>;

const ALU: AluOp[] = ['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp', 'test'];
const UNARY: UnaryOp[] = ['inc', 'dec', 'neg', 'not'];
const SHIFT: ShiftOp[] = ['rol', 'ror', 'rcl', 'rcr', 'shl', 'shr', 'sar'];
const BITS: BitOp[] = ['bt', 'bts', 'btr', 'btc'];
const SCANS: ScanOp[] = ['bsf', 'bsr', 'tzcnt', 'lzcnt', 'popcnt'];
const STRINGS: StringOp[] = ['movs', 'cmps', 'stos', 'lods', 'scas', 'ins', 'outs'];
const BMI2: Bmi2Op[] = ['andn', 'bextr', 'bzhi', 'shlx', 'shrx', 'sarx', 'rorx', 'pdep', 'pext'];
const BMI: BmiOp[] = ['blsi', 'blsr', 'blsmsk'];

/** One lifter for each name of a family. */
function family<Name extends string>(names: readonly Name[], make: (name: Name) => Lifter): Lifters {
  return Object.fromEntries(names.map((name) => [name, make(name)]));
}

function wideSize(insn: Instruction): 4 | 8 {
  return insn.size[0] === 8 ? 8 : 4;
}

/** The width of a stack operation: by default that of an address. */
function stackSize(insn: Instruction): 2 | 4 | 8 {
  return insn.operandSize as 2 | 4 | 8;
}

function addressSize(insn: Instruction): 4 | 8 {
  return insn.addressSize === 8 ? 8 : 4;
}

const arithmetic: Lifters = {
  ...family(ALU, (op) => (b, i) => b.alu(op, sizeOf(i, 0), place(i, 0), source(i, 1))),
  ...family(UNARY, (op) => (b, i) => b.unary(op, sizeOf(i, 0), place(i, 0))),
  ...family(SHIFT, (op) => (b, i) => b.shift(op, sizeOf(i, 0), place(i, 0), countOf(i, 1))),
  ...family(['shld', 'shrd'] as const, (op) => (b, i) => {
    b.doubleShift(op, sizeOf(i, 0), place(i, 0), register(i, 1), countOf(i, 2));
  }),
  imul: (b, i) => {
    const size = sizeOf(i, 0);
    if (i.count === 1) b.wideMultiply('imul', size, place(i, 0));
    else if (i.count === 2) b.imul(size, register(i, 0), register(i, 0), place(i, 1));
    else b.imul(size, register(i, 0), place(i, 1), immediate(i));
  },
  mul: (b, i) => b.wideMultiply('mul', sizeOf(i, 0), place(i, 0)),
  div: (b, i) => b.divide('div', sizeOf(i, 0), place(i, 0)),
  idiv: (b, i) => b.divide('idiv', sizeOf(i, 0), place(i, 0)),
  xadd: (b, i) => b.xadd(sizeOf(i, 0), place(i, 0), register(i, 1)),
  cmpxchg: (b, i) => b.cmpxchg(sizeOf(i, 0), place(i, 0), register(i, 1)),
  cmpxchg8b: (b, i) => b.cmpxchgPair(4, memoryOperand(i)),
  cmpxchg16b: (b, i) => b.cmpxchgPair(8, memoryOperand(i)),
  adcx: (b, i) => b.addExtended('adcx', wideSize(i), register(i, 0), place(i, 1)),
  adox: (b, i) => b.addExtended('adox', wideSize(i), register(i, 0), place(i, 1)),
  mulx: (b, i) => b.mulx(wideSize(i), register(i, 0), register(i, 1), place(i, 2)),
};

const bits: Lifters = {
  ...family(BITS, (op) => (b, i) => {
    const size = sizeOf(i, 0);
    // An immediate offset stays inside the operand, a register offset may leave it.
    const offset = i.kind[1] === Operand.Imm ? imm(i.imm & (size * 8 - 1)) : register(i, 1);
    b.bitTest(op, size, place(i, 0), offset);
  }),
  ...family(SCANS, (op) => (b, i) => b.scan(op, sizeOf(i, 0), register(i, 0), place(i, 1))),
  ...family(BMI2, (op) => (b, i) => b.bmi2(op, wideSize(i), register(i, 0), place(i, 1), source(i, 2))),
  ...family(BMI, (op) => (b, i) => b.bmi(op, wideSize(i), register(i, 0), place(i, 1))),
  bswap: (b, i) => b.bswap(sizeOf(i, 0), register(i, 0)),
  crc32: (b, i) => {
    const size = sizeOf(i, 1);
    // A byte in ah..bh or memory is brought into a temporary first: the helper reads whole registers.
    let from = i.reg[1];
    if (i.kind[1] !== Operand.Reg) {
      if (size === 8) b.mov(8, TEMP0, place(i, 1));
      else b.movzx(8, size, TEMP0, place(i, 1));
      from = TEMP0.reg;
    }
    b.helper(Helper.CRC32, { size, a: i.reg[0], b: from });
  },
};

/** Moves; also the forms with segment registers, which go through a temporary. */
const moves: Lifters = {
  mov: (b, i) => {
    if (i.kind[0] === Operand.Segment) {
      b.movzx(8, 2, TEMP0, place(i, 1));
      b.helper(Helper.WRITE_SEGMENT, { imm: i.reg[0], a: TEMP0.reg });
    } else if (i.kind[1] === Operand.Segment) {
      b.helper(Helper.READ_SEGMENT, { imm: i.reg[1], a: TEMP0.reg });
      b.mov(sizeOf(i, 0), place(i, 0), TEMP0);
    } else b.mov(sizeOf(i, 0), place(i, 0), source(i, 1));
  },
  movzx: (b, i) => b.movzx(sizeOf(i, 0), sizeOf(i, 1), register(i, 0), place(i, 1)),
  movsx: (b, i) => b.movsx(sizeOf(i, 0), sizeOf(i, 1), register(i, 0), place(i, 1)),
  movsxd: (b, i) => {
    // With operand size 2 or 4 nothing is left to extend (SDM, MOVSXD).
    if (i.size[0] === 8) b.movsx(8, 4, register(i, 0), place(i, 1));
    else b.mov(sizeOf(i, 0), register(i, 0), place(i, 1));
  },
  movnti: (b, i) => b.mov(sizeOf(i, 0), place(i, 0), register(i, 1)),
  movdiri: (b, i) => b.mov(sizeOf(i, 0), place(i, 0), register(i, 1)),
  movbe: (b, i) => b.movbe(sizeOf(i, 0), place(i, 0), place(i, 1)),
  cbw: (b) => b.movsx(2, 1, RAX, RAX),
  cwde: (b) => b.movsx(4, 2, RAX, RAX),
  cdqe: (b) => b.movsx(8, 4, RAX, RAX),
  cwd: (b) => b.signToDx(2),
  cdq: (b) => b.signToDx(4),
  cqo: (b) => b.signToDx(8),
  lea: (b, i) => b.lea(sizeOf(i, 0), register(i, 0), memoryOperand(i)),
  xchg: (b, i) => b.xchg(sizeOf(i, 0), place(i, 0), register(i, 1)),
  xlat: (b, i) => {
    b.movzx(8, 1, TEMP0, RAX);
    b.mov(1, RAX, mem(Reg.RBX, 0, TEMP0.reg, 0, segmentOf(i), i.addressSize as 2 | 4 | 8));
  },
  push: (b, i) => {
    if (i.kind[0] === Operand.Segment) {
      b.helper(Helper.READ_SEGMENT, { imm: i.reg[0], a: TEMP0.reg });
      b.push(stackSize(i), TEMP0);
    } else b.push(stackSize(i), source(i, 0));
  },
  pop: (b, i) => {
    if (i.kind[0] === Operand.Segment) {
      b.pop(stackSize(i), TEMP0);
      b.helper(Helper.WRITE_SEGMENT, { imm: i.reg[0], a: TEMP0.reg });
    } else b.pop(stackSize(i), place(i, 0));
  },
  leave: (b, i) => (i.operandSize === 2 ? b.undefined('unsupported') : b.leave()),
  enter: (b, i) => {
    if (i.operandSize === 2) b.undefined('unsupported');
    else b.helper(Helper.ENTER, { imm: i.imm | ((i.imm2 & 31) << 16) });
  },
  pushf: (b, i) => b.helper(Helper.PUSHF, { size: stackSize(i) }),
  popf: (b, i) => b.helper(Helper.POPF, { size: stackSize(i) }),
};

/** Counting in cx and pointing with si and di is for 16-bit code; nothing in a kernel does that. */
function wideAddress(lift: Lifter): Lifter {
  return (b, i) => (i.addressSize === 2 ? b.undefined('unsupported') : lift(b, i));
}

function repPrefix(insn: Instruction): RepPrefix {
  return insn.rep === 0 ? 'none' : insn.rep === 0xf3 ? 'rep' : 'repne';
}

function stringWidth(op: StringOp, insn: Instruction): number {
  return op === 'outs' || op === 'lods' || op === 'scas' ? insn.size[1] : insn.size[0];
}

const strings: Lifters = family(STRINGS, (op) =>
  wideAddress((b, i) => {
    b.string(op, stringWidth(op, i) as 1 | 2 | 4 | 8, repPrefix(i), segmentOf(i), addressSize(i));
  }),
);

/** Near branches with a 16-bit operand size would cut rip; nothing in a kernel does that. */
function near(branch: (b: BlockBuilder, i: Instruction) => void): Lifter {
  return (b, i) => (i.operandSize === 2 ? b.undefined('unsupported') : branch(b, i));
}

const control: Lifters = {
  jmp: near((b, i) => (i.kind[0] === Operand.Rel ? b.jmp(i.target) : b.jmpIndirect(place(i, 0)))),
  call: near((b, i) => (i.kind[0] === Operand.Rel ? b.call(i.target) : b.callIndirect(place(i, 0)))),
  ret: near((b, i) => b.ret(i.count > 0 ? i.imm : 0)),
  jrcxz: near(wideAddress((b, i) => b.jcxz(addressSize(i), i.target))),
  loop: near(wideAddress((b, i) => b.loop(-1, addressSize(i), i.target))),
  loope: near(wideAddress((b, i) => b.loop(Cond.E, addressSize(i), i.target))),
  loopne: near(wideAddress((b, i) => b.loop(Cond.NE, addressSize(i), i.target))),
};

/** jcc, setcc and cmovcc, which the table spells with each condition. */
export const conditional: Record<'j' | 'set' | 'cmov', Lifter> = {
  j: near((b, i) => b.jcc(i.condition, i.target)),
  set: (b, i) => b.setcc(i.condition, place(i, 0)),
  cmov: (b, i) => b.cmov(i.condition, sizeOf(i, 0), register(i, 0), place(i, 1)),
};

export const integerLifters: Lifters = { ...arithmetic, ...bits, ...moves, ...strings, ...control };

/** Brings the linear address of the memory operand, segment base included, into TEMP0. */
export function addressToTemp(b: BlockBuilder, insn: Instruction): void {
  const at: MemOperand = memoryOperand(insn);
  b.lea(8, TEMP0, at);
  if (at.segment !== Reg.ZERO) b.lea(8, TEMP0, mem(TEMP0.reg, 0, at.segment));
}
