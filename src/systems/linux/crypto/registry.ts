/**
 * The registry of algorithms (crypto/api.c, crypto/algapi.c, crypto/proc.c). An algorithm is the guest's crypto_alg;
 * what is kept here is the order of registration and which kind of structure surrounds it.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { modulePut, tryModuleGet } from '../refcount.ts';
import { Flag, setFlags } from './flags.ts';
import { prepareAlgorithm } from './prepare.ts';

export type AlgorithmKind =
  | 'shash'
  | 'ahash'
  | 'cipher'
  | 'compression'
  | 'skcipher'
  | 'lskcipher'
  | 'aead'
  | 'scomp'
  | 'acomp'
  | 'rng'
  | 'akcipher'
  | 'kpp';

/** One registered algorithm. */
export interface Algorithm {
  readonly kind: AlgorithmKind;
  /** struct crypto_alg. */
  readonly base: Address;
  /** The structure around it (shash_alg, scomp_alg...); the same as base for ciphers. */
  readonly outer: Address;
  readonly name: string;
  readonly driver: string;
}

const flagsOf = (k: Linux, base: Address): number => k.read('crypto_alg.cra_flags', base);

/** Has its test gone well? Only then it can be had. */
export const hasPassed = (k: Linux, base: Address): boolean => (flagsOf(k, base) & Flag.TESTED) !== 0;

/** A part of another algorithm, which is tested through that. */
export const isInternal = (k: Linux, base: Address): boolean => (flagsOf(k, base) & Flag.INTERNAL) !== 0;

export function markPassed(k: Linux, base: Address): void {
  setFlags(k, 'crypto_alg.cra_flags', base, Flag.TESTED);
}

export class CryptoRegistry {
  /** Newest first, as crypto_alg_list. */
  readonly algorithms: Algorithm[] = [];
  /** Tasks that wait for the test of an algorithm that is in progress, by its crypto_alg (the kernel's test larvals). */
  readonly tests = new Map<Address, Address[]>();

  /** __crypto_register_alg: EEXIST when the driver's name is taken. What is added counts as untested. */
  register(k: Linux, kind: AlgorithmKind, base: Address, outer: Address): number {
    const unfit = prepareAlgorithm(k, kind, base, outer);
    if (unfit !== 0) return unfit;
    const name = k.readString('crypto_alg.cra_name', base);
    const driver = k.readString('crypto_alg.cra_driver_name', base);
    if (name === '' || driver === '') return -Errno.EINVAL;
    if (this.algorithms.some((known) => known.driver === driver || known.base === base)) return -Errno.EEXIST;
    k.write('crypto_alg.cra_refcnt.refs.counter', base, 1);
    setFlags(k, 'crypto_alg.cra_flags', base, 0, Flag.TESTED);
    this.algorithms.unshift({ kind, base, outer, name, driver });
    return 0;
  }

  /** False when it was not registered. */
  unregister(base: Address): boolean {
    const at = this.algorithms.findIndex((algorithm) => algorithm.base === base);
    if (at >= 0) this.algorithms.splice(at, 1);
    return at >= 0;
  }

  /**
   * __crypto_alg_lookup among the tested ones whose flags are those of `type` where `mask` has bits: an exact driver name
   * wins, then the highest priority among the name's drivers.
   */
  find(k: Linux, name: string, type: number, mask: number): Algorithm | undefined {
    const tested = ((type | mask) & Flag.TESTED) === 0 ? Flag.TESTED : 0;
    return this.best(k, name, type | tested, mask | tested);
  }

  /** Like `find`, of those whose test is in progress or went wrong. */
  untested(k: Linux, name: string, type: number, mask: number): Algorithm | undefined {
    return this.best(k, name, type & ~Flag.TESTED, mask | Flag.TESTED);
  }

  private best(k: Linux, name: string, type: number, mask: number): Algorithm | undefined {
    const fits = ({ base }: Algorithm) => {
      const flags = flagsOf(k, base);
      return (flags & (Flag.DEAD | Flag.DYING)) === 0 && ((flags ^ type) & mask & ~Flag.FIPS_INTERNAL) === 0;
    };
    const fitting = this.algorithms.filter(
      (algorithm) => (algorithm.driver === name || algorithm.name === name) && fits(algorithm),
    );
    const exact = fitting.find((algorithm) => algorithm.driver === name);
    if (exact !== undefined) return exact;
    const priority = (algorithm: Algorithm) => k.read('crypto_alg.cra_priority', algorithm.base);
    return fitting.sort((a, b) => priority(b) - priority(a))[0];
  }

  /** The algorithm whose crypto_alg lies there. */
  at(base: Address): Algorithm | undefined {
    return this.algorithms.find((algorithm) => algorithm.base === base);
  }
}

export const cryptoRegistry = perKernel<CryptoRegistry, Linux>(() => new CryptoRegistry());

/** Holds an algorithm for a user: its reference count and its module's. */
export function holdAlgorithm(k: Linux, { base }: Algorithm): boolean {
  if (!tryModuleGet(k, k.read('crypto_alg.cra_module', base))) return false;
  k.write('crypto_alg.cra_refcnt.refs.counter', base, k.read('crypto_alg.cra_refcnt.refs.counter', base) + 1);
  return true;
}

/** crypto_mod_put */
export function* putAlgorithm(k: Linux, base: Address): Steps<void> {
  const module = k.read('crypto_alg.cra_module', base);
  yield* dropAlgorithm(k, base);
  modulePut(k, module);
}

/** crypto_alg_put: whoever drops the last reference to an algorithm that is off the list destroys it. */
export function* dropAlgorithm(k: Linux, base: Address): Steps<void> {
  const users = k.read('crypto_alg.cra_refcnt.refs.counter', base) - 1;
  k.write('crypto_alg.cra_refcnt.refs.counter', base, users);
  const destroy = k.read('crypto_alg.cra_destroy', base);
  if (users === 0 && destroy !== 0) yield* k.call(destroy, base);
}

/** /proc/crypto. */
export function procCrypto(k: Linux): string {
  return k
    .state(cryptoRegistry)
    .algorithms.map((algorithm) => entry(k, algorithm))
    .join('');
}

function entry(k: Linux, { kind, base, outer, name, driver }: Algorithm): string {
  const module = k.read('crypto_alg.cra_module', base);
  const row = (label: string, value: string | number) => `${label.padEnd(12)} : ${value}\n`;
  return (
    row('name', name) +
    row('driver', driver) +
    row('module', module === 0 ? 'kernel' : k.readString('module.name', module)) +
    row('priority', k.read('crypto_alg.cra_priority', base)) +
    row('refcnt', k.read('crypto_alg.cra_refcnt.refs.counter', base)) +
    row('selftest', hasPassed(k, base) ? 'passed' : 'unknown') +
    row('internal', isInternal(k, base) ? 'yes' : 'no') +
    row('type', kind) +
    details(k, kind, base, outer, row) +
    '\n'
  );
}

/** What the show functions of crypto/skcipher.c, aead.c and proc.c write: label and field. */
const CIPHER_ROWS = [
  ['min keysize', 'min_keysize'],
  ['max keysize', 'max_keysize'],
  ['ivsize', 'ivsize'],
  ['chunksize', 'chunksize'],
  ['walksize', 'walksize'],
  ['statesize', 'statesize'],
] as const;
const AEAD_ROWS = [
  ['ivsize', 'ivsize'],
  ['maxauthsize', 'maxauthsize'],
] as const;
const BLOCK_ROWS = [
  ['min keysize', 'cia_min_keysize'],
  ['max keysize', 'cia_max_keysize'],
] as const;

function details(
  k: Linux,
  kind: AlgorithmKind,
  base: Address,
  outer: Address,
  row: (label: string, value: string | number) => string,
): string {
  const sizes = (struct: string, at: Address, fields: readonly (readonly [string, string])[]) =>
    fields
      .filter(([, field]) => k.types.has(`${struct}.${field}`))
      .map(([label, field]) => row(label, k.read(`${struct}.${field}`, at)))
      .join('');
  const blocksize = row('blocksize', k.read('crypto_alg.cra_blocksize', base));
  const async = row('async', (k.read('crypto_alg.cra_flags', base) & Flag.ASYNC) !== 0 ? 'yes' : 'no');
  switch (kind) {
    case 'shash':
      return blocksize + sizes('shash_alg', outer, [['digestsize', 'digestsize']]);
    case 'ahash':
      return async + blocksize + sizes('ahash_alg', outer, [['digestsize', 'halg.digestsize']]);
    case 'skcipher':
      return async + blocksize + sizes('skcipher_alg', outer, CIPHER_ROWS);
    case 'lskcipher':
      // A linear cipher is not walked over.
      return (
        blocksize +
        sizes(
          'skcipher_alg',
          outer,
          CIPHER_ROWS.filter(([label]) => label !== 'walksize'),
        )
      );
    case 'aead':
      return async + blocksize + sizes('aead_alg', outer, AEAD_ROWS) + row('geniv', '<none>');
    case 'rng':
      return sizes('rng_alg', outer, [['seedsize', 'seedsize']]);
    case 'cipher': {
      const union = base + k.offset('crypto_alg.cra_u');
      return blocksize + sizes('cipher_alg', union, BLOCK_ROWS);
    }
    default:
      return '';
  }
}
