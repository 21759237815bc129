// Makes a kext for the 32-bit kernel of what clang compiles for i386: an object file as it is, without the load commands
// that kxld does not take of one, with a UUID of its contents.
import { createHash } from 'node:crypto';

const HEADER_BYTES = 28;
const LC = { SEGMENT: 1, SYMTAB: 2, UUID: 0x1b };

/** @param {Uint8Array} object an MH_OBJECT file of one source */
export function objectKext(object) {
  const bytes = Buffer.from(object);
  const commands = [];
  let at = HEADER_BYTES;
  for (let left = bytes.readUInt32LE(16); left > 0; left--) {
    const size = bytes.readUInt32LE(at + 4);
    const command = bytes.subarray(at, at + size);
    if ([LC.SEGMENT, LC.SYMTAB].includes(command.readUInt32LE(0))) commands.push(Buffer.from(command));
    at += size;
  }
  const uuid = Buffer.alloc(24);
  uuid.writeUInt32LE(LC.UUID, 0);
  uuid.writeUInt32LE(24, 4);
  createHash('md5').update(object).digest().copy(uuid, 8);
  commands.push(uuid);
  const all = Buffer.concat(commands);
  if (HEADER_BYTES + all.length > at) throw new Error('no room for the UUID');
  bytes.fill(0, HEADER_BYTES, at);
  all.copy(bytes, HEADER_BYTES);
  bytes.writeUInt32LE(commands.length, 16);
  bytes.writeUInt32LE(all.length, 20);
  return bytes;
}

const FAT_MAGIC = 0xcafebabe;
const PAGE = 4096;

/** A universal file of slices `{ cputype, cpusubtype, bytes }`. */
export function universal(slices) {
  const head = Buffer.alloc(8 + slices.length * 20);
  head.writeUInt32BE(FAT_MAGIC, 0);
  head.writeUInt32BE(slices.length, 4);
  const parts = [];
  let offset = PAGE;
  for (const [i, { cputype, cpusubtype, bytes }] of slices.entries()) {
    const words = [cputype, cpusubtype, offset, bytes.length, 12];
    for (const [n, word] of words.entries()) head.writeUInt32BE(word, 8 + i * 20 + n * 4);
    parts.push({ offset, bytes });
    offset = Math.ceil((offset + bytes.length) / PAGE) * PAGE;
  }
  const last = parts.at(-1);
  const file = Buffer.alloc(last === undefined ? head.length : last.offset + last.bytes.length);
  head.copy(file);
  for (const one of parts) Buffer.from(one.bytes).copy(file, one.offset);
  return file;
}
