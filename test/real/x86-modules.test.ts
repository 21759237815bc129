/** Functions of Debian's own modules against independent implementations: the standards' definitions, or OpenSSL. */
import { createCipheriv, createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Random, seedOfRun } from '../cpu/x86/random.ts';
import { describeWith, needs } from './require.ts';
import { ModuleProgram } from './x86-modules.ts';

const kernel = needs('debian-amd64');
const seed = seedOfRun();
const random = new Random(seed);

function randomBytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.bits() & 255);
}

/** A CRC bit by bit, by its polynomial; `reflected` ones shift right. */
function crc(
  width: number,
  polynomial: bigint,
  reflected: boolean,
  start: bigint,
  bytes: Uint8Array,
): bigint {
  const mask = (1n << BigInt(width)) - 1n;
  let value = start & mask;
  for (const byte of bytes) {
    value ^= reflected ? BigInt(byte) : BigInt(byte) << BigInt(width - 8);
    for (let n = 0; n < 8; n++) {
      const out = reflected ? value & 1n : (value >> BigInt(width - 1)) & 1n;
      value = reflected ? value >> 1n : (value << 1n) & mask;
      if (out) value ^= polynomial;
    }
  }
  return value & mask;
}

/** Expands an LZ4 block (lz4_Block_format.md). */
function unlz4(block: Uint8Array): Uint8Array {
  const out: number[] = [];
  let at = 0;
  const extended = (start: number): number => {
    let length = start;
    if (start === 15) {
      let byte = 255;
      while (byte === 255) length += byte = block[at++];
    }
    return length;
  };
  while (at < block.length) {
    const token = block[at++];
    const literals = extended(token >> 4);
    out.push(...block.subarray(at, at + literals));
    at += literals;
    if (at >= block.length) break;
    const distance = block[at] | (block[at + 1] << 8);
    at += 2;
    const match = extended(token & 15) + 4;
    for (let n = 0; n < match; n++) out.push(out[out.length - distance]);
  }
  return Uint8Array.from(out);
}

function rc4(key: Uint8Array, text: Uint8Array): Uint8Array {
  const s = Array.from({ length: 256 }, (_, n) => n);
  for (let i = 0, j = 0; i < 256; i++) {
    j = (j + s[i] + key[i % key.length]) & 255;
    [s[i], s[j]] = [s[j], s[i]];
  }
  let i = 0;
  let j = 0;
  return text.map((byte) => {
    i = (i + 1) & 255;
    j = (j + s[i]) & 255;
    [s[i], s[j]] = [s[j], s[i]];
    return byte ^ s[(s[i] + s[j]) & 255];
  });
}

const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex');
const SPKI = Buffer.from('302a300506032b656e032100', 'hex');

function x25519(secret: Uint8Array, point: Uint8Array): Buffer {
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8, secret]), format: 'der', type: 'pkcs8' });
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI, point]), format: 'der', type: 'spki' });
  return diffieHellman({ privateKey, publicKey });
}

/** Poly1305 by its definition (RFC 8439, 2.5). */
function poly1305(key: Uint8Array, message: Uint8Array): Uint8Array {
  const number = (bytes: Uint8Array) => bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  const r = number(key.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn;
  let sum = 0n;
  for (let at = 0; at < message.length; at += 16) {
    const part = message.subarray(at, at + 16);
    sum = ((sum + number(part) + (1n << BigInt(part.length * 8))) * r) % ((1n << 130n) - 5n);
  }
  sum += number(key.subarray(16, 32));
  return Uint8Array.from({ length: 16 }, (_, n) => Number((sum >> BigInt(8 * n)) & 255n));
}

describeWith(kernel, 'functions of Debian modules', ({ modules }) => {
  const load = (path: string) => new ModuleProgram(join(modules, 'kernel', path));

  it('compute checksums by their polynomials', () => {
    const cases: [string, string, number, bigint, boolean][] = [
      ['lib/crc16.ko', 'crc16', 16, 0xa001n, true],
      ['lib/crc-itu-t.ko', 'crc_itu_t', 16, 0x1021n, false],
      ['lib/crc64.ko', 'crc64_be', 64, 0x42f0e1eba9ea3693n, false],
    ];
    for (const [file, name, width, polynomial, reflected] of cases) {
      const program = load(file);
      for (const length of [0, 1, 7, 255, 4000]) {
        const bytes = randomBytes(length);
        const start = random.word64() & ((1n << BigInt(width)) - 1n);
        const got = program.call(name, start, program.data(bytes), BigInt(length));
        const want = crc(width, polynomial, reflected, start, bytes);
        expect(got & ((1n << BigInt(width)) - 1n), `${name} of ${length} bytes, seed ${seed}`).toBe(want);
      }
    }
  });

  it('encrypt with RC4 and triple DES', () => {
    const arc4 = load('lib/crypto/libarc4.ko');
    const [key, text] = [randomBytes(13), randomBytes(1000)];
    const context = arc4.data(4096);
    const out = arc4.data(1000);
    arc4.call('arc4_setkey', context, arc4.data(key), 13n);
    arc4.call('arc4_crypt', context, out, arc4.data(text), 1000n);
    expect(arc4.bytes(out, 1000), `seed ${seed}`).toEqual(rc4(key, text));

    const des = load('lib/crypto/libdes.ko');
    const desKey = randomBytes(24);
    const block = randomBytes(8);
    const cipher = createCipheriv('des-ede3', desKey, null).setAutoPadding(false);
    const schedule = des.data(1024);
    const encrypted = des.data(8);
    const decrypted = des.data(8);
    expect(des.call('des3_ede_expand_key', schedule, des.data(desKey), 24n) & 0xffffffffn).toBe(0n);
    des.call('des3_ede_encrypt', schedule, encrypted, des.data(block));
    expect(Buffer.from(des.bytes(encrypted, 8)), `seed ${seed}`).toEqual(cipher.update(block));
    des.call('des3_ede_decrypt', schedule, decrypted, encrypted);
    expect(des.bytes(decrypted, 8)).toEqual(block);
  });

  it('multiply points of Curve25519', () => {
    const program = load('lib/crypto/libcurve25519-generic.ko');
    const secret = randomBytes(32);
    const point = x25519Base(randomBytes(32));
    const out = program.data(32);
    program.call('curve25519_generic', out, program.data(secret), program.data(point));
    expect(Buffer.from(program.bytes(out, 32)), `seed ${seed}`).toEqual(x25519(secret, point));
  });

  it('authenticate with Poly1305', () => {
    const program = load('lib/crypto/libpoly1305.ko');
    const [key, message] = [randomBytes(32), randomBytes(333)];
    const state = program.data(1024);
    const digest = program.data(16);
    program.call('poly1305_init_generic', state, program.data(key));
    program.call('poly1305_update_generic', state, program.data(message), 333n);
    program.call('poly1305_final_generic', state, digest);
    expect(program.bytes(digest, 16), `seed ${seed}`).toEqual(poly1305(key, message));
  });

  it('compress with LZ4', () => {
    const program = load('lib/lz4/lz4_compress.ko');
    const words = Array.from({ length: 40 }, () => randomBytes(1 + random.below(9)));
    const text = Uint8Array.from(Array.from({ length: 3000 }, () => [...random.pick(words)]).flat());
    const source = program.data(text);
    const out = program.data(text.length + 1024);
    const work = program.data(20_000);
    const limit = BigInt(text.length + 1024);
    const length = program.call('LZ4_compress_default', source, out, BigInt(text.length), limit, work);
    const packed = program.bytes(out, Number(length));
    expect(packed.length).toBeGreaterThan(0);
    expect(packed.length).toBeLessThan(text.length);
    expect(Buffer.from(unlz4(packed)).equals(Buffer.from(text)), `seed ${seed}`).toBe(true);
  });
});

/** A public point: the secret times the base point, by OpenSSL. */
function x25519Base(secret: Uint8Array): Buffer {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, secret]), format: 'der', type: 'pkcs8' });
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32);
}
