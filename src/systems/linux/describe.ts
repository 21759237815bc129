/** What a module file says of itself, and what it would need of a kernel: nothing is loaded for it. */
import { cstring } from '../../bytes/cstring.ts';
import type { ObjectFile, ObjectSection, ObjectSymbol } from '../../formats/object.ts';
import type { KernelFile } from './kernelfile/kernelfile.ts';
import { KSYM_FLAG_GPL_ONLY } from './kernelfile/ksymtab.ts';
import { ModInfo } from './module-file.ts';
import { isGplCompatible, nulFindings } from './rules/modinfo.ts';
import { describeSignature } from './rules/signature.ts';
import { ElfFacts, NotAModule } from './tree/elf-facts.ts';
import { type OldModule, readOldModule } from './tree/old-module.ts';
import type { Finding, SignatureFacts } from './verdict.ts';

export interface ParameterDescription {
  readonly name: string;
  /** The type module_param was given: int, bool, charp, `array of int`; empty when the module does not say. */
  readonly type: string;
  readonly description: string;
}

export interface ExportDescription {
  readonly name: string;
  readonly gplOnly: boolean;
  readonly namespace: string;
  readonly crc: number | undefined;
}

export interface ImportDescription {
  readonly name: string;
  /** A weak import may stay without a definition. */
  readonly weak: boolean;
  /** The version the module was built against; undefined when it has none for this symbol. */
  readonly crc: number | undefined;
}

export interface ImportsBySource {
  /** The base kernel has them, as TypeScript, as machine code of ours or as data. */
  readonly ours: readonly string[];
  /** Nobody wrote them, but the kernel's type information allows a stand-in that returns zero in the right width. */
  readonly standIns: readonly string[];
  /** The kernel exports them, nobody wrote them, and their type is not known. */
  readonly missing: readonly string[];
  /** The kernel does not export them: other modules must. */
  readonly fromModules: readonly string[];
}

export interface LinuxModuleDescription {
  readonly name: string;
  readonly version: string;
  readonly srcversion: string;
  readonly licence: string;
  readonly gplCompatible: boolean;
  readonly descriptions: readonly string[];
  readonly authors: readonly string[];
  readonly depends: readonly string[];
  readonly softDepends: readonly string[];
  readonly aliases: readonly string[];
  readonly firmware: readonly string[];
  readonly parameters: readonly ParameterDescription[];
  readonly vermagic: string;
  /** Of a module from before 2.6, which has no vermagic: the release it was built for; undefined for later ones. */
  readonly before26: { readonly release: string; readonly versioned: boolean } | undefined;
  readonly inTree: boolean;
  readonly staging: boolean;
  readonly importNamespaces: readonly string[];
  readonly signature: SignatureFacts;
  readonly imports: readonly ImportDescription[];
  readonly exports: readonly ExportDescription[];
  /** Bytes that are loaded: code, constants, data, and those given back after init. */
  readonly memory: {
    readonly text: number;
    readonly rodata: number;
    readonly data: number;
    readonly init: number;
  };
  readonly findings: readonly Finding[];
  /** Only when a kernel was given. */
  readonly importsBySource: ImportsBySource | undefined;
}

/** What the base kernel brings, for the split of imports. */
export interface Offers {
  /** Names of kernel functions written in TypeScript. */
  readonly functions: { has(name: string): boolean };
  /** Names of data and machine code of ours. */
  readonly data: { has(name: string): boolean };
}

/** @param file an ELF relocatable; a file that is no module gives empty fields rather than an error */
export function inspectModule(
  file: ObjectFile,
  kernel?: KernelFile,
  offers?: Offers,
): LinuxModuleDescription {
  const modinfo = new ModInfo(sectionNamed(file, '.modinfo')?.data ?? new Uint8Array(0));
  const licence = modinfo.get('license') ?? '';
  const old = oldModule(file);
  const imports = old?.needs ?? importsOf(file);
  return {
    name: modinfo.get('name') ?? '',
    version: modinfo.get('version') ?? '',
    srcversion: modinfo.get('srcversion') ?? '',
    licence,
    gplCompatible: isGplCompatible(licence),
    descriptions: modinfo.all('description'),
    authors: modinfo.all('author'),
    depends: modinfo.depends,
    softDepends: modinfo.all('softdep'),
    aliases: modinfo.all('alias'),
    firmware: modinfo.all('firmware'),
    parameters: old?.parameters ?? parametersOf(modinfo),
    vermagic: modinfo.get('vermagic') ?? '',
    before26: old && { release: old.kernelVersion, versioned: old.versioned },
    inTree: modinfo.get('intree') !== undefined,
    staging: modinfo.get('staging') !== undefined,
    importNamespaces: modinfo.all('import_ns'),
    signature: describeSignature(file.bytes),
    imports,
    exports: old?.exports.map((one) => ({ ...one, namespace: '' })) ?? exportsOf(file),
    memory: memoryOf(file),
    findings: nulFindings(modinfo),
    importsBySource: kernel && splitImports(imports, kernel, offers),
  };
}

/** What it is when it is from before 2.6. */
function oldModule({ bytes }: ObjectFile): OldModule | undefined {
  const source = {
    size: bytes.length,
    read: (offset: number, length: number) => bytes.subarray(offset, offset + length),
  };
  try {
    return readOldModule(new ElfFacts(source));
  } catch (error) {
    // No symbols, or damaged ones: a stripped module is of no age.
    if (error instanceof NotAModule) return undefined;
    throw error;
  }
}

function sectionNamed(file: ObjectFile, name: string): ObjectSection | undefined {
  return file.sections.find((section) => section.name === name);
}

/** modinfo splits `name:text` at the first colon; a parameter may have only one of the two tags. */
function parametersOf(modinfo: ModInfo): ParameterDescription[] {
  const parameters = new Map<string, { name: string; type: string; description: string }>();
  for (const { tag, value } of modinfo.entries) {
    if (tag !== 'parm' && tag !== 'parmtype') continue;
    const colon = value.indexOf(':');
    const name = colon < 0 ? value : value.slice(0, colon);
    const text = colon < 0 ? '' : value.slice(colon + 1);
    const known = parameters.get(name) ?? { name, type: '', description: '' };
    parameters.set(name, tag === 'parm' ? { ...known, description: text } : { ...known, type: text });
  }
  return [...parameters.values()];
}

/** `struct modversion_info`: an unsigned long and a name, 64 bytes together (include/linux/module.h). */
const VERSION_ENTRY = 64;

function importsOf(file: ObjectFile): ImportDescription[] {
  const table = sectionNamed(file, '__versions')?.data ?? new Uint8Array(0);
  const view = new DataView(table.buffer, table.byteOffset, table.length);
  const long = file.bits / 8;
  const versions = new Map<string, number>();
  for (let at = 0; at + VERSION_ENTRY <= table.length; at += VERSION_ENTRY) {
    const low = file.littleEndian ? at : at + long - 4;
    versions.set(cstring(table, at + long, at + VERSION_ENTRY), view.getUint32(low, file.littleEndian));
  }
  return file.symbols
    .filter(
      (symbol) =>
        symbol.place === 'undefined' && symbol.name !== '' && symbol.name !== '_GLOBAL_OFFSET_TABLE_',
    )
    .map(({ name, binding }) => ({ name, weak: binding === 'weak', crc: versions.get(name) }));
}

const ENTRY = '__ksymtab_';

/** Exports by the labels that EXPORT_SYMBOL leaves: __ksymtab_X, __kstrtabns_X, __crc_X. */
export function exportsOf(file: ObjectFile): ExportDescription[] {
  const byName = new Map<string, ObjectSymbol>();
  for (const symbol of file.symbols) if (symbol.name.startsWith('__')) byName.set(symbol.name, symbol);
  const found: ExportDescription[] = [];
  for (const symbol of file.symbols) {
    const table = symbol.place === 'section' ? file.sections[symbol.section]?.name : undefined;
    if (table !== '__ksymtab' && table !== '__ksymtab_gpl') continue;
    if (!symbol.name.startsWith(ENTRY)) continue;
    const name = symbol.name.slice(ENTRY.length);
    found.push({
      name,
      gplOnly: table === '__ksymtab_gpl' || isFlagged(file, byName.get(`__flags_${name}`)),
      namespace: stringOf(file, byName.get(`__kstrtabns_${name}`)),
      crc: crcOf(file, byName.get(`__crc_${name}`)),
    });
  }
  return found;
}

/** Newer kernels have one table, and a byte of flags for each export in __kflagstab. */
function isFlagged(file: ObjectFile, symbol: ObjectSymbol | undefined): boolean {
  const data = symbol?.place === 'section' ? file.sections[symbol.section]?.data : undefined;
  if (symbol === undefined || data === undefined || !(symbol.value >= 0 && symbol.value < data.length))
    return false;
  return (data[symbol.value] & KSYM_FLAG_GPL_ONLY) !== 0;
}

function stringOf(file: ObjectFile, symbol: ObjectSymbol | undefined): string {
  const data = symbol?.place === 'section' ? file.sections[symbol.section]?.data : undefined;
  // A damaged value can be far below zero, from where counting up never ends.
  if (symbol === undefined || data === undefined || !(symbol.value >= 0 && symbol.value < data.length))
    return '';
  return cstring(data, symbol.value);
}

/** Up to 5.18 the CRC is the value of an absolute symbol, later it stands in __kcrctab. */
function crcOf(file: ObjectFile, symbol: ObjectSymbol | undefined): number | undefined {
  if (symbol?.place === 'absolute') return symbol.value >>> 0;
  const data = symbol?.place === 'section' ? file.sections[symbol.section]?.data : undefined;
  if (symbol === undefined || data === undefined || !(symbol.value >= 0 && symbol.value + 4 <= data.length)) {
    return undefined;
  }
  return new DataView(data.buffer, data.byteOffset, data.length).getUint32(symbol.value, file.littleEndian);
}

function memoryOf(file: ObjectFile): LinuxModuleDescription['memory'] {
  const memory = { text: 0, rodata: 0, data: 0, init: 0 };
  for (const section of file.sections) {
    if (!section.allocated || section.name === '.modinfo' || section.name === '__versions') continue;
    if (section.name.startsWith('.init')) memory.init += section.size;
    else if (section.executable) memory.text += section.size;
    else if (section.writable) memory.data += section.size;
    else memory.rodata += section.size;
  }
  return memory;
}

function splitImports(
  imports: readonly ImportDescription[],
  kernel: KernelFile,
  offers: Offers | undefined,
): ImportsBySource {
  const ours: string[] = [];
  const standIns: string[] = [];
  const missing: string[] = [];
  const fromModules: string[] = [];
  for (const { name, weak } of imports) {
    const found = kernel.exports.find(name);
    if (found === undefined) {
      if (!weak) fromModules.push(name);
    } else if (found.kind !== 'function' || offers?.functions.has(name) || offers?.data.has(name))
      ours.push(name);
    else if (kernel.types.prototype(name) !== undefined) standIns.push(name);
    else missing.push(name);
  }
  return { ours, standIns, missing, fromModules };
}
