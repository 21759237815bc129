/**
 * What a module says it needs: DT_NEEDED of a dynamic section in the relocatable file (`ld -r -dy -N misc/foo`), or the
 * string `_depends_on` of old modules (krtld/kobj.c, do_dynamic and get_syms).
 */
import { nulAt } from '../../bytes/cstring.ts';
import { FormatError, Invalid } from '../../bytes/errors.ts';
import { dynamicEntries, dynamicStrings } from '../../formats/elf/dynamic.ts';
import { DT, SHT } from '../../formats/elf/layout.ts';
import type { ElfFile } from '../../formats/elf/read.ts';

/** MODMAXNAMELEN with its NUL. */
export const MAX_NAME = 31;

/** DT_FLAGS_1 of such a file: symbols stay out of /dev/ksyms; multiple definitions are not reported. */
const DT_FLAGS_1 = 0x6ffffffb;
const DF_1_NOKSYMS = 0x80000;
const DF_1_IGNMULDEF = 0x40000;

export interface Dependencies {
  /** As they stand in the file: `misc/foo`. Macros ($CPU, $MMU) are not expanded. */
  readonly names: readonly string[];
  /** They come from `_depends_on`. */
  readonly deprecated: boolean;
  readonly noSymbols: boolean;
  readonly ignoreMultiple: boolean;
}

/** @throws Invalid when the string of `_depends_on` or a name in .dynamic lies outside of the file */
export function readDependencies(elf: ElfFile): Dependencies {
  const dynamic = elf.sectionOfType(SHT.DYNAMIC) !== undefined;
  const needed = dynamic ? dynamicStrings(elf, DT.NEEDED) : [];
  const flags = dynamic ? (dynamicEntries(elf).find(({ tag }) => tag === DT_FLAGS_1)?.value ?? 0) : 0;
  const names = needed.length > 0 ? needed : dependsOn(elf);
  return {
    names,
    deprecated: needed.length === 0 && names.length > 0,
    noSymbols: (flags & DF_1_NOKSYMS) !== 0,
    ignoreMultiple: (flags & DF_1_IGNMULDEF) !== 0,
  };
}

/** `char _depends_on[] = "misc/a drv/b"`: words separated by blanks and tabs. */
function dependsOn(elf: ElfFile): string[] {
  const symbol = elf
    .symbols()
    ?.all()
    .find(({ name, place }) => name === '_depends_on' && place === 'section');
  if (symbol === undefined) return [];
  const section = elf.sections[symbol.section];
  const data = section === undefined ? new Uint8Array(0) : elf.data(section);
  const end = symbol.value <= data.length ? nulAt(data, symbol.value, data.length) : -1;
  if (end < 0) throw new Invalid('_depends_on', 'is no string in the module', { value: symbol.value });
  const text = new TextDecoder('latin1').decode(data.subarray(symbol.value, end));
  return text.split(/[ \t]+/).filter((word) => word !== '');
}

/** As readDependencies, for a description: a damaged table is told, not thrown. */
export function tryDependencies(elf: ElfFile): Dependencies | FormatError {
  try {
    return readDependencies(elf);
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
}
