/** Block ciphers of Debian's modules, block by block through the crypto API's own functions, against OpenSSL's. */
import { createCipheriv } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Perm } from '../../src/memory/space.ts';
import { allocateOf } from '../../src/systems/linux/crypto/ciphers.ts';
import { insmod } from '../../src/systems/linux/loader.ts';
import { boot } from '../systems/linux/kernel.ts';
import { describeWith, needs } from './require.ts';

const DATA = 0x7000_0000;
const KEY = Uint8Array.from({ length: 24 }, (_, n) => n * 37 + 11);
const TEXT = Uint8Array.from({ length: 8 }, (_, n) => n * 29 + 3);

describeWith(needs('debian-amd64'), 'block ciphers', ({ modules }) => {
  it('encrypt and decrypt as OpenSSL does', () => {
    const k = boot();
    for (const path of ['lib/crypto/libdes.ko', 'crypto/des_generic.ko'])
      expect(insmod(k, readFileSync(join(modules, 'kernel', path)), '', { path }).outcome).toBe('loaded');
    k.memory.mapLazy(DATA, 1, Perm.R | Perm.W, 'data of the test');
    k.memory.write(DATA, KEY);
    k.memory.write(DATA + 64, TEXT);
    const cipher = k.runTask('test', allocateOf(k, 'des3_ede-generic', 'cipher'));
    const call = (name: string, ...args: number[]) =>
      k.runTask('test', k.callInt(k.addressOf(name), ...args));
    expect(call('crypto_cipher_setkey', cipher, DATA, KEY.length)).toBe(0);
    call('crypto_cipher_encrypt_one', cipher, DATA + 128, DATA + 64);
    const openssl = createCipheriv('des-ede3', KEY, null).setAutoPadding(false);
    expect([...k.memory.bytes(DATA + 128, 8)]).toEqual([...openssl.update(TEXT)]);
    call('crypto_cipher_decrypt_one', cipher, DATA + 192, DATA + 128);
    expect([...k.memory.bytes(DATA + 192, 8)]).toEqual([...TEXT]);
  });
});
