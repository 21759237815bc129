/** Single instructions as those see them who look on: text, where they go, what they touch. */
import type { Address } from '../../memory/address.ts';
import type { Inspection } from '../ir.ts';
import { Decode, Decoder, Instruction, Operand, RIP_BASE } from './decode.ts';
import type { Mode } from './opcode-row.ts';
import { printInstruction } from './print.ts';
import { mnemonicName } from './table.ts';

const FLOWS: Readonly<Record<string, Inspection['flow']>> = {
  call: 'call',
  lcall: 'call',
  ret: 'return',
  lret: 'return',
  iret: 'return',
  jmp: 'jump',
  ljmp: 'jump',
};

/** What is at the start of `bytes`, which lie at `address`; `(bad)` when it is no instruction. */
export function inspectInstruction(bytes: Uint8Array, address: Address, mode: Mode): Inspection {
  const insn = new Instruction();
  const status = new Decoder(mode).decode(bytes, 0, address, insn);
  if (status !== Decode.Ok)
    return { text: '(bad)', length: Math.max(1, insn.length), flow: 'next', target: undefined };
  const name = mnemonicName(insn.mnemonic);
  const flow = FLOWS[name] ?? (insn.kind[0] === Operand.Rel ? 'branch' : 'next');
  return { text: printInstruction(insn, mode), length: insn.length, flow, target: targetOf(insn) };
}

/** The address that the bytes themselves name: of a direct branch, or of an operand relative to the instruction. */
function targetOf(insn: Instruction): Address | undefined {
  for (let n = 0; n < insn.count; n++) {
    if (insn.kind[n] === Operand.Rel) return insn.target;
    if (insn.kind[n] === Operand.Mem && insn.base === RIP_BASE) return insn.address + insn.length + insn.disp;
    // A displacement without a base is an address; in long mode it is one of the upper or lower 2 GiB.
    if (insn.kind[n] === Operand.Mem && insn.base < 0 && insn.segment < 0) return insn.disp;
  }
  return undefined;
}
