/** Where the images in memory lie, as gdb wants to be told: for its list of libraries, and for a person to type. */
import { resolve } from 'node:path';
import type { Kernel } from '../../kernel/kernel.ts';
import type { KernelModule } from '../../kernel/modules.ts';
import type { Address } from '../../memory/space.ts';

/** XML of the libraries (GDB manual, appendix E.15): an address for every section that occupies memory, in file order. */
export function librariesXml(k: Kernel): string {
  const libraries = [...k.images()].map((module) => {
    const sections = module.image.file.sections
      .filter(({ allocated }) => allocated)
      .map(({ index }) => `<section address="${hex(k, module.image.sections.get(index)?.address ?? 0)}"/>`);
    return `<library name="${escapeXml(fileOf(k, module))}">${sections.join('')}</library>`;
  });
  return `<library-list>${libraries.join('')}</library-list>`;
}

/** The command that tells gdb by hand. */
export function addSymbolFile(k: Kernel, module: KernelModule): string {
  const placed = [...module.image.sections.values()].filter(({ size }) => size > 0);
  const text = placed.find(({ name }) => name === '.text') ?? placed[0];
  const others = placed
    .filter((section) => section !== text)
    .map(({ name, address }) => `-s ${name} ${hex(k, address)}`);
  return `add-symbol-file ${fileOf(k, module)} ${hex(k, text?.address ?? 0)} ${others.join(' ')}`.trimEnd();
}

function fileOf(k: Kernel, { path }: KernelModule): string {
  return resolve(k.origins.get(path) ?? path);
}

function hex(k: Kernel, address: Address): string {
  return `0x${BigInt.asUintN(k.cpu.bits, BigInt(address)).toString(16)}`;
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
