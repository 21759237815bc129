/** A bare machine for hostile code: pages of code, data and stack, and the few bytes that attacks are put together from. */
import { expect } from 'vitest';
import { Cpu, Exit } from '../../../src/cpu/cpu.ts';
import { ENGINES, type Engine } from '../../../src/cpu/engines.ts';
import type { CpuMachine } from '../../../src/cpu/machine.ts';
import { X86Translator } from '../../../src/cpu/x86/lift.ts';
import { GuestMemory, Perm } from '../../../src/memory/space.ts';
import { EMPTY_MACHINE } from './guest.ts';

export const CODE = 0x1000_0000;
export const DATA = 0x2000_0000;
export const STACK = 0x3000_0000;
export const STACK_PAGES = 16;
export const RETURN = 0x4000_0000;
export const RAX = 0;
export const RSP = 4;
export const RWX = Perm.R | Perm.W | Perm.X;
export const PAGE = 4096;

export interface Machine {
  readonly cpu: Cpu;
  readonly memory: GuestMemory;
  /** Runs from the start of the code until it returns, or for so many instructions. */
  run(budget?: number): Exit;
  /** The same without setting anything up: from where it is. */
  goOn(budget?: number): Exit;
}

export interface MachineOptions {
  readonly perm?: number;
  readonly out?: CpuMachine['out'];
  /** One instruction at a time. */
  readonly stepped?: boolean;
}

export function machine(
  engine: Engine,
  bits: 32 | 64,
  code: Uint8Array | readonly number[],
  { perm = RWX, out = EMPTY_MACHINE.out, stepped = false }: MachineOptions = {},
): Machine {
  const pages = Math.max(1, Math.ceil(code.length / 4096)) + 1;
  const memory = new GuestMemory({
    ramBytes: (64 << 20) + pages * 4096,
    directMap: undefined,
    pointerBytes: bits === 64 ? 8 : 4,
  });
  for (let page = 0; page < pages; page++)
    memory.map(CODE + page * 4096, memory.frames.allocate(0), 1, perm, 'code');
  for (let page = 0; page < 4; page++)
    memory.map(DATA + page * 4096, memory.frames.allocate(0), 1, Perm.R | Perm.W, 'data');
  for (let page = 0; page < STACK_PAGES; page++)
    memory.map(STACK - (page + 1) * 4096, memory.frames.allocate(0), 1, Perm.R | Perm.W, 'stack');
  memory.poke(CODE, Uint8Array.from(code));
  const cpu = new Cpu(memory, { ...EMPTY_MACHINE, out }, new X86Translator({ bits }), { engine });
  cpu.addHostEntry(RETURN, 1);
  const goOn = (budget = 1e9): Exit => (stepped ? steps(cpu, budget) : cpu.run(budget));
  const run = (budget = 1e9): Exit => {
    cpu.rip = CODE;
    cpu.rflags = 0x202;
    cpu.setGpr(RSP, STACK - 64);
    memory.setPtr(STACK - 64, RETURN);
    return goOn(budget);
  };
  return { cpu, memory, run, goOn };
}

/** As {@link Cpu.run}, by single steps. */
function steps(cpu: Cpu, budget: number): Exit {
  const goal = cpu.retired + budget;
  for (;;) {
    const from = cpu.rip;
    const exit = cpu.step();
    if (exit !== Exit.Budget) return exit;
    if (cpu.retired >= goal && cpu.stopsBetween(from, cpu.rip)) return Exit.Budget;
  }
}

export const bytes32 = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >> shift) & 255);
/** xor %eax,%eax; mov $n,%ecx */
export const begin = (n: number): number[] => [0x31, 0xc0, 0xb9, ...bytes32(n)];
/** dec %ecx; jnz back to the offset `to`; ret, when what stands before is `at` bytes long. */
export const loopTo = (to: number, at: number): number[] => [
  0xff,
  0xc9,
  0x0f,
  0x85,
  ...bytes32(to - (at + 8)),
  0xc3,
];

/** State after a run, in words. */
export function outcome({ cpu, memory }: Machine, exit: Exit): string {
  const registers = Array.from({ length: 16 }, (_, n) => cpu.gprBig(n).toString(16));
  const fault = exit === Exit.Fault ? `${cpu.vector} ${cpu.errorCode} ${cpu.exactAddress.toString(16)}` : '';
  const sum = [...memory.peek(CODE, 4096), ...memory.peek(DATA, 4 * 4096)].reduce(
    (x, y) => (x * 31 + y) | 0,
    7,
  );
  return `exit ${exit} ${fault} rip ${cpu.rip} flags ${cpu.rflags} retired ${cpu.retired} memory ${sum} ${registers}`;
}

/** Every engine, and single steps. */
export const WAYS: readonly { readonly engine: Engine; readonly stepped: boolean }[] = [
  ...ENGINES.map((engine) => ({ engine, stepped: false })),
  { engine: 'interpreter', stepped: true },
];

/** A place in code: bytes, a name for what follows, the distance to a name from behind it, or its address (4 bytes each). */
export type Part =
  | readonly number[]
  | { readonly label: string }
  | { readonly to: string }
  | { readonly address: string };

// Pieces to put together; what follows CALL and JMP is a distance, what follows MOV a value.
export const CALL = [0xe8];
export const JMP = [0xe9];
export const RET = [0xc3];
export const MOV = {
  eax: [0xb8],
  ecx: [0xb9],
  edx: [0xba],
  ebx: [0xbb],
  ebp: [0xbd],
  esi: [0xbe],
  edi: [0xbf],
};
export const nops = (n: number): number[] => Array<number>(n).fill(0x90);
/** dec %ecx; jnz to the label */
export const again = (label: string): Part[] => [[0xff, 0xc9, 0x0f, 0x85], { to: label }];

/** Puts code together; every address is below 2 GiB, so one form serves both widths. `origin`: where it will lie. */
export function assemble(
  parts: readonly Part[],
  origin = CODE,
): { bytes: number[]; at(label: string): number } {
  const labels = new Map<string, number>();
  let length = 0;
  for (const part of parts) {
    if (Array.isArray(part)) length += part.length;
    else if ('label' in part) labels.set(part.label, length);
    else length += 4;
  }
  const offset = (label: string): number => {
    const found = labels.get(label);
    if (found === undefined) throw new Error(`no label ${label}`);
    return found;
  };
  const bytes: number[] = [];
  for (const part of parts) {
    if (Array.isArray(part)) bytes.push(...part);
    else if ('to' in part) bytes.push(...bytes32(offset(part.to) - bytes.length - 4));
    else if ('address' in part) bytes.push(...bytes32(origin + offset(part.address)));
  }
  return { bytes, at: (label) => origin + offset(label) };
}

/** Runs the same in every way; every part of what is returned must be equal. @returns what the first way gave */
export function same<T>(attack: (way: (typeof WAYS)[number]) => T): T {
  const made = WAYS.map((way) => attack(way));
  WAYS.forEach((way, n) => {
    expect(made[n], `${way.engine}${way.stepped ? ', stepped' : ''}`).toEqual(made[0]);
  });
  return made[0];
}
