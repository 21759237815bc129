/**
 * The machine that a base kernel says it runs on: a plain x86-64 PC with SSE4.2, AES and SHA instructions, without AVX, and
 * with no hardware on its buses.
 * CPUID leaves follow the SDM (volume 2A, CPUID); feature bits match what the interpreter executes, so that
 * alternatives patched in for this processor only use instructions it has.
 */
import type { CpuMachine } from '../cpu/machine.ts';
import type { Kernel } from './kernel.ts';

const EMPTY = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
/** "GenuineIntel" in ebx, edx, ecx. */
const VENDOR = { eax: 0x16, ebx: 0x756e6547, edx: 0x49656e69, ecx: 0x6c65746e };
/** Family 6, model 0x0f, stepping 1. */
const SIGNATURE = 0x000006f1;
/** sse3, pclmulqdq, ssse3, cx16, sse4.1, sse4.2, movbe, popcnt, aes, rdrand, hypervisor present. */
const FEATURES_C =
  1 |
  (1 << 1) |
  (1 << 9) |
  (1 << 13) |
  (1 << 19) |
  (1 << 20) |
  (1 << 22) |
  (1 << 23) |
  (1 << 25) |
  (1 << 30) |
  (1 << 31);
/** fpu tsc msr pae cx8 sep pge cmov clflush mmx fxsr sse sse2. */
const FEATURES_D =
  1 |
  (1 << 4) |
  (1 << 5) |
  (1 << 6) |
  (1 << 8) |
  (1 << 11) |
  (1 << 13) |
  (1 << 15) |
  (1 << 19) |
  (1 << 23) |
  (1 << 24) |
  (1 << 25) |
  (1 << 26);
/** bmi1, bmi2, erms (rep movsb and stosb are bulk operations here), rdseed, adx, clflushopt, sha. */
const FEATURES_7_B = (1 << 3) | (1 << 8) | (1 << 9) | (1 << 18) | (1 << 19) | (1 << 23) | (1 << 29);
/** syscall, nx, 1 GiB pages, rdtscp, long mode. */
const EXTENDED_D = (1 << 11) | (1 << 20) | (1 << 26) | (1 << 27) | (1 << 29);
/** lahf in 64-bit mode, lzcnt, prefetchw. */
const EXTENDED_C = 1 | (1 << 5) | (1 << 8);
const BRAND = 'lkm base kernel CPU'.padEnd(48, '\0');

const brandWord = (at: number): number => {
  let word = 0;
  for (let i = 3; i >= 0; i--) word = word * 256 + BRAND.charCodeAt(at + i);
  return word;
};

function cpuid(leaf: number): ReturnType<CpuMachine['cpuid']> {
  switch (leaf >>> 0) {
    case 0:
      return VENDOR;
    case 1:
      return { eax: SIGNATURE, ebx: 0x0800, ecx: FEATURES_C >>> 0, edx: FEATURES_D >>> 0 };
    case 7:
      return { ...EMPTY, ebx: FEATURES_7_B };
    case 0x80000000:
      return { ...EMPTY, eax: 0x80000008 };
    case 0x80000001:
      return { ...EMPTY, ecx: EXTENDED_C, edx: EXTENDED_D };
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: {
      const at = ((leaf >>> 0) - 0x80000002) * 16;
      return { eax: brandWord(at), ebx: brandWord(at + 4), ecx: brandWord(at + 8), edx: brandWord(at + 12) };
    }
    case 0x80000008:
      // 48-bit linear, 40-bit physical addresses.
      return { ...EMPTY, eax: 0x3028 };
    default:
      return EMPTY;
  }
}

/**
 * Model-specific registers that exist: APIC base, the sysenter set, PAT, EFER, the syscall set, and the processor's number for
 * rdtscp (SDM volume 4).
 */
const REGISTERS: readonly (readonly [number, bigint])[] = [
  [0x10, 0n],
  [0x1b, 0xfee00900n],
  [0x174, 0n],
  [0x175, 0n],
  [0x176, 0n],
  [0x277, 0x0007040600070406n],
  [0xc0000080, 0xd01n],
  [0xc0000081, 0x0023001000000000n],
  [0xc0000082, 0n],
  [0xc0000083, 0n],
  [0xc0000084, 0x47700n],
  [0xc0000103, 0n],
];

/** CR0: protected mode, monitor, extension type, numeric error, write protect, alignment mask, paging. */
const CR0 = 0x80050033n;
const WRITE_PROTECT = 1n << 16n;
/** CR4: what oopses of the base kernel show. */
const CONTROL: ReadonlyMap<number, bigint> = new Map([[4, 0x6f0n]]);

const controlWord = (k: Kernel): bigint => (k.memory.writeProtect ? CR0 : CR0 & ~WRITE_PROTECT);

export function plainPc(k: Kernel): CpuMachine {
  const registers = new Map(REGISTERS);
  return {
    cpuid,
    rdmsr: (index) => (index === 0x10 ? BigInt(Math.floor(k.time.now())) : registers.get(index)),
    wrmsr: (index, value) => {
      if (!registers.has(index)) return false;
      registers.set(index, value);
      return true;
    },
    // An empty bus floats high.
    in: (_port, size) => (size === 1 ? 0xff : size === 2 ? 0xffff : 0xffffffff),
    out: () => undefined,
    // One tick a nanosecond: the clock is the count of instructions.
    tsc: () => BigInt(Math.floor(k.time.now())),
    random: () => (BigInt(k.random32()) << 32n) | BigInt(k.random32()),
    processorId: 0,
    readControl: (register) => CONTROL.get(register) ?? (register === 0 ? controlWord(k) : 0n),
    writeControl: (register, value) => {
      if (register === 0) k.memory.writeProtect = (value & WRITE_PROTECT) !== 0n;
    },
  };
}
