/**
 * The kernel's own file (/boot/kernel/kernel, also compressed): which version it calls itself, which interfaces and modules
 * are built in, and which names it exports. Its linker sets are those of a module, at their final addresses.
 */
import { decompress } from '../../bytes/decompress.ts';
import { FormatError, Invalid, Unsupported } from '../../bytes/errors.ts';
import { readElfObject } from '../../formats/elf/object.ts';
import type { ObjectFile } from '../../formats/object.ts';
import type { BuiltIn } from './kld.ts';
import { KldFile } from './kldfile.ts';

export interface KernelFile {
  readonly path: string;
  /** `__FreeBSD_version` */
  readonly version: number;
  /** As uname -m has it: amd64, i386, arm64, riscv64... */
  readonly machine: string;
  readonly bits: 32 | 64;
  /** Interfaces of MODULE_VERSION, `kernel` left out. */
  readonly interfaces: readonly BuiltIn[];
  /** Names of built-in modules, by which a file's modules may clash. */
  readonly modules: ReadonlySet<string>;
  /** Does it define this symbol? Undefined when its symbols were stripped. */
  has(symbol: string): boolean | undefined;
  /** Where it lies in the kernel. */
  address(symbol: string): number | undefined;
}

const MACHINES: Readonly<Record<string, string>> = {
  'x86-64': 'amd64',
  i386: 'i386',
  aarch64: 'arm64',
  arm: 'arm',
  riscv: 'riscv64',
  ppc64: 'powerpc64',
  ppc: 'powerpc',
};

/** What FreeBSD calls a machine that the ELF header names. */
export const machineName = (machine: string, littleEndian = true): string =>
  machine === 'ppc64' && littleEndian ? 'powerpc64le' : (MACHINES[machine] ?? machine);

/** Does this look like a FreeBSD kernel: an executable or shared object with the metadata of the interface `kernel`? */
export function isKernelFile(bytes: Uint8Array): boolean {
  try {
    const object = readElfObject(decompress(bytes));
    if (object.kind === 'relocatable') return false;
    return new KldFile(object).versions.some(({ name }) => name === 'kernel');
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

/** @throws FormatError for what is no kernel of FreeBSD */
export function readKernelFile(bytes: Uint8Array, path: string): KernelFile {
  const object = readElfObject(decompress(bytes));
  if (object.kind === 'relocatable')
    throw new Unsupported(path, 'is a module, not a kernel: a kernel is an executable');
  const kld = new KldFile(object);
  const version = kld.versions.find(({ name }) => name === 'kernel')?.version;
  if (version === undefined)
    throw new Invalid(path, 'declares no interface `kernel`: it is no FreeBSD kernel');
  const names = exported(object);
  return {
    path,
    version,
    machine: machineName(object.machine, object.littleEndian),
    bits: object.bits === 64 ? 64 : 32,
    interfaces: kld.versions.filter(({ name }) => name !== 'kernel'),
    modules: new Set(kld.modules.map(({ name, registered }) => registered ?? name)),
    has: (symbol) => (names.size === 0 ? undefined : names.has(symbol)),
    address: (symbol) => names.get(symbol),
  };
}

/** Every name that is defined; the kernel linker gives out local ones as well. */
function exported(object: ObjectFile): ReadonlyMap<string, number> {
  const names = new Map<string, number>();
  for (const { name, place, type, value } of object.symbols)
    if (name !== '' && type !== 'file' && type !== 'section' && (place === 'section' || place === 'absolute'))
      names.set(name, value);
  return names;
}
