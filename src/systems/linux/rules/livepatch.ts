/** klp_apply_section_relocs and klp_resolve_symbols (kernel/livepatch/core.c): relocations of a live patch against a kernel's inner symbols. */
import { cstring } from '../../../bytes/cstring.ts';
import type { ElfSection } from '../../../formats/elf/headers.ts';
import { SHF } from '../../../formats/elf/layout.ts';
import type { ObjectSymbol } from '../../../formats/object.ts';
import { Errno } from '../errno.ts';
import type { ModuleFile } from '../module-file.ts';
import { type Judge, Level } from './judge.ts';

/** SHF_RELA_LIVEPATCH, SHN_LIVEPATCH (include/uapi/linux/elf.h). */
const LIVE_SECTION = 0x00100000;
const LIVE_SYMBOL = 0xff20;
const SECTION_NAME = /^\.klp\.rela\.([^.]{1,55})/;
const SYMBOL_NAME = /^\.klp\.sym\.([^.]{1,55})\.([^,]{1,511}),\s*([+-]?\d+)/;
const ENTRY = 24;
const SYMBOL_ENTRY = 24;
const KERNEL = 'vmlinux';

/** Nothing to do for a module without such sections, or a kernel without live patches. */
export function checkLivePatches(judge: Judge, file: ModuleFile): void {
  if (!judge.has('livepatch') || file.elf.bits !== 64) return;
  for (const section of file.elf.sections) {
    const target = file.elf.sections[section.info];
    if ((section.flags & LIVE_SECTION) === 0 || target === undefined || (target.flags & SHF.ALLOC) === 0)
      continue;
    checkSection(judge, file, section);
  }
}

function checkSection(judge: Judge, file: ModuleFile, section: ElfSection): void {
  const object = SECTION_NAME.exec(section.name)?.[1];
  if (object === undefined)
    refuse(judge, `section ${section.name} has an incorrectly formatted name`, section.name);
  // What belongs to a module is relocated when that is loaded.
  if (object !== KERNEL) return;
  for (const symbol of symbolsOf(file, section)) {
    const name = symbol.name;
    if (symbol.section !== LIVE_SYMBOL)
      refuse(judge, `symbol ${name} is not marked as a livepatch symbol`, name);
    const [, owner, inner, position] = SYMBOL_NAME.exec(name) ?? [];
    if (inner === undefined) refuse(judge, `symbol ${name} has an incorrectly formatted name`, name);
    checkSymbol(judge, owner, inner, Number(position));
  }
}

/** Of a kernel's inner symbols only the exported ones are known here. */
function checkSymbol(judge: Judge, owner: string, name: string, position: number): void {
  if (owner !== KERNEL || !judge.kernel.exports.has(name)) {
    const what = `whether ${owner === KERNEL ? 'the kernel' : owner} has one symbol ${name} inside`;
    judge.unknown({ what, how: 'its symbol table (System.map) tells, which is not read' });
  } else if (position > 1) {
    refuse(judge, `symbol position ${position} for symbol '${name}' in object '${owner}' not found`, name);
  }
}

interface LiveSymbol extends Pick<ObjectSymbol, 'name' | 'section'> {}

/** Symbols that the section's entries name, by the bytes: to a reader of ELF their section is none. */
function symbolsOf({ elf, whole }: ModuleFile, section: ElfSection): LiveSymbol[] {
  const table = elf.sections[section.link];
  const strings = table === undefined ? undefined : elf.sections[table.link];
  if (table === undefined || strings === undefined) return [];
  const view = new DataView(whole.buffer, whole.byteOffset, whole.byteLength);
  const found: LiveSymbol[] = [];
  for (let at = section.offset; at + ENTRY <= section.offset + section.size; at += ENTRY) {
    const symbol = table.offset + view.getUint32(at + 12, elf.littleEndian) * SYMBOL_ENTRY;
    if (symbol + SYMBOL_ENTRY > whole.length) continue;
    const name = cstring(whole, strings.offset + view.getUint32(symbol, elf.littleEndian));
    found.push({ name, section: view.getUint16(symbol + 6, elf.littleEndian) });
  }
  return found;
}

function refuse(judge: Judge, message: string, what: string): never {
  judge.say(Level.ERR, `livepatch: ${message}`);
  const why = `The live patch cannot be linked to this kernel: ${what} is not what the kernel looks for.`;
  return judge.refuse('relocation', Errno.EINVAL, why, 'Build the live patch against exactly this kernel.');
}
