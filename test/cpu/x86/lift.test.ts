import { describe, expect, it } from 'vitest';
import { Cpu, Exit, Vector } from '../../../src/cpu/cpu.ts';
import { coverage, describeInstruction, X86Translator } from '../../../src/cpu/x86/lift.ts';
import { GuestMemory, Perm } from '../../../src/memory/space.ts';
import { EMPTY_MACHINE } from './guest.ts';
import { Random, seedOfRun } from './random.ts';

const CODE = -0x40000000;
const STACK = -0x30000000;

/** A guest with two code pages that lie apart, the second only when asked for, and a stack. */
function guest(secondPage: boolean): { cpu: Cpu; memory: GuestMemory } {
  const memory = new GuestMemory({ ramBytes: 8 << 20, directMap: undefined });
  const { frames } = memory;
  const second = frames.allocate(0);
  frames.allocate(0);
  memory.map(CODE, frames.allocate(0), 1, Perm.R | Perm.X, 'code');
  if (secondPage) memory.map(CODE + 4096, second, 1, Perm.R | Perm.X, 'code');
  memory.map(STACK, frames.allocate(0), 1, Perm.R | Perm.W, 'stack');
  const cpu = new Cpu(memory, EMPTY_MACHINE, new X86Translator());
  cpu.setGpr(4, STACK + 2048);
  return { cpu, memory };
}

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

describe('x86 translator', () => {
  it('runs an instruction that goes on in the next page', () => {
    const bytes = hex('48 b8 88 77 66 55 44 33 22 11');
    for (let inFirst = 1; inFirst < bytes.length; inFirst++) {
      const { cpu, memory } = guest(true);
      const at = CODE + 4096 - inFirst;
      memory.poke(at, bytes);
      cpu.addHostEntry(at + bytes.length, 7);
      cpu.rip = at;
      expect(cpu.run(10)).toBe(Exit.Host);
      expect(cpu.gprBig(0)).toBe(0x1122334455667788n);
      expect(cpu.retired).toBe(1);
    }
  });

  it('faults at the page that is missing, with the state before the instruction', () => {
    const { cpu, memory } = guest(false);
    const at = CODE + 4096 - 6;
    // mov $7,%ebx; then the first byte of mov $..,%eax
    memory.poke(at, hex('bb 07 00 00 00 b8'));
    cpu.rip = at;
    expect(cpu.run(10)).toBe(Exit.Fault);
    expect(cpu.vector).toBe(Vector.PF);
    expect(cpu.address).toBe(CODE + 4096);
    expect(cpu.access).toBe('execute');
    expect(cpu.rip).toBe(CODE + 4096 - 1);
    expect(cpu.gpr(3)).toBe(7);
    expect(cpu.retired).toBe(1);
  });

  it('refuses by name what it does not know', () => {
    const { cpu, memory } = guest(true);
    const vaddps = hex('c5 f8 58 c1');
    memory.poke(CODE, vaddps);
    cpu.rip = CODE;
    expect(cpu.run(10)).toBe(Exit.Fault);
    expect(cpu.vector).toBe(Vector.UD);
    expect(cpu.reason).toBe('unsupported');
    expect(describeInstruction(vaddps, CODE)).toEqual({ text: 'vaddps', length: 4 });
    expect(describeInstruction(hex('06'), CODE).text).toBe('(bad)');
  });

  it('gives every general mnemonic of kernel code a meaning', () => {
    const { refused } = coverage();
    const general =
      'add adc sub sbb and or xor cmp test mov lea push pop call jmp ret movzx movsx movsxd imul mul div idiv inc dec ' +
      'neg not shl shr sar rol ror rcl rcr shld shrd bt bts btr btc bsf bsr tzcnt lzcnt popcnt bswap xchg xadd cmpxchg ' +
      'cmpxchg8b cmpxchg16b cbw cwde cdqe cwd cdq cqo movs stos cmps scas lods ins outs in out pushf popf leave cli sti ' +
      'cld std clac stac rdtsc rdtscp rdmsr wrmsr cpuid lfence mfence sfence pause nop int3 ud2 hlt swapgs iret verw';
    expect(general.split(' ').filter((name) => refused.includes(name))).toEqual([]);
  });

  it('never harms the host, whatever the bytes', () => {
    const seed = seedOfRun();
    const random = new Random(seed);
    const exits = new Set<number>(Object.values(Exit));
    const { cpu, memory } = guest(true);
    const blob = new Uint8Array(256);
    for (let n = 0; n < 300; n++) {
      for (let k = 0; k < blob.length; k++) blob[k] = random.bits();
      memory.poke(CODE, blob);
      for (let r = 0; r < 16; r++) cpu.setGprBig(r, random.oneIn(2) ? random.word64() : BigInt(STACK + 2048));
      cpu.rflags = 0x202;
      cpu.cpl = 0;
      // Jumps into the middle of instructions as well.
      for (let start = 0; start < 32; start++) {
        cpu.rip = CODE + start;
        expect(exits.has(cpu.run(200)), `seed ${seed}`).toBe(true);
      }
    }
  });
});
