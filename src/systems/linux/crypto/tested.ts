/**
 * Names that the kernel has a test for (crypto/testmgr.c): registering any other is noted in the log. Single ciphers are tested as
 * `ecb(NAME)`. Collected from 6.1 and 6.12; those that came or went between them are told apart by how registering waits.
 */

import type { Linux } from '../linux.ts';
import { schedulesTests } from './flags.ts';
import type { AlgorithmKind } from './registry.ts';

const ALONE =
  'adiantum(xchacha12,aes) adiantum(xchacha20,aes) aegis128 ansi_cprng authenc(hmac(md5),ecb(cipher_null)) ' +
  'authenc(hmac(sha1),cbc(aes)) authenc(hmac(sha1),cbc(des)) authenc(hmac(sha1),cbc(des3_ede)) ' +
  'authenc(hmac(sha1),ctr(aes)) authenc(hmac(sha1),ecb(cipher_null)) authenc(hmac(sha1),rfc3686(ctr(aes))) ' +
  'authenc(hmac(sha224),cbc(des)) authenc(hmac(sha224),cbc(des3_ede)) authenc(hmac(sha256),cbc(aes)) ' +
  'authenc(hmac(sha256),cbc(des)) authenc(hmac(sha256),cbc(des3_ede)) authenc(hmac(sha256),ctr(aes)) ' +
  'authenc(hmac(sha256),rfc3686(ctr(aes))) authenc(hmac(sha384),cbc(des)) ' +
  'authenc(hmac(sha384),cbc(des3_ede)) authenc(hmac(sha384),ctr(aes)) ' +
  'authenc(hmac(sha384),rfc3686(ctr(aes))) authenc(hmac(sha512),cbc(aes)) authenc(hmac(sha512),cbc(des)) ' +
  'authenc(hmac(sha512),cbc(des3_ede)) authenc(hmac(sha512),ctr(aes)) ' +
  'authenc(hmac(sha512),rfc3686(ctr(aes))) blake2b-160 blake2b-256 blake2b-384 blake2b-512 chacha20 ' +
  'compress_null crc32 crc32c crc64-rocksoft crct10dif cts(cbc(aes)) cts(cbc(paes)) curve25519 deflate dh ' +
  'digest_null drbg_nopr_ctr_aes128 drbg_nopr_ctr_aes192 drbg_nopr_ctr_aes256 drbg_nopr_hmac_sha256 ' +
  'drbg_nopr_hmac_sha384 drbg_nopr_hmac_sha512 drbg_nopr_sha256 drbg_nopr_sha384 drbg_nopr_sha512 ' +
  'drbg_pr_ctr_aes128 drbg_pr_ctr_aes192 drbg_pr_ctr_aes256 drbg_pr_hmac_sha256 drbg_pr_hmac_sha384 ' +
  'drbg_pr_hmac_sha512 drbg_pr_sha256 drbg_pr_sha384 drbg_pr_sha512 ecdh-nist-p192 ecdh-nist-p256 ' +
  'ecdh-nist-p384 ecdsa-nist-p192 ecdsa-nist-p256 ecdsa-nist-p384 ecrdsa ' +
  'essiv(authenc(hmac(sha256),cbc(aes)),sha256) essiv(cbc(aes),sha256) ffdhe2048(dh) ffdhe3072(dh) ' +
  'ffdhe4096(dh) ffdhe6144(dh) ffdhe8192(dh) ghash hctr2(aes) jitterentropy_rng kw(aes) lz4 lz4hc lzo ' +
  'lzo-rle md4 md5 michael_mic nhpoly1305 pcbc(fcrypt) pkcs1pad(rsa,sha224) pkcs1pad(rsa,sha256) ' +
  'pkcs1pad(rsa,sha384) pkcs1pad(rsa,sha512) poly1305 polyval rfc3686(ctr(aes)) rfc3686(ctr(sm4)) ' +
  'rfc4106(gcm(aes)) rfc4309(ccm(aes)) rfc4543(gcm(aes)) rfc7539(chacha20,poly1305) ' +
  'rfc7539esp(chacha20,poly1305) rmd160 rsa sha1 sha224 sha256 sha3-224 sha3-256 sha3-384 sha3-512 sha384 ' +
  'sha512 sm3 streebog256 streebog512 vmac64(aes) wp256 wp384 wp512 xcbc(aes) xchacha12 xchacha20 xctr(aes) ' +
  'xxhash64 zstd';

/** By template, what it is tested on. */
const TEMPLATES: Readonly<Record<string, string>> = {
  cbc: 'aes anubis aria blowfish camellia cast5 cast6 des des3_ede paes psm4 serpent sm4 twofish',
  cbcmac: 'aes sm4',
  ccm: 'aes sm4',
  cmac: 'aes des3_ede sm4',
  ctr: 'aes aria blowfish camellia cast5 cast6 des des3_ede paes psm4 serpent sm4 twofish',
  ecb: 'aes anubis arc4 aria blowfish camellia cast5 cast6 cipher_null des des3_ede fcrypt khazad paes seed serpent sm4 tea twofish xeta xtea',
  gcm: 'aes aria sm4',
  hmac: 'md5 rmd160 sha1 sha224 sha256 sha3-224 sha3-256 sha3-384 sha3-512 sha384 sha512 sm3 streebog256 streebog512',
  lrw: 'aes camellia cast6 serpent twofish',
  xts: 'aes camellia cast6 paes serpent twofish',
};

const UP_TO_6_8 =
  'cfb(aes) cfb(aria) cfb(sm4) ofb(aes) ofb(paes) ofb(sm4) sm2 zlib-deflate xts512(paes) xts4096(paes) ' +
  'drbg_nopr_sha1 drbg_nopr_hmac_sha1 drbg_pr_sha1 drbg_pr_hmac_sha1';

const SINCE_6_8 =
  'cmac(camellia) cts(cbc(sm4)) deflate-iaa ecdsa-nist-p521 pkcs1pad(rsa,sha3-256) pkcs1pad(rsa,sha3-384) ' +
  'pkcs1pad(rsa,sha3-512) xcbc(sm4) xts(sm4)';

const names = (list: string): string[] => list.split(' ');
const ALWAYS: ReadonlySet<string> = new Set([
  ...names(ALONE),
  ...Object.entries(TEMPLATES).flatMap(([template, inner]) =>
    names(inner).map((name) => `${template}(${name})`),
  ),
]);
const EARLIER: ReadonlySet<string> = new Set(names(UP_TO_6_8));
const LATER: ReadonlySet<string> = new Set(names(SINCE_6_8));

/** Has this kernel a test for an algorithm of that name, or for that implementation? */
export function isTested(k: Linux, kind: AlgorithmKind, name: string, driver: string): boolean {
  const known = (one: string) => ALWAYS.has(one) || (schedulesTests(k) ? LATER : EARLIER).has(one);
  return kind === 'cipher' ? known(`ecb(${name})`) : known(name) || known(driver);
}
