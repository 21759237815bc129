/** Encryption with tags by Debian's modules, made on request out of their parts, against OpenSSL's where it has it. */
import { type CipherCCMTypes, type CipherGCMTypes, createCipheriv } from 'node:crypto';
import { expect, it } from 'vitest';
import { procCrypto } from '../../src/systems/linux/crypto/registry.ts';
import { mixed } from '../../src/targets/mixed-bytes.ts';
import { describeModules, hex } from './linux-use.ts';

type Seal = (key: Uint8Array, iv: Uint8Array, associated: Uint8Array, text: Uint8Array) => Uint8Array;

function seal(name: string): Seal {
  return (key, iv, associated, text) => {
    const cipher = createCipheriv(name as CipherGCMTypes, key, iv, { authTagLength: 16 });
    cipher.setAAD(associated);
    return Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]);
  };
}

/** The kernel's vector for CCM is the counter block: how many bytes the length has less one, then the nonce. */
const sealCcm: Seal = (key, iv, associated, text) => {
  const name: CipherCCMTypes = 'aes-128-ccm';
  const cipher = createCipheriv(name, key, iv.subarray(1, 15 - iv[0]), { authTagLength: 16 });
  cipher.setAAD(associated, { plaintextLength: text.length });
  return Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]);
};

const plainKey = (length: number): Uint8Array => mixed(length, 5);

/** struct rtattr with the length of the cipher's key before both keys (crypto_authenc_extractkeys). */
function jointKey(hash: number, cipher: number): Uint8Array {
  const key = new Uint8Array(8 + hash + cipher);
  key.set([8, 0, 1, 0, 0, 0, 0, cipher]);
  key.set(mixed(hash + cipher, 5), 8);
  return key;
}

const AEADS: readonly {
  readonly module: string;
  readonly name: string;
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
  readonly tag?: number;
  readonly theirs?: Seal;
}[] = [
  { module: 'gcm', name: 'gcm(aes)', key: plainKey(16), iv: mixed(12, 9), theirs: seal('aes-128-gcm') },
  { module: 'gcm', name: 'gcm(aes)', key: plainKey(32), iv: mixed(12, 9), theirs: seal('aes-256-gcm') },
  { module: 'gcm', name: 'gcm(camellia)', key: plainKey(16), iv: mixed(12, 9) },
  { module: 'gcm', name: 'rfc4106(gcm(aes))', key: plainKey(20), iv: mixed(8, 9) },
  {
    module: 'ccm',
    name: 'ccm(aes)',
    key: plainKey(16),
    iv: Uint8Array.from([3, ...mixed(11, 9), 0, 0, 0, 0]),
    theirs: sealCcm,
  },
  {
    module: 'chacha20poly1305',
    name: 'rfc7539(chacha20,poly1305)',
    key: plainKey(32),
    iv: mixed(12, 9),
    theirs: seal('chacha20-poly1305'),
  },
  {
    module: 'authenc',
    name: 'authenc(hmac(sha256),cbc(aes))',
    key: jointKey(32, 16),
    iv: mixed(16, 9),
    tag: 32,
  },
  { module: 'aegis128', name: 'aegis128', key: plainKey(16), iv: mixed(16, 9) },
  { module: 'aegis128-aesni', name: 'aegis128', key: plainKey(16), iv: mixed(16, 9) },
  {
    module: 'aesni-intel',
    name: 'gcm(aes)',
    key: plainKey(16),
    iv: mixed(12, 9),
    theirs: seal('aes-128-gcm'),
  },
];

/** As Debian's 6.1 on QEMU shows it after the same request, but for who uses it. */
const SHOWN = `name         : gcm(aes)
driver       : gcm_base(ctr(aes-generic),ghash-generic)
module       : gcm
priority     : 100
refcnt       : 1
selftest     : passed
internal     : no
type         : aead
async        : no
blocksize    : 1
ivsize       : 12
maxauthsize  : 16
geniv        : <none>

name         : ctr(aes)
driver       : ctr(aes-generic)
module       : ctr
priority     : 100
refcnt       : 1
selftest     : passed
internal     : no
type         : skcipher
async        : no
blocksize    : 1
min keysize  : 16
max keysize  : 32
ivsize       : 16
chunksize    : 16
walksize     : 16

`;

describeModules('encryption with tags', (modules) => {
  it.each(AEADS.filter(({ module }) => modules.has(module)))(
    '$module: $name, $key.length bytes of key',
    ({ module, name, key, iv, tag = 16, theirs }) => {
      const [associated, text] = [mixed(20, 7), mixed(4992, 3)];
      const { result, leaks } = modules.with(module, (live) => {
        const parts = [key, iv, associated] as const;
        const sealed = live.aead(name, parts, text, tag, 'encrypt');
        if (typeof sealed === 'number') throw new Error(`${name}: ${sealed}`);
        const changed = sealed.slice();
        changed[17] ^= 4;
        return {
          sealed,
          back: live.aead(name, parts, sealed, tag, 'decrypt'),
          wrong: live.aead(name, parts, changed, tag, 'decrypt'),
        };
      });
      expect(hex(result.back as Uint8Array)).toBe(hex(text));
      // EBADMSG
      expect(result.wrong).toBe(-74);
      expect(result.sealed).toHaveLength(text.length + tag);
      if (theirs !== undefined) expect(hex(result.sealed)).toBe(hex(theirs(key, iv, associated, text)));
      expect(leaks).toBe(0);
    },
  );

  it('stand in /proc/crypto with what they are made of', () => {
    const { result } = modules.with('gcm', (live) => {
      const key = mixed(16, 5);
      live.aead('gcm(aes)', [key, mixed(12, 9), key], key, 16, 'encrypt');
      return procCrypto(live.k);
    });
    expect(result.slice(0, SHOWN.length)).toBe(SHOWN);
  });

  it('are over scatter lists in adiantum, too, which hashes and encrypts', () => {
    const [key, iv, text] = [mixed(32, 5), mixed(32, 9), mixed(4992, 3)];
    const name = 'adiantum(xchacha12,aes)';
    const { result, leaks } = modules.with('adiantum', (live) => {
      const secret = live.cipher(name, key, iv, text, 'encrypt');
      return live.cipher(name, key, iv, secret, 'decrypt');
    });
    expect(hex(result)).toBe(hex(text));
    expect(leaks).toBe(0);
  });
});
