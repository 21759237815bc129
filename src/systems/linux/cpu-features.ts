/** Which X86_FEATURE_* bits the kernel sees: boot_cpu_data.x86_capability, where inline code looks too. */
import type { Linux } from './linux.ts';

/** X86_FEATURE_ALWAYS (arch/x86/include/asm/cpufeatures.h): word 3, bit 21. */
const ALWAYS = 3 * 32 + 21;

/** @param feature word * 32 + bit, as in cpufeatures.h */
export function cpuHas(k: Linux, feature: number): boolean {
  if (feature === ALWAYS) return true;
  const data = k.file.exports.find('boot_cpu_data');
  if (data === undefined) return false;
  const field = k.field('cpuinfo_x86.x86_capability');
  const word = feature >> 5;
  if (word * 4 >= field.size) return false;
  return ((k.memory.u32(k.link(data) + field.offset + word * 4) >>> (feature & 31)) & 1) === 1;
}
