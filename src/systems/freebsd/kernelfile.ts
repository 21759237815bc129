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
  /** Everything that it defines, with its address. */
  readonly symbols: ReadonlyMap<string, number>;
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
    const whole = decompress(bytes);
    if (isSaved(whole)) return true;
    const object = readElfObject(whole);
    if (object.kind === 'relocatable') return false;
    return new KldFile(object).versions.some(({ name }) => name === 'kernel');
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

/** @throws FormatError for what is no kernel of FreeBSD */
export function readKernelFile(bytes: Uint8Array, path: string): KernelFile {
  const whole = decompress(bytes);
  if (isSaved(whole)) return readSaved(whole, path);
  const object = readElfObject(whole);
  if (object.kind === 'relocatable')
    throw new Unsupported(path, 'is a module, not a kernel: a kernel is an executable');
  const kld = new KldFile(object);
  const version = kld.versions.find(({ name }) => name === 'kernel')?.version;
  if (version === undefined)
    throw new Invalid(path, 'declares no interface `kernel`: it is no FreeBSD kernel');
  const names = exported(object);
  return withNames(
    {
      path,
      version,
      machine: machineName(object.machine, object.littleEndian),
      bits: object.bits === 64 ? 64 : 32,
      interfaces: kld.versions.filter(({ name }) => name !== 'kernel'),
      modules: new Set(kld.modules.map(({ name, registered }) => registered ?? name)),
    },
    names,
  );
}

function withNames(
  facts: Omit<KernelFile, 'has' | 'address' | 'symbols'>,
  symbols: ReadonlyMap<string, number>,
): KernelFile {
  return {
    ...facts,
    symbols,
    has: (symbol) => (symbols.size === 0 ? undefined : symbols.has(symbol)),
    address: (symbol) => symbols.get(symbol),
  };
}

/** How a saved kernel begins; it is JSON, which the program packs with gzip. */
const MAGIC = '{"lkm":"freebsd kernel 1"';

const isSaved = (bytes: Uint8Array): boolean =>
  new TextDecoder().decode(bytes.subarray(0, MAGIC.length)) === MAGIC;

/** What a check asks of a kernel, without the kernel. */
export function saveKernelFile({
  version,
  machine,
  bits,
  interfaces,
  modules,
  symbols,
}: KernelFile): Uint8Array {
  const facts = { version, machine, bits, interfaces, modules: [...modules], symbols: [...symbols] };
  return new TextEncoder().encode(`${MAGIC},"kernel":${JSON.stringify(facts)}}\n`);
}

/** @throws Invalid */
function readSaved(bytes: Uint8Array, path: string): KernelFile {
  const damaged = new Invalid(path, 'is a saved kernel that is cut or damaged: save it again');
  let facts: Record<string, unknown> | undefined;
  try {
    facts = (JSON.parse(new TextDecoder().decode(bytes)) as { kernel?: Record<string, unknown> }).kernel;
  } catch {
    throw damaged;
  }
  const { version, machine, bits, interfaces, modules, symbols } = facts ?? {};
  const whole = typeof version === 'number' && typeof machine === 'string' && (bits === 32 || bits === 64);
  if (!whole || !isList(interfaces, isBuiltIn) || !isList(modules, isText) || !isList(symbols, isSymbol))
    throw damaged;
  return withNames({ path, version, machine, bits, interfaces, modules: new Set(modules) }, new Map(symbols));
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isList = <T>(value: unknown, is: (one: unknown) => one is T): value is T[] =>
  Array.isArray(value) && value.every(is);
const isSymbol = (value: unknown): value is [string, number] =>
  Array.isArray(value) && value.length === 2 && isText(value[0]) && typeof value[1] === 'number';

function isBuiltIn(value: unknown): value is BuiltIn {
  const { name, version } = (value ?? {}) as Partial<BuiltIn>;
  return isText(name) && typeof version === 'number';
}

/** Every name that is defined; the kernel linker gives out local ones as well. */
function exported(object: ObjectFile): ReadonlyMap<string, number> {
  const names = new Map<string, number>();
  for (const { name, place, type, value } of object.symbols)
    if (name !== '' && type !== 'file' && type !== 'section' && (place === 'section' || place === 'absolute'))
      names.set(name, value);
  return names;
}
