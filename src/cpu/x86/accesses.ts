/** The data that an instruction is about to touch, for whoever watches memory: explicit operands, the stack, strings. */
import type { Address } from '../../memory/address.ts';
import type { DataAccess, RegisterView } from '../ir.ts';
import { Reg } from '../ir.ts';
import { Decode, Decoder, Instruction, Operand, RIP_BASE } from './decode.ts';
import { mnemonicName } from './table.ts';

/** With memory first these only write it. */
const WRITES =
  /^(v?mov|set|pop$|stmxcsr|fn?st|fist|fbstp|sgdt|sidt|sldt|str$|smsw|extractps|pextr|fxsave|xsave|vmread)/;
/** With memory first these only read it. */
const READS =
  /^(cmp|test|bt$|push|call|jmp|mul|imul|div|idiv|f(add|sub|mul|div|com|ld|i?com)|ficom|fi(add|sub|mul|div)|fild|fbld|ldmxcsr|fxrstor|xrstor|lgdt|lidt|lldt|ltr|ver[rw]|lmsw|invlpg|frstor)/;

const NO_ACCESS = /^(lea|nop|prefetch|endbr|clflush|clwb)/;
/** Bytes of operands whose size their instruction implies. */
const LARGE: Readonly<Record<string, number>> = {
  fxsave: 512,
  fxrstor: 512,
  fnsave: 108,
  frstor: 108,
  fldt: 10,
  fstpt: 10,
};

/** What the instruction at the start of `bytes` reads and writes; nothing where there is none. */
export function accessesOf(
  bytes: Uint8Array,
  pc: Address,
  bits: 32 | 64,
  view: RegisterView,
): readonly DataAccess[] {
  const insn = new Instruction();
  if (new Decoder(bits).decode(bytes, 0, pc, insn) !== Decode.Ok) return [];
  const name = mnemonicName(insn.mnemonic);
  if (NO_ACCESS.test(name)) return [];
  return [...explicit(insn, name, view), ...strings(insn, name, view), ...stack(insn, name, bits, view)];
}

function addressOf(insn: Instruction, view: RegisterView): Address {
  const segment = insn.segment === 4 ? view.gpr(Reg.FS) : insn.segment === 5 ? view.gpr(Reg.GS) : 0;
  if (insn.base === RIP_BASE) return view.wrap(insn.address + insn.length + insn.disp + segment);
  const base = insn.base < 0 ? 0 : view.gpr(insn.base);
  const index = insn.index < 0 ? 0 : view.gpr(insn.index) * 2 ** insn.scale;
  return view.wrap(base + index + insn.disp + segment);
}

function* explicit(insn: Instruction, name: string, view: RegisterView): Iterable<DataAccess> {
  for (let n = 0; n < insn.count; n++) {
    if (insn.kind[n] !== Operand.Mem) continue;
    const length = LARGE[name] ?? (insn.size[n] || 8);
    const first = n === 0;
    const writes = first && !READS.test(name);
    yield { address: addressOf(insn, view), length, reads: !first || !WRITES.test(name), writes };
  }
}

/** One element: a repeated instruction is stepped one by one. */
function* strings(insn: Instruction, name: string, view: RegisterView): Iterable<DataAccess> {
  if (insn.rep !== 0 && view.gpr(Reg.RCX) === 0) return;
  for (let n = 0; n < insn.count; n++) {
    const length = insn.size[n];
    if (insn.kind[n] === Operand.Source) {
      const segment = insn.segment === 4 ? view.gpr(Reg.FS) : insn.segment === 5 ? view.gpr(Reg.GS) : 0;
      yield { address: view.wrap(view.gpr(Reg.RSI) + segment), length, reads: true, writes: false };
    } else if (insn.kind[n] === Operand.Destination) {
      const reads = /^(cmps|scas)/.test(name);
      yield { address: view.gpr(Reg.RDI), length, reads, writes: !reads };
    }
  }
}

function* stack(insn: Instruction, name: string, bits: 32 | 64, view: RegisterView): Iterable<DataAccess> {
  const word = bits / 8;
  const top = view.gpr(Reg.RSP);
  const length = name === 'pusha' || name === 'popa' ? 8 * word : insn.operandSize === 2 ? 2 : word;
  if (/^(push|pusha|pushf|call)$/.test(name))
    yield { address: view.wrap(top - length), length, reads: false, writes: true };
  else if (/^(pop|popa|popf|ret)$/.test(name)) yield { address: top, length, reads: true, writes: false };
  else if (name === 'leave') yield { address: view.gpr(Reg.RBP), length, reads: true, writes: false };
}
