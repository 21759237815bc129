import { describe, expect, it } from 'vitest';
import { otherCipher, otherDigest } from '../../src/targets/other-crypto.ts';

const text = new TextEncoder().encode('123456789');
const hex = (bytes: Uint8Array | undefined): string | undefined =>
  bytes && Buffer.from(bytes).toString('hex');

describe('other implementations of the crypto API', () => {
  it('hash under the names of the kernel', () => {
    expect(hex(otherDigest('sha1', text))).toBe('f7c3bc1d808e04732adf679965ccc34ca7ae3441');
    expect(otherDigest('blake2b-512', text)?.length).toBe(64);
    expect(otherDigest('streebog256', text)).toBeUndefined();
  });

  it('begin the CRC at nothing and leave it as it is, as the kernel does', () => {
    // CRC-32 of the standard check text is cbf43926 with both inversions; without them 2dfd2d88 (little-endian here).
    expect(hex(otherDigest('crc32', text))).toBe('882dfd2d');
  });

  it('encrypt block by block', () => {
    // FIPS 197, appendix C.1 and C.3.
    const plain = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
    const none = new Uint8Array(0);
    const key = Uint8Array.from({ length: 32 }, (_, n) => n);
    expect(hex(otherCipher('ecb(aes)', key.subarray(0, 16), none, plain))).toBe(
      '69c4e0d86a7b0430d8cdb78070b4c55a',
    );
    expect(hex(otherCipher('ecb(aes)', key, none, plain))).toBe('8ea2b7ca516745bfeafc49904b496089');
    expect(otherCipher('ecb(serpent)', key, none, plain)).toBeUndefined();
  });

  it('take the counter that the cipher takes', () => {
    // RFC 8439, section 2.4.2: counter 1, then the nonce.
    const key = Uint8Array.from({ length: 32 }, (_, n) => n);
    const iv = Buffer.from('01000000000000000000004a00000000', 'hex');
    const text = new TextEncoder().encode("Ladies and Gentlemen of the class of '99: If I could offer you");
    expect(hex(otherCipher('chacha20', key, iv, text))?.slice(0, 32)).toBe(
      '6e2e359a2568f98041ba0728dd0d6981',
    );
  });
});
