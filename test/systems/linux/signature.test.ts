import { describe, expect, it } from 'vitest';
import { context, encodeDer, encodeOid, Tag } from '../../../src/formats/der.ts';
import { signedBy } from '../../../src/formats/pki/certificate.ts';
import { readCertificates } from '../../../src/formats/pki/pem.ts';
import type { Linux } from '../../../src/systems/linux/linux.ts';
import { insmod } from '../../../src/systems/linux/loader.ts';
import { describeSignature, signatureTail, takeApart } from '../../../src/systems/linux/rules/signature.ts';
import { attach, strip } from '../../../src/tools/linux/sign.ts';
import fc from '../../properties.ts';
import { seeded } from '../../real/random.ts';
import { boot, fixture } from './kernel.ts';
import { type KeyKind, makeKey, signed } from './keys.ts';

const hello = fixture('hello');
const rsa = makeKey('rsa');
const other = makeKey('rsa', 'Other key', 0x7777);
const trusting = (...keys: readonly { certificate: { der: Uint8Array } }[]) =>
  keys.map(({ certificate }) => certificate.der);

/** `loaded`, or the error number and what the kernel said. */
function outcome(k: Linux, bytes: Uint8Array): { errno: number; said: string[]; verdict?: string } {
  const from = k.log.records.length;
  const result = insmod(k, bytes);
  const said = k.log.records.slice(from).map(({ text }) => text);
  if (result.outcome === 'loaded') return { errno: 0, said, verdict: result.module.signature.verdict };
  return { errno: result.outcome === 'refused' ? result.refusal.errno : -1, said };
}

const UNSIGNED = 'hello: module verification failed: signature and/or required key missing - tainting kernel';

describe('module signatures', () => {
  it.each(['sha1', 'sha224', 'sha256', 'md5'])('with RSA and %s hold', (hash) => {
    const k = boot({ certificates: trusting(rsa), commandLine: 'module.sig_enforce=1' });
    expect(outcome(k, signed(hello, rsa, hash))).toMatchObject({ errno: 0, verdict: 'trusted-key' });
    expect(k.taint & (1 << 13)).toBe(0);
  });

  it('name their key by its identifier as well', () => {
    const k = boot({ certificates: trusting(rsa), commandLine: 'module.sig_enforce=1' });
    expect(outcome(k, signed(hello, rsa, 'sha256', true)).verdict).toBe('trusted-key');
  });

  it('of an unknown key pass with a taint, tampered or not, and not where they are enforced', () => {
    const bytes = signed(hello, other);
    const k = boot({ certificates: trusting(rsa) });
    expect(outcome(k, bytes)).toMatchObject({
      errno: 0,
      verdict: 'unknown-key',
      said: expect.arrayContaining([UNSIGNED]),
    });
    expect(k.taint & (1 << 13)).not.toBe(0);
    const strict = boot({ certificates: trusting(rsa), commandLine: 'module.sig_enforce' });
    const said = ['Loading of module with unavailable key is rejected'];
    expect(outcome(strict, bytes)).toEqual({ errno: 129, said });
    const locked = boot({ commandLine: 'lockdown=confidentiality' });
    const words = 'Lockdown: insmod: unsigned module loading is restricted; see man kernel_lockdown.7';
    expect(outcome(locked, bytes)).toEqual({ errno: 1, said: [words] });
  });

  it('that do not fit the file are refused even where nothing is enforced, and silently', () => {
    const bytes = signed(hello, rsa);
    bytes[0x200] ^= 1;
    expect(outcome(boot({ certificates: trusting(rsa) }), bytes)).toEqual({ errno: 129, said: [] });
  });

  it('of the build key are verified with the certificate in the saved kernel', () => {
    const { content, message } = takeApart(fixture('hello')) ?? {
      content: hello,
      message: new Uint8Array(0),
    };
    expect(message).toHaveLength(0);
    expect(outcome(boot({ commandLine: 'module.sig_enforce=1' }), content)).toEqual({
      errno: 129,
      said: ['Loading of unsigned module is rejected'],
    });
  });

  it('with a hash or an algorithm that the kernel does not take count as none', () => {
    const k = boot({ certificates: trusting(rsa) });
    const found = outcome(k, signed(hello, rsa, 'sha3-256'));
    expect(found).toMatchObject({ errno: 0, verdict: 'unsupported' });
    expect(found.said[0]).toBe('PKCS7: Unknown OID: [32] 2.16.840.1.101.3.4.2.8');
    expect(found.said[2]).toBe('Unsupported digest algo: 98');
    const strict = boot({ certificates: trusting(rsa), commandLine: 'module.sig_enforce=y' });
    expect(outcome(strict, signed(hello, rsa, 'sha3-512')).said.at(-1)).toBe(
      'Loading of module with unsupported crypto is rejected',
    );
  });

  it('with elliptic curves need a kernel that has them', () => {
    const key = makeKey('P-256');
    expect(outcome(boot({ certificates: trusting(key) }), signed(hello, key))).toEqual({
      errno: 129,
      said: [],
    });
  });

  it('that are no PKCS#7 are refused as the kernel refuses them', () => {
    const noise = attach(
      hello,
      Uint8Array.from({ length: 64 }, (_, i) => i),
    );
    expect(outcome(boot(), noise)).toEqual({ errno: 74, said: [] });
    const params = signed(hello, rsa);
    params[params.length - 28 - 12] = 1;
    const words = 'module: PKCS#7 signature info has unexpected non-zero params';
    expect(outcome(boot(), params)).toEqual({ errno: 74, said: [words] });
    const long = signed(hello, rsa);
    long[long.length - 28 - 4] = 0x7f;
    expect(outcome(boot(), long)).toEqual({ errno: 74, said: [] });
    const empty = encodeDer(Tag.SEQUENCE, encodeOid('1.2.840.113549.1.7.1'), encodeDer(context(0)));
    expect(outcome(boot(), attach(hello, empty))).toEqual({
      errno: 22,
      said: ['PKCS7: Only support pkcs7_signedData type'],
    });
  });

  it('come on and off without a trace', () => {
    expect(strip(signed(signed(hello, rsa), other))).toEqual(hello);
    expect(strip(hello)).toBeUndefined();
    expect(describeSignature(signed(hello, rsa))).toMatchObject({
      signer: 'Test key',
      key: '1234',
      hash: 'sha256',
    });
  });
});

describe('certificates', () => {
  it.each<KeyKind>(['rsa', 'P-256', 'P-384', 'P-521'])(
    'of %s keys are read, and vouch for themselves',
    (kind) => {
      const { certificate } = makeKey(kind);
      expect(certificate.name).toBe('Test key');
      expect(signedBy(certificate, certificate)).toBe(true);
      expect(signedBy(certificate, makeKey(kind).certificate)).toBe(false);
      const base64 = Buffer.from(certificate.der).toString('base64').replace(/.{64}/g, '$&\n');
      const pem = `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`;
      expect(readCertificates(Buffer.from(pem + pem))).toHaveLength(2);
      expect(readCertificates(certificate.der)).toHaveLength(1);
    },
  );
});

describe('damaged signatures', () => {
  it('never crash the loader, and never count as trusted', () => {
    const bytes = signed(hello, rsa);
    const from = hello.length;
    const k = boot({ certificates: trusting(rsa) });
    const byte = fc.record({
      at: fc.integer({ min: from, max: bytes.length - 1 }),
      value: fc.integer({ min: 1, max: 255 }),
    });
    fc.assert(
      fc.property(fc.array(byte, { minLength: 1, maxLength: 4 }), (changes) => {
        const damaged = bytes.slice();
        for (const { at, value } of changes) damaged[at] ^= value;
        const found = outcome(k, damaged);
        // Version numbers and lengths that DER does not need may change; the signature itself may not.
        const end = bytes.length - 40;
        const broken = damaged.subarray(end - 256, end).some((one, i) => one !== bytes[end - 256 + i]);
        if (broken) expect(found.verdict).not.toBe('trusted-key');
        expect([0, 8, 17, 22, 74, 129]).toContain(found.errno);
      }),
      { numRuns: 150, seed: seeded(1).sample([1, 2, 3], 1)[0] },
    );
  });

  it('end as a tail that says what it is', () => {
    const tail = signatureTail(Uint8Array.of(0x30, 0));
    expect(new TextDecoder().decode(tail.subarray(-28))).toBe('~Module signature appended~\n');
    expect([...tail.subarray(2, 14)]).toEqual([0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
  });
});
