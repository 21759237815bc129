/**
 * The files of a Solaris kernel: unix and genunix, and what else is there from the start (platform and processor modules).
 * Their global symbols are those that every module sees, beside its direct dependencies (krtld, kobj_lookup_kernel).
 */
import { FormatError, Invalid } from '../../bytes/errors.ts';
import { elfObject } from '../../formats/elf/object.ts';
import { type ElfFile, readElf } from '../../formats/elf/read.ts';
import { type Isa, isaOf } from './describe.ts';

export interface KernelPart {
  readonly path: string;
  readonly bytes: Uint8Array;
}

export interface SolarisKernelFile {
  readonly isa: Isa;
  readonly parts: readonly string[];
  /** Is there a genunix among them? Without it most names are not known. */
  readonly complete: boolean;
  has(symbol: string): boolean;
  readonly count: number;
}

const ISA_BITS: Partial<Readonly<Record<Isa, 32 | 64>>> = { amd64: 64, i386: 32, sparcv9: 64, sparc: 32 };

export const isaBits = (isa: Isa): 32 | 64 => ISA_BITS[isa] ?? 64;

const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** Names that unix or genunix of every release define, and no module does. */
const OWN = ['mod_install', 'cmn_err', 'kmem_alloc', 'mutex_enter', '_start', 'mlsetup', 'krtld_file'];

/** Is this a part of a kernel: no module, and with functions of its own that only a kernel has? */
export function isKernelPart({ path, bytes }: KernelPart): boolean {
  const name = baseName(path);
  if (name !== 'unix' && name !== 'genunix') return false;
  try {
    const names = globals(readElf(bytes));
    return OWN.some((one) => names.has(one));
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

function globals(elf: ElfFile): Set<string> {
  const names = new Set<string>();
  for (const { name, binding, place } of elfObject(elf).symbols)
    if (name !== '' && binding !== 'local' && place !== 'undefined' && place !== 'common') names.add(name);
  return names;
}

/** @throws FormatError for parts that are no ELF files, or of different machines */
export function readKernelParts(parts: readonly KernelPart[]): SolarisKernelFile {
  const names = new Set<string>();
  let isa: Isa | undefined;
  for (const { path, bytes } of parts) {
    const elf = readElf(bytes);
    const own = isaOf(elf);
    if (isa !== undefined && own !== isa)
      throw new Invalid(
        path,
        `is for ${own}, and the part before it is for ${isa}: take them from one directory`,
      );
    isa = own;
    for (const name of globals(elf)) names.add(name);
  }
  if (isa === undefined) throw new Invalid('kernel', 'has no parts: give unix or genunix');
  return {
    isa,
    parts: parts.map(({ path }) => path),
    complete: parts.some(({ path }) => baseName(path) === 'genunix'),
    has: (symbol) => names.has(symbol),
    count: names.size,
  };
}
