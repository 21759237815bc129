import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { crc32 } from 'node:zlib';
import { blake2b } from '@noble/hashes/blake2';
import { decompress as unpackZstd } from 'fzstd';
import { expect, it } from 'vitest';
import { mixed } from '../../src/targets/mixed-bytes.ts';
import { ascii, bytes, describeModules, hex, type Live } from './linux-use.ts';

/** lz4js has no types of its own. */
const lz4 = createRequire(import.meta.url)('lz4js') as {
  decompressBlock(src: Uint8Array, dst: Uint8Array, at: number, length: number, to: number): number;
  compressBlock(src: Uint8Array, dst: Uint8Array, at: number, length: number, table: Uint32Array): number;
  compressBound(length: number): number;
};

const MESSAGES = [0, 1, 55, 111, 112, 127, 128, 129, 1000, 70_000].map((length) => mixed(length, length + 7));
const CHECK = ascii('123456789');

describeModules('checksum modules', (modules) => {
  it.each([
    // The check values of the catalogue of parametrised CRC algorithms (G. Cook).
    ['crc7', 'crc7_be', [0], 0x75n << 1n, 0xffn],
    ['crc16', 'crc16', [0], 0xbb3dn, 0xffffn],
    ['crc-itu-t', 'crc_itu_t', [0], 0x31c3n, 0xffffn],
    ['crc64', 'crc64_be', [0n], 0x6c40df5f0b497347n, -1n],
    ['crc64', 'crc64_rocksoft_generic', [0n], 0xae8b14860a799888n, -1n],
  ] as const)('%s: %s has its check value', (module, name, [start], value, mask) => {
    const { result, leaks } = modules.with(module, (live) =>
      live.call(name, start, live.memory(CHECK), CHECK.length),
    );
    expect(result & BigInt.asUintN(64, mask)).toBe(value);
    expect(leaks).toBe(0);
  });

  it('crc8 fills its tables and uses them', () => {
    const { result } = modules.with('crc8', (live) => {
      const table = live.memory(256);
      live.call('crc8_populate_msb', table, 0x07);
      return live.call('crc8', table, live.memory(CHECK), CHECK.length, 0) & 0xffn;
    });
    expect(result).toBe(0xf4n);
  });

  it('crc32_generic agrees with zlib', () => {
    modules.with('crc32_generic', (live) => {
      for (const message of MESSAGES) {
        const digest = Buffer.from(live.digest('crc32', message, bytes('ffffffff')), 'hex').readUInt32LE();
        expect(~digest >>> 0).toBe(crc32(message));
      }
    });
  });

  it('crc32c_generic and crct10dif_generic have their check values', () => {
    const { result } = modules.with('crc32c_generic', (live) => live.digest('crc32c', CHECK));
    expect(Buffer.from(result, 'hex').readUInt32LE()).toBe(0xe3069283);
    const t10 = modules.with('crct10dif_generic', (live) => live.digest('crct10dif', CHECK));
    expect(Buffer.from(t10.result, 'hex').readUInt16LE()).toBe(0xd0db);
  });

  it('xxhash_generic has published values', () => {
    modules.with('xxhash_generic', (live) => {
      const value = (text: string) => {
        const digest = live.digest('xxhash64', ascii(text));
        return Buffer.from(digest, 'hex').readBigUInt64LE().toString(16);
      };
      expect(value('')).toBe('ef46db3751d8e999');
      expect(value('abc')).toBe('44bc2cf5ad770999');
      expect(value('Nobody inspects the spammish repetition')).toBe('fbcea83c8a378bf1');
    });
  });
});

describeModules('hash modules', (modules) => {
  const node = (name: string) => (message: Uint8Array) => createHash(name).update(message).digest('hex');
  const noble = (length: number) => (message: Uint8Array) => hex(blake2b(message, { dkLen: length }));

  it.each([
    ['sha512_generic', 'sha512', node('sha512')],
    ['sha512_generic', 'sha384', node('sha384')],
    ['sha3_generic', 'sha3-224', node('sha3-224')],
    ['sha3_generic', 'sha3-256', node('sha3-256')],
    ['sha3_generic', 'sha3-384', node('sha3-384')],
    ['sha3_generic', 'sha3-512', node('sha3-512')],
    ['rmd160', 'rmd160', node('ripemd160')],
    ['blake2b_generic', 'blake2b-160', noble(20)],
    ['blake2b_generic', 'blake2b-256', noble(32)],
    ['blake2b_generic', 'blake2b-384', noble(48)],
    ['blake2b_generic', 'blake2b-512', node('blake2b512')],
  ] as const)('%s: %s', (module, name, reference) => {
    const { leaks } = modules.with(module, (live) => {
      for (const message of MESSAGES) expect(live.digest(name, message)).toBe(reference(message));
    });
    expect(leaks).toBe(0);
  });

  it('blake2b takes a key', () => {
    modules.with('blake2b_generic', (live) => {
      const key = mixed(32, 3);
      const expected = hex(blake2b(MESSAGES[5], { dkLen: 64, key }));
      expect(live.digest('blake2b-512', MESSAGES[5], key)).toBe(expected);
    });
  });

  it('md4 has the values of RFC 1320', () => {
    modules.with('md4', (live) => {
      expect(live.digest('md4', ascii(''))).toBe('31d6cfe0d16ae931b73c59d7e0c089c0');
      expect(live.digest('md4', ascii('abc'))).toBe('a448017aaf21d8525fc10ae87aa6729d');
      expect(live.digest('md4', ascii('abcdefghijklmnopqrstuvwxyz'))).toBe(
        'd79e1c308aa5bbcdeea8ed63df412da9',
      );
      const digits = ascii('1234567890'.repeat(8));
      expect(live.digest('md4', digits)).toBe('e33b4ddc9c38f2199c3e7b164fcc0536');
    });
  });
});

/** RFC 8439, 2.5: the sum of the blocks times powers of r, modulo 2^130 - 5, plus s. */
function poly1305(key: Uint8Array, message: Uint8Array): string {
  const little = (part: Uint8Array) => BigInt(`0x${hex(part.slice().reverse()) || '0'}`);
  const r = little(key.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn;
  let sum = 0n;
  for (let at = 0; at < message.length; at += 16) {
    const block = message.subarray(at, at + 16);
    sum = ((sum + little(block) + (1n << BigInt(8 * block.length))) * r) % ((1n << 130n) - 5n);
  }
  const tag = BigInt.asUintN(128, sum + little(key.subarray(16)));
  return hex(new Uint8Array(Buffer.from(tag.toString(16).padStart(32, '0'), 'hex')).reverse());
}

describeModules('cipher modules', (modules) => {
  const bothWays = (live: Live, name: string, key: Uint8Array, plain: Uint8Array, expected: string) => {
    expect(live.encrypt(name, key, plain)).toBe(expected);
    expect(live.decrypt(name, key, bytes(expected))).toBe(hex(plain));
  };

  it('des_generic: DES and triple DES agree with node:crypto', () => {
    modules.with('des_generic', (live) => {
      bothWays(live, 'des', bytes('133457799bbcdff1'), bytes('0123456789abcdef'), '85e813540f0ab405');
      for (let i = 0; i < 8; i++) {
        const key = new Uint8Array(randomBytes(24));
        const block = new Uint8Array(randomBytes(8));
        const cipher = createCipheriv('des-ede3-ecb', key, null).setAutoPadding(false);
        bothWays(live, 'des3_ede', key, block, cipher.update(block).toString('hex'));
      }
    });
  });

  it('libdes: a key schedule and a block by its exported functions', () => {
    modules.with('libdes', (live) => {
      const context = live.memory(256);
      const out = live.memory(8);
      expect(
        live.call('des_expand_key', context, live.memory(bytes('133457799bbcdff1')), 8) & 0xffffffffn,
      ).toBe(0n);
      live.call('des_encrypt', context, out, live.memory(bytes('0123456789abcdef')));
      expect(hex(live.read(out, 8))).toBe('85e813540f0ab405');
      live.call('des_decrypt', context, out, out);
      expect(hex(live.read(out, 8))).toBe('0123456789abcdef');
    });
  });

  it('twofish_generic has the values of its paper', () => {
    const zero = new Uint8Array(16);
    modules.with('twofish_generic', (live) => {
      bothWays(live, 'twofish', zero, zero, '9f589f5cf6122c32b6bfec2f2ae8c35a');
      const key = bytes('0123456789abcdeffedcba98765432100011223344556677');
      bothWays(live, 'twofish', key, zero, 'cfd1d2e5a9be9cdf501f13b892bd2248');
      const long = bytes('0123456789abcdeffedcba987654321000112233445566778899aabbccddeeff');
      bothWays(live, 'twofish', long, zero, '37527be0052334b89f0cfccae87cfa20');
    });
  });

  it('serpent_generic has published values', () => {
    const count = (length: number) => Uint8Array.from({ length }, (_, i) => i);
    modules.with('serpent_generic', (live) => {
      bothWays(live, 'serpent', count(16), count(16), '4c7d8a328072a22c823e4a1f3acda16d');
      bothWays(live, 'serpent', count(32), count(16), 'de269ff833e432b85b2e88d2701ce75c');
    });
  });

  it.each([16, 24, 32])('camellia_generic agrees with node:crypto for keys of %d bytes', (length) => {
    modules.with('camellia_generic', (live) => {
      const key = mixed(length, length);
      const block = mixed(16, 9);
      const cipher = createCipheriv(`camellia-${length * 8}-ecb`, key, null).setAutoPadding(false);
      bothWays(live, 'camellia', key, block, cipher.update(block).toString('hex'));
    });
  });

  it('aes_ti agrees with node:crypto', () => {
    modules.with('aes_ti', (live) => {
      const key = mixed(32, 5);
      const cipher = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false);
      bothWays(live, 'aes', key, mixed(16, 2), cipher.update(mixed(16, 2)).toString('hex'));
    });
  });

  it('libarc4 has the key stream of RFC 6229', () => {
    modules.with('libarc4', (live) => {
      const context = live.memory(2048);
      const out = live.memory(16);
      live.call('arc4_setkey', context, live.memory(bytes('0102030405')), 5);
      live.call('arc4_crypt', context, out, live.memory(new Uint8Array(16)), 16);
      expect(hex(live.read(out, 16))).toBe('b2396305f03dc027ccc3524a0a1118a8');
    });
  });

  it('libpoly1305 has the tag of RFC 8439', () => {
    const key = bytes('85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b');
    const text = ascii('Cryptographic Forum Research Group');
    expect(poly1305(key, text)).toBe('a8061dc1305136c6c22b8baf0c0127a9');
    modules.with('libpoly1305', (live) => {
      for (const message of [text, ...MESSAGES.slice(0, 9)]) {
        const context = live.memory(512);
        const out = live.memory(16);
        live.call('poly1305_init_generic', context, live.memory(key));
        live.call('poly1305_update_generic', context, live.memory(message), message.length);
        live.call('poly1305_final_generic', context, out);
        expect(hex(live.read(out, 16))).toBe(poly1305(key, message));
      }
    });
  });
});

describeModules('compressor modules', (modules) => {
  const MiB = 1 << 20;
  const data = mixed(MiB, 11);

  it.each(['lz4', 'lz4hc'])('%s: a round trip of 1 MiB, and another decoder reads it', (name) => {
    const { leaks } = modules.with(name, (live) => {
      const packed = live.compress(name, data, lz4.compressBound(MiB), 'compress');
      expect(packed.length).toBeLessThan(MiB);
      const out = new Uint8Array(MiB);
      expect(lz4.decompressBlock(packed, out, 0, packed.length, 0)).toBe(MiB);
      expect(Buffer.compare(out, data)).toBe(0);
      expect(Buffer.compare(live.compress(name, packed, MiB, 'decompress'), data)).toBe(0);
    });
    expect(leaks).toBe(0);
  });

  it.each(['lz4', 'lz4hc', 'zstd'])('%s: its two forms make the same', (name) => {
    const { leaks } = modules.with(name, (live) => {
      const some = data.subarray(0, 100_000);
      const packed = live.compressApart(name, some, 200_000, 'compress');
      expect(hex(packed)).toBe(hex(live.compress(name, some, 200_000, 'compress')));
      expect(Buffer.compare(live.compressApart(name, packed, 100_000, 'decompress'), some)).toBe(0);
    });
    expect(leaks).toBe(0);
  });

  it('lz4 reads what another encoder made', () => {
    const packed = new Uint8Array(lz4.compressBound(MiB));
    const length = lz4.compressBlock(data, packed, 0, MiB, new Uint32Array(1 << 16));
    modules.with('lz4', (live) => {
      const back = live.compress('lz4', packed.subarray(0, length), MiB, 'decompress');
      expect(Buffer.compare(back, data)).toBe(0);
    });
  });

  it('zstd: a round trip of 1 MiB, and another decoder reads it', () => {
    const { leaks } = modules.with('zstd', (live) => {
      const packed = live.compress('zstd', data, 2 * MiB, 'compress');
      expect(packed.length).toBeLessThan(MiB * 0.8);
      expect(Buffer.compare(unpackZstd(packed), data)).toBe(0);
      expect(Buffer.compare(live.compress('zstd', packed, MiB, 'decompress'), data)).toBe(0);
    });
    expect(leaks).toBe(0);
  });
});
