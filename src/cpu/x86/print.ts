/** Decoded x86 instructions as AT&T text, close to what GNU objdump prints; for traces, fault reports and tests. */
import { type Instruction, Operand, RIP_BASE } from './decode.ts';
import { type Mode, RowFlag } from './opcode-row.ts';
import { mnemonicName } from './table.ts';

const NAMES = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
const HIGH_NAMES = ['ah', 'ch', 'dh', 'bh'];
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];

/** Name of a general register of that width in bytes, without `%`. */
export function registerName(reg: number, size: number): string {
  if (reg >= 8) return `r${reg}${size === 8 ? '' : size === 4 ? 'd' : size === 2 ? 'w' : 'b'}`;
  const name = NAMES[reg];
  if (size === 1) return reg < 4 ? `${name[0]}l` : `${name}l`;
  return size === 2 ? name : `${size === 4 ? 'e' : 'r'}${name}`;
}

/** Mnemonics whose AT&T name depends on the operand size: 2, 4, 8 bytes. */
const CONVERSIONS: Record<string, string> = {
  cbw: 'cbtw',
  cwde: 'cwtl',
  cdqe: 'cltq',
  cwd: 'cwtd',
  cdq: 'cltd',
  cqo: 'cqto',
  movcr: 'mov',
  movdr: 'mov',
};

/** Integer mnemonics that objdump never gives a size suffix when their only sized operand is memory. */
const NO_SUFFIX =
  /^(push|pop|call|jmp|j[a-z]+|set[a-z]+|cmov[a-z]+|lea|movnti|cmpxchg8b|cmpxchg16b|popcnt|.*cnt|bs[fr]|prefetch.*|invlpg|clflush.*|clwb|f?xsave.*|f?xrstor.*|ldmxcsr|stmxcsr|inv.*|sldt|str|lldt|ltr|ver[rw]|lmsw|smsw|[sl][gi]dt|vm.*|xadd|cmpxchg|xchg|movbe|enqcmds?|movdir.*|mulx|rorx|sh[lr]x|sarx|andn|ad[co]x|f.*|ret|leave|enter|in|out|ptwrite|rdrand|rdseed)$/;

const SUFFIX: Record<number, string> = { 1: 'b', 2: 'w', 4: 'l', 8: 'q' };

function hex(value: number): string {
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

/** Two signed halves as an unsigned hexadecimal number. */
function hex64(high: number, low: number): string {
  const value = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  return `0x${value.toString(16)}`;
}

function hasRegisterOperand(insn: Instruction): boolean {
  for (let n = 0; n < insn.count; n++) {
    const kind = insn.kind[n];
    if (kind === Operand.Reg || kind === Operand.High || kind === Operand.Segment) {
      // The count register of a shift does not give the width away.
      if (
        n > 0 &&
        insn.size[n] === 1 &&
        /^(sh|sa|ro|rc)/.test(mnemonicName(insn.mnemonic)) &&
        insn.reg[n] === 1
      )
        continue;
      return true;
    }
  }
  return false;
}

/** The mnemonic as objdump spells it, without prefixes. */
function attMnemonic(insn: Instruction, mode: Mode = 64): string {
  const name = mnemonicName(insn.mnemonic);
  const fixed = CONVERSIONS[name];
  if (fixed) return fixed;
  if (insn.flags & (RowFlag.Simd | RowFlag.Vex | RowFlag.X87)) return simdMnemonic(name, insn);
  if (name === 'nop' && insn.count === 0 && insn.prefix === 1) return 'xchg';
  if (name === 'movzx' || name === 'movsx' || name === 'movsxd') {
    const from = SUFFIX[insn.size[1]];
    return `${name === 'movzx' ? 'movz' : 'movs'}${from}${SUFFIX[insn.size[0]]}`;
  }
  if (mode === 64 && name === 'mov' && isMovabs(insn)) return 'movabs';
  if (name === 'crc32') return `crc32${SUFFIX[insn.size[1]]}`;
  if (name === 'iret' || name === 'sysret')
    return `${name}${insn.operandSize === 8 ? 'q' : name === 'sysret' ? 'l' : ''}`;
  if (name === 'ins' || name === 'outs') return `${name}${SUFFIX[insn.size[name === 'ins' ? 0 : 1]]}`;
  if (name === 'movs' || name === 'cmps') return `${name}${SUFFIX[insn.size[0]]}`;
  if (insn.count === 0 || NO_SUFFIX.test(name) || hasRegisterOperand(insn)) return name;
  if (insn.kind[0] === Operand.Mem && insn.size[0] > 0) return name + (SUFFIX[insn.size[0]] ?? '');
  return name;
}

/** Predicates of cmpps and its kin, which objdump makes part of the name. */
const PREDICATES = ['eq', 'lt', 'le', 'unord', 'neq', 'nlt', 'nle', 'ord'];
const COMPARE = /^cmp([ps][sd])$/;

/** True when objdump shows the immediate in the mnemonic: compare predicates and carry-less multiply halves. */
function immediateInName(name: string, insn: Instruction): boolean {
  if (name === 'pclmulqdq') return (insn.imm & ~0x11) === 0;
  return COMPARE.test(name) && insn.count === 3 && insn.imm < 8;
}

function simdMnemonic(name: string, insn: Instruction): string {
  if (immediateInName(name, insn)) {
    if (name === 'pclmulqdq') return `pclmul${insn.imm & 1 ? 'h' : 'l'}q${insn.imm & 16 ? 'h' : 'l'}qdq`;
    return name.replace(COMPARE, (_, kind) => `cmp${PREDICATES[insn.imm]}${kind}`);
  }
  if (/^cvtsi2s[sd]$/.test(name) && insn.kind[1] === Operand.Mem) return name + SUFFIX[insn.size[1]];
  return name;
}

function isMovabs(insn: Instruction): boolean {
  if (insn.kind[1] === Operand.Imm && insn.kind[0] === Operand.Reg) {
    return insn.operandSize === 8 && insn.modrm === 0 && insn.size[0] === 8;
  }
  return (
    (insn.kind[0] === Operand.Mem && insn.reg[0] === 1) || (insn.kind[1] === Operand.Mem && insn.reg[1] === 1)
  );
}

/** Text of a memory operand. RIP-relative operands show the displacement, as objdump does before its comment. */
function memoryText(insn: Instruction, n: number, mode: Mode): string {
  const prefix = insn.segment >= (mode === 64 ? 4 : 0) ? `%${SEGMENTS[insn.segment]}:` : '';
  if (insn.reg[n] === 1) return `${prefix}${hex64(insn.dispHigh, insn.disp)}`;
  if (insn.base < 0 && insn.index < 0) {
    // Without registers the displacement is an address, printed unsigned (sign-extended in long mode).
    return prefix + (mode === 64 ? hex64(insn.disp >> 31, insn.disp) : hex(insn.disp >>> 0));
  }
  const disp =
    insn.disp !== 0 || insn.base === RIP_BASE || insn.base < 0 || hasZeroDisp(insn) ? hex(insn.disp) : '';
  const size = insn.addressSize;
  const base =
    insn.base === RIP_BASE
      ? size === 8
        ? '%rip'
        : '%eip'
      : insn.base < 0
        ? ''
        : `%${registerName(insn.base, size)}`;
  if (insn.index < 0) {
    // objdump shows a SIB byte that names no index unless its base cannot be written without one (rsp, r12).
    const idle = (insn.modrm & 7) === 4 && (insn.base & 7) !== 4 && size > 2;
    if (idle) return `${prefix}${disp}(${base},%${size === 8 ? 'riz' : 'eiz'},${1 << insn.scale})`;
    return `${prefix}${disp}(${base})`;
  }
  return `${prefix}${disp}(${base},%${registerName(insn.index, size)},${1 << insn.scale})`;
}

/** objdump prints an encoded zero displacement. */
function hasZeroDisp(insn: Instruction): boolean {
  const mod = insn.modrm >> 6;
  return mod === 1 || mod === 2;
}

function immediateText(insn: Instruction, n: number): string {
  const size = insn.size[n];
  if (size === 8) return `$${hex64(insn.immHigh, insn.imm)}`;
  const mask = size === 1 ? 0xff : size === 2 ? 0xffff : 0xffffffff;
  return `$${hex((insn.imm & mask) >>> 0)}`;
}

function operandText(insn: Instruction, n: number, mode: Mode): string {
  const name = mnemonicName(insn.mnemonic);
  const star =
    (name === 'call' || name === 'jmp' || name === 'lcall' || name === 'ljmp') && n === 0 ? '*' : '';
  const reg = insn.reg[n];
  const native = insn.addressSize;
  switch (insn.kind[n]) {
    case Operand.Reg:
      if (
        (name === 'in' || name === 'out' || name === 'ins' || name === 'outs') &&
        insn.size[n] === 2 &&
        reg === 2
      ) {
        return '(%dx)';
      }
      // Only 16 bits of the register go into a segment register; objdump shows its 32-bit name all the same.
      if (insn.kind[0] === Operand.Segment && n === 1) return `%${registerName(reg, 4)}`;
      return `${star}%${registerName(reg, insn.size[n])}`;
    case Operand.High:
      return `%${HIGH_NAMES[reg]}`;
    case Operand.Mem:
      return star + memoryText(insn, n, mode);
    case Operand.Imm:
      return immediateText(insn, n);
    case Operand.Imm2:
      return `$${hex(insn.imm2)}`;
    case Operand.Rel:
      return hex64(Math.floor(insn.target / 2 ** 32), insn.target | 0).slice(2);
    case Operand.Segment:
      return `%${SEGMENTS[reg]}`;
    case Operand.Control:
      return `%cr${reg}`;
    case Operand.Debug:
      return `%db${reg}`;
    case Operand.Xmm:
      return `%xmm${reg}`;
    case Operand.Mmx:
      return `%mm${reg}`;
    case Operand.Source:
      return `%${insn.segment >= (mode === 64 ? 4 : 0) ? SEGMENTS[insn.segment] : 'ds'}:(%${registerName(6, native)})`;
    case Operand.Destination:
      return `%es:(%${registerName(7, native)})`;
    case Operand.Far:
      return `$${hex(insn.imm2)},$${hex(insn.imm >>> 0)}`;
    default:
      return '';
  }
}

/** SSE instructions whose third operand is always the first register. */
const IMPLICIT_XMM0 = /^(pblendvb|blendvp[sd]|sha256rnds2)$/;

/** Instructions that objdump prints with operands in Intel's order. */
const INTEL_ORDER = /^(enter|bound|invlpga)$/;

/** `lock`, `rep`, `repz` and `repnz` where they mean something. */
function prefixText(insn: Instruction): string {
  if (insn.lock) return 'lock ';
  if (!(insn.flags & RowFlag.Rep) || insn.rep === 0) return '';
  const name = mnemonicName(insn.mnemonic);
  const compares = name === 'cmps' || name === 'scas';
  if (insn.rep === 0xf2) return 'repnz ';
  if (name.startsWith('x')) return 'repz ';
  return compares ? 'repz ' : 'rep ';
}

/** The instruction as text, for example `lock xadd %eax,0x10(%rbx)`. */
export function printInstruction(insn: Instruction, mode: Mode = 64): string {
  const operands: string[] = [];
  for (let n = 0; n < insn.count; n++) operands.push(operandText(insn, n, mode));
  const name = attMnemonic(insn, mode);
  if (name === 'xchg' && insn.count === 0) operands.push('%ax', '%ax');
  // A shift by one has no count in objdump's text.
  if (insn.count === 2 && insn.kind[1] === Operand.Imm && insn.reg[1] === 1) operands.pop();
  if (insn.count === 3 && immediateInName(mnemonicName(insn.mnemonic), insn)) operands.pop();
  if (IMPLICIT_XMM0.test(name)) operands.push('%xmm0');
  if (!INTEL_ORDER.test(name)) operands.reverse();
  const text = operands.length > 0 ? `${name} ${operands.join(',')}` : name;
  return prefixText(insn) + text;
}
