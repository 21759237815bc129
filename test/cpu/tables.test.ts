/** Reads of static tables, which translated code makes without a look at the page tables: exact when what is mapped there changes. */
import { describe, expect, it } from 'vitest';
import { Exit } from '../../src/cpu/cpu.ts';
import { type BlockBuilder, Helper, imm, mem, Reg, reg } from '../../src/cpu/ir.ts';
import { Perm } from '../../src/memory/space.ts';
import { CODE, type Program, type Setup, setup } from './helper.ts';

const TABLE = -0x2800_0000;
const RW = Perm.R | Perm.W;

/** rax += table[index], in a loop that is translated at once. */
const summing = (index: (b: BlockBuilder) => void, width: 4 | 8 = 8, at = TABLE): Program => [
  (b) => b.mov(4, reg(Reg.RCX), imm(8)),
  index,
  (b) => b.alu('add', width, reg(Reg.RAX), mem(Reg.ZERO, at, Reg.RDX, 3)),
  (b) => b.unary('dec', 4, reg(Reg.RCX)),
  (b) => b.jcc(5, CODE + 4),
  (b) => b.helper(Helper.HLT),
];
const asByte = (b: BlockBuilder): void => b.movzx(4, 1, reg(Reg.RDX), reg(Reg.RBX));
const asItIs = (b: BlockBuilder): void => b.mov(8, reg(Reg.RDX), reg(Reg.RBX));

/** Two pages of a table whose frames lie side by side, or do not. */
function made(program: Program, engine: 'interpreter' | 'wasm', frames: readonly [number, number]): Setup {
  const all = setup(program, {}, engine);
  frames.forEach((pfn, n) => {
    all.memory.map(TABLE + n * 4096, pfn, 1, RW, `table ${n}`);
    for (let at = 0; at < 4096; at += 8) all.memory.setI64(TABLE + n * 4096 + at, n * 4096 + at + 1);
  });
  return all;
}

/** Runs it with each index, and tells of the sum or the fault. */
function run({ cpu }: Setup, indices: readonly number[]): unknown[] {
  return indices.map((index) => {
    cpu.rip = CODE;
    cpu.setGpr(Reg.RAX, 0);
    cpu.setGpr(Reg.RBX, index);
    const exit = cpu.run(1000);
    const where = exit === Exit.Fault ? [cpu.vector, cpu.exactAddress, cpu.errorCode] : [];
    return [exit, cpu.gpr(Reg.RAX), cpu.rip, cpu.retired, cpu.rflags, ...where];
  });
}

const BEHIND = [0, 511, 512, 1023, 1024, 1025, -1, 2 ** 40, 17];

describe('reads of static tables', () => {
  it.each([
    ['in one piece', [60, 61]],
    ['of pages that lie apart', [60, 90]],
  ] as const)('are exact up to the end of a table %s, and behind it', (_, frames) => {
    for (const [index, at] of [
      [asByte, TABLE],
      [asByte, TABLE + 4096 + 2048],
      [asItIs, TABLE],
      [asItIs, TABLE + 4092],
    ] as const) {
      for (const width of [4, 8] as const) {
        const outcomes = (['interpreter', 'wasm'] as const).map((engine) =>
          run(made(summing(index, width, at), engine, frames), BEHIND),
        );
        expect(outcomes[1]).toEqual(outcomes[0]);
      }
    }
  });

  it('fault when the table has been unmapped or may no longer be read, and follow it to other frames', () => {
    const outcomes = (['interpreter', 'wasm'] as const).map((engine) => {
      const all = made(summing(asByte), engine, [60, 61]);
      const { memory, cpu } = all;
      const told = [run(all, [1, 2, 3])];
      memory.protect(TABLE, 1, Perm.R);
      told.push(run(all, [1, 2]));
      memory.protect(TABLE, 1, 0);
      told.push(run(all, [1, 2]));
      memory.protect(TABLE, 1, RW);
      told.push(run(all, [1, 2]));
      memory.unmap(TABLE, 2);
      told.push(run(all, [1, 2]));
      memory.map(TABLE, 91, 1, Perm.R, 'another table');
      memory.setI64(memory.directMap(91) + 8, 1234);
      told.push(run(all, [1, 2]));
      if (engine === 'wasm') expect(cpu.regions).toBeGreaterThan(0);
      return told;
    });
    expect(outcomes[1]).toEqual(outcomes[0]);
    expect((outcomes[0][5][0] as number[])[1]).toBe(8 * 1234);
  });

  it('see what is written to the table, by any of its addresses', () => {
    const all = made(summing(asByte), 'wasm', [60, 61]);
    run(all, [1]);
    all.memory.setI64(TABLE + 8, 5);
    expect((run(all, [1])[0] as number[])[1]).toBe(40);
    all.memory.setI64(all.memory.directMap(60) + 8, 6);
    expect((run(all, [1])[0] as number[])[1]).toBe(48);
  });
});
