/** AES as the kernel's library has it (lib/crypto/aes.c, FIPS 197): struct crypto_aes_ctx lies in guest memory. */
import { perKernel } from '../../../kernel/kernel.ts';
import { type Address, type GuestMemory, PAGE_SIZE } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

/** Multiplication by x in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1. */
const double = (a: number): number => ((a << 1) ^ (a & 0x80 ? 0x11b : 0)) & 0xff;

function multiply(a: number, b: number): number {
  let product = 0;
  for (let bits = b, factor = a; bits > 0; bits >>= 1, factor = double(factor))
    if (bits & 1) product ^= factor;
  return product;
}

/** FIPS 197, 5.1.1: the inverse, then an affine map; by way of powers of the generator 3. */
function makeSubstitution(): Uint8Array {
  const table = new Uint8Array(256);
  let power = 1;
  let inverse = 1;
  do {
    power ^= double(power);
    // Division by 3 is multiplication by 0xf6.
    inverse = multiply(inverse, 0xf6);
    const spread = inverse * 0x101;
    table[power] = (spread ^ (spread >> 4) ^ (spread >> 5) ^ (spread >> 6) ^ (spread >> 7) ^ 0x63) & 0xff;
  } while (power !== 1);
  table[0] = 0x63;
  return table;
}

const SUBSTITUTE = makeSubstitution();
const RESTORE = new Uint8Array(256);
SUBSTITUTE.forEach((to, from) => {
  RESTORE[to] = from;
});

/** Key lengths in bytes, and the rounds they take. */
const ROUNDS: Readonly<Record<number, number>> = { 16: 10, 24: 12, 32: 14 };

/** 5.2, as bytes: 16 for each round key. */
function expand(key: Uint8Array): Uint8Array {
  const words = key.length / 4;
  const out = new Uint8Array(16 * (ROUNDS[key.length] + 1));
  out.set(key);
  let constant = 1;
  for (let i = words; i < out.length / 4; i++) {
    let word = [...out.subarray(4 * i - 4, 4 * i)];
    if (i % words === 0) {
      word = [word[1], word[2], word[3], word[0]].map((byte) => SUBSTITUTE[byte]);
      word[0] ^= constant;
      constant = double(constant);
    } else if (words > 6 && i % words === 4) word = word.map((byte) => SUBSTITUTE[byte]);
    for (let j = 0; j < 4; j++) out[4 * i + j] = out[4 * (i - words) + j] ^ word[j];
  }
  return out;
}

/** MixColumns and its inverse, by their first row. */
function mixColumns(state: Uint8Array, row: readonly number[]): void {
  for (let column = 0; column < 16; column += 4) {
    const old = state.slice(column, column + 4);
    for (let i = 0; i < 4; i++) {
      let sum = 0;
      for (let j = 0; j < 4; j++) sum ^= multiply(old[j], row[(j - i + 4) % 4]);
      state[column + i] = sum;
    }
  }
}

const MIX = [2, 3, 1, 1];
const UNMIX = [14, 11, 13, 9];

/** The decryption schedule of the equivalent inverse cipher (5.3.5): reversed, the inner keys unmixed. */
function invert(keys: Uint8Array): Uint8Array {
  const rounds = keys.length / 16 - 1;
  const out = new Uint8Array(keys.length);
  for (let round = 0; round <= rounds; round++) {
    const key = keys.slice(16 * (rounds - round), 16 * (rounds - round) + 16);
    if (round > 0 && round < rounds) mixColumns(key, UNMIX);
    out.set(key, 16 * round);
  }
  return out;
}

/**
 * A round on one byte of each row of a column, as the column that it adds: substitution and MixColumns in one look-up. The
 * table of a row is that of the first, turned.
 */
function makeTables(substitution: Uint8Array, row: readonly number[]): readonly Int32Array[] {
  const first = Int32Array.from(substitution, (to) =>
    [0, 3, 2, 1].reduce((column, at, i) => column | (multiply(to, row[at]) << (8 * i)), 0),
  );
  return [0, 8, 16, 24].map((by) => first.map((column) => (column << by) | (column >>> (32 - by))));
}

/** Of one way: the tables of its rounds, and the substitution alone for the last of them. */
interface Direction {
  readonly tables: readonly Int32Array[];
  readonly last: Uint8Array;
  /** Where the second and the fourth column lie: rows move to the left or to the right, which exchanges the two. */
  readonly second: number;
  readonly fourth: number;
}

const ENCRYPT: Direction = { tables: makeTables(SUBSTITUTE, MIX), last: SUBSTITUTE, second: 4, fourth: 12 };
const DECRYPT: Direction = { tables: makeTables(RESTORE, UNMIX), last: RESTORE, second: 12, fourth: 4 };

/** The last round has no mixing: a byte of each of four columns. */
const joined = (last: Uint8Array, a: number, b: number, c: number, d: number): number =>
  last[a & 0xff] | (last[(b >>> 8) & 0xff] << 8) | (last[(c >>> 16) & 0xff] << 16) | (last[d >>> 24] << 24);

/** One block of four columns; the round keys are the words of `keys` from `first` to that of the last round, and three more. */
function cipher(
  memory: GuestMemory,
  way: Direction,
  keys: Int32Array,
  first: number,
  end: number,
  to: Address,
  from: Address,
): void {
  const { tables, last, second, fourth } = way;
  const [one, two, three, four] = tables;
  // Of words where the others are of bytes.
  const [after, before] = [second >> 2, fourth >> 2];
  let a = memory.i32(from) ^ keys[first];
  let b = memory.i32(from + second) ^ keys[first + after];
  let c = memory.i32(from + 8) ^ keys[first + 2];
  let d = memory.i32(from + fourth) ^ keys[first + before];
  for (let at = first + 4; at < end; at += 4) {
    const e = one[a & 0xff] ^ two[(b >>> 8) & 0xff] ^ three[(c >>> 16) & 0xff] ^ four[d >>> 24];
    const f = one[b & 0xff] ^ two[(c >>> 8) & 0xff] ^ three[(d >>> 16) & 0xff] ^ four[a >>> 24];
    const g = one[c & 0xff] ^ two[(d >>> 8) & 0xff] ^ three[(a >>> 16) & 0xff] ^ four[b >>> 24];
    const h = one[d & 0xff] ^ two[(a >>> 8) & 0xff] ^ three[(b >>> 16) & 0xff] ^ four[c >>> 24];
    a = e ^ keys[at];
    b = f ^ keys[at + after];
    c = g ^ keys[at + 2];
    d = h ^ keys[at + before];
  }
  memory.set32(to, joined(last, a, b, c, d) ^ keys[end]);
  memory.set32(to + second, joined(last, b, c, d, a) ^ keys[end + after]);
  memory.set32(to + 8, joined(last, c, d, a, b) ^ keys[end + 2]);
  memory.set32(to + fourth, joined(last, d, a, b, c) ^ keys[end + before]);
}

/** struct crypto_aes_ctx (include/crypto/aes.h): 60 words each way, then the key's length. */
const CONTEXT = { encrypt: 0, decrypt: 240, length: 480 } as const;

/** All of linear memory as words: modules ask for a block of 16 bytes at a time, and its keys are eleven times as much. */
const linear = perKernel((k) => new Int32Array(k.memory.wasm.buffer));

function run(k: Linux, context: Address, to: Address, from: Address, how: 'encrypt' | 'decrypt'): void {
  const { memory } = k;
  const words = 4 * (ROUNDS[memory.u32(context + CONTEXT.length)] ?? 14);
  const keys = context + CONTEXT[how];
  const way = how === 'encrypt' ? ENCRYPT : DECRYPT;
  const host = memory.hostOffset(keys, 'read');
  const within = (keys & (PAGE_SIZE - 1)) + 4 * words + 16 <= PAGE_SIZE;
  if (within && (host & 3) === 0)
    cipher(memory, way, k.state(linear), host >> 2, (host >> 2) + words, to, from);
  else {
    const copy = new Int32Array(memory.bytes(keys, 4 * words + 16).buffer);
    cipher(memory, way, copy, 0, words, to, from);
  }
}

export const aesFunctions = kernelFunctions({
  'int aes_expandkey(struct crypto_aes_ctx *ctx, const u8 *in_key, unsigned int key_len)': (
    k,
    context,
    key,
    length,
  ) => {
    if (ROUNDS[length] === undefined) return -Errno.EINVAL;
    const keys = expand(k.memory.bytes(key, length));
    k.memory.set32(context + CONTEXT.length, length);
    k.memory.write(context + CONTEXT.encrypt, keys);
    k.memory.write(context + CONTEXT.decrypt, invert(keys));
    return 0;
  },
  'void aes_encrypt(const struct crypto_aes_ctx *ctx, u8 *out, const u8 *in)': (k, context, to, from) =>
    run(k, context, to, from, 'encrypt'),
  'void aes_decrypt(const struct crypto_aes_ctx *ctx, u8 *out, const u8 *in)': (k, context, to, from) =>
    run(k, context, to, from, 'decrypt'),
});
