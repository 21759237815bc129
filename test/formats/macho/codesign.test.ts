/** A signature made here, by the published layout, over a kext of ours: hashes that hold, and those that no longer do. */
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../src/bytes/errors.ts';
import { readCodeSignature } from '../../../src/formats/macho/codesign/read.ts';
import { checkHashes } from '../../../src/formats/macho/codesign/verify.ts';
import { readMachO } from '../../../src/formats/macho/read.ts';
import { executable, infoPlist } from '../../systems/macos/fixtures.ts';
import { PAGE, signed } from './signed.ts';

const code = executable('Hello');
const info = infoPlist('Hello');
const whole = signed(code, info);

function check(bytes: Uint8Array, plist = info) {
  const signature = readCodeSignature(readMachO(bytes));
  return signature === undefined ? undefined : checkHashes(signature, bytes, { infoPlist: plist });
}

describe('code signatures', () => {
  test('a file without one has none', () => expect(check(code)).toBeUndefined());

  test('identifier, team and hashes of what was whole', () => {
    const [directory] = readCodeSignature(readMachO(whole))?.directories ?? [];
    expect(directory).toMatchObject({
      identifier: 'org.lkm.Hello',
      team: 'TEAM',
      hashType: 2,
      codeLimit: code.length,
    });
    expect(check(whole)).toEqual([]);
  });

  test('one bit of any page, or of the property list, is seen', () => {
    for (let at = 700; at < code.length; at += 1999) {
      const bytes = whole.slice();
      bytes[at] ^= 1;
      expect(check(bytes)).toEqual([
        { what: `page ${Math.floor(at / PAGE)} (sha256)`, offset: Math.floor(at / PAGE) * PAGE },
      ]);
    }
    expect(check(whole, info.slice(0, -1))).toEqual([{ what: 'Info.plist' }]);
  });

  test('changed anywhere in the signature, it is read or refused with a typed error', () => {
    let seed = 99;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    for (let i = 0; i < 3000; i++) {
      const bytes = whole.slice(
        0,
        random(4) === 0 ? whole.length - random(whole.length - code.length) : undefined,
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
