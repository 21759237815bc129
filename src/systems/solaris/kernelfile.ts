/**
 * The files of a Solaris kernel: unix and genunix, and what else is there from the start (platform and processor modules).
 * Their global symbols are those that every module sees, beside its direct dependencies (krtld, kobj_lookup_kernel).
 */
import { decompress } from '../../bytes/decompress.ts';
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
  readonly names: ReadonlySet<string>;
}

const ISA_BITS: Partial<Readonly<Record<Isa, 32 | 64>>> = { amd64: 64, i386: 32, sparcv9: 64, sparc: 32 };

export const isaBits = (isa: Isa): 32 | 64 => ISA_BITS[isa] ?? 64;

const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** Names that unix or genunix of every release define, and no module does. */
const OWN = ['mod_install', 'cmn_err', 'kmem_alloc', 'mutex_enter', '_start', 'mlsetup', 'krtld_file'];

/** Is this a part of a kernel: no module, and with functions of its own that only a kernel has? */
export function isKernelPart({ path, bytes }: KernelPart): boolean {
  const name = baseName(path);
  if (savedText(bytes) !== undefined) return true;
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
  const saved = parts[0] && savedText(parts[0].bytes);
  if (saved !== undefined) return readSaved(saved, parts[0].path);
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
    names,
  };
}

/** How a saved kernel begins; it is JSON, packed with gzip. */
const MAGIC = '{"lkm":"solaris kernel 1"';
const GZIP = [0x1f, 0x8b];

function savedText(bytes: Uint8Array): string | undefined {
  if (!GZIP.every((byte, i) => bytes[i] === byte)) return undefined;
  try {
    const text = new TextDecoder().decode(decompress(bytes));
    return text.startsWith(MAGIC) ? text : undefined;
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** What a check asks of a kernel, without the kernel; to be packed. */
export function saveKernelParts({ isa, complete, names }: SolarisKernelFile): Uint8Array {
  return new TextEncoder().encode(
    `${MAGIC},"kernel":${JSON.stringify({ isa, complete, names: [...names] })}}\n`,
  );
}

/** @throws Invalid */
function readSaved(text: string, path: string): SolarisKernelFile {
  const damaged = new Invalid(path, 'is a saved kernel that is cut or damaged: save it again');
  let facts: Record<string, unknown> | undefined;
  try {
    facts = (JSON.parse(text) as { kernel?: Record<string, unknown> }).kernel;
  } catch {
    throw damaged;
  }
  const { isa, complete, names: list } = facts ?? {};
  if (typeof isa !== 'string' || !(isa in ISA_BITS) || typeof complete !== 'boolean' || !Array.isArray(list))
    throw damaged;
  const names = new Set(list.map(String));
  return {
    isa: isa as Isa,
    parts: [path],
    complete,
    has: (symbol) => names.has(symbol),
    count: names.size,
    names,
  };
}
