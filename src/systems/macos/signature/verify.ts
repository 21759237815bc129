/**
 * What the code signature of a kext comes to: hashes of the executable's pages, Info.plist and resources, the CMS signature
 * over the CodeDirectory, the chain of its certificates, and what a kext's certificate must carry. WebCrypto has to be
 * waited for; whether certificates were revoked, or valid on the day, is not asked.
 */
import type { Certificate } from 'pkijs';
import { FormatError, Invalid } from '../../../bytes/errors.ts';
import type { CodeDirectory } from '../../../formats/macho/codesign/directory.ts';
import { type EntitlementValue, readDerEntitlements } from '../../../formats/macho/codesign/entitlements.ts';
import { SLOT } from '../../../formats/macho/codesign/layout.ts';
import {
  type CodeSignature,
  readCodeSignature,
  readDetachedSignature,
} from '../../../formats/macho/codesign/read.ts';
import { type Requirement, readRequirements } from '../../../formats/macho/codesign/requirement.ts';
import { bestDirectory, checkHashes } from '../../../formats/macho/codesign/verify.ts';
import { architectureName } from '../../../formats/macho/fat.ts';
import { readMachO } from '../../../formats/macho/read.ts';
import type { KextBundle } from '../bundle.ts';
import { type PlistDict, readPlist } from '../plist.ts';
import type { SignatureState } from '../rules/policy.ts';
import { joinPath } from '../tree.ts';
import { type CmsReport, checkCms } from './cms.ts';
import { checkSeal, type SealReport } from './resources.ts';

/** Marks in certificates (the requirement of kext_tools): the Developer ID authority, its leaf, and its leaf for kexts. */
const DEVELOPER_ID_CA = '1.2.840.113635.100.6.2.6';
const DEVELOPER_ID_LEAF = '1.2.840.113635.100.6.1.13';
const KEXT_SIGNING = '1.2.840.113635.100.6.1.18';

/** The signature of one architecture, or that of the whole file where the program could hold none. */
export interface CodeSeal {
  /** `x86_64`; `all` for a signature in files of its own. */
  readonly architecture: string;
  readonly signature: CodeSignature;
  /** Of the best hash. */
  readonly directory: CodeDirectory;
  readonly requirements: readonly Requirement[];
  readonly entitlements: PlistDict | undefined;
  readonly derEntitlements: Readonly<Record<string, EntitlementValue>> | undefined;
  readonly cms: CmsReport;
  readonly faults: readonly string[];
}

export interface SignatureReport {
  readonly state: SignatureState;
  /** Common names from the leaf to the root. */
  readonly authorities: readonly string[];
  readonly identifier: string | undefined;
  readonly team: string | undefined;
  /** Everything that does not match, in our words. */
  readonly faults: readonly string[];
  readonly seals: readonly CodeSeal[];
  readonly resources: SealReport;
}

const UNSIGNED: SignatureReport = {
  state: { kind: 'none' },
  authorities: [],
  identifier: undefined,
  team: undefined,
  faults: [],
  seals: [],
  resources: { version: undefined, rules: 0, files: 0, faults: [] },
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

interface Signed {
  readonly architecture: string;
  readonly signature: CodeSignature;
  readonly code: Uint8Array;
}

async function verify(bundle: KextBundle): Promise<SignatureReport> {
  const signed = signaturesOf(bundle);
  if (signed === undefined) return UNSIGNED;
  const parts = {
    infoPlist: bundle.infoBytes,
    resources: bundle.tree.read(joinPath(bundle.contents, '_CodeSignature/CodeResources')),
  };
  const seals: CodeSeal[] = [];
  for (const one of signed) seals.push(await sealOf(one, parts));
  const resources = checkSeal(bundle);
  const faults = [...new Set([...seals.flatMap((seal) => seal.faults), ...resources.faults])];
  const [{ directory, cms }] = seals;
  const identity = { identifier: directory.identifier, team: directory.team, authorities: cms.names };
  const state: SignatureState =
    faults.length > 0 ? { kind: 'invalid', why: faults[0] } : stateOf(cms, directory.team);
  return { ...identity, state, faults, seals, resources };
}

/** A signature of each architecture, or the one beside the program; undefined when there is neither. */
function signaturesOf(bundle: KextBundle): Signed[] | undefined {
  const whole = bundle.executable;
  const signed: Signed[] = [];
  for (const { bytes, cputype, cpusubtype } of bundle.slices) {
    const signature = readCodeSignature(readMachO(bytes));
    const architecture = architectureName(cputype, cpusubtype);
    if (signature !== undefined) signed.push({ architecture, signature, code: bytes });
  }
  if (signed.length > 0 && signed.length === bundle.slices.length) return signed;
  const folder = joinPath(bundle.contents, '_CodeSignature');
  const detached = readDetachedSignature((name) => bundle.tree.read(joinPath(folder, name)));
  if (detached === undefined) return undefined;
  // A codeless bundle is signed over its property list.
  return [{ architecture: 'all', signature: detached, code: whole ?? bundle.infoBytes }];
}

async function sealOf(
  { architecture, signature, code }: Signed,
  parts: { infoPlist: Uint8Array; resources: Uint8Array | undefined },
): Promise<CodeSeal> {
  const directory = bestDirectory(signature);
  const faults = checkHashes(signature, code, parts).map(
    ({ what }) => `${what} has changed since it was signed`,
  );
  if (directory === undefined) throw new Invalid('code signature', 'has no CodeDirectory');
  const cms = await checkCms(signature.cms, signature.directories);
  const requirements = signature.blobs.find(({ slot }) => slot === SLOT.REQUIREMENTS)?.bytes;
  const { entitlements, derEntitlements } = signature;
  return {
    architecture,
    signature,
    directory,
    requirements: requirements === undefined ? [] : readRequirements(requirements),
    entitlements: entitlements === undefined ? undefined : readPlist(entitlements, 'entitlements'),
    derEntitlements: derEntitlements === undefined ? undefined : readDerEntitlements(derEntitlements),
    cms,
    faults: [...faults, ...cms.faults],
  };
}

function stateOf(cms: CmsReport, team: string | undefined): SignatureState {
  if (!cms.anchored) return { kind: 'invalid', why: 'its certificates do not lead to Apple' };
  const [leaf, authority] = cms.certificates;
  if (has(authority, DEVELOPER_ID_CA) && has(leaf, DEVELOPER_ID_LEAF)) {
    if (has(leaf, KEXT_SIGNING)) return { kind: 'developer', team: team ?? '', signed: cms.timestamp };
    return { kind: 'invalid', why: 'its Developer ID certificate is not one for signing kexts' };
  }
  if (cms.names[0] === 'Software Signing') return { kind: 'apple' };
  return { kind: 'invalid', why: "its certificate is neither Apple's nor a Developer ID for kexts" };
}

const has = (certificate: Certificate | undefined, oid: string): boolean =>
  certificate?.extensions?.some(({ extnID }) => extnID === oid) === true;
