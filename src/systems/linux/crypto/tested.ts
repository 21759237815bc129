/**
 * Names of algorithms that the kernel has test vectors for (crypto/testmgr.c): registering any other one is
 * noted in the log. Single ciphers are tested as `ecb(NAME)`.
 */
const TESTED = new Set(
  (
    'adiantum aegis128 842 aes anubis arc4 aria blake2b-160 blake2b-256 blake2b-384 blake2b-512 blowfish camellia ' +
    'cast5 cast6 chacha20 cipher_null compress_null crc32 crc32c crc64-rocksoft crct10dif curve25519 deflate des ' +
    'des3_ede dh digest_null ecdh ecdsa ecrdsa essiv fcrypt ghash jitterentropy_rng khazad lrw lz4 lz4hc lzo ' +
    'lzo-rle md4 md5 michael_mic nhpoly1305 pkcs1pad poly1305 polyval rmd160 rsa seed serpent sha1 sha224 sha256 ' +
    'sha384 sha512 sha3-224 sha3-256 sha3-384 sha3-512 sm2 sm3 sm4 streebog256 streebog512 tea tnepres twofish ' +
    'vmac64 wp256 wp384 wp512 xchacha12 xchacha20 xeta xtea xxhash64 zlib-deflate zstd drbg'
  ).split(' '),
);

export function isTested(name: string): boolean {
  // Templates such as hmac(sha1) are tested through what they are made of.
  return TESTED.has(name) || name.includes('(') || name.startsWith('drbg_') || name.startsWith('ecdsa-');
}
