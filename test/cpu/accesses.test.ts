/** How translated code reaches memory: by the window around the stack, in groups, over page boundaries, or not at all. */
import { describe, expect, it } from 'vitest';
import { Exit } from '../../src/cpu/cpu.ts';
import type { Engine } from '../../src/cpu/engines.ts';
import { Cond, Helper, imm, mem, Reg, reg } from '../../src/cpu/ir.ts';
import { Perm } from '../../src/memory/space.ts';
import { CODE, DATA, type Program, type Setup, setup } from './helper.ts';

const ENGINES: readonly Engine[] = ['interpreter', 'wasm', 'auto'];
const RW = Perm.R | Perm.W;
const PLACES_OF_TLB = 2048 * 4096;
/** Enough for code to become hot under `auto`. */
const ROUNDS = 5000;

interface Prepared {
  readonly program: Program;
  readonly prepare?: (machine: Setup) => void;
  readonly wrmsr?: (machine: () => Setup) => void;
}

/** State and memory after the program, under each engine; they must be the same. */
function outcomes({ program, prepare, wrmsr }: Prepared): string {
  const all = ENGINES.map((engine) => {
    let machine: Setup | undefined;
    const overrides = {
      wrmsr: () => {
        if (machine !== undefined) wrmsr?.(() => machine as Setup);
        return true;
      },
    };
    machine = setup(program, overrides, engine);
    const { cpu, memory } = machine;
    prepare?.(machine);
    const exit = cpu.run(10_000_000);
    const registers = Array.from({ length: 16 }, (_, n) => cpu.gprBig(n).toString(16)).join(' ');
    const fault =
      exit === Exit.Fault ? `${cpu.vector} ${cpu.errorCode} ${cpu.exactAddress.toString(16)}` : '';
    const sum = [...memory.peek(DATA, 4 * 4096)].reduce((x, y) => (x * 31 + y) | 0, 7);
    return `exit ${exit} ${fault} rip ${cpu.rip - CODE} flags ${cpu.rflags} retired ${cpu.retired} ${sum} ${registers}`;
  });
  for (const one of all) expect(one).toBe(all[0]);
  return all[0];
}

/** Runs instructions again and again, rcx times, then halts. */
const repeat = (rounds: number, body: Program): Program => [
  (b) => b.mov(8, reg(Reg.RCX), imm(rounds)),
  ...body,
  (b) => b.alu('sub', 8, reg(Reg.RCX), imm(1)),
  (b) => b.jcc(Cond.NE, CODE + 4),
  (b) => b.helper(Helper.HLT),
];

describe('the stack', () => {
  it('ends where its pages do, at the push that finds none', () => {
    const program: Program = [
      (b) => b.push(8, reg(Reg.RAX)),
      (b) => b.alu('add', 8, reg(Reg.RAX), mem(Reg.RSP, 0)),
      (b) => b.alu('add', 8, reg(Reg.RAX), imm(1)),
      (b) => b.jmp(CODE),
    ];
    expect(outcomes({ program })).toMatch(/^exit 3 14 2 .*rip 0 .*retired 8192 /);
  });

  it('is looked for again when its mapping has changed under running code', () => {
    const body: Program = [
      (b) => b.push(8, reg(Reg.RCX)),
      (b) => b.mov(8, mem(Reg.RSP, -8), reg(Reg.RCX)),
      (b) => b.alu('and', 4, reg(Reg.RAX), imm(0)),
      (b) => b.helper(Helper.WRMSR),
      (b) => b.alu('add', 8, reg(Reg.RBX), mem(Reg.RSP, -8)),
      (b) => b.pop(8, reg(Reg.RDX)),
    ];
    let calls = 0;
    const result = outcomes({
      program: repeat(ROUNDS, body),
      prepare: () => {
        calls = 0;
      },
      wrmsr: (machine) => {
        const { memory, cpu } = machine();
        if (++calls === ROUNDS - 10) memory.protect(cpu.gpr(Reg.RSP) & ~4095, 1, Perm.R);
      },
    });
    // The push of the next round: the page may be read, not written.
    expect(result).toMatch(/^exit 3 14 3 .*rip 4 /);
  });
});

describe('accesses through one register', () => {
  const body: Program = [
    (b) => b.mov(8, reg(Reg.RAX), mem(Reg.RBX, 0)),
    (b) => b.alu('add', 8, reg(Reg.RAX), mem(Reg.RBX, 24)),
    (b) => b.alu('add', 4, reg(Reg.RAX), mem(Reg.RBX, 41)),
    (b) => b.mov(8, mem(Reg.RBX, 8), reg(Reg.RAX)),
    (b) => b.mov(4, mem(Reg.RBX, 48), reg(Reg.RCX)),
    (b) => b.alu('add', 8, reg(Reg.RBX), reg(Reg.RDI)),
  ];

  it('find their fields over page boundaries', () => {
    const result = outcomes({
      program: repeat(1400, body),
      prepare: ({ cpu }) => {
        cpu.setGpr(Reg.RBX, DATA);
        cpu.setGpr(Reg.RDI, 11);
      },
    });
    expect(result).toMatch(/^exit 4 /);
  });

  it('fault at the first field that is not there, with what came before it done', () => {
    const result = outcomes({
      program: repeat(ROUNDS, body),
      prepare: ({ cpu }) => {
        cpu.setGpr(Reg.RBX, DATA);
        cpu.setGpr(Reg.RDI, 4);
      },
    });
    // 48 bytes from the end: the fields up to there are, that one is not.
    expect(result).toMatch(/^exit 3 14 2 ffffffffd0004000 rip 20 /);
  });

  it('may be read where only some may be written', () => {
    const result = outcomes({
      program: repeat(ROUNDS, body),
      prepare: ({ cpu, memory }) => {
        memory.protect(DATA + 2 * 4096, 2, Perm.R);
        cpu.setGpr(Reg.RBX, DATA);
        cpu.setGpr(Reg.RDI, 2);
      },
    });
    expect(result).toMatch(/^exit 3 14 3 ffffffffd0002000 rip 20 /);
  });
});

describe('pages that share a place of the TLB', () => {
  it('are both found, and neither after it went', () => {
    const body: Program = [
      (b) => b.mov(8, mem(Reg.RBX, 0), reg(Reg.RCX)),
      (b) => b.alu('add', 8, reg(Reg.RAX), mem(Reg.RSI, 0)),
      (b) => b.alu('xor', 8, mem(Reg.RSI, 8), reg(Reg.RAX)),
      (b) => b.alu('and', 4, reg(Reg.RDX), imm(0)),
      (b) => b.helper(Helper.WRMSR),
    ];
    let calls = 0;
    const result = outcomes({
      program: repeat(ROUNDS, body),
      prepare: ({ cpu, memory }) => {
        calls = 0;
        memory.map(DATA - PLACES_OF_TLB, 40, 1, RW, 'far data');
        cpu.setGpr(Reg.RBX, DATA);
        cpu.setGpr(Reg.RSI, DATA - PLACES_OF_TLB);
      },
      wrmsr: (machine) => {
        if (++calls === ROUNDS - 100) machine().memory.unmap(DATA - PLACES_OF_TLB, 1);
      },
    });
    expect(result).toMatch(/^exit 3 14 0 ffffffffcf800000 rip 8 /);
  });
});

describe('accesses in loops', () => {
  const swapped: Program = [
    (b) => b.mov(8, reg(Reg.RDI), reg(Reg.RBX)),
    (b) => b.mov(8, reg(Reg.RBX), reg(Reg.RSI)),
    (b) => b.mov(8, reg(Reg.RSI), reg(Reg.RDI)),
    (b) => b.alu('add', 8, reg(Reg.RAX), mem(Reg.RBX, 0)),
    (b) => b.mov(8, mem(Reg.RBX, 8), reg(Reg.RAX)),
    (b) => b.mov(1, mem(Reg.RBX, 3), reg(Reg.RCX)),
  ];

  it('go to the direct map and elsewhere in turn', () => {
    const result = outcomes({
      program: repeat(ROUNDS, swapped),
      prepare: ({ cpu, memory }) => {
        memory.setPtr(DATA + 4096, 7);
        cpu.setGpr(Reg.RBX, memory.directMap(32));
        cpu.setGpr(Reg.RSI, DATA + 4096);
      },
    });
    expect(result).toMatch(/^exit 4 /);
  });

  it('go elsewhere when they have long gone to the direct map', () => {
    const body: Program = [
      (b) => b.mov(1, mem(Reg.RBX, 0), reg(Reg.RCX)),
      (b) => b.alu('add', 1, reg(Reg.RAX), mem(Reg.RBX, 1)),
      (b) => b.lea(8, reg(Reg.RBX), mem(Reg.RBX, 3)),
      (b) => b.alu('cmp', 8, reg(Reg.RBX), reg(Reg.RDX)),
      (b) => b.cmov(Cond.E, 8, reg(Reg.RBX), reg(Reg.RSI)),
    ];
    const result = outcomes({
      program: repeat(3 * ROUNDS, body),
      prepare: ({ cpu, memory }) => {
        cpu.setGpr(Reg.RBX, memory.directMap(64));
        cpu.setGpr(Reg.RDX, memory.directMap(64) + 3 * ROUNDS);
        cpu.setGpr(Reg.RSI, DATA);
      },
    });
    // The data has four pages: the byte behind the last is the first that is not there.
    expect(result).toMatch(/^exit 3 14 [02] ffffffffd0004000 /);
  });

  it('fault behind the end of the direct map, with all before done', () => {
    const body: Program = [
      (b) => b.alu('xor', 1, mem(Reg.RBX, 0), imm(5)),
      (b) => b.alu('add', 8, reg(Reg.RBX), imm(8)),
    ];
    const pages = (1 << 20) / 4096;
    const result = outcomes({
      program: repeat(ROUNDS, body),
      prepare: ({ cpu, memory }) => cpu.setGpr(Reg.RBX, memory.directMap(pages - 4)),
    });
    expect(result).toMatch(/^exit 3 14 2 .*rip 4 .*retired 8193 /);
  });

  it('are those of string instructions, from one end of the direct map into the other', () => {
    const body: Program = [
      (b) => b.string('movs', 4, 'none'),
      (b) => b.string('lods', 1, 'none'),
      (b) => b.string('stos', 1, 'none'),
      (b) => b.alu('sub', 8, reg(Reg.RSI), imm(3)),
      (b) => b.alu('add', 8, reg(Reg.RDX), reg(Reg.RAX)),
    ];
    const result = outcomes({
      program: repeat(ROUNDS, body),
      prepare: ({ cpu, memory }) => {
        const bytes = Uint8Array.from({ length: 4 * 4096 }, (_, n) => (n * 7) >> 3);
        memory.write(DATA, bytes);
        cpu.setGpr(Reg.RSI, memory.directMap(32));
        cpu.setGpr(Reg.RDI, memory.directMap((1 << 20) / 4096 - 4));
      },
    });
    // The fourth page behind that place ends the direct map, at the byte that stos writes or in the word that movs does.
    expect(result).toMatch(/^exit 3 14 2 /);
  });

  it('write beside code that runs', () => {
    const result = outcomes({
      program: repeat(ROUNDS, swapped),
      prepare: ({ cpu, memory }) => {
        cpu.setGpr(Reg.RBX, memory.directMap(33));
        cpu.setGpr(Reg.RSI, memory.directMap(16) + 2048);
      },
    });
    expect(result).toMatch(/^exit 4 /);
  });
});
