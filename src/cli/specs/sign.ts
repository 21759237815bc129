/** `lkm sign`. */
import type { CommandSpec } from '../command.ts';

export const sign: CommandSpec = {
  name: 'sign',
  summary: 'sign a Linux module as the kernel build does, or take its signature off',
  usage: [
    '--key FILE --cert FILE [OPTION]... MODULE',
    '--raw FILE [OPTION]... MODULE',
    '--strip [OPTION]... MODULE',
  ],
  description: [
    "Writes the bytes that the kernel's scripts/sign-file writes: the module, a PKCS#7 message without certificates and " +
      'attributes, and the trailer by which the kernel finds it. The module is changed in place unless --output is given.',
    'The key is PEM, with RSA or an elliptic curve; a passphrase is taken from KBUILD_SIGN_PIN. The certificate is PEM or ' +
      'DER.',
  ],
  arguments: [{ name: 'MODULE', summary: 'an uncompressed module', required: true, complete: 'module' }],
  options: [
    { name: 'key', value: 'FILE', complete: 'file', summary: 'the private key, PEM' },
    { name: 'cert', value: 'FILE', complete: 'file', summary: 'its certificate, PEM or DER' },
    {
      name: 'hash',
      value: 'NAME',
      summary: 'sha256 (the default), sha1, sha224, sha384, sha512, sha3-256 ...',
    },
    {
      name: 'keyid',
      short: 'k',
      summary: 'name the key by its identifier instead of issuer and serial number',
    },
    {
      name: 'detached',
      short: 'd',
      summary: 'only write the signature, beside the module, with the ending p7s',
    },
    { name: 'p7s', short: 'p', summary: 'write the signature beside the module as well' },
    {
      name: 'raw',
      value: 'FILE',
      complete: 'file',
      summary: 'append this PKCS#7 message, which was made elsewhere',
    },
    { name: 'strip', summary: 'take the signature off' },
    {
      name: 'output',
      short: 'o',
      value: 'FILE',
      complete: 'file',
      writes: true,
      summary: 'write the module here',
    },
  ],
  shared: ['json'],
  examples: [
    {
      command: 'lkm sign hello.ko --key mok.key --cert mok.der',
      explanation: 'as sign-file sha256 mok.key mok.der hello.ko',
    },
    { command: 'lkm sign --strip hello.ko -o plain.ko', explanation: 'the module alone' },
  ],
  load: () => import('../commands/sign.ts'),
};
