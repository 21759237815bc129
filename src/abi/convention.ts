/** What every calling convention offers: reading arguments and writing results by C class. */
import type { Cpu } from '../cpu/cpu.ts';
import type { Prototype, ValueClass } from '../ctypes/prototype.ts';
import type { Address } from '../memory/space.ts';

/** A ctypes value class, or a va_list, which is read as variable arguments. */
export type ParameterClass = ValueClass | 'valist';

export interface Signature {
  readonly name: string;
  readonly returns: ValueClass;
  readonly parameters: readonly ParameterClass[];
  readonly variadic: boolean;
}

/** The classes of a parsed prototype; a va_list is an array type in C and has to be known by its name. */
export function signatureOf(prototype: Prototype): Signature {
  return {
    name: prototype.name,
    returns: prototype.returnClass,
    parameters: prototype.parameters.map((parameter) =>
      /\bva_list$/.test('name' in parameter.type ? parameter.type.name : '') ? 'valist' : parameter.class,
    ),
    variadic: prototype.variadic,
  };
}

/** The variable arguments of a call, read one after another as C's va_arg does. */
export interface VarArgs {
  i32(): number;
  u32(): number;
  /** Pointer-sized, signed number. */
  long(): number;
  pointer(): Address;
  i64(): bigint;
  u64(): bigint;
  /** A copy that reads on from here, as va_copy. */
  copy(): VarArgs;
}

/** A value as machine code hands it over. */
export type Argument = number | bigint | boolean | VarArgs;

/** Where a call from TypeScript into the guest was made. */
export interface CallMark {
  readonly stack: Address;
  readonly instruction: Address;
}

/** What the kernel needs from a calling convention; one implementation per instruction set and platform. */
export interface Convention {
  /** Points the stack at `top` for a thread that has not run yet; clears the registers. */
  enterThread(cpu: Cpu, top: Address): void;
  /** Sets up a call of `entry` that returns to `returnTo`; the mark undoes it. */
  enterFunction(
    cpu: Cpu,
    entry: Address,
    args: readonly (number | bigint | boolean)[],
    returnTo: Address,
  ): CallMark;
  /** Puts stack and instruction pointer back to where they were before `enterFunction`. */
  leaveFunction(cpu: Cpu, mark: CallMark): void;
  /** The integer result register as a signed number. */
  result(cpu: Cpu): number;
  /** The integer result register, all 64 bits, unsigned. */
  resultBig(cpu: Cpu): bigint;
  /** Reads the arguments of the call in progress, in the order of the signature (a VarArgs last when variadic). */
  readArguments(cpu: Cpu, signature: Signature): Argument[];
  /** Writes the result of the call in progress and returns to the caller. */
  finish(cpu: Cpu, returns: ValueClass, value: unknown): void;
  /** The address the call in progress returns to. */
  returnAddress(cpu: Cpu): Address;
  /** A va_list object in guest memory. */
  vaList(cpu: Cpu, address: Address): VarArgs;
}
