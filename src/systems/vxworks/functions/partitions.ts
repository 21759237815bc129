/** memPartLib: partitions that a module makes of memory of its own; and the environment, which is text in memory (envLib). */
import { definer } from '../../../kernel/functions.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import { Pool } from '../../../kernel/pool.ts';
import { guestText, writeGuestText } from '../../../kernel/text/printf.ts';
import { ERRNO, ERROR, OK } from '../errno.ts';
import { failed, noneFor } from '../tasks.ts';
import type { VxWorks } from '../vxworks.ts';
import { Handles } from '../waiting.ts';

const functions = definer<VxWorks>();

const ALIGNMENT = 16;

const partitions = perKernel((k) => new Handles<Pool>(k as VxWorks));

/** The partition behind an id: the system's own has one, too, in the variable memSysPartId. */
function partition(k: VxWorks, id: number): Pool | undefined {
  const system = k.sysSymTbl.find('memSysPartId');
  return system !== undefined && k.memory.ptr(system.address) === id ? k.pool : k.state(partitions).get(id);
}

function take(k: VxWorks, id: number, bytes: number, alignment = ALIGNMENT): number {
  const pool = partition(k, id);
  if (pool === undefined) return 0;
  const at = pool.allocate(Math.max(1, bytes), undefined, k.caller, alignment);
  return at === 0 ? noneFor(k, ERRNO.S_memLib_NOT_ENOUGH_MEMORY) : at;
}

export const partitionFunctions = functions({
  'PART_ID memPartCreate(char *pool, size_t bytes)': (k, at, bytes) => {
    const base = Math.ceil(at / ALIGNMENT) * ALIGNMENT;
    const room = Math.floor((at + bytes - base) / ALIGNMENT) * ALIGNMENT;
    if (room <= 0) return noneFor(k, ERRNO.S_memLib_NOT_ENOUGH_MEMORY);
    return k.state(partitions).add(new Pool(base, room), k.caller);
  },
  'STATUS memPartDelete(PART_ID id)': (k, id) => {
    if (k.state(partitions).get(id) === undefined) return ERROR;
    k.state(partitions).remove(id);
    return OK;
  },
  'void *memPartAlloc(PART_ID id, size_t bytes)': (k, id, bytes) => take(k, id, bytes),
  'void *memPartAlignedAlloc(PART_ID id, size_t bytes, size_t alignment)': (k, id, bytes, alignment) =>
    Number.isInteger(Math.log2(alignment))
      ? take(k, id, bytes, alignment)
      : noneFor(k, ERRNO.S_memLib_BLOCK_ERROR),
  'void *memPartRealloc(PART_ID id, void *old, size_t bytes)': (k, id, old, bytes) => {
    const pool = partition(k, id);
    const block = old === 0 ? undefined : pool?.get(old);
    const at = take(k, id, bytes);
    if (at === 0 || block === undefined) return at;
    k.memory.copy(at, old, Math.min(bytes, block.bytes));
    pool?.free(old);
    return at;
  },
  'STATUS memPartFree(PART_ID id, void *at)': (k, id, at) => {
    const pool = partition(k, id);
    if (pool === undefined) return ERROR;
    return at === 0 || pool.free(at) !== undefined ? OK : failed(k, ERRNO.S_memLib_BLOCK_ERROR);
  },
  'size_t memPartFindMax(PART_ID id)': (k, id) => {
    const pool = partition(k, id);
    return pool === undefined ? 0 : pool.end - pool.base - pool.usedBytes;
  },
  'void *valloc(size_t bytes)': (k, bytes) => {
    const at = k.allocate(bytes, k.caller, 4096);
    return at === 0 ? noneFor(k, ERRNO.S_memLib_NOT_ENOUGH_MEMORY) : at;
  },
});

/** Where the text of each variable's value lies. */
const environment = perKernel(() => new Map<string, number>());

export const environmentFunctions = functions({
  'char *getenv(const char *name)': (k, name) => k.state(environment).get(guestText(k, name, 255)) ?? 0,
  'STATUS putenv(char *assignment)': (k, assignment) => {
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(guestText(k, assignment)) ?? [];
    if (name === undefined || value === undefined) return ERROR;
    const all = k.state(environment);
    const at = k.allocate(value.length + 1);
    if (at === 0) return ERROR;
    writeGuestText(k, at, value);
    const before = all.get(name);
    if (before !== undefined) k.pool.free(before);
    all.set(name, at);
    return OK;
  },
});
