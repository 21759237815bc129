/**
 * What krtld checks of a file before it takes memory for it (krtld/kobj.c, kobj_load_module and get_progbits), in its
 * order and its words, over bytes and the width of a kernel: a check without a kernel asks the same.
 */
import { FormatError } from '../../../bytes/errors.ts';
import { type ElfHeader, readElfHeader } from '../../../formats/elf/headers.ts';
import { EM, SHF, SHT } from '../../../formats/elf/layout.ts';
import { type ElfFile, readElf } from '../../../formats/elf/read.ts';
import { type Finding, invalid } from '../refusal.ts';

export interface FileView {
  /** Width of the kernel. */
  readonly bits: 32 | 64;
  /** A kernel for SPARC machines; x86 otherwise. */
  readonly sparc?: boolean;
}

/** e_machine and byte order of a kernel's modules. */
function machineOf({ bits, sparc }: FileView): { readonly machine: number; readonly littleEndian: boolean } {
  if (sparc === true) return { machine: bits === 64 ? EM.SPARCV9 : EM.SPARC, littleEndian: false };
  return { machine: bits === 64 ? EM.X86_64 : EM[386], littleEndian: true };
}

export type FileVerdict = { readonly elf: ElfFile } | { readonly refused: Finding };

const says = (format: string, path: string): readonly [string, string] => [
  format,
  format.replace('%s', path),
];

/** @param path as the kernel opened it: its messages begin with it */
export function checkFile(view: FileView, bytes: Uint8Array, path: string): FileVerdict {
  const header = tryHeader(bytes);
  if (header === undefined || header.littleEndian === undefined) {
    const hint = 'Give the file that was built; is this a script, an archive, or an empty file?';
    return {
      refused: invalid('elf', [says('%s not an elf module', path)], 'The file is no ELF file.', hint, true),
    };
  }
  const { machine, littleEndian } = machineOf(view);
  if (header.bits !== view.bits || header.machine !== machine || header.littleEndian !== littleEndian) {
    const why = `The file is for another machine (ELF${header.bits}, e_machine ${header.machine}) than this ${view.bits}-bit kernel.`;
    const hint = '64-bit modules for x86 lie in a directory amd64 below drv, misc ...; take that one.';
    return { refused: invalid('isa', [says('%s not an elf module for this ISA', path)], why, hint) };
  }
  if (header.type !== 1) {
    const said = [says("%s isn't a relocatable (ET_REL) module", path)];
    const why = `The file was linked (e_type ${header.type}); krtld links modules itself.`;
    return { refused: invalid('relocatable', said, why, 'Link it with ld -r.') };
  }
  return checkTables(bytes, path);
}

function tryHeader(bytes: Uint8Array): ElfHeader | undefined {
  try {
    return readElfHeader(bytes);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

function checkTables(bytes: Uint8Array, path: string): FileVerdict {
  let elf: ElfFile;
  try {
    elf = readElf(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { refused: damaged(path, error, 'sections') };
  }
  const moved = elf.sections.find(({ flags, address }) => (flags & SHF.ALLOC) !== 0 && address !== 0);
  if (moved !== undefined) {
    const said = [says('%s non-zero sect addr in input file', path)];
    const why = `Section ${moved.name} has an address already.`;
    return { refused: invalid('section-address', said, why, 'Link it with ld -r, without addresses.') };
  }
  if (elf.sectionOfType(SHT.SYMTAB) === undefined) {
    const said = [says('krtld: get_syms: %s no SHT_SYMTAB symbol table found', path)];
    return {
      refused: invalid(
        'symbol-table',
        said,
        'The file has no symbol table.',
        'It was stripped: build it again.',
      ),
    };
  }
  return { elf };
}

/** A table that contradicts itself: the kernel's reads of it fail. */
export function damaged(path: string, error: FormatError, what: string): Finding {
  const format = `kobj_load_module: %s error reading ${what}`;
  return invalid('damaged', [says(format, path)], `The file is damaged: ${error.message}.`, 'Copy it again.');
}
