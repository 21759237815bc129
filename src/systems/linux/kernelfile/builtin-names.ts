/**
 * Which names the kernel's built-in parts have in /sys/module: those in front of the dots of its own parameters, and those
 * that say their version (param_sysfs_builtin, version_sysfs_builtin in kernel/params.c).
 */
import { cstring } from '../../../bytes/cstring.ts';
import { PARAMETER_ENTRY, VERSION_ENTRY } from './builtin-parameter.ts';
import type { KernelFile } from './kernelfile.ts';

const MAX_NAME = 128;

/** Parameters without a prefix are the core kernel's. */
export const ownerOfParameter = (name: string): string =>
  name.includes('.') ? name.slice(0, name.indexOf('.')) : 'kernel';

/** Read from the image; what a saved kernel was given; undefined where neither is there. */
export function readBuiltInNames(kernel: KernelFile): ReadonlySet<string> | undefined {
  if (kernel.builtIns !== undefined) return kernel.builtIns;
  const { bits } = kernel;
  const parameters = textsOf(kernel, '__param', PARAMETER_ENTRY[bits].bytes, 0);
  if (parameters === undefined) return undefined;
  const { bytes, module } = VERSION_ENTRY[bits];
  return new Set([
    ...parameters.map(ownerOfParameter),
    ...(textsOf(kernel, '__modver', bytes, module) ?? []),
  ]);
}

/** The texts that one field of each record of a section points at. */
function textsOf(kernel: KernelFile, name: string, entry: number, field: number): string[] | undefined {
  const { bits, littleEndian } = kernel;
  const section = kernel.sections.find((one) => one.name === name);
  const table = section === undefined ? undefined : kernel.read(section.base, section.size);
  if (table === undefined) return undefined;
  const view = new DataView(table.buffer, table.byteOffset, table.length);
  const found: string[] = [];
  for (let at = field; at + bits / 8 <= table.length; at += entry) {
    const address =
      bits === 64 ? Number(view.getBigInt64(at, littleEndian)) : view.getUint32(at, littleEndian);
    const bytes = kernel.read(address, MAX_NAME);
    const text = bytes === undefined ? '' : cstring(bytes, 0);
    // An image that has yet to be relocated points anywhere.
    if (!/^[\w.-]+$/.test(text)) return undefined;
    found.push(text);
  }
  return found;
}
