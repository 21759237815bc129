import { describe, expect, it } from 'vitest';
import { DIRECTORY, SECTION } from '../../../src/formats/pe/layout.ts';
import { type PeFile, readPe } from '../../../src/formats/pe/read.ts';
import { readCertificates } from '../../../src/formats/pki/pem.ts';
import { releaseNamed } from '../../../src/systems/windows/release.ts';
import { signingRules } from '../../../src/systems/windows/rules/signing.ts';
import type { ImagePolicy, SignatureFacts } from '../../../src/systems/windows/rules/verdict.ts';
import { originOf, originText, type SignatureOrigin } from '../../../src/systems/windows/signature/origin.ts';
import { fixture } from './fixtures.ts';

const policy = (more: Partial<ImagePolicy> & { name?: string } = {}): ImagePolicy => {
  const release = releaseNamed(more.name ?? '11');
  if (release === undefined) throw new Error('no such release');
  return {
    release,
    machine: 'x64',
    processors: 1,
    secureBoot: true,
    testSigning: false,
    noIntegrityChecks: false,
    hvci: false,
    blocked: new Set(),
    roots: [],
    ...more,
  };
};

const day = (text: string) => Date.parse(`${text}T00:00:00Z`);

const crossSigned = (issued: string): SignatureOrigin => ({
  kind: 'cross-signed',
  issued: day(issued),
  expires: day('2030-01-01'),
  cross: { authority: 'Some Root', expires: day('2021-04-15') },
});

const signature = (origin: SignatureOrigin, stamped?: string): SignatureFacts => ({
  state: 'valid',
  hashes: [],
  signer: 'Somebody',
  trusted: true,
  detail: '',
  signatures: [],
  origin,
  timeStamp:
    stamped === undefined
      ? undefined
      : {
          kind: 'RFC 3161',
          time: day(stamped),
          by: 'somebody',
          holds: true,
          trusted: true,
          inTime: true,
          why: '',
        },
});

const hello = readPe(fixture('hello.sys'));
const ask = (
  rule: string,
  facts: SignatureFacts,
  more: Parameters<typeof policy>[0] = {},
  pe: PeFile = hello,
) => signingRules(policy(more), { pe, signature: facts }).find((one) => one.rule === rule);

describe('on whose word a driver was signed', () => {
  it('matters since 1607 where Secure Boot is on: the portal, or a certificate from before 29 July 2015', () => {
    const verdict = (issued: string, more: Parameters<typeof policy>[0] = {}) =>
      ask('signing-origin', signature(crossSigned(issued), '2020-01-01'), more)?.verdict;
    expect(verdict('2015-07-28')).toBe('pass');
    expect(verdict('2015-07-29')).toBe('refuse');
    expect(verdict('2015-07-29', { secureBoot: false })).toBe('note');
    expect(verdict('2015-07-29', { name: '8.1' })).toBe('pass');
    expect(verdict('2015-07-29', { name: '10-1507' })).toBe('pass');
    expect(verdict('2015-07-29', { machine: 'x86' })).toBe('pass');
    for (const kind of ['attestation', 'hardware tests', 'system component'] as const)
      expect(ask('signing-origin', signature({ ...crossSigned('2022-01-01'), kind }))?.verdict).toBe('pass');
  });

  it('a cross-certificate is good until its day, by the time stamp', () => {
    const stamped = (when?: string, more: Parameters<typeof policy>[0] = {}) =>
      ask('cross-certificate', signature(crossSigned('2014-01-01'), when), more);
    expect(stamped('2021-04-15')?.verdict).toBe('pass');
    expect(stamped('2021-04-16')).toMatchObject({ verdict: 'refuse', status: 0xc0000428 | 0 });
    expect(stamped('2021-04-16', { noIntegrityChecks: true })?.verdict).toBe('note');
    expect(stamped()?.why).toContain('no time stamp');
  });

  it('is read from the purposes of the certificate and from its issuers', () => {
    const [own] = readCertificates(fixture('test-root.pem'));
    expect(own.purposes).toEqual(['1.3.6.1.5.5.7.3.3']);
    const portal = { ...own, purposes: ['1.3.6.1.4.1.311.10.3.5.1'] };
    // The purpose alone is anybody's to write.
    expect(originOf([portal], [portal]).kind).toBe('other');
    expect(originText(originOf([own], [own]))).toBe('');
    expect(originText(crossSigned('2014-01-01'))).toBe(', cross-signed for Some Root until 2021-04-15');
  });
});

describe('a driver of the boot loader', () => {
  const report = (place: 'embedded' | 'catalog') => ({
    place,
    state: 'valid' as const,
    algorithm: 'sha256',
    pageHashes: 'none' as const,
    signer: 'Somebody',
    trusted: true,
    chain: [],
    detail: '',
    timeStamp: undefined,
    origin: undefined,
  });

  it('must carry its signature itself, where signatures are enforced', () => {
    const verdict = (place: 'embedded' | 'catalog', more: Parameters<typeof policy>[0]) =>
      ask('code-signing', { ...signature(crossSigned('2014-01-01')), signatures: [report(place)] }, more);
    expect(verdict('embedded', { bootStart: true })?.verdict).toBe('pass');
    expect(verdict('catalog', {})?.verdict).toBe('pass');
    expect(verdict('catalog', { bootStart: true })).toMatchObject({
      verdict: 'refuse',
      status: 0xc0000428 | 0,
    });
    expect(verdict('catalog', { bootStart: true, machine: 'x86' })?.verdict).toBe('note');
  });
});

describe('memory integrity', () => {
  const none = { ...signature(crossSigned('2014-01-01')), origin: undefined };
  const changed = (flags: number, name = '.text'): PeFile => {
    const sections = hello.sections.map((one) => (one.name === name ? { ...one, flags } : one));
    return Object.assign(Object.create(Object.getPrototypeOf(hello)), hello, { sections });
  };

  it('refuses sections that are writable and executable, and import tables in code', () => {
    const verdict = (pe: PeFile) => ask('memory-integrity', none, { hvci: true }, pe);
    expect(verdict(hello)?.verdict).not.toBe('refuse');
    expect(verdict(changed(SECTION.WRITE | SECTION.EXECUTE | SECTION.READ))?.why).toContain(
      'writable and executable',
    );
    const table = hello.sectionAt(hello.directory(DIRECTORY.IAT).address)?.name ?? '';
    expect(verdict(changed(SECTION.EXECUTE | SECTION.READ, table))).toMatchObject({
      verdict: 'refuse',
      status: 0xc000036c | 0,
    });
    expect(ask('memory-integrity', none, {}, changed(SECTION.WRITE | SECTION.EXECUTE))?.verdict).toBe('pass');
  });
});
