/** LZO, which kernels have built in: as compressors of the crypto API, and as functions (crypto/lzo.c, crypto/lzo-rle.c, lib/lzo). */
import { FormatError, Truncated } from '../../../bytes/errors.ts';
import { unpackLzo1x } from '../../../bytes/lzo.ts';
import { packLzo1x } from '../../../bytes/lzo-pack.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import { kernelFunctions } from '../functions/define.ts';
import type { Linux } from '../linux.ts';
import { initList } from '../lists.ts';
import { cryptoRegistry, markPassed } from './registry.ts';

/** LZO_E_* (include/linux/lzo.h). */
const LZO = { OK: 0, ERROR: -1, INPUT_OVERRUN: -4, OUTPUT_OVERRUN: -5 } as const;
const CRYPTO_ALG_TYPE_COMPRESS = 2;

/** The bytes that `pack` made, and their number where the caller wants it. */
function put(k: Linux, made: Uint8Array, to: Address, length: (count: number) => void): number {
  k.memory.write(to, made);
  length(made.length);
  return LZO.OK;
}

function unpack(
  k: Linux,
  from: Address,
  count: number,
  to: Address,
  room: number,
  length: (count: number) => void,
): number {
  try {
    return put(k, unpackLzo1x(k.memory.bytes(from, count), room), to, length);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return error instanceof Truncated ? LZO.INPUT_OVERRUN : LZO.OUTPUT_OVERRUN;
  }
}

const word = (k: Linux, at: Address) => (count: number) => k.memory.setPtr(at, count);
const unsigned = (k: Linux, at: Address) => (count: number) => k.memory.set32(at, count);

/** Is it the compressor with runs of zeros? */
function withRuns(k: Linux, transform: Address): boolean {
  return k.readString('crypto_alg.cra_name', k.read('crypto_tfm.__crt_alg', transform)) === 'lzo-rle';
}

export const lzoFunctions = kernelFunctions({
  'int lzo1x_1_compress(const unsigned char *src, size_t src_len, unsigned char *dst, size_t *dst_len, void *wrkmem)':
    (k, from, count, to, length) =>
      put(k, packLzo1x(k.memory.bytes(from, count), false), to, word(k, length)),
  'int lzorle1x_1_compress(const unsigned char *src, size_t src_len, unsigned char *dst, size_t *dst_len, void *wrkmem)':
    (k, from, count, to, length) => put(k, packLzo1x(k.memory.bytes(from, count), true), to, word(k, length)),
  'int lzo1x_decompress_safe(const unsigned char *src, size_t src_len, unsigned char *dst, size_t *dst_len)':
    (k, from, count, to, length) => unpack(k, from, count, to, k.memory.ptr(length), word(k, length)),
  'int lkm_lzo_compress(struct crypto_tfm *tfm, const u8 *src, unsigned int slen, u8 *dst, unsigned int *dlen)':
    (k, transform, from, count, to, length) =>
      put(k, packLzo1x(k.memory.bytes(from, count), withRuns(k, transform)), to, unsigned(k, length)),
  'int lkm_lzo_decompress(struct crypto_tfm *tfm, const u8 *src, unsigned int slen, u8 *dst, unsigned int *dlen)':
    (k, _transform, from, count, to, length) =>
      unpack(k, from, count, to, k.memory.u32(length), unsigned(k, length)) === LZO.OK ? 0 : -Errno.EINVAL,
});

/** Kernels whose crypto API has plain compressors. */
export function registerBuiltInCompressors(k: Linux): void {
  if (!k.types.has('compress_alg.coa_compress')) return;
  for (const name of ['lzo', 'lzo-rle']) {
    const base = k.heap.allocateZeroed(k.sizeof('crypto_alg'));
    const union = base + k.offset('crypto_alg.cra_u');
    const text = (field: string, value: string) =>
      k.memory.write(base + k.offset(`crypto_alg.${field}`), new TextEncoder().encode(`${value}\0`));
    k.write('crypto_alg.cra_flags', base, CRYPTO_ALG_TYPE_COMPRESS);
    text('cra_name', name);
    text('cra_driver_name', `${name}-generic`);
    k.write('compress_alg.coa_compress', union, k.addressOf('lkm_lzo_compress'));
    k.write('compress_alg.coa_decompress', union, k.addressOf('lkm_lzo_decompress'));
    k.state(cryptoRegistry).register(k, 'compression', base, base);
    // The kernel has tested its own while it started.
    markPassed(k, base);
    initList(k, base + k.offset('crypto_alg.cra_users'));
  }
}
