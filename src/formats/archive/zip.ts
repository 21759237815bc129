/** zip (PKWARE's APPNOTE 6.3): stored and deflated entries, by the central directory; zip64 sizes. */
import { inflateSync } from 'fflate';
import { crc32 } from '../../bytes/checksum.ts';
import { BadMagic, Invalid, Truncated, Unsupported } from '../../bytes/errors.ts';
import { ByteView } from '../../bytes/view.ts';
import { type ArchiveEntry, type EntryKind, MOST_ENTRIES, NO_BYTES, plainPath } from './entry.ts';

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const END64 = 0x06064b50;
const LOCATOR64 = 0x07064b50;
/** The end record is the last thing but for a comment of at most 64 KiB. */
const MOST_COMMENT = 65535;
const METHOD = { STORED: 0, DEFLATED: 8 } as const;
const ENCRYPTED = 1;
const ALL = 0xffffffff;
/** An entry of more than this is no module. */
const MOST_BYTES = 2 ** 29;

export function isZip(bytes: Uint8Array): boolean {
  if (bytes.length < 22) return false;
  const magic = new ByteView(bytes, true).u32(0);
  return magic === LOCAL || magic === END;
}

/** @throws BadMagic, Truncated, Invalid, Unsupported */
export function readZip(bytes: Uint8Array): ArchiveEntry[] {
  const view = new ByteView(bytes, true);
  const { count, at: first } = directory(view);
  if (count > MOST_ENTRIES) throw new Unsupported('zip', `has more than ${MOST_ENTRIES} entries`);
  const entries: ArchiveEntry[] = [];
  let at = first;
  for (let i = 0; i < count; i++) {
    if (view.u32(at, 'zip central header') !== CENTRAL)
      throw new Invalid('zip central header', 'is not where it should be', { offset: at });
    entries.push(entryAt(view, at));
    at += 46 + view.u16(at + 28) + view.u16(at + 30) + view.u16(at + 32);
  }
  return entries;
}

/** Where the central directory is: section 4.3.16, 4.3.14. */
function directory(view: ByteView): { count: number; at: number } {
  const lowest = Math.max(0, view.length - 22 - MOST_COMMENT);
  let end = view.length - 22;
  while (end >= lowest && view.u32(end) !== END) end--;
  if (end < lowest) throw new BadMagic('zip', 'has no end record');
  const count = view.u16(end + 10);
  const at = view.u32(end + 16);
  if ((count !== 0xffff && at !== ALL) || end < 20 || view.u32(end - 20) !== LOCATOR64) return { count, at };
  const wide = view.n64(end - 12);
  if (view.u32(wide, 'zip64 end record') !== END64)
    throw new Invalid('zip64 end record', 'is not where it should be', { offset: wide });
  return { count: view.n64(wide + 32), at: view.n64(wide + 48) };
}

function entryAt(view: ByteView, at: number): ArchiveEntry {
  const nameAt = at + 46;
  const name = latinOf(view.slice(nameAt, view.u16(at + 28), 'zip name'));
  const unix = view.u8(at + 5) === 3 ? view.u32(at + 38) >>> 16 : 0;
  const { size, packed, local } = sizesOf(view, at);
  const kind = kindOf(unix, name);
  const about = {
    method: view.u16(at + 10),
    flags: view.u16(at + 8),
    crc: view.u32(at + 16),
    size,
    packed,
    local,
  };
  const bytes = (): Uint8Array => contents(view, about);
  return {
    path: plainPath(name),
    kind,
    size: kind === 'file' ? size : 0,
    modified: dosTime(view.u16(at + 12), view.u16(at + 14)),
    mode: unix === 0 ? undefined : unix & 0o7777,
    target: kind === 'link' ? latinOf(bytes()) : undefined,
    bytes: kind === 'file' ? bytes : () => NO_BYTES,
  };
}

function latinOf(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function kindOf(mode: number, name: string): EntryKind {
  if (name.endsWith('/')) return 'folder';
  const type = mode & 0o170000;
  if (type === 0o120000) return 'link';
  return type === 0 || type === 0o100000 ? 'file' : 'other';
}

/** Sizes and place, from the zip64 extra field (4.5.3) where they do not fit. */
function sizesOf(view: ByteView, at: number): { size: number; packed: number; local: number } {
  let [packed, size, local] = [view.u32(at + 20), view.u32(at + 24), view.u32(at + 42)];
  let extra = at + 46 + view.u16(at + 28);
  const end = extra + view.u16(at + 30);
  while (extra + 4 <= end) {
    const [id, length] = [view.u16(extra), view.u16(extra + 2)];
    if (id === 1) {
      let field = extra + 4;
      const next = (): number => view.n64((field += 8) - 8, 'zip64 field');
      if (size === ALL) size = next();
      if (packed === ALL) packed = next();
      if (local === ALL) local = next();
    }
    extra += 4 + length;
  }
  return { size, packed, local };
}

interface Stored {
  readonly method: number;
  readonly flags: number;
  readonly crc: number;
  readonly size: number;
  readonly packed: number;
  readonly local: number;
}

function contents(view: ByteView, { method, flags, crc, size, packed, local }: Stored): Uint8Array {
  if ((flags & ENCRYPTED) !== 0) throw new Unsupported('zip entry', 'is encrypted', { offset: local });
  if (size > MOST_BYTES) throw new Unsupported('zip entry', 'is larger than any module', { value: size });
  if (view.u32(local, 'zip local header') !== LOCAL)
    throw new Invalid('zip local header', 'is not where it should be', { offset: local });
  const start = local + 30 + view.u16(local + 26) + view.u16(local + 28);
  const stored = view.slice(start, packed, 'zip entry');
  const bytes = unpacked(stored, method, size, local);
  if (bytes.length !== size || crc32(bytes) !== crc)
    throw new Invalid('zip entry', 'has other bytes than its CRC-32 and size say', { offset: local });
  return bytes;
}

function unpacked(stored: Uint8Array, method: number, size: number, offset: number): Uint8Array {
  if (method === METHOD.STORED) return stored;
  if (method !== METHOD.DEFLATED)
    throw new Unsupported('zip entry', 'is packed in a way that is not deflate', { offset, value: method });
  try {
    // The room for what it should be is all it gets.
    return inflateSync(stored, { out: new Uint8Array(size) });
  } catch {
    throw new Truncated('zip entry', 'cannot be inflated: the data is damaged', { offset });
  }
}

/** MS-DOS date and time, taken as UTC. */
function dosTime(time: number, date: number): number {
  const [year, month, day] = [1980 + (date >> 9), (date >> 5) & 15, date & 31];
  return Date.UTC(year, month - 1, day, time >> 11, (time >> 5) & 63, (time & 31) * 2) / 1000;
}
