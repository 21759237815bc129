/**
 * What the base kernel takes from the kind of x86 that a kernel was built for: the address map, the processor's mode and
 * the calling convention.
 */
import type { Convention } from '../../abi/convention.ts';
import { I386 } from '../../abi/i386.ts';
import { SystemV } from '../../abi/sysv.ts';
import { roundUp } from '../../bytes/align.ts';
import { Unsupported } from '../../bytes/errors.ts';
import { type Address, type GuestMemory, PAGE_SIZE } from '../../memory/space.ts';
import type { KernelFile } from './kernelfile/kernelfile.ts';

/** Where things are. Addresses are signed numbers of 64 bits, or unsigned ones of 32. */
export interface AddressMap {
  /** Where frame 0 of the guest's RAM is mapped. */
  readonly directMap: Address;
  /** What the physical address of a direct-mapped one is reckoned from: PAGE_OFFSET. */
  readonly pageOffset: Address;
  readonly vmalloc: Address;
  /** The end of what the base kernel uses of it. */
  readonly vmallocEnd: Address;
  /** Bytes of the whole area, as is_vmalloc_addr has it. */
  readonly vmallocBytes: number;
  /** The array of struct page, for physical address 0 on. */
  readonly vmemmap: Address;
  /** Bits of page->flags that name the zone of ordinary memory. */
  readonly zoneFlags: bigint;
  /** What the physical address of the kernel image is reckoned from. */
  readonly imageBase: Address;
  readonly kernelText: Address;
  /** May be the vmalloc area itself. */
  readonly modules: Address;
  readonly modulesEnd: Address;
  /** Gates for callbacks of ours: out of the way of the image, in reach of a 32-bit call. */
  readonly gates: { readonly base: Address; readonly bytes: number };
  /** Where the buffers of the calling process lie, and the end of what it may name (TASK_SIZE_MAX). */
  readonly user: Address;
  readonly userEnd: Address;
}

export interface Architecture {
  readonly bits: 32 | 64;
  readonly map: AddressMap;
  /** Bytes of a kernel stack. */
  readonly threadSize: number;
  convention(memory: GuestMemory): Convention;
}

const high = (hex: bigint): Address => Number(BigInt.asIntN(64, hex));

/** x86-64 with four-level page tables and no KASLR (Documentation/arch/x86/x86_64/mm.rst). */
const MAP_64: AddressMap = {
  directMap: high(0xffff888000000000n),
  pageOffset: high(0xffff888000000000n),
  vmalloc: high(0xffffc90000000000n),
  // The real area is 32 TiB; 16 GiB is more than the guest's memory can ever fill.
  vmallocEnd: high(0xffffc90400000000n),
  vmallocBytes: 2 ** 45,
  vmemmap: high(0xffffea0000000000n),
  // ZONE_DMA32: zone bits lie under the ten node bits (include/linux/page-flags-layout.h).
  zoneFlags: 1n << 51n,
  imageBase: high(0xffffffff80000000n),
  kernelText: high(0xffffffff81000000n),
  modules: high(0xffffffffc0000000n),
  modulesEnd: high(0xffffffffff000000n),
  // In the kernel's own 1 GiB window, above any image.
  gates: { base: high(0xffffffffbf000000n), bytes: 1 << 20 },
  // Near the top of the lower half, where a real process has its stack.
  user: 0x7ffc00000000,
  userEnd: 0x7ffffffff000,
};

const X86_64: Architecture = {
  bits: 64,
  map: MAP_64,
  // THREAD_SIZE without KASAN (arch/x86/include/asm/page_64_types.h): four pages.
  threadSize: 16384,
  convention: (memory) => new SystemV(memory),
};

const PAGE_OFFSET_32 = 0xc0000000;
/** Large pages of PAE are 2 MiB, those without are 4. */
const LARGE_PAGE = 4 << 20;

/**
 * i386 with three gigabytes for user space (arch/x86/include/asm/page_32_types.h, pgtable_32_areas.h). The image is part of
 * the direct map, so the guest's RAM begins behind it, as if what lies before were reserved.
 */
function map32(file: KernelFile): AddressMap {
  const ends = file.sections.map(({ base, size }) => base + size).filter((end) => end > PAGE_OFFSET_32);
  const directMap = roundUp(Math.max(PAGE_OFFSET_32, ...ends), LARGE_PAGE);
  // VMALLOC_START follows the memory there is: with 896 MiB of it, eight of them for a hole, it is here.
  const vmalloc = 0xf8800000;
  const vmallocEnd = 0xff7fe000;
  return {
    directMap,
    pageOffset: PAGE_OFFSET_32,
    vmalloc,
    vmallocEnd,
    vmallocBytes: vmallocEnd - vmalloc,
    vmemmap: 0xf6000000,
    // ZONE_NORMAL of DMA, NORMAL, HIGHMEM and MOVABLE: the highest two bits, as there are no nodes.
    zoneFlags: 1n << 30n,
    imageBase: PAGE_OFFSET_32,
    kernelText: 0xc1000000,
    modules: vmalloc,
    modulesEnd: vmallocEnd,
    gates: { base: 0xf5000000, bytes: 1 << 20 },
    user: 0xbf000000 - 0x01000000,
    userEnd: PAGE_OFFSET_32,
  };
}

/** @throws Unsupported for other machines than x86, and for kernels that do not tell how their structures are laid out */
export function architectureOf(file: KernelFile): Architecture {
  if (file.types.type('struct module') === undefined) {
    const problem =
      'does not tell its types (built without CONFIG_DEBUG_INFO_BTF): put them beside it as FILE.btf ' +
      '(pahole --btf_encode_detached, from its vmlinux with debugging information), or take a kernel that has them, ' +
      'such as a builtin: one';
    throw new Unsupported('kernel', problem);
  }
  if (file.machine === 'x86-64') return X86_64;
  if (file.machine !== 'i386') {
    const problem = `is for ${file.machine}: the base kernel runs modules of x86-64 and i386`;
    throw new Unsupported('kernel', problem);
  }
  return {
    bits: 32,
    map: map32(file),
    threadSize: 2 * PAGE_SIZE,
    // CONFIG_X86_32 compiles with -mregparm=3 -freg-struct-return (arch/x86/Makefile). Errors in place of pointers are
    // negative here as they are on 64 bits.
    convention: (memory) => new I386(memory, 'regparm3', { smallStructs: 'registers', negativeErrors: true }),
  };
}
