/**
 * What LLVM's tools and libplist say of a bundle, beside what our readers say: every load command with its fields, segments,
 * sections, symbols, relocations, the slices of universal files, property lists; OpenSSL on the signature.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readCodeSignature } from '../../src/formats/macho/codesign/read.ts';
import { commandFields } from '../../src/formats/macho/commands.ts';
import { architectureName, type FatSlice, readSlices } from '../../src/formats/macho/fat.ts';
import { LC, MH } from '../../src/formats/macho/layout.ts';
import { type MachoFile, type MachoSection, readMachO } from '../../src/formats/macho/read.ts';
import {
  linkedRelocations,
  type MachoRelocation,
  relocationName,
  sectionRelocations,
} from '../../src/formats/macho/relocations.ts';
import { readPlist } from '../../src/systems/macos/plist.ts';

function run(program: string, args: readonly string[]): string {
  return execFileSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

/** All kext bundles below a folder, plug-ins too. */
export function kextsBelow(folder: string): string[] {
  const found: string[] = [];
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name);
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) continue;
    if (name.endsWith('.kext')) found.push(path);
    found.push(...kextsBelow(path));
  }
  return found;
}

/** Everything that is said differently; empty when both agree. */
export class Differences {
  readonly list: string[] = [];
  /** Values that were compared: a comparison of nothing proves nothing. */
  compared = 0;

  same(what: string, ours: unknown, theirs: unknown): void {
    this.compared++;
    const [left, right] = [JSON.stringify(ours), JSON.stringify(theirs)];
    if (left !== right) this.list.push(`${what}: ours ${left}, theirs ${right}`);
  }
}

export function compareExecutable(path: string): Differences {
  const found = new Differences();
  const slices = readSlices(new Uint8Array(readFileSync(path)));
  compareFat(path, slices, found);
  const headers = headersOf(run('llvm-objdump', ['--macho', '--private-headers', '--arch=all', path]));
  const symbols = symbolsOf(run('llvm-readobj', ['--symbols', path]));
  const relocations = relocationsOf(run('llvm-objdump', ['--macho', '-r', '--arch=all', path]));
  for (const [i, slice] of slices.entries()) {
    const file = readMachO(slice.bytes);
    const name = architectureName(slice.cputype, slice.cpusubtype);
    compareCommands(name, file, headers[i] ?? [], found);
    compareSymbols(name, file, symbols[i] ?? [], found);
    compareRelocations(name, file, relocations[i] ?? new Map(), found);
  }
  return found;
}

function compareFat(path: string, slices: readonly FatSlice[], found: Differences): void {
  const text = run('llvm-objdump', ['--macho', '--universal-headers', path]);
  const theirs = [
    ...text.matchAll(/^architecture (\S+)[\s\S]*?offset (\d+)\s+size (\d+)\s+align 2\^(\d+)/gm),
  ].map(([, name, offset, size, align]) => [name, Number(offset), Number(size), 2 ** Number(align)]);
  if (theirs.length === 0) return;
  const ours = slices.map((one) => [
    architectureName(one.cputype, one.cpusubtype),
    one.offset,
    one.size,
    one.alignment,
  ]);
  found.same('slices', ours, theirs);
}

// -- load commands --------------------------------------------------------------------------------------------------

interface TheirCommand {
  readonly fields: Map<string, string>;
  readonly sections: Map<string, string>[];
}

/** `otool -l`: a list of commands for each architecture; sections follow their segment. */
function headersOf(text: string): TheirCommand[][] {
  const files: TheirCommand[][] = [];
  let target: Map<string, string> | undefined;
  for (const line of text.split('\n')) {
    if (/^Mach header/.test(line)) files.push([]);
    const commands = files.at(-1);
    if (commands === undefined) continue;
    if (/^Load command \d+/.test(line)) {
      target = new Map();
      commands.push({ fields: target, sections: [] });
    } else if (/^Section$/.test(line)) {
      target = new Map();
      commands.at(-1)?.sections.push(target);
    } else {
      const match = /^\s*(current version|compatibility version|time stamp|\S+) (.*)$/.exec(line);
      if (match !== null && target?.has(match[1]) === false) target.set(match[1], match[2]);
    }
  }
  return files;
}

function compareCommands(
  name: string,
  file: MachoFile,
  theirs: readonly TheirCommand[],
  found: Differences,
): void {
  found.same(
    `${name} commands`,
    file.commands.map((one) => [one.name, one.size]),
    theirs.map(({ fields }) => [fields.get('cmd'), Number(fields.get('cmdsize'))]),
  );
  let segment = 0;
  for (const [i, command] of file.commands.entries()) {
    const other = theirs[i];
    if (other === undefined) continue;
    if (command.cmd === LC.SEGMENT || command.cmd === LC.SEGMENT_64)
      compareSegment(name, file, segment++, other, found);
    for (const [key, value] of Object.entries(commandFields(file, command))) {
      const text = other.fields.get(key) ?? other.fields.get(key.replace('_', ' '));
      // Threads' states are named, not numbered, and platforms the other way round.
      if (text === undefined || ['flavor', 'count', 'platform'].includes(key)) continue;
      const known = text.replace(/ \(offset \d+\)$/, '').replace(/^n\/a$/, '0.0');
      found.same(`${name} ${command.name} ${key}`, String(value).toLowerCase(), String(known).toLowerCase());
    }
  }
}

const number = (text: string | undefined): number =>
  text === undefined ? Number.NaN : Number(BigInt.asIntN(64, BigInt(text.split(' ')[0])));

const protection = (bits: number): string =>
  ['r', 'w', 'x'].map((letter, i) => (((bits >>> i) & 1) === 1 ? letter : '-')).join('');

function compareSegment(
  name: string,
  file: MachoFile,
  index: number,
  { fields, sections }: TheirCommand,
  found: Differences,
): void {
  const one = file.segments[index];
  found.same(
    `${name} segment ${one.name}`,
    [one.name, one.vmaddr, one.vmsize, one.fileoff, one.filesize, one.sections.length],
    [
      fields.get('segname') ?? '',
      ...['vmaddr', 'vmsize', 'fileoff', 'filesize', 'nsects'].map((key) => number(fields.get(key))),
    ],
  );
  found.same(
    `${name} protection of ${one.name}`,
    [protection(one.maxprot), protection(one.initprot)],
    [fields.get('maxprot'), fields.get('initprot')],
  );
  for (const [i, section] of one.sections.entries()) compareSection(name, section, sections[i], found);
}

function compareSection(
  name: string,
  one: MachoSection,
  theirs: Map<string, string> | undefined,
  found: Differences,
): void {
  const align = /2\^(\d+)/.exec(theirs?.get('align') ?? '')?.[1];
  found.same(
    `${name} section ${one.name}`,
    [one.name, one.segment, one.address, one.size, one.offset, one.alignment, one.reloff, one.nreloc],
    [
      theirs?.get('sectname'),
      theirs?.get('segname'),
      ...['addr', 'size', 'offset'].map((key) => number(theirs?.get(key))),
      2 ** Number(align),
      ...['reloff', 'nreloc'].map((key) => number(theirs?.get(key))),
    ],
  );
}

// -- symbols --------------------------------------------------------------------------------------------------------

/** `Name: _x (5)` and so on, a map for each symbol; a list for each slice. */
function symbolsOf(text: string): Map<string, string>[][] {
  const files: Map<string, string>[][] = [];
  for (const line of text.split('\n')) {
    if (/^Symbols \[/.test(line)) files.push([]);
    else if (/^ {2}Symbol \{/.test(line)) files.at(-1)?.push(new Map());
    const match = /^ {4}([A-Za-z]+): ?(.*)$/.exec(line);
    if (match !== null) files.at(-1)?.at(-1)?.set(match[1], match[2]);
  }
  return files;
}

function compareSymbols(
  name: string,
  file: MachoFile,
  theirs: readonly Map<string, string>[],
  found: Differences,
): void {
  const ours = file.symbols()?.all ?? [];
  found.same(`${name} symbols`, ours.length, theirs.length);
  for (const [i, symbol] of ours.entries()) {
    const other = theirs[i];
    if (other === undefined) break;
    found.same(
      `${name} symbol ${i}`,
      [symbol.name, BigInt.asUintN(file.bits, BigInt(symbol.value)).toString(16)],
      [(other.get('Name') ?? '').replace(/ \(\d+\)$/, ''), BigInt(other.get('Value') ?? '0').toString(16)],
    );
    const section = /\(0x([0-9A-F]+)\)/.exec(other.get('Section') ?? '')?.[1] ?? '0';
    if (symbol.kind === 'section')
      found.same(`${name} section of ${symbol.name}`, symbol.section, Number.parseInt(section, 16));
    if (symbol.kind === 'debug') continue;
    const kind = {
      section: 'Section',
      undefined: 'Undef',
      common: 'Undef',
      absolute: 'Abs',
      indirect: 'Indirect',
    };
    const type = /^(\w+) \(/.exec(other.get('Type') ?? other.get('Extern') ?? '')?.[1];
    if (symbol.kind !== 'prebound') found.same(`${name} kind of ${symbol.name}`, kind[symbol.kind], type);
  }
}

// -- relocations ----------------------------------------------------------------------------------------------------

/** The tool leaves no blank behind one of its types, and has no word for eight bytes on arm64. */
const cells = (line: string): string[] =>
  line.replace('GOTLDPOF', 'GOTLDPOF ').replace('?( 3)', 'quad ').trim().split(/\s+/);

/** Rows of the tables: `External relocation information`, `Local ...` and `Relocation information (SEGMENT,SECTION)`. */
function relocationsOf(text: string): Map<string, string[][]>[] {
  const files: Map<string, string[][]>[] = [];
  let rows: string[][] | undefined;
  let table = '';
  const begin = (): void => {
    rows = [];
    files.at(-1)?.set(table, rows);
  };
  for (const line of text.split('\n')) {
    const head = /^(External|Local|Relocation) (?:relocation )?information (?:\((.*)\) )?\d+ entries/.exec(
      line,
    );
    if (/^\S.*(:|\))$/.test(line) && head === null && line.includes('/')) files.push(new Map());
    else if (head !== null) {
      table = head[2] ?? head[1];
      begin();
    } else if (/^[0-9a-f]{8} /.test(line)) rows?.push(cells(line));
    // The second half of a pair has no address.
    else if (/^ {9}\S/.test(line)) rows?.push(['', ...line.trim().split(/\s+/)]);
  }
  return files;
}

const LENGTHS: Readonly<Record<number, string>> = { 1: 'byte', 2: 'word', 4: 'long', 8: 'quad' };

function compareRelocations(
  name: string,
  file: MachoFile,
  theirs: ReadonlyMap<string, string[][]>,
  found: Differences,
): void {
  const { external, local } = linkedRelocations(file);
  const tables: [string, readonly MachoRelocation[]][] = [
    ['External', external],
    ['Local', local],
  ];
  if (file.header.filetype === MH.OBJECT)
    for (const one of file.sections)
      tables.push([`${one.segment},${one.name}`, sectionRelocations(file, one)]);
  for (const [table, ours] of tables) {
    const rows = theirs.get(table) ?? [];
    found.same(`${name} relocations, ${table}`, ours.length, rows.length);
    for (const [i, entry] of ours.entries())
      if (rows[i] !== undefined) compareRelocation(`${name} ${table} ${i}`, file, entry, rows[i], found);
  }
}

/** Names that the tools cut short. */
const SHORT: Readonly<Record<string, string>> = {
  UNSIGNED: 'UNSIGND',
  SUBTRACTOR: 'SUB',
  SIGNED_1: 'SIGNED1',
  SIGNED_2: 'SIGNED2',
  SIGNED_4: 'SIGNED4',
  LOCAL_SECTDIFF: 'LOCSDIF',
  SECTDIFF: 'SECTDIF',
  GOT_LOAD: 'GOT_LD',
  BRANCH26: 'BR26',
  PAGEOFF12: 'PAGOF12',
  GOT_LOAD_PAGE21: 'GOTLDP',
  GOT_LOAD_PAGEOFF12: 'GOTLDPOF',
  POINTER_TO_GOT: 'PTRTGOT',
};

function compareRelocation(
  what: string,
  file: MachoFile,
  entry: MachoRelocation,
  [address, relative, length, extern, type, scattered, ...target]: readonly string[],
  found: Differences,
): void {
  const title = (value: boolean): string => (value ? 'True' : 'False');
  const isScattered = entry.scattered !== undefined;
  const own = [
    entry.address.toString(16).padStart(8, '0'),
    title(entry.pcRelative),
    LENGTHS[entry.bytes],
    isScattered ? 'n/a' : title(entry.external),
    title(isScattered),
  ];
  const pair = relocationName(file.header.cputype, entry.type) === 'PAIR';
  found.same(
    what,
    pair ? own.slice(1, 3) : own,
    pair ? [relative, length] : [address, relative, length, extern, scattered],
  );
  const kind = relocationName(file.header.cputype, entry.type);
  // Of PowerPC's, LLVM says the numbers.
  const known = [kind, SHORT[kind] ?? kind, kind.slice(0, 7), kind.slice(0, 6), String(entry.type)];
  if (!known.includes(type)) found.same(`${what} type`, kind, type);
  if (entry.external) found.same(`${what} symbol`, file.symbols()?.all[entry.symbol]?.name, target.join(' '));
  else if (isScattered && !pair)
    found.same(`${what} value`, entry.scattered, Number.parseInt(target.join(' ').replace(/^0x/, ''), 16));
}

// -- property lists and signatures ------------------------------------------------------------------------------------

/** The same values after libplist has read the file and written it in the other form. */
export function comparePlist(path: string): Differences {
  const found = new Differences();
  const folder = mkdtempSync(join(tmpdir(), 'lkm-plist-'));
  try {
    const out = join(folder, 'out.plist');
    const bytes = new Uint8Array(readFileSync(path));
    run('plistutil', ['-i', path, '-o', out, '-f', 'bin']);
    const text = (value: unknown): string => JSON.stringify(value, plain);
    const theirs = readPlist(new Uint8Array(readFileSync(out)), 'binary');
    found.same(path, text(readPlist(bytes, 'Info.plist')), text(theirs));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return found;
}

/** Keys in order, integers of either kind alike. */
function plain(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Uint8Array) return [...value];
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Does OpenSSL find the signature over the first CodeDirectory to be the signer's? Undefined without a signature. Where it
 * does not, that proves nothing: it sorts the signed attributes, which Apple's tools leave in their own order.
 */
export function opensslVerifies(slice: Uint8Array): boolean | undefined {
  const signature = readCodeSignature(readMachO(slice));
  if (signature?.cms === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'lkm-cms-'));
  try {
    writeFileSync(join(folder, 'cms'), signature.cms);
    writeFileSync(join(folder, 'content'), signature.directories[0].bytes);
    const files = [
      '-in',
      join(folder, 'cms'),
      '-content',
      join(folder, 'content'),
      '-out',
      join(folder, 'out'),
    ];
    run('openssl', ['cms', '-verify', '-inform', 'DER', '-noverify', '-binary', ...files]);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
