/** What the tools do to a module that is forced in through init_module(2), which takes no flags (libkmod, elf.c). */
import { FormatError } from '../../../bytes/errors.ts';
import { readElf } from '../../../formats/elf/read.ts';
import { CallFailed } from './call-failed.ts';
import type { InsertFlags } from './target.ts';

const SHF_ALLOC = 2;
/** sh_flags in a section header. */
const FLAGS_AT = 8;

/** A copy without the versions of symbols, or without the vermagic. @throws CallFailed when it is no whole ELF file */
export function stripVersions(bytes: Uint8Array, flags: InsertFlags): Uint8Array {
  const changed = bytes.slice();
  const elf = wholeElf(bytes);
  if (flags.forceModversion) {
    const index = elf.sections.findIndex(({ name }) => name === '__versions');
    // The flag is in the low word in either class; the kernel looks for allocated sections alone.
    if (index >= 0) clearAlloc(changed, elf, index);
  }
  if (flags.forceVermagic) clearVermagic(changed, elf);
  return changed;
}

function wholeElf(bytes: Uint8Array): ReturnType<typeof readElf> {
  try {
    return readElf(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new CallFailed(error.kind === 'BadMagic' ? 'ENOEXEC' : 'EINVAL');
  }
}

function clearAlloc(changed: Uint8Array, elf: ReturnType<typeof readElf>, index: number): void {
  const { littleEndian } = elf;
  const is64 = elf.bits === 64;
  const view = new DataView(changed.buffer);
  const entry = view.getUint16(is64 ? 58 : 46, littleEndian);
  const table = is64 ? Number(view.getBigUint64(40, littleEndian)) : view.getUint32(32, littleEndian);
  const at = table + index * entry + FLAGS_AT + (is64 && !littleEndian ? 4 : 0);
  view.setUint32(at, view.getUint32(at, littleEndian) & ~SHF_ALLOC, littleEndian);
}

function clearVermagic(changed: Uint8Array, elf: ReturnType<typeof readElf>): void {
  const section = elf.sections.find(({ name }) => name === '.modinfo');
  if (section === undefined) return;
  const text = Buffer.from(changed.buffer, section.offset, section.size).toString('latin1');
  const at = `\0${text}`.indexOf('\0vermagic=');
  if (at < 0) return;
  const end = text.indexOf('\0', at);
  changed.fill(0, section.offset + at, section.offset + (end < 0 ? text.length : end));
}
