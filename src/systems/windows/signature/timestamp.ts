/**
 * Time stamps on a signature: Authenticode's counter signature (PKCS #9), or a token of a time stamp authority (RFC 3161)
 * in an attribute of Microsoft's. Either signs the signer's signature, and says when.
 */
import { FormatError } from '../../../bytes/errors.ts';
import { sameBytes } from '../../../bytes/same.ts';
import { children, oid, readDer, Tag } from '../../../formats/der.ts';
import { type Certificate, readTime } from '../../../formats/pki/certificate.ts';
import { hashOf } from '../../../formats/pki/hashes.ts';
import {
  Attribute,
  attributeValues,
  chainOf,
  need,
  readSignedData,
  readSignerInfo,
  type SignerInfo,
  verifySigner,
} from './signed-data.ts';

const TST_INFO = '1.2.840.113549.1.9.16.1.4';

export interface TimeStamp {
  readonly kind: 'counter signature' | 'RFC 3161';
  /** Milliseconds since 1970. */
  readonly time: number | undefined;
  readonly by: string | undefined;
  /** It is the authority's own signature, over this signature. */
  readonly holds: boolean;
  readonly trusted: boolean;
  /** The authority's certificate was valid at that time. */
  readonly inTime: boolean;
  readonly why: string;
}

export function timeStampOf(
  signer: SignerInfo,
  certificates: readonly Certificate[],
  anchors: readonly Certificate[],
): TimeStamp | undefined {
  const counter = attributeValues(signer.unsigned, Attribute.COUNTER_SIGNATURE)[0];
  const token = attributeValues(signer.unsigned, Attribute.RFC3161)[0];
  try {
    if (token !== undefined) return authorityToken(token.whole, signer, certificates, anchors);
    if (counter !== undefined)
      return counterSignature(readSignerInfo(counter), signer, certificates, anchors);
    return undefined;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const kind = token === undefined ? 'counter signature' : 'RFC 3161';
    return {
      kind,
      time: undefined,
      by: undefined,
      holds: false,
      trusted: false,
      inTime: false,
      why: error.message,
    };
  }
}

function judged(
  kind: TimeStamp['kind'],
  time: number | undefined,
  info: SignerInfo,
  content: Uint8Array,
  certificates: readonly Certificate[],
  anchors: readonly Certificate[],
): TimeStamp {
  const verdict = verifySigner(info, certificates, content, kind === 'counter signature');
  const by = verdict.certificate;
  const inTime =
    by !== undefined && time !== undefined && (by.notBefore ?? time) <= time && time <= (by.notAfter ?? time);
  const trusted = by !== undefined && verdict.holds && chainOf(by, certificates, anchors).trusted;
  return {
    kind,
    time,
    by: by?.name,
    holds: verdict.holds,
    trusted,
    inTime,
    why: verdict.holds ? '' : verdict.why,
  };
}

function counterSignature(
  info: SignerInfo,
  signer: SignerInfo,
  certificates: readonly Certificate[],
  anchors: readonly Certificate[],
): TimeStamp {
  return judged('counter signature', info.signingTime, info, signer.signature, certificates, anchors);
}

function authorityToken(
  der: Uint8Array,
  signer: SignerInfo,
  certificates: readonly Certificate[],
  anchors: readonly Certificate[],
): TimeStamp {
  const token = readSignedData(der);
  const all = [...token.certificates, ...certificates];
  // The contents are an octet string that holds TSTInfo: version, policy, imprint, serial number, time.
  const wrapped = token.contentType === TST_INFO && token.content.tag === Tag.OCTET_STRING;
  const [, , imprint, , time] = children(readDer(token.content.body, 'TSTInfo'), 'TSTInfo');
  const [algorithm, digest] = children(need(imprint, 'imprint'), 'imprint');
  const hash = hashOf(oid(need(children(need(algorithm, 'imprint'), 'imprint')[0], 'imprint')));
  const stamp = judged(
    'RFC 3161',
    time === undefined ? undefined : readTime(time),
    token.signer,
    token.content.body,
    all,
    anchors,
  );
  if (!wrapped) return { ...stamp, holds: false, trusted: false, why: 'it holds no time stamp' };
  if (hash !== undefined && sameBytes(need(digest, 'imprint').body, hash.hash(signer.signature)))
    return stamp;
  return { ...stamp, holds: false, trusted: false, why: 'it is the stamp of another signature' };
}
