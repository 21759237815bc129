/** Where things lie in the kernel's address space on x86_64, without KASLR (xnu osfmk/i386/vm_param.h). */
import type { Address } from '../../memory/address.ts';

const at = (text: string): Address => Number(BigInt.asIntN(64, BigInt(text)));

export const MAP = {
  /** Below the kernel, so that calls between kexts and the kernel span less than 2 GiB. */
  kexts: at('0xffffff7f82000000'),
  kextsEnd: at('0xffffff7fff000000'),
  /** The kernel's own text: gates of kernel functions. */
  gates: { base: at('0xffffff8000200000'), bytes: 0x400000 },
  /** Exported data of the kernel. */
  data: at('0xffffff8000c00000'),
  dataEnd: at('0xffffff8001000000'),
  /** kalloc and the zones. */
  heap: at('0xffffff8010000000'),
  heapEnd: at('0xffffff8030000000'),
  stacks: at('0xffffff8080000000'),
  stacksEnd: at('0xffffff8090000000'),
  /** Physical memory that drivers have mapped. */
  devices: at('0xffffff8090000000'),
  devicesEnd: at('0xffffff80a0000000'),
  /** Buffers of the calling process. */
  user: at('0x00007fff50000000'),
} as const;

/** KERNEL_STACK_SIZE */
export const STACK_BYTES = 16384;
