/** Where things lie in the kernel's half (sys/amd64/include/vmparam.h, sys/i386/include/vmparam.h). Signed numbers. */
import type { Address } from '../../memory/space.ts';

const high = (hex: bigint): Address => Number(BigInt.asIntN(64, hex));

export interface AddressMap {
  readonly directMap: Address | undefined;
  /** The kernel's image: what kldstat shows as the address and size of file 1. */
  readonly kernel: { readonly base: Address; readonly bytes: number };
  /** Gates of kernel functions, in the image's text. */
  readonly gates: { readonly base: Address; readonly bytes: number };
  /** Exported data, in the image's data. */
  readonly data: { readonly base: Address; readonly bytes: number };
  /** Addresses of symbols that nobody wrote: nothing is mapped there, so that a read of data stops as well. */
  readonly absent: { readonly base: Address; readonly bytes: number };
  /** Where modules are placed: behind the kernel, in reach of its code model. */
  readonly modules: { readonly base: Address; readonly end: Address };
  /** Kernel virtual memory: stacks and large allocations. */
  readonly kmem: { readonly base: Address; readonly end: Address };
  /** The buffers of the process on whose behalf a system call runs. */
  readonly user: { readonly base: Address; readonly pages: number; readonly end: Address };
}

export const AMD64_MAP: AddressMap = {
  directMap: high(0xfffff80000000000n),
  kernel: { base: high(0xffffffff80200000n), bytes: 0x1755658 },
  gates: { base: high(0xffffffff80300000n), bytes: 1 << 20 },
  data: { base: high(0xffffffff81000000n), bytes: 1 << 21 },
  absent: { base: high(0xffffffff80800000n), bytes: 1 << 22 },
  modules: { base: high(0xffffffff81a11000n), end: high(0xffffffffc0000000n) },
  // The real area is 2 TiB; 16 GiB is more than the guest's memory can fill.
  kmem: { base: high(0xfffffe0000000000n), end: high(0xfffffe0400000000n) },
  user: { base: 0x7fffffe00000 - 0x1000000, pages: 4096, end: 0x800000000000 },
};

export const I386_MAP: AddressMap = {
  directMap: undefined,
  kernel: { base: 0xc0400000, bytes: 0x10e6da4 },
  gates: { base: 0xc0500000, bytes: 1 << 20 },
  data: { base: 0xc1000000, bytes: 1 << 20 },
  absent: { base: 0xc0800000, bytes: 1 << 22 },
  modules: { base: 0xc3000000, end: 0xc8000000 },
  kmem: { base: 0xc8000000, end: 0xf0000000 },
  user: { base: 0xbe000000, pages: 4096, end: 0xbfc00000 },
};
