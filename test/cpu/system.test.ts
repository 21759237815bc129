/** Instructions about the machine, privilege, and what surrounds them. */
import { describe, expect, it } from 'vitest';
import { Exit, Vector } from '../../src/cpu/cpu.ts';
import { Helper, type HelperId, imm, mem, Reg, reg } from '../../src/cpu/ir.ts';
import { Perm } from '../../src/memory/space.ts';
import { CODE, DATA, type Program, setup } from './helper.ts';

const hlt: Program[number] = (b) => b.helper(Helper.HLT);
const one =
  (id: HelperId, operands = {}): Program[number] =>
  (b) =>
    b.helper(id, operands);

describe('system instructions', () => {
  it('identifies itself and reads clocks and registers of the model', () => {
    const { cpu } = setup([one(Helper.CPUID), hlt, one(Helper.RDTSC), hlt, one(Helper.RDMSR), hlt]);
    cpu.setGpr(Reg.RAX, 7);
    cpu.setGpr(Reg.RCX, 3);
    expect(cpu.run(5)).toBe(Exit.Halt);
    expect([Reg.RAX, Reg.RBX, Reg.RCX, Reg.RDX].map((r) => cpu.gpr(r))).toEqual([
      8, 0x756e6547, 3, 0xffffffff,
    ]);
    expect(cpu.run(5)).toBe(Exit.Halt);
    expect([cpu.gpr(Reg.RAX), cpu.gpr(Reg.RDX)]).toEqual([0x9abcdef0, 0x12345678]);
    cpu.setGpr(Reg.RCX, 0x10);
    expect(cpu.run(5)).toBe(Exit.Halt);
    expect([cpu.gpr(Reg.RAX), cpu.gpr(Reg.RDX)]).toEqual([2, 1]);
    cpu.rip = CODE + 16;
    cpu.setGpr(Reg.RCX, 0x11);
    expect(cpu.run(5)).toBe(Exit.Fault);
    expect(cpu).toMatchObject({ vector: Vector.GP, rip: CODE + 16 });
  });

  it.each(['interpreter', 'wasm'] as const)('loads MXCSR and refuses reserved bits: %s', (engine) => {
    const load: Program[number] = (b) => b.helper(Helper.LDMXCSR, { a: Reg.RBX });
    const made = setup([load, load, (b) => b.jmp(CODE)], {}, engine);
    made.memory.set32(DATA, 0x5fc0);
    made.memory.set32(DATA + 4, 0x11f80);
    made.cpu.setGpr(Reg.RBX, DATA);
    expect(made.cpu.run(100)).toBe(Exit.Budget);
    expect(made.cpu.mxcsr).toBe(0x5fc0);
    made.cpu.setGpr(Reg.RBX, DATA + 4);
    expect(made.cpu.run(100)).toBe(Exit.Fault);
    expect([made.cpu.vector, made.cpu.mxcsr]).toEqual([13, 0x5fc0]);
    made.cpu.setGpr(Reg.RBX, DATA + 0x4000);
    expect(made.cpu.run(100)).toBe(Exit.Fault);
    expect(made.cpu.vector).toBe(14);
  });

  it('changes the status word of CR0 and has no counters', () => {
    let cr0 = 0x8005000bn;
    const { cpu } = setup(
      [
        one(Helper.CLTS),
        one(Helper.SMSW, { a: Reg.RBX }),
        one(Helper.LMSW, { a: Reg.RCX }),
        hlt,
        one(Helper.RDPMC),
      ],
      { readControl: () => cr0, writeControl: (_, value) => (cr0 = value) },
    );
    cpu.setGpr(Reg.RCX, 0xffe4);
    expect(cpu.run(10)).toBe(Exit.Halt);
    expect([cpu.gprBig(Reg.RBX), cr0]).toEqual([0x80050003n, 0x80050005n]);
    expect(cpu.run(1)).toBe(Exit.Fault);
    expect(cpu).toMatchObject({ vector: Vector.GP, reason: undefined });
  });

  it('shows machine callbacks the exact count, in the middle of a block', () => {
    const seen: number[] = [];
    const made = setup(
      [(b) => b.nop(), (b) => b.nop(), one(Helper.RDTSC), (b) => b.nop(), one(Helper.RDTSC), hlt],
      {
        tsc: () => {
          seen.push(made.cpu.retired);
          return 0n;
        },
      },
    );
    expect(made.cpu.run(50)).toBe(Exit.Halt);
    expect(seen).toEqual([2, 4]);
    expect(made.cpu.retired).toBe(6);
  });

  it('keeps segment bases, swaps GS and refuses bases that are not canonical', () => {
    const { cpu } = setup([
      one(Helper.WRMSR),
      one(Helper.SWAPGS),
      (b) => b.mov(8, reg(Reg.RBX), mem(Reg.ZERO, 8, Reg.ZERO, 0, Reg.GS)),
      hlt,
      one(Helper.FSGSBASE, { imm: 2, a: Reg.RBX }),
      hlt,
    ]);
    cpu.memory.setPtr(DATA + 0x108, 77);
    cpu.setGpr(Reg.RCX, 0xc0000102 | 0);
    cpu.setGpr(Reg.RAX, (DATA + 0x100) >>> 0);
    cpu.setGpr(Reg.RDX, -1);
    cpu.gsBase = 0x1234;
    expect(cpu.run(9)).toBe(Exit.Halt);
    expect([cpu.gpr(Reg.RBX), cpu.gsBase]).toEqual([77, DATA + 0x100]);
    cpu.setGprBig(Reg.RBX, 1n << 63n);
    expect(cpu.run(9)).toBe(Exit.Fault);
    expect(cpu.vector).toBe(Vector.GP);
  });

  it('leaves for int, int3 and syscall with rip after them', () => {
    const { cpu } = setup([
      one(Helper.INT, { imm: 0x80 }),
      one(Helper.INT, { imm: 3 }),
      one(Helper.SYSCALL),
      hlt,
    ]);
    expect(cpu.run(9)).toBe(Exit.Interrupt);
    expect([cpu.vector, cpu.rip]).toEqual([0x80, CODE + 4]);
    expect(cpu.run(9)).toBe(Exit.Interrupt);
    expect([cpu.vector, cpu.rip]).toEqual([3, CODE + 8]);
    cpu.rflags = 0x203;
    expect(cpu.run(9)).toBe(Exit.Syscall);
    expect([cpu.gpr(Reg.RCX), cpu.gpr(Reg.R11), cpu.rip]).toEqual([CODE + 12, 0x203, CODE + 12]);
  });

  it('goes to user privilege and back out by a fault', () => {
    const USER = 0x40_0000;
    const { cpu, memory, translator } = setup([one(Helper.SYSRET)]);
    memory.map(USER, 60, 1, Perm.R | Perm.X | Perm.U, 'user');
    translator.load(USER, [
      (b) => b.mov(4, reg(Reg.RAX), mem(Reg.ZERO, USER)),
      (b) => b.mov(4, reg(Reg.RAX), mem(Reg.RBX)),
    ]);
    cpu.setGpr(Reg.RCX, USER);
    cpu.setGpr(Reg.R11, 0x202);
    cpu.setGpr(Reg.RBX, DATA);
    expect(cpu.run(9)).toBe(Exit.Fault);
    expect(cpu).toMatchObject({ cpl: 3, vector: Vector.PF, errorCode: 5, address: DATA, rip: USER + 4 });
    cpu.rip = CODE;
    expect(cpu.run(9)).toBe(Exit.Fault);
    expect(cpu).toMatchObject({ vector: Vector.PF, access: 'execute', address: CODE });
    translator.load(USER, [hlt]);
    cpu.flushCode();
    cpu.rip = USER;
    expect(cpu.run(9)).toBe(Exit.Fault);
    expect(cpu).toMatchObject({ vector: Vector.GP, rip: USER });
    cpu.cpl = 0;
    expect(cpu.run(9)).toBe(Exit.Halt);
  });

  it('returns from an interrupt frame', () => {
    const { cpu, memory } = setup([one(Helper.IRET), hlt, hlt]);
    const frame = [CODE + 8, 0x10, 0x246, DATA + 0x800, 0x18];
    frame.forEach((value, i) => {
      memory.setPtr(DATA + i * 8, value);
    });
    cpu.setGpr(Reg.RSP, DATA);
    expect(cpu.run(9)).toBe(Exit.Halt);
    expect([cpu.rip, cpu.rflags, cpu.gpr(Reg.RSP)]).toEqual([CODE + 12, 0x246, DATA + 0x800]);
  });

  it('exchanges 16 bytes or faults when they are not aligned', () => {
    const { cpu, memory } = setup([(b) => b.cmpxchgPair(8, mem(Reg.RSI)), hlt]);
    memory.setU64(DATA, 1n);
    memory.setU64(DATA + 8, 2n);
    cpu.setGpr(Reg.RSI, DATA);
    cpu.setGpr(Reg.RBX, 3);
    cpu.setGpr(Reg.RCX, 4);
    expect(cpu.run(9)).toBe(Exit.Halt);
    expect([cpu.gpr(Reg.RAX), cpu.gpr(Reg.RDX), cpu.condition(4)]).toEqual([1, 2, false]);
    cpu.rip = CODE;
    expect(cpu.run(9)).toBe(Exit.Halt);
    expect([memory.u64(DATA), memory.u64(DATA + 8), cpu.condition(4)]).toEqual([3n, 4n, true]);
    cpu.rip = CODE;
    cpu.setGpr(Reg.RSI, DATA + 8);
    expect(cpu.run(9)).toBe(Exit.Fault);
    expect(cpu.vector).toBe(Vector.GP);
  });

  it('survives more code than the cache holds', () => {
    const { cpu, memory, translator } = setup();
    memory.mapLazy(0x1000_0000, 2048, Perm.R | Perm.X, 'much code');
    const blocks = 2500;
    for (let i = 0; i < blocks; i++) {
      const at = 0x1000_0000 + i * 64;
      const last = i === blocks - 1;
      translator.load(at, [
        (b) => b.alu('add', 8, reg(Reg.RAX), imm(1)),
        (b) => b.alu('xor', 8, reg(Reg.RBX), mem(Reg.RSP, -64)),
        last ? hlt : (b) => b.jmp(at + 64),
      ]);
    }
    for (let round = 1; round <= 3; round++) {
      cpu.rip = 0x1000_0000;
      expect(cpu.run(1e6)).toBe(Exit.Halt);
      expect(cpu.gpr(Reg.RAX)).toBe(blocks * round);
    }
    expect(cpu.translated).toBeGreaterThan(blocks);
    expect(cpu.retired).toBe(blocks * 3 * 3);
  });
});
