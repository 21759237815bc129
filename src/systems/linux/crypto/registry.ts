/**
 * The registry of algorithms (crypto/api.c, crypto/algapi.c, crypto/proc.c). An algorithm is the guest's crypto_alg;
 * what is kept here is the order of registration and which kind of structure surrounds it.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { modulePut, tryModuleGet } from '../refcount.ts';
import { isTested } from './tested.ts';

export type AlgorithmKind =
  | 'shash'
  | 'ahash'
  | 'cipher'
  | 'compression'
  | 'skcipher'
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

/** CRYPTO_ALG_TESTED (include/linux/crypto.h). */
const TESTED = 0x400;

export class CryptoRegistry {
  /** Newest first, as crypto_alg_list. */
  readonly algorithms: Algorithm[] = [];

  /** __crypto_register_alg: EEXIST when the driver's name is taken. */
  register(k: Linux, kind: AlgorithmKind, base: Address, outer: Address): number {
    const name = k.readString('crypto_alg.cra_name', base);
    const driver = k.readString('crypto_alg.cra_driver_name', base);
    if (name === '' || driver === '') return -Errno.EINVAL;
    if (this.algorithms.some((known) => known.driver === driver || known.base === base)) return -Errno.EEXIST;
    k.write('crypto_alg.cra_refcnt.refs.counter', base, 1);
    k.write('crypto_alg.cra_flags', base, k.read('crypto_alg.cra_flags', base) | TESTED);
    this.algorithms.unshift({ kind, base, outer, name, driver });
    if (!isTested(name)) k.printk(6, `alg: No test for ${name} (${driver})`);
    return 0;
  }

  /** False when it was not registered. */
  unregister(base: Address): boolean {
    const at = this.algorithms.findIndex((algorithm) => algorithm.base === base);
    if (at >= 0) this.algorithms.splice(at, 1);
    return at >= 0;
  }

  /** crypto_alg_lookup: an exact driver name wins, then the highest priority among the name's drivers. */
  find(k: Linux, name: string, kinds: readonly AlgorithmKind[]): Algorithm | undefined {
    const fitting = this.algorithms.filter((algorithm) => kinds.includes(algorithm.kind));
    const exact = fitting.find((algorithm) => algorithm.driver === name);
    if (exact !== undefined) return exact;
    const priority = (algorithm: Algorithm) => k.read('crypto_alg.cra_priority', algorithm.base);
    return fitting
      .filter((algorithm) => algorithm.name === name)
      .sort((a, b) => priority(b) - priority(a))[0];
  }
}

export const cryptoRegistry = perKernel<CryptoRegistry, Linux>(() => new CryptoRegistry());

/** Holds an algorithm for a user: its reference count and its module's. */
export function holdAlgorithm(k: Linux, { base }: Algorithm): boolean {
  if (!tryModuleGet(k, k.read('crypto_alg.cra_module', base))) return false;
  k.write('crypto_alg.cra_refcnt.refs.counter', base, k.read('crypto_alg.cra_refcnt.refs.counter', base) + 1);
  return true;
}

export function putAlgorithm(k: Linux, base: Address): void {
  k.write('crypto_alg.cra_refcnt.refs.counter', base, k.read('crypto_alg.cra_refcnt.refs.counter', base) - 1);
  modulePut(k, k.read('crypto_alg.cra_module', base));
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
    row('selftest', 'passed') +
    row('internal', 'no') +
    row('type', kind) +
    details(k, kind, base, outer, row) +
    '\n'
  );
}

function details(
  k: Linux,
  kind: AlgorithmKind,
  base: Address,
  outer: Address,
  row: (label: string, value: string | number) => string,
): string {
  const blocksize = () => row('blocksize', k.read('crypto_alg.cra_blocksize', base));
  if (kind === 'shash') return blocksize() + row('digestsize', k.read('shash_alg.digestsize', outer));
  if (kind !== 'cipher') return '';
  const union = base + k.offset('crypto_alg.cra_u');
  return (
    blocksize() +
    row('min keysize', k.read('cipher_alg.cia_min_keysize', union)) +
    row('max keysize', k.read('cipher_alg.cia_max_keysize', union))
  );
}
