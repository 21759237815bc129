/** A bare processor with flat code and no kernel around it: for measuring, and for whoever wants to run a function alone. */

import { GuestMemory, Perm } from '../memory/space.ts';
import { Cpu, type CpuMachine, Exit } from './cpu.ts';
import type { Engine } from './engines.ts';
import { Reg } from './ir.ts';
import { X86Translator } from './x86/lift.ts';

/** Where flat code is to be linked to. */
export const CODE = 0x1000_0000;
const STACK = 0x2000_0000;
const RETURN = 0x3000_0000;
const DIRECT = -0x7780_0000_0000;
/** Data begins here: RAM below it backs code, stack and page tables of the test. */
const DATA = 8 << 20;

const silent: CpuMachine = {
  cpuid: () => ({ eax: 0, ebx: 0, ecx: 0, edx: 0 }),
  rdmsr: () => undefined,
  wrmsr: () => false,
  in: () => 0,
  out: () => {},
  tsc: () => 0n,
};

export interface BareMachine {
  readonly cpu: Cpu;
  readonly memory: GuestMemory;
  /** Address of the first byte that data may take. */
  readonly data: number;
  /**
   * Calls the first byte of the code with up to six arguments (System V order); the result register.
   * @throws when the code does anything but return
   */
  call(...args: readonly number[]): bigint;
}

/**
 * A function of some instructions of each kind: (bytes, n, out) mixes bytes through a call in a loop with two ways, counts in a
 * table on its stack, and writes bytes.
 */
const SAMPLE = [
  '41564155415455534883ec104889f5c7042401000000c744240402000000c744240803000000c744240c040000004885f674554989fc4989',
  'd5bb0000000041be00000000bf01000000eb1d83e003486304844901c689f80fb6c44188441d004883c3014839dd7428410fb6341ce83000',
  '000089c7a80874d34889d883e00389fac1ea07011484ebcd4989f6bf0100000089f84c31f04883c4105b5d415c415d415ec3400fb6c631f8',
  '69c093010001c3',
];
const SAMPLE_BYTES = 2048;

const prepared = new Set<Engine>();

/**
 * The first translation in a process costs some five times what later ones do: the host engine has to get the translator's own
 * functions going. Emulators set their compilers up when a machine is made; so does this one, with a function of its own on a
 * machine that is thrown away. What is called later is as cold as ever.
 */
function prepare(engine: Engine): void {
  if (prepared.has(engine)) return;
  prepared.add(engine);
  const digits = SAMPLE.join('');
  const flat = Uint8Array.from({ length: digits.length / 2 }, (_, n) =>
    Number.parseInt(digits.slice(2 * n, 2 * n + 2), 16),
  );
  const { call, data } = machineWith(engine, flat, 2 * SAMPLE_BYTES);
  call(data, SAMPLE_BYTES, data + SAMPLE_BYTES);
}

/**
 * A 64-bit machine with `flat` at {@link CODE}, a stack of 64 KiB, and `dataBytes` of room for data. The first one of an engine
 * makes that ready, which takes some milliseconds.
 */
export function bareMachine(engine: Engine, flat: Uint8Array, dataBytes: number): BareMachine {
  prepare(engine);
  return machineWith(engine, flat, dataBytes);
}

function machineWith(engine: Engine, flat: Uint8Array, dataBytes: number): BareMachine {
  const ramBytes = DATA + ((dataBytes + 0xfffff) & ~0xfffff);
  const memory = new GuestMemory({ ramBytes, directMap: DIRECT });
  memory.map(CODE, 16, Math.ceil(flat.length / 4096), Perm.R | Perm.X, 'code');
  memory.poke(CODE, flat);
  memory.map(STACK - 0x10000, 1024, 16, Perm.R | Perm.W, 'stack');
  const cpu = new Cpu(memory, silent, new X86Translator(), { engine });
  cpu.addHostEntry(RETURN, 1);
  const registers = [Reg.RDI, Reg.RSI, Reg.RDX, Reg.RCX, Reg.R8, Reg.R9];
  const call = (...args: readonly number[]): bigint => {
    cpu.rip = CODE;
    args.forEach((value, n) => {
      cpu.setGpr(registers[n], value);
    });
    cpu.setGpr(Reg.RSP, STACK - 8);
    memory.setPtr(STACK - 8, RETURN);
    const exit = cpu.run(1e12);
    if (exit !== Exit.Host) throw new Error(`the code ended with exit ${exit} at ${cpu.rip.toString(16)}`);
    return cpu.gprBig(Reg.RAX);
  };
  return { cpu, memory, data: DIRECT + DATA, call };
}
