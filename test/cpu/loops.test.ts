/** Loops whose flags are set at their end and wanted only where something leaves: the same in both engines, at every stop. */
import { describe, expect, it } from 'vitest';
import { Exit } from '../../src/cpu/cpu.ts';
import type { Engine } from '../../src/cpu/engines.ts';
import { type AluOp, Cond, imm, mem, Reg, reg, type Size } from '../../src/cpu/ir.ts';
import { CODE, DATA, type Program, type Setup, setup } from './helper.ts';

type Instruction = Program[number];

const SIZES: readonly Size[] = [1, 2, 4, 8];
const LAST: readonly AluOp[] = ['cmp', 'test', 'sub', 'add', 'and', 'or', 'xor'];
/** Between the end of a turn and the access that may leave: nothing, or what changes one of the registers compared. */
const FIRST: readonly (readonly [string, Instruction])[] = [
  ['nothing', (b) => b.nop()],
  ['a new left operand', (b) => b.lea(8, reg(Reg.RDX), mem(Reg.RDX, 3))],
  ['a new right operand', (b) => b.lea(8, reg(Reg.RSI), mem(Reg.RSI, -5))],
  ['a part of an operand', (b) => b.mov(1, reg(Reg.RDX), imm(7))],
];
const LOOP = CODE + 8;

/** The loop reads words until it faults at the end of the data, or rdi is 0. */
function loop(first: Instruction, last: Instruction, cc: number, ...after: Instruction[]): Program {
  return [
    // Flags of another kind for the first turn.
    (b) => b.alu('add', 8, reg(Reg.RAX), imm(-1)),
    (b) => b.unary('inc', 4, reg(Reg.RAX)),
    first,
    (b) => b.mov(8, reg(Reg.RAX), mem(Reg.RBX, 0)),
    (b) => b.mov(4, mem(Reg.RBX, 4), reg(Reg.RDX)),
    (b) => b.alu('add', 8, reg(Reg.RBX), imm(8)),
    (b) => b.lea(8, reg(Reg.RDX), mem(Reg.RDX, 0, Reg.RBX, 0)),
    (b) => b.lea(8, reg(Reg.RDI), mem(Reg.RDI, -1)),
    (b) => b.jcxz(8, CODE + 4),
    last,
    ...after,
    (b) => b.jcc(cc, LOOP),
    // Back by ways on which the flags are others, or come from elsewhere.
    (b) => b.alu('test', 8, reg(Reg.RDI), reg(Reg.RDI)),
    (b) => b.jcc(Cond.NE, LOOP),
    (b) => b.mov(8, reg(Reg.RDI), imm(300)),
    (b) => b.jmp(LOOP),
  ];
}

const state = ({ cpu }: Setup): unknown => [
  Array.from({ length: 16 }, (_, n) => cpu.gprBig(n)),
  cpu.rip,
  cpu.rflags,
  cpu.retired,
  cpu.vector,
  cpu.address,
];

/** Runs both engines with the same budgets, also from the middle of the loop. */
function compare(program: Program): number {
  const begin = (engine: Engine): Setup => {
    const made = setup(program, {}, engine);
    made.cpu.setGpr(Reg.RBX, DATA);
    made.cpu.setGpr(Reg.RDI, 300);
    made.cpu.setGpr(Reg.RDX, 0x1234_5678);
    made.cpu.setGpr(Reg.RSI, 0x77);
    made.cpu.setGpr(Reg.RCX, 1);
    return made;
  };
  const both = [begin('interpreter'), begin('wasm')];
  for (let stop = 0; stop < 60; stop++) {
    const exits = both.map(({ cpu }) => cpu.run([2000, 7, 3, 900, 1][stop % 5] + stop));
    expect([stop, exits[1], state(both[1])]).toEqual([stop, exits[0], state(both[0])]);
    for (const { cpu } of both) {
      // What has faulted begins again with the first word; every now and then the other way back is taken.
      if (exits[0] === Exit.Fault) cpu.setGpr(Reg.RBX, DATA);
      cpu.setGpr(Reg.RCX, stop % 7 === 6 ? 0 : 1);
    }
  }
  return both[1].cpu.regions;
}

describe('the flags of a loop', () => {
  it.each(FIRST)('are exact wherever it is left, with %s before that', (_, first) => {
    let regions = 0;
    for (const op of LAST) {
      for (const size of SIZES) {
        const [d, s] = [reg(Reg.RDX), reg(Reg.RSI)];
        regions += compare(loop(first, (b) => b.alu(op, size, d, s), Cond.NE));
        regions += compare(loop(first, (b) => b.alu(op, size, d, imm(-3)), Cond.A));
        regions += compare(loop(first, (b) => b.alu(op, size, d, d), Cond.GE));
        // What is compared changes before the loop goes back.
        regions += compare(loop(first, (b) => b.alu(op, size, d, s), Cond.NE, FIRST[1][1]));
        if (size === 1) regions += compare(loop(first, (b) => b.alu(op, 1, reg(Reg.RDX, true), s), Cond.L));
      }
    }
    expect(regions).toBeGreaterThan(50);
  });
});
