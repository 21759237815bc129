/** Where things lie in the kernel's address space, without KASLR (xnu osfmk/i386/vm_param.h). */
import type { Address } from '../../memory/address.ts';

const at = (text: string): Address => Number(BigInt.asIntN(64, BigInt(text)));

export interface AddressMap {
  /** On 64 bits below the kernel, so that calls between kexts and the kernel span less than 2 GiB. */
  readonly kexts: Address;
  readonly kextsEnd: Address;
  /** The kernel's own text: gates of kernel functions. */
  readonly gates: { readonly base: Address; readonly bytes: number };
  /** What of the kernel nobody wrote. */
  readonly absent: { readonly base: Address; readonly bytes: number };
  /** Exported data of the kernel. */
  readonly data: Address;
  readonly dataEnd: Address;
  /** kalloc and the zones. */
  readonly heap: Address;
  readonly stacks: Address;
  readonly stacksEnd: Address;
  /** Physical memory that drivers have mapped. */
  readonly devices: Address;
  readonly devicesEnd: Address;
  /** Buffers of the calling process. */
  readonly user: Address;
}

export const X86_64_MAP: AddressMap = {
  kexts: at('0xffffff7f82000000'),
  kextsEnd: at('0xffffff7fff000000'),
  gates: { base: at('0xffffff8000200000'), bytes: 0x400000 },
  absent: { base: at('0xffffff8000600000'), bytes: 0x100000 },
  data: at('0xffffff8000c00000'),
  dataEnd: at('0xffffff8001000000'),
  heap: at('0xffffff8010000000'),
  stacks: at('0xffffff8080000000'),
  stacksEnd: at('0xffffff8090000000'),
  devices: at('0xffffff8090000000'),
  devicesEnd: at('0xffffff80a0000000'),
  user: at('0x00007fff50000000'),
};

/** The 32-bit kernel has all four gigabytes for itself; what it copies from a process lies in another space there. */
export const I386_MAP: AddressMap = {
  kexts: 0x2a000000,
  kextsEnd: 0x70000000,
  gates: { base: 0x00200000, bytes: 0x400000 },
  absent: { base: 0x00600000, bytes: 0x100000 },
  data: 0x00c00000,
  dataEnd: 0x01000000,
  heap: 0x04000000,
  stacks: 0x10000000,
  stacksEnd: 0x20000000,
  devices: 0x20000000,
  devicesEnd: 0x2a000000,
  user: 0xb0000000,
};

/** KERNEL_STACK_SIZE */
export const STACK_BYTES = 16384;
