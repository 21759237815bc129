/** What a parameter of the kernel itself is set to in its image, before a command line changes it. */
import type { KernelSection } from './kernelfile.ts';

/** struct kernel_param: name, module, operations, mode and flags, and the variable (include/linux/moduleparam.h). */
export const PARAMETER_ENTRY = { 64: { bytes: 40, variable: 32 }, 32: { bytes: 20, variable: 16 } } as const;
/** struct module_version_attribute: an attribute called `version` with its functions, the module's name, the version. */
export const VERSION_ENTRY = { 64: { bytes: 72, module: 56 }, 32: { bytes: 36, module: 28 } } as const;
/** Longer than any parameter's name. */
const MAX_NAME = 128;

interface Image {
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly sections: readonly KernelSection[];
  read(address: number, length: number): Uint8Array | undefined;
}

/** The first byte of the variable; undefined where there is no such parameter, or the image has yet to be relocated. */
export function builtinParameter(image: Image, name: string): number | undefined {
  const { bits, littleEndian } = image;
  const table = image.sections.find((section) => section.name === '__param');
  const bytes = table && image.read(table.base, table.size);
  if (bytes === undefined) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const pointer = (at: number) =>
    bits === 64 ? Number(view.getBigInt64(at, littleEndian)) : view.getUint32(at, littleEndian);
  const { bytes: entry, variable } = PARAMETER_ENTRY[bits];
  for (let at = 0; at + entry <= bytes.length; at += entry)
    if (textAt(image, pointer(at)) === name) return image.read(pointer(at + variable), 1)?.[0];
  return undefined;
}

function textAt(image: Image, address: number): string {
  let text = '';
  for (let i = 0; i < MAX_NAME; i++) {
    const byte = image.read(address + i, 1)?.[0];
    if (byte === undefined || byte === 0) return text;
    text += String.fromCharCode(byte);
  }
  return text;
}
