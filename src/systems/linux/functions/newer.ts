/**
 * Functions as kernels after 6.1 declare them: new ones, and new prototypes of names that 6.1 has, too. Which prototype a
 * kernel has its own type information decides (linux.ts, `functionFor`), never its release number. What was only renamed
 * stands in newer-names.ts.
 */
import type { FunctionTable, Result } from '../../../kernel/functions.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { kernelBug, kernelWarning } from './caller.ts';
import { percpuCounters } from './counters.ts';
import { kernelFunctions } from './define.ts';
import { deviceFunctions } from './device.ts';
import { percpuFunctions, vmallocFunctions } from './page-functions.ts';
import { cacheFunctions, slabFunctions } from './slab-functions.ts';
import { stringHelpers } from './string.ts';
import { pokePointer } from './thunks.ts';
import { hrtimers } from './timers.ts';

type Earlier = (k: Linux, ...args: (number | bigint)[]) => Result | Steps<Result>;

/** The handler of a function as 6.1 has it, to be called with arguments in its order. */
function earlier(table: FunctionTable<Linux>, name: string): Earlier {
  const found = table.get(name);
  if (found === undefined) throw new Error(`${name} is not in the table it was looked up in`);
  return found.handler as unknown as Earlier;
}

const allocateNode = earlier(slabFunctions, '__kmalloc_node');
const allocateEither = earlier(vmallocFunctions, 'kvmalloc_node');
const allocateVirtual = earlier(vmallocFunctions, '__vmalloc');
const reallocate = earlier(slabFunctions, 'krealloc');
const allocatePercpu = earlier(percpuFunctions, '__alloc_percpu');
const createCache = earlier(cacheFunctions, 'kmem_cache_create_usercopy');
const createClass = earlier(deviceFunctions, '__class_create');
const initCounter = earlier(percpuCounters, '__percpu_counter_init');
const destroyCounter = earlier(percpuCounters, 'percpu_counter_destroy');
const initHrtimer = earlier(hrtimers, 'hrtimer_init');
const sizeText = earlier(stringHelpers, 'string_get_size');

/** Functions whose fortified calls report by number, in the order of enum fortify_func (linux/fortify-string.h). */
const FORTIFIED =
  'strncpy strnlen strlen strscpy strlcat strcat strncat memset memcpy memmove memscan memcmp memchr memchr_inv ' +
  'kmemdup strcpy';

function fortifyPanic(k: Linux, reason: number, available: number, size: number): never {
  const name = FORTIFIED.split(' ')[reason >> 1] ?? 'unknown';
  const how = (reason & 1) === 1 ? 'write' : 'read';
  const text = `${name}: detected buffer overflow: ${size} byte ${how} of buffer size ${available}`;
  kernelWarning(k, 'lib/string_helpers.c', text);
  kernelBug(k, 'lib/string_helpers.c');
}

/** n * size bytes, or 0 when that is more than an address can say. */
function virtualArray(k: Linux, count: number, size: number, gfp: number): Result | Steps<Result> {
  return count < 0 || size < 0 || count * size > Number.MAX_SAFE_INTEGER
    ? 0
    : allocateVirtual(k, count * size, gfp);
}

const GFP_KERNEL = 0xcc0;

export const newerFunctions = kernelFunctions({
  // 6.11: allocations can name a set of caches of their own; it only separates them.
  'void *__kmalloc_node_noprof(size_t size, void *b, gfp_t flags, int node)': (
    k,
    size,
    _buckets,
    gfp,
    node,
  ) => allocateNode(k, size, gfp, node),
  'void *__kmalloc_node_track_caller_noprof(size_t size, void *b, gfp_t flags, int node, unsigned long caller)':
    (k, size, _buckets, gfp, node) => allocateNode(k, size, gfp, node),
  'void *__kvmalloc_node_noprof(size_t size, void *b, gfp_t flags, int node)': (
    k,
    size,
    _buckets,
    gfp,
    node,
  ) => allocateEither(k, size, gfp, node),
  'void *krealloc_node_align_noprof(const void *p, size_t new_size, unsigned long align, gfp_t flags, int nid)':
    (k, object, size, _align, gfp) => reallocate(k, object, size, gfp),
  'void *kvmemdup(const void *src, size_t len, gfp_t gfp)': (k, from, length, gfp) => {
    const at = allocateEither(k, length, gfp, -1) as Address;
    if (at !== 0) k.memory.copy(at, from, length);
    return at;
  },
  'void *vmalloc_array_noprof(size_t n, size_t size)': (k, count, size) =>
    virtualArray(k, count, size, GFP_KERNEL),
  'void *__vmalloc_array_noprof(size_t n, size_t size, gfp_t flags)': virtualArray,
  'void *vcalloc_noprof(size_t n, size_t size)': (k, count, size) => virtualArray(k, count, size, GFP_KERNEL),
  'void *__vcalloc_noprof(size_t n, size_t size, gfp_t flags)': virtualArray,
  'struct kmem_cache *__kmem_cache_create_args(const char *name, unsigned int object_size, void *args, unsigned int flags)':
    (k, name, size, args, flags) => {
      const argument = (field: string) => k.read(`kmem_cache_args.${field}`, args);
      const user = [argument('useroffset'), argument('usersize')];
      return createCache(k, name, size, argument('align'), flags, ...user, argument('ctor'));
    },
  'void *pcpu_alloc_noprof(size_t size, size_t align, bool reserved, gfp_t gfp)': (k, size, align) =>
    allocatePercpu(k, size, align),
  'int __percpu_counter_init_many(struct percpu_counter *fbc, s64 amount, gfp_t gfp, u32 nr_counters, struct lock_class_key *key)':
    (k, first, amount, gfp, count, key) => {
      const size = k.sizeof('percpu_counter');
      for (let i = 0; i < count; i++) {
        if (initCounter(k, first + i * size, amount, gfp, key) === 0) continue;
        while (--i >= 0) destroyCounter(k, first + i * size);
        return -Errno.ENOMEM;
      }
      return 0;
    },
  'void percpu_counter_destroy_many(struct percpu_counter *fbc, u32 nr_counters)': (k, first, count) => {
    for (let i = 0; i < count; i++) destroyCounter(k, first + i * k.sizeof('percpu_counter'));
  },
  'void __fortify_panic(u8 reason, size_t avail, size_t size)': fortifyPanic,
  'struct class *class_create(const char *name)': (k, name) => createClass(k, 0, name, 0),
  'ssize_t device_show_string(struct device *dev, struct device_attribute *attr, char *buf)': (
    k,
    _device,
    attribute,
    buffer,
  ) => {
    // struct dev_ext_attribute: the attribute, then the pointer to what it shows.
    const text = k.memory.cstring(k.memory.ptr(attribute + k.sizeof('device_attribute')), 4094);
    k.memory.write(buffer, new TextEncoder().encode(`${text}\n\0`));
    return text.length + 1;
  },
  'unsigned long d_parent_ino(struct dentry *dentry)': (k, dentry) =>
    k.read('inode.i_ino', k.read('dentry.d_inode', k.read('dentry.d_parent', dentry))),
  'void hrtimer_setup(struct hrtimer *timer, void *function, clockid_t clock_id, enum hrtimer_mode mode)': (
    k,
    timer,
    callback,
    clock,
    mode,
  ) => {
    initHrtimer(k, timer, clock, mode);
    k.write('hrtimer.function', timer, callback);
  },
  'int string_get_size(u64 size, u64 blk_size, const enum string_size_units units, char *buf, int len)': (
    k,
    size,
    block,
    units,
    buffer,
    length,
  ) => {
    sizeText(k, size, block, units, buffer, length);
    return k.memory.cstring(buffer, length).length;
  },
});

/** A second change of the same name. */
export const newestFunctions = kernelFunctions({
  'void *__kvmalloc_node_noprof(size_t size, void *b, unsigned long align, gfp_t flags, int node)': (
    k,
    size,
    _buckets,
    _align,
    gfp,
    node,
  ) => allocateEither(k, size, gfp, node),
});

/** TASK_SIZE_MAX with four-level page tables. */
const USER_END = 2 ** 47 - 4096;

export const newerData: readonly DataInitialiser[] = [
  { symbol: 'USER_PTR_MAX', when: 'boot', fill: (k, at) => pokePointer(k, at, USER_END) },
];
