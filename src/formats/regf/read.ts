/** Bytes of a hive -> keys and values. Transaction logs are not applied: a hive that was not written out says so. */
import { BadMagic, Invalid } from '../../bytes/errors.ts';
import { ByteView } from '../../bytes/view.ts';
import {
  BASE,
  BASE_BYTES,
  CELL,
  KEY,
  KEY_NAME_LATIN,
  MAGIC,
  NOWHERE,
  RESIDENT,
  SEGMENT,
  VALUE,
  VALUE_NAME_LATIN,
} from './layout.ts';

export interface HiveValue {
  readonly name: string;
  readonly type: number;
  readonly data: Uint8Array;
}

export interface HiveKey {
  readonly name: string;
  /** 100 ns since 1601. */
  readonly written: bigint;
  readonly values: readonly HiveValue[];
  readonly keys: readonly HiveKey[];
}

export interface Hive {
  readonly version: string;
  /** The last write was not finished: what is missing is in the logs beside the file. */
  readonly dirty: boolean;
  readonly checksumHolds: boolean;
  /** Path of the file as the system knew it, or the end of it. */
  readonly fileName: string;
  readonly root: HiveKey;
}

/** More than any registry has: hostile files must not buy memory. */
const MAX_KEYS = 1 << 20;
const MAX_DEPTH = 512;
const MAX_DATA = 1 << 24;
const MAX_LIST_DEPTH = 4;

export const isHive = (bytes: Uint8Array): boolean =>
  bytes.length >= 4 && new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) === MAGIC;

/** @throws BadMagic, Truncated, Invalid */
export function readHive(bytes: Uint8Array): Hive {
  if (!isHive(bytes)) throw new BadMagic('hive', "does not begin with 'regf'", { offset: 0 });
  const view = new ByteView(bytes, true);
  view.slice(0, BASE_BYTES, 'base block');
  const [major, minor] = [view.u32(BASE.MAJOR), view.u32(BASE.MINOR)];
  if (major !== 1) throw new Invalid('hive', `has version ${major}.${minor}`);
  return {
    version: `${major}.${minor}`,
    dirty: view.u32(BASE.PRIMARY) !== view.u32(BASE.SECONDARY),
    checksumHolds: checksum(view) === view.u32(BASE.CHECKSUM),
    fileName: utf16(view.slice(BASE.FILE_NAME, 64, 'file name')).replace(/\0.*$/s, ''),
    root: new Reader(bytes).key(view.u32(BASE.ROOT), 0),
  };
}

/** Exclusive or of the words before it; 0 and -1 are kept apart. */
function checksum(view: ByteView): number {
  let sum = 0;
  for (let at = 0; at < BASE.CHECKSUM; at += 4) sum = (sum ^ view.u32(at)) >>> 0;
  if (sum === 0xffffffff) return 0xfffffffe;
  return sum === 0 ? 1 : sum;
}

function utf16(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i + 1 < bytes.length; i += 2) text += String.fromCharCode(bytes[i] | (bytes[i + 1] << 8));
  return text;
}

function latin(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

class Reader {
  private readonly bytes: Uint8Array;
  private readonly view: ByteView;
  private keys = 0;
  /** Offsets on the way down: a hive whose keys go in circles has no end. */
  private readonly above = new Set<number>();

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new ByteView(bytes, true);
  }

  /** The bytes of a cell without its size. */
  private cell(offset: number, what: string): ByteView {
    const at = BASE_BYTES + offset;
    if (offset === NOWHERE || at + 4 > this.bytes.length)
      throw new Invalid('hive', `${what} at 0x${offset.toString(16)} lies outside of the file`);
    // Cells in use have a negative size.
    const size = Math.abs(this.view.u32(at) | 0);
    if (size < 4) throw new Invalid('hive', `${what} at 0x${offset.toString(16)} has ${size} bytes`);
    return new ByteView(this.view.slice(at + 4, size - 4, what), true);
  }

  key(offset: number, depth: number): HiveKey {
    if (++this.keys > MAX_KEYS) throw new Invalid('hive', `has more than ${MAX_KEYS} keys`);
    if (depth > MAX_DEPTH) throw new Invalid('hive', `keys are nested deeper than ${MAX_DEPTH}`);
    if (this.above.has(offset))
      throw new Invalid('hive', `the key at 0x${offset.toString(16)} is below itself`);
    const cell = this.cell(offset, 'key');
    if (cell.u16(0) !== CELL.NK) throw new Invalid('hive', `what is at 0x${offset.toString(16)} is no key`);
    const raw = cell.slice(KEY.NAME, cell.u16(KEY.NAME_BYTES), 'key name');
    const name = (cell.u16(KEY.FLAGS) & KEY_NAME_LATIN) !== 0 ? latin(raw) : utf16(raw);
    this.above.add(offset);
    const count = cell.u32(KEY.SUBKEYS);
    const keys =
      count === 0 ? [] : this.subkeys(cell.u32(KEY.SUBKEY_LIST), 0).map((at) => this.key(at, depth + 1));
    this.above.delete(offset);
    return {
      name,
      written: (BigInt(cell.u32(KEY.WRITTEN + 4)) << 32n) | BigInt(cell.u32(KEY.WRITTEN)),
      values: this.values(cell.u32(KEY.VALUES), cell.u32(KEY.VALUE_LIST)),
      keys,
    };
  }

  private subkeys(offset: number, depth: number): number[] {
    if (depth > MAX_LIST_DEPTH) throw new Invalid('hive', 'lists of keys are nested too deep');
    const cell = this.cell(offset, 'list of keys');
    const [kind, count] = [cell.u16(0), cell.u16(2)];
    const step = kind === CELL.LF || kind === CELL.LH ? 8 : 4;
    if (kind !== CELL.LF && kind !== CELL.LH && kind !== CELL.LI && kind !== CELL.RI)
      throw new Invalid('hive', `what is at 0x${offset.toString(16)} is no list of keys`);
    const offsets = Array.from({ length: count }, (_, i) => cell.u32(4 + i * step));
    return kind === CELL.RI ? offsets.flatMap((at) => this.subkeys(at, depth + 1)) : offsets;
  }

  private values(count: number, list: number): HiveValue[] {
    if (count === 0) return [];
    const cell = this.cell(list, 'list of values');
    if (count * 4 > cell.length)
      throw new Invalid('hive', `a key claims ${count} values, its list has ${cell.length} bytes`);
    return Array.from({ length: count }, (_, i) => this.value(cell.u32(i * 4)));
  }

  private value(offset: number): HiveValue {
    const cell = this.cell(offset, 'value');
    if (cell.u16(0) !== CELL.VK) throw new Invalid('hive', `what is at 0x${offset.toString(16)} is no value`);
    const raw = cell.slice(VALUE.NAME, cell.u16(VALUE.NAME_BYTES), 'value name');
    const name = (cell.u16(VALUE.FLAGS) & VALUE_NAME_LATIN) !== 0 ? latin(raw) : utf16(raw);
    return { name, type: cell.u32(VALUE.TYPE), data: this.data(cell) };
  }

  private data(cell: ByteView): Uint8Array {
    const stated = cell.u32(VALUE.DATA_BYTES);
    const bytes = stated % RESIDENT;
    if (stated >= RESIDENT) return cell.slice(VALUE.DATA, Math.min(4, bytes), 'data').slice();
    if (bytes === 0) return new Uint8Array(0);
    if (bytes > MAX_DATA) throw new Invalid('hive', `a value has ${bytes} bytes`);
    const at = this.cell(cell.u32(VALUE.DATA), 'data');
    if (bytes <= SEGMENT || at.length >= bytes || at.u16(0) !== CELL.DB)
      return at.slice(0, bytes, 'data').slice();
    const list = this.cell(at.u32(4), 'list of segments');
    const out = new Uint8Array(bytes);
    for (let i = 0, done = 0; done < bytes; i++, done += SEGMENT) {
      if (i >= at.u16(2)) throw new Invalid('hive', 'data end before their length');
      const part = Math.min(SEGMENT, bytes - done);
      out.set(this.cell(list.u32(i * 4), 'segment').slice(0, part, 'segment'), done);
    }
    return out;
  }
}
