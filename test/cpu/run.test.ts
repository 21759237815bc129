import { describe, expect, it } from 'vitest';
import { Exit, Vector } from '../../src/cpu/cpu.ts';
import { Cond, Helper, imm, mem, Reg, reg } from '../../src/cpu/ir.ts';
import { CODE, DATA, setup } from './helper.ts';

const hlt = (b: import('../../src/cpu/ir.ts').BlockBuilder): void => b.helper(Helper.HLT);

describe('running', () => {
  it('sums a loop and counts exactly', () => {
    const { cpu } = setup([
      (b) => b.mov(4, reg(Reg.RCX), imm(1000)),
      (b) => b.alu('xor', 4, reg(Reg.RAX), reg(Reg.RAX)),
      (b) => b.alu('add', 8, reg(Reg.RAX), reg(Reg.RCX)),
      (b) => b.alu('sub', 8, reg(Reg.RCX), imm(1)),
      (b) => b.jcc(Cond.NE, CODE + 8),
      hlt,
    ]);
    expect(cpu.run(1e6)).toBe(Exit.Halt);
    expect(cpu.gpr(Reg.RAX)).toBe(500500);
    expect(cpu.retired).toBe(2 + 3000 + 1);
    expect(cpu.rip).toBe(CODE + 24);
  });

  it('stops at the budget and goes on from there', () => {
    const { cpu } = setup([(b) => b.alu('add', 8, reg(Reg.RAX), imm(1)), (b) => b.jmp(CODE)]);
    expect(cpu.run(1001)).toBe(Exit.Budget);
    expect(cpu.retired).toBe(1002);
    expect(cpu.gpr(Reg.RAX)).toBe(501);
    expect(cpu.rip).toBe(CODE);
    expect(cpu.run(10)).toBe(Exit.Budget);
    expect(cpu.gpr(Reg.RAX)).toBe(506);
  });

  it('calls, returns and leaves at host entries', () => {
    const HOST = CODE + 0x2000;
    const { cpu, memory } = setup([(b) => b.call(CODE + 12), (b) => b.call(HOST), hlt, (b) => b.ret(0)]);
    cpu.addHostEntry(HOST, 42);
    expect(cpu.run(1e6)).toBe(Exit.Host);
    expect([cpu.exitHostId, cpu.rip, cpu.retired]).toEqual([42, HOST, 3]);
    expect(memory.ptr(cpu.gpr(Reg.RSP))).toBe(CODE + 8);
    cpu.rip = memory.ptr(cpu.gpr(Reg.RSP));
    cpu.setGpr(Reg.RSP, cpu.gpr(Reg.RSP) + 8);
    expect(cpu.run(1e6)).toBe(Exit.Halt);
  });

  it('reports a page fault with the state before the instruction', () => {
    const { cpu } = setup([
      (b) => b.mov(8, reg(Reg.RBX), imm(DATA)),
      (b) => b.alu('cmp', 8, reg(Reg.RBX), imm(5)),
      (b) => b.alu('add', 4, mem(Reg.RBX, 0x4000), imm(7)),
      hlt,
    ]);
    expect(cpu.run(100)).toBe(Exit.Fault);
    expect(cpu).toMatchObject({
      vector: Vector.PF,
      errorCode: 2,
      address: DATA + 0x4000,
      access: 'write',
      reason: 'unmapped',
      rip: CODE + 8,
      retired: 2,
    });
    expect(cpu.condition(Cond.L)).toBe(true);
    expect(cpu.condition(Cond.A)).toBe(true);
  });

  it('raises #GP for an address that is not canonical, with its exact bits', () => {
    const { cpu } = setup([
      (b) => b.mov(8, reg(Reg.RBX), imm(0x0123_4567_89ab_cdefn)),
      (b) => b.mov(8, reg(Reg.RAX), mem(Reg.RBX)),
    ]);
    expect(cpu.run(100)).toBe(Exit.Fault);
    expect(cpu).toMatchObject({ vector: Vector.GP, exactAddress: 0x0123_4567_89ab_cdefn, rip: CODE + 4 });
  });

  it('faults at the target of a jump to nowhere', () => {
    const { cpu } = setup([(b) => b.jmpIndirect(reg(Reg.RAX))]);
    expect(cpu.run(100)).toBe(Exit.Fault);
    expect(cpu).toMatchObject({ vector: Vector.PF, errorCode: 16, address: 0, access: 'execute', rip: 0 });
    expect(cpu.retired).toBe(1);
  });

  it('reports undefined instructions and division by 0', () => {
    const { cpu } = setup([(b) => b.nop(), (b) => b.undefined('unsupported')]);
    expect(cpu.run(9)).toBe(Exit.Fault);
    expect(cpu).toMatchObject({ vector: Vector.UD, reason: 'unsupported', rip: CODE + 4, retired: 1 });
    for (const size of [1, 2, 4, 8] as const) {
      const { cpu: other } = setup([(b) => b.divide('div', size, reg(Reg.RBX))]);
      expect(other.run(9)).toBe(Exit.Fault);
      expect(other).toMatchObject({ vector: Vector.DE, rip: CODE, retired: 0 });
    }
  });

  it('steps one instruction at a time with the same outcome', () => {
    const program = [
      (b: import('../../src/cpu/ir.ts').BlockBuilder) => b.mov(4, reg(Reg.RCX), imm(3)),
      (b: import('../../src/cpu/ir.ts').BlockBuilder) => b.alu('sub', 4, reg(Reg.RCX), imm(1)),
      (b: import('../../src/cpu/ir.ts').BlockBuilder) => b.jcc(Cond.NE, CODE + 4),
      hlt,
    ];
    const { cpu } = setup(program);
    const path: number[] = [];
    cpu.trace = (c) => path.push((c.rip - CODE) / 4);
    expect(cpu.run(100)).toBe(Exit.Halt);
    expect(path).toEqual([0, 1, 2, 1, 2, 1, 2, 3]);
    expect(cpu.retired).toBe(8);
  });

  it('drops translated code that is poked, written or unmapped, also while linked', () => {
    const { cpu, memory, translator } = setup([
      (b) => b.alu('add', 4, reg(Reg.RAX), imm(1)),
      (b) => b.call(CODE + 0x1000),
      (b) => b.jmp(CODE),
    ]);
    translator.load(CODE + 0x1000, [(b) => b.ret(0)]);
    cpu.run(1000);
    translator.load(CODE + 0x1000, [(b) => b.helper(Helper.HLT)]);
    cpu.run(100);
    expect(cpu.gpr(Reg.RAX)).toBeGreaterThan(200);
    memory.poke(CODE + 0x1000, Uint8Array.of(1));
    expect(cpu.run(1000)).toBe(Exit.Halt);
    memory.unmap(CODE + 0x1000, 1);
    cpu.rip = CODE;
    expect(cpu.run(1000)).toBe(Exit.Fault);
    expect(cpu.address).toBe(CODE + 0x1000);
  });

  it('sees a store into the block that runs from the next instruction on', () => {
    const { cpu, memory, translator } = setup([
      (b) => {
        b.mov(1, mem(Reg.RBX, 4), imm(1));
      },
      (b) => b.mov(4, reg(Reg.RAX), imm(1)),
      hlt,
    ]);
    cpu.setGpr(Reg.RBX, memory.directMap(16));
    const load = translator.programs;
    memory.onCodeChange(() => load.set(CODE + 4, (b) => b.mov(4, reg(Reg.RAX), imm(2))));
    expect(cpu.run(1000)).toBe(Exit.Halt);
    expect(cpu.gpr(Reg.RAX)).toBe(2);
    expect(cpu.retired).toBe(3);
  });

  it('passes errors from outside through and stays usable', () => {
    const { cpu } = setup([(b) => b.helper(Helper.RDTSC), hlt], {
      tsc: () => {
        throw new RangeError('clock');
      },
    });
    expect(() => cpu.run(10)).toThrow('clock');
    expect(cpu.rip).toBe(CODE);
    cpu.rip = CODE + 4;
    expect(cpu.run(10)).toBe(Exit.Halt);
  });

  it('saves and restores a thread', () => {
    const { cpu } = setup();
    cpu.setGpr(3, -77);
    cpu.rflags = 0x8d5;
    cpu.xmm(5).fill(9);
    const saved = new Uint8Array(cpu.contextBytes);
    cpu.save(saved);
    cpu.reset();
    expect(cpu.gpr(3)).toBe(0);
    cpu.restore(saved);
    expect([cpu.gpr(3), cpu.rflags, cpu.xmm(5)[15], cpu.rip]).toEqual([-77, 0x8d7, 9, CODE]);
  });

  it('repeats string operations across pages, faults precisely and stops at the budget', () => {
    const { cpu, memory } = setup([(b) => b.string('movs', 1, 'rep'), hlt]);
    memory.write(
      DATA,
      Uint8Array.from({ length: 6000 }, (_, i) => i),
    );
    cpu.setGpr(Reg.RSI, DATA);
    cpu.setGpr(Reg.RDI, DATA + 0x2100);
    cpu.setGpr(Reg.RCX, 8000);
    expect(cpu.run(100)).toBe(Exit.Budget);
    expect([cpu.gpr(Reg.RCX), cpu.retired, cpu.rip]).toEqual([7900, 100, CODE]);
    expect(cpu.run(1e6)).toBe(Exit.Fault);
    expect(cpu.address).toBe(DATA + 0x4000);
    expect(cpu.gpr(Reg.RCX)).toBe(8000 - 0x1f00);
    expect(memory.bytes(DATA + 0x2100, 6000)).toEqual(memory.bytes(DATA, 6000));
  });

  it('counts iterations of a rep that completes, and 1 for none', () => {
    const { cpu } = setup([(b) => b.string('stos', 8, 'rep'), (b) => b.string('stos', 8, 'rep'), hlt]);
    cpu.setGpr(Reg.RDI, DATA);
    cpu.setGpr(Reg.RCX, 600);
    expect(cpu.run(10000)).toBe(Exit.Halt);
    expect(cpu.retired).toBe(600 + 1 + 1);
  });

  it('finishes a rep that is longer than a turn of the engine', () => {
    const { cpu } = setup([
      (b) => b.mov(4, reg(Reg.RCX), imm(2000)),
      (b) => b.mov(8, reg(Reg.RDI), imm(DATA)),
      (b) => b.string('stos', 8, 'rep'),
      (b) => b.alu('sub', 4, reg(Reg.RBX), imm(1)),
      (b) => b.jcc(Cond.NE, CODE),
      hlt,
    ]);
    cpu.setGpr(Reg.RBX, 100);
    expect(cpu.run(1e9)).toBe(Exit.Halt);
    expect(cpu.retired).toBe(100 * 2004 + 1);
  });

  it('leaves at an entry added in the middle of code that is translated, until it is removed', () => {
    const { cpu } = setup([
      (b) => b.alu('add', 4, reg(Reg.RAX), imm(1)),
      (b) => b.alu('add', 4, reg(Reg.RAX), imm(1)),
      (b) => b.jmp(CODE),
    ]);
    expect(cpu.run(300)).toBe(Exit.Budget);
    cpu.addHostEntry(CODE + 4, 9);
    expect(cpu.run(300)).toBe(Exit.Host);
    expect([cpu.rip, cpu.exitHostId, cpu.gpr(Reg.RAX) % 2]).toEqual([CODE + 4, 9, 1]);
    cpu.removeHostEntry(CODE + 4);
    expect(cpu.run(300)).toBe(Exit.Budget);
  });
});
