/** A machine whose "decoder" runs functions registered for addresses: IR programs without any encoding. */
import { Cpu, type CpuMachine } from '../../src/cpu/cpu.ts';
import type { Engine } from '../../src/cpu/engines.ts';
import type { BlockBuilder, CallFinder, Inspection, Translator } from '../../src/cpu/ir.ts';
import { GuestMemory, Perm } from '../../src/memory/space.ts';

export const CODE = -0x3fff_0000;
export const DATA = -0x3000_0000;
const STACK = -0x2000_0000;
const DIRECT = -0x7780_0000_0000;
const RW = Perm.R | Perm.W;

/** Each instruction is 4 bytes long and described by one function. */
export type Program = readonly ((b: BlockBuilder) => void)[];

class ScriptTranslator implements Translator {
  readonly frameRegisters = { sp: 4, fp: 5 };

  callFinder(): CallFinder {
    return { caller: () => undefined, forget: () => {} };
  }

  inspect(): Inspection {
    return { length: 1, text: '(scripted)', flow: 'jump', target: undefined };
  }

  accesses(): [] {
    return [];
  }

  readonly programs = new Map<number, (b: BlockBuilder) => void>();

  load(at: number, program: Program): void {
    program.forEach((instruction, i) => {
      this.programs.set(at + i * 4, instruction);
    });
  }

  translate(fetch: (va: number) => number, pc: number, builder: BlockBuilder): void {
    for (let at = pc; ; at += 4) {
      for (let i = 0; i < 4; i++) fetch(at + i);
      const instruction = this.programs.get(at);
      if (!builder.begin(at, 4)) return;
      if (instruction === undefined) builder.undefined('undefined-opcode');
      else instruction(builder);
      if (builder.ended) return;
    }
  }
}

const machine: CpuMachine = {
  cpuid: (leaf, subleaf) => ({ eax: leaf + 1, ebx: 0x756e6547, ecx: subleaf, edx: 0xffffffff }),
  rdmsr: (index) => (index === 0x10 ? 0x1_0000_0002n : undefined),
  wrmsr: (index) => index === 0x10,
  in: (port) => port * 2,
  out: () => {},
  tsc: () => 0x1234_5678_9abc_def0n,
};

export interface Setup {
  readonly memory: GuestMemory;
  readonly cpu: Cpu;
  readonly translator: ScriptTranslator;
}

/** 4 pages of code, 4 of data (the last with nothing after it), a stack. */
export function setup(program: Program = [], overrides: Partial<CpuMachine> = {}, engine?: Engine): Setup {
  const memory = new GuestMemory({ ramBytes: 1 << 20, directMap: DIRECT, codeCacheBytes: 1 << 18 });
  memory.map(CODE, 16, 4, Perm.R | Perm.X, 'code');
  memory.map(DATA, 32, 4, RW, 'data');
  memory.map(STACK - 0x4000, 48, 4, RW, 'stack');
  const translator = new ScriptTranslator();
  translator.load(CODE, program);
  const cpu = new Cpu(memory, { ...machine, ...overrides }, translator, { engine });
  cpu.rip = CODE;
  cpu.setGpr(4, STACK);
  return { memory, cpu, translator };
}
