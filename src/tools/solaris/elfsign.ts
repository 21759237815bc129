/**
 * elfsign(1): verify, list and sign. Options, texts and exit codes are the command's (cmd/cmd-crypto/elfsign of illumos).
 * Keys in tokens, activation files and requests for certificates are not there.
 */
import { createPrivateKey, sign as makeSignature, type X509Certificate } from 'node:crypto';
import { FormatError } from '../../bytes/errors.ts';
import { readElf } from '../../formats/elf/read.ts';
import { seconds } from '../../systems/solaris/functions/clock.ts';
import { signElf } from '../../systems/solaris/sign.ts';
import { readSignatures, type Signature } from '../../systems/solaris/signature.ts';
import type { ToolResult } from '../system.ts';
import { failed } from './results.ts';
import type { SolarisSession } from './session.ts';
import { readCertificates, Trust } from './trust-store.ts';

const CODE = { badArgument: 1, verify: 2, open: 3, certificate: 4, key: 5, sign: 6, unsigned: 7 } as const;
const USAGE = [
  'usage:',
  '\telfsign sign [-a] [-v] [-e <elf_object>] -c <certificate_file>',
  '\t\t[-F <format>] -k <private_key_file> [elf_object]...',
  '\telfsign sign [-a] [-v] [-e <elf_object>] -c <certificate_file>',
  '\t\t[-F <format>] -T <token_label> [-P <pin_file>] [elf_object]...',
  '',
  '\telfsign verify [-v] [-c <certificate_file>] [-e <elf_object>]',
  '\t\t[elf_object]...',
  '',
  '\telfsign request -r <certificate_request_file> -k <private_key_file>',
  '\telfsign request -r <certificate_request_file> -T <token_label>',
  '',
  '\telfsign list -f field -c <certificate_file>',
  '\telfsign list -f field -e <elf_object>',
  '',
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

/** Letters of each subcommand that take a value, and those that take none. */
const LETTERS: Readonly<Record<string, readonly [plain: string, valued: string]>> = {
  sign: ['av', 'ceFkTP'],
  verify: ['v', 'ce'],
  list: ['', 'cef'],
  request: ['', 'rkT'],
};
const FIELDS = new Set(['subject', 'issuer', 'format', 'signer', 'time']);

interface Options {
  readonly verbose: boolean;
  readonly activation: boolean;
  readonly values: ReadonlyMap<string, string>;
  /** Those of -e, then those without a letter. */
  readonly files: readonly string[];
}

const wrong = (text = ''): ToolResult => failed(text + USAGE, CODE.badArgument);

function parse(args: readonly string[], plain: string, valued: string): Options | undefined {
  const values = new Map<string, string>();
  const flags = new Set<string>();
  const named: string[] = [];
  let i = 0;
  for (; i < args.length && /^-./.test(args[i]); i++) {
    const letter = args[i][1];
    if (plain.includes(letter)) flags.add(letter);
    else if (valued.includes(letter)) {
      const value = args[i].length > 2 ? args[i].slice(2) : args[++i];
      if (value === undefined) return undefined;
      if (letter === 'e') named.push(value);
      else values.set(letter, value);
    } else return undefined;
  }
  const files = [...named, ...args.slice(i)];
  return { verbose: flags.has('v'), activation: flags.has('a'), values, files };
}

/** Is everything there that the subcommand needs, and nothing that it does not know? */
function complete(command: string, { values, files }: Options): boolean {
  if (values.has('k') && (values.has('T') || values.has('P'))) return false;
  if (values.has('F') && !/^rsa_(md5_)?sha1$/i.test(values.get('F') ?? '')) return false;
  if (command === 'verify') return files.length > 0;
  if (command === 'sign') return files.length > 0 && values.has('c') && (values.has('k') || values.has('T'));
  if (command === 'request') return values.has('r') && (values.has('k') || values.has('T'));
  return FIELDS.has((values.get('f') ?? '').toLowerCase()) && values.has('c') !== (files.length === 1);
}

export async function elfsign(session: SolarisSession, args: readonly string[]): Promise<ToolResult> {
  const [command, ...rest] = args;
  if (rest.length === 0) return wrong('elfsign: invalid number of arguments\n');
  const letters = LETTERS[command];
  if (letters === undefined) return wrong(`elfsign: Unknown sub-command: ${command}\n`);
  const options = parse(rest, ...letters);
  if (options === undefined || !complete(command, options)) return wrong();
  if (command === 'request' || options.activation || options.values.has('T'))
    return failed('', CODE.badArgument, 'keys in tokens, requests and activation files are not there');
  if (command === 'list') return list(session, options);
  let result: ToolResult = { code: 0, out: '', err: '' };
  for (const path of options.files) {
    const one = command === 'sign' ? await signFile(session, path, options) : verify(session, path, options);
    const code = Math.max(result.code, one.code);
    result = { code, out: result.out + one.out, err: result.err + one.err, note: one.note ?? result.note };
    if (command === 'sign' && code !== 0) break;
  }
  return result;
}

const fileOf = (session: SolarisSession, path: string): Uint8Array | undefined =>
  session.files.read(path) ?? session.host.read(path);

/** The signatures of a file; a result when it is no ELF object. */
function signaturesOf(session: SolarisSession, path: string): Signature[] | ToolResult {
  const bytes = fileOf(session, path);
  const text = `elfsign: Unable to open ${path} as an ELF object.`;
  if (bytes === undefined) return failed(text, CODE.open);
  try {
    return readSignatures(readElf(bytes));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return failed(text, CODE.open, error.message);
  }
}

/** The one line of a field; nothing where the file has none of it. */
function list(session: SolarisSession, { values, files }: Options): ToolResult {
  const field = (values.get('f') ?? '').toLowerCase();
  const line = (text: string): ToolResult => ({ code: 0, out: `${text}\n`, err: '' });
  if (values.has('c')) {
    const path = values.get('c') ?? '';
    const [certificate] = certificatesAt(session, path);
    if (certificate === undefined) return failed('', CODE.certificate, `there is no certificate in ${path}`);
    if (field === 'subject') return line(signerName(certificate));
    if (field === 'issuer') return line(certificate.issuer.replaceAll('\n', ', '));
    return { code: CODE.badArgument, out: '', err: '' };
  }
  const found = signaturesOf(session, files[0]);
  if ('code' in found) return found;
  const [first] = found;
  if (first === undefined) return { code: CODE.unsigned, out: '', err: '' };
  if (field === 'format') return line(formatName(first));
  if (field === 'signer') return line(first.signer);
  if (field === 'time' && first.time) return line(timeText(first.time));
  return { code: CODE.badArgument, out: '', err: '' };
}

/** As ctime(3C) writes it: `Thu Jan  1 00:00:00 1970`. */
function timeText(at: number): string {
  const [day = '', date = '', month = '', year = '', clock = ''] = new Date(at * 1000)
    .toUTCString()
    .split(/,? /);
  return `${day} ${month} ${String(Number(date)).padStart(2)} ${clock} ${year}`;
}

function verify(session: SolarisSession, path: string, options: Options): ToolResult {
  const found = signaturesOf(session, path);
  if ('code' in found) return found;
  const certificate = options.values.get('c');
  const store = certificate === undefined ? undefined : session.host.read(certificate);
  if (certificate !== undefined && certificatesAt(session, certificate).length === 0)
    return failed(`elfsign: Unable to open ${certificate} as a certificate.`, CODE.certificate);
  const [first] = found;
  if (first === undefined) return failed(`elfsign: no signature found in ${path}.`, CODE.unsigned);
  const trust = store === undefined ? session.trust : new Trust(store);
  const verdict = trust.verdict(fileOf(session, path) ?? new Uint8Array(0));
  const more = options.verbose ? details(first) : '';
  if (verdict.kind === 'trusted')
    return { code: 0, out: `elfsign: verification of ${path} passed.\n${more}`, err: '' };
  const why =
    verdict.kind === 'unknown-signer'
      ? `no certificate of ${verdict.signer} was given (-c FILE)`
      : verdict.kind;
  return { ...failed(`elfsign: verification of ${path} failed.`, CODE.verify, why), out: more };
}

function details(signature: Signature): string {
  const time = signature.time ? `signed on: ${timeText(signature.time)}.\n` : '';
  return `format: ${formatName(signature)}.\nsigner: ${signature.signer}.\n${time}`;
}

function certificatesAt(session: SolarisSession, path: string): X509Certificate[] {
  const bytes = session.host.read(path);
  try {
    return bytes === undefined ? [] : readCertificates(bytes);
  } catch (error) {
    if (error instanceof Error) return [];
    throw error;
  }
}

/** It says that it is done only with -v, or with several files. */
async function signFile(session: SolarisSession, path: string, options: Options): Promise<ToolResult> {
  const found = signaturesOf(session, path);
  if ('code' in found) return found;
  const { values, files, verbose } = options;
  const [certificate, key] = [values.get('c') ?? '', values.get('k') ?? ''];
  const [own] = certificatesAt(session, certificate);
  if (own === undefined)
    return failed(`elfsign: Unable to load certificate: ${certificate}`, CODE.certificate);
  const secret = session.host.read(key);
  if (secret === undefined) return failed(`elfsign: Unable to load private key: ${key}`, CODE.key);
  try {
    const bytes = fileOf(session, path) ?? new Uint8Array(0);
    const signed = await signWith(bytes, own, secret, seconds(session.kernel));
    session.files.write(path, signed);
    const told = verbose || files.length > 1 ? `elfsign: ${path} signed successfully.\n` : '';
    const [first] = readSignatures(readElf(signed));
    return { code: 0, out: told + (verbose ? details(first) : ''), err: '' };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return failed(`elfsign: Unable to sign ${path} using key from ${key}`, CODE.sign, error.message);
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
