/** Lists of bad sectors of a disk (block/badblocks.c): made, asked and freed. Entries are one page of 64-bit words. */
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { GFP } from '../pages.ts';
import { kernelFunctions } from './define.ts';

const MORE = 0x1ffn;

/** BB_OFFSET, BB_LEN and BB_ACK of an entry. */
function entryAt(k: Linux, list: Address, index: number): { first: number; count: number; known: boolean } {
  const word = k.memory.u64(k.read('badblocks.page', list) + index * 8);
  return {
    first: Number((word >> 9n) & ((1n << 54n) - 1n)),
    count: Number(word & MORE) + 1,
    known: word >> 63n === 1n,
  };
}

/** badblocks_check: 0 without bad sectors in the range, 1 with such as are acknowledged, -1 with others. */
export function checkBadBlocks(
  k: Linux,
  list: Address,
  from: number,
  sectors: number,
  first: Address,
  count: Address,
): number {
  const shift = Math.max(k.read('badblocks.shift', list), 0);
  const unit = 2 ** shift;
  const [start, end] = [Math.floor(from / unit), Math.ceil((from + sectors) / unit)];
  let result = 0;
  for (let index = 0; index < k.read('badblocks.count', list); index++) {
    const entry = entryAt(k, list, index);
    if (entry.first >= end || entry.first + entry.count <= start) continue;
    if (result === 0) {
      k.memory.setPtr(first, entry.first * unit);
      k.memory.set32(count, entry.count * unit);
    }
    if (!entry.known) return -1;
    result = 1;
  }
  return result;
}

export const badBlocks = kernelFunctions({
  'int badblocks_init(struct badblocks *bb, int enable)': (k, list, enable) => {
    k.memory.fill(list, k.sizeof('badblocks'), 0);
    k.write('badblocks.shift', list, enable !== 0 ? 0 : -1);
    const page = k.heap.pages.allocate(0, GFP.KERNEL, 0);
    if (page === 0) {
      k.write('badblocks.shift', list, -1);
      return -Errno.ENOMEM;
    }
    k.write('badblocks.page', list, k.heap.pages.addressOf(page));
    return 0;
  },
  'void badblocks_exit(struct badblocks *bb)': (k, list) => {
    const at = list === 0 ? 0 : k.read('badblocks.page', list);
    if (at === 0) return;
    k.heap.pages.free(k.heap.pages.ofAddress(at), 0);
    k.write('badblocks.page', list, 0);
  },
  'int badblocks_check(struct badblocks *bb, sector_t s, int sectors, sector_t *first_bad, int *bad_sectors)':
    checkBadBlocks,
});
