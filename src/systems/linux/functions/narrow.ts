/**
 * Functions that only 32-bit kernels export: division of 64-bit numbers, which has no instruction there, and mappings of
 * memory above the direct map, which the base kernel does not have: its pages are all mapped already.
 */
import { PAGE_SIZE } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { divideError } from './caller.ts';
import { jiffies } from './clock.ts';
import { kernelFunctions } from './define.ts';
import { clearUserMemory } from './usercopy.ts';

function quotient(k: Linux, dividend: bigint, divisor: bigint): bigint {
  return divisor === 0n ? divideError(k) : dividend / divisor;
}

function integerRoot(value: bigint): number {
  let root = BigInt(Math.floor(Math.sqrt(Number(value))));
  while (root * root > value) root--;
  while ((root + 1n) * (root + 1n) <= value) root++;
  return Number(root);
}

export const narrowFunctions = kernelFunctions({
  'u64 div64_u64(u64 dividend, u64 divisor)': (k, dividend, divisor) => quotient(k, dividend, divisor),
  'u64 div64_u64_rem(u64 dividend, u64 divisor, u64 *remainder)': (k, dividend, divisor, rest) => {
    const result = quotient(k, dividend, divisor);
    k.memory.setU64(rest, dividend - result * divisor);
    return result;
  },
  's64 div64_s64(s64 dividend, s64 divisor)': (k, dividend, divisor) => quotient(k, dividend, divisor),
  's64 div_s64_rem(s64 dividend, s32 divisor, s32 *remainder)': (k, dividend, divisor, rest) => {
    const result = quotient(k, dividend, BigInt(divisor));
    k.memory.set32(rest, Number(dividend - result * BigInt(divisor)));
    return result;
  },
  'u32 int_sqrt64(u64 x)': (_k, x) => integerRoot(x),
  'u64 get_jiffies_64(void)': (k) => BigInt(jiffies(k)),
  'unsigned long clear_user(void *to, unsigned long n)': (k, to, n) => clearUserMemory(k, to, n),
  'void *__kmap_local_page_prot(struct page *page, pgprot_t prot)': (k, page) => k.heap.pages.addressOf(page),
  // Nothing was mapped for a page of the direct map.
  'void kunmap_local_indexed(const void *vaddr)': () => undefined,
  'struct page *__kmap_to_page(void *vaddr)': (k, at) => k.heap.pages.ofAddress(at),
  'void zero_user_segments(struct page *page, unsigned start1, unsigned end1, unsigned start2, unsigned end2)':
    (k, page, start1, end1, start2, end2) => {
      const at = k.heap.pages.addressOf(page);
      for (const [start, end] of [
        [start1, Math.min(end1, PAGE_SIZE)],
        [start2, Math.min(end2, PAGE_SIZE)],
      ]) {
        if (end > start) k.memory.fill(at + start, end - start, 0);
      }
    },
});
