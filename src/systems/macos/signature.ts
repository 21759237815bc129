/**
 * What the code signature of a kext comes to: hashes of the executable's pages, Info.plist and resources, the CMS signature
 * over the CodeDirectory, the chain of its certificates, and what a kext's certificate must carry. WebCrypto has to be
 * waited for; whether certificates were revoked, or valid on the day, is not asked.
 */

import { fromBER } from 'asn1js';
import { type Certificate, ContentInfo, CryptoEngine, SignedData } from 'pkijs';
import { FormatError } from '../../bytes/errors.ts';
import { hexOf } from '../../bytes/hex.ts';
import { sha256 } from '../../bytes/sha256.ts';
import { type CodeSignature, readCodeSignature } from '../../formats/macho/codesign/read.ts';
import { checkHashes, digest } from '../../formats/macho/codesign/verify.ts';
import { readMachO } from '../../formats/macho/read.ts';
import type { KextBundle } from './bundle.ts';
import { isDict, type PlistValue, readPlist } from './plist.ts';
import type { SignatureState } from './rules/policy.ts';
import { joinPath } from './tree.ts';

/** SHA-256 of "Apple Root CA", the anchor of `anchor apple generic`. */
const APPLE_ROOT = 'b0b1730ecbc7ff4505142c49f1295e6eda6bcaed7e2c68c5be91b5a11001f024';
/** Marks in certificates (the requirement of kext_tools): the Developer ID authority, its leaf, and its leaf for kexts. */
const DEVELOPER_ID_CA = '1.2.840.113635.100.6.2.6';
const DEVELOPER_ID_LEAF = '1.2.840.113635.100.6.1.13';
const KEXT_SIGNING = '1.2.840.113635.100.6.1.18';
const COMMON_NAME = '2.5.4.3';
const SHA1_TYPE = 1;
const SHA256_TYPE = 2;

export interface SignatureReport {
  readonly state: SignatureState;
  /** Common names from the leaf to the root. */
  readonly authorities: readonly string[];
  readonly identifier: string | undefined;
  readonly team: string | undefined;
  /** Everything that does not match, in our words. */
  readonly faults: readonly string[];
}

const UNSIGNED: SignatureReport = {
  state: { kind: 'none' },
  authorities: [],
  identifier: undefined,
  team: undefined,
  faults: [],
};

/** Verifies every slice of the executable, the property list and the resources. */
export async function verifySignature(bundle: KextBundle): Promise<SignatureReport> {
  try {
    return await verify(bundle);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { ...UNSIGNED, state: { kind: 'invalid', why: error.message }, faults: [error.message] };
  }
}

async function verify(bundle: KextBundle): Promise<SignatureReport> {
  const parts = {
    infoPlist: bundle.infoBytes,
    resources: bundle.tree.read(joinPath(bundle.contents, '_CodeSignature/CodeResources')),
  };
  const signed: { signature: CodeSignature; code: Uint8Array }[] = [];
  for (const { bytes } of bundle.slices) {
    const signature = readCodeSignature(readMachO(bytes));
    if (signature === undefined) return UNSIGNED;
    signed.push({ signature, code: bytes });
  }
  const [first] = signed;
  if (first === undefined) return UNSIGNED;
  const faults = signed.flatMap(({ signature, code }) =>
    checkHashes(signature, code, parts).map(({ what }) => `${what} has changed since it was signed`),
  );
  faults.push(...checkResources(bundle, parts.resources));
  const [directory] = first.signature.directories;
  const chain = await checkCms(first.signature);
  faults.push(...chain.faults);
  const identity = { identifier: directory?.identifier, team: directory?.team, authorities: chain.names };
  if (faults.length > 0) return { ...identity, state: { kind: 'invalid', why: faults[0] }, faults };
  return { ...identity, state: stateOf(chain, directory?.team), faults };
}

function stateOf(chain: Chain, team: string | undefined): SignatureState {
  if (!chain.anchored) return { kind: 'invalid', why: 'its certificates do not lead to Apple' };
  const [leaf, authority] = chain.certificates;
  if (has(authority, DEVELOPER_ID_CA) && has(leaf, DEVELOPER_ID_LEAF)) {
    if (has(leaf, KEXT_SIGNING)) return { kind: 'developer', team: team ?? '' };
    return { kind: 'invalid', why: 'its Developer ID certificate is not one for signing kexts' };
  }
  if (chain.names[0] === 'Software Signing') return { kind: 'apple' };
  return { kind: 'invalid', why: "its certificate is neither Apple's nor a Developer ID for kexts" };
}

const has = (certificate: Certificate | undefined, oid: string): boolean =>
  certificate?.extensions?.some(({ extnID }) => extnID === oid) === true;

interface Chain {
  readonly certificates: readonly Certificate[];
  readonly names: readonly string[];
  readonly anchored: boolean;
  readonly faults: readonly string[];
}

const NO_CHAIN: Chain = { certificates: [], names: [], anchored: false, faults: [] };

/** The CMS signature over the first CodeDirectory, and its certificates from the signer up. */
async function checkCms({ cms, directories }: CodeSignature): Promise<Chain> {
  if (cms === undefined) return { ...NO_CHAIN, faults: ['it is signed ad hoc: nobody vouches for it'] };
  const engine = new CryptoEngine({ name: 'webcrypto', crypto: globalThis.crypto });
  try {
    const content = new ContentInfo({ schema: fromBER(plain(cms)).result });
    const signed = new SignedData({ schema: content.content });
    const data = plain(directories[0].bytes);
    const verdict = await signed.verify({ signer: 0, data, checkChain: false, extendedMode: true }, engine);
    const all = (signed.certificates ?? []).filter(
      (one): one is Certificate => 'serialNumber' in one && 'subject' in one,
    );
    const certificates = await chainOf(verdict.signerCertificate ?? undefined, all, engine);
    const last = certificates.at(-1);
    const root = last === undefined ? '' : hexOf(sha256(new Uint8Array(last.toSchema(true).toBER())));
    return {
      certificates,
      names: certificates.map(commonName),
      anchored: root === APPLE_ROOT,
      faults: verdict.signatureVerified === true ? [] : ['the signature over the CodeDirectory is wrong'],
    };
  } catch (error) {
    // The libraries throw errors of many kinds for damaged structures.
    const text = error instanceof Error ? error.message : String(error);
    return { ...NO_CHAIN, faults: [`the CMS signature cannot be read: ${text}`] };
  }
}

const plain = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;

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

/** Files that CodeResources has hashes of (`files2`, else `files`). */
function checkResources(bundle: KextBundle, resources: Uint8Array | undefined): string[] {
  if (resources === undefined) return [];
  const list = readPlist(resources, 'CodeResources');
  const entries = isDict(list.files2) ? list.files2 : list.files;
  if (!isDict(entries)) return [];
  return Object.entries(entries).flatMap(([name, entry]) => {
    const wanted = hashOf(entry);
    if (wanted === undefined) return [];
    const bytes = bundle.tree.read(joinPath(bundle.contents, name));
    if (bytes === undefined) return isOptional(entry) ? [] : [`${name} is missing`];
    const own = digest(wanted.type, bytes);
    return own !== undefined && hexOf(own) === hexOf(wanted.hash)
      ? []
      : [`${name} has changed since it was signed`];
  });
}

const isOptional = (entry: PlistValue): boolean => isDict(entry) && entry.optional === true;

function hashOf(entry: PlistValue): { type: number; hash: Uint8Array } | undefined {
  if (entry instanceof Uint8Array) return { type: SHA1_TYPE, hash: entry };
  if (!isDict(entry)) return undefined;
  if (entry.hash2 instanceof Uint8Array) return { type: SHA256_TYPE, hash: entry.hash2 };
  return entry.hash instanceof Uint8Array ? { type: SHA1_TYPE, hash: entry.hash } : undefined;
}
