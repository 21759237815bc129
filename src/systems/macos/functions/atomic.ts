/** Atomic operations (libkern/libkern/OSAtomic.h): each gives the value from before. */
import type { Address } from '../../../memory/space.ts';
import type { Macos } from '../macos.ts';
import { kernelFunctions } from './define.ts';

function change(k: Macos, at: Address, to: (old: number) => number): number {
  const old = k.memory.i32(at);
  k.memory.set32(at, to(old));
  return old;
}

function change64(k: Macos, at: Address, by: bigint): bigint {
  const old = k.memory.u64(at);
  k.memory.setU64(at, BigInt.asUintN(64, old + by));
  return BigInt.asIntN(64, old);
}

export const atomics = kernelFunctions({
  'SInt32 OSIncrementAtomic(volatile SInt32 *at)': (k, at) => change(k, at, (old) => old + 1),
  'SInt32 OSDecrementAtomic(volatile SInt32 *at)': (k, at) => change(k, at, (old) => old - 1),
  'SInt32 OSAddAtomic(SInt32 amount, volatile SInt32 *at)': (k, amount, at) =>
    change(k, at, (old) => old + amount),
  'UInt32 OSBitAndAtomic(UInt32 mask, volatile UInt32 *at)': (k, mask, at) =>
    change(k, at, (old) => old & mask) >>> 0,
  'UInt32 OSBitOrAtomic(UInt32 mask, volatile UInt32 *at)': (k, mask, at) =>
    change(k, at, (old) => old | mask) >>> 0,
  'UInt32 OSBitXorAtomic(UInt32 mask, volatile UInt32 *at)': (k, mask, at) =>
    change(k, at, (old) => old ^ mask) >>> 0,
  'int64_t OSAddAtomic64(int64_t amount, volatile int64_t *at)': (k, amount, at) => change64(k, at, amount),
  'long OSAddAtomicLong(long amount, volatile long *at)': (k, amount, at) =>
    k.word === 8 ? Number(change64(k, at, BigInt(amount))) : change(k, at, (old) => old + amount),
  'bool OSCompareAndSwap(UInt32 old, UInt32 value, volatile UInt32 *at)': (k, old, value, at) => {
    if (k.memory.u32(at) !== old) return false;
    k.memory.set32(at, value);
    return true;
  },
  'bool OSCompareAndSwap64(uint64_t old, uint64_t value, volatile uint64_t *at)': (k, old, value, at) => {
    if (k.memory.u64(at) !== old) return false;
    k.memory.setU64(at, value);
    return true;
  },
  'bool OSCompareAndSwapPtr(void *old, void *value, void *volatile *at)': (k, old, value, at) => {
    if (k.memory.ptr(at) !== old) return false;
    k.memory.setPtr(at, value);
    return true;
  },
  'bool OSTestAndSet(UInt32 bit, volatile UInt8 *at)': (k, bit, at) => {
    const place = at + (bit >>> 3);
    const mask = 0x80 >> (bit & 7);
    const old = k.memory.u8(place);
    k.memory.set8(place, old | mask);
    return (old & mask) !== 0;
  },
  'bool OSTestAndClear(UInt32 bit, volatile UInt8 *at)': (k, bit, at) => {
    const place = at + (bit >>> 3);
    const mask = 0x80 >> (bit & 7);
    const old = k.memory.u8(place);
    k.memory.set8(place, old & ~mask);
    return (old & mask) === 0;
  },
});
