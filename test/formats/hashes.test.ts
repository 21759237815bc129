/** Hashes by name, below and above the amount from which the host's own code computes them. */
import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { hashNamed, hashNames } from '../../src/formats/pki/hashes.ts';

const bytes = new Uint8Array(200_001).map((_, i) => (i * 7) ^ (i >> 8));

it.each(hashNames())('%s is what OpenSSL computes, however much was hashed before', (name) => {
  const { hash } = hashNamed(name) ?? { hash: () => new Uint8Array() };
  for (const part of [0, 3, 65_537, 200_001, 200_000, 1]) {
    const data = bytes.subarray(0, part);
    const result = hash(data);
    expect(result.constructor).toBe(Uint8Array);
    expect(Buffer.from(result).toString('hex')).toBe(createHash(name).update(data).digest('hex'));
  }
});
