/** What registering fills in before an algorithm is listed: its type's bits and sizes left out (KIND_prepare_alg of crypto/). */
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { schedulesTests, setFlags, TYPE_MASK, typeNumbers } from './flags.ts';
import type { AlgorithmKind } from './registry.ts';
import { cryptoType, isTyped } from './types.ts';

/** PAGE_SIZE / 8: what sizes of one step or of a digest may be at most. */
const MOST = 512;

/** HASH_MAX_DIGESTSIZE, HASH_MAX_DESCSIZE and HASH_MAX_STATESIZE (include/crypto/hash.h). */
export const HASH_LIMITS = { digestsize: 64, descsize: 368, statesize: 512 } as const;

const PREPARE: Partial<Record<AlgorithmKind, (k: Linux, base: Address, outer: Address) => number>> = {
  skcipher: prepareCipher,
  lskcipher: prepareCipher,
  aead: prepareAead,
  shash: prepareHash,
};

/** 0 or a negative errno. Ciphers and compressors bring their type with them. */
export function prepareAlgorithm(k: Linux, kind: AlgorithmKind, base: Address, outer: Address): number {
  if (kind === 'cipher' || kind === 'compression') return 0;
  const error = PREPARE[kind]?.(k, base, outer) ?? 0;
  if (error !== 0) return error;
  setFlags(k, 'crypto_alg.cra_flags', base, typeNumbers(k)[kind], TYPE_MASK);
  if (isTyped(kind)) k.write('crypto_alg.cra_type', base, cryptoType(k, kind));
  return 0;
}

function prepareCipher(k: Linux, base: Address, outer: Address): number {
  const get = (name: string) => k.read(`skcipher_alg.${name}`, outer);
  if (['ivsize', 'chunksize', 'walksize'].some((name) => get(name) > MOST)) return -Errno.EINVAL;
  if (get('chunksize') === 0)
    k.write('skcipher_alg.chunksize', outer, k.read('crypto_alg.cra_blocksize', base));
  if (get('walksize') === 0) k.write('skcipher_alg.walksize', outer, get('chunksize'));
  return 0;
}

function prepareAead(k: Linux, base: Address, outer: Address): number {
  const get = (name: string) => k.read(`aead_alg.${name}`, outer);
  if (['ivsize', 'maxauthsize', 'chunksize'].some((name) => get(name) > MOST)) return -Errno.EINVAL;
  if (get('chunksize') === 0) k.write('aead_alg.chunksize', outer, k.read('crypto_alg.cra_blocksize', base));
  return 0;
}

/** shash_prepare_alg: sizes must be sane, and methods left out are the kernel's own. */
function prepareHash(k: Linux, base: Address, outer: Address): number {
  const get = (name: string) => k.read(`shash_alg.${name}`, outer);
  if (Object.entries(HASH_LIMITS).some(([name, most]) => get(name) > most)) return -Errno.EINVAL;
  if ((get('export') === 0) !== (get('import') === 0)) return -Errno.EINVAL;
  if (schedulesTests(k) && k.read('crypto_alg.cra_alignmask', base) !== 0) return -Errno.EINVAL;
  const fill = (name: string, method: string) => {
    if (get(name) === 0) k.write(`shash_alg.${name}`, outer, k.addressOf(method));
  };
  fill('finup', 'shash_finup_unaligned');
  fill('digest', 'shash_digest_unaligned');
  if (get('export') === 0) k.write('shash_alg.statesize', outer, get('descsize'));
  fill('export', 'shash_default_export');
  fill('import', 'shash_default_import');
  fill('setkey', 'shash_no_setkey');
  return 0;
}
