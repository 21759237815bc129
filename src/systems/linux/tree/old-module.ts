/**
 * Modules of Linux before 2.6: object files that insmod itself linked (modutils 2.4). Their own names for things: strings of
 * .modinfo (kernel_version=, parm_NAME=, parm_desc_NAME=), a table __ksymtab whose names stand in .kstrtab, and versions
 * as a part of symbols' names: `printk_R1b7d4074`, `printk_Rsmp_1b7d4074`.
 */
import { type ElfFacts, NotAModule, stringsOf } from './elf-facts.ts';

export interface OldSymbol {
  readonly name: string;
  /** The version in its name; undefined without one. */
  readonly crc: number | undefined;
}

export interface OldExport extends OldSymbol {
  readonly gplOnly: boolean;
}

export interface OldNeed extends OldSymbol {
  readonly weak: boolean;
}

export interface OldParameter {
  readonly name: string;
  /** `int`, `array of short, 1 to 4`, `string`; as it stands when it is of no known form. */
  readonly type: string;
  readonly description: string;
}

export interface OldModule {
  /** Release of the kernel it was built for; empty when it does not say. */
  readonly kernelVersion: string;
  /** It was built for a kernel with versions of symbols. */
  readonly versioned: boolean;
  /** `tag=value` strings of .modinfo, in order, without those of parameters. */
  readonly info: readonly (readonly [tag: string, value: string])[];
  readonly parameters: readonly OldParameter[];
  readonly exports: readonly OldExport[];
  readonly needs: readonly OldNeed[];
}

/** Endings of their files. */
export const OLD_ENDING = /[^/]\.o(\.gz)?$/;

/** Does a release lie before 2.6? */
export function isOldRelease(release: string): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  return major !== undefined && (Number(major) < 2 || (Number(major) === 2 && Number(minor) < 6));
}

const ET_REL = 1;
const [STB_LOCAL, STB_WEAK] = [0, 2];
const SHN_UNDEF = 0;
/** Sections that stand for no place of the file begin here. */
const SHN_RESERVED = 0xff00;
const STT_REGISTER = 13;
const SPARC_MACHINES: readonly number[] = [2, 43];
/** Every module has these, and nobody can ask for them; the last is the loader's. */
const ENTRIES: readonly string[] = ['init_module', 'cleanup_module', '__this_module'];
/** `_R`, what tells kernels of several kinds apart, and the version. */
const VERSIONED = /^(.+)_R(?:[a-z0-9]+_)*([0-9a-f]{8})$/;
const GPL_ONLY = 'GPLONLY_';

/** `printk_Rsmp_1b7d4074` as name and version. */
export function oldSymbol(text: string): OldSymbol {
  const [, name, crc] = VERSIONED.exec(text) ?? [];
  return name === undefined ? { name: text, crc: undefined } : { name, crc: Number.parseInt(crc, 16) };
}

/** undefined: it is none. @throws NotAModule where its symbol table is absent or damaged */
export function readOldModule(elf: ElfFacts): OldModule | undefined {
  if (elf.type !== ET_REL || elf.anyBytes('.gnu.linkonce.this_module') !== undefined) return undefined;
  const strings = stringsOfInfo(elf);
  const table = elf.anyBytes('__ksymtab');
  const names = elf.anyBytes('.kstrtab');
  const told = strings.find((text) => text.startsWith('kernel_version='));
  const exports: OldExport[] = [];
  const needs: OldNeed[] = [];
  const registers = SPARC_MACHINES.includes(elf.machine);
  let starts = false;
  for (const { name, binding, type, section } of elf.symbols()) {
    if (name === '' || binding === STB_LOCAL || (registers && type === STT_REGISTER)) continue;
    if (name === 'init_module') starts = section !== SHN_UNDEF;
    if (ENTRIES.includes(name)) continue;
    if (section === SHN_UNDEF) needs.push({ ...oldSymbol(name), weak: binding === STB_WEAK });
    // Without a table everything global is offered (modutils, depmod.c).
    else if (table === undefined && section < SHN_RESERVED)
      exports.push({ ...oldSymbol(name), gplOnly: false });
  }
  const isOne =
    told !== undefined ||
    (table !== undefined && names !== undefined) ||
    (starts && needs.some(({ crc }) => crc !== undefined));
  if (!isOne) return undefined;
  if (table !== undefined) for (const text of stringsOf(names ?? NO_BYTES)) exports.push(exportOf(text));
  const kernelVersion = told?.slice('kernel_version='.length) ?? '';
  const versioned = strings.includes('using_checksums=1');
  return { kernelVersion, versioned, exports, needs, ...infoOf(strings) };
}

const NO_BYTES = new Uint8Array();

function exportOf(text: string): OldExport {
  const gplOnly = text.startsWith(GPL_ONLY);
  return { ...oldSymbol(gplOnly ? text.slice(GPL_ONLY.length) : text), gplOnly };
}

function stringsOfInfo(elf: ElfFacts): string[] {
  try {
    return elf.modinfo();
  } catch (error) {
    if (!(error instanceof NotAModule)) throw error;
    return [];
  }
}

function infoOf(strings: readonly string[]): Pick<OldModule, 'info' | 'parameters'> {
  const info: (readonly [string, string])[] = [];
  const parameters = new Map<string, { name: string; type: string; description: string }>();
  for (const text of strings) {
    const equals = text.indexOf('=');
    const [tag, value] = equals < 0 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
    const [, about, name] = /^parm_(desc_)?(.+)$/.exec(tag) ?? [];
    if (name === undefined) {
      info.push([tag, value]);
      continue;
    }
    const known = parameters.get(name) ?? { name, type: '', description: '' };
    parameters.set(
      name,
      about === undefined ? { ...known, type: oldType(value) } : { ...known, description: value },
    );
  }
  return { info, parameters: [...parameters.values()] };
}

const TYPES: Readonly<Record<string, string>> = {
  b: 'byte',
  h: 'short',
  i: 'int',
  l: 'long',
  s: 'string',
};

/** `[MIN[-MAX]]TYPE`: the numbers say how many values there may be (modutils, insmod.c); `cN` is room for N characters. */
export function oldType(text: string): string {
  const [, least, most, letter, room] = /^(?:(\d+)(?:-(\d+))?)?([bhilsc])(\d*)/.exec(text) ?? [];
  if (letter === undefined) return text;
  const one = letter === 'c' ? `char[${room}]` : TYPES[letter];
  if (least === undefined || (least === '1' && (most ?? '1') === '1')) return one;
  return most === undefined || most === least
    ? `array of ${one}, ${least}`
    : `array of ${one}, ${least} to ${most}`;
}
