/** A signature made here, by the published layout, over a kext of ours: hashes that hold, and those that no longer do. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../src/bytes/errors.ts';
import { readCodeSignature } from '../../../src/formats/macho/codesign/read.ts';
import { checkHashes } from '../../../src/formats/macho/codesign/verify.ts';
import { LC } from '../../../src/formats/macho/layout.ts';
import { readMachO } from '../../../src/formats/macho/read.ts';
import { executable, infoPlist } from '../../systems/macos/fixtures.ts';

const PAGE = 4096;
const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

/** LC_VERSION_MIN_MACOSX has the size of the command that a signature needs, and takes its place. */
function sign(code: Uint8Array, info: Uint8Array): Uint8Array {
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

const code = executable('Hello');
const info = infoPlist('Hello');
const signed = sign(code, info);

function check(bytes: Uint8Array, plist = info) {
  const signature = readCodeSignature(readMachO(bytes));
  return signature === undefined ? undefined : checkHashes(signature, bytes, { infoPlist: plist });
}

describe('code signatures', () => {
  test('a file without one has none', () => expect(check(code)).toBeUndefined());

  test('identifier, team and hashes of what was signed', () => {
    const [directory] = readCodeSignature(readMachO(signed))?.directories ?? [];
    expect(directory).toMatchObject({
      identifier: 'org.lkm.Hello',
      team: 'TEAM',
      hashType: 2,
      codeLimit: code.length,
    });
    expect(check(signed)).toEqual([]);
  });

  test('one bit of any page, or of the property list, is seen', () => {
    for (let at = 700; at < code.length; at += 1999) {
      const bytes = signed.slice();
      bytes[at] ^= 1;
      expect(check(bytes)).toEqual([
        { what: `page ${Math.floor(at / PAGE)} (sha256)`, offset: Math.floor(at / PAGE) * PAGE },
      ]);
    }
    expect(check(signed, info.slice(0, -1))).toEqual([{ what: 'Info.plist' }]);
  });

  test('changed anywhere in the signature, it is read or refused with a typed error', () => {
    let seed = 99;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    for (let i = 0; i < 3000; i++) {
      const bytes = signed.slice(
        0,
        random(4) === 0 ? signed.length - random(signed.length - code.length) : undefined,
      );
      for (let n = 1 + random(3); n > 0; n--) bytes[code.length + random(90)] = random(256);
      try {
        check(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
      }
    }
  });
});
