/**
 * Hashes that Debian's kernel has built in and that modules ask for by name. Their state is opaque to callers:
 * it lives beside the descriptor's address until `final`.
 */
import { md5, sha1 } from '@noble/hashes/legacy';
import { sha224, sha256 } from '@noble/hashes/sha2';
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import { kernelFunctions } from '../functions/define.ts';
import type { Linux } from '../linux.ts';
import { cryptoRegistry } from './registry.ts';

interface Hasher {
  update(data: Uint8Array): unknown;
  digest(): Uint8Array;
}

interface BuiltIn {
  readonly name: string;
  readonly driver: string;
  readonly blockSize: number;
  readonly digestSize: number;
  readonly stateBytes: number;
  readonly create: () => Hasher;
}

/** Sizes of struct md5_state, sha1_state and sha256_state (include/crypto/). */
const BUILT_IN: readonly BuiltIn[] = [
  {
    name: 'md5',
    driver: 'md5-generic',
    blockSize: 64,
    digestSize: 16,
    stateBytes: 88,
    create: () => md5.create(),
  },
  {
    name: 'sha1',
    driver: 'sha1-generic',
    blockSize: 64,
    digestSize: 20,
    stateBytes: 96,
    create: () => sha1.create(),
  },
  {
    name: 'sha224',
    driver: 'sha224-generic',
    blockSize: 64,
    digestSize: 28,
    stateBytes: 104,
    create: () => sha224.create(),
  },
  {
    name: 'sha256',
    driver: 'sha256-generic',
    blockSize: 64,
    digestSize: 32,
    stateBytes: 104,
    create: () => sha256.create(),
  },
];

/** Hashes in progress, by descriptor. */
const running = perKernel(() => new Map<Address, Hasher>());

function builtInOf(k: Linux, descriptor: Address): BuiltIn | undefined {
  const transform = k.read('shash_desc.tfm', descriptor) + k.offset('crypto_shash.base');
  const name = k.readString('crypto_alg.cra_name', k.read('crypto_tfm.__crt_alg', transform));
  return BUILT_IN.find((algorithm) => algorithm.name === name);
}

export const builtInHashes = kernelFunctions({
  'int lkm_hash_init(struct shash_desc *desc)': (k, descriptor) => {
    const algorithm = builtInOf(k, descriptor);
    if (algorithm === undefined) return -22;
    k.state(running).set(descriptor, algorithm.create());
    return 0;
  },
  'int lkm_hash_update(struct shash_desc *desc, const u8 *data, unsigned int len)': (
    k,
    descriptor,
    data,
    length,
  ) => {
    k.state(running).get(descriptor)?.update(k.memory.bytes(data, length));
    return 0;
  },
  'int lkm_hash_final(struct shash_desc *desc, u8 *out)': (k, descriptor, out) => {
    const digest = k.state(running).get(descriptor)?.digest();
    k.state(running).delete(descriptor);
    if (digest !== undefined) k.memory.write(out, digest);
    return 0;
  },
});

/** Registers the built-in hashes; they are there before any module's. */
export function registerBuiltInHashes(k: Linux): void {
  for (const algorithm of BUILT_IN) {
    const hash = k.heap.allocateZeroed(k.sizeof('shash_alg'));
    const base = hash + k.offset('shash_alg.base');
    k.write('shash_alg.init', hash, k.addressOf('lkm_hash_init'));
    k.write('shash_alg.update', hash, k.addressOf('lkm_hash_update'));
    k.write('shash_alg.final', hash, k.addressOf('lkm_hash_final'));
    k.write('shash_alg.descsize', hash, algorithm.stateBytes);
    k.write('shash_alg.digestsize', hash, algorithm.digestSize);
    k.write('crypto_alg.cra_blocksize', base, algorithm.blockSize);
    k.write('crypto_alg.cra_priority', base, 100);
    writeName(k, base + k.offset('crypto_alg.cra_name'), algorithm.name);
    writeName(k, base + k.offset('crypto_alg.cra_driver_name'), algorithm.driver);
    k.state(cryptoRegistry).register(k, 'shash', base, hash);
  }
}

function writeName(k: Linux, at: Address, name: string): void {
  k.memory.write(at, new TextEncoder().encode(`${name}\0`));
}
