/**
 * boot_cpu_data and the per-CPU cpu_info: what the kernel found out about its processor. Feature words follow
 * arch/x86/include/asm/cpufeatures.h; they are read out of the machine's own CPUID.
 */

import { plainPc } from '../../../kernel/pc.ts';
import { type Address, fromBig } from '../../../memory/address.ts';
import type { DataInitialiser, Linux } from '../linux.ts';

type Register = 'eax' | 'ebx' | 'ecx' | 'edx';

/** Word of x86_capability, and where it stands in CPUID. */
const WORDS: readonly (readonly [word: number, leaf: number, register: Register])[] = [
  [0, 1, 'edx'],
  [1, 0x80000001, 'edx'],
  [4, 1, 'ecx'],
  [6, 0x80000001, 'ecx'],
  [9, 7, 'ebx'],
  [13, 0x80000008, 'ebx'],
  [16, 7, 'ecx'],
  [18, 7, 'edx'],
];
/** Word 3 is Linux's own: REP_GOOD (16), NOPL (20), ALWAYS (21). */
const OWN_WORD = 3;
const OWN_BITS = (1 << 16) | (1 << 20) | (1 << 21);

function fill(k: Linux, at: Address): void {
  const { cpuid } = plainPc(k);
  const set = (field: string, value: number) => {
    if (k.types.has(`cpuinfo_x86.${field}`)) k.write(`cpuinfo_x86.${field}`, at, value);
  };
  const words = k.offset('cpuinfo_x86.x86_capability');
  for (const [word, leaf, register] of WORDS) k.memory.set32(at + words + word * 4, cpuid(leaf, 0)[register]);
  k.memory.set32(at + words + OWN_WORD * 4, OWN_BITS);
  const signature = cpuid(1, 0).eax;
  set('x86', (signature >> 8) & 15);
  set('x86_model', ((signature >> 4) & 15) | ((signature >> 12) & 0xf0));
  set('x86_stepping', signature & 15);
  set('cpuid_level', cpuid(0, 0).eax);
  set('extended_cpuid_level', fromBig(BigInt(cpuid(0x80000000, 0).eax >>> 0)));
  set('x86_virt_bits', 48);
  set('x86_phys_bits', 40);
  set('x86_clflush_size', 64);
  set('x86_cache_alignment', 64);
  set('x86_cache_bits', 40);
  set('x86_max_cores', 1);
  set('booted_cores', 1);
  const { ebx, ecx, edx } = cpuid(0, 0);
  writeWords(k, at + k.offset('cpuinfo_x86.x86_vendor_id'), [ebx, edx, ecx]);
  const brand = [2, 3, 4].flatMap((leaf) => {
    const part = cpuid(0x80000000 + leaf, 0);
    return [part.eax, part.ebx, part.ecx, part.edx];
  });
  writeWords(k, at + k.offset('cpuinfo_x86.x86_model_id'), brand);
}

function writeWords(k: Linux, at: Address, words: readonly number[]): void {
  for (const [i, word] of words.entries()) k.memory.set32(at + i * 4, word);
}

export const cpuData: readonly DataInitialiser[] = [
  { symbol: 'boot_cpu_data', when: 'boot', fill },
  { symbol: 'cpu_info', when: 'boot', fill: (k, at) => fill(k, k.percpu.addressOf(at)) },
];
