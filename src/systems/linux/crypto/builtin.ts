/** The algorithms and templates that are part of the kernel, as its configuration says, oldest first. */
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { initList } from '../lists.ts';
import { AES_CONTEXT } from './builtin-ciphers.ts';
import { BUILT_IN_HASHES, type BuiltInHash, stateBytes } from './builtin-hashes.ts';
import { registerBuiltInCompressors } from './builtin-lzo.ts';
import { typeNumbers } from './flags.ts';
import { type AlgorithmKind, cryptoRegistry, markPassed } from './registry.ts';
import { addTemplate } from './templates.ts';
import { baseOf } from './types.ts';

/** Built in? Where the kernel file does not tell, it is as in Debian's kernels. */
function has(k: Linux, option: string, usual: boolean): boolean {
  const value = k.file.config?.get(option);
  return value === undefined ? usual : value === 'y';
}

export function registerBuiltIns(k: Linux): void {
  const later = k.types.has('lskcipher_alg.co');
  if (has(k, 'CONFIG_CRYPTO_NULL2', !later)) registerNull(k);
  for (const hash of BUILT_IN_HASHES)
    if (has(k, hash.config, later || hash.digestSize <= 32)) registerHash(k, hash);
  if (has(k, 'CONFIG_CRYPTO_AES', true)) registerAes(k);
  if (has(k, 'CONFIG_CRYPTO_LZO', true)) registerBuiltInCompressors(k);
  for (const [option, name, usual] of [
    ['CONFIG_CRYPTO_HMAC', 'hmac', true],
    ['CONFIG_CRYPTO_CBC', 'cbc', true],
    ['CONFIG_CRYPTO_ECB', 'ecb', later],
    ['CONFIG_CRYPTO_CTR', 'ctr', false],
  ] as const)
    if (has(k, option, usual)) registerTemplate(k, name);
}

interface Common {
  readonly name: string;
  readonly driver: string;
  readonly priority: number;
  readonly blocksize: number;
  readonly context?: number;
}

/** Memory for an algorithm, its names and sizes written; `fill` writes what the kind has besides. */
function make(
  k: Linux,
  kind: AlgorithmKind,
  common: Common,
  fill: (outer: Address, base: Address) => void,
): void {
  const plain = kind === 'cipher' || kind === 'compression';
  const outer = k.heap.allocateZeroed(k.sizeof(plain ? 'crypto_alg' : `${kind}_alg`));
  const base = baseOf(k, kind, outer);
  k.write('crypto_alg.cra_priority', base, common.priority);
  k.write('crypto_alg.cra_blocksize', base, common.blocksize);
  k.write('crypto_alg.cra_ctxsize', base, common.context ?? 0);
  writeText(k, base + k.offset('crypto_alg.cra_name'), common.name);
  writeText(k, base + k.offset('crypto_alg.cra_driver_name'), common.driver);
  fill(outer, base);
  if (plain) k.write('crypto_alg.cra_flags', base, typeNumbers(k)[kind]);
  k.state(cryptoRegistry).register(k, kind, base, outer);
  // The kernel has tested its own while it started.
  markPassed(k, base);
  initList(k, base + k.offset('crypto_alg.cra_users'));
}

function methods(k: Linux, struct: string, at: Address, table: Readonly<Record<string, string>>): void {
  for (const [field, name] of Object.entries(table)) k.write(`${struct}.${field}`, at, k.addressOf(name));
}

function registerHash(k: Linux, hash: BuiltInHash): void {
  const common = { ...hash, driver: `${hash.name}-generic`, blocksize: hash.family.blockBytes };
  make(k, 'shash', common, (outer) => {
    methods(k, 'shash_alg', outer, {
      init: 'lkm_hash_init',
      update: 'lkm_hash_update',
      final: 'lkm_hash_final',
    });
    k.write('shash_alg.descsize', outer, stateBytes(k, hash));
    k.write('shash_alg.digestsize', outer, hash.digestSize);
  });
}

function cipher(
  k: Linux,
  common: Common,
  keys: readonly [number, number],
  table: Record<string, string>,
): void {
  make(k, 'cipher', common, (_outer, base) => {
    const union = base + k.offset('crypto_alg.cra_u');
    k.write('cipher_alg.cia_min_keysize', union, keys[0]);
    k.write('cipher_alg.cia_max_keysize', union, keys[1]);
    methods(k, 'cipher_alg', union, table);
  });
}

function registerAes(k: Linux): void {
  const common = { name: 'aes', driver: 'aes-generic', priority: 100, blocksize: 16, context: AES_CONTEXT };
  cipher(k, common, [16, 32], {
    cia_setkey: 'crypto_aes_set_key',
    cia_encrypt: 'crypto_aes_encrypt',
    cia_decrypt: 'crypto_aes_decrypt',
  });
}

/** crypto/crypto_null.c */
function registerNull(k: Linux): void {
  const common = { name: 'cipher_null', driver: 'cipher_null-generic', priority: 0, blocksize: 1 };
  cipher(k, common, [0, 0], {
    cia_setkey: 'null_setkey',
    cia_encrypt: 'null_crypt',
    cia_decrypt: 'null_crypt',
  });
  const digest = { name: 'digest_null', driver: 'digest_null-generic', priority: 0, blocksize: 1 };
  make(k, 'shash', digest, (outer) => {
    const table = { init: 'null_init', update: 'null_update', final: 'null_final' };
    methods(k, 'shash_alg', outer, { ...table, finup: 'null_digest', digest: 'null_digest' });
  });
  const text = { name: 'ecb(cipher_null)', driver: 'ecb-cipher_null', priority: 100, blocksize: 1 };
  make(k, 'skcipher', text, (outer) => {
    const table = { encrypt: 'null_skcipher_crypt', decrypt: 'null_skcipher_crypt' };
    methods(k, 'skcipher_alg', outer, { ...table, setkey: 'null_skcipher_setkey' });
  });
}

function registerTemplate(k: Linux, name: string): void {
  const at = k.heap.allocateZeroed(k.sizeof('crypto_template'));
  writeText(k, at + k.offset('crypto_template.name'), name);
  k.write('crypto_template.create', at, k.addressOf(`crypto_${name}_create`));
  addTemplate(k, at);
}

function writeText(k: Linux, at: Address, text: string): void {
  k.memory.write(at, new TextEncoder().encode(`${text}\0`));
}
