/** memPartLib, memLib: the system memory partition. */
import { definer } from '../../../kernel/functions.ts';
import { ERRNO, OK } from '../errno.ts';
import { failed, noneFor } from '../tasks.ts';
import type { VxWorks } from '../vxworks.ts';

const functions = definer<VxWorks>();

export const memoryPartition = functions({
  'void *malloc(size_t bytes)': (k, bytes) => take(k, bytes),
  'void *calloc(size_t count, size_t bytes)': (k, count, bytes) => {
    const at = take(k, count * bytes);
    if (at !== 0) k.memory.fill(at, count * bytes, 0);
    return at;
  },
  'void *memalign(size_t alignment, size_t bytes)': (k, alignment, bytes) => {
    const power = Number.isInteger(Math.log2(alignment));
    return power ? take(k, bytes, alignment) : noneFor(k, ERRNO.S_memLib_BLOCK_ERROR);
  },
  'void *realloc(void *old, size_t bytes)': (k, old, bytes) => {
    const block = k.pool.get(old);
    const at = take(k, bytes);
    if (at === 0 || block === undefined) return at;
    k.memory.copy(at, old, Math.min(bytes, block.bytes));
    k.pool.free(old);
    return at;
  },
  'void free(void *at)': (k, at) => {
    give(k, at);
  },
  'STATUS cfree(void *at)': (k, at) => give(k, at),
  'size_t memFindMax(void)': (k) => k.pool.end - k.pool.base - k.pool.usedBytes,
});

function take(k: VxWorks, bytes: number, alignment = 16): number {
  const at = k.allocate(bytes, k.caller, alignment);
  return at === 0 ? noneFor(k, ERRNO.S_memLib_NOT_ENOUGH_MEMORY) : at;
}

/** A block that is none is told on the console and left alone: the partition checks its headers. */
function give(k: VxWorks, at: number): number {
  if (at === 0 || k.pool.free(at) !== undefined) return OK;
  k.console.say(
    `memPartFree: invalid block 0x${(at >>> 0).toString(16)} in partition, from ${k.describe(k.caller)}`,
  );
  return failed(k, ERRNO.S_memLib_BLOCK_ERROR);
}
