/** Base relocations (".reloc section"). */
import { Invalid } from '../../bytes/errors.ts';
import { ByteView } from '../../bytes/view.ts';
import { DIRECTORY } from './layout.ts';
import type { PeFile } from './read.ts';

export interface PeRelocation {
  readonly rva: number;
  readonly type: number;
}

/** Padding entries (type 0) are left out. @throws Invalid, Truncated */
export function readRelocations(pe: PeFile): PeRelocation[] {
  const { address, size } = pe.directory(DIRECTORY.BASE_RELOCATION);
  if (address === 0 || size === 0) return [];
  const view = new ByteView(pe.at(address, size, 'base relocation directory'), true);
  const out: PeRelocation[] = [];
  for (let at = 0; at + 8 <= size; ) {
    const page = view.u32(at, 'relocation block');
    const bytes = view.u32(at + 4, 'relocation block');
    if (bytes === 0) return out;
    if (bytes < 8 || at + bytes > size) {
      throw new Invalid('relocation block', `of ${bytes} bytes does not fit its directory`, {
        value: address + at,
      });
    }
    for (let entry = at + 8; entry + 2 <= at + bytes; entry += 2) {
      const word = view.u16(entry);
      const type = word >> 12;
      if (type !== 0) out.push({ rva: page + (word & 0xfff), type });
    }
    at += bytes;
  }
  return out;
}
