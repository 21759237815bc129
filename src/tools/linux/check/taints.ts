/** What a load does to the kernel's taint mask, in words (Documentation/admin-guide/tainted-kernels.rst). */
import type { TaintResult } from '../../check.ts';

const TAINTS: readonly (readonly [bit: number, letter: string, meaning: string])[] = [
  [0, 'P', 'a proprietary module was loaded'],
  [1, 'F', 'a module was loaded by force'],
  [10, 'C', 'a module from the staging directory was loaded'],
  [12, 'O', 'a module from outside the kernel tree was loaded'],
  [13, 'E', 'a module without a trusted signature was loaded'],
  [15, 'K', 'the kernel was live patched'],
  [18, 'N', 'a test module was loaded'],
];

export function taintResults(mask: number): TaintResult[] {
  return TAINTS.filter(([bit]) => (mask & (1 << bit)) !== 0).map(([, letter, meaning]) => ({
    letter,
    meaning,
  }));
}
