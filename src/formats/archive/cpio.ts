/** cpio: the "new" formats of an initramfs (Documentation/driver-api/early-userspace/buffer-format.rst) and POSIX's odc. */
import { BadMagic, Invalid, Truncated, Unsupported } from '../../bytes/errors.ts';
import { type ArchiveEntry, type EntryKind, MOST_ENTRIES, NO_BYTES, plainPath, textOf } from './entry.ts';

const END = 'TRAILER!!!';
const TYPE_MASK = 0o170000;
const KINDS: ReadonlyMap<number, EntryKind> = new Map([
  [0o100000, 'file'],
  [0o040000, 'folder'],
  [0o120000, 'link'],
]);
const MOST_NAME = 65536;

/** One header, in either format. */
interface Header {
  readonly inode: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  readonly modified: number;
  readonly size: number;
  /** With its NUL. */
  readonly nameSize: number;
  /** Bytes of the header. */
  readonly length: number;
  /** Names and data end at a multiple of this. */
  readonly align: number;
}

export function isCpio(bytes: Uint8Array, at = 0): boolean {
  return ['070701', '070702', '070707'].includes(textOf(bytes, at, at + 6));
}

/** Entries of one archive that begins at `start`, and where it ends. @throws BadMagic, Truncated, Invalid, Unsupported */
export function readCpio(bytes: Uint8Array, start = 0): { entries: ArchiveEntry[]; end: number } {
  const entries: ArchiveEntry[] = [];
  const linked = new Map<string, ArchiveEntry[]>();
  for (let at = start; ; ) {
    const header = headerAt(bytes, at);
    const { nameSize, length, align, size } = header;
    if (nameSize < 1 || nameSize > MOST_NAME)
      throw new Invalid('cpio header', 'has a name of a length that cannot be', {
        offset: at,
        value: nameSize,
      });
    const nameAt = at + length;
    const dataAt = aligned(nameAt + nameSize, align, start);
    if (dataAt + size > bytes.length)
      throw new Truncated('cpio', 'ends inside an entry', { offset: at, value: size });
    const name = textOf(bytes, nameAt, nameAt + nameSize - 1);
    const end = aligned(dataAt + size, align, start);
    if (name === END) return { entries: withLinks(entries, linked), end };
    const entry = entryOf(bytes, header, plainPath(name), dataAt);
    if (entry.kind === 'file' && header.links > 1) {
      const group = linked.get(header.inode);
      if (group === undefined) linked.set(header.inode, [entry]);
      else group.push(entry);
    }
    entries.push(entry);
    if (entries.length > MOST_ENTRIES) throw new Unsupported('cpio', `has more than ${MOST_ENTRIES} entries`);
    at = end;
  }
}

const aligned = (at: number, align: number, start: number): number =>
  start + Math.ceil((at - start) / align) * align;

function entryOf(
  bytes: Uint8Array,
  { mode, uid, gid, size, modified }: Header,
  path: string,
  at: number,
): ArchiveEntry {
  const kind = KINDS.get(mode & TYPE_MASK) ?? 'other';
  return {
    path,
    kind,
    size: kind === 'file' ? size : 0,
    modified,
    mode: mode & 0o7777,
    uid,
    gid,
    target: kind === 'link' ? textOf(bytes, at, at + size) : undefined,
    bytes: () => (kind === 'file' ? bytes.subarray(at, at + size) : NO_BYTES),
  };
}

/** Of files that are one, only the last carries the bytes. */
function withLinks(
  entries: readonly ArchiveEntry[],
  linked: ReadonlyMap<string, ArchiveEntry[]>,
): ArchiveEntry[] {
  const full = new Map<ArchiveEntry, ArchiveEntry>();
  for (const group of linked.values()) {
    const carrier = group.find(({ size }) => size > 0);
    if (carrier !== undefined) for (const entry of group) full.set(entry, carrier);
  }
  return entries.map((entry) => {
    const carrier = full.get(entry);
    return carrier === undefined ? entry : { ...entry, size: carrier.size, bytes: carrier.bytes };
  });
}

function headerAt(bytes: Uint8Array, at: number): Header {
  const magic = textOf(bytes, at, at + 6);
  const odc = magic === '070707';
  const length = odc ? 76 : 110;
  if (at + 6 > bytes.length) throw new Truncated('cpio', `ends without ${END}`, { offset: at });
  if (!odc && magic !== '070701' && magic !== '070702')
    throw new BadMagic('cpio header', 'must begin with 070701, 070702 or 070707', { offset: at });
  if (at + length > bytes.length) throw new Truncated('cpio header', 'is cut short', { offset: at });
  const field = (from: number, digits: number): number => {
    const text = textOf(bytes, at + from, at + from + digits);
    if (text.length !== digits || !(odc ? /^[0-7]+$/ : /^[0-9a-fA-F]+$/).test(text))
      throw new Invalid('cpio header', 'has a field that is no number', { offset: at + from, value: text });
    return Number.parseInt(text, odc ? 8 : 16);
  };
  if (odc)
    return {
      inode: `${field(6, 6)}:${field(12, 6)}`,
      mode: field(18, 6),
      uid: field(24, 6),
      gid: field(30, 6),
      links: field(36, 6),
      modified: field(48, 11),
      nameSize: field(59, 6),
      size: field(65, 11),
      length,
      align: 1,
    };
  return {
    inode: `${field(62, 8)}:${field(70, 8)}:${field(6, 8)}`,
    mode: field(14, 8),
    uid: field(22, 8),
    gid: field(30, 8),
    links: field(38, 8),
    modified: field(46, 8),
    size: field(54, 8),
    nameSize: field(94, 8),
    length,
    align: 4,
  };
}
