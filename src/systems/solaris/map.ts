/**
 * The kernel half of an amd64 Solaris address space (i86pc/os/startup.c): module text and data lie within 2 GiB of the
 * kernel's own text, so that code of the kernel memory model reaches everything. On i386 everything is in the last GiB.
 */
import type { Address } from '../../memory/space.ts';

const high = (hex: bigint): Address => Number(BigInt.asIntN(64, hex));

export interface KernelMap {
  /** Kernel functions of ours, where unix and genunix would be. */
  readonly gates: { readonly base: Address; readonly bytes: number };
  /** Exported data of the kernel. */
  readonly data: { readonly base: Address; readonly bytes: number };
  readonly text: { readonly base: Address; readonly end: Address };
  readonly moduleData: { readonly base: Address; readonly end: Address };
  readonly heap: { readonly base: Address; readonly bytes: number };
  readonly stacks: { readonly base: Address; readonly end: Address };
  /** A stand-in for the calling process's memory. */
  readonly user: { readonly base: Address; readonly bytes: number };
  /** First address that is no longer a user's. */
  readonly kernelBase: Address;
}

const MIB = 2 ** 20;

export const AMD64: KernelMap = {
  gates: { base: high(0xfffffffffb800000n), bytes: MIB },
  data: { base: high(0xfffffffffbc00000n), bytes: MIB },
  // HEAPTEXT_SIZE is 64 MiB, right below KERNEL_TEXT.
  text: { base: high(0xfffffffff7800000n), end: high(0xfffffffffb800000n) },
  moduleData: { base: high(0xffffffffc0000000n), end: high(0xfffffffff7800000n) },
  heap: { base: high(0xffffff0100000000n), bytes: 64 * MIB },
  stacks: { base: high(0xffffff0008000000n), end: high(0xffffff0010000000n) },
  user: { base: 0x7fff_0000_0000, bytes: 16 * MIB },
  kernelBase: 0x8000_0000_0000,
};

/** KERNELBASE 0xd4000000 and what follows it on a machine with little memory. */
export const I386: KernelMap = {
  gates: { base: 0xfe800000, bytes: MIB },
  data: { base: 0xfec00000, bytes: MIB },
  text: { base: 0xf8000000, end: 0xfc000000 },
  moduleData: { base: 0xf0000000, end: 0xf8000000 },
  heap: { base: 0xd8000000, bytes: 64 * MIB },
  stacks: { base: 0xd5000000, end: 0xd8000000 },
  user: { base: 0x08000000, bytes: 16 * MIB },
  kernelBase: 0xd4000000,
};
