/** AES as the kernel's library has it (lib/crypto/aes.c, FIPS 197): struct crypto_aes_ctx lies in guest memory. */
import type { Address } from '../../../memory/space.ts';
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
 * A round on one byte of a column, as the column that it adds: substitution and MixColumns in one look-up. The tables of
 * the other three bytes are this one, turned.
 */
function makeTable(substitution: Uint8Array, row: readonly number[]): Int32Array {
  return Int32Array.from(substitution, (to) =>
    [0, 3, 2, 1].reduce((column, at, i) => column | (multiply(to, row[at]) << (8 * i)), 0),
  );
}

const DIRECTIONS = {
  // Row r of the state moves by r columns, to the left or to the right.
  encrypt: { table: makeTable(SUBSTITUTE, MIX), last: SUBSTITUTE, turn: 1 },
  decrypt: { table: makeTable(RESTORE, UNMIX), last: RESTORE, turn: 3 },
} as const;

const rotate = (word: number, by: number): number => (word << by) | (word >>> (32 - by));

/** One block of four columns; `keys` of the direction. */
function cipher(block: Int32Array, keys: Int32Array, how: 'encrypt' | 'decrypt'): Int32Array {
  const { table, last, turn } = DIRECTIONS[how];
  let from = block.map((column, n) => column ^ keys[n]);
  let to = new Int32Array(4);
  const end = keys.length - 4;
  for (let at = 4; at < end; at += 4) {
    for (let n = 0; n < 4; n++)
      to[n] =
        keys[at + n] ^
        table[from[n] & 0xff] ^
        rotate(table[(from[(n + turn) & 3] >>> 8) & 0xff], 8) ^
        rotate(table[(from[(n + 2) & 3] >>> 16) & 0xff], 16) ^
        rotate(table[from[(n + 3 * turn) & 3] >>> 24], 24);
    [from, to] = [to, from];
  }
  for (let n = 0; n < 4; n++)
    to[n] =
      keys[end + n] ^
      (last[from[n] & 0xff] |
        (last[(from[(n + turn) & 3] >>> 8) & 0xff] << 8) |
        (last[(from[(n + 2) & 3] >>> 16) & 0xff] << 16) |
        (last[from[(n + 3 * turn) & 3] >>> 24] << 24));
  return to;
}

/** Guest and host have their bytes in the same order, the little-endian one. */
const words = (k: Linux, at: Address, count: number): Int32Array =>
  new Int32Array(k.memory.bytes(at, 4 * count).buffer);

/** struct crypto_aes_ctx (include/crypto/aes.h): 60 words each way, then the key's length. */
const CONTEXT = { encrypt: 0, decrypt: 240, length: 480 } as const;

function run(k: Linux, context: Address, to: Address, from: Address, how: 'encrypt' | 'decrypt'): void {
  const rounds = ROUNDS[k.memory.u32(context + CONTEXT.length)] ?? 14;
  const keys = words(k, context + CONTEXT[how], 4 * (rounds + 1));
  k.memory.write(to, new Uint8Array(cipher(words(k, from, 4), keys, how).buffer));
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
