/**
 * From one frame to its caller without unwind tables: the function's code is followed from its first instruction, and
 * what it has pushed by then is counted. Kernel code keeps no frame pointers as a rule, and modules differ in what tables
 * they bring; how a compiler moves the stack pointer is the same everywhere.
 */
import type { Address } from '../../memory/address.ts';
import type { CallFrame } from '../ir.ts';
import { Decode, Decoder, Instruction, Operand } from './decode.ts';
import type { Mode } from './opcode-row.ts';
import { mnemonicName } from './table.ts';

const SP = 4;
const FP = 5;
/** Instructions that are followed in one function. */
const MAX_FOLLOWED = 20_000;
const FETCH = 16;

/** What is known of the stack before an instruction, in bytes below the return address. */
interface Depth {
  /** Of the stack pointer; undefined after it was aligned. */
  readonly sp: number | undefined;
  /** Of where the frame pointer points, once it is one. */
  readonly fp: number | undefined;
  /** Of the caller's frame pointer, once it is saved. */
  readonly saved: number | undefined;
}

const ENTRY: Depth = { sp: 0, fp: undefined, saved: undefined };

/** Reads code without regard to permissions; shorter where there is no more. */
export type Peek = (address: Address, length: number) => Uint8Array;

/** Finds callers in code of one mode; remembers what it learned of each place until it is told to forget. */
export class Unwinder {
  readonly #mode: Mode;
  readonly #decoder: Decoder;
  readonly #insn = new Instruction();
  readonly #known = new Map<Address, Depth | undefined>();

  constructor(mode: Mode) {
    this.#mode = mode;
    this.#decoder = new Decoder(mode);
  }

  /** Code has changed. */
  forget(): void {
    this.#known.clear();
  }

  /** The frame that `frame` returns to, when the function it is in starts at `start`; undefined when that cannot be told. */
  caller(peek: Peek, start: Address, frame: CallFrame): CallFrame | undefined {
    if (!this.#known.has(frame.ip)) this.#known.set(frame.ip, this.#depthAt(peek, start, frame.ip));
    const depth = this.#known.get(frame.ip);
    if (depth === undefined) return undefined;
    const word = this.#mode / 8;
    const slot =
      depth.sp !== undefined ? frame.sp + depth.sp : depth.fp !== undefined ? frame.fp + depth.fp : undefined;
    const ip = slot === undefined ? undefined : this.#word(peek, slot);
    if (slot === undefined || ip === undefined) return undefined;
    const fp = depth.saved === undefined ? frame.fp : (this.#word(peek, slot - depth.saved) ?? 0);
    return { ip, sp: slot + word, fp };
  }

  #word(peek: Peek, at: Address): Address | undefined {
    const bytes = peek(at, this.#mode / 8);
    if (bytes.length < this.#mode / 8) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    return this.#mode === 64 ? Number(view.getBigInt64(0, true)) : view.getUint32(0, true);
  }

  #depthAt(peek: Peek, start: Address, goal: Address): Depth | undefined {
    if (goal === start) return ENTRY;
    // Code behind a jump table is not reached by following branches: then its neighbours have to do.
    return this.#follow(peek, start, goal, true) ?? this.#follow(peek, start, goal, false);
  }

  #follow(peek: Peek, start: Address, goal: Address, branches: boolean): Depth | undefined {
    const seen = new Set<Address>();
    const work: [Address, Depth][] = [[start, ENTRY]];
    while (work.length > 0 && seen.size < MAX_FOLLOWED) {
      let [pc, depth] = work.pop() as [Address, Depth];
      while (!seen.has(pc)) {
        if (pc === goal) return depth;
        seen.add(pc);
        if (this.#decoder.decode(peek(pc, FETCH), 0, pc, this.#insn) !== Decode.Ok) break;
        const insn = this.#insn;
        const name = mnemonicName(insn.mnemonic);
        const next = pc + insn.length;
        if (branches && /^(l?ret|iret|ud\d|hlt)$/.test(name)) break;
        const direct = insn.kind[0] === Operand.Rel;
        if (branches && direct && name !== 'call') work.push([insn.target, depth]);
        if (branches && name === 'jmp') break;
        depth = this.#after(insn, name, depth);
        if (!branches && next > goal) return undefined;
        pc = next;
      }
    }
    return undefined;
  }

  #after(insn: Instruction, name: string, depth: Depth): Depth {
    const word = this.#mode / 8;
    const [first, second] = [insn.reg[0], insn.reg[1]];
    const register = insn.kind[0] === Operand.Reg;
    const { sp } = depth;
    if (name === 'push') {
      const deeper = sp === undefined ? undefined : sp + word;
      return register && first === FP ? { ...depth, sp: deeper, saved: deeper } : { ...depth, sp: deeper };
    }
    if (name === 'pushf') return { ...depth, sp: sp === undefined ? undefined : sp + word };
    if (name === 'pop' || name === 'popf') {
      const higher = sp === undefined ? undefined : sp - word;
      if (name === 'pop' && register && first === FP) return { sp: higher, fp: undefined, saved: undefined };
      return { ...depth, sp: higher };
    }
    if (name === 'leave')
      return { sp: depth.fp === undefined ? undefined : depth.fp - word, fp: undefined, saved: undefined };
    if (!register || first !== SP) {
      const framed =
        name === 'mov' && register && first === FP && insn.kind[1] === Operand.Reg && second === SP;
      return framed ? { ...depth, fp: sp } : depth;
    }
    return { ...depth, sp: this.#moved(insn, name, depth) };
  }

  /** The stack pointer's depth after an instruction that writes it. */
  #moved(insn: Instruction, name: string, { sp, fp }: Depth): number | undefined {
    if (insn.kind[1] === Operand.Imm && sp !== undefined) {
      if (name === 'sub') return sp + insn.imm;
      if (name === 'add') return sp - insn.imm;
    }
    if (name === 'mov' && insn.kind[1] === Operand.Reg && insn.reg[1] === FP) return fp;
    if (name === 'lea' && insn.index < 0) {
      const base = insn.base === SP ? sp : insn.base === FP ? fp : undefined;
      return base === undefined ? undefined : base - insn.disp;
    }
    return undefined;
  }
}
