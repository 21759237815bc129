/** The same algorithms by OpenSSL and zlib, as far as Node has them under the host's rules. */
import { createCipheriv, createHash, getCiphers, getHashes } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** Names that the kernel writes otherwise. */
const HASHES: Readonly<Record<string, string>> = { 'blake2b-512': 'blake2b512', 'blake2s-256': 'blake2s256' };
/** Modes that both have under the same name. */
const MODES = ['ecb', 'cbc', 'ctr', 'ofb', 'cfb', 'xts'];

/** What `name` of the kernel's crypto API makes of the data without a key; undefined where Node has no such hash. */
export function otherDigest(name: string, data: Uint8Array): Uint8Array | undefined {
  // The kernel begins at 0 and does not invert what comes out.
  if (name === 'crc32') return littleEndian(~crc32(data, 0xffff_ffff));
  const theirs = HASHES[name] ?? name;
  return getHashes().includes(theirs) ? createHash(theirs).update(data).digest() : undefined;
}

/**
 * Text under a cipher of the kernel's crypto API, `cbc(aes)` or `chacha20`; undefined where Node has no such cipher.
 *
 * @param iv of the length the kernel's cipher takes
 */
export function otherCipher(
  name: string,
  key: Uint8Array,
  iv: Uint8Array,
  data: Uint8Array,
): Uint8Array | undefined {
  const theirs = name === 'chacha20' ? 'chacha20' : cipherName(name, key.length);
  if (theirs === undefined || !getCiphers().includes(theirs)) return undefined;
  const cipher = createCipheriv(theirs, key, iv.length === 0 ? null : iv).setAutoPadding(false);
  return Buffer.concat([cipher.update(data), cipher.final()]);
}

function cipherName(name: string, keyBytes: number): string | undefined {
  const [, mode, cipher] = /^(\w+)\((\w+)\)$/.exec(name) ?? [];
  if (mode === undefined || !MODES.includes(mode)) return undefined;
  if (cipher === 'des3_ede') return mode === 'ecb' ? 'des-ede3' : `des-ede3-${mode}`;
  // SM4 has one length of key, and OpenSSL does not say it; the two keys of XTS count as one.
  if (cipher === 'sm4') return `sm4-${mode}`;
  return `${cipher}-${(mode === 'xts' ? keyBytes / 2 : keyBytes) * 8}-${mode}`;
}

function littleEndian(value: number): Uint8Array {
  const out = Buffer.alloc(4);
  out.writeInt32LE(value | 0);
  return out;
}
