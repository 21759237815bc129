/**
 * The x86 translator, long mode and 32-bit mode: fetches and decodes guest instructions and describes each to the block builder.
 *
 * What an instruction means lives in the lift-*.ts tables by mnemonic. Instructions that no table knows end the
 * block with `unsupported`; `describeInstruction` gives their name to the fault report.
 */
import { type Address, PAGE_SIZE } from '../../memory/address.ts';
import type {
  BlockBuilder,
  CallFinder,
  CopyCode,
  DataAccess,
  Inspection,
  RegisterView,
  Translator,
} from '../ir.ts';
import { accessesOf } from './accesses.ts';
import { Decode, Decoder, Instruction, MAX_INSTRUCTION } from './decode.ts';
import { inspectInstruction } from './inspect.ts';
import { conditional, integerLifters, type Lifter } from './lift-integer.ts';
import { legacyLifters } from './lift-legacy.ts';
import { systemLifters } from './lift-system.ts';
import { vectorLifter } from './lift-vector.ts';
import { coprocessorLifter } from './lift-x87.ts';
import { CONDITIONS, RowFlag } from './opcode-row.ts';
import { printInstruction } from './print.ts';
import { mnemonicName, mnemonics } from './table.ts';
import { Unwinder } from './unwind.ts';

const refuse: Lifter = (b) => b.undefined('unsupported');

/** Lifters of the general instructions by mnemonic. */
const general: Record<string, Lifter> = { ...integerLifters, ...systemLifters, ...legacyLifters };
for (const condition of CONDITIONS) {
  general[`j${condition}`] = conditional.j;
  general[`set${condition}`] = conditional.set;
  general[`cmov${condition}`] = conditional.cmov;
}

/** True when the lifter gives the (non-SIMD) mnemonic a meaning, #UD included. */
function isLifted(mnemonic: string): boolean {
  return Object.hasOwn(general, mnemonic);
}

/** The lifter of a decoded instruction. `movsd` and `cmpsd` exist twice; the row's flags tell which is meant. */
function lifterFor(id: number, flags: number): Lifter {
  const name = mnemonicName(id);
  if ((flags & RowFlag.X87) !== 0) return coprocessorLifter;
  if ((flags & RowFlag.Simd) !== 0) return (flags & RowFlag.Vex) !== 0 ? refuse : vectorLifter(name);
  return general[name] ?? refuse;
}

/** Bytes fetched ahead at a time: about one basic block. */
const FILL = 48;
/** Room for them and for one instruction that goes on in the next page. */
const WINDOW = FILL + MAX_INSTRUCTION;

/** Translates code of one mode: long mode, or 32-bit protected mode with flat segments. One object serves one CPU. */
export class X86Translator implements Translator {
  readonly bits: 32 | 64;
  readonly #decoder: Decoder;
  readonly frameRegisters = { sp: 4, fp: 5 };
  readonly #insn = new Instruction();
  readonly #window = new Uint8Array(WINDOW);
  /** By mnemonic id, twice: general, then SIMD. */
  readonly #lifters: (Lifter | undefined)[] = [];
  #seen: Uint8Array = this.#window;
  #windowStart: Address = 0;
  #windowLength = 0;

  constructor(options: { bits?: 32 | 64 } = {}) {
    this.bits = options.bits ?? 64;
    this.#decoder = new Decoder(this.bits);
  }

  translate(fetch: (va: Address) => number, pc: Address, builder: BlockBuilder, copy?: CopyCode): void {
    this.#windowLength = 0;
    for (;;) {
      const status = this.#decodeAt(fetch, pc, copy);
      const insn = this.#insn;
      if (!builder.begin(pc, Math.max(insn.length, 1))) return;
      if (status === Decode.Ok) this.#lift(builder);
      else {
        builder.undefined(status === Decode.TooLong ? 'too-long' : 'undefined-opcode');
        return;
      }
      if (builder.ended) return;
      pc += insn.length;
    }
  }

  callFinder(): CallFinder {
    return new Unwinder(this.bits);
  }

  inspect(bytes: Uint8Array, pc: Address): Inspection {
    return inspectInstruction(bytes, pc, this.bits);
  }

  accesses(bytes: Uint8Array, pc: Address, registers: RegisterView): readonly DataAccess[] {
    return accessesOf(bytes, pc, this.bits, registers);
  }

  #lift(builder: BlockBuilder): void {
    const insn = this.#insn;
    const simd = insn.flags & (RowFlag.Simd | RowFlag.X87 | RowFlag.Vex);
    const key = insn.mnemonic * 2 + (simd ? 1 : 0);
    let lifter = this.#lifters[key];
    if (lifter === undefined) {
      lifter = lifterFor(insn.mnemonic, insn.flags);
      this.#lifters[key] = lifter;
    }
    lifter(builder, insn);
  }

  /** Decodes the instruction at `pc`; lets the fetch fault through when the instruction reaches into it. */
  #decodeAt(fetch: (va: Address) => number, pc: Address, copy?: CopyCode): number {
    let offset = pc - this.#windowStart;
    if (offset < 0 || offset >= this.#windowLength) offset = this.#refill(fetch, pc, 0, copy);
    let status = this.#decoder.decode(this.#seen, offset, pc, this.#insn);
    if (status === Decode.Truncated) {
      offset = this.#refill(fetch, pc, offset, copy);
      status = this.#decoder.decode(this.#seen, offset, pc, this.#insn);
    }
    while (status === Decode.Truncated) {
      // At the end of a page: one byte at a time, because only bytes of the instruction may fault.
      this.#window[this.#windowLength] = fetch(this.#windowStart + this.#windowLength);
      this.#show(this.#windowLength + 1);
      status = this.#decoder.decode(this.#seen, offset, pc, this.#insn);
    }
    return status;
  }

  /** Moves the window to `pc`, keeping the bytes from `offset` on, and fills it as far as the page of `pc` goes. */
  #refill(fetch: (va: Address) => number, pc: Address, offset: number, copy?: CopyCode): number {
    const kept = offset > 0 ? this.#windowLength - offset : 0;
    if (kept > 0) this.#window.copyWithin(0, offset, this.#windowLength);
    this.#windowStart = pc;
    const pageLeft = PAGE_SIZE - (((pc % PAGE_SIZE) + PAGE_SIZE) % PAGE_SIZE);
    // What is already there may reach into the next page.
    const length = Math.max(kept, Math.min(FILL, pageLeft));
    if (copy === undefined) for (let n = kept; n < length; n++) this.#window[n] = fetch(pc + n);
    else if (kept < length) copy(pc + kept, this.#window, kept, length);
    this.#show(length);
    return 0;
  }

  #show(length: number): void {
    this.#windowLength = length;
    this.#seen = this.#window.subarray(0, length);
  }
}

/** Text of the instruction at the start of `bytes`, for traces and fault reports; `(bad)` when it is none. */
export function describeInstruction(
  bytes: Uint8Array,
  address: Address,
  bits: 32 | 64 = 64,
): { text: string; length: number } {
  const insn = new Instruction();
  const status = new Decoder(bits).decode(bytes, 0, address, insn);
  if (status !== Decode.Ok) return { text: '(bad)', length: Math.max(1, insn.length) };
  return { text: printInstruction(insn), length: insn.length };
}

/** The mnemonics of the tables that the lifter gives a meaning, and those it refuses by name. */
export function coverage(): { lifted: string[]; refused: string[] } {
  const all = mnemonics().filter((name) => !/^(vex|xop)\./.test(name));
  return { lifted: all.filter(isLifted), refused: all.filter((name) => !isLifted(name)) };
}
