/** `lkm sign`: a signature behind a module, or none. */
import { compressionOf } from '../../bytes/decompress.ts';
import { FormatError } from '../../bytes/errors.ts';
import { readDer } from '../../formats/der.ts';
import type { Certificate } from '../../formats/pki/certificate.ts';
import { type HashAlgorithm, hashNamed, hashNames } from '../../formats/pki/hashes.ts';
import { readCertificates } from '../../formats/pki/pem.ts';
import { attach, signatureOf, strip } from '../../tools/linux/sign.ts';
import type { Command, CommandContext } from '../command.ts';
import { Failure, usageError } from '../failure.ts';
import { linuxModulesOnly } from '../foreign.ts';

export const command: Command = {
  async run(context) {
    const [path] = context.args;
    await linuxModulesOnly([path], context);
    if (context.options.flag('strip')) return takeOff(context, path);
    return putOn(context, path);
  },
};

function takeOff(context: CommandContext, path: string): number {
  for (const name of ['key', 'cert', 'raw', 'hash'])
    if (context.options.text(name) !== undefined)
      throw usageError(`--strip and --${name} exclude each other`);
  const plain = told(path, () => strip(context.readFile(path)));
  if (plain === undefined)
    throw new Failure('is not signed', { subject: path, hint: 'there is nothing to take off' });
  finish(context, path, plain, 0);
  return 0;
}

function putOn(context: CommandContext, path: string): number {
  const { options } = context;
  const content = context.readFile(path);
  // The kernel looks for the signature behind what it has unpacked.
  const packing = compressionOf(content);
  if (packing !== undefined)
    throw new Failure(`is compressed (${packing})`, {
      subject: path,
      hint: 'unpack it, sign it, pack it again',
    });
  if (content.length === 0) throw new Failure('is empty', { subject: path });
  if (told(path, () => strip(content)) !== undefined)
    context.err(`lkm: ${path}: is signed already; the new signature stands behind the old one\n`);
  const message = messageFor(context, content);
  const beside = `${options.text('output') ?? path}.p7s`;
  if (options.flag('detached') || options.flag('p7s')) context.writeFile(beside, message);
  if (options.flag('detached')) {
    if (options.flag('json')) context.json('lkm.sign/1', { signature: beside, bytes: message.length });
    return 0;
  }
  finish(context, path, attach(content, message), message.length);
  return 0;
}

function finish(context: CommandContext, path: string, bytes: Uint8Array, signature: number): void {
  const output = context.options.text('output') ?? path;
  context.writeFile(output, bytes);
  if (context.options.flag('json'))
    context.json('lkm.sign/1', { module: output, bytes: bytes.length, signature });
}

function messageFor(context: CommandContext, content: Uint8Array): Uint8Array {
  const { options } = context;
  const raw = options.text('raw');
  const key = options.text('key');
  const cert = options.text('cert');
  if (raw !== undefined) {
    if (key !== undefined)
      throw usageError('--raw and --key exclude each other', 'the raw signature is made already');
    const message = context.readFile(raw);
    told(raw, () => readDer(message, 'PKCS#7'));
    return message;
  }
  if (key === undefined || cert === undefined)
    throw usageError('a key and its certificate are wanted', 'lkm sign MODULE --key KEY.pem --cert CERT.der');
  const request = {
    content,
    key: context.readFile(key),
    passphrase: context.environment.KBUILD_SIGN_PIN,
    certificate: certificateOf(context, cert),
    hash: chosenHash(options.text('hash') ?? 'sha256'),
    byKeyId: options.flag('keyid'),
  };
  return told(key, () => signatureOf(request));
}

function certificateOf(context: CommandContext, path: string): Certificate {
  const [first] = told(path, () => readCertificates(context.readFile(path)));
  if (first === undefined) throw new Failure('holds no certificate', { subject: path });
  return first;
}

function chosenHash(name: string): HashAlgorithm {
  const found = hashNamed(name.toLowerCase());
  if (found === undefined)
    throw usageError(`there is no hash '${name}' here`, `there are ${hashNames().join(', ')}`);
  return found;
}

/** Errors of readers, as failures of the file that is to blame. */
function told<T>(path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new Failure(error.message, { subject: path, cause: error });
  }
}
