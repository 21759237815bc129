/**
 * A kernel as far as a check of kexts needs it: its release and machine, who exports what, which kexts are part of it. From
 * the recorded export lists of a release, from a kernel's or a collection's Mach-O file, from a folder of export lists as xnu's
 * sources have them, or from a saved file.
 */
import { cstring } from '../../../bytes/cstring.ts';
import { Invalid, Unsupported } from '../../../bytes/errors.ts';
import type { ByteView } from '../../../bytes/view.ts';
import { architectureName, isMachO, readSlices } from '../../../formats/macho/fat.ts';
import { HEADER, LC, MH } from '../../../formats/macho/layout.ts';
import { type MachoFile, readMachO } from '../../../formats/macho/read.ts';
import { MachoSymbols } from '../../../formats/macho/symbols.ts';
import type { Architecture } from '../info.ts';
import { KPI_PREFIX, type KpiSymbol, KpiSymbols } from '../kpi.ts';
import { DEFAULT_RELEASE, findRelease, RELEASES, type Release } from '../release.ts';

export interface CheckedKernel {
  readonly release: Release;
  /** `19.6.0`, which may be an earlier update than the release's last. */
  readonly darwin: string;
  readonly architecture: Architecture;
  /** Who exports a symbol. */
  owners(symbol: string): readonly KpiSymbol[];
  /** Are export lists known? Without them a missing symbol cannot be told from an unknown one. */
  readonly exportsKnown: boolean;
  /** All that the kernel's own symbol table defines for others; undefined where there is none. */
  readonly symbols: ReadonlySet<string> | undefined;
  /** Identifiers of the kexts inside (a collection). */
  readonly kexts: readonly string[];
  /** Where the facts come from, in a few words. */
  readonly source: string;
}

const MAGIC = '{"lkm":"macos kernel 1"';
const VERSION = /Darwin Kernel Version (\d+\.\d+\.\d+)/;
const ARCHITECTURES: readonly Architecture[] = ['x86_64', 'i386', 'arm64', 'arm64e'];

const isArchitecture = (name: string): name is Architecture => ARCHITECTURES.some((one) => one === name);

/** The release that a Darwin version belongs to. */
export function releaseOfDarwin(darwin: string): Release | undefined {
  const [major] = darwin.split('.');
  return RELEASES.find((one) => one.darwin.split('.')[0] === major);
}

function fromLists(
  release: Release,
  architecture: Architecture,
  more: Partial<CheckedKernel> = {},
): CheckedKernel {
  const kpi = new KpiSymbols(release, architecture);
  return {
    release,
    darwin: release.darwin,
    architecture,
    owners: (symbol) => kpi.owners(symbol),
    exportsKnown: kpi.known,
    symbols: undefined,
    kexts: [],
    source: kpi.known ? 'the export lists of that release' : 'no export lists of that release are recorded',
    ...more,
  };
}

/** `10.15`, `macos-14-arm64`, `10.6-i386`. @throws Unsupported for a release that is not in the table */
export function builtInKernel(name: string): CheckedKernel {
  const [, wanted = '', machine = 'x86_64'] = /^(?:macos)?-?([\d.]*)(?:-(\w+))?$/.exec(name) ?? [];
  const release = findRelease(wanted === '' ? DEFAULT_RELEASE : wanted);
  if (release === undefined || !isArchitecture(machine))
    throw new Unsupported(`builtin:${name}`, `there are macos-${RELEASES.map((one) => one.name).join(', ')}`);
  return fromLists(release, machine);
}

export const isSavedKernel = (bytes: Uint8Array): boolean =>
  new TextDecoder().decode(bytes.subarray(0, MAGIC.length)) === MAGIC;

/** Is this a kernel: an executable that says which Darwin it is, or a collection of kexts with one? */
export function isKernelFile(bytes: Uint8Array): boolean {
  if (isSavedKernel(bytes)) return true;
  if (!isMachO(bytes)) return false;
  return readSlices(bytes).some(({ bytes: slice }) => {
    const file = readMachO(slice);
    if (file.header.filetype === MH.FILESET) return true;
    return file.header.filetype === MH.EXECUTE && versionOf(slice) !== undefined;
  });
}

/** The version string lies somewhere in the constants; text of the file, byte for byte. */
function versionOf(bytes: Uint8Array): string | undefined {
  const mark = new TextEncoder().encode('Darwin Kernel Version ');
  for (let at = bytes.indexOf(mark[0]); at >= 0; at = bytes.indexOf(mark[0], at + 1)) {
    if (!mark.every((byte, i) => bytes[at + i] === byte)) continue;
    const found = VERSION.exec(cstring(bytes, at, Math.min(bytes.length, at + 64)));
    if (found !== null) return found[1];
  }
  return undefined;
}

/** @throws FormatError */
export function readKernelFile(bytes: Uint8Array, path: string): CheckedKernel {
  if (isSavedKernel(bytes)) return readSaved(bytes);
  const slices = readSlices(bytes);
  // Of a universal kernel, the part that machines of its last release ran.
  const slice = slices.find((one) => architectureName(one.cputype, one.cpusubtype) === 'x86_64') ?? slices[0];
  const architecture = slice && architectureName(slice.cputype, slice.cpusubtype);
  if (slice === undefined || architecture === undefined || !isArchitecture(architecture))
    throw new Unsupported(path, `kernels for ${architecture ?? 'no machine'} are not read`);
  const file = readMachO(slice.bytes);
  const darwin = versionOf(slice.bytes);
  const release = darwin === undefined ? undefined : releaseOfDarwin(darwin);
  if (darwin === undefined || release === undefined)
    throw new Invalid(path, 'says no Darwin version that is known', { value: darwin });
  const symbols = kernelSymbols(file);
  const lists = new KpiSymbols(release, architecture);
  return fromLists(release, architecture, {
    darwin,
    symbols,
    kexts: filesetEntries(file).map(({ name }) => name),
    // The kernel's own table has the last word: lists are those of the release's last update.
    owners: (symbol) => lists.owners(symbol).filter(({ target }) => symbols?.has(target ?? symbol) !== false),
    source: symbols === undefined ? 'its version; it has no symbol table' : `its ${symbols.size} symbols`,
  });
}

interface FilesetEntry {
  readonly name: string;
  /** Of its Mach-O header in the collection. */
  readonly offset: number;
}

function filesetEntries({ view, commands }: MachoFile): FilesetEntry[] {
  return commands
    .filter(({ cmd }) => cmd === LC.FILESET_ENTRY)
    .map(({ offset, size }) => {
      const text = view.u32(offset + 24);
      const name = text < size ? cstring(view.bytes, offset + text, offset + size) : '';
      return { name, offset: view.n64(offset + 16) };
    });
}

function kernelSymbols(file: MachoFile): ReadonlySet<string> | undefined {
  const inner = filesetEntries(file).find(({ name }) => name === 'com.apple.kernel');
  const symbols = inner === undefined ? file.symbols() : innerSymbols(file.view, inner.offset);
  if (symbols === undefined || symbols.exports.length === 0) return undefined;
  return new Set(symbols.exports.map(({ name }) => name));
}

/** The symbol table of a file inside of a collection: its offsets count from the collection's start. */
function innerSymbols(view: ByteView, header: number): MachoSymbols | undefined {
  const count = view.u32(header + HEADER.ncmds);
  let at = header + HEADER.size[64];
  let sections = 0;
  let table: number | undefined;
  for (let i = 0; i < count; i++) {
    const cmd = view.u32(at);
    const size = view.u32(at + 4);
    if (size < 8) throw new Invalid('collection', 'cmdsize is wrong', { offset: at + 4, value: size });
    if (cmd === LC.SEGMENT_64) sections += view.u32(at + 64);
    if (cmd === LC.SYMTAB) table = at;
    at += size;
  }
  if (table === undefined) return undefined;
  const [symoff, nsyms, stroff, strsize] = [8, 12, 16, 20].map((field) => view.u32((table ?? 0) + field));
  view.need(symoff, nsyms * 16, 'symbol table');
  view.need(stroff, strsize, 'string table');
  return new MachoSymbols(view, 64, { symoff, nsyms, stroff, strsize }, sections);
}

// -- lists and saved kernels ------------------------------------------------------------------------------------------

/** Names of xnu's lists and the KPI each stands for. */
const LIST_NAMES: ReadonlyMap<string, string> = new Map([
  ['libkern', 'libkern'],
  ['bsdkernel', 'bsd'],
  ['mach', 'mach'],
  ['iokit', 'iokit'],
  ['unsupported', 'unsupported'],
  ['private', 'private'],
  ['macframework', 'dsep'],
]);

export interface ExportList {
  /** `Libkern.x86_64.exports` */
  readonly name: string;
  readonly text: string;
}

/** Which KPI a file of exports belongs to, on which machine; undefined when its name is none of xnu's. */
export function listOwner(name: string): { owner: string; architecture: string | undefined } | undefined {
  const match = /^(\w+?)(?:\.(x86_64|i386|arm64|arm))?(?:\.MacOSX)?\.exports$/i.exec(name);
  const kpi = LIST_NAMES.get((match?.[1] ?? '').toLowerCase());
  return kpi === undefined ? undefined : { owner: `${KPI_PREFIX}${kpi}`, architecture: match?.[2] };
}

/** A kernel from lists of exports: `_symbol`, `_alias:_target`, `_prefix*`, a line each. */
export function kernelOfLists(
  lists: readonly ExportList[],
  { darwin, architecture }: { darwin: string; architecture: Architecture },
): CheckedKernel {
  const release = releaseOfDarwin(darwin);
  if (release === undefined) throw new Unsupported('export lists', `Darwin ${darwin} is not known`);
  const names = new Map<string, string[]>();
  for (const { name, text } of lists) {
    const found = listOwner(name);
    if (found === undefined) continue;
    if (found.architecture !== undefined && !architecture.startsWith(found.architecture)) continue;
    const lines = text.split('\n').map((line) => line.replace(/#.*/, '').trim());
    names.set(found.owner, [...(names.get(found.owner) ?? []), ...lines.filter((line) => line !== '')]);
  }
  return {
    ...fromLists(release, architecture, listed(names)),
    darwin,
    source: `${lists.length} export lists`,
  };
}

function listed(
  names: ReadonlyMap<string, readonly string[]>,
): Pick<CheckedKernel, 'owners' | 'exportsKnown'> {
  const plain = new Map<string, KpiSymbol[]>();
  const prefixes: { prefix: string; owner: string }[] = [];
  for (const [owner, list] of names) {
    for (const text of list) {
      const [name, target] = text.split(':');
      if (name.endsWith('*')) prefixes.push({ prefix: name.slice(0, -1), owner });
      else plain.set(name, [...(plain.get(name) ?? []), { owner, target }]);
    }
  }
  const owners = (symbol: string): readonly KpiSymbol[] =>
    plain.get(symbol) ??
    prefixes
      .filter(({ prefix }) => symbol.startsWith(prefix))
      .map(({ owner }) => ({ owner, target: undefined }));
  return { owners, exportsKnown: true };
}

interface Saved {
  readonly release: string;
  readonly darwin: string;
  readonly architecture: Architecture;
  readonly kexts: readonly string[];
  /** Of the kernel's own symbols, those that its release exports; undefined: all of them. */
  readonly missing?: readonly string[];
}

/** Facts fit for committing: which release, and which of its exports this kernel does not have. */
export function saveKernel(kernel: CheckedKernel): Uint8Array {
  const { release, darwin, architecture, kexts, symbols } = kernel;
  const lists = new KpiSymbols(release, architecture);
  const missing =
    symbols === undefined ? undefined : lists.all().filter((name) => kernel.owners(name).length === 0);
  const saved: Saved = { release: release.name, darwin, architecture, kexts, ...(missing && { missing }) };
  return new TextEncoder().encode(`${MAGIC},"kernel":${JSON.stringify(saved)}}\n`);
}

function readSaved(bytes: Uint8Array): CheckedKernel {
  let facts: Partial<Saved> | undefined;
  try {
    facts = (JSON.parse(new TextDecoder().decode(bytes)) as { kernel?: Partial<Saved> }).kernel;
  } catch {
    throw new Invalid('saved kernel', 'is cut or damaged');
  }
  const release = findRelease(String(facts?.release));
  const { darwin, architecture, kexts = [], missing = [] } = facts ?? {};
  const whole = typeof darwin === 'string' && isArchitecture(String(architecture)) && Array.isArray(kexts);
  if (!whole || release === undefined || architecture === undefined || !Array.isArray(missing))
    throw new Invalid('saved kernel', 'lacks a part');
  const lists = new KpiSymbols(release, architecture);
  const absent = new Set(missing);
  return fromLists(release, architecture, {
    darwin,
    kexts,
    owners: (symbol) => (absent.has(symbol) ? [] : lists.owners(symbol)),
    source: 'a saved kernel',
  });
}
