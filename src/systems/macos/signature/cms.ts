/**
 * The CMS signature over the CodeDirectory: its certificates from the signer up, when it was made, and the hashes of all
 * directories that its attributes vouch for. Written in BER with indefinite lengths, so a full ASN.1 library reads it.
 */
import { fromBER, OctetString, Sequence, UTCTime } from 'asn1js';
import {
  type Attribute,
  type Certificate,
  ContentInfo,
  CryptoEngine,
  SignedData,
  type SignerInfo,
  TSTInfo,
} from 'pkijs';
import { hexOf } from '../../../bytes/hex.ts';
import { sha256 } from '../../../bytes/sha256.ts';
import type { CodeDirectory } from '../../../formats/macho/codesign/directory.ts';
import { directoryHash } from '../../../formats/macho/codesign/verify.ts';
import { readPlist } from '../plist.ts';

/** SHA-256 of "Apple Root CA", the anchor of `anchor apple generic`. */
const APPLE_ROOT = 'b0b1730ecbc7ff4505142c49f1295e6eda6bcaed7e2c68c5be91b5a11001f024';
const COMMON_NAME = '2.5.4.3';
const ATTRIBUTE = {
  SIGNING_TIME: '1.2.840.113549.1.9.5',
  TIME_STAMP: '1.2.840.113549.1.9.16.2.14',
  /** A property list with the hashes of all directories, cut to 20 bytes; then the same whole, as pairs. */
  CD_HASHES: '1.2.840.113635.100.9.1',
  CD_HASHES_2: '1.2.840.113635.100.9.2',
} as const;

export interface CmsReport {
  readonly certificates: readonly Certificate[];
  /** Common names from the leaf to the root. */
  readonly names: readonly string[];
  /** The chain ends at Apple's root certificate. */
  readonly anchored: boolean;
  /** As the signer's own clock said. */
  readonly signingTime: Date | undefined;
  /** As Apple's time stamp service said. */
  readonly timestamp: Date | undefined;
  /** Hashes of directories that the signer vouches for, in their order; empty in signatures from before macOS 10.11. */
  readonly cdHashes: readonly string[];
  readonly faults: readonly string[];
}

const NOTHING: CmsReport = {
  certificates: [],
  names: [],
  anchored: false,
  signingTime: undefined,
  timestamp: undefined,
  cdHashes: [],
  faults: [],
};

const copied = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;

/** Verifies the signature over the first of these directories, and what it says of the others. */
export async function checkCms(
  cms: Uint8Array | undefined,
  directories: readonly CodeDirectory[],
): Promise<CmsReport> {
  if (cms === undefined) return { ...NOTHING, faults: ['it is signed ad hoc: nobody vouches for it'] };
  const engine = new CryptoEngine({ name: 'webcrypto', crypto: globalThis.crypto });
  try {
    const content = new ContentInfo({ schema: fromBER(copied(cms)).result });
    const signed = new SignedData({ schema: content.content });
    const data = copied(directories[0].bytes);
    const verdict = await signed.verify({ signer: 0, data, checkChain: false, extendedMode: true }, engine);
    const all = certificatesOf(signed);
    const certificates = await chainOf(verdict.signerCertificate ?? undefined, all, engine);
    const wrong = verdict.signatureVerified === true ? [] : ['the signature over the CodeDirectory is wrong'];
    const attributes = attributesOf(signed.signerInfos[0]);
    const stamp = await timeStamp(signed.signerInfos[0], engine);
    return {
      certificates,
      names: certificates.map(commonName),
      anchored: isAppleRoot(certificates.at(-1)),
      ...attributes,
      timestamp: stamp?.time,
      faults: [...wrong, ...(stamp?.faults ?? []), ...checkHashes(attributes.cdHashes, directories)],
    };
  } catch (error) {
    // The libraries throw errors of many kinds for damaged structures.
    const text = error instanceof Error ? error.message : String(error);
    return { ...NOTHING, faults: [`the CMS signature cannot be read: ${text}`] };
  }
}

const certificatesOf = ({ certificates }: SignedData): Certificate[] =>
  (certificates ?? []).filter((one): one is Certificate => 'serialNumber' in one && 'subject' in one);

function isAppleRoot(certificate: Certificate | undefined): boolean {
  if (certificate === undefined) return false;
  return hexOf(sha256(new Uint8Array(certificate.toSchema(true).toBER()))) === APPLE_ROOT;
}

/** Hash agility: the one signature names every directory, and those that it names must be there. */
function checkHashes(named: readonly string[], directories: readonly CodeDirectory[]): string[] {
  if (named.length === 0) return directories.length > 1 ? ['nobody signed the further CodeDirectories'] : [];
  const own = directories.map((directory) => hexOf(directoryHash(directory).short));
  return [
    ...own.flatMap((hash, i) =>
      named.includes(hash) ? [] : [`CodeDirectory ${i} is not the one that was signed`],
    ),
    ...(named.every((hash) => own.includes(hash)) ? [] : ['a CodeDirectory that was signed is not there']),
  ];
}

function attributesOf(signer: SignerInfo | undefined): Pick<CmsReport, 'signingTime' | 'cdHashes'> {
  const signed = signer?.signedAttrs?.attributes ?? [];
  const [time] = valuesOf(signed, ATTRIBUTE.SIGNING_TIME);
  const [plist] = valuesOf(signed, ATTRIBUTE.CD_HASHES);
  return {
    // GeneralizedTime is a UTCTime to the library.
    signingTime: time instanceof UTCTime ? time.toDate() : undefined,
    cdHashes: plist instanceof OctetString ? hashesOf(plist) : [],
  };
}

const valuesOf = (attributes: readonly Attribute[], type: string): readonly unknown[] =>
  attributes.find((attribute) => attribute.type === type)?.values ?? [];

function hashesOf(plist: OctetString): string[] {
  const list = readPlist(new Uint8Array(plist.getValue()), 'cdhashes of the CMS signature').cdhashes;
  if (!Array.isArray(list)) return [];
  return list.flatMap((one) => (one instanceof Uint8Array ? [hexOf(one)] : []));
}

interface Stamp {
  readonly time: Date | undefined;
  readonly faults: readonly string[];
}

/** A token of RFC 3161 over the signer's signature, from a service whose certificates lead to Apple as well. */
async function timeStamp(signer: SignerInfo | undefined, engine: CryptoEngine): Promise<Stamp | undefined> {
  const [token] = valuesOf(signer?.unsignedAttrs?.attributes ?? [], ATTRIBUTE.TIME_STAMP);
  if (signer === undefined || !(token instanceof Sequence)) return undefined;
  const signed = new SignedData({ schema: new ContentInfo({ schema: token }).content });
  const content = signed.encapContentInfo.eContent?.getValue();
  if (content === undefined) return { time: undefined, faults: ['its time stamp is empty'] };
  const time = new TSTInfo({ schema: fromBER(content).result }).genTime;
  const data = signer.signature.getValue();
  const verdict = await signed.verify({ signer: 0, data, checkChain: false, extendedMode: true }, engine);
  const chain = await chainOf(verdict.signerCertificate ?? undefined, certificatesOf(signed), engine);
  if (verdict.signatureVerified !== true) return { time, faults: ['its time stamp is of another signature'] };
  return { time, faults: isAppleRoot(chain.at(-1)) ? [] : ['its time stamp does not lead to Apple'] };
}

/** Each certificate's issuer among those that came along, as long as it has really signed it. */
async function chainOf(
  leaf: Certificate | undefined,
  all: readonly Certificate[],
  engine: CryptoEngine,
): Promise<Certificate[]> {
  const chain: Certificate[] = [];
  let current = leaf;
  while (current !== undefined && !chain.includes(current)) {
    chain.push(current);
    const child: Certificate = current;
    const issuer = all.find((one) => one !== child && one.subject.isEqual(child.issuer));
    if (issuer === undefined || !(await child.verify(issuer, engine))) break;
    current = issuer;
  }
  return chain;
}

function commonName({ subject }: Certificate): string {
  const found = subject.typesAndValues.find(({ type }) => type === COMMON_NAME);
  return String(found?.value.valueBlock.value ?? '');
}
