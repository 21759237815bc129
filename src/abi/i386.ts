/**
 * The calling conventions of 32-bit x86: cdecl (System V ABI, Intel386 supplement, chapter 3), stdcall, fastcall and
 * thiscall (Microsoft), and gcc's regparm(3), which Linux kernels are compiled with. A 64-bit value is two words.
 */
import type { Cpu } from '../cpu/cpu.ts';
import { pushDouble } from '../cpu/x87-unit.ts';
import type { ValueClass } from '../ctypes/prototype.ts';
import type { Address, GuestMemory } from '../memory/space.ts';
import {
  type Argument,
  type CallKind,
  type CallMark,
  type Convention,
  narrow,
  narrowResult,
  type ParameterClass,
  type Signature,
  type VarArgs,
} from './convention.ts';
import { doubleOf } from './eightbytes.ts';

const EAX = 0;
const ECX = 1;
const EDX = 2;
const ESP = 4;
const WORD = 4;

interface Rules {
  /** Registers of the first arguments. */
  readonly registers: readonly number[];
  readonly calleePops: boolean;
  /** What happens with a value of two words: never in registers, or in two if both are left (gcc's regparm). */
  readonly wideInRegisters: boolean;
}

const RULES: Readonly<Record<CallKind, Rules>> = {
  cdecl: { registers: [], calleePops: false, wideInRegisters: false },
  stdcall: { registers: [], calleePops: true, wideInRegisters: false },
  fastcall: { registers: [ECX, EDX], calleePops: true, wideInRegisters: false },
  thiscall: { registers: [ECX], calleePops: true, wideInRegisters: false },
  regparm3: { registers: [EAX, EDX, ECX], calleePops: false, wideInRegisters: true },
};

export interface I386Options {
  /** Structures of up to 8 bytes come back in eax and edx (Windows, FreeBSD, Linux kernels), or all in memory. */
  readonly smallStructs: 'registers' | 'memory';
  /**
   * Pointers into the last page come as negative numbers: they are errors in place of pointers wherever the systems that
   * do so are 64 bits wide, too.
   */
  readonly negativeErrors?: boolean;
}

/** The last 4095 addresses. */
const FIRST_ERROR = 2 ** 32 - 4095;

/** Gives each argument its place, in order. */
class Assigner {
  private used = 0;
  /** Bytes of arguments on the stack so far. */
  stack = 0;
  private readonly rules: Rules;

  constructor(rules: Rules) {
    this.rules = rules;
  }

  /** The registers of the next argument, or the offset of its first word among the stack arguments. */
  next(words: 1 | 2): readonly number[] | number {
    const { registers, wideInRegisters } = this.rules;
    const left = registers.length - this.used;
    if (words <= left && (words === 1 || wideInRegisters)) {
      this.used += words;
      return registers.slice(this.used - words, this.used);
    }
    // gcc: one that does not fit any more uses the registers up (function_arg_advance of its i386 back end).
    if (wideInRegisters) this.used = registers.length;
    this.stack += words * WORD;
    return this.stack - words * WORD;
  }
}

const isWide = (type: ParameterClass): boolean =>
  type === 'i64' || type === 'u64' || type === 'wide' || type === 'uwide' || type === 'double';

export class I386 implements Convention {
  private readonly memory: GuestMemory;
  private readonly kind: CallKind;
  private readonly smallStructs: 'registers' | 'memory';
  private readonly firstError: number;

  /** @param kind of functions that do not say their own */
  constructor(memory: GuestMemory, kind: CallKind, options: I386Options = { smallStructs: 'registers' }) {
    this.memory = memory;
    this.kind = kind;
    this.smallStructs = options.smallStructs;
    this.firstError = options.negativeErrors === true ? FIRST_ERROR : Number.POSITIVE_INFINITY;
  }

  enterThread(cpu: Cpu, top: Address): void {
    for (let register = 0; register < 8; register++) cpu.setGpr(register, 0);
    cpu.setGpr(ESP, top - 16);
    // Interrupts on, and the bit that is always one.
    cpu.rflags = 0x202;
  }

  enterFunction(
    cpu: Cpu,
    entry: Address,
    args: readonly (number | bigint | boolean)[],
    returnTo: Address,
  ): CallMark {
    const mark = { stack: cpu.gpr(ESP), instruction: cpu.rip };
    const assigner = new Assigner(RULES[this.kind]);
    const places = args.map((value) => assigner.next(typeof value === 'bigint' ? 2 : 1));
    // Compilers of today keep the stack at multiples of 16 before a call.
    const first = cpu.wrap(mark.stack - assigner.stack - ((mark.stack - assigner.stack) & 15));
    args.forEach((value, i) => {
      this.pass(cpu, places[i], first, value);
    });
    const stack = cpu.wrap(first - WORD);
    this.memory.set32(stack, returnTo);
    cpu.setGpr(ESP, stack);
    cpu.rip = entry;
    return mark;
  }

  private pass(
    cpu: Cpu,
    place: readonly number[] | number,
    first: Address,
    value: number | bigint | boolean,
  ): void {
    const words =
      typeof value === 'bigint'
        ? [Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n))]
        : [Number(value)];
    words.forEach((word, n) => {
      if (typeof place === 'number') this.memory.set32(cpu.wrap(first + place + n * WORD), word);
      else cpu.setGpr(place[n], word);
    });
  }

  leaveFunction(cpu: Cpu, mark: CallMark): void {
    cpu.setGpr(ESP, mark.stack);
    cpu.rip = mark.instruction;
  }

  result(cpu: Cpu): number {
    return this.pointer(cpu.gpr(EAX));
  }

  private pointer(value: number): number {
    return value >= this.firstError ? value - 2 ** 32 : value;
  }

  resultBig(cpu: Cpu): bigint {
    return (BigInt(cpu.gpr(EDX)) << 32n) | BigInt(cpu.gpr(EAX));
  }

  private rules(signature: Signature): Rules {
    // A function that takes variable arguments finds all of them on the stack, and its caller removes them.
    return signature.variadic ? RULES.cdecl : RULES[signature.convention ?? this.kind];
  }

  /** A structure comes back in memory that the caller names in a hidden first argument. */
  private returnsInMemory({ returns, returnBytes }: Signature): boolean {
    if (returns !== 'struct') return false;
    return this.smallStructs === 'memory' || (returnBytes ?? 0) > 8;
  }

  readArguments(cpu: Cpu, signature: Signature): Argument[] {
    const { values, stack } = this.read(cpu, signature);
    if (signature.variadic) values.push(new StackWords(this.memory, cpu.wrap(cpu.gpr(ESP) + WORD + stack)));
    return values;
  }

  private read(cpu: Cpu, signature: Signature): { values: Argument[]; stack: number; hidden: Address } {
    const assigner = new Assigner(this.rules(signature));
    const at = cpu.wrap(cpu.gpr(ESP) + WORD);
    const hidden = this.returnsInMemory(signature) ? this.word(cpu, assigner.next(1), at, 0) : 0;
    const values = signature.parameters.map((type): Argument => {
      const place = assigner.next(isWide(type) ? 2 : 1);
      const low = this.word(cpu, place, at, 0);
      return isWide(type) ? wideArgument(type, low, this.word(cpu, place, at, 1)) : this.argument(type, low);
    });
    return { values, stack: assigner.stack, hidden };
  }

  private word(cpu: Cpu, place: readonly number[] | number, at: Address, n: number): number {
    return typeof place === 'number'
      ? this.memory.u32(cpu.wrap(at + place + n * WORD))
      : cpu.gpr(place[n]) >>> 0;
  }

  private argument(type: ParameterClass, low: number): Argument {
    switch (type) {
      case 'pointer':
        return this.pointer(low);
      case 'ulong':
      // A structure of up to four bytes; the handler takes it apart.
      case 'struct':
        return low;
      case 'valist':
        return new StackWords(this.memory, low);
      case 'float':
        return fromBits32(low);
      default:
        return narrow(type, low);
    }
  }

  finish(cpu: Cpu, signature: Signature, value: unknown): void {
    const esp = cpu.gpr(ESP);
    const rules = this.rules(signature);
    const inMemory = this.returnsInMemory(signature);
    let release = WORD;
    if (rules.calleePops || inMemory) {
      const { stack, hidden } = this.read(cpu, signature);
      if (rules.calleePops) release += stack;
      // System V: the callee takes the hidden argument off the stack, and gives it back in eax.
      else if (this.smallStructs === 'memory' && rules.registers.length === 0) release += WORD;
      if (inMemory) this.storeStruct(hidden, signature, value);
      if (inMemory) cpu.setGpr(EAX, hidden);
    }
    if (signature.returns !== 'void' && !inMemory) setResult(cpu, signature.returns, value);
    cpu.rip = this.memory.u32(esp);
    cpu.setGpr(ESP, esp + release);
  }

  /** `value`: the structure in pieces of eight bytes. */
  private storeStruct(at: Address, { name, returnBytes = 0 }: Signature, value: unknown): void {
    if (!Array.isArray(value))
      throw new TypeError(`${name}, which returns a structure, gave ${String(value)}`);
    const bytes = new Uint8Array(Math.max(returnBytes, value.length * 8));
    const view = new DataView(bytes.buffer);
    value.forEach((piece, n) => {
      view.setBigUint64(n * 8, BigInt.asUintN(64, BigInt(piece)), true);
    });
    this.memory.write(at, bytes.subarray(0, returnBytes));
  }

  returnAddress(cpu: Cpu): Address {
    return this.memory.u32(cpu.gpr(ESP));
  }

  vaList(_cpu: Cpu, address: Address): VarArgs {
    // The object is a pointer to the next word.
    return new StackWords(this.memory, this.memory.u32(address));
  }
}

function wideArgument(type: ParameterClass, low: number, high: number): number | bigint {
  if (type === 'wide') return (high | 0) * 4294967296 + low;
  if (type === 'uwide') return high * 4294967296 + low;
  const value = (BigInt(high) << 32n) | BigInt(low);
  if (type === 'i64') return BigInt.asIntN(64, value);
  return type === 'double' ? doubleOf(value) : value;
}

function fromBits32(bits: number): number {
  return new Float32Array(Uint32Array.of(bits).buffer)[0];
}

function setWide(cpu: Cpu, value: bigint): void {
  cpu.setGpr(EAX, Number(BigInt.asUintN(32, value)));
  cpu.setGpr(EDX, Number(BigInt.asUintN(32, value >> 32n)));
}

function setResult(cpu: Cpu, returns: ValueClass, value: unknown): void {
  const wide = isWide(returns) || returns === 'struct';
  if (returns === 'float' || returns === 'double') {
    // Both come back on top of the coprocessor's stack, which holds either exactly.
    const real = Number(value);
    pushDouble(cpu, returns === 'float' ? Math.fround(real) : real);
  } else if (Array.isArray(value)) setWide(cpu, BigInt(value[0]));
  else if (typeof value === 'bigint') setWide(cpu, value);
  else if (typeof value === 'boolean') cpu.setGpr(EAX, value ? 1 : 0);
  else if (typeof value === 'number') {
    if (wide) setWide(cpu, BigInt(value));
    else cpu.setGpr(EAX, narrowResult(returns, value));
  } else throw new TypeError(`a kernel function that returns ${returns} gave ${String(value)}`);
}

/** Variable arguments, and what a va_list points at: words on the stack, one after another. */
class StackWords implements VarArgs {
  private readonly memory: GuestMemory;
  private at: Address;

  constructor(memory: GuestMemory, at: Address) {
    this.memory = memory;
    this.at = at;
  }

  u32(): number {
    const value = this.memory.u32(this.at);
    this.at = (this.at + WORD) >>> 0;
    return value;
  }

  i32(): number {
    return this.u32() | 0;
  }

  long(): number {
    return this.i32();
  }

  pointer(): Address {
    return this.u32();
  }

  u64(): bigint {
    const low = BigInt(this.u32());
    return (BigInt(this.u32()) << 32n) | low;
  }

  i64(): bigint {
    return BigInt.asIntN(64, this.u64());
  }

  f64(): number {
    return doubleOf(this.u64());
  }

  copy(): VarArgs {
    return new StackWords(this.memory, this.at);
  }
}
