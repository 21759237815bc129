/** Keys and certificates of their own, made as a test needs them: a certificate is a few DER values around a public key. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { context, encodeDer, encodeOid, Tag } from '../../../src/formats/der.ts';
import { type Certificate, readCertificate } from '../../../src/formats/pki/certificate.ts';
import { hashNamed } from '../../../src/formats/pki/hashes.ts';
import { attach, signatureOf } from '../../../src/tools/linux/sign.ts';

export interface Signing {
  readonly pem: Uint8Array;
  readonly certificate: Certificate;
}

export type KeyKind = 'rsa' | 'P-256' | 'P-384' | 'P-521';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const UTF8 = 0x0c;
const UTC_TIME = 0x17;
const KEY_ID = Uint8Array.from({ length: 20 }, (_, i) => i + 1);

const name = (common: string): Uint8Array =>
  encodeDer(
    Tag.SEQUENCE,
    encodeDer(Tag.SET, encodeDer(Tag.SEQUENCE, encodeOid('2.5.4.3'), encodeDer(UTF8, text(common)))),
  );

function pair(kind: KeyKind): { privateKey: KeyObject; publicKey: KeyObject } {
  return kind === 'rsa'
    ? generateKeyPairSync('rsa', { modulusLength: 2048 })
    : generateKeyPairSync('ec', { namedCurve: kind });
}

/** A key with a certificate that it signed itself. */
export function makeKey(kind: KeyKind, common = 'Test key', serial = 0x1234): Signing {
  const { privateKey, publicKey } = pair(kind);
  const oid = kind === 'rsa' ? '1.2.840.113549.1.1.11' : '1.2.840.10045.4.3.2';
  const algorithm = encodeDer(Tag.SEQUENCE, encodeOid(oid));
  const extension = encodeDer(
    Tag.SEQUENCE,
    encodeOid('2.5.29.14'),
    encodeDer(Tag.OCTET_STRING, encodeDer(Tag.OCTET_STRING, KEY_ID)),
  );
  const body = encodeDer(
    Tag.SEQUENCE,
    encodeDer(context(0), encodeDer(Tag.INTEGER, Uint8Array.of(2))),
    encodeDer(Tag.INTEGER, Uint8Array.of(serial >> 8, serial & 0xff)),
    algorithm,
    name(common),
    encodeDer(
      Tag.SEQUENCE,
      encodeDer(UTC_TIME, text('260101000000Z')),
      encodeDer(UTC_TIME, text('460101000000Z')),
    ),
    name(common),
    publicKey.export({ type: 'spki', format: 'der' }),
    encodeDer(context(3), encodeDer(Tag.SEQUENCE, extension)),
  );
  const signature = sign('sha256', body, privateKey);
  const bits = encodeDer(Tag.BIT_STRING, Uint8Array.of(0), signature);
  const certificate = readCertificate(encodeDer(Tag.SEQUENCE, body, algorithm, bits));
  return { pem: text(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()), certificate };
}

/** A module with a signature behind it. */
export function signed(content: Uint8Array, key: Signing, hash = 'sha256', byKeyId = false): Uint8Array {
  const algorithm = hashNamed(hash);
  if (algorithm === undefined) throw new Error(`no hash ${hash}`);
  const { pem, certificate } = key;
  return attach(content, signatureOf({ content, key: pem, certificate, hash: algorithm, byKeyId }));
}
