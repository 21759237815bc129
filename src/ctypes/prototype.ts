import type { DataModel } from './model.ts';
import { type CType, type FunctionType, resolve } from './type.ts';

/**
 * How a value crosses between TypeScript and the guest. `long`, `ulong` and `pointer` are the target's word: on a
 * 64-bit one a signed number in TypeScript, on a 32-bit one a number with C's signedness (pointers unsigned). `i64` and
 * `u64` are bigints; `wide` and `uwide` are 64 bits that cross as a number on a 32-bit target (`loff_t`); the rest are
 * numbers with C's signedness.
 */
export type ValueClass =
  | 'void'
  | 'bool'
  | 'i8'
  | 'u8'
  | 'i16'
  | 'u16'
  | 'i32'
  | 'u32'
  | 'i64'
  | 'u64'
  | 'i128'
  | 'u128'
  | 'long'
  | 'ulong'
  | 'wide'
  | 'uwide'
  | 'pointer'
  | 'float'
  | 'double'
  | 'struct'
  | 'valist';

export interface PrototypeParameter {
  /** Empty where the prototype leaves it out. */
  readonly name: string;
  readonly type: CType;
  readonly class: ValueClass;
}

export interface Prototype {
  readonly name: string;
  readonly returns: CType;
  readonly returnClass: ValueClass;
  readonly parameters: readonly PrototypeParameter[];
  readonly variadic: boolean;
}

/**
 * Spellings that mean "a 64-bit number" and cross as bigint. Every other name for a 64-bit type (`size_t`,
 * `loff_t`, `sector_t`, `dma_addr_t`, `time64_t`...) measures something in the machine and crosses as a signed
 * number, exact for all values a program meets. kernel/functions.ts derives handler types by the same list.
 */
const BIG_NAMES = new Set([
  ...[
    'u64',
    's64',
    '__u64',
    '__s64',
    'ktime_t',
    'uint64_t',
    'int64_t',
    'UINT64',
    'INT64',
    'ULONG64',
    'LONG64',
  ],
  ...['ULONGLONG', 'LONGLONG', 'DWORD64', 'ULARGE_INTEGER', 'LARGE_INTEGER'],
]);

const VALIST_NAMES = new Set(['va_list', '__builtin_va_list', '__gnuc_va_list']);

/** Class of a type as parameter or result. Arrays and functions decay to pointers, as C has it. */
function classify(type: CType, model: DataModel): ValueClass {
  const alias = type.kind === 'typedef' ? type.name : '';
  if (VALIST_NAMES.has(alias)) return 'valist';
  const real = resolve(type);
  switch (real.kind) {
    case 'void':
      return 'void';
    case 'pointer':
    case 'array':
    case 'function':
      return 'pointer';
    case 'struct':
    case 'union':
      return 'struct';
    case 'float':
      return real.size === 4 ? 'float' : 'double';
    case 'enum':
      return integerClass(real.size, real.signed);
    case 'integer':
      if (real.encoding === 'bool') return 'bool';
      if (real.size === model.pointer && crossesAsWord(alias, real.name)) {
        return real.signed ? 'long' : 'ulong';
      }
      if (real.size === 8 && alias !== '' && crossesAsWord(alias, real.name)) {
        return real.signed ? 'wide' : 'uwide';
      }
      return integerClass(real.size, real.signed);
  }
}

/** Either a typedef that is not on the list above, or plain `long` and not `long long`. */
function crossesAsWord(alias: string, name: string): boolean {
  if (alias !== '') return !BIG_NAMES.has(alias) && /\blong\b/.test(name);
  return /\blong\b/.test(name) && !/\blong\b.*\blong\b/.test(name);
}

function integerClass(size: number, signed: boolean): ValueClass {
  const bits = size * 8;
  return `${signed ? 'i' : 'u'}${bits}` as ValueClass;
}

/** A function type with every value classified. */
export function prototypeOf(name: string, type: FunctionType, model: DataModel): Prototype {
  return {
    name,
    returns: type.returns,
    returnClass: classify(type.returns, model),
    parameters: type.parameters.map((p) => ({ name: p.name, type: p.type, class: classify(p.type, model) })),
    variadic: type.variadic,
  };
}
