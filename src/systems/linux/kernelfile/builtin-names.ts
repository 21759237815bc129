/** Which names the kernel's built-in parts have in /sys/module: those in front of the dots of its own parameters. */
import { cstring } from '../../../bytes/cstring.ts';
import type { KernelFile } from './kernelfile.ts';

/** sizeof(struct kernel_param) with 64-bit pointers; its first field points at `module.parameter`. */
const PARAM_BYTES = 40;
const MAX_NAME = 128;

/** Read from the image's `__param`; what a saved kernel was given; undefined where neither is there. */
export function readBuiltInNames(kernel: KernelFile): ReadonlySet<string> | undefined {
  if (kernel.builtIns !== undefined) return kernel.builtIns;
  const section = kernel.sections.find(({ name }) => name === '__param');
  const table = section === undefined ? undefined : kernel.read(section.base, section.size);
  if (table === undefined || kernel.bits !== 64) return undefined;
  const view = new DataView(table.buffer, table.byteOffset, table.length);
  const found = new Set<string>();
  for (let at = 0; at + PARAM_BYTES <= table.length; at += PARAM_BYTES) {
    const bytes = kernel.read(Number(view.getBigInt64(at, kernel.littleEndian)), MAX_NAME);
    const name = bytes === undefined ? '' : cstring(bytes, 0);
    // Parameters without a prefix are the core kernel's.
    if (name !== '') found.add(name.includes('.') ? name.slice(0, name.indexOf('.')) : 'kernel');
  }
  return found;
}
