import { describe, expect, it } from 'vitest';
import { readPe } from '../../../src/formats/pe/read.ts';
import { readCertificates } from '../../../src/formats/pki/pem.ts';
import { examineSignature } from '../../../src/systems/windows/signature/authenticode.ts';
import { readCatalog } from '../../../src/systems/windows/signature/catalog.ts';
import { fixture, console as start } from './fixtures.ts';

const roots = (name: string) => readCertificates(fixture(name)).map(({ der }) => der);
const examine = (name: string, trusted: readonly Uint8Array[] = [], catalogs: readonly string[] = []) =>
  examineSignature(
    readPe(fixture(name)),
    trusted,
    catalogs.map((one) => readCatalog(fixture(one))),
  );

describe('signatures of drivers', () => {
  it('hold for the file and for each of its pages', () => {
    const facts = examine('signed.sys', roots('test-root.pem'));
    expect(facts).toMatchObject({ state: 'valid', trusted: true });
    expect(facts.signatures[0]).toMatchObject({ place: 'embedded', algorithm: 'sha256', pageHashes: 'hold' });
  });

  it('by elliptic curves, nested, and stamped by an authority', () => {
    const facts = examine('signed-ec.sys', roots('test-ec-root.pem'));
    expect(facts).toMatchObject({ state: 'valid', trusted: true });
    expect(facts.signatures.map(({ place, state, algorithm }) => [place, state, algorithm])).toEqual([
      ['embedded', 'valid', 'sha1'],
      ['nested', 'valid', 'sha256'],
    ]);
    const [, nested] = facts.signatures;
    expect(nested.timeStamp).toMatchObject({ kind: 'RFC 3161', holds: true, inTime: true });
    expect(new Date(nested.timeStamp?.time ?? 0).toISOString()).toBe('2023-11-14T22:13:20.000Z');
  });

  it('do not hold when a page, the pages list or the stamp is of another file', () => {
    const bytes = fixture('signed-ec.sys').slice();
    const pe = readPe(bytes);
    bytes[pe.sections[0].rawOffset + 3] ^= 1;
    const facts = examineSignature(readPe(bytes), roots('test-ec-root.pem'));
    expect(facts).toMatchObject({ state: 'bad hash', trusted: false });
  });

  it('of a catalog count for the files it lists', async () => {
    expect(examine('hello.sys', [], []).state).toBe('none');
    const facts = examine('hello.sys', roots('test-root.pem'), ['hello.cat']);
    expect(facts).toMatchObject({ state: 'valid', trusted: true });
    expect(facts.detail).toContain('in a catalog signed by lkm test driver certificate');
    expect(examine('ioctls.sys', roots('test-root.pem'), ['hello.cat']).state).toBe('none');
    const { type } = await start({ integrity: 'on', roots: 'test-root.pem', catalogs: 'hello.cat' });
    type('sc create hello type= kernel binPath= hello.sys');
    expect(type('sc start hello')).toContain('RUNNING');
    type('sc create ioctls type= kernel binPath= ioctls.sys');
    expect(type('sc start ioctls')).toContain('FAILED 577:');
  });
});
