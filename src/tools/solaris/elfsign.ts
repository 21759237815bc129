/** elfsign(1): verify, list and sign. Texts and exit codes are the command's. */
import { createPrivateKey, sign as makeSignature, type X509Certificate } from 'node:crypto';
import { FormatError } from '../../bytes/errors.ts';
import { readElf } from '../../formats/elf/read.ts';
import { signElf } from '../../systems/solaris/sign.ts';
import { readSignatures, type Signature } from '../../systems/solaris/signature.ts';
import type { ToolResult } from '../system.ts';
import { done, failed } from './results.ts';
import type { SolarisSession } from './session.ts';
import { readCertificates, Trust } from './trust-store.ts';

const CODE = { badArgument: 1, verify: 2, open: 3, certificate: 4, key: 5, sign: 6, unsigned: 7 } as const;
const USAGE = [
  'usage:',
  '\telfsign sign -k <private_key> -c <certificate_file> -e <elf_object>',
  '\telfsign verify [-c <certificate_file>] [-v] -e <elf_object>',
  '\telfsign list -f signer -e <elf_object>',
].join('\n');

const FORMATS: Readonly<Record<number, string>> = {
  1: 'rsa_md5_sha1',
  2: 'rsa_md5_sha1',
  3: 'rsa_sha1',
  4: 'rsa_sha1',
};

/** The name of the format, and for versions that are not published the algorithm. */
const formatName = ({ version, oid }: Signature): string =>
  oid === '1.2.840.113549.1.1.11' ? 'rsa_sha256' : (FORMATS[version] ?? `version ${version}`);

export async function elfsign(session: SolarisSession, args: readonly string[]): Promise<ToolResult> {
  const [command, ...rest] = args;
  const options = new Map<string, string>();
  for (let i = 0; i < rest.length; i++) {
    if (rest[i] === '-v') options.set('v', '');
    else if (/^-[kcef]$/.test(rest[i]) && rest[i + 1] !== undefined) options.set(rest[i][1], rest[++i]);
    else if (!rest[i].startsWith('-') && !options.has('e')) options.set('e', rest[i]);
    else return failed(USAGE, CODE.badArgument);
  }
  const path = options.get('e');
  if (path === undefined) return failed(USAGE, CODE.badArgument);
  const bytes = session.files.read(path) ?? session.host.read(path);
  if (bytes === undefined) return failed(`elfsign: unable to open ${path}.`, CODE.open);
  if (command === 'sign') return await signFile(session, path, bytes, options);
  return command === 'verify' || command === 'list'
    ? show(session, path, bytes, options, command)
    : failed(USAGE, CODE.badArgument);
}

function show(
  session: SolarisSession,
  path: string,
  bytes: Uint8Array,
  options: ReadonlyMap<string, string>,
  command: 'verify' | 'list',
): ToolResult {
  let signatures: Signature[];
  try {
    signatures = readSignatures(readElf(bytes));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { ...failed(`elfsign: ${path} is not an ELF object.`, CODE.open), note: error.message };
  }
  const [first] = signatures;
  if (first === undefined) return failed(`elfsign: no signature found in ${path}.`, CODE.unsigned);
  if (command === 'list') return done(`${first.signer}\n`);
  const store = options.has('c') ? session.host.read(options.get('c') ?? '') : undefined;
  const trust = store === undefined ? session.trust : new Trust(store);
  const verdict = trust.verdict(bytes);
  if (verdict.kind !== 'trusted') {
    const why =
      verdict.kind === 'unknown-signer'
        ? `no certificate of ${verdict.signer} was given (-c FILE)`
        : verdict.kind;
    return { ...failed(`elfsign: verification of ${path} failed.`, CODE.verify), note: why };
  }
  const more = options.has('v') ? details(first) : '';
  return done(`elfsign: verification of ${path} passed.\n${more}`);
}

function details(signature: Signature): string {
  const time = signature.time ? `signed on: ${new Date(signature.time * 1000).toUTCString()}.\n` : '';
  return `format: ${formatName(signature)}.\nsigner: ${signature.signer}.\n${time}`;
}

async function signFile(
  session: SolarisSession,
  path: string,
  bytes: Uint8Array,
  options: ReadonlyMap<string, string>,
): Promise<ToolResult> {
  const [key, certificate] = ['k', 'c'].map((letter) => session.host.read(options.get(letter) ?? ''));
  if (certificate === undefined) return failed('elfsign: cannot read the certificate.', CODE.certificate);
  if (key === undefined) return failed('elfsign: cannot read the private key.', CODE.key);
  const [own] = readCertificates(certificate);
  try {
    const signed = await signWith(bytes, own, key, Math.floor(session.kernel.time.now() / 1e9));
    session.files.write(path, signed);
    return done(`elfsign: ${path} signed successfully.\n`);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { ...failed(`elfsign: signing of ${path} failed.`, CODE.sign), note: error.message };
  }
}

/** The order in which a file names its signer: as the certificate has the parts, joined by a comma and a blank. */
export const signerName = (certificate: X509Certificate): string =>
  certificate.subject.replaceAll('\n', ', ');

/** @throws FormatError */
export async function signWith(
  bytes: Uint8Array,
  certificate: X509Certificate,
  key: Uint8Array,
  time: number,
): Promise<Uint8Array> {
  const secret = createPrivateKey(Buffer.from(key));
  const length = makeSignature('sha256', new Uint8Array(0), secret).length;
  return await signElf(bytes, (signed) => makeSignature('sha256', signed, secret), {
    signer: signerName(certificate),
    time,
    length,
  });
}
