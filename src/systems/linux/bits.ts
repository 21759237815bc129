/** Single bits of an unsigned long in guest memory, as test_bit and __assign_bit reach them. */
import type { Address } from '../../memory/space.ts';
import type { Linux } from './linux.ts';

export function hasBit(k: Linux, word: Address, bit: number): boolean {
  return ((k.memory.ulong(word) >> BigInt(bit)) & 1n) === 1n;
}

export function assignBit(k: Linux, word: Address, bit: number, on: boolean): void {
  const mask = 1n << BigInt(bit);
  const old = k.memory.ulong(word);
  k.memory.setUlong(word, on ? old | mask : old & ~mask);
}
