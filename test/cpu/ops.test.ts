/** Operations against a model in big integers, in every form and size. */
import { describe, expect, it } from 'vitest';
import { Exit } from '../../src/cpu/cpu.ts';
import { type AluOp, Cond, Helper, imm, mem, Reg, reg, type Size } from '../../src/cpu/ir.ts';
import { operations } from '../../src/cpu/ops/table.ts';
import { CODE, DATA, type Program, setup } from './helper.ts';

const SIZES: readonly Size[] = [1, 2, 4, 8];
const MASK = 0x8d5;
const EDGES = [
  0n,
  1n,
  2n,
  0x0fn,
  0x10n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
];
const VALUES = [
  ...EDGES,
  0xffffffffn,
  0x7fffffffffffffffn,
  0x8000000000000000n,
  0xffffffffffffffffn,
  0x0123456789abcdefn,
  0xdeadbeefcafef00dn,
];

interface Outcome {
  readonly result: bigint;
  readonly flags: number;
}

/** What the manual says: result and the six flags. */
function model(op: AluOp, size: Size, left: bigint, right: bigint, carryIn: number): Outcome {
  const bits = BigInt(size * 8);
  const cut = (value: bigint): bigint => BigInt.asUintN(size * 8, value);
  const [a, b] = [cut(left), cut(right)];
  const sign = (value: bigint): number => Number((cut(value) >> (bits - 1n)) & 1n);
  const c = op === 'adc' || op === 'sbb' ? BigInt(carryIn) : 0n;
  const adds = op === 'add' || op === 'adc';
  const subtracts = op === 'sub' || op === 'sbb' || op === 'cmp';
  const full = adds ? a + b + c : subtracts ? a - b - c : op === 'or' ? a | b : op === 'xor' ? a ^ b : a & b;
  const result = cut(full);
  const carry = full !== result ? 1 : 0;
  const overflow = adds
    ? (sign(a) ^ sign(result)) & (sign(b) ^ sign(result))
    : subtracts
      ? (sign(a) ^ sign(b)) & (sign(a) ^ sign(result))
      : 0;
  const aux = adds || subtracts ? Number(((a ^ b ^ result) >> 4n) & 1n) : 0;
  const ones = (result & 0xffn).toString(2).replace(/0/g, '').length;
  const flags =
    carry |
    (ones % 2 === 0 ? 4 : 0) |
    (aux << 4) |
    (result === 0n ? 0x40 : 0) |
    (sign(result) << 7) |
    (overflow << 11);
  return { result: op === 'cmp' || op === 'test' ? a : result, flags };
}

function conditionOf(cc: number, flags: number): boolean {
  const bit = (mask: number): boolean => (flags & mask) !== 0;
  const less = bit(0x80) !== bit(0x800);
  const positive = [bit(0x800), bit(1), bit(0x40), bit(0x41), bit(0x80), bit(4), less, less || bit(0x40)];
  return positive[cc >> 1] !== ((cc & 1) === 1);
}

/** Register contents after a write of `size` bytes. */
function merged(old: bigint, size: Size, value: bigint): bigint {
  if (size >= 4) return value;
  const mask = (1n << BigInt(size * 8)) - 1n;
  return (old & ~mask) | value;
}

describe('operations', () => {
  it('fit their number into the table', () => {
    expect(operations.length).toBeLessThan(65536);
    expect(new Set(operations.map((definition) => definition.name)).size).toBe(operations.length);
  });

  const ops: readonly AluOp[] = ['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp', 'test'];
  for (const op of ops) {
    it(`${op}: registers, immediates and memory agree with the model in every size`, () => {
      for (const size of SIZES) {
        const forms: Program = [
          (b) => b.alu(op, size, reg(Reg.RAX), reg(Reg.RBX)),
          (b) => b.helper(Helper.HLT),
          (b) => b.alu(op, size, reg(Reg.RAX), mem(Reg.RSI, 8)),
          (b) => b.helper(Helper.HLT),
          (b) => b.alu(op, size, mem(Reg.RSI, 16), reg(Reg.RBX)),
          (b) => b.helper(Helper.HLT),
          (b) => b.alu(op, size, mem(Reg.RSI, 0, Reg.RDI, 1), reg(Reg.RBX)),
          (b) => b.helper(Helper.HLT),
        ];
        const { cpu, memory } = setup(forms);
        for (const left of VALUES) {
          for (const right of VALUES) {
            for (const carry of op === 'adc' || op === 'sbb' ? [0, 1] : [1]) {
              const want = model(op, size, left, right, carry);
              for (let form = 0; form < 4; form++) {
                cpu.rip = CODE + form * 8;
                cpu.rflags = carry;
                cpu.setGprBig(Reg.RAX, left);
                cpu.setGprBig(Reg.RBX, right);
                cpu.setGpr(Reg.RSI, DATA);
                cpu.setGpr(Reg.RDI, 8);
                memory.setU64(DATA + 8, right);
                memory.setU64(DATA + 16, left);
                expect(cpu.run(10)).toBe(Exit.Halt);
                const destination = form < 2 ? cpu.gprBig(Reg.RAX) : memory.u64(DATA + 16);
                const whole = merged(left, size, want.result);
                const kept =
                  op === 'cmp' || op === 'test' ? left : form < 2 ? whole : stored(left, size, want.result);
                if (destination !== kept || (cpu.rflags & MASK) !== want.flags) {
                  expect({ op, size, left, right, form, destination, flags: cpu.rflags & MASK }).toEqual({
                    op,
                    size,
                    left,
                    right,
                    form,
                    destination: kept,
                    flags: want.flags,
                  });
                }
              }
            }
          }
        }
      }
    });
  }

  it('branches, sets and moves by every condition, fused or not', () => {
    for (const op of ['cmp', 'test', 'sub', 'and', 'add'] as const) {
      for (const size of SIZES) {
        for (let cc = 0; cc < 16; cc++) {
          const compare = (b: Parameters<Program[number]>[0]): void =>
            b.alu(op, size, reg(Reg.RAX), reg(Reg.RBX));
          const { cpu } = setup([
            compare,
            (b) => b.jcc(cc, CODE + 16),
            (b) => b.mov(4, reg(Reg.RDX), imm(1)),
            (b) => b.helper(Helper.HLT),
            (b) => b.mov(4, reg(Reg.RDX), imm(2)),
            (b) => b.helper(Helper.HLT),
            compare,
            (b) => b.nop(),
            (b) => b.setcc(cc, reg(Reg.RCX)),
            (b) => b.cmov(cc, 8, reg(Reg.RDX), reg(Reg.RBP)),
            (b) => b.cmov(cc, 4, reg(Reg.RSI), reg(Reg.RBP)),
            (b) => b.cmov(cc, 2, reg(Reg.RDI), reg(Reg.RBP)),
            (b) => b.jcc(cc, CODE + 16),
            (b) => b.helper(Helper.HLT),
          ]);
          for (const left of [0n, 1n, 0x80n, 0x7fn, 0xffn, 0x8000000000000000n, 0xffffffffffffff80n]) {
            for (const right of [0n, 1n, 0x80n, 0x7fn, 0x8000000000000001n]) {
              const taken = conditionOf(cc, model(op, size, left, right, 0).flags);
              const start = (at: number): void => {
                cpu.setGprBig(Reg.RAX, left);
                cpu.setGprBig(Reg.RBX, right);
                cpu.rip = at;
                expect(cpu.run(20)).toBe(Exit.Halt);
              };
              start(CODE);
              expect(cpu.gpr(Reg.RDX), `${op} ${size} j${cc} ${left} ${right}`).toBe(taken ? 2 : 1);
              for (const r of [Reg.RDX, Reg.RSI, Reg.RDI]) cpu.setGprBig(r, 0x1111111122222222n);
              cpu.setGprBig(Reg.RBP, 0x3333333344444444n);
              start(CODE + 24);
              expect(cpu.gpr(Reg.RCX) & 0xff).toBe(taken ? 1 : 0);
              expect(cpu.gprBig(Reg.RDX)).toBe(taken ? 2n : 0x1111111122222222n);
              expect(cpu.gpr(Reg.RSI)).toBe(taken ? 0x44444444 : 0x22222222);
              expect(cpu.gprBig(Reg.RDI)).toBe(taken ? 0x1111111122224444n : 0x1111111122222222n);
              cpu.setGpr(Reg.RCX, 0);
            }
          }
        }
      }
    }
  });

  it('keeps flags exact where a later writer could fault or does', () => {
    const { cpu } = setup([
      (b) => b.alu('add', 4, reg(Reg.RAX), reg(Reg.RBX)),
      (b) => b.alu('add', 4, reg(Reg.RCX), mem(Reg.RDX)),
      (b) => b.helper(Helper.HLT),
    ]);
    cpu.setGpr(Reg.RAX, -1);
    cpu.setGpr(Reg.RBX, 1);
    expect(cpu.run(10)).toBe(Exit.Fault);
    expect(cpu.rflags & MASK).toBe(model('add', 4, 0xffffffffn, 1n, 0).flags);
  });

  it('reads and writes the high byte registers', () => {
    const { cpu } = setup([
      (b) => b.alu('add', 1, reg(Reg.RAX, true), reg(Reg.RBX, true)),
      (b) => b.movzx(4, 1, reg(Reg.RCX), reg(Reg.RAX, true)),
      (b) => b.mov(1, reg(Reg.RDX, true), reg(Reg.RCX)),
      (b) => b.helper(Helper.HLT),
    ]);
    cpu.setGpr(Reg.RAX, 0x1234_5678);
    cpu.setGpr(Reg.RBX, 0x0000_1100);
    cpu.run(10);
    expect([cpu.gpr(Reg.RAX), cpu.gpr(Reg.RCX), cpu.gpr(Reg.RDX)]).toEqual([0x12346778, 0x67, 0x6700]);
  });

  it('multiplies and divides 128-bit products', () => {
    const { cpu } = setup([
      (b) => b.wideMultiply('mul', 8, reg(Reg.RBX)),
      (b) => b.helper(Helper.HLT),
      (b) => b.wideMultiply('imul', 8, reg(Reg.RBX)),
      (b) => b.helper(Helper.HLT),
      (b) => b.divide('div', 8, reg(Reg.RBX)),
      (b) => b.helper(Helper.HLT),
      (b) => b.divide('idiv', 8, reg(Reg.RBX)),
      (b) => b.helper(Helper.HLT),
    ]);
    const run = (index: number, rax: bigint, rdx: bigint, rbx: bigint): bigint[] | number => {
      cpu.rip = CODE + index * 8;
      cpu.setGprBig(Reg.RAX, rax);
      cpu.setGprBig(Reg.RDX, rdx);
      cpu.setGprBig(Reg.RBX, rbx);
      const exit = cpu.run(10);
      return exit === Exit.Halt ? [cpu.gprBig(Reg.RAX), cpu.gprBig(Reg.RDX)] : cpu.vector;
    };
    const u = (value: bigint): bigint => BigInt.asUintN(64, value);
    for (const a of VALUES) {
      for (const b of VALUES) {
        expect(run(0, a, 0n, b)).toEqual([u(a * b), u((a * b) >> 64n)]);
        const signed = BigInt.asIntN(64, a) * BigInt.asIntN(64, b);
        expect(run(1, a, 0n, b)).toEqual([u(signed), u(signed >> 64n)]);
        if (b !== 0n) expect(run(2, a, 0n, b)).toEqual([a / b, a % b]);
        const dividend = BigInt.asIntN(64, a);
        const divisor = BigInt.asIntN(64, b);
        if (divisor === 0n || dividend / (divisor || 1n) > 0x7fffffffffffffffn) {
          expect(run(3, a, u(dividend >> 63n), b)).toBe(0);
        } else {
          expect(run(3, a, u(dividend >> 63n), b)).toEqual([u(dividend / divisor), u(dividend % divisor)]);
        }
      }
    }
    expect(run(2, 0n, 5n, 5n)).toBe(0);
    expect(run(2, 7n, 4n, 5n)).toEqual([((4n << 64n) + 7n) / 5n, ((4n << 64n) + 7n) % 5n]);
  });

  it('accesses memory over page boundaries, reading, writing and changing', () => {
    const edge = DATA + 0x1000 - 3;
    const { cpu, memory } = setup([
      (b) => b.mov(8, mem(Reg.RSI), reg(Reg.RAX)),
      (b) => b.alu('add', 8, mem(Reg.RSI), imm(1)),
      (b) => b.mov(8, reg(Reg.RBX), mem(Reg.RSI)),
      (b) => b.xadd(4, mem(Reg.RSI), reg(Reg.RAX)),
      (b) => b.helper(Helper.HLT),
    ]);
    cpu.setGpr(Reg.RSI, edge);
    cpu.setGprBig(Reg.RAX, 0x11223344_ffffffffn);
    expect(cpu.run(10)).toBe(Exit.Halt);
    expect(cpu.gprBig(Reg.RBX)).toBe(0x11223345_00000000n);
    expect(memory.u64(edge)).toBe(0x11223345_ffffffffn);
    expect(cpu.gprBig(Reg.RAX)).toBe(0n);
  });

  it('changes neither memory nor registers when the second page of a change faults', () => {
    const edge = DATA + 0x4000 - 3;
    const { cpu, memory } = setup([(b) => b.xchg(8, mem(Reg.RSI), reg(Reg.RAX))]);
    cpu.setGpr(Reg.RSI, edge);
    cpu.setGpr(Reg.RAX, -1);
    expect(cpu.run(10)).toBe(Exit.Fault);
    expect([cpu.address, memory.u8(edge), cpu.gpr(Reg.RAX)]).toEqual([DATA + 0x4000, 0, -1]);
  });

  it('pushes and pops through the flags register', () => {
    const { cpu } = setup([
      (b) => b.alu('cmp', 4, reg(Reg.RAX), imm(1)),
      (b) => b.helper(Helper.PUSHF),
      (b) => b.helper(Helper.STI),
      (b) => b.pop(8, reg(Reg.RBX)),
      (b) => b.helper(Helper.PUSHF),
      (b) => b.push(8, imm(0xcd5)),
      (b) => b.helper(Helper.POPF),
      (b) => b.helper(Helper.HLT),
    ]);
    expect(cpu.run(20)).toBe(Exit.Halt);
    expect(cpu.gpr(Reg.RBX)).toBe(model('cmp', 4, 0n, 1n, 0).flags | 2);
    expect(cpu.rflags).toBe(0xcd7);
    expect(cpu.condition(Cond.B)).toBe(true);
  });
});

/** Memory after a store of `size` bytes over the low part. */
function stored(old: bigint, size: Size, value: bigint): bigint {
  const mask = (1n << BigInt(size * 8)) - 1n;
  return (old & ~mask) | value;
}
