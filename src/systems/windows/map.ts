/** Where things lie: the customary places of 64-bit and 32-bit Windows, without randomness. Addresses as in memory/space.ts. */
import type { Address } from '../../memory/space.ts';

export interface Span {
  readonly base: Address;
  readonly end: Address;
}

export interface WindowsMap {
  readonly word: 4 | 8;
  /** The kernel's image begins HEADER_BYTES (kernel-image.ts) before: at 0x80100000 on x86, as in NT 3.51 and 4. */
  readonly gates: { readonly base: Address; readonly bytes: number };
  /** The kernel's own data: exported variables, processor control region, objects of the system. */
  readonly kernelData: Span;
  readonly hal: Address;
  readonly drivers: Span;
  readonly nonPaged: Span;
  readonly paged: Span;
  readonly stacks: Span;
  /** System PTEs: mappings of memory described by MDLs, and of device memory. */
  readonly mappings: Span;
  /** What a user process has allocated: buffers of requests. */
  readonly user: Span;
  readonly sharedData: Address;
  readonly userSharedData: Address;
  /** First address that no user pointer may reach (MmUserProbeAddress). */
  readonly userEnd: Address;
}

const high = (hex: bigint): Address => Number(BigInt.asIntN(64, hex));
const span = (base: Address, bytes: number): Span => ({ base, end: base + bytes });

export const MAP64: WindowsMap = {
  word: 8,
  gates: { base: high(0xfffff80002640000n), bytes: 1 << 18 },
  kernelData: span(high(0xfffff80002a00000n), 1 << 22),
  hal: high(0xfffff80002e00000n),
  drivers: span(high(0xfffff88001000000n), 1 << 29),
  nonPaged: span(high(0xfffffa8001000000n), 1 << 30),
  paged: span(high(0xfffff8a000000000n), 1 << 30),
  stacks: span(high(0xfffff88040000000n), 1 << 28),
  mappings: span(high(0xfffff88060000000n), 1 << 28),
  user: span(0x10000000, 1 << 28),
  sharedData: high(0xfffff78000000000n),
  userSharedData: 0x7ffe0000,
  userEnd: 0x7fffffff0000,
};

export const MAP32: WindowsMap = {
  word: 4,
  gates: { base: 0x80140000, bytes: 1 << 18 },
  kernelData: span(0x80200000, 1 << 21),
  /** As in NT 3.51 and 4. */
  hal: 0x80400000,
  drivers: span(0xf8000000, 1 << 26),
  nonPaged: span(0x81000000, 1 << 27),
  paged: span(0xe1000000, 1 << 26),
  stacks: span(0xf0000000, 1 << 26),
  mappings: span(0xfc000000, 1 << 25),
  user: span(0x10000000, 1 << 26),
  sharedData: 0xffdf0000,
  userSharedData: 0x7ffe0000,
  userEnd: 0x7fff0000,
};
