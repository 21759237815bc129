/** Test data of selftest-vectors.ts, unfolded. Numbers of entries are those of the kernel's own lists. */
import { bytesOfHex } from '../../../bytes/hex.ts';
import { CIPHER_VECTORS, COMPRESSION_VECTORS, HASH_VECTORS, STREAM_VECTORS } from './selftest-vectors.ts';

export interface HashVector {
  readonly message: Uint8Array;
  readonly key: Uint8Array | undefined;
  readonly digest: Uint8Array;
}

export interface CipherVector {
  readonly key: Uint8Array;
  readonly plain: Uint8Array;
  readonly secret: Uint8Array;
}

/** Of a cipher over scatter lists. */
export interface StreamVector {
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
  readonly plain: Uint8Array;
  /** Undefined for a long one, of which only the SHA-256 is known. */
  readonly secret: Uint8Array | undefined;
  readonly sum: Uint8Array | undefined;
  /** What the vector must be afterwards, where that is looked at. */
  readonly ivOut: Uint8Array | undefined;
}

export interface CompressionVectors {
  /** What is compressed and expanded again. */
  readonly plain: readonly Uint8Array[];
  readonly packed: readonly { readonly packed: Uint8Array; readonly plain: Uint8Array }[];
}

const TEXT_SEED = 1;
const KEY_SEED = 2;
const IV_SEED = 3;

/** The numbers that scripts/make-crypto-vectors.py makes its input of. */
function* numbers(seed: number): Generator<number> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    yield state;
  }
}

function pattern(length: number, seed: number): Uint8Array {
  const source = numbers(seed);
  return Uint8Array.from({ length }, () => (source.next().value >> 16) & 0xff);
}

function words(length: number, seed: number): Uint8Array {
  let text = '';
  for (const state of numbers(seed)) {
    text += ((state >> 24) & 15) === 0 ? ' module ' : String.fromCharCode(97 + ((state >> 16) & 15));
    if (text.length >= length) break;
  }
  return new TextEncoder().encode(text.slice(0, length));
}

/** Undefined when there are none for that algorithm. */
export function hashVectors(name: string): HashVector[] | undefined {
  return HASH_VECTORS[name]?.map((entry) => {
    const [message, digest] = entry.split(':');
    const [, text, length, keyBytes] = /^(?:=(.*)|(\d+)(?:k(\d+))?)$/.exec(message) ?? [];
    return {
      message: text === undefined ? pattern(Number(length), TEXT_SEED) : new TextEncoder().encode(text),
      key: keyBytes === undefined ? undefined : pattern(Number(keyBytes), KEY_SEED),
      digest: bytesOfHex(digest),
    };
  });
}

function bytesOf(spec: string, seed: number): Uint8Array {
  return spec.startsWith('@') ? pattern(Number(spec.slice(1)), seed) : bytesOfHex(spec);
}

/** Undefined entries have a number in the kernel's list and no data here. */
export function cipherVectors(name: string): (CipherVector | undefined)[] | undefined {
  return CIPHER_VECTORS[name]?.map((entry) => {
    if (entry === '') return undefined;
    const [key, text, answer] = entry.split(':');
    return { key: bytesOf(key, KEY_SEED), plain: bytesOf(text, TEXT_SEED), secret: bytesOfHex(answer) };
  });
}

/** For `ecb(NAME)` those of single blocks. */
export function streamVectors(name: string): (StreamVector | undefined)[] | undefined {
  const inner = /^ecb\((.*)\)$/.exec(name)?.[1];
  if (inner !== undefined) {
    return cipherVectors(inner)?.map(
      (vector) => vector && { ...vector, iv: new Uint8Array(), sum: undefined, ivOut: undefined },
    );
  }
  return STREAM_VECTORS[name]?.map((entry) => {
    const [key, iv, text, answer, ivOut] = entry.split(':');
    const long = answer.startsWith('#');
    return {
      key: bytesOf(key, KEY_SEED),
      iv: bytesOf(iv, IV_SEED),
      plain: bytesOf(text, TEXT_SEED),
      secret: long ? undefined : bytesOfHex(answer),
      sum: long ? bytesOfHex(answer.slice(1)) : undefined,
      ivOut: ivOut === undefined ? undefined : bytesOfHex(ivOut),
    };
  });
}

export function compressionVectors(name: string): CompressionVectors | undefined {
  const entries = COMPRESSION_VECTORS[name]?.map((entry) => {
    const [, length, seed, packed] = /^(\d+)\/(\d+)(?::(.*))?$/.exec(entry) ?? [];
    return { plain: words(Number(length), Number(seed)), packed };
  });
  return (
    entries && {
      plain: entries.filter(({ packed }) => packed === undefined).map(({ plain }) => plain),
      packed: entries.flatMap(({ plain, packed }) =>
        packed === undefined ? [] : [{ plain, packed: bytesOfHex(packed) }],
      ),
    }
  );
}
