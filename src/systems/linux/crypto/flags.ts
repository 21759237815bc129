/** Bits of crypto_alg.cra_flags, of transforms and of requests (include/linux/crypto.h). */
import type { Linux } from '../linux.ts';

export const TYPE_MASK = 0xf;

/** CRYPTO_ALG_*, as releases from 5.8 to 7.2 have them. */
export const Flag = {
  DEAD: 0x20,
  DYING: 0x40,
  ASYNC: 0x80,
  NEED_FALLBACK: 0x100,
  TESTED: 0x400,
  INSTANCE: 0x800,
  KERN_DRIVER_ONLY: 0x1000,
  INTERNAL: 0x2000,
  OPTIONAL_KEY: 0x4000,
  NOLOAD: 0x8000,
  ALLOCATES_MEMORY: 0x10000,
  FIPS_INTERNAL: 0x20000,
  /** CRYPTO_AHASH_ALG_BLOCK_ONLY (6.16): such a hash takes whole blocks, and the API keeps what is left. */
  BLOCK_ONLY: 0x1000000,
} as const;

/** CRYPTO_TFM_NEED_KEY: the transform refuses work until a key is set. */
export const NEED_KEY = 1;

/** CRYPTO_TFM_REQ_*: what a caller allows; handed on from a transform to those below it. */
export const Request = { MASK: 0xfff00, MAY_SLEEP: 0x200, MAY_BACKLOG: 0x400 } as const;

/** CRYPTO_ALG_TYPE_*; the type of public-key ciphers moved when signatures got one of their own (6.5). */
export const typeNumbers = (k: Linux) =>
  ({
    cipher: 1,
    compression: 2,
    aead: 3,
    lskcipher: 4,
    skcipher: 5,
    akcipher: k.types.has('crypto_sig.base') ? 6 : 13,
    sig: 7,
    kpp: 8,
    acomp: 10,
    scomp: 11,
    rng: 12,
    shash: 14,
    ahash: 15,
  }) as const;

/**
 * Since 6.8 an algorithm's test is started, not waited for, by who registers it (crypto_schedule_test; crypto_wait_for_test before),
 * and hashes cannot ask for aligned data any more.
 */
export const schedulesTests = (k: Linux): boolean =>
  k.file.exports.find('crypto_schedule_test') !== undefined;

export function setFlags(k: Linux, path: string, at: number, set: number, clear = 0): void {
  k.write(path, at, ((k.read(path, at) & ~clear) | set) >>> 0);
}
