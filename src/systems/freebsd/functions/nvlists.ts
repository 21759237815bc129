/**
 * nv(9), lists of names with values (sys/contrib/libnv): a list is opaque for modules, who keep its address; the strings and blocks
 * that they get from it are in guest memory.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { FreeBsd } from '../freebsd.ts';
import { kernelFunctions } from './define.ts';

type Kind = 'null' | 'bool' | 'number' | 'string' | 'nvlist' | 'binary';

interface Entry {
  readonly kind: Kind;
  readonly value: bigint;
  /** Of a block. */
  readonly bytes: number;
}

interface List {
  /** NV_FLAG_IGNORE_CASE */
  readonly ignoreCase: boolean;
  readonly entries: Map<string, Entry>;
  error: number;
}

const IGNORE_CASE = 1;
const lists = perKernel(() => new Map<Address, List>());

function listAt(k: FreeBsd, at: Address): List {
  const list = k.state(lists).get(at);
  if (list === undefined) throw new RangeError('this is no nvlist');
  return list;
}

const keyOf = (k: FreeBsd, list: List, name: Address): string =>
  list.ignoreCase ? guestText(k, name).toLowerCase() : guestText(k, name);

function create(k: FreeBsd, flags: number): Address {
  const at = k.heap.allocate(64);
  k.state(lists).set(at, { ignoreCase: (flags & IGNORE_CASE) !== 0, entries: new Map(), error: 0 });
  return at;
}

/** Kinds whose value is memory of the list's own. */
const OWNING: readonly Kind[] = ['string', 'binary'];

function drop(k: FreeBsd, { kind, value }: Entry): void {
  if (OWNING.includes(kind) && value !== 0n) k.heap.free(Number(value));
  if (kind === 'nvlist') destroy(k, Number(value));
}

function destroy(k: FreeBsd, at: Address): void {
  const list = k.state(lists).get(at);
  if (list === undefined) return;
  for (const entry of list.entries.values()) drop(k, entry);
  k.state(lists).delete(at);
  k.heap.free(at);
}

/** A name that is there already leaves the list in error, as nvlist_error tells. */
function add(k: FreeBsd, at: Address, name: Address, entry: Entry): void {
  const list = listAt(k, at);
  const key = keyOf(k, list, name);
  if (list.error !== 0 || list.entries.has(key)) {
    drop(k, entry);
    list.error ||= Errno.EEXIST;
  } else list.entries.set(key, entry);
}

function find(k: FreeBsd, at: Address, name: Address, kind: Kind): Entry | undefined {
  if (at === 0) return undefined;
  const list = listAt(k, at);
  const found = list.entries.get(keyOf(k, list, name));
  return found?.kind === kind ? found : undefined;
}

function wanted(k: FreeBsd, at: Address, name: Address, kind: Kind): Entry {
  const found = find(k, at, name, kind);
  if (found === undefined)
    throw new RangeError(`Element '${guestText(k, name)}' of type ${kind} doesn't exist.`);
  return found;
}

function copy(k: FreeBsd, from: Address, bytes: number): bigint {
  const to = k.heap.allocate(Math.max(1, bytes));
  k.memory.write(to, k.memory.bytes(from, bytes).slice());
  return BigInt(to);
}

function clone(k: FreeBsd, at: Address): Address {
  const { ignoreCase, entries, error } = listAt(k, at);
  const to = create(k, ignoreCase ? IGNORE_CASE : 0);
  const target = listAt(k, to);
  target.error = error;
  for (const [key, { kind, value, bytes }] of entries) {
    const own = OWNING.includes(kind) ? copy(k, Number(value), bytes) : value;
    target.entries.set(key, {
      kind,
      bytes,
      value: kind === 'nvlist' ? BigInt(clone(k, Number(value))) : own,
    });
  }
  return to;
}

const text = (k: FreeBsd, from: Address): Entry => {
  const bytes = new TextEncoder().encode(guestText(k, from)).length + 1;
  return { kind: 'string', value: copy(k, from, bytes), bytes };
};

const plain = (kind: Kind, value: bigint): Entry => ({ kind, value, bytes: 0 });

const exists = (kind: Kind) => (k: FreeBsd, at: Address, name: Address) =>
  Number(find(k, at, name, kind) !== undefined);

function release(k: FreeBsd, at: Address, name: Address, kind: Kind): void {
  drop(k, wanted(k, at, name, kind));
  const list = listAt(k, at);
  list.entries.delete(keyOf(k, list, name));
}

export const nvlists = kernelFunctions({
  'void *nvlist_create(int flags)': create,
  'void nvlist_destroy(void *nvl)': destroy,
  'void *nvlist_clone(const void *nvl)': clone,
  'int nvlist_error(const void *nvl)': (k, at) => (at === 0 ? Errno.ENOMEM : listAt(k, at).error),
  'bool_t nvlist_empty(const void *nvl)': (k, at) => Number(listAt(k, at).entries.size === 0),
  'bool_t nvlist_exists(const void *nvl, const char *name)': (k, at, name) => {
    const list = listAt(k, at);
    return Number(list.entries.has(keyOf(k, list, name)));
  },
  'bool_t nvlist_exists_bool(const void *nvl, const char *name)': exists('bool'),
  'bool_t nvlist_exists_number(const void *nvl, const char *name)': exists('number'),
  'bool_t nvlist_exists_string(const void *nvl, const char *name)': exists('string'),
  'bool_t nvlist_exists_nvlist(const void *nvl, const char *name)': exists('nvlist'),
  'bool_t nvlist_exists_binary(const void *nvl, const char *name)': exists('binary'),
  'void nvlist_add_null(void *nvl, const char *name)': (k, at, name) => add(k, at, name, plain('null', 0n)),
  'void nvlist_add_bool(void *nvl, const char *name, bool_t value)': (k, at, name, value) =>
    add(k, at, name, plain('bool', BigInt(value))),
  'void nvlist_add_number(void *nvl, const char *name, uint64_t value)': (k, at, name, value) =>
    add(k, at, name, plain('number', value)),
  'void nvlist_add_string(void *nvl, const char *name, const char *value)': (k, at, name, value) =>
    add(k, at, name, text(k, value)),
  'void nvlist_add_nvlist(void *nvl, const char *name, const void *value)': (k, at, name, value) =>
    add(k, at, name, plain('nvlist', BigInt(clone(k, value)))),
  'void nvlist_move_nvlist(void *nvl, const char *name, void *value)': (k, at, name, value) =>
    add(k, at, name, plain('nvlist', BigInt(value))),
  'void nvlist_add_binary(void *nvl, const char *name, const void *value, size_t size)': (
    k,
    at,
    name,
    value,
    bytes,
  ) => add(k, at, name, { kind: 'binary', value: copy(k, value, bytes), bytes }),
  'bool_t nvlist_get_bool(const void *nvl, const char *name)': (k, at, name) =>
    Number(wanted(k, at, name, 'bool').value),
  'uint64_t nvlist_get_number(const void *nvl, const char *name)': (k, at, name) =>
    wanted(k, at, name, 'number').value,
  'const char *nvlist_get_string(const void *nvl, const char *name)': (k, at, name) =>
    Number(wanted(k, at, name, 'string').value),
  'const void *nvlist_get_nvlist(const void *nvl, const char *name)': (k, at, name) =>
    Number(wanted(k, at, name, 'nvlist').value),
  'const void *nvlist_get_binary(const void *nvl, const char *name, size_t *sizep)': (k, at, name, size) => {
    const { value, bytes } = wanted(k, at, name, 'binary');
    if (size !== 0) k.memory.setPtr(size, bytes);
    return Number(value);
  },
  'bool_t dnvlist_get_bool(const void *nvl, const char *name, bool_t defval)': (k, at, name, other) =>
    Number(find(k, at, name, 'bool')?.value ?? other),
  'uint64_t dnvlist_get_number(const void *nvl, const char *name, uint64_t defval)': (k, at, name, other) =>
    find(k, at, name, 'number')?.value ?? other,
  'const char *dnvlist_get_string(const void *nvl, const char *name, const char *defval)': (
    k,
    at,
    name,
    other,
  ) => Number(find(k, at, name, 'string')?.value ?? other),
  'const void *dnvlist_get_nvlist(const void *nvl, const char *name, void *defval)': (k, at, name, other) =>
    Number(find(k, at, name, 'nvlist')?.value ?? other),
  'void nvlist_free_string(void *nvl, const char *name)': (k, at, name) => release(k, at, name, 'string'),
  'void nvlist_free_number(void *nvl, const char *name)': (k, at, name) => release(k, at, name, 'number'),
  'void nvlist_free_bool(void *nvl, const char *name)': (k, at, name) => release(k, at, name, 'bool'),
  'void nvlist_free_nvlist(void *nvl, const char *name)': (k, at, name) => release(k, at, name, 'nvlist'),
  'void nvlist_free_binary(void *nvl, const char *name)': (k, at, name) => release(k, at, name, 'binary'),
});
