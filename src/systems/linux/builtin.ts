/**
 * What the loader asks of the kernel's own image: which names its built-in parts have in /sys/module, and whether it carries
 * a certificate. A saved kernel file has no image, but the names.
 */
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

/**
 * Does the image hold a certificate of that serial number (hexadecimal)? Undefined when there is no image to look in. The
 * certificates are DER in the init data, where the serial number stands as an INTEGER.
 */
export function hasCertificate(kernel: KernelFile, serial: string): boolean | undefined {
  const bytes = serial.match(/../g)?.map((pair) => Number.parseInt(pair, 16)) ?? [];
  const wanted = [0x02, bytes.length, ...bytes];
  let looked = false;
  for (const { role, zeroFill, base, size } of kernel.sections) {
    if (role !== 'init' || zeroFill) continue;
    const data = kernel.read(base, size);
    if (data === undefined) continue;
    looked = true;
    if (bytes.length > 0 && contains(data, wanted)) return true;
  }
  return looked ? false : undefined;
}

function contains(data: Uint8Array, wanted: readonly number[]): boolean {
  for (let at = data.indexOf(wanted[2]); at >= 0; at = data.indexOf(wanted[2], at + 1)) {
    if (at >= 2 && wanted.every((byte, i) => data[at - 2 + i] === byte)) return true;
  }
  return false;
}
