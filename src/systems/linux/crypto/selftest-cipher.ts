/** Known answer tests of single ciphers (test_cipher of crypto/testmgr.c): block by block, in place, one direction after the other. */
import { hexOf } from '../../../bytes/hex.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { allocatePlain, oneBlock, setBlockKey } from './ciphers.ts';
import { Flag, schedulesTests, TYPE_MASK, typeNumbers } from './flags.ts';
import type { Algorithm } from './registry.ts';
import { type CipherVector, cipherVectors } from './selftest-data.ts';
import { destroy } from './transforms.ts';
import { withMemory } from './use.ts';

/** 0, or how it failed; the log says why. */
export function* testCipher(k: Linux, algorithm: Algorithm): Steps<number> {
  const vectors = cipherVectors(algorithm.name);
  if (vectors === undefined) return 0;
  const transform = yield* allocatePlain(k, algorithm.driver, typeNumbers(k).cipher, TYPE_MASK | Flag.TESTED);
  if (isError(transform)) {
    if (transform === -Errno.ENOENT && schedulesTests(k)) return 0;
    k.printk(3, `alg: cipher: Failed to load transform for ${algorithm.driver}: ${transform}`);
    return transform;
  }
  const longest = (part: 'key' | 'plain') => Math.max(...vectors.map((vector) => vector?.[part].length ?? 0));
  const error = yield* withMemory(k, [longest('key'), longest('plain')], function* ([keyAt, data]) {
    for (const how of ['encrypt', 'decrypt'] as const) {
      for (const [number, vector] of vectors.entries()) {
        if (vector === undefined) continue;
        const failed = yield* testOne(k, { algorithm, transform, keyAt, data, how }, vector, number + 1);
        if (failed !== 0) return failed;
      }
    }
    return 0;
  });
  yield* destroy(k, transform, transform);
  return error;
}

interface Bench {
  readonly algorithm: Algorithm;
  readonly transform: Address;
  readonly keyAt: Address;
  readonly data: Address;
  readonly how: 'encrypt' | 'decrypt';
}

function* testOne(
  k: Linux,
  { algorithm: { base, driver }, transform, keyAt, data, how }: Bench,
  { key, plain, secret }: CipherVector,
  number: number,
): Steps<number> {
  const [from, to] = how === 'encrypt' ? [plain, secret] : [secret, plain];
  k.memory.write(data, from);
  k.memory.write(keyAt, key);
  const error = yield* setBlockKey(k, transform, keyAt, key.length);
  if (error !== 0) {
    const flags = k.read('crypto_tfm.crt_flags', transform).toString(16);
    k.printk(
      3,
      `alg: cipher: ${driver} setkey failed on test vector ${number}; expected_error=0, actual_error=${error}, flags=0x${flags}`,
    );
    return error;
  }
  const block = Math.max(1, k.read('crypto_alg.cra_blocksize', base));
  for (let at = 0; at < from.length; at += block) yield* oneBlock(k, transform, data + at, data + at, how);
  const result = k.memory.bytes(data, to.length);
  if (result.every((byte, i) => byte === to[i])) return 0;
  k.printk(3, `alg: cipher: Test ${number} failed on ${how}ion for ${driver}`);
  dumpBytes(k, result);
  return -Errno.EINVAL;
}

/** print_hex_dump as crypto/testmgr.c calls it: rows of sixteen with their offsets, at the default level. */
export function dumpBytes(k: Linux, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += 16)
    k.printk(4, `${at.toString(16).padStart(8, '0')}: ${hexOf(bytes.subarray(at, at + 16), ' ')}`);
}
