/** Version information: the resource of type 16, and the tree of blocks in it ("VS_VERSIONINFO"). */
import { Invalid } from '../../bytes/errors.ts';
import { ByteView } from '../../bytes/view.ts';
import { DIRECTORY, RESOURCE_VERSION } from './layout.ts';
import type { PeFile } from './read.ts';

export interface PeVersion {
  readonly fileVersion: string;
  readonly productVersion: string;
  /** CompanyName, FileDescription, LegalCopyright... of the first language. */
  readonly strings: ReadonlyMap<string, string>;
}

const MAX_ENTRIES = 4096;
const FIXED_MAGIC = 0xfeef04bd;

/** Undefined when the file has none. @throws Invalid, Truncated */
export function readVersion(pe: PeFile): PeVersion | undefined {
  const { address, size } = pe.directory(DIRECTORY.RESOURCE);
  if (address === 0 || size === 0) return undefined;
  const data = findVersion(pe, address);
  return data === undefined ? undefined : parseVersion(data);
}

/** Type, name and language are the three levels; the first of each below type 16 is taken. */
function findVersion(pe: PeFile, base: number): Uint8Array | undefined {
  let at = base;
  for (let level = 0; level < 3; level++) {
    const entry = directoryEntry(pe, at, level === 0 ? RESOURCE_VERSION : undefined);
    if (entry === undefined) return undefined;
    at = base + (entry & 0x7fffffff);
    if ((entry & 0x80000000) === 0) break;
    if (level === 2) throw new Invalid('resource tree', 'has more than three levels', { value: at });
  }
  const leaf = pe.viewAt(at, 16, 'resource data entry');
  return pe.at(leaf.u32(0), leaf.u32(4), 'version resource');
}

function directoryEntry(pe: PeFile, at: number, id: number | undefined): number | undefined {
  const head = pe.viewAt(at, 16, 'resource directory');
  const count = head.u16(12) + head.u16(14);
  if (count > MAX_ENTRIES) throw new Invalid('resource directory', 'has too many entries', { value: count });
  for (let i = 0; i < count; i++) {
    const entry = pe.viewAt(at + 16 + i * 8, 8, 'resource directory entry');
    if (id === undefined || entry.u32(0) === id) return entry.u32(4);
  }
  return undefined;
}

interface Block {
  readonly key: string;
  /** Words when text, bytes otherwise. */
  readonly value: Uint8Array;
  readonly children: Uint8Array;
  readonly bytes: number;
}

function readBlock(bytes: Uint8Array): Block | undefined {
  if (bytes.length < 8) return undefined;
  const view = new ByteView(bytes, true);
  const length = Math.min(view.u16(0), bytes.length);
  if (length < 8) return undefined;
  const text = view.u16(4) === 1;
  let at = 6;
  let key = '';
  for (; at + 2 <= length && view.u16(at) !== 0; at += 2) key += String.fromCharCode(view.u16(at));
  at = Math.min(length, align4(at + 2));
  const valueBytes = Math.min(view.u16(2) * (text ? 2 : 1), length - at);
  const value = bytes.subarray(at, at + valueBytes);
  const children = bytes.subarray(Math.min(length, align4(at + valueBytes)), length);
  return { key, value, children, bytes: length };
}

function* blocks(bytes: Uint8Array): Generator<Block> {
  for (let at = 0; at < bytes.length; ) {
    const block = readBlock(bytes.subarray(at));
    if (block === undefined) return;
    yield block;
    at += align4(block.bytes);
  }
}

function parseVersion(bytes: Uint8Array): PeVersion | undefined {
  const root = readBlock(bytes);
  if (root === undefined) return undefined;
  const strings = new Map<string, string>();
  for (const child of blocks(root.children)) {
    if (child.key !== 'StringFileInfo') continue;
    for (const table of blocks(child.children)) {
      for (const entry of blocks(table.children)) {
        if (!strings.has(entry.key)) strings.set(entry.key, utf16(entry.value));
      }
    }
  }
  const fixed = new ByteView(root.value, true);
  const known = root.value.length >= 24 && fixed.u32(0) === FIXED_MAGIC;
  const version = (at: number) =>
    known ? [fixed.u16(at + 2), fixed.u16(at), fixed.u16(at + 6), fixed.u16(at + 4)].join('.') : '';
  return { fileVersion: version(8), productVersion: version(16), strings };
}

function utf16(bytes: Uint8Array): string {
  let out = '';
  for (let at = 0; at + 1 < bytes.length; at += 2) {
    const unit = bytes[at] | (bytes[at + 1] << 8);
    if (unit === 0) break;
    out += String.fromCharCode(unit);
  }
  return out;
}

const align4 = (value: number): number => (value + 3) & ~3;
