/**
 * Partition tables as the kernel reads them: DOS with extended partitions, and GPT behind a protective DOS table
 * (block/partitions/msdos.c, efi.c). Sectors of 512 bytes come from `read`; what a table says is given in them.
 */
import { crc32 } from '../../../bytes/checksum.ts';
import { ByteView } from '../../../bytes/view.ts';
import type { Steps } from '../../../kernel/steps.ts';

export interface FoundPartition {
  readonly number: number;
  /** In sectors of 512 bytes. */
  readonly start: number;
  readonly sectors: number;
  readonly uuid: string;
  readonly label: string;
}

export interface DiskToScan {
  /** One sector of 512 bytes; undefined when it cannot be read, which ends the search. */
  readonly read: (sector: number) => Steps<Uint8Array | undefined>;
  readonly sectors: number;
  /** Sectors of 512 bytes in a block of the disk's own. */
  readonly unit: number;
  readonly warn: (text: string) => void;
  /** Partitions that the disk may have, with the disk itself. */
  readonly most: number;
}

export interface Table {
  readonly partitions: readonly FoundPartition[];
  /** What is logged behind the disk's name, in which PN stands for the name of partition N. */
  readonly text: string;
}

const SECTOR = 512;
const SIGNATURE = 0xaa55;
const ENTRIES = 0x1be;
const EXTENDED = new Set([0x05, 0x0f, 0x85]);
const PROTECTIVE = 0xee;
/** Types of which the kernel says more. */
const MARKS: Readonly<Record<number, string>> = { 84: '[DM]', 85: '[EZD]' };
/** A chain of empty extended partitions is followed so far. */
const MOST_LINKS = 100;

interface Entry {
  readonly active: number;
  readonly type: number;
  readonly start: number;
  readonly sectors: number;
}

function entriesOf(sector: Uint8Array): Entry[] {
  const view = new ByteView(sector, true);
  return [0, 1, 2, 3].map((slot) => {
    const at = ENTRIES + slot * 16;
    return {
      active: view.u8(at),
      type: view.u8(at + 4),
      start: view.u32(at + 8),
      sectors: view.u32(at + 12),
    };
  });
}

const isSigned = (sector: Uint8Array): boolean => sector[510] + sector[511] * 256 === SIGNATURE;

/** The table of a disk; undefined when there is none that is known here. */
export function* findTable(disk: DiskToScan): Steps<Table | undefined> {
  const first = yield* disk.read(0);
  if (first === undefined || !isSigned(first)) return undefined;
  if (entriesOf(first).some(({ type, start }) => type === PROTECTIVE && start === 1)) {
    const table = yield* readGpt(disk);
    if (table !== undefined) return table;
  }
  return yield* readDos(disk, first);
}

// -- DOS ------------------------------------------------------------------------------------------------------

/** A filesystem of DOS on the whole disk is signed like a table: reserved sectors, copies of the FAT, kind of medium. */
const isFat = (sector: Uint8Array): boolean =>
  sector[14] + sector[15] * 256 !== 0 && sector[16] !== 0 && (sector[21] >= 0xf8 || sector[21] === 0xf0);

function* readDos(disk: DiskToScan, first: Uint8Array): Steps<Table | undefined> {
  const entries = entriesOf(first);
  const odd = entries.findIndex(({ active }) => active !== 0 && active !== 0x80);
  if (odd >= 0) return odd === 0 && isFat(first) ? { partitions: [], text: '' } : undefined;
  if (entries.some(({ type }) => type === PROTECTIVE)) return undefined;
  const signature = new ByteView(first, true).u32(0x1b8);
  const found: FoundPartition[] = [];
  let text = '';
  for (const [slot, { type, start, sectors }] of entries.entries()) {
    if (sectors === 0) continue;
    const at = start * disk.unit;
    const size = sectors * disk.unit;
    text += ` P${slot + 1}`;
    if (!EXTENDED.has(type)) {
      found.push(dosPartition(slot + 1, at, size, signature));
      text += MARKS[type] ?? '';
      continue;
    }
    // Room for a boot loader, and not for a filesystem.
    const room = Math.min(size, Math.max(disk.unit, 2));
    found.push({ number: slot + 1, start: at, sectors: room, uuid: '', label: '' });
    text += ' <';
    text += yield* readExtended(disk, at, size, signature, found);
    text += ' >';
  }
  return { partitions: found, text };
}

const dosPartition = (number: number, start: number, sectors: number, signature: number): FoundPartition => ({
  number,
  start,
  sectors,
  uuid: `${signature.toString(16).padStart(8, '0')}-${number.toString(16).padStart(2, '0')}`,
  label: '',
});

/** parse_extended: a chain of tables, each with a partition and the way to the next. */
function* readExtended(
  disk: DiskToScan,
  first: number,
  size: number,
  signature: number,
  found: FoundPartition[],
): Steps<string> {
  let text = '';
  let here = first;
  let hereSize = size;
  let next = Math.max(4, ...found.map(({ number }) => number)) + 1;
  for (let links = 1; links <= MOST_LINKS && next < disk.most; links++) {
    const sector = yield* disk.read(here);
    if (sector === undefined || !isSigned(sector)) break;
    const entries = entriesOf(sector);
    for (const [slot, { type, start, sectors }] of entries.entries()) {
      if (sectors === 0 || EXTENDED.has(type)) continue;
      const at = here + start * disk.unit;
      const length = sectors * disk.unit;
      // The last two entries are often rubbish.
      const beyond = start * disk.unit + length > hereSize || at < first || at + length > first + size;
      if (slot >= 2 && beyond) continue;
      found.push(dosPartition(next, at, length, signature));
      text += ` P${next}${MARKS[type] ?? ''}`;
      links = 0;
      if (++next >= disk.most) return text;
    }
    const further = entries.find(({ type, sectors }) => sectors !== 0 && EXTENDED.has(type));
    if (further === undefined) break;
    here = first + further.start * disk.unit;
    hereSize = further.sectors * disk.unit;
  }
  return text;
}

// -- GPT ------------------------------------------------------------------------------------------------------

const GPT_MAGIC = 'EFI PART';
const HEADER_BYTES = 92;
const ENTRY_BYTES = 128;
/** KMALLOC_MAX_SIZE: a table that takes more is not read. */
const MOST_BYTES = 4 << 20;

interface GptHeader {
  readonly my: number;
  readonly alternate: number;
  readonly firstUsable: number;
  readonly lastUsable: number;
  readonly disk: string;
  readonly count: number;
  readonly entryBytes: number;
  readonly sum: number;
  readonly entries: Uint8Array;
}

const hex = (value: number): string => `0x${value.toString(16)}`;

function* readGpt(disk: DiskToScan): Steps<Table | undefined> {
  const last = Math.floor(disk.sectors / disk.unit) - 1;
  const primary = yield* readHeader(disk, 1, last);
  if (primary === undefined) return undefined;
  const alternate = yield* readHeader(disk, primary.alternate, last);
  if (alternate === undefined) disk.warn('Alternate GPT is invalid, using primary GPT.');
  else compare(disk, primary, alternate, last);
  const partitions: FoundPartition[] = [];
  for (let i = 0; i < primary.count && i < disk.most - 1; i++) {
    const entry = primary.entries.subarray(i * ENTRY_BYTES, (i + 1) * ENTRY_BYTES);
    const view = new ByteView(entry, true);
    const [from, to] = [Number(view.u64(32)), Number(view.u64(40))];
    if (entry.subarray(0, 16).every((byte) => byte === 0) || from > last || to > last) continue;
    partitions.push({
      number: i + 1,
      start: from * disk.unit,
      sectors: (to - from + 1) * disk.unit,
      uuid: guidText(entry.subarray(16, 32)),
      label: labelOf(entry.subarray(56)),
    });
  }
  return { partitions, text: partitions.map(({ number }) => ` P${number}`).join('') };
}

/** is_gpt_valid: everything about a header that can be checked is. */
function* readHeader(disk: DiskToScan, block: number, last: number): Steps<GptHeader | undefined> {
  if (block <= 0 || block > last) return undefined;
  const header = yield* readBytes(disk, block, SECTOR * disk.unit);
  if (header === undefined || new TextDecoder().decode(header.subarray(0, 8)) !== GPT_MAGIC) return undefined;
  const view = new ByteView(header, true);
  const bytes = view.u32(12);
  if (bytes > header.length || bytes < HEADER_BYTES) return undefined;
  const plain = header.slice(0, bytes);
  plain.fill(0, 16, 20);
  if (crc32(plain) !== view.u32(16)) return undefined;
  const [my, alternate, firstUsable, lastUsable] = [24, 32, 40, 48].map((at) => Number(view.u64(at)));
  if (my !== block || firstUsable > last || lastUsable > last || lastUsable < firstUsable) return undefined;
  const [count, entryBytes, sum] = [80, 84, 88].map((at) => view.u32(at));
  if (entryBytes !== ENTRY_BYTES || count === 0 || count * entryBytes > MOST_BYTES) return undefined;
  const entries = yield* readBytes(disk, Number(view.u64(72)), count * entryBytes);
  if (entries === undefined || crc32(entries) !== sum) return undefined;
  const guid = guidText(header.subarray(56, 72));
  return { my, alternate, firstUsable, lastUsable, disk: guid, count, entryBytes, sum, entries };
}

function* readBytes(disk: DiskToScan, block: number, length: number): Steps<Uint8Array | undefined> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += SECTOR) {
    const number = block * disk.unit + at / SECTOR;
    const sector = number < disk.sectors ? yield* disk.read(number) : undefined;
    if (sector === undefined) return undefined;
    bytes.set(sector.subarray(0, length - at), at);
  }
  return bytes;
}

/** compare_gpts: what is told of two headers that do not agree. */
function compare(disk: DiskToScan, primary: GptHeader, alternate: GptHeader, last: number): void {
  let wrong = false;
  const differ = (a: number, b: number, ...lines: string[]) => {
    if (a === b) return;
    wrong = true;
    for (const line of lines) disk.warn(line);
  };
  const values = (a: number, b: number) => `GPT:${a} != ${b}`;
  const fields = (name: string, a: number, b: number) =>
    differ(a, b, `GPT:${name} don't match: ${hex(a)} != ${hex(b)}`);
  const [p, a] = [primary, alternate];
  differ(p.my, a.alternate, 'GPT:Primary header LBA != Alt. header alternate_lba', values(p.my, a.alternate));
  differ(
    p.alternate,
    a.my,
    'GPT:Primary header alternate_lba != Alt. header my_lba',
    values(p.alternate, a.my),
  );
  differ(
    p.firstUsable,
    a.firstUsable,
    "GPT:first_usable_lbas don't match.",
    values(p.firstUsable, a.firstUsable),
  );
  differ(p.lastUsable, a.lastUsable, "GPT:last_usable_lbas don't match.", values(p.lastUsable, a.lastUsable));
  differ(Number(p.disk !== a.disk), 0, "GPT:disk_guids don't match.");
  fields('num_partition_entries', p.count, a.count);
  fields('sizeof_partition_entry values', p.entryBytes, a.entryBytes);
  fields('partition_entry_array_crc32 values', p.sum, a.sum);
  const atEnd = 'GPT:Primary header thinks Alt. header is not at the end of the disk.';
  differ(p.alternate, last, atEnd, values(p.alternate, last));
  differ(a.my, last, 'GPT:Alternate GPT header not at the end of the disk.', values(a.my, last));
  if (wrong) disk.warn('GPT: Use GNU Parted to correct GPT errors.');
}

/** A GUID as EFI writes it: the first three parts with their low byte first. */
function guidText(bytes: Uint8Array): string {
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
  const digits = order.map((i) => bytes[i].toString(16).padStart(2, '0')).join('');
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** 36 characters of UTF-16; what is no printable ASCII is told as an exclamation mark. */
function labelOf(bytes: Uint8Array): string {
  let label = '';
  for (let at = 0; at < 72 && bytes[at] !== 0; at += 2)
    label += bytes[at] > 31 && bytes[at] < 127 ? String.fromCharCode(bytes[at]) : '!';
  return label;
}
