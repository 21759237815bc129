/** Integers of 64 bits as 32-bit compilers and drivers of the first releases reckon with them, and the bits of one. */
import type { Windows } from '../windows.ts';
import { kernelFunctions } from './define.ts';

const divide = (a: bigint, b: bigint): bigint => (b === 0n ? 0n : a / b);
const remainder = (a: bigint, b: bigint): bigint => (b === 0n ? 0n : a % b);
const signed = (value: bigint): bigint => BigInt.asIntN(64, value);
const unsigned = (value: bigint): bigint => BigInt.asUintN(64, value);

const [RCX, RBX] = [1, 3];

/** The compiler's own convention: the quotient comes back as any result does, the remainder in EBX:ECX. */
function both(k: Windows, a: bigint, b: bigint): bigint {
  const rest = remainder(a, b);
  k.cpu.setGpr(RCX, Number(BigInt.asIntN(32, rest)));
  k.cpu.setGpr(RBX, Number(BigInt.asIntN(32, rest >> 32n)));
  return divide(a, b);
}

function divideInto(k: Windows, a: bigint, b: bigint, rest: number, put: 'set32' | 'setU64'): bigint {
  if (rest !== 0 && put === 'set32') k.memory.set32(rest, Number(remainder(a, b)));
  else if (rest !== 0) k.memory.setU64(rest, unsigned(remainder(a, b)));
  return divide(a, b);
}

export const integerFunctions = kernelFunctions({
  's64 _allmul(s64 a, s64 b)': (_k, a, b) => signed(a * b),
  's64 _alldiv(s64 a, s64 b)': (_k, a, b) => signed(divide(a, b)),
  's64 _allrem(s64 a, s64 b)': (_k, a, b) => signed(remainder(a, b)),
  'u64 _aulldiv(u64 a, u64 b)': (_k, a, b) => divide(a, b),
  'u64 _aullrem(u64 a, u64 b)': (_k, a, b) => remainder(a, b),
  's64 _alldvrm(s64 a, s64 b)': (k, a, b) => signed(both(k, a, b)),
  'u64 _aulldvrm(u64 a, u64 b)': (k, a, b) => both(k, a, b),

  's64 RtlLargeIntegerAdd(s64 a, s64 b)': (_k, a, b) => signed(a + b),
  's64 RtlLargeIntegerSubtract(s64 a, s64 b)': (_k, a, b) => signed(a - b),
  's64 RtlLargeIntegerNegate(s64 a)': (_k, a) => signed(-a),
  's64 RtlLargeIntegerShiftLeft(s64 a, CCHAR by)': (_k, a, by) => signed(a << BigInt(by & 63)),
  's64 RtlLargeIntegerArithmeticShift(s64 a, CCHAR by)': (_k, a, by) => a >> BigInt(by & 63),
  'u64 RtlLargeIntegerShiftRight(u64 a, CCHAR by)': (_k, a, by) => a >> BigInt(by & 63),
  'u64 RtlLargeIntegerDivide(u64 a, u64 b, u64 *rest)': (k, a, b, rest) =>
    divideInto(k, a, b, rest, 'setU64'),
  'u64 RtlExtendedLargeIntegerDivide(u64 a, ULONG b, ULONG *rest)': (k, a, b, rest) =>
    divideInto(k, a, BigInt(b), rest, 'set32'),
  's64 RtlExtendedIntegerMultiply(s64 a, LONG b)': (_k, a, b) => signed(a * BigInt(b)),
  's64 RtlEnlargedIntegerMultiply(LONG a, LONG b)': (_k, a, b) => BigInt(a) * BigInt(b),
  'u64 RtlEnlargedUnsignedMultiply(ULONG a, ULONG b)': (_k, a, b) => BigInt(a) * BigInt(b),
  'ULONG RtlEnlargedUnsignedDivide(u64 a, ULONG b, ULONG *rest)': (k, a, b, rest) =>
    Number(BigInt.asUintN(32, divideInto(k, a, BigInt(b), rest, 'set32'))),
  's64 RtlConvertLongToLargeInteger(LONG value)': (_k, value) => BigInt(value),
  'u64 RtlConvertUlongToLargeInteger(ULONG value)': (_k, value) => BigInt(value),

  /** The number of a bit, -1 where none is set. */
  'CCHAR RtlFindMostSignificantBit(u64 set)': (_k, set) => set.toString(2).length - 1 - (set === 0n ? 1 : 0),
  'CCHAR RtlFindLeastSignificantBit(u64 set)': (_k, set) =>
    set === 0n ? -1 : (set & -set).toString(2).length - 1,

  'void FASTCALL ExInterlockedAddLargeStatistic(PVOID at, ULONG by)': (k, at, by) =>
    k.memory.setU64(at, unsigned(k.memory.u64(at) + BigInt(by))),
});
