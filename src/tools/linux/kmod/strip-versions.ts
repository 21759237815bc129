/** What the tools do to a module that is forced in through init_module(2), which takes no flags (libkmod, elf.c). */
import { ElfFacts, NotAModule } from '../../../systems/linux/tree/elf-facts.ts';
import { reason } from './bytes-path.ts';
import { CallFailed } from './call-failed.ts';
import { MemorySource, SourceError } from './module-source.ts';
import type { InsertFlags } from './target.ts';

const SHF_ALLOC = 2;
/** sh_flags in a section header. */
const FLAGS_AT = 8;
const VERMAGIC = 'vermagic=';

/**
 * A copy without the versions of symbols, or without the vermagic.
 * @throws CallFailed when it is no ELF file, SourceError when it has strings but no vermagic among them
 */
export function stripVersions(bytes: Uint8Array, flags: InsertFlags): Uint8Array {
  const changed = bytes.slice();
  const elf = elfOf(bytes);
  if (flags.forceModversion) {
    const header = elf.headerOf('__versions');
    // The flag is in the low word in either class; the kernel looks for allocated sections alone.
    if (header !== undefined) clearAlloc(changed, header, elf);
  }
  if (flags.forceVermagic && !clearVermagic(changed, elf))
    throw new SourceError(
      'ENODATA',
      `Failed to strip version information: ${reason({ code: 'ENODATA' })}`,
      'do_init_module',
    );
  return changed;
}

function elfOf(bytes: Uint8Array): ElfFacts {
  try {
    return new ElfFacts(new MemorySource(bytes));
  } catch (error) {
    if (!(error instanceof NotAModule)) throw error;
    throw new CallFailed(error.errno);
  }
}

function clearAlloc(changed: Uint8Array, header: number, { bits, littleEndian }: ElfFacts): void {
  const view = new DataView(changed.buffer, changed.byteOffset);
  const at = header + FLAGS_AT + (bits === 64 && !littleEndian ? 4 : 0);
  view.setUint32(at, view.getUint32(at, littleEndian) & ~SHF_ALLOC, littleEndian);
}

/** False when there are strings and none of them is a vermagic. */
function clearVermagic(changed: Uint8Array, elf: ElfFacts): boolean {
  const offset = elf.modinfoOffset;
  if (offset === 0) return true;
  const text = Buffer.from(elf.modinfoBytes()).toString('latin1');
  if (text.replace(/^\0+/, '').length <= 1) return true;
  const at = `\0${text}`.indexOf(`\0${VERMAGIC}`);
  // One that is nothing but its name, at the end of the section, is not found.
  if (at < 0 || at + VERMAGIC.length >= text.length) return false;
  const end = text.indexOf('\0', at);
  changed.fill(0, offset + at, offset + (end < 0 ? text.length : end));
  return true;
}
