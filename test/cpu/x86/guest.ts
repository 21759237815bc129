/** The simulated processor as the other side of a differential test. */
import { Cpu, type CpuMachine, Exit, Vector } from '../../../src/cpu/cpu.ts';
import type { Engine } from '../../../src/cpu/engines.ts';
import { X86Translator } from '../../../src/cpu/x86/lift.ts';
import { GuestMemory, Perm } from '../../../src/memory/space.ts';
import { type Case, CODE_BASE, GS_BASE, WINDOW_BASE, WINDOW_SIZE, windowOf } from './cases.ts';
import { Ending, type Outcome } from './native.ts';

/** A machine with nothing around the processor. */
export const EMPTY_MACHINE: CpuMachine = {
  cpuid: () => ({ eax: 0, ebx: 0, ecx: 0, edx: 0 }),
  rdmsr: () => undefined,
  wrmsr: () => false,
  in: (_port, size) => (size === 1 ? 0xff : size === 2 ? 0xffff : -1),
  out: () => {},
  tsc: () => 0n,
};

const CODE_PAGES = 2;
/** More than any case can retire. */
const BUDGET = 100_000;

/** What the simulated processor adds to an outcome. */
export interface GuestOutcome extends Outcome {
  /** The translator refused an instruction by name. */
  readonly unsupported: boolean;
}

/** One processor with the code page and the memory window of the native harness. */
export class GuestRunner {
  readonly cpu: Cpu;
  readonly #memory: GuestMemory;

  constructor(engine?: Engine, bits: 32 | 64 = 64) {
    const pointerBytes = bits === 64 ? 8 : 4;
    this.#memory = new GuestMemory({ ramBytes: 16 << 20, directMap: undefined, pointerBytes });
    const frames = this.#memory.frames;
    this.#memory.map(CODE_BASE, frames.allocate(1), CODE_PAGES, Perm.R | Perm.W | Perm.X, 'code');
    // The window's pages lie apart and in reverse, so that accesses across the page boundary are found out.
    const second = frames.allocate(0);
    frames.allocate(0);
    this.#memory.map(WINDOW_BASE, frames.allocate(0), 1, Perm.R | Perm.W, 'window');
    this.#memory.map(WINDOW_BASE + 4096, second, 1, Perm.R | Perm.W, 'window');
    this.cpu = new Cpu(this.#memory, EMPTY_MACHINE, new X86Translator({ bits }), { engine });
  }

  /** Runs a case; `stepped` one instruction at a time, which must make no difference. */
  run(item: Case, stepped = false): GuestOutcome {
    const { cpu } = this;
    const before = windowOf(item.seed);
    this.#memory.write(WINDOW_BASE, before);
    this.#memory.poke(CODE_BASE, item.code);
    const end = CODE_BASE + item.code.length;
    cpu.addHostEntry(end, 1);
    for (let n = 0; n < 16; n++) cpu.setGprBig(n, item.gpr[n]);
    for (let n = 0; n < 16; n++) cpu.xmm(n).set(item.xmm.subarray(n * 16, n * 16 + 16));
    cpu.rflags = item.flags;
    cpu.gsBase = GS_BASE;
    cpu.mxcsr = 0x1f80;
    cpu.rip = CODE_BASE;
    const start = cpu.retired;
    let exit = stepped ? cpu.step() : cpu.run(BUDGET);
    while (stepped && exit === Exit.Budget) exit = cpu.step();
    const outcome = this.#outcome(exit, before, cpu.retired - start);
    cpu.removeHostEntry(end);
    return outcome;
  }

  #outcome(exit: Exit, before: Uint8Array, retired: number): GuestOutcome {
    const { cpu } = this;
    const gpr = BigUint64Array.from({ length: 16 }, (_, n) => cpu.gprBig(n));
    const xmm = new Uint8Array(256);
    for (let n = 0; n < 16; n++) xmm.set(cpu.xmm(n), n * 16);
    const after = this.#memory.bytes(WINDOW_BASE, WINDOW_SIZE);
    const changes: [number, number][] = [];
    for (let n = 0; n < WINDOW_SIZE; n++) if (after[n] !== before[n]) changes.push([n, after[n]]);
    const ending = endingOf(exit, cpu.vector);
    return {
      ending,
      rip: cpu.rip,
      faultAddress: ending === Ending.PageFault ? cpu.exactAddress : 0n,
      gpr,
      flags: cpu.rflags,
      xmm,
      changes,
      unsupported: exit === Exit.Fault && cpu.vector === Vector.UD && cpu.reason === 'unsupported',
      retired,
    };
  }
}

function endingOf(exit: Exit, vector: number): number {
  if (exit === Exit.Host) return Ending.End;
  if (exit === Exit.Interrupt) return Ending.Trap;
  if (exit !== Exit.Fault) return Ending.Other;
  switch (vector) {
    case Vector.DE:
      return Ending.DivideError;
    case Vector.UD:
      return Ending.Undefined;
    case Vector.PF:
      return Ending.PageFault;
    case Vector.GP:
      return Ending.Protection;
    default:
      return Ending.Other;
  }
}
