import { expect, test } from 'vitest';
import { Cpu, type CpuMachine, Exit } from '../../src/cpu/cpu.ts';
import type { Engine } from '../../src/cpu/engines.ts';
import { Reg, type Sample } from '../../src/cpu/ir.ts';
import { rehearse } from '../../src/cpu/rehearsal.ts';
import { X86Translator } from '../../src/cpu/x86/lift.ts';
import type { GuestMemory } from '../../src/memory/space.ts';

const refuse = (): never => {
  throw new Error('the sample asks for nothing of the machine');
};
const machine: CpuMachine = {
  cpuid: refuse,
  rdmsr: refuse,
  wrmsr: refuse,
  in: refuse,
  out: refuse,
  tsc: refuse,
};

/** What the sample leaves behind on one engine. */
function run(engine: Engine) {
  const translator = new X86Translator();
  const exits: Exit[] = [];
  let made: { cpu: Cpu; memory: GuestMemory } | undefined;
  rehearse(translator.sample as Sample, Reg.RSP, (memory) => {
    const cpu = new Cpu(memory, machine, translator, { engine });
    made = { cpu, memory };
    const whole = cpu.run.bind(cpu);
    cpu.run = (budget) => {
      const exit = whole(budget);
      exits.push(exit);
      return exit;
    };
    return cpu;
  });
  if (made === undefined) throw new Error('no processor was asked for');
  const { cpu, memory } = made;
  const registers = Array.from({ length: 16 }, (_, n) => cpu.gprBig(n));
  return {
    exits,
    registers,
    retired: cpu.retired,
    regions: cpu.regions,
    data: memory.bytes(memory.directMap(2), 12288),
  };
}

test('the sample runs to its return, is translated, and does the same on either engine', () => {
  const [one, other] = [run('interpreter'), run('wasm')];
  expect(one.exits).toEqual([Exit.Host]);
  expect(one.regions).toBe(0);
  expect(other.regions).toBeGreaterThanOrEqual(3);
  expect({ ...other, regions: 0 }).toEqual(one);
});

test('there is none for 32-bit code', () => {
  expect(new X86Translator({ bits: 32 }).sample).toBeUndefined();
});
