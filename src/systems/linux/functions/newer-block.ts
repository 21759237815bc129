/** Disks as kernels after 6.1 declare their functions: limits come with the allocation, counts are sectors. */
import { freeze, unfreeze } from '../block/mq.ts';
import { rescan } from '../block/open.ts';
import * as stats from '../block/stats.ts';
import { checkBadBlocks } from './badblocks.ts';
import { allocateForRequests } from './blk-mq.ts';
import { allocateForBios, mediaChanged } from './block.ts';
import { kernelFunctions } from './define.ts';

export const newerBlock = kernelFunctions({
  'struct gendisk *__blk_alloc_disk(struct queue_limits *lim, int node, struct lock_class_key *lkclass)': (
    k,
    limits,
  ) => allocateForBios(k, limits),
  'struct gendisk *__blk_mq_alloc_disk(struct blk_mq_tag_set *set, struct queue_limits *lim, void *queuedata, struct lock_class_key *lkclass)':
    allocateForRequests,
  'void blk_mq_freeze_queue_nomemsave(struct request_queue *q)': freeze,
  'void blk_mq_unfreeze_queue_nomemrestore(struct request_queue *q)': unfreeze,
  'void disk_force_media_change(struct gendisk *disk)': mediaChanged,
  'int disk_scan_partitions(struct gendisk *disk, unsigned int mode)': function* (k, disk) {
    yield* rescan(k, disk);
    return 0;
  },
  'unsigned long bdev_start_io_acct(struct block_device *bdev, enum req_op op, unsigned long start_time)': (
    k,
    device,
    of,
    start,
  ) => stats.begin(k, device, of, start),
  'void bdev_end_io_acct(struct block_device *bdev, enum req_op op, unsigned int sectors, unsigned long start_time)':
    (k, device, of, sectors, start) => {
      stats.transfer(k, device, of, sectors);
      stats.finish(k, device, of, start);
    },
  'int badblocks_check(struct badblocks *bb, sector_t s, sector_t sectors, sector_t *first_bad, sector_t *bad_sectors)':
    (k, list, from, sectors, first, count) => {
      k.memory.setPtr(count, 0);
      return checkBadBlocks(k, list, from, sectors, first, count);
    },
});
