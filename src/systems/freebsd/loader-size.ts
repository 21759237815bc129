/** How much room the boot loader gives a file. */
import { roundUp } from '../../bytes/align.ts';
import type { ElfSection } from '../../formats/elf/headers.ts';
import { ET, SHF, SHT } from '../../formats/elf/layout.ts';
import { type ElfFile, readElf } from '../../formats/elf/read.ts';

export interface LoadedSize {
  readonly size: number;
  /** What is printed of a shared object's segments. */
  readonly text?: string;
}

/** SHT_X86_64_UNWIND */
const SHT_UNWIND = 0x70000001;

/**
 * What a file takes in memory, and what is printed of a shared object (stand/common/load_elf_obj.c, load_elf.c): a relocatable
 * file's loaded sections, its symbols and strings and the relocations of what is loaded, one after another.
 */
export function loadedSize(bytes: Uint8Array): LoadedSize {
  const file = readElf(bytes);
  const symbols = file.sectionOfType(SHT.SYMTAB);
  const strings = symbols === undefined ? undefined : file.sections[symbols.link];
  if (file.header.type !== ET.REL) return sharedSize(file, symbols, strings);
  let end = 0;
  const add = ({ size, alignment }: ElfSection) => {
    end = roundUp(end, Math.max(1, alignment)) + size;
  };
  const loaded = ({ type, flags, size }: ElfSection) =>
    size > 0 && (flags & SHF.ALLOC) !== 0 && [SHT.PROGBITS, SHT.NOBITS, SHT_UNWIND].includes(type);
  for (const section of file.sections) if (loaded(section)) add(section);
  for (const section of [symbols, strings, file.sections[file.header.shstrndx]])
    if (section !== undefined) add(section);
  for (const section of file.sections)
    if ((section.type === SHT.REL || section.type === SHT.RELA) && isAllocated(file, section.info))
      add(section);
  return { size: end };
}

const isAllocated = (file: ElfFile, index: number): boolean =>
  ((file.sections[index]?.flags ?? 0) & SHF.ALLOC) !== 0;

function sharedSize(
  file: ElfFile,
  symbols: ElfSection | undefined,
  strings: ElfSection | undefined,
): LoadedSize {
  const word = file.bits / 8;
  const parts: string[] = [];
  let end = 0;
  for (const { type, flags, address, fileSize, memorySize } of file.segments) {
    if (type !== 1) continue;
    const more = memorySize > fileSize ? `+0x${(memorySize - fileSize).toString(16)}` : '';
    parts.push(
      (flags & 2) === 0 ? `text=0x${fileSize.toString(16)}` : `data=0x${fileSize.toString(16)}${more}`,
    );
    end = Math.max(end, address + memorySize);
  }
  if (symbols !== undefined && strings !== undefined) {
    const sizes = [word, symbols.size, word, strings.size];
    parts.push(`syms=[${sizes.map((one) => `0x${one.toString(16)}`).join('+')}]`);
    end = sizes.reduce((sum, one) => roundUp(sum, word) + one, end);
  }
  return { size: end, text: parts.join(' ') };
}
