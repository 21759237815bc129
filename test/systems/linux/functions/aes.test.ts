/** The ciphers of the kernel's own library, block by block, against OpenSSL's. */
import { createCipheriv } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Perm } from '../../../../src/memory/space.ts';
import { boot, call } from './harness.ts';

const k = boot();
const AREA = 0x7000_0000;
k.memory.mapLazy(AREA, 4, Perm.R | Perm.W, 'data of the test');
const bytes = (length: number, by: number): Uint8Array =>
  Uint8Array.from({ length }, (_, n) => n * by + length);

describe('AES of the kernel', () => {
  const text = bytes(16, 29);
  it.each([
    ['in one page', AREA + 0x100, AREA + 0x800, AREA + 0x900],
    ['with keys and blocks over the ends of pages', AREA + 0x1000 - 72, AREA + 0x2000 - 6, AREA + 0x3000 - 9],
    ['at odd addresses', AREA + 0x103, AREA + 0x801, AREA + 0x903],
    ['in place', AREA + 0x100, AREA + 0x800, AREA + 0x800],
  ])('enciphers and deciphers as OpenSSL does: %s', (_, context, from, to) => {
    for (const length of [16, 24, 32]) {
      const key = bytes(length, 37);
      k.memory.write(AREA, key);
      expect(call(k, 'aes_expandkey', context, AREA, length)).toBe(0);
      k.memory.write(from, text);
      call(k, 'aes_encrypt', context, to, from);
      const openssl = createCipheriv(`aes-${length * 8}-ecb`, key, null).setAutoPadding(false);
      expect([...k.memory.bytes(to, 16)]).toEqual([...openssl.update(text)]);
      call(k, 'aes_decrypt', context, from, to);
      expect([...k.memory.bytes(from, 16)]).toEqual([...text]);
    }
  });
});

describe('ChaCha of the kernel', () => {
  it('gives the stream that OpenSSL does, and counts', () => {
    const key = bytes(32, 7);
    const nonce = bytes(16, 11);
    const constants = new TextEncoder().encode('expand 32-byte k');
    const state = AREA + 0x1000 - 20;
    k.memory.write(state, Uint8Array.of(...constants, ...key, ...nonce));
    const openssl = createCipheriv('chacha20', key, nonce).update(new Uint8Array(192));
    for (let block = 0; block < 3; block++) {
      call(k, 'chacha_block_generic', state, AREA + 0x2000 - 33, 20);
      const stream = k.memory.bytes(AREA + 0x2000 - 33, 64);
      expect([...stream]).toEqual([...openssl.subarray(block * 64, block * 64 + 64)]);
    }
    expect(k.memory.u32(state + 48)).toBe(new DataView(nonce.buffer).getUint32(0, true) + 3);
  });

  it('makes the key of the XChaCha draft of CFRG, 2.2.1', () => {
    const words = [
      0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, 0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c,
      0x13121110, 0x17161514, 0x1b1a1918, 0x1f1e1d1c, 0x09000000, 0x4a000000, 0x00000000, 0x27594131,
    ];
    for (const [n, word] of words.entries()) k.memory.set32(AREA + 4 * n, word);
    call(k, 'hchacha_block_generic', AREA, AREA + 0x100, 20);
    expect(Buffer.from(k.memory.bytes(AREA + 0x100, 32)).toString('hex')).toBe(
      '82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc',
    );
  });
});
