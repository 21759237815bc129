/** Small services of the kernel that fit nowhere else: what runs once, sums of memory, text searches, compatibility classes. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { modulePut, tryModuleGet } from '../refcount.ts';
import { registered } from '../registered.ts';
import { kernelDirectory } from '../sysfs.ts';
import { jiffies } from './clock.ts';
import { kernelFunctions } from './define.ts';
import { createAndAdd, put } from './kobject.ts';
import { moduleRequest } from './request-module.ts';
import { pokePointer } from './thunks.ts';

/** TS_AUTOLOAD (include/linux/textsearch.h). */
const AUTOLOAD = 1;

/** lookup_ts_algo: the operations of that name, their module held. */
function findSearch(k: Linux, name: string): Address {
  for (const at of registered(k, 'text search').keys())
    if (k.readString('ts_ops.name', at) === name && tryModuleGet(k, k.read('ts_ops.owner', at))) return at;
  return 0;
}

function* prepareSearch(
  k: Linux,
  nameAt: Address,
  pattern: Address,
  length: number,
  gfp: number,
  flags: number,
): Steps<Address> {
  if (length === 0) return -Errno.EINVAL;
  const name = k.memory.cstring(nameAt);
  let operations = findSearch(k, name);
  if (operations === 0 && (flags & AUTOLOAD) !== 0) {
    yield* k.state(moduleRequest).load(k, `ts_${name}`, true);
    operations = findSearch(k, name);
  }
  if (operations === 0) return -Errno.ENOENT;
  const config = yield* k.call(k.read('ts_ops.init', operations), pattern, length, gfp, flags);
  if (config < 0 && config >= -4095) modulePut(k, k.read('ts_ops.owner', operations));
  else k.write('ts_config.ops', config, operations);
  return config;
}

const searches = kernelFunctions({
  'struct ts_config *textsearch_prepare(const char *algo, const void *pattern, unsigned int len, gfp_t gfp_mask, int flags)':
    prepareSearch,
  'void textsearch_destroy(struct ts_config *conf)': function* (k, config) {
    const operations = k.read('ts_config.ops', config);
    if (operations !== 0) {
      const destroy = k.read('ts_ops.destroy', operations);
      if (destroy !== 0) yield* k.call(destroy, config);
      modulePut(k, k.read('ts_ops.owner', operations));
    }
    k.heap.free(config);
  },
});

const once = kernelFunctions({
  'bool __do_once_start(bool *done, unsigned long *flags)': (k, done) => Number(k.memory.u8(done) === 0),
  'void __do_once_done(bool *done, struct static_key_true *once_key, unsigned long *flags, struct module *mod)':
    function* (k, done, key) {
      k.memory.set8(done, 1);
      yield* k.call(k.addressOf('static_key_disable'), key);
    },
  'bool __do_once_sleepable_start(bool *done)': (k, done) => Number(k.memory.u8(done) === 0),
  'void __do_once_sleepable_done(bool *done, struct static_key_true *once_key, struct module *mod)':
    function* (k, done, key) {
      k.memory.set8(done, 1);
      yield* k.call(k.addressOf('static_key_disable'), key);
    },
});

/**
 * struct deflate_workspace and inflate_workspace by the size of a pointer: the same from 6.1 to 7.2. Their types would be
 * a kilobyte of every saved kernel, and nobody looks into them.
 */
const WORKSPACES = {
  8: { deflate: 5960, inflate: 42312 },
  4: { deflate: 5836, inflate: 42284 },
} as const;

/** What zlib needs for a window of 2^bits and a table of 2^(level + 7) (lib/zlib_deflate/deflate.c). */
function deflateRoom(k: Linux, bits: number, level: number): number {
  const window = 2 ** Math.abs(bits);
  return (
    k.sizeof('deflate_workspace') + 2 * window + 2 * window + 2 * 2 ** (level + 7) + 4 * 2 ** (level + 6)
  );
}

const sizes = kernelFunctions({
  'int zlib_deflate_workspacesize(int windowBits, int memLevel)': deflateRoom,
  // An instruction of s390.
  'int zlib_deflate_dfltcc_enabled(void)': () => 0,
  'int zlib_inflate_workspacesize(void)': (k) => WORKSPACES[k.word === 8 ? 8 : 4].inflate,
  'void si_meminfo(struct sysinfo *val)': (k, at) => {
    const { frames } = k.memory;
    k.write('sysinfo.totalram', at, frames.total);
    k.write('sysinfo.freeram', at, frames.freePages);
    for (const none of ['sharedram', 'bufferram', 'totalhigh', 'freehigh']) k.write(`sysinfo.${none}`, at, 0);
    k.write('sysinfo.mem_unit', at, 4096);
  },
  'int dst_cache_init(struct dst_cache *dst_cache, gfp_t gfp)': function* (k, cache, gfp) {
    const at = yield* k.call(k.addressOf('__alloc_percpu_gfp'), k.sizeof('dst_cache_pcpu'), k.word, gfp);
    k.write('dst_cache.cache', cache, at);
    if (at === 0) return -Errno.ENOMEM;
    k.write('dst_cache.reset_ts', cache, jiffies(k));
    return 0;
  },
  'void dst_cache_destroy(struct dst_cache *dst_cache)': function* (k, cache) {
    // No function here puts a route into such a cache.
    const at = k.read('dst_cache.cache', cache);
    if (at !== 0) yield* k.call(k.addressOf('free_percpu'), at);
  },
});

/** An empty string. */
const nothing = perKernel<Address, Linux>((k) => k.heap.allocateZeroed(8));

const names = kernelFunctions({
  'const char *dev_driver_string(const struct device *dev)': (k, device) => {
    const [driver, bus, classAt] = ['driver', 'bus', 'class'].map((field) =>
      k.read(`device.${field}`, device),
    );
    if (driver !== 0) return k.read('device_driver.name', driver);
    if (bus !== 0) return k.read('bus_type.name', bus);
    return classAt === 0 ? k.state(nothing) : k.read('class.name', classAt);
  },
});

/** struct class_compat: a pointer to its directory in /sys/class. */
const compatible = kernelFunctions({
  'struct class_compat *class_compat_register(const char *name)': function* (k, name) {
    const at = k.heap.allocateZeroed(k.word);
    if (at === 0) return 0;
    const folder = yield* createAndAdd(k, k.memory.cstring(name), kernelDirectory(k, 'class'));
    k.memory.setPtr(at, folder);
    if (folder !== 0) return at;
    k.heap.free(at);
    return 0;
  },
  'void class_compat_unregister(struct class_compat *cls)': function* (k, at) {
    yield* put(k, k.memory.ptr(at));
    k.heap.free(at);
  },
});

const CLIENTS = 'nfs_ssc_client_tbl';

/**
 * struct nfs_ssc_client_ops_tbl: two pointers that a server's copying between servers goes through
 * (include/linux/nfs_ssc.h, fs/nfs_common/nfs_ssc.c).
 */
const CLIENT = { nfs4: 0, nfs: 1 } as const;

function setClient(k: Linux, which: keyof typeof CLIENT, operations: Address, onlyIf?: Address): void {
  const at = (k.file.exports.find(CLIENTS)?.address ?? 0) + CLIENT[which] * k.word;
  if (onlyIf === undefined || k.memory.ptr(at) === onlyIf) pokePointer(k, at, operations);
}

const clients = kernelFunctions({
  'void nfs_ssc_register(const struct nfs_ssc_client_ops *ops)': (k, operations) =>
    setClient(k, 'nfs', operations),
  'void nfs_ssc_unregister(const struct nfs_ssc_client_ops *ops)': (k, operations) =>
    setClient(k, 'nfs', 0, operations),
  'void nfs42_ssc_register(const struct nfs4_ssc_client_ops *ops)': (k, operations) =>
    setClient(k, 'nfs4', operations),
  'void nfs42_ssc_unregister(const struct nfs4_ssc_client_ops *ops)': (k, operations) =>
    setClient(k, 'nfs4', 0, operations),
});

export const serviceData: readonly DataInitialiser[] = [
  { symbol: CLIENTS, when: 'boot', fill: (k, at) => k.memory.poke(at, new Uint8Array(2 * k.word)) },
];

export const serviceFunctions = new Map([
  ...searches,
  ...once,
  ...sizes,
  ...names,
  ...compatible,
  ...clients,
]);
