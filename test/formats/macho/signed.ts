/** A signature made here, by the published layout: a CodeDirectory of version 0x20200 with the hashes of pages and Info.plist. */
import { createHash } from 'node:crypto';
import { LC } from '../../../src/formats/macho/layout.ts';
import { readMachO } from '../../../src/formats/macho/read.ts';

export const PAGE = 4096;
const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

/** LC_VERSION_MIN_MACOSX has the size of the command that a signature needs, and takes its place. */
export function signed(code: Uint8Array, info: Uint8Array): Uint8Array {
  const command = readMachO(code).command(LC.VERSION_MIN_MACOSX);
  if (command === undefined) throw new Error('the fixture has no LC_VERSION_MIN_MACOSX');
  const pages = Math.ceil(code.length / PAGE);
  const head = 52;
  const name = Buffer.from('org.lkm.Hello\0TEAM\0');
  const hashes = head + name.length + 64;
  const directory = Buffer.alloc(hashes + pages * 32);
  const words = [0xfade0c02, directory.length, 0x20200, 2, hashes, head, 2, pages, code.length];
  for (const [i, word] of words.entries()) directory.writeUInt32BE(word, i * 4);
  directory.set([32, 2, 0, 12], 36);
  directory.writeUInt32BE(head + 14, 48);
  name.copy(directory, head);
  sha256(info).copy(directory, hashes - 32);
  const blob = Buffer.alloc(20);
  for (const [i, word] of [0xfade0cc0, 20 + directory.length, 1, 0, 20].entries())
    blob.writeUInt32BE(word, i * 4);
  const out = Buffer.concat([code, blob, directory]);
  for (const [i, word] of [LC.CODE_SIGNATURE, 16, code.length, blob.length + directory.length].entries()) {
    out.writeUInt32LE(word, command.offset + i * 4);
  }
  for (let i = 0; i < pages; i++) {
    const page = out.subarray(i * PAGE, Math.min(code.length, (i + 1) * PAGE));
    sha256(page).copy(out, code.length + blob.length + hashes + i * 32);
  }
  return new Uint8Array(out);
}
