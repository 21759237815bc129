/**
 * Linux's x86-64 address map with four-level page tables and no KASLR (Documentation/arch/x86/x86_64/mm.rst).
 * Addresses are signed numbers.
 */
import type { Address } from '../../memory/space.ts';

const high = (hex: bigint): Address => Number(BigInt.asIntN(64, hex));

export const MAP = {
  directMap: high(0xffff888000000000n),
  vmalloc: high(0xffffc90000000000n),
  /** The real area is 32 TiB; 16 GiB is more than the guest's memory can ever fill. */
  vmallocEnd: high(0xffffc90400000000n),
  vmemmap: high(0xffffea0000000000n),
  kernelText: high(0xffffffff81000000n),
  modules: high(0xffffffffc0000000n),
  modulesEnd: high(0xffffffffff000000n),
  /** Gates for callbacks of ours: in the kernel's own 1 GiB window, above any image, in reach of a 32-bit call. */
  gates: { base: high(0xffffffffbf000000n), bytes: 1 << 20 },
} as const;
