/** Symmetric ciphers of Debian's modules over scatter lists, against OpenSSL's where it has them. */
import { createCipheriv, createHmac, getCiphers, getHashes } from 'node:crypto';
import { expect, it } from 'vitest';
import { procCrypto } from '../../src/systems/linux/crypto/registry.ts';
import {
  allocateCipher,
  cipherRequest,
  freeCipher,
  setCipherKey,
} from '../../src/systems/linux/crypto/skcipher.ts';
import { initTable, next } from '../../src/systems/linux/functions/scatterlist.ts';
import { rmmod } from '../../src/systems/linux/loader.ts';
import { mixed } from '../../src/targets/mixed-bytes.ts';
import { describeModules, hex, type Live } from './linux-use.ts';

/** Module, algorithm, OpenSSL's name for it, and the bytes of key and vector. */
const CIPHERS: readonly (readonly [string, string, string | undefined, number, number])[] = [
  ['des3_ede-x86_64', 'cbc(des3_ede)', 'des-ede3-cbc', 24, 8],
  ['des3_ede-x86_64', 'ecb(des3_ede)', 'des-ede3-ecb', 24, 0],
  ['chacha_generic', 'chacha20', 'chacha20', 32, 16],
  ['chacha-x86_64', 'chacha20', 'chacha20', 32, 16],
  ['camellia-x86_64', 'ecb(camellia)', 'camellia-256-ecb', 32, 0],
  ['camellia-x86_64', 'cbc(camellia)', 'camellia-128-cbc', 16, 16],
  ['blowfish-x86_64', 'cbc(blowfish)', undefined, 16, 8],
  ['twofish-x86_64-3way', 'cbc(twofish)', undefined, 32, 16],
  // Made by templates: of modules, or built in over a module's cipher; on request down to the last part.
  ['ecb', 'ecb(aes)', 'aes-128-ecb', 16, 0],
  ['des_generic', 'ecb(des3_ede)', 'des-ede3-ecb', 24, 0],
  ['des_generic', 'cbc(des3_ede)', 'des-ede3-cbc', 24, 8],
  ['ctr', 'ctr(camellia)', 'camellia-128-ctr', 16, 16],
  ['ctr', 'ctr(aes)', 'aes-256-ctr', 32, 16],
  ['xts', 'xts(aes)', 'aes-256-xts', 64, 16],
  ['xts', 'xts(serpent)', undefined, 64, 16],
  ['lrw', 'lrw(camellia)', undefined, 48, 16],
  ['cts', 'cts(cbc(aes))', undefined, 16, 16],
  ['pcbc', 'pcbc(blowfish)', undefined, 16, 8],
  ['ofb', 'ofb(aes)', 'aes-128-ofb', 16, 16],
  ['cfb', 'cfb(aes)', 'aes-128-cfb', 16, 16],
  ['essiv', 'essiv(cbc(aes),sha256)', undefined, 32, 16],
  // Over crypto_simd and cryptd.
  ['aesni-intel', 'xts(aes)', 'aes-128-xts', 32, 16],
  ['serpent-sse2-x86_64', 'ecb(serpent)', undefined, 32, 0],
];

/** Module, keyed hash, OpenSSL's name of the hash in HMAC. */
const KEYED: readonly (readonly [string, string, string | undefined, number])[] = [
  ['md4', 'hmac(md5)', 'md5', 16],
  ['md4', 'hmac(sha1)', 'sha1', 20],
  ['md4', 'hmac(sha256)', 'sha256', 99],
  ['sha512_generic', 'hmac(sha512)', 'sha512', 200],
  ['rmd160', 'hmac(rmd160)', 'rmd160', 20],
];

function openssl(name: string, key: Uint8Array, iv: Uint8Array, text: Uint8Array): Uint8Array {
  const cipher = createCipheriv(name, key, iv.length === 0 ? null : iv);
  cipher.setAutoPadding(false);
  return cipher.update(text);
}

/** A scatter list over pieces of these lengths, each in memory of its own; what its entries' bytes are. */
function scattered(live: Live, lengths: readonly number[], content?: Uint8Array) {
  const { k } = live;
  const list = live.memory(k.sizeof('scatterlist') * lengths.length);
  initTable(k, list, lengths.length);
  const at = lengths.map((length) => live.memory(length + 8) + 4);
  let done = 0;
  for (let i = 0, sg = list; i < lengths.length; sg = next(k, sg), i++) {
    const end = k.read('scatterlist.page_link', sg) & 2;
    k.write('scatterlist.page_link', sg, k.heap.pages.ofAddress(at[i]) + end);
    k.write('scatterlist.offset', sg, at[i] & 0xfff);
    k.write('scatterlist.length', sg, lengths[i]);
    if (content !== undefined) k.memory.write(at[i], content.subarray(done, done + lengths[i]));
    done += lengths[i];
  }
  return { list, read: () => Buffer.concat(lengths.map((length, i) => live.read(at[i], length))) };
}

describeModules('ciphers over scatter lists', (modules) => {
  it.each(CIPHERS.filter(([module]) => modules.has(module.replaceAll('-', '_')) || modules.has(module)))(
    '%s: %s',
    (module, name, theirs, keyBytes, ivBytes) => {
      const [key, iv] = [mixed(keyBytes, 5), mixed(ivBytes, 9)];
      const text = mixed(4992, 3);
      const { result, leaks } = modules.with(
        modules.has(module) ? module : module.replaceAll('-', '_'),
        (live) => {
          const secret = live.cipher(name, key, iv, text, 'encrypt');
          return { secret, back: live.cipher(name, key, iv, secret, 'decrypt') };
        },
      );
      expect(hex(result.back)).toBe(hex(text));
      expect(hex(result.secret)).not.toBe(hex(text));
      if (theirs !== undefined && getCiphers().includes(theirs))
        expect(hex(result.secret)).toBe(hex(openssl(theirs, key, iv, text)));
      expect(leaks).toBe(0);
    },
  );

  it.each(KEYED.filter(([module]) => modules.has(module)))('%s: %s', (module, name, theirs, keyBytes) => {
    const [key, text] = [mixed(keyBytes, 5), mixed(1000, 3)];
    const { result, leaks } = modules.with(module, (live) => live.digest(name, text, key));
    if (theirs !== undefined && getHashes().includes(theirs))
      expect(result).toBe(createHmac(theirs, key).update(text).digest('hex'));
    expect(leaks).toBe(0);
  });

  it('hold what they are made of', () => {
    const { result } = modules.with('ctr', (live) => {
      const { k } = live;
      const cipher = live.run(allocateCipher(k, 'ctr(camellia)'));
      const inUse = ['ctr', 'camellia_generic'].map((name) => rmmod(k, name).outcome);
      live.run(freeCipher(k, cipher));
      // Without users an instance goes with what it is made of, and comes again.
      const gone = rmmod(k, 'camellia_generic').outcome;
      const left = procCrypto(k).includes('ctr(camellia');
      const again = live.run(allocateCipher(k, 'ctr(camellia)'));
      const back = again > 0 || again < -4095;
      live.run(freeCipher(k, again));
      return { inUse, gone, left, back };
    });
    expect(result).toEqual({ inUse: ['refused', 'refused'], gone: 'unloaded', left: false, back: true });
  });

  it('do not mind how the text lies in memory', () => {
    const [key, iv, text] = [mixed(32, 5), mixed(16, 9), mixed(700, 3)];
    const { result, leaks } = modules.with('chacha_generic', (live) => {
      const { k } = live;
      const cipher = live.run(allocateCipher(k, 'chacha20'));
      const keyAt = live.memory(key);
      expect(live.run(setCipherKey(k, cipher, keyAt, 31))).toBe(-22);
      const from = scattered(live, [1, 63, 5, 200, 131, 300], text);
      const to = scattered(live, [130, 70, 500]);
      const iv1 = live.memory(iv);
      const request = { src: from.list, dst: to.list, length: text.length, iv: iv1 };
      // Nothing works before a key is set: ENOKEY.
      expect(live.run(cipherRequest(k, cipher, request, 'encrypt'))).toBe(-126);
      expect(live.run(setCipherKey(k, cipher, keyAt, 32))).toBe(0);
      expect(live.run(cipherRequest(k, cipher, request, 'encrypt'))).toBe(0);
      live.run(freeCipher(k, cipher));
      return to.read();
    });
    expect(hex(result)).toBe(hex(openssl('chacha20', key, iv, text)));
    expect(leaks).toBe(0);
  });
});
