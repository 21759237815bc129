/** Where the images in memory lie, as gdb wants to be told: for its list of libraries, and for a person to type. */
import { resolve } from 'node:path';
import type { Kernel } from '../../kernel/kernel.ts';
import type { PlacedFile } from '../../kernel/modules.ts';
import type { Address } from '../../memory/space.ts';

/** XML of the libraries (GDB manual, appendix E.15): an address for every section that occupies memory, in file order. */
export function librariesXml(k: Kernel): string {
  const libraries = k.placed().map((file) => {
    // A linked file is moved as a whole; of a relocatable one every section is somewhere.
    const linked = file.sections.some((section) => section.linked !== 0);
    const [kind, places] = linked ? ['segment', file.sections.slice(0, 1)] : ['section', file.sections];
    const list = places.map(({ address }) => `<${kind} address="${hex(k, address)}"/>`);
    return `<library name="${escapeXml(fileOf(k, file))}">${list.join('')}</library>`;
  });
  return `<library-list>${libraries.join('')}</library-list>`;
}

/** The command that tells gdb by hand. */
export function addSymbolFile(k: Kernel, file: PlacedFile): string {
  const placed = file.sections.filter(({ size }) => size > 0);
  const text = placed.find(({ name }) => name === '.text') ?? placed[0];
  const others = placed
    .filter((section) => section !== text)
    .map(({ name, address }) => `-s ${name} ${hex(k, address)}`);
  return `add-symbol-file ${fileOf(k, file)} ${hex(k, text?.address ?? 0)} ${others.join(' ')}`.trimEnd();
}

function fileOf(k: Kernel, { path }: PlacedFile): string {
  return resolve(k.origins.get(path) ?? path);
}

function hex(k: Kernel, address: Address): string {
  return `0x${BigInt.asUintN(k.cpu.bits, BigInt(address)).toString(16)}`;
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
