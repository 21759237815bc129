/** Meaning of the system instructions, and of those that do nothing here. */
import type { BlockBuilder, HelperId, Size } from '../ir.ts';
import { Helper } from '../ir.ts';
import { type Instruction, Operand } from './decode.ts';
import { addressToTemp, type Lifter, type Lifters } from './lift-integer.ts';
import { memoryOperand, place, sizeOf, TEMP0 } from './operands.ts';

/** A helper without operands. */
function plain(id: HelperId): Lifter {
  return (b) => b.helper(id);
}

/** A helper that takes the address of the memory operand; size 8 for the "64" forms. */
function withAddress(id: HelperId, size: Size = 4): Lifter {
  return (b, i) => {
    addressToTemp(b, i);
    b.helper(id, { a: TEMP0.reg, size });
  };
}

/** A helper that reads a 16-bit selector or status word from a register or memory. */
function readsWord(id: HelperId, extra: { imm?: number } = {}): Lifter {
  return (b, i) => {
    b.movzx(8, 2, TEMP0, place(i, 0));
    b.helper(id, { a: TEMP0.reg, ...extra });
  };
}

/** A helper whose 16-bit result goes to a register (zero-extended) or memory. */
function writesWord(id: HelperId): Lifter {
  return (b, i) => {
    b.helper(id, { a: TEMP0.reg });
    b.mov(sizeOf(i, 0), place(i, 0), TEMP0);
  };
}

/** A helper whose operand is a general register. */
function withRegister(id: HelperId, which = 0, extra: { imm?: number } = {}): Lifter {
  return (b, i) => b.helper(id, { a: i.reg[which], size: sizeOf(i, which), ...extra });
}

/** in and out: the port is dx or an immediate. */
function port(id: HelperId, portAt: number, valueAt: number): Lifter {
  return (b, i) => {
    const size = sizeOf(i, valueAt);
    if (i.kind[portAt] === Operand.Imm) b.helper(id, { size, imm: i.imm });
    else b.helper(id, { size, a: 2 });
  };
}

const nothing: Lifter = (b) => b.nop();
const opcodeFault: Lifter = (b) => b.undefined('undefined-opcode');

/** Cache line operations are reads for the memory system: they fault like a one-byte load (SDM, CLFLUSH). */
function touch(b: BlockBuilder, insn: Instruction): void {
  b.movzx(8, 1, TEMP0, memoryOperand(insn));
}

/** Instructions without effect on one simulated CPU: hints, fences, prefetches. They are still counted. */
const NOTHING =
  'nop pause fwait lfence mfence sfence endbr64 endbr32 rdssp prefetch prefetchw prefetchwt1 prefetchnta ' +
  'prefetcht0 prefetcht1 prefetcht2';

/** Always #UD, or part of an extension that the simulated CPU does not declare in CPUID. */
const UNDEFINED =
  'ud0 ud1 ud2 vmcall vmmcall vmlaunch vmresume vmxoff vmxon vmread vmwrite vmptrld vmptrst vmclear vmfunc invept ' +
  'invvpid vmrun vmload vmsave stgi clgi skinit invlpga monitor mwait monitorx mwaitx umonitor umwait tpause encls ' +
  'enclu enclv pconfig rdpkru wrpkru enqcmd enqcmds movdir64b xend xtest xbegin xabort montmul xsha1 xsha256 ' +
  'xstore-rng xcrypt-ecb xcrypt-cbc xcrypt-ctr xcrypt-cfb xcrypt-ofb getsec rsm rdpru clzero ptwrite ' +
  'setssbsy saveprevssp rstorssp clrssbsy incssp wrss wruss 3dnow femms';

function each(names: string, lifter: Lifter): Lifters {
  return Object.fromEntries(names.split(' ').map((name) => [name, lifter]));
}

const state: Lifters = {
  fxsave: withAddress(Helper.FXSAVE),
  fxsave64: withAddress(Helper.FXSAVE, 8),
  fxrstor: withAddress(Helper.FXRSTOR),
  fxrstor64: withAddress(Helper.FXRSTOR, 8),
  xsave: withAddress(Helper.XSAVE),
  xsave64: withAddress(Helper.XSAVE, 8),
  xrstor: withAddress(Helper.XRSTOR),
  xrstor64: withAddress(Helper.XRSTOR, 8),
  ldmxcsr: withAddress(Helper.LDMXCSR),
  stmxcsr: withAddress(Helper.STMXCSR),
  fninit: plain(Helper.FNINIT),
  xgetbv: plain(Helper.XGETBV),
  xsetbv: plain(Helper.XSETBV),
};

const descriptors: Lifters = {
  lgdt: withAddress(Helper.LGDT, 8),
  lidt: withAddress(Helper.LIDT, 8),
  sgdt: withAddress(Helper.SGDT, 8),
  sidt: withAddress(Helper.SIDT, 8),
  lldt: readsWord(Helper.LLDT),
  ltr: readsWord(Helper.LTR),
  sldt: writesWord(Helper.SLDT),
  str: writesWord(Helper.STR),
  verr: readsWord(Helper.VERIFY, { imm: 0 }),
  verw: readsWord(Helper.VERIFY, { imm: 1 }),
  lmsw: readsWord(Helper.LMSW),
  smsw: writesWord(Helper.SMSW),
  clts: plain(Helper.CLTS),
};

const flags: Lifters = {
  cli: plain(Helper.CLI),
  sti: plain(Helper.STI),
  cld: plain(Helper.CLD),
  std: plain(Helper.STD),
  clc: plain(Helper.CLC),
  stc: plain(Helper.STC),
  cmc: plain(Helper.CMC),
  clac: plain(Helper.CLAC),
  stac: plain(Helper.STAC),
  lahf: plain(Helper.LAHF),
  sahf: plain(Helper.SAHF),
};

const machine: Lifters = {
  cpuid: plain(Helper.CPUID),
  rdtsc: plain(Helper.RDTSC),
  rdtscp: plain(Helper.RDTSCP),
  rdpmc: plain(Helper.RDPMC),
  rdmsr: plain(Helper.RDMSR),
  wrmsr: plain(Helper.WRMSR),
  in: port(Helper.IN, 1, 0),
  out: port(Helper.OUT, 0, 1),
  hlt: plain(Helper.HLT),
  swapgs: plain(Helper.SWAPGS),
  wbinvd: plain(Helper.WBINVD),
  wbnoinvd: plain(Helper.WBINVD),
  invd: plain(Helper.WBINVD),
  serialize: plain(Helper.SERIALIZE),
  invlpg: withAddress(Helper.INVLPG),
  invpcid: plain(Helper.INVPCID),
  clflush: touch,
  clflushopt: touch,
  clwb: touch,
  rdrand: withRegister(Helper.RDRAND),
  rdseed: withRegister(Helper.RDSEED),
  rdpid: withRegister(Helper.RDPID),
  rdfsbase: withRegister(Helper.FSGSBASE, 0, { imm: 0 }),
  rdgsbase: withRegister(Helper.FSGSBASE, 0, { imm: 1 }),
  wrfsbase: withRegister(Helper.FSGSBASE, 0, { imm: 2 }),
  wrgsbase: withRegister(Helper.FSGSBASE, 0, { imm: 3 }),
  movcr: (b, i) => {
    const write = i.kind[0] === Operand.Control;
    const [control, general] = write ? [0, 1] : [1, 0];
    b.helper(write ? Helper.WRITE_CR : Helper.READ_CR, { imm: i.reg[control], a: i.reg[general] });
  },
  movdr: (b, i) => {
    const write = i.kind[0] === Operand.Debug;
    const [debug, general] = write ? [0, 1] : [1, 0];
    b.helper(write ? Helper.WRITE_DR : Helper.READ_DR, { imm: i.reg[debug], a: i.reg[general] });
  },
};

/** Software interrupts and the far returns. */
const transfers: Lifters = {
  int3: (b) => b.helper(Helper.INT, { imm: 3 }),
  int1: (b) => b.helper(Helper.INT, { imm: 1 }),
  int: (b, i) => b.helper(Helper.INT, { imm: i.imm }),
  syscall: plain(Helper.SYSCALL),
  sysret: (b, i) => b.helper(Helper.SYSRET, { size: i.operandSize === 8 ? 8 : 4 }),
  sysenter: plain(Helper.SYSENTER),
  sysexit: plain(Helper.SYSEXIT),
  iret: (b, i) => b.helper(Helper.IRET, { size: i.operandSize as Size }),
  lret: (b, i) => b.helper(Helper.RETF, { size: i.operandSize as Size, imm: i.count > 0 ? i.imm : 0 }),
};

export const systemLifters: Lifters = {
  ...each(NOTHING, nothing),
  ...each(UNDEFINED, opcodeFault),
  ...state,
  ...descriptors,
  ...flags,
  ...machine,
  ...transfers,
};
