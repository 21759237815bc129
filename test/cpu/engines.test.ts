/** Both engines on the same generated programs: the same state at the same stops, to the instruction. */
import { describe, expect, it } from 'vitest';
import { Exit } from '../../src/cpu/cpu.ts';
import type { Engine } from '../../src/cpu/engines.ts';
import {
  type AluOp,
  type BlockBuilder,
  Cond,
  Helper,
  imm,
  mem,
  Reg,
  type RegOperand,
  reg,
  type ShiftOp,
  type Size,
  xmm,
} from '../../src/cpu/ir.ts';
import { CODE, DATA, type Program, type Setup, setup } from './helper.ts';

type Instruction = Program[number];

/** A linear congruential generator: the programs must repeat. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  below(n: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * n);
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }
}

const SIZES: readonly Size[] = [1, 2, 4, 8];
const ALU: readonly AluOp[] = ['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp', 'test'];
const SHIFTS: readonly ShiftOp[] = ['rol', 'ror', 'rcl', 'rcr', 'shl', 'shr', 'sar'];
/** rbx holds the address of the data, r12 an index into it; neither is a destination but for small steps. */
const FREE = [Reg.RAX, Reg.RCX, Reg.RDX, Reg.RBP, Reg.RSI, Reg.R8, Reg.R9, Reg.R15];

/** Straight instructions: one function each, that draws its operands. */
const STRAIGHT: readonly ((r: Random) => Instruction)[] = [
  ...Array.from({ length: 5 }, () => (r: Random): Instruction => {
    const [op, size] = [r.pick(ALU), r.pick(SIZES)];
    const [d, s] = [operand(r, size), operand(r, size)];
    return (b) => b.alu(op, size, d, s);
  }),
  (r) => {
    const [op, size, d, value] = [r.pick(ALU), r.pick(SIZES), operand(r), r.below(300) - 150];
    return (b) => b.alu(op, size, d, imm(value));
  },
  (r) => {
    const [op, size, d, at] = [r.pick(ALU), r.pick(SIZES), operand(r), r.below(4000)];
    return (b) => b.alu(op, size, mem(Reg.RBX, at), d);
  },
  (r) => {
    const [op, size, d, at] = [r.pick(ALU), r.pick(SIZES), operand(r), r.below(4100)];
    return (b) => b.alu(op, size, d, mem(Reg.RBX, at, Reg.R12, 3));
  },
  (r) => {
    const [op, size, d, count] = [r.pick(SHIFTS), r.pick(SIZES), operand(r), r.below(66)];
    return (b) => b.shift(op, size, d, count > 60 ? reg(Reg.RCX) : imm(count));
  },
  (r) => {
    const size = r.pick(SIZES);
    const [d, s] = [operand(r, size), operand(r, size)];
    return (b) => b.mov(size, d, s);
  },
  (r) => {
    const [size, d, at] = [r.pick(SIZES), operand(r), r.below(4095)];
    return (b) => b.mov(size, mem(Reg.RBX, at, Reg.R12, 0), d);
  },
  (r) => {
    const [size, d, at] = [r.pick(SIZES), operand(r), r.below(4095)];
    return (b) => b.mov(size, d, mem(Reg.RBX, at));
  },
  (r) => {
    const [size, d, s, by] = [r.pick([2, 4, 8] as const), operand(r), operand(r), r.below(1000)];
    return (b) => b.imul(size, d, s, imm(by));
  },
  (r) => {
    const [from, d, s] = [r.pick([1, 2] as const), operand(r), operand(r)];
    return (b) => b.movsx(8, from, reg(d.reg), from === 1 ? s : reg(s.reg));
  },
  (r) => {
    const [cc, d] = [r.below(16), operand(r)];
    return (b) => b.setcc(cc, d);
  },
  (r) => {
    const [cc, size, d, s] = [r.below(16), r.pick([2, 4, 8] as const), operand(r), operand(r)];
    return (b) => b.cmov(cc, size, reg(d.reg), reg(s.reg));
  },
  (r) => {
    const [op, size, d] = [r.pick(['inc', 'dec', 'neg', 'not'] as const), r.pick(SIZES), operand(r)];
    return (b) => b.unary(op, size, d);
  },
  (r) => {
    const [op, size, d, s] = [
      r.pick(['bsf', 'bsr', 'tzcnt', 'popcnt'] as const),
      r.pick([4, 8] as const),
      operand(r),
      operand(r),
    ];
    return (b) => b.scan(op, size, reg(d.reg), reg(s.reg));
  },
  (r) => {
    const [op, d, bit] = [r.pick(['bt', 'bts', 'btr', 'btc'] as const), operand(r), r.below(64)];
    return (b) => b.bitTest(op, 8, reg(d.reg), imm(bit));
  },
  (r) => {
    const [op, size, s] = [r.pick(['mul', 'imul'] as const), r.pick(SIZES), operand(r)];
    return (b) => b.wideMultiply(op, size, reg(s.reg));
  },
  (r) => {
    const [op, size, s] = [r.pick(['div', 'idiv'] as const), r.pick(SIZES), r.pick([Reg.R15, Reg.R9])];
    return (b) => b.divide(op, size, reg(s));
  },
  (r) => {
    const [size, d, at] = [r.pick(SIZES), operand(r), r.below(4000)];
    return (b) => b.xadd(size, mem(Reg.RBX, at), d);
  },
  (r) => {
    const [size, d, at] = [r.pick(SIZES), operand(r), r.below(4000)];
    return (b) => b.cmpxchg(size, mem(Reg.RBX, at), d);
  },
  // Static tables, by an index that is known to be small, or happens to be.
  (r) => {
    const [op, size, d, s] = [r.pick(ALU), r.pick(SIZES), operand(r), operand(r, 1)];
    const [at, scale] = [r.below(0x4000), r.pick([0, 1, 2, 3] as const)];
    const bound = r.pick([
      (b: BlockBuilder) => b.movzx(4, 1, reg(Reg.RCX), s),
      (b: BlockBuilder) => b.movzx(4, 2, reg(Reg.RCX), reg(s.reg)),
      (b: BlockBuilder) => b.alu('and', 4, reg(Reg.RCX), imm(at)),
      (b: BlockBuilder) => b.shift('shr', 4, reg(Reg.RCX), imm(20 + (at & 7))),
      (b: BlockBuilder) => b.mov(2, reg(Reg.RCX), reg(s.reg)),
    ]);
    return (b) => {
      bound(b);
      b.alu(op, size, d, mem(Reg.ZERO, DATA + at, Reg.RCX, scale));
    };
  },
  // Arrays behind a register, read and written.
  ...Array.from({ length: 2 }, () => (r: Random): Instruction => {
    const [op, size, d, s] = [r.pick(ALU), r.pick(SIZES), operand(r), operand(r, 1)];
    const [at, scale, writes] = [r.below(3000), r.pick([0, 1, 2, 3] as const), r.below(3) === 0];
    return (b) => {
      b.movzx(4, 1, reg(Reg.RCX), s);
      const element = mem(Reg.RBX, at, Reg.RCX, scale);
      if (writes) b.alu(op, size, element, reg(d.reg));
      else b.alu(op, size, d, element);
      b.alu(op, size, reg(d.reg), mem(Reg.RBX, at + 40, Reg.RCX, scale));
    };
  }),
  (r) => {
    const [from, d, index, at] = [r.pick([1, 2] as const), operand(r), operand(r), r.below(0x4000)];
    return (b) => b.movzx(4, from, reg(d.reg), mem(index.reg, DATA + at));
  },
  ...Array.from({ length: 2 }, () => (r: Random): Instruction => {
    const [op, size] = [r.pick(['adcx', 'adox'] as const), r.pick([4, 8] as const)];
    const [d, s] = [operand(r), r.below(2) ? operand(r) : mem(Reg.RBX, r.below(4000))];
    return (b) => b.addExtended(op, size, reg(d.reg), s.kind === 'mem' ? s : reg(s.reg));
  }),
  (r) => {
    const [d, at] = [r.below(4), r.below(0x3ff0)];
    return (b) => b.vector.move(xmm(d), mem(Reg.ZERO, DATA + at), false);
  },
  () => (b) => b.helper(Helper.PUSHF),
  () => (b) => b.pop(8, reg(Reg.RSI)),
  () => (b) => b.push(8, reg(Reg.RAX)),
  () => (b) => b.helper(Helper.CPUID),
  () => (b) => b.helper(Helper.CMC),
  (r) => {
    const [d, s] = [r.below(4), r.below(4)];
    const name = r.pick(['paddd', 'pxor', 'psubb', 'pshufd', 'punpcklbw', 'pmuludq']);
    return (b) => b.vector.binary(name, xmm(d), xmm(s), name === 'pshufd' ? 0x1b : undefined);
  },
  (r) => {
    const [d, at] = [r.below(4), r.below(4090)];
    return (b) => b.vector.move(xmm(d), mem(Reg.RBX, at), false);
  },
  (r) => {
    const [d, at] = [r.below(4), r.below(4090)];
    return (b) => b.vector.move(mem(Reg.RBX, at), xmm(d), false);
  },
];

/** With size 1 sometimes bits 8 to 15. */
function operand(r: Random, size?: Size): RegOperand {
  const number = r.pick(FREE);
  return reg(number, size === 1 && number <= Reg.RDX && r.below(2) === 0);
}

const FUNCTIONS = 6;
const LENGTH = 160;
/** Functions of so few instructions become parts of those that call them. */
const SMALL = 24;

/** Functions in a row, on more than one page; calls lead to later ones, so that they end. */
function program(r: Random, length: number): Instruction[] {
  const out: Instruction[] = [];
  const startOf = (n: number): number => CODE + n * length * 4 + (n > 3 ? 0x800 : 0);
  for (let f = 0; f < FUNCTIONS; f++) {
    while (CODE + out.length * 4 < startOf(f)) out.push((b) => b.nop());
    const first = out.length;
    for (let i = 0; i < length - 1; i++) out.push(instruction(r, f, first, i, startOf, length));
    out.push(f === 0 ? (b) => b.jmp(CODE) : (b) => b.ret(0));
  }
  return out;
}

function instruction(
  r: Random,
  f: number,
  first: number,
  i: number,
  startOf: (n: number) => number,
  length: number,
): Instruction {
  // Small functions have more calls, and no loops but in the first.
  const small = length === SMALL;
  const kind = r.below(small ? 50 : 100);
  const pc = CODE + (first + i) * 4;
  const ahead = pc + 4 * (1 + r.below(Math.min(12, length - 1 - i)));
  if (kind < 14) {
    const cc = r.below(16);
    return (b) => b.jcc(cc, ahead);
  }
  // Back at most as far as a countdown in memory allows.
  if (kind < 19 && i > 4 && !(small && f > 0)) {
    const back = pc - 4 * (1 + r.below(Math.min(20, i)));
    const cc = r.below(16);
    return (b) => b.jcc(cc, back);
  }
  if (kind < 21) return (b) => b.jmp(ahead);
  if (kind < 24 && f < FUNCTIONS - 1) {
    const to = startOf(f + 1 + r.below(FUNCTIONS - f - 1));
    return (b) => b.call(to);
  }
  if (kind < 26 && f < FUNCTIONS - 1) {
    const to = startOf(f + 1 + r.below(FUNCTIONS - f - 1));
    return (b) => {
      b.mov(8, reg(Reg.T0), imm(to));
      b.callIndirect(reg(Reg.T0));
    };
  }
  if (kind < 27) {
    return (b) => {
      b.lea(8, reg(Reg.RDI), mem(Reg.RBX, 0x100));
      b.lea(8, reg(Reg.RSI), mem(Reg.RBX, 0x900));
      b.mov(4, reg(Reg.RCX), imm(70));
    };
  }
  if (kind < 28) {
    const [op, size] = [r.pick(['stos', 'movs', 'scas'] as const), r.pick(SIZES)];
    return (b) => b.string(op, size, 'rep');
  }
  if (kind < 29) return (b) => b.loop(-1, 8, ahead);
  return r.pick(STRAIGHT)(r);
}

/** Everything a guest could see. */
function state({ cpu, memory }: Setup): unknown {
  return {
    registers: Array.from({ length: 16 }, (_, n) => cpu.gprBig(n)),
    xmm: Array.from({ length: 4 }, (_, n) => [...cpu.xmm(n)]),
    rip: cpu.rip,
    flags: cpu.rflags,
    retired: cpu.retired,
    data: Buffer.from(memory.bytes(DATA, 0x4000)).toString('base64'),
    code: Buffer.from(memory.bytes(memory.directMap(15), 0x4000)).toString('base64'),
    stack: Buffer.from(memory.bytes(-0x2000_4000, 0x4000)).toString('base64'),
  };
}

function start(seed: number, engine: Engine, length = LENGTH): Setup {
  const made = setup(program(new Random(seed), length), {}, engine);
  const r = new Random(seed ^ 0x5555);
  made.memory.write(
    DATA,
    Uint8Array.from({ length: 0x4000 }, () => r.below(256)),
  );
  for (const register of FREE)
    made.cpu.setGpr(register, r.below(2) ? r.below(1000) : r.below(2 ** 31) - 2 ** 30);
  // By way of its own pages, of the direct map, and where stores meet the code itself.
  const { memory } = made;
  made.cpu.setGpr(Reg.RBX, [DATA, memory.directMap(32), memory.directMap(15) + 100][seed % 3]);
  made.cpu.setGpr(Reg.R12, r.below(100));
  made.cpu.setGpr(Reg.R15, 77);
  return made;
}

/** After a fault the instruction is passed over: the ones behind it are worth a test too. */
function goOn(made: Setup, exit: number): void {
  if (exit === Exit.Fault) made.cpu.rip += 4;
  // What the faults and pushes did to the stack pointer must not end the test.
  if (Math.abs(made.cpu.gpr(Reg.RSP) + 0x2000_2000) > 0x1f00) made.cpu.setGpr(Reg.RSP, -0x2000_0800);
}

const step: (b: BlockBuilder) => void = (b) => b.alu('add', 8, reg(Reg.RAX), imm(1));

describe('the engines', () => {
  it.each([
    ['large', LENGTH],
    ['small', SMALL],
  ])('agree on generated programs of %s functions at every stop', (_, length) => {
    let regions = 0;
    for (let seed = 1; seed <= 30; seed++) {
      const one = start(seed, 'interpreter', length);
      const other = start(seed, 'wasm', length);
      const r = new Random(seed * 7);
      for (let stop = 0; stop < 100; stop++) {
        const budget = 1 + r.below(r.pick([3, 50, 3000]));
        const exits = [one, other].map((made) => made.cpu.run(budget));
        const where = `seed ${seed} stop ${stop}`;
        expect([where, exits[1]]).toEqual([where, exits[0]]);
        if (exits[0] === Exit.Fault) {
          expect([where, other.cpu.vector, other.cpu.address]).toEqual([
            where,
            one.cpu.vector,
            one.cpu.address,
          ]);
        }
        expect([where, state(other)]).toEqual([where, state(one)]);
        goOn(one, exits[0]);
        goOn(other, exits[1]);
      }
      regions += other.cpu.regions;
    }
    expect(regions).toBeGreaterThan(20);
  });

  it('see a store into translated code from the next instruction on', () => {
    const outcomes = (['interpreter', 'wasm'] as const).map((engine) => {
      const made = setup(
        [
          step,
          (b) => b.mov(1, mem(Reg.RBX, 2), reg(Reg.RAX)),
          step,
          (b) => b.alu('cmp', 8, reg(Reg.RAX), imm(90)),
          (b) => b.jcc(12, CODE),
          (b) => b.helper(Helper.HLT),
        ],
        {},
        engine,
      );
      let changes = 0;
      made.cpu.setGpr(Reg.RBX, made.memory.directMap(16));
      // Each store into the page changes what the instruction behind it adds.
      made.memory.onCodeChange(() => {
        const by = (++changes % 3) + 1;
        made.translator.programs.set(CODE + 8, (b) => b.alu('add', 8, reg(Reg.RAX), imm(by)));
      });
      made.cpu.setGpr(Reg.RBX, made.memory.directMap(16) + 6);
      const exit = made.cpu.run(1e5);
      return [exit, made.cpu.gpr(Reg.RAX), made.cpu.retired, changes > 5];
    });
    expect(outcomes[1]).toEqual(outcomes[0]);
    expect(outcomes[0][3]).toBe(true);
  });

  it('agree on indirect jumps among many targets, some of which come late or are reached in other ways', () => {
    const CASES = 32;
    const LENGTH = 8;
    const first = 1;
    const addressOf = (n: number): number => CODE + 4 * (first + n * LENGTH);
    const toCase: Instruction[] = [
      (b) => b.mov(8, reg(Reg.R10), reg(Reg.RAX)),
      (b) => b.shift('shr', 8, reg(Reg.R10), imm(17)),
      (b) => b.alu('and', 8, reg(Reg.R10), mem(Reg.RBX, 0)),
      (b) => b.shift('shl', 8, reg(Reg.R10), imm(5)),
      (b) => b.alu('add', 8, reg(Reg.R10), imm(addressOf(0))),
      (b) => b.jmpIndirect(reg(Reg.R10)),
    ];
    const cases = Array.from({ length: CASES }, (_, n): Instruction[] => [
      (b) => b.imul(8, reg(Reg.RAX), reg(Reg.RAX), imm(1664525 + 2 * n)),
      (b) => b.alu('add', 8, reg(Reg.RAX), imm(1013904223)),
      // Some have the jump at their own end, some go straight to others or to the common one, one is a call away.
      ...(n % 3 === 0
        ? toCase
        : [
            (b: BlockBuilder) => b.alu('test', 1, reg(Reg.RAX), imm(n)),
            (b: BlockBuilder) => b.jcc(4, addressOf((n * 7) % CASES)),
            (b: BlockBuilder) => b.alu('cmp', 8, reg(Reg.RCX), reg(Reg.RAX)),
            (b: BlockBuilder) => b.jcc(n % 2 ? 12 : 4, addressOf((n * 5 + 1) % CASES)),
            (b: BlockBuilder) => b.alu('add', 8, mem(Reg.RBX, 64 + n * 8), reg(Reg.RAX)),
            (b: BlockBuilder) => b.jmp(addressOf(CASES)),
          ]),
    ]);
    const start = (engine: Engine): Setup => {
      const made = setup([(b) => b.jmp(addressOf(CASES)), ...cases.flat(), ...toCase], {}, engine);
      made.cpu.setGpr(Reg.RBX, DATA);
      made.memory.setU64(DATA, 7n);
      return made;
    };
    const [one, other] = [start('interpreter'), start('wasm')];
    const r = new Random(11);
    for (let stop = 0; stop < 400; stop++) {
      // More and more of the cases are used.
      if (stop === 100 || stop === 200)
        for (const { memory } of [one, other]) memory.setU64(DATA, stop === 100 ? 15n : 31n);
      const budget = 1 + r.below(r.pick([3, 50, 3000]));
      expect([stop, other.cpu.run(budget)]).toEqual([stop, one.cpu.run(budget)]);
      expect([stop, state(other)]).toEqual([stop, state(one)]);
    }
    expect(other.cpu.regions).toBeGreaterThan(2);
    expect(other.cpu.regions).toBeLessThan(40);
  });

  it('agree on calls through pointers to small functions, some of which come late, change or fault', () => {
    const [SIZE, FUNCTIONS_AT] = [8, 32];
    const addressOf = (n: number): number => CODE + 4 * (FUNCTIONS_AT + n * SIZE);
    const caller: Instruction[] = [
      (b) => b.mov(8, reg(Reg.R10), reg(Reg.RAX)),
      (b) => b.shift('shr', 8, reg(Reg.R10), imm(19)),
      (b) => b.alu('and', 8, reg(Reg.R10), mem(Reg.RBX, 0)),
      (b) => b.shift('shl', 8, reg(Reg.R10), imm(5)),
      (b) => b.alu('add', 8, reg(Reg.R10), imm(addressOf(0))),
      (b) => b.callIndirect(reg(Reg.R10)),
      (b) => b.call(addressOf(1)),
      (b) => b.alu('adc', 8, reg(Reg.RAX), imm(3)),
      (b) => b.jmp(CODE),
    ];
    const functions = Array.from({ length: 8 }, (_, n): Instruction[] => [
      (b) => b.imul(8, reg(Reg.RAX), reg(Reg.RAX), imm(1664525 + 2 * n)),
      (b) => b.alu('add', 8, reg(Reg.RAX), imm(1013904223 + n)),
      (b) => b.alu('cmp', 8, reg(Reg.RAX), reg(Reg.RCX)),
      (b) => b.jcc(n % 2 ? 12 : 4, addressOf(n) + 24),
      (b) => b.mov(8, reg(Reg.RCX), mem(n === 6 ? Reg.R13 : Reg.RBX, 64)),
      // One goes on in another; one returns to where it was not called from.
      n === 3 ? (b) => b.call(addressOf(2)) : (b) => b.alu('add', 8, mem(Reg.RBX, 64), reg(Reg.RAX)),
      n === 5 ? (b) => b.alu('xor', 8, mem(Reg.RSP, 0), imm(4)) : step,
      (b) => b.ret(0),
    ]);
    const begin = (engine: Engine): Setup => {
      const padding = Array.from({ length: FUNCTIONS_AT - caller.length }, (): Instruction => step);
      const made = setup([...caller, ...padding, ...functions.flat()], {}, engine);
      made.cpu.setGpr(Reg.RBX, DATA);
      made.memory.setU64(DATA, 1n);
      return made;
    };
    const [one, other] = [begin('interpreter'), begin('wasm')];
    const r = new Random(5);
    for (let stop = 0; stop < 400; stop++) {
      for (const { memory, translator } of [one, other]) {
        if (stop % 100 === 50) memory.setU64(DATA, stop < 100 ? 3n : 7n);
        if (stop !== 250) continue;
        translator.programs.set(addressOf(1), (b) => b.alu('sub', 8, reg(Reg.RAX), imm(12345)));
        memory.set8(memory.directMap(16) + addressOf(1) - CODE, 1);
      }
      const budget = 1 + r.below(r.pick([3, 50, 3000]));
      const exits = [one, other].map(({ cpu }) => cpu.run(budget));
      expect([stop, exits[1]]).toEqual([stop, exits[0]]);
      expect([stop, state(other)]).toEqual([stop, state(one)]);
      // The one that faults has reached through R13.
      if (exits[0] === Exit.Fault) for (const { cpu } of [one, other]) cpu.rip += 4;
    }
    expect(other.cpu.regions).toBeGreaterThan(1);
    expect(other.cpu.regions).toBeLessThan(60);
  });

  it('translate code that is all branches', () => {
    const length = 900;
    // Each branch has a block of its own behind it, nested in those before when made into structured code.
    const branches = Array.from({ length }, (_, i): Instruction => {
      if (i % 2 === 0) return (b) => b.alu('add', 8, reg(Reg.RAX), imm(1));
      return (b) => b.jcc(i % 3 === 0 ? 4 : 12, CODE + 4 * Math.min(length, i + 2 + (i % 5)));
    });
    const outcomes = (['interpreter', 'wasm'] as const).map((engine) => {
      const { cpu } = setup([...branches, (b) => b.jmp(CODE)], {}, engine);
      return [cpu.run(1e5), cpu.rip, cpu.rflags, cpu.gpr(Reg.RAX), cpu.retired, cpu.regions > 0];
    });
    expect(outcomes[1].slice(0, 5)).toEqual(outcomes[0].slice(0, 5));
    expect(outcomes[1][5]).toBe(true);
  });

  it('end recursion without end in a fault of the guest stack', () => {
    const outcomes = (['interpreter', 'wasm'] as const).map((engine) => {
      const { cpu } = setup([step, (b) => b.call(CODE), (b) => b.ret(0)], {}, engine);
      return [cpu.run(1e6), cpu.address, cpu.rip, cpu.gpr(Reg.RAX), cpu.retired];
    });
    expect(outcomes[1]).toEqual(outcomes[0]);
    expect(outcomes[0][0]).toBe(Exit.Fault);
  });

  it.each([0n, 2n ** 62n, 2n ** 64n - 1n, BigInt(CODE) + 2n ** 64n])('agree on a return to %s', (to) => {
    const outcomes = (['interpreter', 'wasm'] as const).map((engine) => {
      // Calls itself 40 deep, then goes to where the last return leads, if it leads anywhere.
      const program: Program = [
        (b) => b.alu('sub', 8, reg(Reg.RCX), imm(1)),
        (b) => b.jcc(Cond.E, CODE + 16),
        (b) => b.call(CODE),
        step,
        (b) => b.ret(0),
      ];
      const { cpu, memory } = setup(program, {}, engine);
      const stops = [];
      for (let turn = 0; turn < 6; turn++) {
        const top = cpu.gpr(Reg.RSP) - 8;
        memory.setU64(top, turn % 2 === 0 ? BigInt(CODE) + 2n ** 64n : to);
        cpu.setGpr(Reg.RSP, top);
        cpu.setGpr(Reg.RCX, 40);
        cpu.rip = CODE;
        stops.push(
          cpu.run(195),
          cpu.vector,
          cpu.address,
          cpu.rip,
          cpu.gpr(Reg.RSP),
          cpu.gpr(Reg.RAX),
          cpu.retired,
        );
      }
      return { stops, regions: cpu.regions };
    });
    expect(outcomes[1].stops).toEqual(outcomes[0].stops);
    expect(outcomes[1].regions).toBeGreaterThan(0);
  });
});
