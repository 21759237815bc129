/** What the loader asks of the kernel's own image: which names its built-in parts have in /sys/module. */
import { readBuiltInNames } from './kernelfile/builtin-names.ts';
import type { KernelFile } from './kernelfile/kernelfile.ts';

const names = new WeakMap<KernelFile, ReadonlySet<string>>();

/** Names that a module cannot have because a built-in part has its directory in /sys/module; none where nobody knows. */
export function builtinNames(kernel: KernelFile): ReadonlySet<string> {
  let known = names.get(kernel);
  if (known === undefined) {
    known = readBuiltInNames(kernel) ?? new Set();
    names.set(kernel, known);
  }
  return known;
}
