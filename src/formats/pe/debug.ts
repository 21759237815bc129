/** The debug directory: which PDB belongs to the image, and whether its date is a hash. */
import { cstring } from '../../bytes/cstring.ts';
import { ByteView } from '../../bytes/view.ts';
import { DEBUG_TYPE, DIRECTORY } from './layout.ts';
import type { PeFile } from './read.ts';

export interface PeDebug {
  /** Path of the PDB as the linker wrote it. */
  readonly pdb: string | undefined;
  /** GUID (RSDS) or time stamp (NB10) and age, as symbol servers name the folder. */
  readonly pdbId: string | undefined;
  /** The time stamp of the file header is a hash of its contents. */
  readonly reproducible: boolean;
}

const ENTRY_BYTES = 28;
const MAX_ENTRIES = 64;

/** @throws Invalid, Truncated */
export function readDebug(pe: PeFile): PeDebug {
  const { address, size } = pe.directory(DIRECTORY.DEBUG);
  let pdb: { name: string; id: string } | undefined;
  let reproducible = false;
  const count = address === 0 ? 0 : Math.min(MAX_ENTRIES, Math.floor(size / ENTRY_BYTES));
  for (let i = 0; i < count; i++) {
    const view = pe.viewAt(address + i * ENTRY_BYTES, ENTRY_BYTES, 'debug directory');
    const type = view.u32(12);
    if (type === DEBUG_TYPE.REPRO) reproducible = true;
    if (type !== DEBUG_TYPE.CODEVIEW || pdb !== undefined) continue;
    // Stripping tools leave entries whose bytes are gone: nothing is known then, and nothing is wrong.
    const bytes = view.u32(16);
    const offset = view.u32(24);
    if (offset + bytes <= pe.bytes.length) pdb = codeView(pe.bytes.subarray(offset, offset + bytes));
  }
  return { pdb: pdb?.name, pdbId: pdb?.id, reproducible };
}

function codeView(bytes: Uint8Array): { name: string; id: string } | undefined {
  if (bytes.length < 24) return undefined;
  const magic = String.fromCharCode(...bytes.subarray(0, 4));
  const view = new ByteView(bytes, true);
  const hex = (value: number, digits: number) => value.toString(16).toUpperCase().padStart(digits, '0');
  if (magic === 'RSDS') {
    const tail = [...bytes.subarray(12, 20)].map((byte) => hex(byte, 2)).join('');
    const id = hex(view.u32(4), 8) + hex(view.u16(8), 4) + hex(view.u16(10), 4) + tail;
    return { name: cstring(bytes, 24), id: id + view.u32(20).toString(16).toUpperCase() };
  }
  if (magic === 'NB10')
    return {
      name: cstring(bytes, 16),
      id: hex(view.u32(8), 8) + view.u32(12).toString(16).toUpperCase(),
    };
  return undefined;
}
