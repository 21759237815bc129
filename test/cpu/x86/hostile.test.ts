/** Code that is written to hurt: right results or a clear end, bounded memory, the budget honoured, under every engine. */
import { describe, expect, it } from 'vitest';
import { Exit, Vector } from '../../../src/cpu/cpu.ts';
import { ENGINES } from '../../../src/cpu/engines.ts';
import { Perm } from '../../../src/memory/space.ts';
import {
  begin,
  bytes32,
  CODE,
  DATA,
  loopTo,
  machine,
  outcome,
  RAX,
  RSP,
  STACK,
  STACK_PAGES,
} from './attack.ts';
import { Random, seedOfRun } from './random.ts';

/** More than the longest way between two places where the budget is looked at: a page of one-byte instructions. */
const SLACK = 4096 + 16;

const KINDS = ENGINES.flatMap((engine) => ([64, 32] as const).map((bits) => ({ engine, bits })));

describe.each(KINDS)(
  'hostile code, $bits bits, under the $engine engine',
  { timeout: 240_000 },
  ({ engine, bits }) => {
    const long = bits === 64;
    const word = bits / 8;
    /** The displacement of an instruction that ends at `next` and means what is `offset` behind it. */
    const from = (next: number, offset: number): number[] => bytes32(long ? offset : CODE + next + offset);
    /** The address of the code's own first byte into eax or rax, as the first instruction. */
    const own = long ? [0x48, 0x8d, 0x05, ...bytes32(-7)] : [0xb8, ...bytes32(CODE)];

    it('jumps into the middle of instructions', () => {
      // test $1,%cl; jz over one byte into the immediate of mov: 05 01000000 90 is add $1,%eax; nop inside b8 ...
      const head = begin(10_000);
      const at = head.length;
      const body = [
        ...[0xf6, 0xc1, 0x01], // test $1,%cl
        ...[0x74, long ? 0x02 : 0x01], // jz: into the mov
        ...(long ? [0x48, 0xba] : [0xba]), // mov $0x90..03c083,%rdx
        ...[0x83, 0xc0, 0x03],
        ...Array<number>(long ? 5 : 1).fill(0x90),
      ];
      const code = [...head, ...body];
      const { cpu, run } = machine(engine, bits, [...code, ...loopTo(at, code.length)]);
      expect(run()).toBe(Exit.Host);
      // Every even count went to add $3,%eax inside the immediate.
      expect(cpu.gpr(RAX)).toBe(15_000);
      // Odd: test jz mov dec jnz. Even: test jz add nops dec jnz. And two before, one after.
      expect(cpu.retired).toBe(5000 * 5 + 5000 * (long ? 10 : 6) + 3);
    });

    it('changes the instruction that it is about to run, in a loop', () => {
      // lea 0(%rip) to the immediate, then: incl (imm); add $imm,%eax.
      const head = begin(3000);
      const at = head.length;
      // incl 1(%rip): the immediate of the add behind it.
      const code = [...head, 0xff, 0x05, ...from(at + 6, 1), 0x05, ...bytes32(0)];
      const { cpu, run } = machine(engine, bits, [...code, ...loopTo(at, code.length)]);
      expect(run()).toBe(Exit.Host);
      expect(cpu.gpr(RAX)).toBe((3000 * 3001) / 2);
      expect(cpu.retired).toBe(3000 * 4 + 3);
    });

    it('stores into its own page a million times', () => {
      const head = begin(200_000);
      const at = head.length;
      // incl 0x800(%rip): data in the page of the code; add %ecx,%eax
      const code = [...head, 0xff, 0x05, ...from(at + 6, 0x800), 0x01, 0xc8];
      const { cpu, memory, run } = machine(engine, bits, [...code, ...loopTo(at, code.length)]);
      expect(run()).toBe(Exit.Host);
      expect(memory.u32(CODE + at + 6 + 0x800)).toBe(200_000);
      expect(cpu.gprLow(RAX)).toBe(((200_000 * 200_001) / 2) | 0);
    });

    it('is ten megabytes of nops', () => {
      const size = 10 << 20;
      const code = new Uint8Array(size + 1).fill(0x90);
      code[size] = 0xc3;
      const { cpu, run } = machine(engine, bits, code, { perm: Perm.R | Perm.X });
      const before = process.memoryUsage().arrayBuffers;
      expect(run()).toBe(Exit.Host);
      expect(cpu.retired).toBe(size + 1);
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 << 20);
    });

    it('is one block of a hundred thousand instructions, several times', () => {
      const head = begin(20);
      const at = head.length;
      const adds = Array.from({ length: 100_000 }, () => [0x83, 0xc0, 0x01]).flat();
      const code = [...head, ...adds];
      const { cpu, run } = machine(engine, bits, [...code, ...loopTo(at, code.length)], {
        perm: Perm.R | Perm.X,
      });
      expect(run()).toBe(Exit.Host);
      expect(cpu.gpr(RAX)).toBe(2_000_000);
      expect(cpu.retired).toBe(20 * 100_002 + 3);
    });

    it('calls itself until the stack ends', () => {
      // inc %eax; call CODE
      const { cpu, run } = machine(engine, bits, [0xff, 0xc0, 0xe8, ...bytes32(-7)]);
      expect(run()).toBe(Exit.Fault);
      expect(cpu.vector).toBe(Vector.PF);
      expect(cpu.address).toBe(STACK - STACK_PAGES * 4096 - word);
      expect(cpu.gpr(RAX)).toBe((STACK_PAGES * 4096 - 64) / word + 1);
    });

    it('recurses deeply and comes back', () => {
      // f: dec %ecx; jz out; call f; out: inc %eax; ret
      const f = [0xff, 0xc9, 0x74, 0x05, 0xe8, ...bytes32(-9), 0xff, 0xc0, 0xc3];
      const head = [...begin(8000), 0xe8, ...bytes32(1), 0xc3];
      const { cpu, run } = machine(engine, bits, [...head, ...f]);
      expect(run()).toBe(Exit.Host);
      expect(cpu.gpr(RAX)).toBe(8000);
      expect(cpu.gpr(RSP)).toBe(STACK - 64 + word);
    });

    it('writes over its own loop through another address of the same frame', () => {
      // incb (%rdi), which is the immediate of add $imm8,%eax before it.
      const head = begin(2000);
      const at = head.length;
      const code = [...head, 0x83, 0xc0, 0x00, 0xfe, 0x07];
      const { cpu, memory, run } = machine(engine, bits, [...code, ...loopTo(at, code.length)], {
        perm: Perm.R | Perm.X,
      });
      const alias = 0x5000_0000;
      memory.map(alias, memory.pfnOf(CODE) ?? 0, 1, Perm.R | Perm.W, 'alias');
      cpu.setGpr(7, alias + at + 2);
      expect(run()).toBe(Exit.Host);
      // Signed bytes from 0 up, 2,000 of them.
      const expected = Array.from({ length: 2000 }, (_, n) => (n << 24) >> 24).reduce((sum, n) => sum + n, 0);
      expect(cpu.gprLow(RAX)).toBe(expected);
      expect(cpu.retired).toBe(2000 * 4 + 3);
    });

    it('fills its own way ahead with other instructions', () => {
      // A rep stosb writes inc %eax's first byte over what follows it: 64 nops become 32 times inc %eax by two bytes.
      const fillWith = (byte: number, offset: number): number[] => [
        // lea offset(%rip),%rdi
        ...(long ? [0x48, 0x8d, 0x3d, ...bytes32(offset)] : [0xbf, ...from(5, offset)]),
        ...[0xb9, ...bytes32(64)], // mov $64,%ecx
        ...[0xb0, byte], // mov $byte,%al
        ...[0xf3, 0xaa], // rep stosb
      ];
      // What is written is push %rdx, 64 times, which the stack pointer shows.
      const code = [
        ...fillWith(0x52, 9),
        ...Array<number>(64).fill(0x90),
        ...(long ? [0x48] : []),
        0x89,
        0xe0,
        0xf4,
      ];
      const { cpu, run } = machine(engine, bits, code);
      expect(run()).toBe(Exit.Halt);
      expect(cpu.gpr(RAX)).toBe(STACK - 64 - 64 * word);
    });

    it('is an instruction of sixteen bytes', () => {
      const { cpu, run } = machine(engine, bits, [...Array<number>(15).fill(0x66), 0x90]);
      expect(run()).toBe(Exit.Fault);
      expect([cpu.vector, cpu.rip, cpu.retired]).toEqual([Vector.GP, CODE, 0]);
    });

    it('runs from a page into one that is not there', () => {
      const code = new Uint8Array(4096).fill(0x90);
      // The first two bytes of mov $imm32,%eax.
      code.set([0xb8, 0x01], 4094);
      const { cpu, memory, run } = machine(engine, bits, code);
      memory.unmap(CODE + 4096, 1);
      for (let n = 0; n < 5; n++) {
        const before = cpu.retired;
        expect(run()).toBe(Exit.Fault);
        expect([cpu.vector, cpu.address, cpu.rip]).toEqual([Vector.PF, CODE + 4096, CODE + 4094]);
        expect(cpu.retired - before).toBe(4094);
      }
    });

    it('jumps to twenty thousand places in turn', () => {
      // Each is inc %eax; jmp *%rdx, where rdx steps on through the places by add $16,%rdx before: bounded work for each.
      const places = 20_000;
      const code = new Uint8Array(places * 16 + 16).fill(0x90);
      for (let n = 0; n < places; n++)
        code.set([0xff, 0xc0, ...(long ? [0x48] : []), 0x83, 0xc2, 0x10, 0xff, 0xe2], n * 16);
      code.set([0xc3], places * 16);
      const { cpu, run } = machine(engine, bits, code, { perm: Perm.R | Perm.X });
      const memory = process.memoryUsage().arrayBuffers;
      for (let n = 0; n < 3; n++) {
        cpu.setGpr(RAX, 0);
        cpu.setGpr(2, CODE);
        expect(run()).toBe(Exit.Host);
        expect(cpu.gpr(RAX)).toBe(places);
      }
      expect(cpu.retired).toBe(3 * (places * 3 + 1));
      expect(process.memoryUsage().arrayBuffers - memory).toBeLessThan(64 << 20);
    });

    const endless: Readonly<Record<string, readonly number[]>> = {
      'an empty loop': [0xeb, 0xfe],
      'a loop that stores into itself': [0xff, 0x05, ...from(6, 0x100), 0xeb, 0xf8],
      'a loop that rewrites its next instruction': [0xfe, 0x05, ...from(6, 1), 0xb0, 0x00, 0xeb, 0xf6],
      'calls and returns': [0xe8, ...bytes32(2), 0xeb, 0xf9, 0xc3],
      'indirect jumps': [...own, 0xff, 0xe0],
      'returns through pushed addresses': [...own, 0x50, 0xc3],
      'rep stosb over and over': [
        ...(long ? [0x48, 0xc7, 0xc7] : [0xbf]),
        ...bytes32(DATA),
        0xb9,
        ...bytes32(4096),
        0xf3,
        0xaa,
        0xeb,
        long ? 0xf0 : 0xf2,
      ],
      'a loop that never takes a branch back but through the middle': [0xeb, 0x01, 0xe9, 0xeb, 0xfb],
    };
    it.each(Object.entries(endless))('does not outrun its budget: %s', (_name, code) => {
      const { cpu, run } = machine(engine, bits, code);
      for (const budget of [1, 10, 1000, 30_001]) {
        const before = cpu.retired;
        expect(run(budget)).toBe(Exit.Budget);
        expect(cpu.retired - before).toBeGreaterThanOrEqual(budget);
        expect(cpu.retired - before).toBeLessThan(budget + SLACK);
      }
    });
  },
);

describe.each([64, 32] as const)('bytes that mean nothing, %d bits', { timeout: 240_000 }, (bits) => {
  it('end the same way under every engine, within the budget', () => {
    const seed = seedOfRun();
    const rounds = process.env.LKM_FULL === '1' ? 5000 : 40;
    for (let round = 0; round < rounds; round++) {
      const random = new Random(seed + round * 7919);
      const code = Uint8Array.from({ length: 1024 }, () => random.below(256));
      // Half of them begin as a loop over the noise, so that it is run often enough to be translated.
      if (round % 2 === 0) code.set([0xff, 0xc1, 0x90, 0xeb, 0x02], 0);
      const made = ENGINES.map((engine) => {
        const one = machine(engine, bits, code);
        for (let n = 0; n < bits / 4; n++) if (n !== RSP) one.cpu.setGpr(n, DATA + 256 * n);
        const exit = one.run(20_000);
        expect(one.cpu.retired, `seed ${seed}, round ${round}`).toBeLessThan(20_000 + SLACK);
        return outcome(one, exit);
      });
      for (const text of made) expect(text, `seed ${seed}, round ${round}`).toBe(made[0]);
    }
  });
});
