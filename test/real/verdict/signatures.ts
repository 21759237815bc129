/** Modules in every state of signature, made with openssl and with a key that the kernel does not know, or does. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KernelFile } from '../../../src/systems/linux/kernelfile/kernelfile.ts';
import { takeApart } from '../../../src/systems/linux/rules/signature.ts';
import { attach } from '../../../src/tools/linux/sign.ts';
import { makeKey, signed } from '../../systems/linux/keys.ts';
import { buildModule } from './module-builder.ts';
import type { LoadStep } from './qemu.ts';

/** @param donor a module of the kernel's own build, signed */
export function signatureStates(kernel: KernelFile, donor: Uint8Array): LoadStep[] {
  const plain = buildModule(kernel, { imports: ['_printk'] }).bytes;
  const steps: LoadStep[] = [];
  const add = (name: string, bytes: Uint8Array, flags = 0) =>
    steps.push({ name: `sig-${name}`, how: 'finit', bytes, flags });
  const changed = (bytes: Uint8Array, at: number, value?: number): Uint8Array => {
    const out = bytes.slice();
    out[at < 0 ? out.length + at : at] = value ?? out[at < 0 ? out.length + at : at] ^ 1;
    return out;
  };
  add('unsigned', plain);
  add('own', donor);
  add('own-changed', changed(donor, 0x60));
  add('own-changed-header', changed(donor, 5));
  add('own-changed-end', changed(donor, (takeApart(donor)?.content.length ?? 1) - 1));
  add('own-changed-signature', changed(donor, -28 - 12 - 20));
  add('own-signature-on-other', attach(plain, takeApart(donor)?.message ?? new Uint8Array(0)));
  add('own-stripped', takeApart(donor)?.content ?? donor);
  add('own-flag-1', donor, 1);
  add('own-flag-2', donor, 2);
  add('own-marker-cut', donor.subarray(0, donor.length - 1));
  add('own-marker-only', donor.subarray(donor.length - 28));
  add('own-trailing-newline', Uint8Array.from([...donor, 10]));
  const info = -28 - 12;
  add('trailer-algo', changed(donor, info, 1));
  add('trailer-hash', changed(donor, info + 1, 4));
  add('trailer-id-type-0', changed(donor, info + 2, 0));
  add('trailer-id-type-1', changed(donor, info + 2, 1));
  add('trailer-signer-length', changed(donor, info + 3, 9));
  add('trailer-key-length', changed(donor, info + 4, 9));
  add('trailer-padding', changed(donor, info + 6, 9));
  add('trailer-length-huge', changed(donor, info + 8, 0x7f));
  add('trailer-length-0', changed(changed(donor, info + 10, 0), info + 11, 0));
  add('trailer-length-less', changed(donor, info + 11));
  add(
    'garbage',
    attach(
      plain,
      Uint8Array.from({ length: 300 }, (_, i) => (i * 7) & 0xff),
    ),
  );
  add('garbage-sequence', attach(plain, Uint8Array.of(0x30, 3, 1, 2, 3)));
  add('empty-message', attach(plain, new Uint8Array(0)));
  const rsa = makeKey('rsa');
  for (const hash of ['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512', 'sha3-256'])
    add(`stranger-${hash}`, signed(plain, rsa, hash));
  add('stranger-key-id', signed(plain, rsa, 'sha256', true));
  add('stranger-ec', signed(plain, makeKey('P-256')));
  add('stranger-ec384-sha384', signed(plain, makeKey('P-384'), 'sha384'));
  const tampered = signed(plain, rsa);
  tampered[80] ^= 1;
  add('stranger-changed', tampered);
  add('twice', signed(donor, rsa));
  cms(plain, (name, message) => add(name, attach(plain, message)));
  return steps;
}

/** What `openssl cms` makes and sign-file does not. */
function cms(plain: Uint8Array, add: (name: string, message: Uint8Array) => void): void {
  const work = mkdtempSync(join(tmpdir(), 'cms-'));
  const at = (name: string) => join(work, name);
  try {
    writeFileSync(at('m'), plain);
    const subject = ['-subj', '/O=Example/CN=A stranger', '-addext', 'subjectKeyIdentifier=hash'];
    const how = ['req', '-x509', '-nodes', '-days', '3650', '-newkey', 'rsa:2048', ...subject];
    execFileSync('openssl', [...how, '-keyout', at('key'), '-out', at('crt')], { stdio: 'ignore' });
    const sign = (name: string, ...options: string[]) => {
      const key = [
        '-signer',
        at('crt'),
        '-inkey',
        at('key'),
        '-in',
        at('m'),
        '-out',
        at('o'),
        '-outform',
        'DER',
      ];
      execFileSync('openssl', ['cms', '-sign', '-binary', ...key, ...options]);
      add(name, new Uint8Array(readFileSync(at('o'))));
    };
    sign('attributes', '-nocerts');
    sign('contents-inside', '-nocerts', '-noattr', '-nodetach');
    sign('certificate-inside', '-noattr');
    sign('certificate-inside-attributes');
    sign('pss', '-nocerts', '-noattr', '-keyopt', 'rsa_padding_mode:pss');
    sign('two-digests', '-nocerts', '-noattr', '-md', 'sha512');
    const message = new Uint8Array(readFileSync(at('o')));
    add('message-cut', message.subarray(0, message.length - 10));
    const version = message.slice();
    version[version.indexOf(2, 15) + 2] = 9;
    add('message-version', version);
    execFileSync('openssl', [
      'cms',
      '-digest_create',
      '-in',
      at('m'),
      '-out',
      at('o'),
      '-outform',
      'DER',
      '-binary',
    ]);
    add('digest-only', new Uint8Array(readFileSync(at('o'))));
    writeFileSync(at('m'), Uint8Array.from([...plain, 1]));
    sign('certificate-inside-changed', '-noattr');
    sign('certificate-inside-nosignerid', '-noattr', '-keyid');
  } finally {
    rmSync(work, { recursive: true });
  }
}
