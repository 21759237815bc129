/** What a downloadable kernel module is, from its file alone: there is no record in it of name, version or needs. */
import type { ObjectFile, ObjectSection } from '../../formats/object.ts';
import { relocationMachine } from '../../link/machines.ts';
import { ImageTooLarge } from '../../link/place.ts';
import { segmentOf } from './image.ts';
import { runsHere } from './machines.ts';
import type { SegmentKind } from './module.ts';
import { trialLink } from './trial.ts';
import { type XtorNames, xtorNames } from './xtor-names.ts';

export interface VxDescription {
  readonly format: ObjectFile['format'];
  readonly machine: ObjectFile['machine'];
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly kind: ObjectFile['kind'];
  /** Bytes in memory; bss with the common blocks that the loader would make. */
  readonly sizes: Readonly<Record<SegmentKind, number>>;
  readonly sections: readonly {
    readonly name: string;
    readonly size: number;
    readonly alignment: number;
    readonly segment: SegmentKind | undefined;
  }[];
  readonly defined: readonly DefinedName[];
  readonly common: readonly { readonly name: string; readonly size: number }[];
  /** Names that the kernel or an earlier module has to define. */
  readonly needs: readonly string[];
  readonly constructors: 'munched' | 'sections' | 'none' | 'not munched';
  /** The functions in those lists. */
  readonly xtors: XtorNames;
  readonly compilers: readonly string[];
  readonly relocations: number;
  /** Of a link without a kernel; undefined when the machine's relocations are not written at all. */
  readonly link: { readonly applied: number; readonly problems: readonly string[] } | undefined;
  readonly runs: boolean;
}

export interface DefinedName {
  readonly name: string;
  readonly kind: SegmentKind | 'abs';
  /** Offset in its section, or the value of an absolute symbol. */
  readonly value: number;
  readonly size: number;
  readonly section: string;
  readonly local: boolean;
}

const NONE: Record<SegmentKind, number> = { text: 0, data: 0, bss: 0 };

export function describeModule(file: ObjectFile): VxDescription {
  const named = file.symbols.filter(({ name, type }) => name !== '' && type !== 'section' && type !== 'file');
  const sizes = { ...NONE };
  for (const section of file.sections) {
    const segment = segmentOf(section);
    if (segment === undefined) continue;
    const padding = (section.alignment - (sizes[segment] % section.alignment)) % section.alignment;
    sizes[segment] += padding + section.size;
  }
  const common = named.filter(({ place }) => place === 'common');
  const relocations = file.sections.reduce((sum, section) => sum + file.relocations(section.index).length, 0);
  return {
    format: file.format,
    machine: file.machine,
    bits: file.bits,
    littleEndian: file.littleEndian,
    kind: file.kind,
    sizes: { ...sizes, bss: sizes.bss + common.reduce((sum, { size }) => sum + size, 0) },
    sections: file.sections.slice(1).map((section) => ({
      name: section.name,
      size: section.size,
      alignment: section.alignment,
      segment: segmentOf(section),
    })),
    defined: named.flatMap((symbol) => {
      const { name, size, value, binding, place } = symbol;
      if (place !== 'section' && place !== 'absolute') return [];
      const kind = place === 'absolute' ? 'abs' : segmentOf(file.sections[symbol.section]);
      const section = place === 'absolute' ? '' : file.sections[symbol.section].name;
      return kind === undefined ? [] : [{ name, kind, value, size, section, local: binding === 'local' }];
    }),
    common: common.map(({ name, size }) => ({ name, size })),
    needs: named.filter(({ place, index }) => place === 'undefined' && index > 0).map(({ name }) => name),
    constructors: constructorsOf(file),
    xtors: xtorNames(file),
    compilers: compilersOf(file.sections),
    relocations,
    link: linkOf(file),
    runs: runsHere(file.machine) && file.kind === 'relocatable',
  };
}

/** Only relocatable files of machines whose relocations are written can be linked. */
function linkOf(file: ObjectFile): VxDescription['link'] {
  if (relocationMachine(file.machine) === undefined || file.kind !== 'relocatable') return undefined;
  try {
    const { applied, problems } = trialLink(file);
    return { applied, problems: [...new Set(problems)].slice(0, MAX_PROBLEMS) };
  } catch (error) {
    if (error instanceof ImageTooLarge) return { applied: 0, problems: [error.message] };
    throw error;
  }
}

/** More than a few say the same. */
const MAX_PROBLEMS = 20;

/** Functions that a compiler makes to call constructors, named after the file or its first symbol. */
const GENERATED = /^_?_GLOBAL_[._$](?:sub_)?[ID][._$]/;

function constructorsOf(file: ObjectFile): VxDescription['constructors'] {
  if (file.symbols.some(({ name, place }) => place === 'section' && /^__?[cd]tors$/.test(name)))
    return 'munched';
  const listed = file.sections.some(
    ({ name, size }) => size > 0 && /^\.(init_array|fini_array|ctors|dtors)(\.|$)/.test(name),
  );
  if (listed) return 'sections';
  return file.symbols.some(({ name }) => GENERATED.test(name)) ? 'not munched' : 'none';
}

/** What compilers leave in .comment, each once. */
function compilersOf(sections: readonly ObjectSection[]): string[] {
  const comment = sections.find(({ name }) => name === '.comment');
  if (comment === undefined) return [];
  const text = new TextDecoder('latin1').decode(comment.data.subarray(0, 4096));
  return [...new Set(text.split('\0').filter((one) => one.trim() !== ''))].slice(0, 8);
}
