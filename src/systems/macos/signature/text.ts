/** A code signature in the words of codesign(1): what `codesign -d -vvv`, `-d -r-` and `-d --entitlements` print of it. */
import { hexOf } from '../../../bytes/hex.ts';
import { flagsText } from '../../../formats/macho/codesign/directory.ts';
import { HASH_NAMES, SLOT } from '../../../formats/macho/codesign/layout.ts';
import { directoryHash } from '../../../formats/macho/codesign/verify.ts';
import type { CodeSeal, SignatureReport } from './verify.ts';

const hashName = (type: number): string => HASH_NAMES[type] ?? `type ${type}`;

/** `20 Aug 2023 at 14:02:11`, in UTC. */
function dateText(date: Date): string {
  const [, day, month, year] = date.toUTCString().split(' ');
  return `${Number(day)} ${month} ${year} at ${date.toISOString().slice(11, 19)}`;
}

/** One line a fact, `Key=value`, in codesign's order. */
export function signatureLines(seal: CodeSeal, report: SignatureReport, infoEntries: number): string[] {
  const { directory, signature, cms, requirements } = seal;
  const lines = [`Identifier=${directory.identifier}`, directoryLine(seal)];
  if (directory.platform !== 0) lines.push(`Platform identifier=${directory.platform}`);
  lines.push(`Hash type=${hashName(directory.hashType)} size=${directory.hashSize}`);
  for (const one of signature.directories) {
    const { full, short } = directoryHash(one);
    lines.push(`CandidateCDHash ${hashName(one.hashType)}=${hexOf(short)}`);
    lines.push(`CandidateCDHashFull ${hashName(one.hashType)}=${hexOf(full)}`);
  }
  lines.push(`Hash choices=${signature.directories.map(({ hashType }) => hashName(hashType)).join(',')}`);
  const { execSegment } = directory;
  if (execSegment !== undefined && execSegment.limit !== 0) {
    lines.push(
      `Executable Segment base=${execSegment.base}`,
      `Executable Segment limit=${execSegment.limit}`,
      `Executable Segment flags=0x${execSegment.flags.toString(16)}`,
    );
  }
  lines.push(`CDHash=${hexOf(directoryHash(directory).short)}`);
  if (signature.cms === undefined) lines.push('Signature=adhoc');
  else {
    lines.push(`Signature size=${signature.cms.length}`);
    lines.push(...cms.names.map((name) => `Authority=${name}`));
    if (cms.timestamp !== undefined) lines.push(`Timestamp=${dateText(cms.timestamp)}`);
    else if (cms.signingTime !== undefined) lines.push(`Signed Time=${dateText(cms.signingTime)}`);
  }
  lines.push(directory.special.has(SLOT.INFO) ? `Info.plist entries=${infoEntries}` : 'Info.plist=not bound');
  lines.push(`TeamIdentifier=${directory.team ?? 'not set'}`);
  if (directory.runtime !== 0) lines.push(`Runtime Version=${packed(directory.runtime)}`);
  const { version, rules, files } = report.resources;
  lines.push(
    version === undefined
      ? 'Sealed Resources=none'
      : `Sealed Resources version=${version} rules=${rules} files=${files}`,
  );
  const bytes = signature.blobs.find(({ slot }) => slot === SLOT.REQUIREMENTS)?.bytes.length ?? 0;
  lines.push(
    bytes === 0
      ? 'Internal requirements=none'
      : `Internal requirements count=${requirements.length} size=${bytes}`,
  );
  return lines;
}

function directoryLine({ directory, signature }: CodeSeal): string {
  const version = directory.version.toString(16);
  const hashes = `${directory.code.length}+${directory.special.size}`;
  const location = signature.size === undefined ? 'files' : 'embedded';
  return `CodeDirectory v=${version} size=${directory.bytes.length} flags=${flagsText(directory.flags)} hashes=${hashes} location=${location}`;
}

const packed = (value: number): string => `${value >>> 16}.${(value >>> 8) & 0xff}.${value & 0xff}`;

/** `designated => identifier "org.example"`, a line each. */
export const requirementLines = ({ requirements }: CodeSeal): string[] =>
  requirements.map(({ kind, text }) => `${kind} => ${text}`);

/** For `--json`: what the signature holds, hashes as hexadecimal digits. */
export function signatureFacts(seal: CodeSeal): Record<string, unknown> {
  const { directory, signature, cms } = seal;
  return {
    architecture: seal.architecture,
    location: signature.size === undefined ? 'files' : 'embedded',
    directories: signature.directories.map((one) => ({
      version: one.version,
      flags: one.flags,
      identifier: one.identifier,
      team: one.team,
      hash: hashName(one.hashType),
      hashSize: one.hashSize,
      platform: one.platform,
      pageSize: one.pageSize,
      codeLimit: one.codeLimit,
      pages: one.code.length,
      special: Object.fromEntries([...one.special].map(([slot, hash]) => [slot, hexOf(hash)])),
      scatter: one.scatter,
      execSegment: one.execSegment,
      runtime: one.runtime === 0 ? undefined : packed(one.runtime),
      preEncrypted: one.preEncrypt.length,
      linkage: one.linkage,
      cdHash: hexOf(directoryHash(one).short),
    })),
    cdHash: hexOf(directoryHash(directory).short),
    blobs: signature.blobs.map(({ slot, magic, bytes }) => ({ slot, magic, bytes: bytes.length })),
    requirements: seal.requirements,
    entitlements: seal.entitlements,
    derEntitlements: seal.derEntitlements,
    authorities: cms.names,
    anchored: cms.anchored,
    signingTime: cms.signingTime?.toISOString(),
    timestamp: cms.timestamp?.toISOString(),
    signedHashes: cms.cdHashes,
    faults: seal.faults,
  };
}
