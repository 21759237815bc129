/** What every calling convention offers: reading arguments and writing results by C class. */
import type { Cpu } from '../cpu/cpu.ts';
import type { Prototype, ValueClass } from '../ctypes/prototype.ts';
import { type CType, resolve } from '../ctypes/type.ts';
import type { Address } from '../memory/space.ts';

/** A ctypes value class, or a va_list, which is read as variable arguments. */
export type ParameterClass = ValueClass | 'valist';

/** How one function is called where a system mixes conventions; undefined = as the system's convention says. */
export type CallKind = 'cdecl' | 'stdcall' | 'fastcall' | 'thiscall' | 'regparm3';

export interface Signature {
  readonly name: string;
  readonly returns: ValueClass;
  readonly parameters: readonly ParameterClass[];
  readonly variadic: boolean;
  readonly convention?: CallKind;
  /** Bytes of a structure that is returned by value. */
  readonly returnBytes?: number;
  /** Some parameter is a double or a float: those travel in places of their own. */
  readonly reals?: boolean;
}

const CALL_WORDS: readonly (readonly [RegExp, CallKind])[] = [
  [/\b(__|_)?stdcall\b|\b(NTAPI|WINAPI|CALLBACK|APIENTRY)\b/, 'stdcall'],
  [/\b(__|_)?fastcall\b|\bFASTCALL\b/, 'fastcall'],
  [/\b__thiscall\b/, 'thiscall'],
  // Linux declares so what takes its arguments from the stack though the rest of the kernel uses registers.
  [/\b(__|_)?cdecl\b|\basmlinkage\b/, 'cdecl'],
];

/** The convention that a declaration names before its parameters; undefined when it names none. */
export function callKindOf(declaration: string): CallKind | undefined {
  const head = declaration.slice(0, Math.max(0, declaration.indexOf('(')));
  return CALL_WORDS.find(([word]) => word.test(head))?.[1];
}

function recordBytes(type: CType): number | undefined {
  const real = resolve(type);
  return real.kind === 'struct' || real.kind === 'union' ? real.size : undefined;
}

/**
 * The classes of a parsed prototype; a va_list is an array type in C and has to be known by its name.
 * @param declaration its text, where a convention of its own may be named
 */
export function signatureOf(prototype: Prototype, declaration = ''): Signature {
  return {
    name: prototype.name,
    convention: callKindOf(declaration),
    returnBytes: recordBytes(prototype.returns),
    returns: prototype.returnClass,
    parameters: prototype.parameters.map((parameter) =>
      /\bva_list$/.test('name' in parameter.type ? parameter.type.name : '') ? 'valist' : parameter.class,
    ),
    variadic: prototype.variadic,
    reals: prototype.parameters.some(
      (parameter) => parameter.class === 'double' || parameter.class === 'float',
    ),
  };
}

/** The variable arguments of a call, read one after another as C's va_arg does. */
export interface VarArgs {
  i32(): number;
  u32(): number;
  /** Pointer-sized, signed number. */
  long(): number;
  /** Pointer-sized, as an address: unsigned where addresses are 32 bits wide. */
  pointer(): Address;
  i64(): bigint;
  u64(): bigint;
  /** A double, and a float, which C passes as one. */
  f64(): number;
  /** A copy that reads on from here, as va_copy. */
  copy(): VarArgs;
}

/** A value as machine code hands it over. */
export type Argument = number | bigint | boolean | VarArgs;

/** One argument narrowed to its class: the low 32 bits of the word it came in. */
export function narrow(type: ParameterClass, low: number): number {
  switch (type) {
    case 'bool':
      return (low & 0xff) === 0 ? 0 : 1;
    case 'i8':
      return (low << 24) >> 24;
    case 'u8':
      return low & 0xff;
    case 'i16':
      return (low << 16) >> 16;
    case 'u16':
      return low & 0xffff;
    case 'u32':
      return low >>> 0;
    default:
      return low | 0;
  }
}

/** A result as wide as its type; extended as compilers' callees do. */
export function narrowResult(returns: ValueClass, value: number): number {
  if (returns === 'i32') return value | 0;
  if (returns === 'u32') return value >>> 0;
  if (returns === 'u16') return value & 0xffff;
  if (returns === 'u8') return value & 0xff;
  if (returns === 'bool') return value === 0 ? 0 : 1;
  return value;
}

/** Of a function without parameters. */
export const plainSignature = (name: string, returns: ValueClass): Signature => ({
  name,
  returns,
  parameters: [],
  variadic: false,
});

/** Where a call from TypeScript into the guest was made. */
export interface CallMark {
  readonly stack: Address;
  readonly instruction: Address;
}

/** What the kernel needs from a calling convention; one implementation per instruction set and platform. */
export interface Convention {
  /** Points the stack at `top` for a thread that has not run yet; clears the registers. */
  enterThread(cpu: Cpu, top: Address): void;
  /** Sets up a call of `entry` that returns to `returnTo`; the mark undoes it. A bigint is a 64-bit argument. */
  enterFunction(
    cpu: Cpu,
    entry: Address,
    args: readonly (number | bigint | boolean)[],
    returnTo: Address,
  ): CallMark;
  /** Puts stack and instruction pointer back to where they were before `enterFunction`. */
  leaveFunction(cpu: Cpu, mark: CallMark): void;
  /** The integer result register: a signed number of 64 bits, or an unsigned one of 32, as addresses are. */
  result(cpu: Cpu): number;
  /** A 64-bit integer result, unsigned. */
  resultBig(cpu: Cpu): bigint;
  /** Reads the arguments of the call in progress, in the order of the signature (a VarArgs last when variadic). */
  readArguments(cpu: Cpu, signature: Signature): Argument[];
  /** Writes the result of the call in progress and returns to the caller, past the arguments where the callee does that. */
  finish(cpu: Cpu, signature: Signature, value: unknown): void;
  /** The address the call in progress returns to. */
  returnAddress(cpu: Cpu): Address;
  /** A va_list object in guest memory. */
  vaList(cpu: Cpu, address: Address): VarArgs;
}
