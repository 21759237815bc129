/** The crypto API as kernels after 6.1 declare it. */
import { advanceWalk, copyChunks, mapAndCopy } from '../crypto/scatterwalk.ts';
import { Errno } from '../errno.ts';
import { kernelFunctions } from './define.ts';

export const newerCrypto = kernelFunctions({
  // 6.3: the callback gets what it was set with, no request.
  'void crypto_req_done(void *data, int err)': function* (k, wait, error) {
    if (error === -Errno.EINPROGRESS) return;
    k.write('crypto_wait.err', wait, error);
    yield* k.call(k.addressOf('complete'), wait + k.offset('crypto_wait.completion'));
  },
  // 6.14: copies by what they copy from.
  'void memcpy_from_sglist(void *buf, struct scatterlist *sg, unsigned int start, unsigned int nbytes)': (
    k,
    buffer,
    list,
    start,
    length,
  ) => mapAndCopy(k, buffer, list, start, length, false),
  'void memcpy_to_sglist(struct scatterlist *sg, unsigned int start, const void *buf, unsigned int nbytes)': (
    k,
    list,
    start,
    buffer,
    length,
  ) => mapAndCopy(k, buffer, list, start, length, true),
  'void memcpy_from_scatterwalk(void *buf, struct scatter_walk *walk, unsigned int nbytes)': (
    k,
    buffer,
    walk,
    length,
  ) => copyChunks(k, buffer, walk, length, 'from list'),
  'void memcpy_to_scatterwalk(struct scatter_walk *walk, const void *buf, unsigned int nbytes)': (
    k,
    walk,
    buffer,
    length,
  ) => copyChunks(k, buffer, walk, length, 'to list'),
  'void scatterwalk_skip(struct scatter_walk *walk, unsigned int nbytes)': (k, walk, length) => {
    copyChunks(k, 0, walk, length, 'skip');
    advanceWalk(k, walk, 0);
  },
});
