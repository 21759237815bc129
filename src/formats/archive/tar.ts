/** tar: POSIX ustar and pax (IEEE 1003.1, pax, "ustar Interchange Format"), old headers, and GNU's long names. */
import { BadMagic, Invalid, Truncated, Unsupported } from '../../bytes/errors.ts';
import { type ArchiveEntry, type EntryKind, MOST_ENTRIES, NO_BYTES, plainPath, textOf } from './entry.ts';
import type { ByteStore } from './store.ts';

const BLOCK = 512;
/** Header fields: offset and length. */
const NAME = [0, 100] as const;
const MODE = [100, 8] as const;
const UID = [108, 8] as const;
const GID = [116, 8] as const;
const SIZE = [124, 12] as const;
const TIME = [136, 12] as const;
const SUM = [148, 8] as const;
const TYPE = 156;
const LINK = [157, 100] as const;
const MAGIC = 257;
const PREFIX = [345, 155] as const;
/** Of a longer name or record than this nothing is believed. */
const MOST_NAME = 1 << 20;

const WHAT = 'tar header';

/** Is this a header block with the right sum, or the end mark of an empty archive? */
export function isTar(bytes: Uint8Array): boolean {
  if (bytes.length < BLOCK) return false;
  return textOf(bytes, MAGIC, MAGIC + 5) === 'ustar' || (bytes[0] !== 0 && hasSum(bytes));
}

function hasSum(header: Uint8Array): boolean {
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= SUM[0] && i < SUM[0] + SUM[1] ? 0x20 : header[i];
  return sum === octal(header, SUM[0], SUM[1]);
}

/** Octal digits between blanks; NaN for anything else. */
function octal(bytes: Uint8Array, at: number, length: number): number {
  const text = textOf(bytes, at, at + length).trim();
  return text === '' ? 0 : /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number.NaN;
}

/** Octal, or GNU's binary form for large numbers: the first byte has its top bit set. */
function number(bytes: Uint8Array, at: number, length: number): number {
  if (bytes[at] < 0x80) return octal(bytes, at, length);
  let value = bytes[at] & 0x7f;
  for (let i = 1; i < length; i++) value = value * 256 + bytes[at + i];
  return value;
}

/** What headers before an entry say of it. */
interface Overrides {
  path?: string;
  linkpath?: string;
  size?: string;
  mtime?: string;
  uid?: string;
  gid?: string;
}

/** @throws BadMagic, Truncated, Invalid, Unsupported */
export function readTar(store: ByteStore): ArchiveEntry[] {
  const first = store.slice(0, BLOCK);
  if (!isTar(first) && !first.every((byte) => byte === 0))
    throw new BadMagic('tar', 'does not begin with a header', { offset: 0 });
  const entries: ArchiveEntry[] = [];
  const files = new Map<string, ArchiveEntry>();
  let overrides: Overrides = {};
  for (let at = 0; at + BLOCK <= store.size; ) {
    const header = store.slice(at, at + BLOCK);
    if (header[0] === 0) break;
    if (!hasSum(header)) throw new Invalid(WHAT, 'has another sum than it says', { offset: at });
    const type = String.fromCharCode(header[TYPE]);
    const size = overrides.size === undefined ? number(header, SIZE[0], SIZE[1]) : Number(overrides.size);
    if (!Number.isSafeInteger(size) || size < 0)
      throw new Invalid(WHAT, 'has a size that is no number', { offset: at });
    const start = at + BLOCK;
    const stored = HAS_NO_DATA.includes(type) ? 0 : size;
    if (start + stored > store.size)
      throw new Truncated('tar', 'ends inside an entry', { offset: at, value: size });
    const next = start + Math.ceil(stored / BLOCK) * BLOCK;
    if (EXTENSIONS.includes(type)) overrides = extension(type, store, start, start + stored, overrides);
    else {
      const bytes = () => store.slice(start, start + stored);
      const entry = entryAt(header, bytes, type, stored, overrides, files);
      if (type !== 'g') entries.push(entry);
      if (entry.kind === 'file') files.set(entry.path, entry);
      overrides = {};
    }
    if (entries.length > MOST_ENTRIES) throw new Unsupported('tar', `has more than ${MOST_ENTRIES} entries`);
    at = next;
  }
  return entries;
}

/** Links, devices, folders. */
const HAS_NO_DATA: readonly string[] = ['1', '2', '3', '4', '5', '6'];
/** Headers that tell about the next: pax, GNU's long name and long link. */
const EXTENSIONS: readonly string[] = ['x', 'L', 'K'];

function extension(type: string, store: ByteStore, from: number, to: number, known: Overrides): Overrides {
  if (to - from > MOST_NAME)
    throw new Unsupported(WHAT, 'has a name of more than a megabyte', { offset: from });
  const bytes = store.slice(from, to);
  if (type === 'L') return { ...known, path: textOf(bytes, 0, bytes.length) };
  if (type === 'K') return { ...known, linkpath: textOf(bytes, 0, bytes.length) };
  return { ...known, ...paxRecords(bytes, from) };
}

/** `LENGTH KEY=VALUE\n`, the length being that of the whole record. */
function paxRecords(bytes: Uint8Array, offset: number): Overrides {
  const found: Record<string, string> = {};
  const to = bytes.length;
  for (let at = 0; at < to; ) {
    const length = /^\d{1,7}(?= )/.exec(textOf(bytes, at, Math.min(at + 8, to)))?.[0];
    const end = at + Number(length);
    if (length === undefined || end > to || end <= at + length.length)
      throw new Invalid('tar pax record', 'has a length that cannot be', { offset: offset + at });
    const record = textOf(bytes, at + length.length + 1, end - 1);
    const equals = record.indexOf('=');
    if (equals > 0) found[record.slice(0, equals)] = record.slice(equals + 1);
    at = end;
  }
  const { path, linkpath, size, mtime, uid, gid } = found;
  return {
    ...(path !== undefined && { path }),
    ...(linkpath !== undefined && { linkpath }),
    ...(size !== undefined && { size }),
    ...(mtime !== undefined && { mtime }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
  };
}

function entryAt(
  header: Uint8Array,
  bytes: () => Uint8Array,
  type: string,
  size: number,
  overrides: Overrides,
  files: ReadonlyMap<string, ArchiveEntry>,
): ArchiveEntry {
  const field = ([start, length]: readonly [number, number]) => textOf(header, start, start + length);
  const prefix = textOf(header, MAGIC, MAGIC + 6) === 'ustar' && header[MAGIC + 5] === 0 ? field(PREFIX) : '';
  const named = overrides.path ?? (prefix === '' ? field(NAME) : `${prefix}/${field(NAME)}`);
  const path = plainPath(named);
  const target = overrides.linkpath ?? field(LINK);
  const modified = Number(overrides.mtime ?? number(header, TIME[0], TIME[1])) || 0;
  const linked = type === '1' ? files.get(plainPath(target)) : undefined;
  if (linked !== undefined) return { ...linked, path, modified };
  const kind = kindOf(type, named);
  const whose = (known: string | undefined, [start, length]: readonly [number, number]) =>
    Number(known ?? number(header, start, length)) || 0;
  return {
    path,
    kind,
    size: kind === 'file' ? size : 0,
    modified,
    mode: whose(undefined, MODE) & 0o7777,
    uid: whose(overrides.uid, UID),
    gid: whose(overrides.gid, GID),
    target: kind === 'link' ? target : undefined,
    bytes: kind === 'file' ? bytes : () => NO_BYTES,
  };
}

function kindOf(type: string, name: string): EntryKind {
  if (type === '2') return 'link';
  if (type === '5') return 'folder';
  // An old header has no type for a folder, but a slash behind its name.
  if (type === '0' || type === '\0' || type === '7') return name.endsWith('/') ? 'folder' : 'file';
  return 'other';
}
