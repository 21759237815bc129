/** Certificates as files bring them: PEM blocks (RFC 7468), one DER after another, or both kinds of line ends. */
import { BadMagic, Invalid } from '../../bytes/errors.ts';
import { readDer } from '../der.ts';
import { type Certificate, readCertificate } from './certificate.ts';

const BLOCK =
  /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----([\s\S]*?)-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;
const PRIVATE = /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----/;
const SEQUENCE = 0x30;
/** More than any list of trusted certificates has. */
const MAX_CERTIFICATES = 4096;

/** Every certificate of a file: PEM, or DER with one certificate behind another. @throws FormatError */
export function readCertificates(bytes: Uint8Array): Certificate[] {
  if (bytes[0] === SEQUENCE) return readRow(bytes);
  const text = new TextDecoder('latin1').decode(bytes);
  const blocks = [...text.matchAll(BLOCK)].slice(0, MAX_CERTIFICATES);
  if (blocks.length === 0) {
    if (PRIVATE.test(text))
      throw new BadMagic('certificate', 'this is a private key: give the certificate that belongs to it');
    throw new BadMagic('certificate', 'neither DER (30 ..) nor PEM ("-----BEGIN CERTIFICATE-----")');
  }
  return blocks.map(([, body]) => readCertificate(fromBase64(body)));
}

function readRow(bytes: Uint8Array): Certificate[] {
  const found: Certificate[] = [];
  for (let at = 0; at < bytes.length && bytes[at] === SEQUENCE && found.length < MAX_CERTIFICATES; ) {
    const { whole } = readDer(bytes, 'certificate', at);
    found.push(readCertificate(whole));
    at += whole.length;
  }
  return found;
}

function fromBase64(text: string): Uint8Array {
  const compact = text.replace(/\s+/g, '');
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(compact))
    throw new Invalid('certificate', 'its PEM block is not base64');
  return Uint8Array.from(atob(compact), (character) => character.charCodeAt(0));
}
