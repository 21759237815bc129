/** struct crypto_type: what the kinds of algorithms differ in, in guest memory as the kernel has it. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { TYPE_MASK, typeNumbers } from './flags.ts';

/** Kinds that have one; ciphers and compressors are older than that. */
const TYPED = [
  'skcipher',
  'lskcipher',
  'aead',
  'shash',
  'ahash',
  'akcipher',
  'kpp',
  'rng',
  'acomp',
  'scomp',
] as const;
export type TypedKind = (typeof TYPED)[number];

/** Kinds that templates make. */
export type InstanceKind = 'skcipher' | 'lskcipher' | 'aead' | 'shash' | 'ahash' | 'akcipher';

/** The kind whose structures one has: a linear cipher is kept in those of a cipher, whose common part is the same. */
export const structKind = <K extends string>(kind: K): K | 'skcipher' =>
  kind === 'lskcipher' ? 'skcipher' : kind;

/** The crypto_alg inside the structure of an algorithm of this kind. */
export function baseOf(k: Linux, kind: string, outer: Address): Address {
  if (kind === 'cipher' || kind === 'compression') return outer;
  return outer + k.offset(kind === 'ahash' ? 'ahash_alg.halg.base' : `${structKind(kind)}_alg.base`);
}

export const isTyped = (kind: string): kind is TypedKind => (TYPED as readonly string[]).includes(kind);

/** The mask of kinds that are found together: a hash of either form, a compressor of either form. */
const MASKS: Partial<Record<TypedKind, number>> = { ahash: 0xe, acomp: 0xe };

const types = perKernel<Map<TypedKind, Address>, Linux>(() => new Map());

/** The kernel's crypto_KIND_type, made when it is first asked for. */
export function cryptoType(k: Linux, kind: TypedKind): Address {
  const known = k.state(types);
  let at = known.get(kind);
  if (at === undefined) {
    at = k.heap.lasting(() => k.heap.allocateZeroed(k.sizeof('crypto_type')));
    k.write('crypto_type.type', at, typeNumbers(k)[kind]);
    k.write('crypto_type.maskclear', at, ~TYPE_MASK);
    // Where there are linear ciphers, they are found as ciphers.
    const both = kind === 'skcipher' && k.types.has('lskcipher_alg.co');
    k.write('crypto_type.maskset', at, both ? 0xe : (MASKS[kind] ?? TYPE_MASK));
    if (k.types.has(`crypto_${structKind(kind)}.base`))
      k.write('crypto_type.tfmsize', at, k.offset(`crypto_${structKind(kind)}.base`));
    k.write('crypto_type.init_tfm', at, k.addressOf(`crypto_${structKind(kind)}_init_tfm`));
    k.write('crypto_type.free', at, k.addressOf(`crypto_${structKind(kind)}_free_instance`));
    known.set(kind, at);
  }
  return at;
}
