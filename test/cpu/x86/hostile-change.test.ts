/** Code whose ground is pulled from under it while it is hot: the same end under every engine, and by single steps. */
import { describe, expect, it } from 'vitest';
import { Exit, Vector } from '../../../src/cpu/cpu.ts';
import { Perm } from '../../../src/memory/space.ts';
import {
  again,
  assemble,
  begin,
  bytes32,
  CALL,
  CODE,
  DATA,
  JMP,
  type Machine,
  MOV,
  machine,
  nops,
  outcome,
  PAGE,
  type Part,
  RAX,
  RET,
  RETURN,
  RSP,
  RWX,
  STACK,
  same,
  type WAYS,
} from './attack.ts';

const RX = Perm.R | Perm.X;
const OUT = [0xe6, 0x80]; // out %al,$0x80
const INC_EAX = [0xff, 0xc0];

describe.each([64, 32] as const)(
  'code that changes while it is hot, %d bits',
  { timeout: 120_000 },
  (bits) => {
    const word = bits / 8;

    /** The code as a machine that calls `out` with the count of its calls. */
    function build(
      way: (typeof WAYS)[number],
      bytes: readonly number[],
      out: (nth: number, m: Machine) => void,
      perm: number = RWX,
    ): Machine {
      let calls = 0;
      const m: Machine = machine(way.engine, bits, bytes, {
        perm,
        stepped: way.stepped,
        out: () => out(++calls, m),
      });
      return m;
    }

    it.each([
      ['the page ahead', 0],
      ['its own page', 1],
    ])('%s loses permission to execute', (_name, own) => {
      const { bytes, at } = assemble([
        begin(20_000),
        JMP,
        { to: 'loop' },
        nops(PAGE - 20),
        { label: 'loop' },
        own ? nops(8) : OUT,
        nops(PAGE - (PAGE - 20 + 12 + 2) + 6),
        own ? OUT : nops(2),
        INC_EAX,
        ...again('loop'),
        RET,
      ]);
      expect(at('loop')).toBeLessThan(CODE + PAGE);
      const [faults] = same((way) => {
        const m = build(way, bytes, (nth) => {
          if (nth === 7000 || nth === 7001 || nth === 15_000) m.memory.protect(CODE + PAGE, 1, Perm.R);
        });
        const seen: string[] = [];
        let exit = m.run();
        for (; exit === Exit.Fault; exit = m.goOn()) {
          seen.push(outcome(m, exit));
          expect([m.cpu.vector, m.cpu.errorCode, m.cpu.address >= CODE + PAGE]).toEqual([
            Vector.PF,
            0x11,
            true,
          ]);
          m.memory.protect(CODE + PAGE, 1, RX);
        }
        expect(m.cpu.gpr(RAX)).toBe(20_000);
        return [seen, outcome(m, exit)] as const;
      });
      expect(faults).toHaveLength(3);
    });

    it('writes the part of its instruction that lies on the next page', () => {
      // add $imm32,%eax with one byte of its immediate on the first page; incb (%rdi) is the second one.
      const head = [...begin(3000), ...MOV.edi, ...bytes32(CODE + PAGE)];
      const { bytes } = assemble([
        head,
        nops(PAGE - head.length - 2),
        { label: 'loop' },
        [0x05, ...bytes32(0)],
        [0xfe, 0x07],
        ...again('loop'),
        RET,
      ]);
      const sum = Array.from({ length: 3000 }, (_, n) => (n & 255) << 8).reduce((a, b) => a + b, 0);
      same((way) => {
        const m = build(way, bytes, () => {});
        const exit = m.run();
        expect([exit, m.cpu.gpr(RAX)]).toEqual([Exit.Host, sum]);
        return outcome(m, exit);
      });
    });

    // Each is the first instruction of its block, and changes the immediate of the next one at (edi); bl is 3 at first.
    it.each<[string, readonly number[], (byte: number, bl: number) => readonly [byte: number, bl: number]]>([
      ['add $3,(%edi)', [0x80, 0x07, 3], (byte, bl) => [byte + 3, bl]],
      ['add %bl,(%edi)', [0x00, 0x1f], (byte, bl) => [byte + bl, bl]],
      ['xor $5,(%edi)', [0x80, 0x37, 5], (byte, bl) => [byte ^ 5, bl]],
      ['mov %bl,(%edi)', [0x88, 0x1f], (_, bl) => [bl, bl]],
      ['movb $9,(%edi)', [0xc6, 0x07, 9], (_, bl) => [9, bl]],
      ['xadd %bl,(%edi)', [0x0f, 0xc0, 0x1f], (byte, bl) => [byte + bl, byte]],
      ['xchg %bl,(%edi)', [0x86, 0x1f], (byte, bl) => [bl, byte]],
      ['rol $3,(%edi)', [0xc0, 0x07, 3], (byte, bl) => [(byte << 3) | (byte >> 5), bl]],
      ['btc $2,(%edi)', [0x0f, 0xba, 0x3f, 2], (byte, bl) => [byte ^ 4, bl]],
      ['notb (%edi)', [0xf6, 0x17], (byte, bl) => [~byte, bl]],
    ])('%s still has its operands when its own block goes', (_name, writes, model) => {
      const { bytes } = assemble([
        [...begin(3000), 0xbb, ...bytes32(3), 0xbf],
        { address: 'immediate' },
        { label: 'loop' },
        writes,
        [0x05],
        { label: 'immediate' },
        bytes32(1),
        ...again('loop'),
        RET,
      ]);
      let [sum, byte, bl] = [0, 1, 3];
      for (let n = 0; n < 3000; n++) {
        [byte, bl] = model(byte, bl).map((value) => value & 255);
        sum += byte;
      }
      same((way) => {
        const m = build(way, bytes, () => {});
        const exit = m.run();
        expect([exit, m.cpu.gpr(RAX)]).toEqual([Exit.Host, sum]);
        return outcome(m, exit);
      });
    });

    it('calls with the return address pushed over the call', () => {
      // Its highest byte falls on the opcode; the function adds what was there, and puts the opcode right.
      const { bytes } = assemble([
        [...begin(2000), 0x89, 0xe5, 0xbf], // mov %esp,%ebp; mov $loop,%edi
        { address: 'loop' },
        JMP,
        { to: 'set' },
        nops(word),
        { label: 'loop' },
        CALL,
        { to: 'function' },
        nops(3),
        { label: 'set' },
        [0x8d, 0x67, 1], // lea 1(%edi),%esp
        JMP,
        { to: 'loop' },
        { label: 'function' },
        [0x89, 0xec, 0x0f, 0xb6, 0x17, 0xc6, 0x07, 0xe8], // mov %ebp,%esp; movzbl (%edi),%edx; movb $0xe8,(%edi)
        [0x01, 0xd0], // add %edx,%eax
        INC_EAX,
        ...again('set'),
        RET,
      ]);
      same((way) => {
        const m = build(way, bytes, () => {});
        const exit = m.run();
        expect([exit, m.cpu.gpr(RAX)]).toEqual([Exit.Host, 2000 * (1 + (bits === 64 ? 0 : CODE >>> 24))]);
        return outcome(m, exit);
      });
    });

    it('may not run after it was found incomplete, when its page has lost its right since', () => {
      same((way) => {
        const { bytes } = assemble([nops(PAGE - 2), [0x05, 0x01]]);
        const m = build(way, bytes, () => {});
        m.memory.unmap(CODE + PAGE, 1);
        m.cpu.rip = CODE + PAGE - 2;
        const incomplete = m.goOn();
        expect([incomplete, m.cpu.exactAddress]).toEqual([Exit.Fault, BigInt(CODE + PAGE)]);
        // No block was made of the first page, so nobody tells of it.
        m.memory.protect(CODE, 1, Perm.R | Perm.W);
        m.memory.map(CODE + PAGE, m.memory.frames.allocate(0), 1, Perm.R | Perm.X, 'the rest');
        const exit = m.goOn();
        expect([exit, m.cpu.exactAddress]).toEqual([Exit.Fault, BigInt(CODE + PAGE - 2)]);
        return outcome(m, exit);
      });
    });

    it('lies in one frame that is mapped twice in a row, and runs over from the end into its own beginning', () => {
      // At the end of the page: add $imm32,%eax whose last three bytes are the frame's first ones.
      const { bytes } = assemble([
        nops(3), // the immediate's upper part: changed by incb (%rdi)
        [0xfe, 0x07],
        ...again('loop'),
        RET,
        nops(PAGE - 3 - 2 - 8 - 1 - 2),
        { label: 'loop' },
        [0x05, 0x01],
      ]);
      same((way) => {
        const m = build(way, [], () => {});
        const { memory, cpu } = m;
        memory.unmap(CODE + PAGE, 1);
        memory.map(CODE + PAGE, memory.pfnOf(CODE) ?? 0, 1, RWX, 'twin');
        memory.poke(CODE, Uint8Array.from([0, 0, 0, ...bytes.slice(3)]));
        // The loop goes on behind the twin's first bytes, and back to the end of the first page.
        cpu.rip = CODE + PAGE - 2;
        cpu.setGpr(1, 2000);
        cpu.setGpr(7, CODE);
        cpu.setGpr(RSP, STACK - 64);
        memory.setPtr(STACK - 64, RETURN);
        cpu.rflags = 0x202;
        // From the twin, back is a page further than from the page itself: the distance is wrong by one page.
        memory.poke(CODE + 9, Uint8Array.from(bytes32(-(3 + 2 + 8 + 2))));
        const exit = m.goOn();
        const sum = Array.from({ length: 2000 }, (_, n) => 1 + ((n & 255) << 8)).reduce((a, b) => a + b, 0);
        expect([exit, cpu.gpr(RAX)]).toEqual([Exit.Host, sum]);
        return outcome(m, exit);
      });
    });

    it('patches its jump table while it is hot', () => {
      const cases = 12;
      const { bytes, at } = assemble([
        begin(30_000),
        MOV.edi,
        bytes32(DATA),
        { label: 'loop' },
        // mov %ecx,%edx; and $3,%edx; jmp *(%rdi,%rdx,word)
        [0x89, 0xca, 0x83, 0xe2, 0x03, 0xff, 0x24, bits === 64 ? 0xd7 : 0x97],
        ...Array.from({ length: cases }, (_, n): Part[] => [
          { label: `case${n}` },
          [0x69, 0xc0, ...bytes32(3 + 2 * n), 0x83, 0xc0, n + 1], // imul $3+2n,%eax,%eax; add $n+1,%eax
          JMP,
          { to: 'end' },
        ]).flat(),
        { label: 'end' },
        // every 1,024th time: out
        [0xf7, 0xc1, ...bytes32(1023), 0x75, 0x02],
        OUT,
        ...again('loop'),
        RET,
      ]);
      same((way) => {
        const m = build(way, bytes, (nth) => {
          for (let n = 0; n < 4; n++)
            m.memory.setPtr(DATA + n * word, at(`case${(nth * 5 + n * (nth % 3)) % cases}`));
        });
        for (let n = 0; n < 4; n++) m.memory.setPtr(DATA + n * word, at(`case${n}`));
        return outcome(m, m.run());
      });
    });

    it('flips a static key in a hot loop', () => {
      // The five bytes are a nop or a jump over add $1,%eax.
      const key = [0x0f, 0x1f, 0x44, 0x00, 0x00];
      const { bytes, at } = assemble([
        begin(40_000),
        { label: 'loop' },
        { label: 'key' },
        key,
        [0x83, 0xc0, 0x01],
        [0x83, 0xc0, 0x10],
        [0xf7, 0xc1, ...bytes32(511), 0x75, 0x02],
        OUT,
        ...again('loop'),
        RET,
      ]);
      same((way) => {
        const m = build(
          way,
          bytes,
          (nth) => m.memory.poke(at('key'), Uint8Array.from(nth % 2 ? [0xe9, ...bytes32(3)] : key)),
          RX,
        );
        return outcome(m, m.run());
      });
    });

    it('is replaced by another module at the same place while hot, by itself and by its caller', () => {
      const callee = (by: number): number[] => [
        ...[0xba, ...bytes32(50)], // mov $50,%edx
        ...[0x83, 0xc0, by, 0xff, 0xca, 0x75, 0xf9], // add $by,%eax; dec %edx; jnz
        ...OUT,
        ...[0x83, 0xc0, 0x01], // add $1,%eax
        ...RET,
      ];
      const { bytes } = assemble([
        begin(3000),
        { label: 'loop' },
        CALL,
        { to: 'callee' },
        OUT,
        ...again('loop'),
        RET,
        nops(PAGE - 7 - 5 - 2 - 8 - 1),
        { label: 'callee' },
        callee(1),
      ]);
      same((way) => {
        let spare = -1;
        const m = build(way, bytes, (nth) => {
          if (nth % 500 > 1) return;
          const { memory } = m;
          // The frame goes and comes: the new code may lie in the old frame or in another.
          const old = memory.pfnOf(CODE + PAGE) ?? 0;
          memory.unmap(CODE + PAGE, 1);
          const fresh = nth % 1000 < 2 ? old : spare < 0 ? memory.frames.allocate(0) : spare;
          if (fresh !== old) spare = old;
          memory.map(CODE + PAGE, fresh, 1, RX, 'next module');
          memory.poke(CODE + PAGE, Uint8Array.from(callee((nth >> 4) & 15)));
        });
        return outcome(m, m.run());
      });
    });

    it('vanishes for good, and is found out at the next instruction', () => {
      const { bytes } = assemble([
        begin(5000),
        { label: 'loop' },
        CALL,
        { to: 'callee' },
        ...again('loop'),
        RET,
        nops(PAGE - 7 - 5 - 8 - 1),
        { label: 'callee' },
        INC_EAX,
        OUT,
        INC_EAX,
        RET,
      ]);
      same((way) => {
        const m = build(way, bytes, (nth) => {
          if (nth === 4000) m.memory.unmap(CODE + PAGE, 1);
        });
        const exit = m.run();
        expect([exit, m.cpu.vector, m.cpu.address, m.cpu.gpr(RAX)]).toEqual([
          Exit.Fault,
          Vector.PF,
          CODE + PAGE + 4,
          7999,
        ]);
        return outcome(m, exit);
      });
    });

    it('moves its own code over itself with rep movsb', () => {
      const { bytes } = assemble([
        begin(400),
        { label: 'loop' },
        [0x89, 0xcb], // mov %ecx,%ebx
        MOV.esi,
        { address: 'image' },
        // every other time the other image
        [0xf6, 0xc1, 0x01, 0x74, 0x05],
        MOV.esi,
        { address: 'other' },
        MOV.edi,
        { address: 'target' },
        MOV.ecx,
        bytes32(16),
        { label: 'target' },
        // rep movsb; nops; add $1; the images hold the same first two bytes
        [0xf3, 0xa4, ...nops(11), 0x83, 0xc0, 0x01],
        [0x89, 0xd9], // mov %ebx,%ecx
        ...again('loop'),
        RET,
        { label: 'image' },
        [0xf3, 0xa4, 0x83, 0xc0, 0x02, ...nops(8), 0x83, 0xc0, 0x03],
        { label: 'other' },
        [0xf3, 0xa4, ...nops(8), 0x83, 0xc0, 0x07, 0x83, 0xc0, 0x09],
      ]);
      same((way) => {
        const m = build(way, bytes, () => {});
        const exit = m.run();
        expect([exit, m.cpu.gpr(RAX)]).toEqual([Exit.Host, 200 * 5 + 200 * 16]);
        return outcome(m, exit);
      });
    });

    it('repeats a pattern through two addresses of one frame', () => {
      // rep movsb from one mapping to one byte further in the other: each byte read is the one just written.
      const { bytes } = assemble([
        MOV.esi,
        bytes32(DATA),
        MOV.edi,
        bytes32(0x5000_0001),
        MOV.ecx,
        bytes32(64),
        [0xf3, 0xa4],
        RET,
      ]);
      same((way) => {
        const m = build(way, bytes, () => {});
        const { memory } = m;
        memory.map(0x5000_0000, memory.pfnOf(DATA) ?? 0, 1, Perm.R | Perm.W, 'alias');
        memory.set8(DATA, 0x5a);
        const exit = m.run();
        expect(Buffer.from(memory.bytes(DATA, 66)).toString('hex')).toEqual(`${'5a'.repeat(65)}00`);
        return outcome(m, exit);
      });
    });
  },
);
