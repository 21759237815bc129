/** bios: making, submitting and ending them, and the account that drivers keep of them (block/bio.c, blk-core.c). */

import { perKernel } from '../../../kernel/kernel.ts';
import { bytesOf } from '../../../kernel/text/sink.ts';
import type { Address } from '../../../memory/space.ts';
import * as bios from '../block/bio.ts';
import { pagesRead, pageWritten } from '../block/pages.ts';
import * as stats from '../block/stats.ts';
import { errnoOfStatus, operationName, statusOfErrno } from '../block/status.ts';
import { submit, submitAndWait, wakeSleeper } from '../block/submit.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

/** BIOSET_NEED_BVECS and the bvecs that lie behind a bio (BIO_INLINE_VECS). */
const INLINE_VECTORS = 4;

const operationNames = perKernel(() => new Map<number, Address>());

/** The name of an operation in guest memory, made once. */
function nameOf(k: Linux, of: number): Address {
  const known = k.state(operationNames).get(of);
  if (known !== undefined) return known;
  const bytes = bytesOf(`${operationName(of)}\0`);
  const at = k.heap.allocateZeroed(bytes.length);
  k.memory.write(at, bytes);
  k.state(operationNames).set(of, at);
  return at;
}

const deviceOf = (k: Linux, bio: Address): Address => k.read('bio.bi_bdev', bio);
const flagsOf = (k: Linux, bio: Address): number => k.read('bio.bi_opf', bio);

export const bioFunctions = kernelFunctions({
  'void bio_init(struct bio *bio, struct block_device *bdev, struct bio_vec *table, unsigned short max_vecs, blk_opf_t opf)':
    bios.initialise,
  'struct bio *bio_alloc_bioset(struct block_device *bdev, unsigned short nr_vecs, blk_opf_t opf, gfp_t gfp_mask, struct bio_set *bs)':
    (k, device, vectors, flags, _gfp, set) => bios.allocate(k, device, vectors, flags, set),
  'void bio_put(struct bio *bio)': bios.put,
  'void bio_uninit(struct bio *bio)': () => undefined,
  'void bio_reset(struct bio *bio, struct block_device *bdev, blk_opf_t opf)': (k, bio, device, flags) => {
    const keep = ['bi_io_vec', 'bi_max_vecs', 'bi_pool'].map((name) => `bio.${name}`);
    const values = keep.map((path) => k.read(path, bio));
    bios.initialise(k, bio, device, 0, 0, flags);
    for (const [i, path] of keep.entries()) k.write(path, bio, values[i]);
  },
  'int bio_add_page(struct bio *bio, struct page *page, unsigned int len, unsigned int offset)': bios.addPage,
  'void __bio_add_page(struct bio *bio, struct page *page, unsigned int len, unsigned int off)':
    bios.appendPage,
  'void __bio_advance(struct bio *bio, unsigned bytes)': bios.advance,
  'void bio_chain(struct bio *bio, struct bio *parent)': bios.chain,
  'void bio_chain_endio(struct bio *bio)': bios.end,
  'struct bio *bio_split(struct bio *bio, int sectors, gfp_t gfp, struct bio_set *bs)': (
    k,
    bio,
    sectors,
    _gfp,
    set,
  ) => bios.split(k, bio, sectors, set),
  'struct bio *bio_alloc_clone(struct block_device *bdev, struct bio *bio_src, gfp_t gfp, struct bio_set *bs)':
    (k, device, source, _gfp, set) => bios.clone(k, device, source, set),
  'int bioset_init(struct bio_set *bs, unsigned int pool_size, unsigned int front_pad, int flags)': (
    k,
    set,
    _pool,
    front,
    flags,
  ) => {
    k.memory.fill(set, k.sizeof('bio_set'), 0);
    k.write('bio_set.front_pad', set, front);
    if ((flags & 1) !== 0) k.write('bio_set.back_pad', set, INLINE_VECTORS * k.sizeof('bio_vec'));
    return 0;
  },
  'void bioset_exit(struct bio_set *bs)': () => undefined,
  'void zero_fill_bio(struct bio *bio)': bios.zeroFill,
  'void bio_endio(struct bio *bio)': bios.end,
  'void submit_bio(struct bio *bio)': submit,
  'void submit_bio_noacct(struct bio *bio)': submit,
  'int submit_bio_wait(struct bio *bio)': submitAndWait,
  'void submit_bio_wait_endio(struct bio *bio)': wakeSleeper,
  'void mpage_end_io(struct bio *bio)': pagesRead,
  'void end_bio_bh_io_sync(struct bio *bio)': pageWritten,
  'int blk_status_to_errno(blk_status_t status)': (_k, status) => errnoOfStatus(status),
  'blk_status_t errno_to_blk_status(int errno)': (_k, errno) => statusOfErrno(errno),
  'const char *blk_op_str(enum req_op op)': nameOf,
  // Up to 6.4 what is begun is counted, later what is done.
  'unsigned long bdev_start_io_acct(struct block_device *bdev, unsigned int sectors, enum req_op op, unsigned long start_time)':
    (k, device, sectors, of, start) => {
      stats.transfer(k, device, of, sectors);
      return stats.begin(k, device, of, start);
    },
  'void bdev_end_io_acct(struct block_device *bdev, enum req_op op, unsigned long start_time)': stats.finish,
  'unsigned long bio_start_io_acct(struct bio *bio)': (k, bio) => {
    if (countsBegun(k)) stats.transfer(k, deviceOf(k, bio), flagsOf(k, bio), bios.sectorsOf(k, bio));
    return stats.begin(k, deviceOf(k, bio), flagsOf(k, bio));
  },
  'void bio_end_io_acct_remapped(struct bio *bio, unsigned long start_time, struct block_device *orig_bdev)':
    (k, bio, start, device) => {
      if (!countsBegun(k)) stats.transfer(k, device, flagsOf(k, bio), bios.sectorsOf(k, bio));
      stats.finish(k, device, flagsOf(k, bio), start);
    },
});

const countsBegun = (k: Linux): boolean => k.types.prototype('bdev_start_io_acct')?.parameters.length === 4;
