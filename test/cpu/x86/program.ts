/** Loads a static, non-relocatable ELF file into a guest and calls its functions by the C calling convention. */
import { readFileSync } from 'node:fs';
import { Cpu, type CpuMachine, Exit } from '../../../src/cpu/cpu.ts';
import { X86Translator } from '../../../src/cpu/x86/lift.ts';
import { GuestMemory, Perm } from '../../../src/memory/space.ts';
import { EMPTY_MACHINE } from './guest.ts';

const STACK_TOP = 0x40010000;
const STACK_PAGES = 16;
/** Where called functions return to: a host entry, nothing is mapped there. */
const RETURN_TO = 0x10000000;
const ARGUMENTS = [7, 6, 2, 1, 8, 9];
const BUDGET = 500_000_000;

export class Program {
  readonly memory: GuestMemory;
  readonly cpu: Cpu;
  readonly symbols = new Map<string, number>();

  constructor(path: string, machine: CpuMachine = EMPTY_MACHINE) {
    this.memory = new GuestMemory({ ramBytes: 16 << 20, directMap: undefined });
    const stack = this.memory.frames.allocate(4);
    this.memory.map(STACK_TOP - STACK_PAGES * 4096, stack, STACK_PAGES, Perm.R | Perm.W, 'stack');
    this.#load(readFileSync(path));
    this.cpu = new Cpu(this.memory, machine, new X86Translator());
    this.cpu.addHostEntry(RETURN_TO, 1);
  }

  #load(file: Buffer): void {
    const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
    const count = view.getUint16(56, true);
    for (let n = 0; n < count; n++) {
      const at = Number(view.getBigUint64(32, true)) + n * 56;
      if (view.getUint32(at, true) === 1) this.#segment(file, view, at);
    }
    this.#readSymbols(file, view);
  }

  #segment(file: Buffer, view: DataView, at: number): void {
    const [offset, va] = [8, 16].map((field) => Number(view.getBigUint64(at + field, true)));
    const [size, total] = [32, 40].map((field) => Number(view.getBigUint64(at + field, true)));
    const first = Math.floor(va / 4096);
    const pages = Math.ceil((va + total) / 4096) - first;
    for (let n = 0; n < pages; n++) {
      const pfn = this.memory.frames.allocate(0);
      this.memory.map((first + n) * 4096, pfn, 1, Perm.R | Perm.W | Perm.X, 'program');
    }
    this.memory.poke(va, file.subarray(offset, offset + size));
  }

  #readSymbols(file: Buffer, view: DataView): void {
    const sections = Number(view.getBigUint64(40, true));
    const count = view.getUint16(60, true);
    const field = (section: number, offset: number) =>
      Number(view.getBigUint64(sections + section * 64 + offset, true));
    for (let n = 0; n < count; n++) {
      if (view.getUint32(sections + n * 64 + 4, true) !== 2) continue;
      const strings = field(view.getUint32(sections + n * 64 + 40, true), 24);
      for (let at = field(n, 24); at < field(n, 24) + field(n, 32); at += 24) {
        const start = strings + view.getUint32(at, true);
        const name = file.toString('latin1', start, file.indexOf(0, start));
        this.symbols.set(name, Number(view.getBigUint64(at + 8, true)));
      }
    }
  }

  /** Calls a function; returns rax. Throws when it does not come back. */
  call(name: string, args: readonly bigint[]): bigint {
    const { cpu, memory } = this;
    const entry = this.symbols.get(name);
    if (entry === undefined) throw new Error(`no symbol ${name}`);
    // rsp is 8 below a multiple of 16 at a function's entry (System V ABI).
    const rsp = STACK_TOP - 4096 - 8;
    memory.setPtr(rsp, RETURN_TO);
    cpu.setGpr(4, rsp);
    cpu.rflags = 0x202;
    args.forEach((value, n) => {
      cpu.setGprBig(ARGUMENTS[n], value);
    });
    cpu.rip = entry;
    const exit = cpu.run(BUDGET);
    if (exit !== Exit.Host) {
      const where = `${name}+0x${(cpu.rip - entry).toString(16)}`;
      throw new Error(`exit ${exit} vector ${cpu.vector} (${cpu.reason}) at ${where}`);
    }
    return cpu.gprBig(0);
  }
}
