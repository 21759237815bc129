/**
 * Functions of real kernel modules called in a bare guest: the module's sections at module addresses, relocated by
 * the few x86-64 types modules have, and stubs in guest code for what it imports. No kernel is involved.
 */
import { readFileSync } from 'node:fs';
import { Cpu, Exit } from '../../src/cpu/cpu.ts';
import { X86Translator } from '../../src/cpu/x86/lift.ts';
import { readElfObject } from '../../src/formats/elf/object.ts';
import type { ObjectFile, ObjectRelocation, ObjectSymbol } from '../../src/formats/object.ts';
import { GuestMemory, Perm } from '../../src/memory/space.ts';
import { EMPTY_MACHINE } from '../cpu/x86/guest.ts';

const MODULE_BASE = -0x40000000; // 0xffffffffc0000000
const STUB_BASE = -0x7f000000; // 0xffffffff81000000
const RETURN_TO = STUB_BASE + 0x800;
const DATA_BASE = -0x778000000000; // 0xffff888000000000
const DATA_PAGES = 64;
const STACK_BASE = DATA_BASE + 0x10000000;
const STACK_PAGES = 8;
const GS_BASE = DATA_BASE + 0x20000000;
const ARGUMENTS = [7, 6, 2, 1, 8, 9];
const BUDGET = 200_000_000;

/** Guest code of imported functions. */
const STUBS: Record<string, number[]> = {
  __fentry__: [0xc3],
  // ret; the mitigated thunk does the same in more instructions.
  __x86_return_thunk: [0xc3],
  // mov %rdi,%rax; mov %rdx,%rcx; rep movsb; ret
  memcpy: [0x48, 0x89, 0xf8, 0x48, 0x89, 0xd1, 0xf3, 0xa4, 0xc3],
  // mov %rdi,%r9; mov %esi,%eax; mov %rdx,%rcx; rep stosb; mov %r9,%rax; ret
  memset: [0x49, 0x89, 0xf9, 0x89, 0xf0, 0x48, 0x89, 0xd1, 0xf3, 0xaa, 0x4c, 0x89, 0xc8, 0xc3],
  __stack_chk_fail: [0x0f, 0x0b],
};
/** Relocation types (System V ABI, x86-64 supplement, table 4.9). */
const R = { ABS64: 1, PC32: 2, PLT32: 4, ABS32: 10, ABS32S: 11 } as const;

export class ModuleProgram {
  readonly memory = new GuestMemory({ ramBytes: 16 << 20, directMap: undefined });
  readonly cpu: Cpu;
  readonly #object: ObjectFile;
  readonly #base = new Map<number, number>();
  readonly #stubs = new Map<string, number>();
  #free = DATA_BASE;

  constructor(path: string) {
    this.#object = readElfObject(readFileSync(path));
    this.#map(DATA_BASE, DATA_PAGES);
    this.#map(STACK_BASE, STACK_PAGES);
    this.#map(GS_BASE, 1);
    this.#map(STUB_BASE, 1);
    this.#place();
    for (const section of this.#base.keys()) {
      for (const relocation of this.#object.relocations(section)) this.#relocate(relocation);
    }
    this.cpu = new Cpu(this.memory, EMPTY_MACHINE, new X86Translator());
    this.cpu.gsBase = GS_BASE;
    this.cpu.addHostEntry(RETURN_TO, 1);
  }

  #map(base: number, pages: number): void {
    for (let n = 0; n < pages; n++) {
      const pfn = this.memory.frames.allocate(0);
      this.memory.map(base + n * 4096, pfn, 1, Perm.R | Perm.W | Perm.X, 'test');
    }
  }

  /** Gives every allocated section whole pages. */
  #place(): void {
    let at = MODULE_BASE;
    for (const section of this.#object.sections) {
      if (!section.allocated || section.size === 0) continue;
      const pages = Math.ceil(section.size / 4096);
      this.#map(at, pages);
      this.memory.poke(at, section.data);
      this.#base.set(section.index, at);
      at += pages * 4096;
    }
  }

  #stub(name: string): number {
    let at = this.#stubs.get(name);
    if (at === undefined) {
      at = STUB_BASE + this.#stubs.size * 32;
      // Whatever else is imported must not be reached: ud2.
      this.memory.poke(at, Uint8Array.from(STUBS[name] ?? [0x0f, 0x0b]));
      this.#stubs.set(name, at);
    }
    return at;
  }

  #addressOf(symbol: ObjectSymbol): number | undefined {
    if (symbol.place === 'undefined') return this.#stub(symbol.name);
    if (symbol.place === 'absolute') return symbol.value;
    const base = this.#base.get(symbol.section);
    return base === undefined ? undefined : base + symbol.value;
  }

  #relocate({ section, offset, type, symbol, addend }: ObjectRelocation): void {
    const target = this.#addressOf(this.#object.symbols[symbol]);
    if (target === undefined) return;
    const at = this.#base.get(section)! + offset;
    const value = target + (addend ?? 0);
    const bytes = new Uint8Array(type === R.ABS64 ? 8 : 4);
    const view = new DataView(bytes.buffer);
    if (type === R.ABS64) view.setBigInt64(0, BigInt(value), true);
    else if (type === R.PC32 || type === R.PLT32) view.setInt32(0, value - at, true);
    else if (type === R.ABS32 || type === R.ABS32S) view.setInt32(0, value, true);
    else throw new Error(`relocation type ${type}`);
    this.memory.poke(at, bytes);
  }

  /** Room for data, 64-byte aligned, filled with `bytes`. */
  data(bytes: Uint8Array | number): bigint {
    const length = typeof bytes === 'number' ? bytes : bytes.length;
    const at = this.#free;
    this.#free += Math.ceil((length + 1) / 64) * 64;
    if (this.#free > DATA_BASE + DATA_PAGES * 4096) throw new Error('test data does not fit');
    if (typeof bytes !== 'number') this.memory.write(at, bytes);
    return BigInt(at);
  }

  bytes(at: bigint, length: number): Uint8Array {
    return this.memory.bytes(Number(at), length);
  }

  /** Address of a symbol the module defines. */
  symbol(name: string): number {
    const found = this.#object.symbols.find((item) => item.name === name && item.place === 'section');
    const at = found && this.#addressOf(found);
    if (at === undefined) throw new Error(`no symbol ${name}`);
    return at;
  }

  /** Calls a function of the module; returns rax. */
  call(name: string, ...args: bigint[]): bigint {
    const { cpu, memory } = this;
    const rsp = STACK_BASE + STACK_PAGES * 4096 - 64 - 8;
    memory.setPtr(rsp, RETURN_TO);
    cpu.setGpr(4, rsp);
    cpu.rflags = 0x202;
    args.forEach((value, n) => {
      cpu.setGprBig(ARGUMENTS[n], value);
    });
    const entry = this.symbol(name);
    cpu.rip = entry;
    const exit = cpu.run(BUDGET);
    if (exit !== Exit.Host) {
      throw new Error(`${name}: exit ${exit}, vector ${cpu.vector} (${cpu.reason}) at +${cpu.rip - entry}`);
    }
    return cpu.gprBig(0);
  }
}
