/** GNU symbol versions (LSB, "Symbol Versioning"): which versions a file defines, needs, and which each symbol has. */
import { Invalid } from '../../bytes/errors.ts';
import type { ElfSection } from './headers.ts';
import { SHT } from './layout.ts';
import type { ElfFile } from './read.ts';

export interface VersionDefinition {
  /** The index that SHT_GNU_versym entries use. */
  readonly index: number;
  readonly flags: number;
  readonly hash: number;
  readonly name: string;
  /** Versions it inherits from. */
  readonly parents: readonly string[];
}

export interface VersionNeed {
  readonly file: string;
  readonly index: number;
  readonly flags: number;
  readonly hash: number;
  readonly name: string;
}

/** Bit 15 of an entry: the symbol is not the default one of its version. */
export const VERSYM_HIDDEN = 0x8000;

/** SHT_GNU_verdef. @throws Truncated, Invalid */
export function versionDefinitions(elf: ElfFile): VersionDefinition[] {
  const section = elf.sectionOfType(SHT.GNU_VERDEF);
  if (section === undefined) return [];
  const strings = stringTable(elf, section);
  const budget = budgetOf(section);
  const all = { section, nextAt: 16, count: section.info, first: section.offset, budget };
  return chain(elf, all, (at) => {
    const names = {
      section,
      nextAt: 4,
      count: elf.view.u16(at + 6),
      first: at + elf.view.u32(at + 12),
      budget,
    };
    const [name, ...parents] = chain(elf, names, (aux) => elf.string(strings, elf.view.u32(aux), 'version'));
    const [index, flags, hash] = [elf.view.u16(at + 4), elf.view.u16(at + 2), elf.view.u32(at + 8)];
    return { index, flags, hash, name: name ?? '', parents };
  });
}

/** SHT_GNU_verneed. @throws Truncated, Invalid */
export function versionNeeds(elf: ElfFile): VersionNeed[] {
  const section = elf.sectionOfType(SHT.GNU_VERNEED);
  if (section === undefined) return [];
  const strings = stringTable(elf, section);
  const budget = budgetOf(section);
  const all = { section, nextAt: 12, count: section.info, first: section.offset, budget };
  const perFile = chain(elf, all, (at) => {
    const file = elf.string(strings, elf.view.u32(at + 4), 'version need');
    const needs = {
      section,
      nextAt: 12,
      count: elf.view.u16(at + 2),
      first: at + elf.view.u32(at + 8),
      budget,
    };
    return chain(elf, needs, (aux) => needAt(elf, strings, file, aux));
  });
  return perFile.flat();
}

/** SHT_GNU_versym: one number for each dynamic symbol, with VERSYM_HIDDEN; undefined when the file has none. */
export function symbolVersions(elf: ElfFile): Uint16Array | undefined {
  const section = elf.sectionOfType(SHT.GNU_VERSYM);
  if (section === undefined) return undefined;
  return Uint16Array.from({ length: Math.floor(section.size / 2) }, (_, i) =>
    elf.view.u16(section.offset + i * 2),
  );
}

function needAt(elf: ElfFile, strings: ElfSection, file: string, at: number): VersionNeed {
  return {
    file,
    index: elf.view.u16(at + 6),
    flags: elf.view.u16(at + 4),
    hash: elf.view.u32(at),
    name: elf.string(strings, elf.view.u32(at + 8), 'version need'),
  };
}

function stringTable(elf: ElfFile, section: ElfSection): ElfSection {
  const strings = elf.sections[section.link];
  if (strings === undefined || strings.type !== SHT.STRTAB) {
    throw new Invalid(`section ${section.name}`, 'sh_link names no string table', { value: section.link });
  }
  return strings;
}

interface RecordList {
  readonly section: ElfSection;
  /** Offset of the field `next` in a record. */
  readonly nextAt: number;
  readonly count: number;
  /** Offset of the first record in the file. */
  readonly first: number;
  readonly budget: Budget;
}

/** Records still to be read from a section: honest ones do not overlap, and the smallest has 8 bytes. */
interface Budget {
  left: number;
}

function budgetOf(section: ElfSection): Budget {
  return { left: section.size / 8 };
}

/**
 * Records linked by a relative offset `next` (at `nextAt` in each; 0 ends the list). Every step goes forward inside the
 * section and uses up the budget that all lists of the section share, so a damaged list ends soon.
 */
function chain<T>(elf: ElfFile, list: RecordList, read: (at: number) => T): T[] {
  const { section, nextAt, count, first, budget } = list;
  const records: T[] = [];
  const end = section.offset + section.size;
  for (let at = first, i = 0; i < count; i++) {
    if (at < section.offset || at + nextAt + 4 > end || budget.left-- <= 0) {
      throw new Invalid(`section ${section.name}`, 'a record is outside it', { offset: at });
    }
    records.push(read(at));
    const next = elf.view.u32(at + nextAt);
    if (next === 0) break;
    at += next;
  }
  return records;
}
