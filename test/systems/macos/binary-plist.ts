/** Writes a binary property list (bplist00): one object for each value, offsets of three bytes. */
import { isDict, type PlistValue } from '../../../src/systems/macos/plist.ts';

const OFFSET_BYTES = 3;

export function binaryPlist(root: PlistValue): Uint8Array {
  const objects: Buffer[] = [];
  add(root, objects);
  const offsets: number[] = [];
  let at = 8;
  for (const object of objects) {
    offsets.push(at);
    at += object.length;
  }
  const table = Buffer.alloc(offsets.length * OFFSET_BYTES);
  for (const [i, offset] of offsets.entries()) table.writeUIntBE(offset, i * OFFSET_BYTES, OFFSET_BYTES);
  const trailer = Buffer.alloc(32);
  trailer.set([OFFSET_BYTES, 2], 6);
  trailer.writeBigUInt64BE(BigInt(objects.length), 8);
  trailer.writeBigUInt64BE(BigInt(at), 24);
  return new Uint8Array(Buffer.concat([Buffer.from('bplist00'), ...objects, table, trailer]));
}

/** The index of the object that the value became. */
function add(value: PlistValue, objects: Buffer[]): number {
  const index = objects.length;
  objects.push(Buffer.alloc(0));
  objects[index] = encode(value, objects);
  return index;
}

function encode(value: PlistValue, objects: Buffer[]): Buffer {
  if (typeof value === 'boolean') return Buffer.of(value ? 9 : 8);
  if (typeof value === 'string') return sized(0x60, value.length, Buffer.from(value, 'utf16le').swap16());
  if (value instanceof Uint8Array) return sized(0x40, value.length, Buffer.from(value));
  if (Array.isArray(value))
    return sized(0xa0, value.length, references(value.map((one) => add(one, objects))));
  if (isDict(value)) {
    const keys = Object.keys(value).map((key) => add(key, objects));
    const values = Object.values(value).map((one) => add(one, objects));
    return sized(0xd0, keys.length, references([...keys, ...values]));
  }
  const number = Buffer.alloc(9, 0x13);
  number.writeBigInt64BE(BigInt(Number(value)), 1);
  return number;
}

function references(indexes: readonly number[]): Buffer {
  const bytes = Buffer.alloc(indexes.length * 2);
  for (const [i, index] of indexes.entries()) bytes.writeUInt16BE(index, i * 2);
  return bytes;
}

function sized(kind: number, length: number, content: Buffer): Buffer {
  if (length < 15) return Buffer.concat([Buffer.of(kind | length), content]);
  return Buffer.concat([Buffer.of(kind | 15, 0x11, length >> 8, length & 255), content]);
}
