/** `lkm sign` against the kernel's own scripts/sign-file, byte by byte, with keys that openssl makes. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { hashNamed } from '../../src/formats/pki/hashes.ts';
import { readCertificates } from '../../src/formats/pki/pem.ts';
import { bootLinux } from '../../src/systems/linux/bootkernel.ts';
import { insmod } from '../../src/systems/linux/loader.ts';
import { attach, signatureOf } from '../../src/tools/linux/sign.ts';
import { builtinKernel } from '../systems/linux/kernel.ts';
import { describeWith, needsTool } from './require.ts';

/** scripts/sign-file of a headers package. */
function signFile(): string | undefined {
  const openssl = needsTool('openssl');
  const found = readdirSync('/usr/lib')
    .filter((name) => name.startsWith('linux-kbuild-'))
    .map((name) => `/usr/lib/${name}/scripts/sign-file`)
    .find((path) => existsSync(path));
  return openssl === undefined ? undefined : (found ?? needsTool('sign-file'));
}

const hello = fileURLToPath(new URL('../../fixtures/linux/built/hello.ko', import.meta.url));

describeWith(signFile(), 'lkm sign and sign-file', (program) => {
  const work = mkdtempSync(join(tmpdir(), 'sign-'));
  const at = (name: string) => join(work, name);
  const read = (name: string) => new Uint8Array(readFileSync(at(name)));
  const certificate = () => {
    const [first] = readCertificates(read('rsa.crt'));
    if (first === undefined) throw new Error('no certificate');
    return first;
  };

  beforeAll(() => {
    const subject = ['-subj', '/O=Example/CN=A key', '-addext', 'subjectKeyIdentifier=hash'];
    const how = ['req', '-x509', '-nodes', '-days', '3650', '-newkey', 'rsa:2048', ...subject];
    execFileSync('openssl', [...how, '-keyout', at('rsa.pem'), '-out', at('rsa.crt')], { stdio: 'ignore' });
  });
  afterAll(() => rmSync(work, { recursive: true }));

  it.each(['sha1', 'sha224', 'sha256', 'sha384', 'sha512', 'md5', 'sha3-256'])(
    'write the same bytes with %s',
    (name) => {
      execFileSync(program, [name, at('rsa.pem'), at('rsa.crt'), hello, at('theirs.ko')]);
      const content = new Uint8Array(readFileSync(hello));
      const hash = hashNamed(name);
      if (hash === undefined) throw new Error(name);
      const request = { content, key: read('rsa.pem'), certificate: certificate(), hash, byKeyId: false };
      expect(Buffer.compare(attach(content, signatureOf(request)), read('theirs.ko'))).toBe(0);
    },
  );

  it('name the key by its identifier alike, and write the same detached signature', () => {
    const hash = hashNamed('sha256');
    if (hash === undefined) throw new Error('sha256');
    const content = new Uint8Array(readFileSync(hello));
    const request = { content, key: read('rsa.pem'), certificate: certificate(), hash, byKeyId: true };
    execFileSync(program, ['-k', 'sha256', at('rsa.pem'), at('rsa.crt'), hello, at('theirs.ko')]);
    expect(Buffer.compare(attach(content, signatureOf(request)), read('theirs.ko'))).toBe(0);
    copyFileSync(hello, at('detached.ko'));
    execFileSync(program, ['-d', 'sha256', at('rsa.pem'), at('rsa.crt'), at('detached.ko')]);
    expect(Buffer.compare(signatureOf({ ...request, byKeyId: false }), read('detached.ko.p7s'))).toBe(0);
  });

  it('are believed by a kernel that knows the certificate', () => {
    execFileSync(program, ['sha256', at('rsa.pem'), at('rsa.crt'), hello, at('theirs.ko')]);
    const k = bootLinux(builtinKernel(), {
      certificates: [read('rsa.crt')],
      commandLine: 'module.sig_enforce=1',
    });
    const result = insmod(k, read('theirs.ko'));
    expect(result.outcome === 'loaded' && result.module.signature.verdict).toBe('trusted-key');
  });
});
