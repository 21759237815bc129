import { describe, expect, it } from 'vitest';
import { Decode, Decoder, Instruction, MAX_INSTRUCTION, Operand } from '../../../src/cpu/x86/decode.ts';
import type { Mode } from '../../../src/cpu/x86/opcode-row.ts';
import { printInstruction } from '../../../src/cpu/x86/print.ts';
import { Random, seedOfRun } from './random.ts';

function decode(hex: string, mode: Mode = 64, address = 0x1000): Instruction {
  const insn = new Instruction();
  new Decoder(mode).decode(Buffer.from(hex.replaceAll(' ', ''), 'hex'), 0, address, insn);
  return insn;
}

function text(hex: string, mode: Mode = 64): string {
  const insn = decode(hex, mode);
  return insn.status === Decode.Ok ? printInstruction(insn, mode) : '(bad)';
}

describe('x86 decoder', () => {
  it('prints what objdump prints', () => {
    expect(text('65 48 8b 04 25 28 00 00 00')).toBe('mov %gs:0x28,%rax');
    expect(text('f0 0f c1 43 10')).toBe('lock xadd %eax,0x10(%rbx)');
    expect(text('48 b8 88 77 66 55 44 33 22 11')).toBe('movabs $0x1122334455667788,%rax');
    expect(text('f3 48 a5')).toBe('rep movsq %ds:(%rsi),%es:(%rdi)');
    expect(text('0f b6 c4')).toBe('movzbl %ah,%eax');
    expect(text('40 0f b6 c4')).toBe('movzbl %spl,%eax');
    expect(text('c4 e2 fb f6 c1')).toBe('mulx %rcx,%rax,%rax');
  });

  it('keeps a REX prefix only right before the opcode', () => {
    expect(text('48 66 90')).toBe('xchg %ax,%ax');
    expect(text('66 48 90')).toBe('xchg %ax,%ax');
    expect(text('49 90')).toBe('xchg %rax,%r8');
  });

  it('knows 32-bit mode where the byte means something else', () => {
    expect(text('40', 32)).toBe('inc %eax');
    expect(text('48', 32)).toBe('dec %eax');
    expect(text('67 8b 47 10', 32)).toBe('mov 0x10(%bx),%eax');
    expect(text('a1 78 56 34 12', 32)).toBe('mov 0x12345678,%eax');
    expect(text('ff 74 24 04', 32)).toBe('push 0x4(%esp)');
  });

  it('tells truncated, bad and over-long apart', () => {
    expect(decode('48').status).toBe(Decode.Truncated);
    expect(decode('48 8b 05 00').status).toBe(Decode.Truncated);
    expect(decode('06').status).toBe(Decode.Bad);
    expect(decode('0f 04').status).toBe(Decode.Bad);
    expect(decode('66'.repeat(MAX_INSTRUCTION) + '90').status).toBe(Decode.TooLong);
    expect(decode('66'.repeat(MAX_INSTRUCTION - 1) + '90').status).toBe(Decode.Ok);
  });

  it('allows LOCK only on instructions that write memory', () => {
    expect(decode('f0 01 03').status).toBe(Decode.Ok);
    expect(decode('f0 01 c3').status).toBe(Decode.Bad);
    expect(decode('f0 03 03').status).toBe(Decode.Bad);
    expect(decode('f0 39 03').status).toBe(Decode.Bad);
  });

  it('computes branch targets with high addresses exactly', () => {
    const insn = decode('e8 00 00 00 80', 64, -1056964608);
    expect(insn.kind[0]).toBe(Operand.Rel);
    expect(insn.target).toBe(-1056964608 + 5 - 0x80000000);
  });

  it('survives any bytes and never reads past the limit', () => {
    const seed = seedOfRun();
    const random = new Random(seed);
    const bytes = new Uint8Array(16);
    const insn = new Instruction();
    for (const mode of [64, 32] as const) {
      const decoder = new Decoder(mode);
      for (let n = 0; n < 100_000; n++) {
        for (let k = 0; k < 16; k++) bytes[k] = random.bits();
        const status = decoder.decode(bytes, 0, 0, insn);
        expect(insn.length, `seed ${seed}`).toBeLessThanOrEqual(MAX_INSTRUCTION);
        if (status === Decode.Ok) expect(printInstruction(insn, mode).length).toBeGreaterThan(1);
      }
    }
  });
});
