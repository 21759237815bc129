import { describe, expect, it } from 'vitest';
import { Decode, Decoder, Instruction } from '../../../src/cpu/x86/decode.ts';
import {
  BranchOutOfRange,
  branchTarget,
  encodeCall,
  encodeConditionalJump,
  encodeJump,
  encodeShortJump,
  nops,
} from '../../../src/cpu/x86/patch.ts';
import { printInstruction } from '../../../src/cpu/x86/print.ts';
import { mnemonicName } from '../../../src/cpu/x86/table.ts';

function decode(bytes: Uint8Array, address: number): Instruction {
  const insn = new Instruction();
  expect(new Decoder(64).decode(bytes, 0, address, insn)).toBe(Decode.Ok);
  return insn;
}

describe('x86 patching', () => {
  it('fills any length with no-operations and nothing else', () => {
    for (let length = 0; length < 40; length++) {
      const bytes = nops(length);
      for (let at = 0; at < length; ) {
        const insn = decode(bytes.subarray(at), 0);
        expect(mnemonicName(insn.mnemonic)).toBe('nop');
        at += insn.length;
      }
    }
  });

  it('encodes branches that the decoder reads back', () => {
    const from = -1056964608;
    const to = -2130706432;
    expect(decode(encodeCall(from, to), from).target).toBe(to);
    expect(branchTarget(encodeCall(from, to), from)).toBe(to);
    expect(decode(encodeJump(from, to), from).target).toBe(to);
    const conditional = decode(encodeConditionalJump(5, from, to), from);
    expect(conditional.target).toBe(to);
    expect(printInstruction(conditional)).toBe('jne ffffffff81000000');
    expect(decode(encodeShortJump(from, from + 129)!, from).target).toBe(from + 129);
    expect(encodeShortJump(from, from + 130)).toBeUndefined();
    expect(branchTarget(Uint8Array.of(0x90, 0, 0, 0, 0), 0)).toBeUndefined();
  });

  it('refuses a target out of reach', () => {
    expect(() => encodeCall(0x1000, -0x80000000)).toThrow(BranchOutOfRange);
  });
});
