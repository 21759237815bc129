/** Loads a static, non-relocatable ELF file into a guest and calls its functions by the C calling convention. */
import { readFileSync } from 'node:fs';
import type { Convention } from '../../../src/abi/convention.ts';
import { I386 } from '../../../src/abi/i386.ts';
import { SystemV } from '../../../src/abi/sysv.ts';
import { Cpu, type CpuMachine, Exit } from '../../../src/cpu/cpu.ts';
import type { Engine } from '../../../src/cpu/engines.ts';
import { X86Translator } from '../../../src/cpu/x86/lift.ts';
import { GuestMemory, Perm } from '../../../src/memory/space.ts';
import { EMPTY_MACHINE } from './guest.ts';

const STACK_TOP = 0x40010000;
const STACK_PAGES = 16;
/** Where called functions return to: a host entry, nothing is mapped there. */
const RETURN_TO = 0x10000000;
const BUDGET = 500_000_000;
/** Section header type of a symbol table. */
const SYMBOL_TABLE = 2;

/** Offsets in the headers of the two classes of ELF files. */
const CLASSES = {
  32: {
    header: [28, 42, 44],
    segment: [4, 8, 16, 20],
    sections: [32, 46, 48],
    section: [16, 20, 24],
    symbol: [16, 4],
  },
  64: {
    header: [32, 54, 56],
    segment: [8, 16, 32, 40],
    sections: [40, 58, 60],
    section: [24, 32, 40],
    symbol: [24, 8],
  },
} as const;

export interface ProgramOptions {
  readonly machine?: CpuMachine;
  readonly engine?: Engine;
}

export class Program {
  readonly memory: GuestMemory;
  readonly cpu: Cpu;
  readonly symbols = new Map<string, number>();
  readonly bits: 32 | 64;
  readonly #convention: Convention;
  readonly #file: Buffer;
  readonly #view: DataView;

  constructor(path: string, { machine = EMPTY_MACHINE, engine }: ProgramOptions = {}) {
    this.#file = readFileSync(path);
    this.#view = new DataView(this.#file.buffer, this.#file.byteOffset, this.#file.byteLength);
    this.bits = this.#file[4] === 1 ? 32 : 64;
    const pointerBytes = this.bits === 32 ? 4 : 8;
    this.memory = new GuestMemory({ ramBytes: 16 << 20, directMap: undefined, pointerBytes });
    const stack = this.memory.frames.allocate(4);
    this.memory.map(STACK_TOP - STACK_PAGES * 4096, stack, STACK_PAGES, Perm.R | Perm.W, 'stack');
    this.#load();
    this.cpu = new Cpu(this.memory, machine, new X86Translator({ bits: this.bits }), { engine });
    this.#convention = this.bits === 32 ? new I386(this.memory, 'cdecl') : new SystemV(this.memory);
    this.cpu.addHostEntry(RETURN_TO, 1);
  }

  #word(at: number): number {
    return this.bits === 32 ? this.#view.getUint32(at, true) : Number(this.#view.getBigUint64(at, true));
  }

  #load(): void {
    const [table, size, count] = CLASSES[this.bits].header;
    const start = this.#word(table);
    for (let n = 0; n < this.#view.getUint16(count, true); n++) {
      const at = start + n * this.#view.getUint16(size, true);
      if (this.#view.getUint32(at, true) === 1) this.#segment(at);
    }
    this.#readSymbols();
  }

  #segment(at: number): void {
    const [offset, va, size, total] = CLASSES[this.bits].segment.map((field) => this.#word(at + field));
    const first = Math.floor(va / 4096);
    const pages = Math.ceil((va + total) / 4096) - first;
    for (let n = 0; n < pages; n++) {
      const pfn = this.memory.frames.allocate(0);
      this.memory.map((first + n) * 4096, pfn, 1, Perm.R | Perm.W | Perm.X, 'program');
    }
    this.memory.poke(va, this.#file.subarray(offset, offset + size));
  }

  #readSymbols(): void {
    const view = this.#view;
    const { sections, section, symbol } = CLASSES[this.bits];
    const [table, size, count] = sections;
    const header = (n: number) => this.#word(table) + n * view.getUint16(size, true);
    const field = (n: number, which: number) => this.#word(header(n) + section[which]);
    for (let n = 0; n < view.getUint16(count, true); n++) {
      if (view.getUint32(header(n) + 4, true) !== SYMBOL_TABLE) continue;
      const strings = field(view.getUint32(header(n) + section[2], true), 0);
      for (let at = field(n, 0); at < field(n, 0) + field(n, 1); at += symbol[0]) {
        const start = strings + view.getUint32(at, true);
        const name = this.#file.toString('latin1', start, this.#file.indexOf(0, start));
        this.symbols.set(name, this.#word(at + symbol[1]));
      }
    }
  }

  /** Calls a function; returns its 64-bit result. A bigint argument is 64 bits wide. Throws when it does not come back. */
  call(name: string, args: readonly (number | bigint)[]): bigint {
    const { cpu } = this;
    const entry = this.symbols.get(name);
    if (entry === undefined) throw new Error(`no symbol ${name}`);
    cpu.setGpr(4, STACK_TOP - 4096);
    cpu.rflags = 0x202;
    this.#convention.enterFunction(cpu, entry, args, RETURN_TO);
    const exit = cpu.run(BUDGET);
    if (exit !== Exit.Host) {
      const where = `${name}+0x${(cpu.rip - entry).toString(16)}`;
      throw new Error(`exit ${exit} vector ${cpu.vector} (${cpu.reason}) at ${where}`);
    }
    return this.#convention.resultBig(cpu);
  }
}
