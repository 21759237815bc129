/** malloc(9), contigmalloc(9), uma(9): sys/kern/kern_malloc.c, sys/vm/uma_core.c. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import { type Address, PAGE_SIZE } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { FreeBsd } from '../freebsd.ts';

import { kernelFunctions } from './define.ts';

/** M_MAGIC of releases before 13. */
const MALLOC_MAGIC = 877983977;

const caller = (k: FreeBsd): Address => k.convention.returnAddress(k.cpu);

function reallocate(k: FreeBsd, at: Address, bytes: number, type: Address, flags: number): Address {
  const old = k.heap.find(at);
  const to = k.heap.allocate(bytes, flags, type, caller(k));
  if (to === 0 || old === undefined) return to;
  k.memory.write(to, k.memory.bytes(at, Math.min(old.bytes, bytes)));
  k.heap.free(at);
  return to;
}

export const memory = kernelFunctions({
  'void *malloc(size_t size, struct malloc_type *type, int flags)': (k, size, type, flags) =>
    k.heap.allocate(size, flags, type, caller(k)),
  'void *mallocarray(size_t nmemb, size_t size, struct malloc_type *type, int flags)': (
    k,
    count,
    size,
    type,
    flags,
  ) => k.heap.allocate(count * size, flags, type, caller(k)),
  'void free(void *addr, struct malloc_type *type)': (k, at) => {
    k.heap.free(at);
  },
  'void zfree(void *addr, struct malloc_type *type)': (k, at) => {
    k.heap.free(at);
  },
  'void *realloc(void *addr, size_t size, struct malloc_type *type, int flags)': reallocate,
  'void *reallocf(void *addr, size_t size, struct malloc_type *type, int flags)': (
    k,
    at,
    size,
    type,
    flags,
  ) => {
    const to = reallocate(k, at, size, type, flags);
    if (to === 0) k.heap.free(at);
    return to;
  },
  'void malloc_init(void *data)': (k, type) => {
    if (!k.types.has('malloc_type.ks_magic') || k.read('malloc_type.ks_magic', type) === MALLOC_MAGIC) return;
    const name = guestText(k, k.read('malloc_type.ks_shortdesc', type));
    k.printf(`malloc_init: bad malloc type magic in ${name}\n`);
  },
  'void malloc_uninit(void *data)': (k, type) => {
    const left = [...k.heap.allocations()].filter((one) => one.type === type);
    if (left.length === 0) return;
    const bytes = left.reduce((sum, one) => sum + one.bytes, 0);
    const name = guestText(k, k.read('malloc_type.ks_shortdesc', type));
    k.printf(
      `Warning: memory type ${name} leaked memory on destroy (${left.length} allocations, ${bytes} bytes leaked).\n`,
    );
  },
  'void *contigmalloc(unsigned long size, struct malloc_type *type, int flags, unsigned long low, unsigned long high, unsigned long alignment, unsigned long boundary)':
    (k, size, type, flags) => k.heap.allocate(Math.max(size, PAGE_SIZE), flags, type, caller(k)),
  'void contigfree(void *addr, unsigned long size, struct malloc_type *type)': (k, at) => {
    k.heap.free(at);
  },
  'void *malloc_type_allocate(size_t size)': (k, size) => k.heap.allocate(size),
  'unsigned long pmap_kextract(vm_offset_t va)': (k, va) =>
    (k.memory.pfnOf(va) ?? 0) * PAGE_SIZE + (va & (PAGE_SIZE - 1)),
});

// -- uma(9) ---------------------------------------------------------------------------------------------------

/** A flag of malloc(9) and uma(9). */
const M_ZERO = 0x100;

interface Zone {
  readonly name: string;
  readonly size: number;
  readonly constructorAt: Address;
  readonly destructorAt: Address;
  readonly initAt: Address;
  readonly finiAt: Address;
  /** The kernel has it for everybody. */
  readonly ofKernel?: boolean;
}

/** Larger than struct buf of any release. */
const BUF_BYTES = 1024;
/** A zone whose items nobody makes ready or takes apart. */
export const NO_HOOKS = { constructorAt: 0, destructorAt: 0, initAt: 0, finiAt: 0 } as const;

/** Zones by the address that the guest has for them; it never looks inside. */
export const zones = perKernel(() => new Map<Address, Zone>());

export function makeZone(k: FreeBsd, zone: Zone): Address {
  const at = k.heap.allocate(256);
  k.state(zones).set(at, zone);
  return at;
}

function* allocateItem(k: FreeBsd, at: Address, argument: Address, flags: number): Steps<Address> {
  const zone = k.state(zones).get(at);
  if (zone === undefined) throw new RangeError('uma_zalloc from something that is no zone');
  const item = k.heap.allocate(zone.size, flags, at, 0);
  if (item === 0) return 0;
  for (const [fn, args] of [
    [zone.initAt, [item, zone.size, flags]],
    [zone.constructorAt, [item, zone.size, argument, flags]],
  ] as const) {
    if (fn === 0) continue;
    if ((yield* k.callInt(fn, ...args)) === 0) continue;
    k.heap.free(item);
    return 0;
  }
  return item;
}

function* freeItem(k: FreeBsd, at: Address, item: Address, argument: Address): Steps<void> {
  const zone = k.state(zones).get(at);
  if (item === 0) return;
  if (zone === undefined) throw new RangeError('uma_zfree to something that is no zone');
  if (zone.destructorAt !== 0) yield* k.call(zone.destructorAt, item, zone.size, argument);
  if (zone.finiAt !== 0) yield* k.call(zone.finiAt, item, zone.size);
  k.heap.free(item);
}

export const uma = kernelFunctions({
  'void *uma_zcreate(const char *name, size_t size, void *ctor, void *dtor, void *uminit, void *fini, int align, uint32_t flags)':
    (k, name, size, constructorAt, destructorAt, initAt, finiAt) =>
      makeZone(k, { name: guestText(k, name), size, constructorAt, destructorAt, initAt, finiAt }),
  'void uma_zdestroy(void *zone)': (k, zone) => {
    const known = k.state(zones).get(zone);
    const left = [...k.heap.allocations()].filter((one) => one.type === zone).length;
    if (known !== undefined && left > 0) {
      k.printf(
        `Freed UMA keg (${known.name}) was not empty (${left} items).  Lost ${Math.ceil((left * known.size) / PAGE_SIZE)} pages of memory.\n`,
      );
    }
    k.state(zones).delete(zone);
    k.heap.free(zone);
  },
  'void *uma_zalloc_arg(void *zone, void *arg, int flags)': allocateItem,
  'void uma_zfree_arg(void *zone, void *item, void *arg)': freeItem,
  // Items for each processor, of which there is one; they are handed out zeroed.
  'void *uma_zalloc_pcpu_arg(void *zone, void *arg, int flags)': (k, zone, arg, flags) =>
    allocateItem(k, zone, arg, flags | M_ZERO),
  'void uma_zfree_pcpu_arg(void *zone, void *item, void *arg)': freeItem,
  'int uma_zone_set_max(void *zone, int nitems)': (_k, _zone, count) => count,
  'void uma_zone_set_init(void *zone, void *init)': () => undefined,
  /** sys/kern/subr_pctrie.c: a node of a path-compressed trie, and how its zone's items begin. */
  'unsigned long pctrie_node_size(void)': (k) => 8 + 8 + 16 * k.word,
  'int pctrie_zone_init(void *mem, int size, int flags)': (k, at, size) => {
    k.memory.fill(at, size, 0);
    return 0;
  },
  'void uma_zone_set_smr(void *zone, void *smr)': () => undefined,
  'void uma_zone_set_allocf(void *zone, void *allocf)': () => undefined,
  'int uma_zone_get_cur(void *zone)': (k, zone) =>
    [...k.heap.allocations()].filter((one) => one.type === zone).length,
  // Zones here have no limit, so that there is nothing to warn of.
  'void uma_zone_set_warning(void *zone, const char *warning)': () => undefined,
  'void uma_zone_set_maxaction(void *zone, void *maxaction)': () => undefined,
  'void *pbuf_zsecond_create(const char *name, int max)': (k, name) =>
    makeZone(k, { name: guestText(k, name), size: BUF_BYTES, ...NO_HOOKS }),
  'void uma_zone_reserve(void *zone, int items)': () => undefined,
  'void uma_prealloc(void *zone, int items)': () => undefined,
  'int uma_zone_reserve_kva(void *zone, int items)': () => 1,
});

// -- the kernel environment -----------------------------------------------------------------------------------

function getenvText(k: FreeBsd, name: Address): string | undefined {
  return k.environment.get(guestText(k, name));
}

function putNumber(k: FreeBsd, name: Address, to: Address, bytes: 4 | 8): number {
  const text = getenvText(k, name);
  const match = text === undefined ? null : /^(0x[0-9a-f]+|-?\d+)([kmgt]?)$/i.exec(text);
  if (match === null) return 0;
  const scale = 1024 ** 'kmgt'.indexOf(match[2].toLowerCase());
  const value = Number(match[1]) * (match[2] === '' ? 1 : scale * 1024);
  if (bytes === 4) k.memory.set32(to, value | 0);
  else k.memory.setU64(to, BigInt.asUintN(64, BigInt(Math.trunc(value))));
  return 1;
}

function putText(k: FreeBsd, name: Address, to: Address, size: number): number {
  const text = getenvText(k, name);
  if (text === undefined || size <= 0) return 0;
  k.memory.write(to, new TextEncoder().encode(`${text.slice(0, size - 1)}\0`));
  return 1;
}

const envCopy = (k: FreeBsd, name: Address): Address => {
  const text = getenvText(k, name);
  return text === undefined ? 0 : k.heap.string(text);
};

/** A tunable declared by TUNABLE_INT and its like: the name and where the value goes. */
const tunable = (bytes: 4 | 8) => (k: FreeBsd, at: Address) => {
  putNumber(k, k.memory.ptr(at), k.memory.ptr(at + k.word), bytes);
};

export const environment = kernelFunctions({
  'char *kern_getenv(const char *name)': envCopy,
  'char *getenv(const char *name)': envCopy,
  'void freeenv(char *env)': (k, at) => {
    k.heap.free(at);
  },
  'int kern_setenv(const char *name, const char *value)': (k, name, value) => {
    k.environment.set(guestText(k, name), guestText(k, value));
    return 0;
  },
  'int setenv(const char *name, const char *value)': (k, name, value) => {
    k.environment.set(guestText(k, name), guestText(k, value));
    return 0;
  },
  'int kern_unsetenv(const char *name)': (k, name) => (k.environment.delete(guestText(k, name)) ? 0 : -1),
  'int unsetenv(const char *name)': (k, name) => (k.environment.delete(guestText(k, name)) ? 0 : -1),
  'int testenv(const char *name)': (k, name) => (getenvText(k, name) === undefined ? 0 : 1),
  'int getenv_int(const char *name, int *data)': (k, name, to) => putNumber(k, name, to, 4),
  'int getenv_uint(const char *name, unsigned int *data)': (k, name, to) => putNumber(k, name, to, 4),
  'int getenv_long(const char *name, long *data)': (k, name, to) => putNumber(k, name, to, 8),
  'int getenv_ulong(const char *name, unsigned long *data)': (k, name, to) => putNumber(k, name, to, 8),
  'int getenv_quad(const char *name, quad_t *data)': (k, name, to) => putNumber(k, name, to, 8),
  'int getenv_string(const char *name, char *data, int size)': putText,
  'void tunable_int_init(void *data)': tunable(4),
  'void tunable_uint_init(void *data)': tunable(4),
  'void tunable_long_init(void *data)': tunable(8),
  'void tunable_ulong_init(void *data)': tunable(8),
  'void tunable_quad_init(void *data)': tunable(8),
  'void tunable_int64_init(void *data)': tunable(8),
  'void tunable_uint64_init(void *data)': tunable(8),
  'void tunable_str_init(void *data)': (k, at) => {
    putText(k, k.memory.ptr(at), k.memory.ptr(at + k.word), k.memory.i32(at + 2 * k.word));
  },
  'int resource_int_value(const char *name, int unit, const char *resname, int *result)': (
    k,
    name,
    unit,
    what,
    to,
  ) => {
    const text = k.environment.get(`hint.${guestText(k, name)}.${unit}.${guestText(k, what)}`);
    if (text === undefined || Number.isNaN(Number(text))) return Errno.ENOENT;
    k.memory.set32(to, Number(text) | 0);
    return 0;
  },
  'int resource_find_dev(int *anchor, const char *name, int *unit, const char *resname, const char *value)':
    () => Errno.ENOENT,
  'int resource_find_match(int *anchor, const char **name, int *unit, const char *resname, const char *value)':
    () => Errno.ENOENT,
  'int resource_string_value(const char *name, int unit, const char *resname, const char **result)': (
    k,
    name,
    unit,
    what,
    to,
  ) => {
    const text = k.environment.get(`hint.${guestText(k, name)}.${unit}.${guestText(k, what)}`);
    if (text === undefined) return Errno.ENOENT;
    k.memory.setPtr(to, k.heap.string(text));
    return 0;
  },
  'int resource_disabled(const char *name, int unit)': (k, name, unit) =>
    k.environment.get(`hint.${guestText(k, name)}.${unit}.disabled`) === '1' ? 1 : 0,
});
