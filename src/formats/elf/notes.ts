/** Notes (gABI, "Note Section"): who wrote them, a type number of theirs, and bytes. */

import { roundUp } from '../../bytes/align.ts';
import { text } from '../../bytes/cstring.ts';
import { Invalid } from '../../bytes/errors.ts';
import { hexOf } from '../../bytes/hex.ts';
import { ByteView } from '../../bytes/view.ts';
import { NT_GNU, PT, SHT } from './layout.ts';
import type { ElfFile } from './read.ts';

export interface ElfNote {
  /** The owner, without its NUL: "GNU", "Linux", "FreeBSD", "CORE". */
  readonly owner: string;
  readonly type: number;
  readonly description: Uint8Array;
  /** Offset of the note in the file. */
  readonly offset: number;
}

const HEADER = 12;

/**
 * All notes of the file, from its SHT_NOTE sections, or from its PT_NOTE segments when it has no sections.
 * @throws Truncated, Invalid when a name or description does not fit its section
 */
export function elfNotes(elf: ElfFile): ElfNote[] {
  if (elf.sections.length > 0) {
    const sections = elf.sections.filter((section) => section.type === SHT.NOTE);
    return sections.flatMap((section) =>
      readNotes(elf, section.offset, section.size, section.alignment, section.name),
    );
  }
  const segments = elf.segments.filter((segment) => segment.type === PT.NOTE);
  return segments.flatMap((segment) =>
    readNotes(elf, segment.offset, segment.fileSize, segment.alignment, `segment ${segment.index}`),
  );
}

/** The build identifier (owner GNU, type 3) in hexadecimal, or undefined. @throws as elfNotes */
export function buildId(elf: ElfFile): string | undefined {
  const note = elfNotes(elf).find(({ owner, type }) => owner === 'GNU' && type === NT_GNU.BUILD_ID);
  return note && hexOf(note.description);
}

/** Fields are padded to 4 bytes, and to 8 only where the section says so (.note.gnu.property of 64-bit files). */
function readNotes(elf: ElfFile, start: number, size: number, alignment: number, where: string): ElfNote[] {
  const end = start + size;
  const view = new ByteView(elf.bytes.subarray(0, end), elf.littleEndian);
  const unit = alignment === 8 ? 8 : 4;
  const pad = (offset: number): number => start + roundUp(offset - start, unit);
  const notes: ElfNote[] = [];
  for (let at = start; at < end; ) {
    // Zeros up to the section's alignment may follow the last note.
    if (end - at < HEADER && elf.bytes.subarray(at, end).every((byte) => byte === 0)) break;
    const nameSize = view.u32(at, `note in ${where}`);
    const size = view.u32(at + 4, `note in ${where}`);
    const type = view.u32(at + 8, `note in ${where}`);
    const name = view.slice(at + HEADER, nameSize, `note name in ${where}`);
    const description = pad(at + HEADER + nameSize);
    if (description > end && size === 0)
      throw new Invalid(`note in ${where}`, 'name is not padded', { offset: at });
    const nul = name.indexOf(0);
    notes.push({
      owner: text(name, 0, nul < 0 ? nameSize : nul),
      type,
      description: view.slice(description, size, `note description in ${where}`),
      offset: at,
    });
    at = pad(description + size);
  }
  return notes;
}
