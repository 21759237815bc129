/** Calls, returns and stacks as no compiler makes them: the same end under every engine, and by single steps. */
import { describe, expect, it } from 'vitest';
import { Exit, Vector } from '../../../src/cpu/cpu.ts';
import { ENGINES } from '../../../src/cpu/engines.ts';
import { Perm } from '../../../src/memory/space.ts';
import {
  again,
  assemble,
  begin,
  bytes32,
  CALL,
  CODE,
  DATA,
  MOV,
  machine,
  nops,
  outcome,
  PAGE,
  type Part,
  RAX,
  RET,
  RSP,
  STACK,
  STACK_PAGES,
  same,
} from './attack.ts';

describe.each([64, 32] as const)('calls, returns and stacks, %d bits', { timeout: 120_000 }, (bits) => {
  const word = bits / 8;
  const long = bits === 64 ? [0x48] : [];
  /** Adds to the stack pointer. */
  const addSp = (n: number): number[] => [...long, 0x83, 0xc4, n & 255];

  it('goes round a loop that is entered at two places', () => {
    // Which of the two depends on the count of the outer loop; the loop itself goes through both.
    const { bytes } = assemble([
      begin(300),
      { label: 'outer' },
      [0xba, ...bytes32(40), 0xf7, 0xc1, ...bytes32(1), 0x0f, 0x84], // mov $40,%edx; test $1,%ecx; jz
      { to: 'second' },
      { label: 'first' },
      [0x01, 0xd0, 0x69, 0xc0, ...bytes32(33)], // add %edx,%eax; imul $33,%eax,%eax
      { label: 'second' },
      [0x35, ...bytes32(0x5555), 0xff, 0xca, 0x0f, 0x85], // xor $0x5555,%eax; dec %edx; jnz
      { to: 'first' },
      ...again('outer'),
      RET,
    ]);
    let sum = 0;
    for (let outer = 300; outer > 0; outer--) {
      for (let inner = 40, skips = outer % 2 === 0; inner > 0; inner--, skips = false) {
        if (!skips) sum = Math.imul(sum + inner, 33);
        sum ^= 0x5555;
      }
    }
    same(({ engine, stepped }) => {
      const m = machine(engine, bits, bytes, { stepped });
      const exit = m.run();
      expect([exit, m.cpu.gprLow(RAX)]).toEqual([Exit.Host, sum]);
      if (!stepped) expect(m.cpu.regions > 0).toBe(engine !== 'interpreter');
      return outcome(m, exit);
    });
  });

  it('runs a chain of returns', () => {
    const { bytes, at } = assemble([
      begin(4000),
      [...long, 0x89, 0xe5], // mov %rsp,%rbp
      { label: 'loop' },
      MOV.esi,
      bytes32(DATA),
      [...long, 0x89, 0xf4], // mov %rsi,%rsp
      RET,
      { label: 'a' },
      [0x83, 0xc0, 0x03],
      RET,
      { label: 'b' },
      [0x69, 0xc0, ...bytes32(5)],
      RET,
      { label: 'c' },
      addSp(word),
      [0x83, 0xc0, 0x01],
      RET,
      { label: 'end' },
      [...long, 0x89, 0xec], // mov %rbp,%rsp
      ...again('loop'),
      RET,
    ]);
    // What c skips is in its place, too.
    const chain = ['a', 'b', 'c', 'a', 'a', 'c', 'b', 'b', 'a', 'c', 'a', 'end'];
    let expected = 0;
    for (let n = 0; n < 4000; n++)
      for (const name of 'abcacbac')
        expected = name === 'b' ? Math.imul(expected, 5) : (expected + (name === 'a' ? 3 : 1)) | 0;
    same((way) => {
      const m = machine(way.engine, bits, bytes, way);
      chain.forEach((name, n) => {
        m.memory.setPtr(DATA + n * word, at(name));
      });
      const exit = m.run();
      expect([exit, m.cpu.gprLow(RAX)]).toEqual([Exit.Host, expected]);
      return outcome(m, exit);
    });
  });

  const mismatches: Readonly<Record<string, readonly Part[]>> = {
    'a callee that jumps back by a popped address': [[0x5a, 0x83, 0xc0, 0x01, 0xff, 0xe2]],
    'a callee that returns past what follows the call, every other time': [
      // test $1,%cl; jz; addl $3,(%rsp)
      [0xf6, 0xc1, 0x01, 0x74, long.length ? 5 : 4],
      [...long, 0x83, 0x04, 0x24, 0x03],
      RET,
    ],
    'a callee that leaves two frames at once': [
      [0xf6, 0xc1, 0x03, 0x74, 0x01],
      RET,
      CALL,
      { to: 'deep' },
      [0x83, 0xc0, 0x64],
      RET,
      { label: 'deep' },
      addSp(word),
      RET,
    ],
    'a callee that is a hundred calls deep and comes back at once': [
      [0xf6, 0xc1, 0x3f, 0x74, 0x01],
      RET,
      [...long, 0x89, 0xe5, 0xba, ...bytes32(100)], // mov %rsp,%rbp; mov $100,%edx
      { label: 'down' },
      [0xff, 0xca, 0x74, 0x06], // dec %edx; jz
      CALL,
      { to: 'down' },
      RET,
      [...long, 0x89, 0xec], // mov %rbp,%rsp
      [0x83, 0xc0, 0x07],
      RET,
    ],
    'a callee that calls its caller’s loop, which then has no end': [
      // the first time only: call the end of the loop, which returns from there
      [0x83, 0xf9, 0x05, 0x74, 0x01],
      RET,
      CALL,
      { to: 'tail' },
      RET,
    ],
    'a callee that returns by another stack': [
      // xchg of the stack pointer with the copy in the data, the return address carried over
      MOV.edi,
      bytes32(DATA + 0x1f00),
      [0x5a], // pop %rdx
      [...long, 0x89, 0x27], // mov %rsp,(%rdi)
      [...long, 0x8d, 0x67, 0xf8], // lea -8(%rdi),%rsp
      [0x52, 0x83, 0xc0, 0x01], // push %rdx; add
      [0x5a],
      [...long, 0x8b, 0x27], // mov (%rdi),%rsp
      [0x52],
      RET,
    ],
    'a callee that pushes where it goes on': [
      [0x68],
      { address: 'onward' },
      RET,
      { label: 'onward' },
      [0x83, 0xc0, 0x09],
      RET,
    ],
  };
  it.each(Object.entries(mismatches))('survives %s', (name, callee) => {
    const { bytes } = assemble([
      begin(4000),
      CALL,
      { to: 'outer' },
      RET,
      { label: 'outer' },
      { label: 'loop' },
      CALL,
      { to: 'callee' },
      [0x83, 0xc0, 0x02],
      { label: 'tail' },
      ...again('loop'),
      RET,
      { label: 'callee' },
      ...callee,
    ]);
    same((way) => {
      const m = machine(way.engine, bits, bytes, way);
      const exit = m.run(400_000);
      expect(exit).toBe(name.includes('no end') ? Exit.Budget : Exit.Host);
      return outcome(m, exit);
    });
  });

  it('enters a hot loop in its middle, between two instructions and inside of one', () => {
    const { bytes, at } = assemble([
      begin(6000),
      { label: 'loop' },
      [0x89, 0xca, 0x83, 0xe2, 0x03], // mov %ecx,%edx; and $3,%edx
      MOV.edi,
      bytes32(DATA),
      [0xff, 0x14, long.length ? 0xd7 : 0x97], // call *(%rdi,%rdx,word)
      ...again('loop'),
      RET,
      { label: 'f' },
      MOV.ebx,
      bytes32(20),
      { label: 'inner' },
      [0x83, 0xc0, 0x01],
      { label: 'middle' },
      [0x05], // add $imm32,%eax: inside, its immediate is add $5,%eax; nop
      { label: 'inside' },
      [0x83, 0xc0, 0x05, 0x90],
      [0xff, 0xcb, 0x75, 0xf4],
      RET,
    ]);
    same((way) => {
      const m = machine(way.engine, bits, bytes, way);
      ['f', 'inner', 'middle', 'inside'].forEach((name, n) => {
        m.memory.setPtr(DATA + n * word, at(name));
      });
      // What ebx is when the middle is entered from outside.
      m.cpu.setGpr(3, 9);
      const exit = m.run(300_000);
      return outcome(m, exit);
    });
  });

  describe('at the edges of stack pages', () => {
    const low = STACK - STACK_PAGES * PAGE;
    const pushes = (n: number): number[] => Array<number>(n).fill(0x50);
    // Each is run with the stack pointer so many bytes above the lowest page that is there.
    const edges: Readonly<Record<string, readonly [number[], number]>> = {
      'push into what is not there': [pushes(3), 2 * word],
      'push half into it': [pushes(3), 2 * word + 3],
      'call into it': [[0xe8, 0, 0, 0, 0, 0xe8, 0, 0, 0, 0], word],
      'an enter with a frame that is not there': [[0xc8, 0x20, 0, 0], word],
      'an enter with frames of frames': [[0xc8, 0x20, 0, 3], 3 * word],
      'pushf over the edge': [[0x9c, 0x9c], word + 1],
      'push of memory that is read before': [[0xff, 0x34, 0x24, 0xff, 0x34, 0x24], word],
      'sub and store below': [[...long, 0x83, 0xec, 0x20, 0x89, 0x04, 0x24], 0x10],
      ...(bits === 32 ? { 'pusha over the edge': [[0x60], 20] as const } : {}),
    };
    it.each(Object.entries(edges))('%s', (_name, [attack, above]) => {
      // Hot first, on a whole stack; then at the edge.
      const { bytes } = assemble([
        begin(3000),
        { label: 'loop' },
        [...long, 0x89, 0xe5], // mov %rsp,%rbp
        [...long, 0x89, 0xf4], // mov %rsi,%rsp
        attack,
        [...long, 0x89, 0xec],
        [0x83, 0xf9, 0x02, 0x75, long.length + 2], // cmp $2,%ecx; jne over the mov
        [...long, 0x89, 0xfe], // mov %rdi,%rsi
        ...again('loop'),
        RET,
      ]);
      const ends = same((way) => {
        const m = machine(way.engine, bits, bytes, way);
        m.cpu.setGpr(6, STACK - 0x1000);
        m.cpu.setGpr(7, low + above);
        const exit = m.run();
        const stack = Buffer.from(m.memory.peek(low, 64)).toString('hex');
        return [exit, outcome(m, exit), stack] as const;
      });
      expect(ends[0]).toBe(Exit.Fault);
    });

    it('pops over the upper end, and pops into the stack pointer itself', () => {
      const { bytes } = assemble([
        [...long, 0x89, 0xe5], // mov %rsp,%rbp
        begin(3000),
        { label: 'loop' },
        [0x54, 0x5c, 0x58], // push %rsp; pop %rsp; pop %rax
        [...long, 0x89, 0xec],
        ...again('loop'),
        addSp(63 - 8),
        [0x58, 0x58, 0x58],
      ]);
      const exits = same((way) => {
        const m = machine(way.engine, bits, bytes, way);
        const exit = m.run();
        return [exit, outcome(m, exit)] as const;
      });
      expect(exits[0]).toBe(Exit.Fault);
    });

    it('loses the right to write its stack while hot', () => {
      const { bytes } = assemble([
        begin(9000),
        { label: 'loop' },
        CALL,
        { to: 'f' },
        ...again('loop'),
        RET,
        { label: 'f' },
        [0x50, 0x51, 0x5a, 0x5a, 0x83, 0xc0, 0x01], // push, push, pop, pop, add
        [0xf7, 0xc1, ...bytes32(1023), 0x75, 0x02, 0xe6, 0x80],
        RET,
      ]);
      same((way) => {
        let calls = 0;
        const m = machine(way.engine, bits, bytes, {
          stepped: way.stepped,
          out: () => {
            if (++calls % 3 === 0) m.memory.protect(STACK - PAGE, 1, Perm.R);
          },
        });
        const seen: string[] = [];
        let exit = m.run();
        for (; exit === Exit.Fault && seen.length < 20; exit = m.goOn()) {
          expect([m.cpu.vector, m.cpu.errorCode]).toEqual([Vector.PF, 3]);
          seen.push(outcome(m, exit));
          m.memory.protect(STACK - PAGE, 1, Perm.R | Perm.W);
        }
        expect([exit, seen.length]).toEqual([Exit.Host, 2]);
        return [...seen, outcome(m, exit)];
      });
    });

    it('walks its stack through all pages, again and again', () => {
      const { bytes } = assemble([
        [...long, 0x89, 0xe5],
        begin(100),
        { label: 'loop' },
        MOV.edx,
        bytes32(500),
        { label: 'down' },
        [...long, 0x83, 0xec, 0x74, 0x50, 0x03, 0x44, 0x24, 0x10, 0xff, 0xca], // sub $0x74; push; add 16(%rsp); dec
        [0x0f, 0x85],
        { to: 'down' },
        [...long, 0x89, 0xec],
        [0x83, 0xc0, 0x01],
        ...again('loop'),
        RET,
      ]);
      same((way) => {
        const m = machine(way.engine, bits, bytes, way);
        const exit = m.run();
        expect(exit).toBe(Exit.Host);
        return outcome(m, exit);
      });
    });
  });

  describe('prefixes', () => {
    it.each([
      ['fifteen bytes', [...Array<number>(14).fill(0x66), 0x90], Exit.Halt],
      ['all kinds of them', [0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3, 0x90], Exit.Halt],
      ['a lock before what cannot be locked', [0xf0, 0x90], Exit.Fault],
      ['a lock before a register', [0xf0, 0x01, 0xc0], Exit.Fault],
      ['sixteen bytes of rep', [...Array<number>(15).fill(0xf3), 0x90], Exit.Fault],
      ['a hundred of them', Array<number>(100).fill(0x3e), Exit.Fault],
      ['a REX that does not count', [0x48, 0x66, 0x90], Exit.Halt],
    ] as const)('%s', (_name, attack, exit) => {
      const got = same((way) => {
        const m = machine(way.engine, bits, [...attack, 0xf4], way);
        const exits = Array.from({ length: 4 }, () => m.run());
        return [exits, outcome(m, exits[3])] as const;
      });
      expect(got[0]).toEqual(Array(4).fill(exit));
    });

    it('run into the end of the page before they are too many', () => {
      // Fourteen on the page: the next byte is not there, and that is what is wrong.
      const code = [...nops(PAGE - 14), ...Array<number>(14).fill(0x66)];
      const [exit, vector, address] = same((way) => {
        const m = machine(way.engine, bits, code, way);
        m.memory.unmap(CODE + PAGE, 1);
        return [m.run(), m.cpu.vector, m.cpu.address, m.cpu.retired] as const;
      });
      expect([exit, vector, address]).toEqual([Exit.Fault, Vector.PF, CODE + PAGE]);
    });
  });

  it('keeps its budget inside a rep stos of four gigabytes', () => {
    // Every page of them is the same frame. 32-bit: over all of memory from 0x50000000 on, to the hole after it.
    const pages = 1 << 14;
    const { bytes } = assemble([
      MOV.edi,
      bytes32(0x5000_0000),
      [0x31, 0xc0, 0x31, 0xc9, ...long, 0xff, 0xc9], // xor; xor; dec %rcx
      [0xf3, 0xaa],
      RET,
    ]);
    same((way) => {
      const m = machine(way.engine, bits, bytes, { stepped: false });
      const frame = m.memory.frames.allocate(0);
      for (let n = 0; n < pages; n++) m.memory.map(0x5000_0000 + n * PAGE, frame, 1, Perm.R | Perm.W, 'many');
      const seen: string[] = [];
      let exit = m.run(1000);
      for (const budget of [1, 5000, 1_000_000, 30_000_000, 1e9]) {
        const before = m.cpu.retired;
        exit = m.goOn(budget);
        if (exit === Exit.Budget) {
          expect(m.cpu.retired - before).toBeGreaterThanOrEqual(budget);
          expect(m.cpu.retired - before).toBeLessThan(budget + PAGE + 16);
        }
        seen.push(outcome(m, exit));
      }
      expect([exit, m.cpu.address]).toEqual([Exit.Fault, 0x5000_0000 + pages * PAGE]);
      return seen;
    });
  });
});

/** So many functions, each with a loop of `turns`, are called in turn. */
function manyLoops(functions: number, turns: number): Uint8Array {
  const start = functions * 5 + 1;
  const body = [...MOV.edx, ...bytes32(turns), 0xff, 0xca, 0x75, 0xfc, 0x83, 0xc0, 0x01, ...RET];
  const code = new Uint8Array(start + functions * body.length);
  for (let n = 0; n < functions; n++) {
    code.set([...CALL, ...bytes32(start + n * body.length - (n + 1) * 5)], n * 5);
    code.set(body, start + n * body.length);
  }
  code.set(RET, functions * 5);
  return code;
}

describe.each(ENGINES)(
  'more hot code than there is room for, under the %s engine',
  { timeout: 240_000 },
  (engine) => {
    it.each([
      // More modules than are kept.
      ['functions', 1200, engine === 'auto' ? 1100 : 4],
      // More blocks than are kept.
      ['blocks', 30_000, 1],
    ])('runs in bounded memory: %s', (_name, functions, turns) => {
      const m = machine(engine, 64, manyLoops(functions, turns), { perm: Perm.R | Perm.X });
      const before = process.memoryUsage().rss;
      for (let n = 0; n < 2; n++) {
        m.cpu.setGpr(RAX, 0);
        expect([m.run(), m.cpu.gpr(RAX)]).toEqual([Exit.Host, functions]);
      }
      expect(m.cpu.retired).toBe(2 * (functions * (4 + 2 * turns) + 1));
      expect(m.cpu.gpr(RSP)).toBe(STACK - 56);
      if (turns > 1) expect(m.cpu.regions > 1000).toBe(engine !== 'interpreter');
      expect(process.memoryUsage().rss - before).toBeLessThan(400e6);
    });
  },
);
