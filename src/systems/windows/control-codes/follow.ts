/**
 * Follows machine code with what is known of a request: from a pointer to the IO_STACK_LOCATION, or from a control code that
 * was handed over, to the comparisons, jump tables and calls that the code goes through. Nothing is executed; both sides of a
 * branch are followed, and what is not understood is not known any more.
 */
import { Decode, Decoder, Instruction, Operand, RIP_BASE } from '../../../cpu/x86/decode.ts';
import { mnemonicName } from '../../../cpu/x86/table.ts';
import { MACHINE, SECTION } from '../../../formats/pe/layout.ts';
import type { PeFile, PeSection } from '../../../formats/pe/read.ts';
import {
  CODE,
  type CodeValue,
  codeAt,
  MAX_CASES,
  numberOf,
  plus,
  State,
  shifted,
  type TableValue,
  type Value,
} from './values.ts';

const SP = 4;
const BP = 5;
/** Instructions followed in one image; a driver of a megabyte has about this many. */
const MAX_STEPS = 400_000;
/** Instructions followed from one start. */
const MAX_STEPS_EACH = 10_000;
/** Different states that one instruction is followed with. */
const MAX_STATES = 6;
const MAX_STARTS = 4000;
const MAX_SUMMARY = 60;
/** Registers that a call leaves undefined: rax, rcx, rdx, r8 to r11; eax, ecx, edx. */
const VOLATILE = { 64: [0, 1, 2, 8, 9, 10, 11], 32: [0, 1, 2] } as const;
const ARGUMENTS_64 = [1, 2, 8, 9];
const HOME_BYTES = 32;
const STACK_ARGUMENTS = 8;
/** Bytes of a structure on the stack that a function is handed. */
const MAX_HANDED = 256;

/** Where a request keeps what is looked for (facts of wdm.h): IRP.Tail.Overlay.CurrentStackLocation, Parameters.DeviceIoControl.IoControlCode. */
const OFFSETS = { 64: { location: 0xb8, code: 0x18 }, 32: { location: 0x60, code: 0xc } } as const;

const JCC = { b: 2, ae: 3, e: 4, ne: 5, be: 6, a: 7, le: 14, g: 15 } as const;

/** A place to begin at, and what is known there. */
interface Start {
  readonly at: number;
  readonly state: State;
}

interface Summary {
  /** The function gives the stack location of the request it is called with, as inline functions do that were not inlined. */
  readonly location: boolean;
  /** Bytes of arguments that it takes off the stack. */
  readonly pops: number | undefined;
  /** It sets up a frame that is not its own. */
  readonly frames: boolean;
}

export class Follower {
  /** Control codes that were compared with. */
  readonly found = new Set<number>();
  private readonly mode: 32 | 64;
  /** What addresses in code are relative to: 32-bit code names them as numbers, 64-bit code by distance. */
  private readonly base: number;
  private readonly decoder: Decoder;
  private readonly seen = new Map<number, Set<string>>();
  private readonly queue: Start[] = [];
  private readonly started = new Set<string>();
  private readonly summaries = new Map<number, Summary>();
  private readonly pe: PeFile;
  private readonly code: readonly PeSection[];
  private left: number;

  constructor(pe: PeFile, steps = MAX_STEPS) {
    this.pe = pe;
    this.left = steps;
    this.mode = pe.header.machine === MACHINE.AMD64 ? 64 : 32;
    this.base = this.mode === 64 ? 0 : Number(pe.header.imageBase);
    this.decoder = new Decoder(this.mode);
    this.code = pe.sections.filter(({ flags }) => (flags & SECTION.EXECUTE) !== 0);
  }

  /** Follows code from an RVA with nothing known but the frame; then whatever it hands a request to. */
  from(rva: number): void {
    this.begin(rva + this.base, this.entry());
  }

  /**
   * Follows a function from its start, with the control code as its n-th argument (from 1).
   * @returns what that is compared with
   */
  withArgument(rva: number, n: number): number[] {
    this.found.clear();
    const state = this.entry();
    const word = this.mode / 8;
    if (this.mode === 64 && n <= 4) state.registers[ARGUMENTS_64[n - 1]] = CODE;
    else state.setSlot({ kind: 'frame', frame: 0, offset: n * word }, CODE);
    this.begin(rva + this.base, state);
    return [...this.found];
  }

  private entry(): State {
    const state = new State();
    state.registers[SP] = { kind: 'frame', frame: 0, offset: 0 };
    state.registers[BP] = { kind: 'frame', frame: 1, offset: 0 };
    return state;
  }

  private begin(at: number, state: State): void {
    this.enqueue(at, state);
    for (let one = this.queue.pop(); one !== undefined; one = this.queue.pop()) {
      if (this.left <= 0) this.queue.length = 0;
      else this.walk(one);
    }
  }

  private enqueue(at: number, state: State): void {
    const key = `${at}|${state.signature()}`;
    if (this.started.size >= MAX_STARTS || this.started.has(key)) return;
    this.started.add(key);
    this.queue.push({ at, state });
  }

  private bytes(address: number): Uint8Array | undefined {
    const rva = address - this.base;
    const section = this.code.find((s) => rva >= s.virtualAddress && rva < s.virtualAddress + s.data.length);
    return section?.data.subarray(rva - section.virtualAddress, rva - section.virtualAddress + 16);
  }

  private data(address: number, bytes: number): number | undefined {
    const rva = address - this.base;
    const section = this.pe.sectionAt(rva);
    if (section === undefined) return undefined;
    const at = rva - section.virtualAddress;
    if (at < 0 || at + bytes > section.data.length) return undefined;
    let value = 0;
    for (let i = bytes - 1; i >= 0; i--) value = value * 256 + section.data[at + i];
    return value;
  }

  private walk({ at, state }: Start, local = MAX_STEPS_EACH): void {
    const work: Start[] = [{ at, state }];
    let left = local;
    const insn = new Instruction();
    while (work.length > 0) {
      const one = work.pop() as Start;
      let pc = one.at;
      const here = one.state;
      if (this.visited(pc, here)) continue;
      for (;;) {
        if (left-- <= 0 || this.left-- <= 0) break;
        const bytes = this.bytes(pc);
        if (bytes === undefined || this.decoder.decode(bytes, 0, pc, insn) !== Decode.Ok) break;
        const name = mnemonicName(insn.mnemonic);
        const next = pc + insn.length;
        if (name === 'ret' || ends(insn, name)) break;
        if (name === 'jmp') {
          if (insn.kind[0] === Operand.Rel) {
            pc = insn.target;
            if (this.visited(pc, here)) break;
            continue;
          }
          for (const to of this.jumpTable(insn, here)) work.push({ at: to, state: new State(here) });
          break;
        }
        if (insn.kind[0] === Operand.Rel && name !== 'call') {
          const taken = new State(here);
          this.branch(insn, next, taken, here);
          work.push({ at: insn.target, state: taken });
        } else if (name === 'call') this.call(insn, here, next);
        else this.step(insn, name, here);
        pc = next;
      }
    }
  }

  private visited(pc: number, state: State): boolean {
    const known = this.seen.get(pc) ?? new Set<string>();
    const signature = state.signature();
    if (known.size >= MAX_STATES || known.has(signature)) return true;
    this.seen.set(pc, known.add(signature));
    return false;
  }

  /** A conditional branch: equality is a code found, an order says how large the code can be. */
  private branch(insn: Instruction, next: number, taken: State, passed: State): void {
    const { compared } = taken;
    if (compared === undefined) return;
    const { left, right } = compared;
    const { condition } = insn;
    if (condition === JCC.e || condition === JCC.ne) this.found.add(codeAt(left, right));
    const above = condition === JCC.a || condition === JCC.g ? 0 : condition === JCC.ae ? 1 : undefined;
    const below = condition === JCC.be || condition === JCC.le ? 0 : condition === JCC.b ? 1 : undefined;
    if (above !== undefined) passed.learn(left, { ...left, max: right - above, otherwise: insn.target });
    if (below !== undefined) taken.learn(left, { ...left, max: right - below, otherwise: next });
  }

  /** Where an indirect jump over a table goes; its cases are codes found. */
  private *jumpTable(insn: Instruction, state: State): Generator<number> {
    const value =
      insn.kind[0] === Operand.Reg
        ? state.registers[insn.reg[0]]
        : insn.kind[0] === Operand.Mem
          ? this.load(insn, insn.size[0] || this.mode / 8, state, false)
          : undefined;
    if (value?.kind !== 'table') return;
    const rest = restOf(value);
    for (const [to, codes] of value.results) {
      if (to !== rest) for (const code of codes) this.found.add(code);
      yield to;
    }
  }

  // -- calls --------------------------------------------------------------------------------------------------------------

  private call(insn: Instruction, state: State, next: number): void {
    const word = this.mode / 8;
    const target = insn.kind[0] === Operand.Rel ? insn.target : undefined;
    // `call next; pop r` asks where it is.
    if (target === next) {
      this.push(state, { kind: 'number', value: next });
      return;
    }
    let summary: Summary | undefined;
    if (target !== undefined && this.bytes(target) !== undefined) {
      this.handOver(target, state);
      summary = this.summary(target);
    }
    for (const reg of VOLATILE[this.mode]) state.registers[reg] = undefined;
    state.compared = undefined;
    if (summary?.location) state.registers[0] = { kind: 'location', offset: 0 };
    if (this.mode === 64) return;
    // __SEH_prolog makes the frame of its caller: two words were pushed for it.
    const sp = state.registers[SP];
    if (summary?.frames && sp?.kind === 'frame' && sp.frame === 0 && sp.offset === -2 * word)
      state.registers[BP] = { kind: 'frame', frame: 0, offset: -word };
    if (summary?.pops !== undefined) state.registers[SP] = plus(state.registers[SP], summary.pops);
    else if (word === 4) state.registers[SP] = { kind: 'frame', frame: state.frames++, offset: 0 };
  }

  /** A function of the driver that gets the code, or the stack location, is followed with it. */
  private handOver(target: number, state: State): void {
    const entry = this.entry();
    const sp = state.registers[SP];
    let any = false;
    /** What is handed over of an argument: a pointer into the stack brings what is there. */
    const argument = (value: Value | undefined): Value | undefined => {
      if (value?.kind === 'code' || value?.kind === 'location') {
        any = true;
        return value;
      }
      if (value?.kind !== 'frame') return undefined;
      const frame = entry.frames++;
      for (let offset = 0; offset < MAX_HANDED; offset += 4) {
        const held = state.slot(plus(value, offset));
        if (held?.kind !== 'code' && held?.kind !== 'location') continue;
        entry.setSlot({ kind: 'frame', frame, offset }, held);
        any = true;
      }
      return { kind: 'frame', frame, offset: 0 };
    };
    const registers = this.mode === 64 ? ARGUMENTS_64 : [0, 1, 2];
    for (const reg of registers) entry.registers[reg] = argument(state.registers[reg]);
    const word = this.mode / 8;
    for (let i = 0; i < STACK_ARGUMENTS; i++) {
      const offset = (this.mode === 64 ? HOME_BYTES : 0) + i * word;
      const value = argument(state.slot(plus(sp, offset)));
      entry.setSlot({ kind: 'frame', frame: 0, offset: offset + word }, value);
    }
    if (any) this.enqueue(target, entry);
  }

  /** Whether a function at an RVA gives the stack location of the request it is called with. */
  givesLocation(rva: number): boolean {
    return this.summary(rva + this.base).location;
  }

  /** The way straight through a short function to its first `ret`. */
  private summary(target: number): Summary {
    const known = this.summaries.get(target);
    if (known !== undefined) return known;
    const state = this.entry();
    const insn = new Instruction();
    let found: Summary = { location: false, pops: undefined, frames: false };
    let frames = false;
    let pc = target;
    for (let i = 0; i < MAX_SUMMARY; i++) {
      const bytes = this.bytes(pc);
      if (bytes === undefined || this.decoder.decode(bytes, 0, pc, insn) !== Decode.Ok) break;
      const name = mnemonicName(insn.mnemonic);
      if (name === 'ret') {
        const location = state.registers[0]?.kind === 'location' && state.registers[0].offset === 0;
        const pops = insn.count > 0 && insn.kind[0] === Operand.Imm ? insn.imm : 0;
        // It returns to an address that it has pushed itself, so that it takes what nobody knows.
        found = { location, pops: frames ? undefined : pops, frames };
        break;
      }
      if (name === 'jmp' && insn.kind[0] === Operand.Rel) {
        pc = insn.target;
        continue;
      }
      if (name === 'jmp' || ends(insn, name)) break;
      if (name === 'lea' && insn.reg[0] === BP && insn.base === SP) frames = true;
      if (name === 'call') for (const reg of VOLATILE[this.mode]) state.registers[reg] = undefined;
      else if (insn.kind[0] !== Operand.Rel) this.step(insn, name, state);
      pc += insn.length;
    }
    this.summaries.set(target, found);
    return found;
  }

  // -- single instructions ------------------------------------------------------------------------------------------------

  private push(state: State, value: Value | undefined): void {
    state.registers[SP] = plus(state.registers[SP], -this.mode / 8);
    state.setSlot(state.registers[SP], value);
  }

  private step(insn: Instruction, name: string, state: State): void {
    switch (name) {
      case 'push':
        this.push(state, this.operand(insn, 0, state));
        return;
      case 'pop': {
        const value = state.slot(state.registers[SP]);
        state.registers[SP] = plus(state.registers[SP], this.mode / 8);
        this.assign(insn, state, value);
        return;
      }
      case 'leave':
        state.registers[SP] = plus(state.registers[BP], this.mode / 8);
        state.registers[BP] = state.slot(state.registers[BP]);
        return;
      case 'mov':
      case 'movzx':
        this.assign(insn, state, this.operand(insn, 1, state));
        return;
      case 'movsxd':
        this.assign(insn, state, signed(this.operand(insn, 1, state)));
        return;
      case 'lea':
        this.assign(insn, state, this.address(insn, state));
        return;
      case 'cmp':
      case 'sub':
      case 'add':
      case 'xor':
      case 'test':
      case 'or':
      case 'and':
      case 'inc':
      case 'dec':
        this.arithmetic(insn, name, state);
        return;
      case 'shr':
      case 'ror':
      case 'rol':
      case 'sar': {
        const count = insn.kind[1] === Operand.Imm ? insn.imm : insn.count < 2 ? 1 : 32;
        // Low bits that are none come back at the top as nothing.
        const by = name === 'rol' ? 32 - count : count;
        this.assign(insn, state, shifted(this.operand(insn, 0, state), by));
        state.compared = undefined;
        return;
      }
      case 'xchg': {
        const [a, b] = [this.operand(insn, 0, state), this.operand(insn, 1, state)];
        this.assign(insn, state, b);
        if (insn.kind[1] === Operand.Reg) state.registers[insn.reg[1]] = a;
        return;
      }
      default:
        this.other(insn, name, state);
    }
  }

  private other(insn: Instruction, name: string, state: State): void {
    if (/^(set|cmov)/.test(name)) {
      const equality = insn.condition === JCC.e || insn.condition === JCC.ne;
      if (equality && state.compared !== undefined)
        this.found.add(codeAt(state.compared.left, state.compared.right));
      this.assign(insn, state, undefined);
      return;
    }
    if (/^(nop|endbr|prefetch|bt$|cld|std|cli|sti|mov[aud]|lfence|mfence|sfence)/.test(name)) {
      if (insn.kind[0] === Operand.Reg || insn.kind[0] === Operand.Mem) this.assign(insn, state, undefined);
      return;
    }
    state.compared = undefined;
    if (/^(i?mul|i?div|cpuid|rdtsc|rdmsr|cdq|cqo|cwd|cdqe|cwde|lods|xadd|cmpxchg)/.test(name)) {
      state.registers[0] = undefined;
      if (!/^(cdqe|cwde|lods)/.test(name)) state.registers[2] = undefined;
    }
    if (insn.rep !== 0) for (const reg of [1, 6, 7]) state.registers[reg] = undefined;
    if (insn.count > 0) this.assign(insn, state, undefined);
  }

  private arithmetic(insn: Instruction, name: string, state: State): void {
    const left = this.operand(insn, 0, state);
    const right = name === 'inc' || name === 'dec' ? undefined : this.operand(insn, 1, state);
    const same = insn.kind[0] === Operand.Reg && insn.kind[1] === Operand.Reg && insn.reg[0] === insn.reg[1];
    state.compared = comparison(name, left, right, same);
    if (name === 'cmp') this.tableOfCodes(insn, left, right, state);
    if (name === 'cmp' || name === 'test') return;
    // A byte that loses bits: the rest of the register stays.
    if (name === 'and' && insn.size[0] === 1 && insn.kind[0] === Operand.Reg && insn.kind[1] === Operand.Imm)
      return;
    if (name === 'or' || name === 'and') {
      const kept =
        (name === 'and' && left?.kind === 'code' && keepsCode(numberOf(right))) ||
        same ||
        (name === 'or' && numberOf(right) === 0) ||
        (name === 'and' && numberOf(right) === -1);
      const zero = name === 'and' && numberOf(right) === 0;
      this.assign(insn, state, zero ? { kind: 'number', value: 0 } : kept ? left : undefined);
      return;
    }
    if (same && (name === 'xor' || name === 'sub')) {
      this.assign(insn, state, { kind: 'number', value: 0 });
      return;
    }
    const by = { inc: 1, dec: -1, add: numberOf(right), sub: negative(numberOf(right)) }[name];
    if (by !== undefined) this.assign(insn, state, plus(left, by));
    // A number plus something else, as tables of distances are made addresses of.
    else if (name === 'add' && numberOf(left) !== undefined)
      this.assign(insn, state, plus(right, numberOf(left) ?? 0));
    else this.assign(insn, state, undefined);
  }

  /** A code compared with memory of the image is looked up in a table: its entries follow at some distance. */
  private tableOfCodes(
    insn: Instruction,
    left: Value | undefined,
    right: Value | undefined,
    state: State,
  ): void {
    const n = left?.kind === 'code' ? 1 : right?.kind === 'code' ? 0 : -1;
    const code = n === 1 ? left : right;
    if (n < 0 || code?.kind !== 'code' || code.shift !== 0 || code.add !== 0 || insn.kind[n] !== Operand.Mem)
      return;
    const at = numberOf(this.address(insn, state));
    const first = at === undefined ? undefined : this.data(at, 4);
    if (at === undefined || first === undefined || first >>> 16 === 0) return;
    for (const stride of [4, 8, 12, 16, 20, 24, 32, 40, 48]) {
      const entries: number[] = [first];
      for (;;) {
        const value = this.data(at + entries.length * stride, 4);
        if (value === undefined || value >>> 16 !== first >>> 16 || entries.length >= MAX_CASES) break;
        entries.push(value);
      }
      if (entries.length < 2) continue;
      for (const one of entries) this.found.add(one);
      return;
    }
  }

  // -- operands -------------------------------------------------------------------------------------------------------------

  private assign(insn: Instruction, state: State, value: Value | undefined): void {
    const kind = insn.kind[0];
    if (kind === Operand.Reg) {
      // A byte of a table into a register that was cleared.
      const cleared = value?.kind === 'table' && numberOf(state.registers[insn.reg[0]]) === 0;
      const whole = insn.size[0] >= 4 || value?.kind === 'number' || cleared;
      state.registers[insn.reg[0]] = whole ? value : undefined;
    } else if (kind === Operand.High) state.registers[insn.reg[0]] = undefined;
    else if (kind === Operand.Mem)
      state.setSlot(this.address(insn, state), insn.size[0] >= 4 ? value : undefined);
  }

  private operand(insn: Instruction, n: number, state: State): Value | undefined {
    switch (insn.kind[n]) {
      case Operand.Imm:
        return { kind: 'number', value: insn.imm };
      case Operand.Reg:
        return insn.size[n] >= 4 ? state.registers[insn.reg[n]] : undefined;
      case Operand.Mem:
        return this.load(insn, insn.size[n], state, mnemonicName(insn.mnemonic) === 'movsxd');
      default:
        return undefined;
    }
  }

  private address(insn: Instruction, state: State): Value | undefined {
    if (insn.segment >= 4) return undefined;
    const base =
      insn.base === RIP_BASE
        ? { kind: 'number' as const, value: insn.address + insn.length }
        : insn.base < 0
          ? { kind: 'number' as const, value: 0 }
          : state.registers[insn.base];
    const disp = this.mode === 32 && insn.base < 0 ? insn.disp >>> 0 : insn.disp;
    if (insn.index < 0) return plus(base, disp);
    const index = state.registers[insn.index];
    const i = numberOf(index);
    if (i !== undefined) return plus(base, disp + i * 2 ** insn.scale);
    const b = numberOf(base);
    return b !== undefined && insn.scale === 0 ? plus(index, b + disp) : undefined;
  }

  private load(insn: Instruction, bytes: number, state: State, sign: boolean): Value | undefined {
    const at = this.address(insn, state);
    const { location, code } = OFFSETS[this.mode];
    if (at?.kind === 'frame') return bytes >= 4 ? state.slot(at) : undefined;
    if (at?.kind === 'location') return at.offset === code && bytes === 4 ? CODE : undefined;
    const table = this.table(insn, bytes, state, sign);
    if (table !== undefined) return table;
    if (at === undefined || at.kind === 'number') {
      // A register of which nothing is known may be the request.
      const request = insn.base >= 0 && insn.base !== RIP_BASE && insn.index < 0 && insn.disp === location;
      if (at === undefined && request && bytes === this.mode / 8) return { kind: 'location', offset: 0 };
    }
    return undefined;
  }

  /** A load from a table in the image, at a place that the code says: what it gives for each code. */
  private table(insn: Instruction, bytes: number, state: State, sign: boolean): TableValue | undefined {
    if (insn.base === RIP_BASE || insn.segment >= 4) return undefined;
    const [base, index] = [
      insn.base < 0 ? undefined : state.registers[insn.base],
      insn.index < 0 ? undefined : state.registers[insn.index],
    ];
    const disp = this.mode === 32 ? insn.disp >>> 0 : insn.disp;
    const chosen = (value: Value | undefined): value is CodeValue | TableValue =>
      value?.kind === 'code' || value?.kind === 'table';
    const start = (other: Value | undefined, none: boolean) => (none ? 0 : numberOf(other));
    const [value, scale, from] = chosen(index)
      ? [index, insn.scale, start(base, insn.base < 0)]
      : chosen(base)
        ? [base, 0, start(index, insn.index < 0)]
        : [undefined, 0, undefined];
    if (value === undefined || from === undefined) return undefined;
    const results = new Map<number, number[]>();
    for (const [key, codes] of casesOf(value)) {
      const result = this.data(from + disp + key * 2 ** scale, bytes);
      if (result === undefined) return undefined;
      const number = sign && bytes === 4 ? result | 0 : result;
      const list = results.get(number) ?? [];
      results.set(number, list);
      list.push(...codes);
    }
    return results.size === 0 ? undefined : { kind: 'table', results, otherwise: value.otherwise };
  }
}

/** Nothing runs after it: __fastfail (int 29h), but not the assertion int 2Ch, which a debugger goes on behind. */
const ends = (insn: Instruction, name: string): boolean =>
  /^(lret|iret|ud\d|hlt|int3)$/.test(name) || (name === 'int' && insn.imm === 0x29);

/** A mask that leaves device type and most of the function: what differs below it is one case to the driver. */
const keepsCode = (mask: number | undefined): boolean => mask !== undefined && (mask & 0xffffff00) === -0x100;

const negative = (value: number | undefined): number | undefined =>
  value === undefined ? undefined : -value;

/** Distances in a table are signed where the code says so. */
const signed = (value: Value | undefined): Value | undefined =>
  value?.kind === 'table'
    ? { ...value, results: new Map([...value.results].map(([to, codes]) => [to | 0, codes])) }
    : value;

/**
 * Where a jump table sends what is no case: where values beyond it go; or, when that was made a place of its own, where
 * neighbours go that no CTL_CODE makes together, since they differ in their method alone.
 */
function restOf({ results, otherwise }: TableValue): number | undefined {
  if (otherwise !== undefined && results.has(otherwise)) return otherwise;
  const neighbours = (codes: readonly number[]) =>
    codes.filter((code, i) => code === codes[i + 1] - 1).length;
  for (const [to, codes] of results) if (results.size > 1 && neighbours(codes) >= 2) return to;
  return otherwise;
}

/** Values that a code can have once it was compared, each with its code. */
function* casesOf(value: CodeValue | TableValue): Generator<readonly [number, readonly number[]]> {
  if (value.kind === 'table') yield* value.results;
  else if (value.max !== undefined && value.max >= 0 && value.max < MAX_CASES)
    for (let i = 0; i <= value.max; i++) yield [i, [codeAt(value, i)]];
}

/** What the flags say after an instruction, as far as it is about a code. */
function comparison(name: string, left: Value | undefined, right: Value | undefined, same: boolean) {
  const fixed: Readonly<Record<string, number>> = { inc: -1, dec: 1 };
  if (left?.kind === 'code') {
    if (name in fixed) return { left, right: fixed[name] };
    if ((name === 'test' || name === 'or' || name === 'and') && same) return { left, right: 0 };
    const number = numberOf(right);
    if (number === undefined) return undefined;
    if (name === 'cmp' || name === 'sub' || name === 'xor') return { left, right: number };
    return name === 'add' ? { left, right: -number } : undefined;
  }
  const number = numberOf(left);
  return right?.kind === 'code' && name === 'cmp' && number !== undefined
    ? { left: right, right: number }
    : undefined;
}
