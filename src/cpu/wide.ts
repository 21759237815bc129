/**
 * Names and numbers of the vector instructions that are one function for all (wide-functions.ts), and the tables of those of
 * AES (FIPS 197). Kept from the code itself: a program that has the interpreter's module ready needs no more than this.
 */
import { AES_TABLES } from '../memory/layout.ts';

/** In the order of their numbers. */
export const WIDE = [
  'aesenc',
  'aesenclast',
  'aesdec',
  'aesdeclast',
  'aesimc',
  'aeskeygenassist',
  'pclmulqdq',
  'sha1rnds4',
  'sha1nexte',
  'sha1msg1',
  'sha1msg2',
  'sha256rnds2',
  'sha256msg1',
  'sha256msg2',
] as const;
export type WideName = (typeof WIDE)[number];

/** Those whose tables {@link writeAesTables} makes. */
export const isAes = (name: string): boolean => name.startsWith('aes');

/** Where the tables are: of rounds, joined with the mixing of columns, and of plain substitution, either way. */
export const ENCRYPT = AES_TABLES;
export const DECRYPT = AES_TABLES + 1024;
export const SUBSTITUTE = AES_TABLES + 2048;
export const INVERSE = AES_TABLES + 2304;

const double = (x: number): number => ((x << 1) ^ (x & 0x80 ? 0x11b : 0)) & 255;

function times(x: number, y: number): number {
  let product = 0;
  for (let rest = y, power = x; rest !== 0; rest >>= 1, power = double(power)) if (rest & 1) product ^= power;
  return product;
}

/** FIPS 197, 5.1.1: the inverse in the field, then an affine map. */
function substitution(): Uint8Array {
  const box = new Uint8Array(256);
  for (let x = 0; x < 256; x++) {
    let inverse = 1;
    for (let n = 0; n < 254; n++) inverse = times(inverse, x);
    const turned = [1, 2, 3, 4].map((n) => (inverse << n) | (inverse >> (8 - n)));
    box[x] = turned.reduce((sum, part) => sum ^ part, inverse) ^ 0x63;
  }
  return box;
}

/** The tables of substitution joined with the mixing of columns, and the plain ones. Idempotent. */
export function writeAesTables(data: DataView): void {
  if (data.getUint8(SUBSTITUTE) !== 0) return;
  substitution().forEach((s, x) => {
    data.setUint8(SUBSTITUTE + x, s);
    data.setUint8(INVERSE + s, x);
    const [two, three] = [double(s), double(s) ^ s];
    data.setUint32(ENCRYPT + x * 4, (two | (s << 8) | (s << 16) | (three << 24)) >>> 0, true);
    const column = times(x, 14) | (times(x, 9) << 8) | (times(x, 13) << 16) | (times(x, 11) << 24);
    data.setUint32(DECRYPT + s * 4, column >>> 0, true);
  });
}
