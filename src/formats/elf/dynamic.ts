/** The dynamic section (gABI, "Dynamic Section") and the section groups (gABI, "Section Groups"). */
import { Invalid } from '../../bytes/errors.ts';
import { ByteView } from '../../bytes/view.ts';
import type { ElfSection } from './headers.ts';
import { DT, DYN_SIZE, GRP_COMDAT, PT, SHT } from './layout.ts';
import type { ElfFile } from './read.ts';

export interface DynamicEntry {
  readonly tag: number;
  /** d_val or d_ptr: signed in 64-bit files. */
  readonly value: number;
}

/** Entries up to DT_NULL, from SHT_DYNAMIC or, without sections, PT_DYNAMIC; empty when there is neither. */
export function dynamicEntries(elf: ElfFile): DynamicEntry[] {
  const section = elf.sectionOfType(SHT.DYNAMIC);
  const segment = elf.segments.find(({ type }) => type === PT.DYNAMIC);
  const data = section ? elf.data(section) : segment ? elf.segmentData(segment) : new Uint8Array(0);
  const view = new ByteView(data, elf.littleEndian);
  const size = DYN_SIZE[elf.bits];
  const entries: DynamicEntry[] = [];
  for (let at = 0; at + size <= data.length; at += size) {
    const wide = elf.bits === 64;
    const tag = wide ? view.n64(at) : view.u32(at);
    if (tag === DT.NULL) break;
    entries.push({ tag, value: wide ? view.s64(at + 8) : view.u32(at + 4) });
  }
  return entries;
}

/** DT_NEEDED, DT_SONAME and the like as strings. @throws Invalid when the string table cannot be found */
export function dynamicStrings(elf: ElfFile, tag: number): string[] {
  const section = elf.sectionOfType(SHT.DYNAMIC);
  const entries = dynamicEntries(elf).filter((entry) => entry.tag === tag);
  if (entries.length === 0) return [];
  const strings = section && elf.sections[section.link];
  if (strings === undefined || strings.type !== SHT.STRTAB) {
    throw new Invalid('dynamic section', 'names no string table');
  }
  return entries.map((entry) => elf.string(strings, entry.value, 'dynamic entry'));
}

export interface SectionGroup {
  readonly section: ElfSection;
  /** The name that identifies the group: of symbol sh_info in the table sh_link. */
  readonly signature: string;
  /** Of groups with one signature, only the first is kept. */
  readonly comdat: boolean;
  /** Section indexes. */
  readonly members: readonly number[];
}

/** All SHT_GROUP sections. @throws Invalid when a member or the signature is out of range */
export function sectionGroups(elf: ElfFile): SectionGroup[] {
  return elf.sections
    .filter((section) => section.type === SHT.GROUP)
    .map((section) => readGroup(elf, section));
}

function readGroup(elf: ElfFile, section: ElfSection): SectionGroup {
  const what = `group ${section.name} (section ${section.index})`;
  const table = elf.sections[section.link];
  if (table === undefined || table.type !== SHT.SYMTAB) {
    throw new Invalid(what, 'sh_link names no symbol table', { value: section.link });
  }
  const view = new ByteView(elf.data(section), elf.littleEndian);
  const flags = view.u32(0, what);
  const members: number[] = [];
  for (let at = 4; at + 4 <= view.length; at += 4) {
    const member = view.u32(at);
    if (member === 0 || member >= elf.sections.length) {
      throw new Invalid(what, `there are ${elf.sections.length} sections`, {
        offset: section.offset + at,
        value: member,
      });
    }
    members.push(member);
  }
  const symbol = elf.symbols(table)!.get(section.info);
  const named = symbol.type === 3 && symbol.name === '' ? elf.sections[symbol.section]?.name : symbol.name;
  return { section, signature: named ?? '', comdat: (flags & GRP_COMDAT) !== 0, members };
}
