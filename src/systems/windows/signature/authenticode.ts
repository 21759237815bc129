/**
 * Authenticode ("Windows Authenticode Portable Executable Signature Format", Microsoft's published description): the
 * PKCS#7 in the file and those nested in it, the hash of the image and of its pages, who signed and when, where the chain
 * of certificates ends; and catalogs, which sign files without touching them.
 */

import { FormatError } from '../../../bytes/errors.ts';
import { hexOf } from '../../../bytes/hex.ts';
import { sameBytes } from '../../../bytes/same.ts';
import { children, oid } from '../../../formats/der.ts';
import type { PeFile } from '../../../formats/pe/read.ts';
import { hashedRanges, readCertificates } from '../../../formats/pe/security.ts';
import { type Certificate, readCertificate } from '../../../formats/pki/certificate.ts';
import { type Hash, hashNamed, hashOf } from '../../../formats/pki/hashes.ts';
import type { SignatureFacts, SignatureReport } from '../rules/verdict.ts';
import type { Catalog } from './catalog.ts';
import { originOf, originText } from './origin.ts';
import { examinePageHashes } from './page-hashes.ts';
import {
  Attribute,
  attributeValues,
  chainOf,
  need,
  readSignedData,
  type SignedData,
  verifySigner,
} from './signed-data.ts';
import { timeStampOf } from './timestamp.ts';

const PKCS7 = 2;
/** Nested signatures are themselves files of signatures; nobody nests them deeper than once. */
const MAX_SIGNATURES = 8;

export function imageHash(pe: PeFile, hash: Hash): Uint8Array {
  const ranges = hashedRanges(pe);
  const total = ranges.reduce((sum, range) => sum + range.length, 0);
  const bytes = new Uint8Array(total);
  let at = 0;
  for (const range of ranges) {
    bytes.set(range, at);
    at += range.length;
  }
  return hash(bytes);
}

const NONE: SignatureFacts = {
  state: 'none',
  hashes: [],
  signer: undefined,
  trusted: false,
  detail: 'no signature',
  signatures: [],
};

/**
 * Judges the signatures that a file carries, or those of catalogs that list it.
 * @param roots DER of certificates that are trusted
 */
export function examineSignature(
  pe: PeFile,
  roots: readonly Uint8Array[],
  catalogs: readonly Catalog[] = [],
): SignatureFacts {
  let hashes: readonly string[] = [];
  try {
    hashes = ['sha1', 'sha256', 'md5'].map((name) =>
      hexOf(imageHash(pe, hashNamed(name)?.hash ?? (() => new Uint8Array(0)))),
    );
    const anchors = roots.map(readCertificate);
    const found = readCertificates(pe).find(({ type }) => type === PKCS7);
    const own = found === undefined ? [] : reports(pe, found.data, anchors);
    const listed = catalogs
      .filter((one) => hashes.some((hash) => one.hashes.has(hash)))
      .map(({ signed }) => signerReport(signed, signed.content.body, anchors, 'catalog'));
    return summary([...own, ...listed], hashes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { ...NONE, hashes, state: 'malformed', detail: error.message };
  }
}

/** What is best decides: a file with two signatures loads when one of them is good enough. */
function summary(signatures: readonly SignatureReport[], hashes: readonly string[]): SignatureFacts {
  const order = (one: SignatureReport) => (one.state === 'valid' ? (one.trusted ? 0 : 1) : 2);
  // A hash that does not fit means that the file was changed, whatever the other signatures say.
  const bad = signatures.find((one) => one.state === 'bad hash' && one.place !== 'catalog');
  const best = bad ?? [...signatures].sort((a, b) => order(a) - order(b))[0];
  if (best === undefined) return { ...NONE, hashes };
  const { state, signer, trusted, detail, origin, timeStamp } = best;
  return { state, hashes, signer, trusted, detail, signatures, origin, timeStamp };
}

function reports(pe: PeFile, der: Uint8Array, anchors: readonly Certificate[]): SignatureReport[] {
  const first = readSignedData(der);
  const nested = attributeValues(first.signer.unsigned, Attribute.NESTED_SIGNATURE)
    .slice(0, MAX_SIGNATURES)
    .map(({ whole }) => readSignedData(whole));
  return [first, ...nested].map((one, i) =>
    embeddedReport(pe, one, anchors, i === 0 ? 'embedded' : 'nested'),
  );
}

function embeddedReport(
  pe: PeFile,
  file: SignedData,
  anchors: readonly Certificate[],
  place: SignatureReport['place'],
): SignatureReport {
  const report = signerReport(file, file.content.body, anchors, place);
  const digest = children(need(children(file.content, 'contents')[1], 'digest'), 'digest');
  const algorithm = oid(need(children(need(digest[0], 'digest'), 'digest')[0], 'digest algorithm'));
  const hash = hashOf(algorithm);
  if (hash === undefined)
    return {
      ...report,
      trusted: false,
      state: 'cannot tell',
      detail: `the hash algorithm ${algorithm} is not written here`,
    };
  const withHash = { ...report, algorithm: hash.name };
  if (!sameBytes(imageHash(pe, hash.hash), need(digest[1], 'digest').body))
    return {
      ...withHash,
      trusted: false,
      state: 'bad hash',
      detail: 'the hash of the file is not the one that was signed',
    };
  const pages = examinePageHashes(pe, file.content);
  if (pages?.holds === false)
    return {
      ...withHash,
      trusted: false,
      pageHashes: 'bad',
      state: 'bad hash',
      detail: `the hash of the page at 0x${(pages.badOffset ?? 0).toString(16)} is not the one that was signed`,
    };
  return { ...withHash, pageHashes: pages === undefined ? 'none' : 'hold' };
}

/** The signer's part: signature, chain and time. */
function signerReport(
  file: SignedData,
  content: Uint8Array,
  anchors: readonly Certificate[],
  place: SignatureReport['place'],
): SignatureReport {
  const verdict = verifySigner(file.signer, file.certificates, content);
  const algorithm = hashOf(file.signer.hash)?.name ?? file.signer.hash;
  const base = { place, algorithm, pageHashes: 'none' as const, signer: verdict.certificate?.name };
  if (!verdict.holds)
    return {
      ...base,
      state: verdict.kind,
      trusted: false,
      chain: [],
      detail: verdict.why,
      timeStamp: undefined,
      origin: undefined,
    };
  const chain = chainOf(verdict.certificate, file.certificates, anchors);
  const names = chain.certificates.map(({ name }) => name);
  const origin = originOf(chain.certificates, file.certificates);
  const timeStamp = timeStampOf(file.signer, file.certificates, anchors);
  const end = names.length > 1 ? `, issued by ${names.slice(1).join(', ')}` : '';
  const how = place === 'catalog' ? 'in a catalog signed by' : 'signed by';
  return {
    ...base,
    state: 'valid',
    trusted: chain.trusted,
    chain: names,
    detail: `${how} ${names[0]}${end}${originText(origin)}${timeText(timeStamp)}`,
    timeStamp,
    origin,
  };
}

function timeText(stamp: SignatureReport['timeStamp']): string {
  if (stamp === undefined) return '';
  if (!stamp.holds) return `; its time stamp does not hold: ${stamp.why}`;
  const when =
    stamp.time === undefined ? 'at no readable time' : new Date(stamp.time).toISOString().slice(0, 10);
  return `; stamped ${when} by ${stamp.by ?? 'somebody'}${stamp.inTime ? '' : ', whose certificate was not valid then'}`;
}
