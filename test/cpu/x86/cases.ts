/**
 * Cases for differential tests: machine code with the state it starts from. Single instructions with every operand
 * form; sequences are in sequences.ts.
 */
import { Decode, Decoder, Instruction, Operand, RIP_BASE } from '../../../src/cpu/x86/decode.ts';
import { RowFlag } from '../../../src/cpu/x86/opcode-row.ts';
import { printInstruction } from '../../../src/cpu/x86/print.ts';
import { type Encoded, encode, type Template, templates, type Wish } from './encode.ts';
import { DF, STATUS, undefinedFlags } from './flags.ts';
import { Random } from './random.ts';

/** Where code and the memory window lie, on the host and in the guest alike (fixtures/native/harness.c). */
export const CODE_BASE = 0x20000000;
export const WINDOW_BASE = 0x30000000;
export const WINDOW_SIZE = 8192;
/** Base of the GS segment; low enough that 32-bit addresses reach the window from it. */
export const GS_BASE = 0x2ffff000;
const GS_PREFIX = 0x65;

export interface Case {
  readonly seed: number;
  readonly bits: 32 | 64;
  readonly code: Uint8Array;
  readonly gpr: BigUint64Array;
  readonly flags: number;
  readonly xmm: Uint8Array;
  /** Mnemonics in the code, as keys of `templates()`. */
  readonly names: readonly string[];
  readonly text: readonly string[];
  /** Status flags the code leaves undefined when it runs to its end. */
  readonly undefinedFlags: number;
  /** Register whose value is undefined when ZF is set at the end (bsf, bsr of zero), or -1. */
  readonly looseRegister: number;
}

/** Left out: what user mode may not run, what depends on the machine, and control flow, which sequences do. */
const EXCLUDED = new Set(
  (
    'int int1 int3 into iret lret lcall ljmp syscall sysret sysenter sysexit hlt in out ins outs cli sti rdmsr wrmsr ' +
    'rdpmc rdtsc rdtscp cpuid clts invd wbinvd wbnoinvd invlpg invpcid movcr movdr lgdt lidt sgdt sidt lldt ltr sldt str ' +
    'lmsw smsw verr verw lar lsl swapgs rdfsbase rdgsbase wrfsbase wrgsbase xgetbv xsetbv xsave xsave64 xrstor xrstor64 ' +
    'xsaveopt xsaveopt64 xsavec xsavec64 xsaves xsaves64 xrstors xrstors64 fxsave fxsave64 fxrstor fxrstor64 ldmxcsr ' +
    'stmxcsr rdrand rdseed rdpid clac stac popf pushf rsm getsec ret call jmp jrcxz loop loope loopne lss lfs lgs fwait ' +
    'vmcall vmmcall vmlaunch vmresume vmxoff vmxon vmread vmwrite vmptrld vmptrst vmclear vmfunc invept invvpid vmrun ' +
    'vmload vmsave stgi clgi skinit invlpga monitor mwait monitorx mwaitx umonitor umwait tpause encls enclu enclv ' +
    'pconfig rdpkru wrpkru enqcmd enqcmds movdir64b movdiri xend xtest xbegin xabort montmul xsha1 xsha256 xstore-rng ' +
    'xcrypt-ecb xcrypt-cbc xcrypt-ctr xcrypt-cfb xcrypt-ofb rdpru clzero ptwrite setssbsy saveprevssp rstorssp clrssbsy ' +
    // Estimates: processors give different bits. Those of AMD alone, and Galois fields, are not in this one.
    'rcpps rcpss rsqrtps rsqrtss extrq insertq gf2p8mulb gf2p8affineqb gf2p8affineinvqb maskmovdqu emms ' +
    'incssp rdssp wrss wruss serialize clwb clflush clflushopt 3dnow femms ud0 prefetchwt1'
  ).split(' '),
);

/** True when the template can be run: general registers, memory and XMM only. */
function runnable(template: Template, mmx = false): boolean {
  if (template.row.flags & RowFlag.X87) return false;
  const isMmx = template.row.operands.some(
    (spec) => spec < 512 && 'PQN'.includes('EGMRZBIJOSCDXYVWUPQNA'[spec >> 4]),
  );
  if (isMmx !== mmx) return false;
  // prefetch with a register is a nop on some processors and #UD on others.
  if (template.map === '0f' && template.opcode === 0x0d && template.mod === 1) return false;
  return template.row.operands.every((spec) => {
    if (spec >= 512) return !(spec >= 518 && spec <= 524);
    return 'EGMRZBIJXYVWUPQN'.includes('EGMRZBIJOSCDXYVWUPQNA'[spec >> 4]);
  });
}

/** What cases of one mode are made with. */
interface Kit {
  readonly all: Map<string, Template[]>;
  /** Mnemonics the generator can make; SSE ones end in `.sse`. */
  readonly generated: readonly string[];
  /** Those with a form of MMX. */
  readonly mmx: readonly string[];
  readonly decoder: Decoder;
  readonly single: Wish;
}

/** Loads of segment registers, and what has no meaning with flat segments. */
const EXCLUDED_32 = new Set(['les', 'lds', 'arpl']);

function kit(bits: 32 | 64): Kit {
  const all = templates(bits);
  const generated = [...all.keys()]
    .filter((name) => !EXCLUDED.has(name.replace('.sse', '')) && !EXCLUDED_32.has(name) && !/^j/.test(name))
    .filter((name) => all.get(name)!.some((template) => runnable(template)));
  const mmx = [...all.keys()].filter((name) => all.get(name)!.some((template) => runnable(template, true)));
  const registers = everyRegister(bits);
  const single = {
    bits,
    registers,
    bases: registers,
    indexes: registers,
    memory: true,
    shortAddress: bits === 64,
  };
  return { all, generated, mmx, decoder: new Decoder(bits), single };
}

export const everyRegister = (bits: 32 | 64): number[] => Array.from({ length: bits / 4 }, (_, n) => n);

const KITS = { 32: kit(32), 64: kit(64) };

export const generated = (bits: 32 | 64): readonly string[] => KITS[bits].generated;
export const mmxNames = (bits: 32 | 64): readonly string[] => KITS[bits].mmx;

/** A bit test whose register offset may lead anywhere. */
export function farBit(name: string, insn: Instruction): boolean {
  return /^bt[src]?$/.test(name) && insn.kind[0] === Operand.Mem && insn.kind[1] === Operand.Reg;
}

export function decodeOne(bytes: Uint8Array, at: number, bits: 32 | 64): Instruction | undefined {
  const insn = new Instruction();
  return KITS[bits].decoder.decode(bytes, at, CODE_BASE + at, insn) === Decode.Ok ? insn : undefined;
}

export function randomState(
  random: Random,
  bits: 32 | 64,
): { gpr: BigUint64Array; xmm: Uint8Array; flags: number } {
  const gpr = new BigUint64Array(16);
  for (let n = 0; n < bits / 4; n++) gpr[n] = BigInt.asUintN(bits, random.word64());
  const xmm = new Uint8Array(256);
  const words = new BigUint64Array(xmm.buffer);
  for (let n = 0; n < bits / 2; n++) words[n] = random.word64();
  return { gpr, xmm, flags: (random.bits() & STATUS) | 0x202 };
}

/** An address for an operand of that size: mostly inside the window, sometimes across its page or its end. */
function targetAddress(random: Random, size: number, alignment: number): number {
  const kind = random.below(40);
  if (kind === 0) return WINDOW_BASE + WINDOW_SIZE - random.below(Math.max(2, size));
  if (kind < 4) return WINDOW_BASE + 4096 - random.below(Math.max(2, size));
  if (kind === 4) return WINDOW_BASE - 1 - random.below(64);
  const at = WINDOW_BASE + 64 + random.below(WINDOW_SIZE - 256);
  return random.oneIn(16) ? at : at - (at % alignment);
}

/** Points the memory operand of `insn` at `address` by the displacement and, where it has one, the base register. */
function aim(
  random: Random,
  bytes: number[],
  encoded: Encoded,
  insn: Instruction,
  address: number,
  gpr: BigUint64Array,
): void {
  let disp: number;
  if (insn.base === RIP_BASE) disp = address - (CODE_BASE + bytes.length);
  else if (insn.base < 0 && insn.index < 0) disp = address;
  else if (insn.base < 0) {
    gpr[insn.index] = BigInt(address & 0xff);
    disp = address - ((address & 0xff) << insn.scale);
  } else {
    // A random displacement; the base makes up for it, and for the index.
    disp = random.oneIn(2) ? random.bits() >> random.below(32) : 0;
    const index = insn.index < 0 ? 0n : gpr[insn.index] << BigInt(insn.scale);
    let base = BigInt.asUintN(64, BigInt(address) - BigInt(disp) - index);
    if (insn.addressSize === 4 && gpr[insn.base] > 0xffffffffn)
      base = (base & 0xffffffffn) | (gpr[insn.base] & ~0xffffffffn);
    gpr[insn.base] = base;
  }
  const at = encoded.dispAt;
  for (let n = 0; n < 4; n++) bytes[at + n] = (disp >> (8 * n)) & 255;
}

export function memoryOf(insn: Instruction): number {
  for (let n = 0; n < insn.count; n++) if (insn.kind[n] === Operand.Mem) return insn.size[n];
  return -1;
}

/** Registers that implicit operands need. */
function implicitRegisters(random: Random, name: string, insn: Instruction, gpr: BigUint64Array): void {
  const somewhere = () => BigInt(targetAddress(random, 8, 8));
  if (/^(push|pop|pushf|enter|pusha|popa)$/.test(name) && insn.base !== 4 && insn.index !== 4)
    gpr[4] = somewhere();
  // Processors differ in what a popa has changed when it faults on the way.
  if (name === 'popa') gpr[4] = BigInt(WINDOW_BASE + random.below(WINDOW_SIZE - 32));
  if (name === 'leave' || name === 'enter') gpr[5] = somewhere();
  if (name === 'xlat') gpr[3] = BigInt(WINDOW_BASE + random.below(WINDOW_SIZE - 300));
  if (insn.flags & RowFlag.Rep) {
    gpr[6] = somewhere();
    gpr[7] = random.oneIn(4) ? gpr[6] + BigInt(random.below(17) - 8) : somewhere();
    gpr[1] = BigInt(random.below(24));
  }
  // A register offset moves the addressed unit: keep it near the window.
  if (farBit(name, insn)) {
    const offset = BigInt.asUintN(insn.size[0] * 8, BigInt(random.below(2048) - 1024));
    gpr[insn.reg[1]] = offset | (gpr[insn.reg[1]] << BigInt(insn.size[0] * 8));
  }
  if (/^(div|idiv)$/.test(name) && !random.oneIn(3)) easeDivision(random, insn, gpr);
  if (/^cmpxchg/.test(name) && random.oneIn(2) && insn.kind[0] === Operand.Reg) gpr[0] = gpr[insn.reg[0]];
}

/** Makes most quotients fit. */
function easeDivision(random: Random, insn: Instruction, gpr: BigUint64Array): void {
  if (insn.kind[0] === Operand.Reg && insn.reg[0] === 2) return;
  gpr[2] = random.oneIn(2) ? 0n : BigInt.asUintN(64, BigInt.asIntN(64, gpr[0]) >> 63n);
  if (insn.size[0] < 8) gpr[2] = BigInt(random.below(4));
}

/** Encodings whose result the architecture does not define. */
export function undefinedResult(name: string, insn: Instruction, gpr?: BigUint64Array): boolean {
  if (name === 'bswap') return insn.size[0] === 2;
  // Intel reads two bytes, AMD four.
  if (name === 'movsxd') return insn.size[0] === 2;
  if ((name === 'shld' || name === 'shrd') && insn.size[0] === 2) {
    return insn.kind[2] === Operand.Imm ? (insn.imm & 31) > 16 : gpr === undefined || (gpr[1] & 31n) > 16n;
  }
  if ((name === 'bsf' || name === 'bsr') && insn.size[0] === 4) return gpr === undefined;
  return false;
}

export function makeInstruction(random: Random, name: string, wish: Wish, mmx = false): Encoded | undefined {
  const choices = KITS[wish.bits].all.get(name)!.filter((template) => runnable(template, mmx));
  return encode(random, random.pick(choices), wish);
}

/** One instruction, in any operand form. Undefined when the random encoding had to be given up. */
export function singleCase(seed: number, name: string, bits: 32 | 64 = 64): Case | undefined {
  const random = new Random(seed);
  const encoded = makeInstruction(random, name, KITS[bits].single);
  if (encoded === undefined) return undefined;
  const bytes = encoded.bytes;
  // Nested frames are refused: no compiler makes them.
  if (name === 'enter') bytes[bytes.length - 1] = 0;
  const lockable = encoded.dispAt >= 0 && random.oneIn(4);
  const first = decodeOne(Uint8Array.from(bytes), 0, bits);
  if (first === undefined) return undefined;
  const { gpr, xmm, flags } = randomState(random, bits);
  implicitRegisters(random, name, first, gpr);
  let dispAt = encoded.dispAt;
  if (lockable && first.flags & RowFlag.Lock && first.kind[0] === Operand.Mem) {
    bytes.unshift(0xf0);
    dispAt++;
  }
  if (first.flags & RowFlag.Rep && random.oneIn(2)) bytes.unshift(random.oneIn(2) ? 0xf3 : 0xf2);
  const gs = bits === 64 && (dispAt >= 0 || /^(movs|cmps|lods)$/.test(name)) && random.oneIn(5);
  if (gs) {
    bytes.unshift(GS_PREFIX);
    if (dispAt >= 0) dispAt++;
    else gpr[6] = BigInt.asUintN(64, gpr[6] - BigInt(GS_BASE));
  }
  const insn = decodeOne(Uint8Array.from(bytes), 0, bits)!;
  const size = memoryOf(insn);
  if (dispAt >= 0) {
    if (insn.base >= 0 && insn.base === insn.index) return undefined;
    // The bit offset and the address are aimed apart.
    if (farBit(name, insn) && (insn.reg[1] === insn.base || insn.reg[1] === insn.index)) return undefined;
    const target = targetAddress(random, size, size === 16 || name === 'cmpxchg8b' ? 16 : 1);
    aim(random, bytes, { bytes, dispAt }, insn, gs ? target - GS_BASE : target, gpr);
  }
  if (undefinedResult(name, insn, gpr)) return undefined;
  for (let n = 0; n < 16; n++) gpr[n] = BigInt.asUintN(bits, gpr[n]);
  const code = Uint8Array.from(bytes);
  const final = decodeOne(code, 0, bits)!;
  return {
    seed,
    bits,
    code,
    gpr,
    xmm,
    flags: flags | (random.oneIn(3) ? DF : 0),
    names: [name],
    text: [printInstruction(final)],
    undefinedFlags: undefinedFlags(final, gpr[1]),
    looseRegister: /^bs[fr]$/.test(name) ? final.reg[0] : -1,
  };
}

/** The window's contents before a case; the harness fills it the same way. */
export function windowOf(seed: number): Uint8Array {
  const words = new Uint32Array(WINDOW_SIZE / 4);
  let s = seed >>> 0;
  for (let n = 0; n < words.length; n++) {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    words[n] = s ^ (s >>> 15);
  }
  return new Uint8Array(words.buffer);
}

/** Flags that differential tests compare. */
export const COMPARED_FLAGS = STATUS | DF;
