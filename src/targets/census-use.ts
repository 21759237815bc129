/**
 * What a module added is put to work, as its users in a kernel would: data through each hash, cipher and compressor.
 * Loading shows that a module fits; this shows that its machine code computes what it should: what another
 * implementation of the same algorithm says, or that it can be turned back.
 */
import { createHash } from 'node:crypto';
import { sameBytes } from '../bytes/same.ts';
import type { Steps } from '../kernel/steps.ts';
import { Flag } from '../systems/linux/crypto/flags.ts';
import { type Algorithm, cryptoRegistry } from '../systems/linux/crypto/registry.ts';
import { needsKey } from '../systems/linux/crypto/shash.ts';
import { cipherBlocks, compress, compressApart, digest, skcipher } from '../systems/linux/crypto/use.ts';
import { charsetsOf, fromUnicode } from '../systems/linux/functions/nls.ts';
import type { Linux } from '../systems/linux/linux.ts';
import type { LinuxModule } from '../systems/linux/module.ts';
import { mixed } from './mixed-bytes.ts';
import { otherCipher, otherDigest } from './other-crypto.ts';

/** One thing that was used. */
export interface Use {
  /** Its kind and its own name: `shash sha512-generic`. */
  readonly what: string;
  /** Bytes that went in. */
  readonly bytes: number;
  /** SHA-256 of all it gave, in hexadecimal, or the errno it refused with. */
  readonly result: string | number;
  /** Left out where there is nothing to compare with. */
  readonly right?: boolean;
}

/** What goes through in one go: small enough for every algorithm's work to stay below a thread's limit. */
const PIECE = 1 << 20;
/** Lengths of keys that a hash is tried with: it does not say what it takes. The last is NHPoly1305's. */
const HASH_KEYS = [16, 32, 8, 64, 1088];

/**
 * Uses all that `module` registered and that something here can use.
 *
 * @param bytes how much goes through each, in pieces of a megabyte; 0 uses nothing
 */
export function putToUse(k: Linux, module: LinuxModule, bytes: number): readonly Use[] {
  if (bytes === 0) return [];
  // Nobody but the kernel's own wrappers may ask for what is internal.
  const own = ({ base }: Algorithm) =>
    k.read('crypto_alg.cra_module', base) === module.control &&
    (k.read('crypto_alg.cra_flags', base) & Flag.INTERNAL) === 0;
  const algorithms = k.state(cryptoRegistry).algorithms.filter(own).reverse();
  return [
    ...algorithms.flatMap((algorithm) => useAlgorithm(k, algorithm, bytes) ?? []),
    ...charsetsOf(k, module.control).map((charset) => useCharset(k, charset)),
  ];
}

/** Every character of the basic plane, as the table writes it. */
function useCharset(k: Linux, charset: string): Use {
  const points = Array.from({ length: 0x10000 }, (_, point) => point);
  const written: number[] = [];
  run(
    k,
    fromUnicode(k, charset, points, (bytes) => {
      for (const byte of bytes ?? NONE) written.push(byte);
    }),
  );
  const all = createHash('sha256').update(Uint8Array.from(written));
  return { what: `nls ${charset}`, bytes: 0x20000, result: all.digest('hex') };
}
/** For a character that the table does not have. */
const NONE = new TextEncoder().encode('?');

/** One piece through an algorithm: what it gave, and whether that is right; a negative errno when it refuses. */
type Through = (piece: Uint8Array) => { readonly given: Uint8Array | number; readonly right?: boolean };

function useAlgorithm(k: Linux, algorithm: Algorithm, bytes: number): Use | undefined {
  const through = way(k, algorithm);
  if (through === undefined) return undefined;
  const what = `${algorithm.kind} ${algorithm.driver}`;
  const all = createHash('sha256');
  let right: boolean | undefined;
  for (let at = 0; at < bytes; at += PIECE) {
    const one = through(piece(at));
    if (typeof one.given === 'number') return { what, bytes: at, result: one.given };
    all.update(one.given);
    if (one.right !== undefined) right = one.right && right !== false;
  }
  return { what, bytes, result: all.digest('hex'), ...(right === undefined ? {} : { right }) };
}

function way(k: Linux, algorithm: Algorithm): Through | undefined {
  const { kind } = algorithm;
  if (kind === 'shash') return hashing(k, algorithm);
  if (kind === 'cipher') return ciphering(k, algorithm);
  if (kind === 'skcipher') return streaming(k, algorithm);
  if (kind === 'compression') return compressing(k, algorithm, compress);
  if (kind === 'scomp') return compressing(k, algorithm, compressApart);
  return undefined;
}

const run = <T>(k: Linux, steps: Steps<T>): T => k.runTask('census', steps);

/** Nothing was taken in for comparison, or what was agrees. */
const verdict = (given: Uint8Array | number, other: Uint8Array | undefined) =>
  other === undefined ? { given } : { given, right: same(given, other) };

const same = (a: Uint8Array | number, b: Uint8Array): boolean => typeof a !== 'number' && sameBytes(a, b);

function hashing(k: Linux, { name, driver, outer }: Algorithm): Through {
  const keyed = needsKey(k, outer);
  const key = keyed ? fittingKey(k, driver) : undefined;
  return (data) => verdict(run(k, digest(k, driver, data, key)), keyed ? undefined : otherDigest(name, data));
}

/** A key that the hash takes, or the first where it takes none of them. */
function fittingKey(k: Linux, driver: string): Uint8Array {
  const keys = HASH_KEYS.map(sampleKey);
  return (
    keys.find((key) => typeof run(k, digest(k, driver, new Uint8Array(64), key)) !== 'number') ?? keys[0]
  );
}

function ciphering(k: Linux, { name, driver, base }: Algorithm): Through {
  const key = sampleKey(k.read('cipher_alg.cia_max_keysize', base + k.offset('crypto_alg.cra_u')));
  // As its users do, with the module that makes many blocks of one; block by block where there is no such module.
  const many = `ecb(${driver})`;
  const one = mixed(k.read('crypto_alg.cra_blocksize', base));
  const found = typeof run(k, skcipher(k, many, key, NO_IV, one, 'encrypt')) !== 'number';
  return thereAndBack(
    (data, how) =>
      run(k, found ? skcipher(k, many, key, NO_IV, data, how) : cipherBlocks(k, driver, key, data, how)),
    (data) => otherCipher(`ecb(${name})`, key, NO_IV, data),
  );
}

function streaming(k: Linux, { name, driver, outer }: Algorithm): Through {
  const longest = k.read('skcipher_alg.max_keysize', outer);
  const key = longest === 0 ? undefined : sampleKey(longest);
  const iv = sampleKey(k.read('skcipher_alg.ivsize', outer));
  return thereAndBack(
    (data, how) => run(k, skcipher(k, driver, key, iv, data, how)),
    (data) => otherCipher(name, key ?? NO_IV, iv, data),
  );
}

const NO_IV = new Uint8Array(0);

type Cipher = (data: Uint8Array, how: 'encrypt' | 'decrypt') => Uint8Array | number;

function thereAndBack(cipher: Cipher, other: (data: Uint8Array) => Uint8Array | undefined): Through {
  return (data) => {
    const given = cipher(data, 'encrypt');
    if (typeof given === 'number') return { given };
    const theirs = other(data);
    return {
      given,
      right: same(cipher(given, 'decrypt'), data) && (theirs === undefined || same(given, theirs)),
    };
  };
}

function compressing(k: Linux, { driver }: Algorithm, how: typeof compress): Through {
  return (data) => {
    // No compressor here adds more than an eighth and a page to what cannot be compressed.
    const room = data.length + data.length / 8 + 4096;
    const given = run(k, how(k, driver, data, room, 'compress'));
    if (typeof given === 'number') return { given };
    return { given, right: same(run(k, how(k, driver, given, data.length, 'decompress')), data) };
  };
}

const piece = (at: number): Uint8Array => mixed(PIECE, at + 1);

/** No weak key of any cipher: all bytes differ as far as they can. */
const sampleKey = (length: number): Uint8Array => Uint8Array.from({ length }, (_, n) => n * 37 + 11);
