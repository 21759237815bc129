/** Atomic operations, lists, random numbers, and what belongs nowhere else. */
import type { Address } from '../../../memory/space.ts';
import { panic } from '../faults.ts';
import type { Solaris } from '../solaris.ts';
import { errors } from '../syscalls.ts';
import { kernelFunctions } from './define.ts';

const add32 = (k: Solaris, at: Address, by: number): number => {
  const value = (k.memory.u32(at) + by) >>> 0;
  k.memory.set32(at, value);
  return value;
};

const add64 = (k: Solaris, at: Address, by: bigint): bigint => {
  const value = BigInt.asUintN(64, k.memory.u64(at) + by);
  k.memory.setU64(at, value);
  return value;
};

/** list_t: size, offset, and a list_node_t of next and prev (sys/list_impl.h). */
const offsetOf = (k: Solaris, list: Address): number => k.memory.ptr(list + k.word);
const headOf = (k: Solaris, list: Address): Address => list + 2 * k.word;

function insertAfter(k: Solaris, after: Address, node: Address): void {
  const next = k.memory.ptr(after);
  k.memory.setPtr(node, next);
  k.memory.setPtr(node + k.word, after);
  k.memory.setPtr(next + k.word, node);
  k.memory.setPtr(after, node);
}

function unlink(k: Solaris, node: Address): void {
  const next = k.memory.ptr(node);
  const previous = k.memory.ptr(node + k.word);
  k.memory.setPtr(next + k.word, previous);
  k.memory.setPtr(previous, next);
  k.memory.setPtr(node, 0);
  k.memory.setPtr(node + k.word, 0);
}

/** The object a node belongs to; 0 at the list's own end. */
const objectAt = (k: Solaris, list: Address, node: Address): Address =>
  node === headOf(k, list) || node === 0 ? 0 : node - offsetOf(k, list);

/** What compilers call for 64-bit division on i386. */
function divide(k: Solaris, a: bigint, b: bigint): bigint {
  if (b === 0n) throw panic(k, 'BAD TRAP: type=0 (#de Divide error)');
  return a / b;
}

export const misc = kernelFunctions({
  // Nobody sleeps in poll(2) here: who asks is answered at once.
  'void pollwakeup(struct pollhead *php, short events)': () => undefined,
  'void pollhead_clean(struct pollhead *php)': () => undefined,
  'int64_t __divdi3(int64_t a, int64_t b)': divide,
  'uint64_t __udivdi3(uint64_t a, uint64_t b)': divide,
  'int64_t __moddi3(int64_t a, int64_t b)': (k, a, b) => a - divide(k, a, b) * b,
  'uint64_t __umoddi3(uint64_t a, uint64_t b)': (k, a, b) => a - divide(k, a, b) * b,
  'void atomic_inc_32(uint32_t *at)': (k, at) => {
    add32(k, at, 1);
  },
  'void atomic_dec_32(uint32_t *at)': (k, at) => {
    add32(k, at, -1);
  },
  'void atomic_add_32(uint32_t *at, int by)': (k, at, by) => {
    add32(k, at, by);
  },
  'uint32_t atomic_inc_32_nv(uint32_t *at)': (k, at) => add32(k, at, 1),
  'uint32_t atomic_dec_32_nv(uint32_t *at)': (k, at) => add32(k, at, -1),
  'uint32_t atomic_add_32_nv(uint32_t *at, int by)': (k, at, by) => add32(k, at, by),
  'void atomic_inc_64(uint64_t *at)': (k, at) => {
    add64(k, at, 1n);
  },
  'void atomic_dec_64(uint64_t *at)': (k, at) => {
    add64(k, at, -1n);
  },
  'uint64_t atomic_inc_64_nv(uint64_t *at)': (k, at) => add64(k, at, 1n),
  'uint64_t atomic_add_64_nv(uint64_t *at, int64_t by)': (k, at, by) => add64(k, at, by),
  'uint32_t atomic_cas_32(uint32_t *at, uint32_t expected, uint32_t value)': (k, at, expected, value) => {
    const old = k.memory.u32(at);
    if (old === expected) k.memory.set32(at, value);
    return old;
  },
  'void *atomic_cas_ptr(void *at, void *expected, void *value)': (k, at, expected, value) => {
    const old = k.memory.ptr(at);
    if (old === expected) k.memory.setPtr(at, value);
    return old;
  },
  'void membar_producer(void)': () => undefined,
  'void membar_consumer(void)': () => undefined,
  'void membar_enter(void)': () => undefined,
  'void membar_exit(void)': () => undefined,
  'int set_errno(unsigned int errno)': (k, errno) => {
    k.state(errors).set(k.curthread, errno);
    return -1;
  },
  'void list_create(void *list, size_t size, size_t offset)': (k, list, size, offset) => {
    k.memory.setPtr(list, size);
    k.memory.setPtr(list + k.word, offset);
    for (const at of [headOf(k, list), headOf(k, list) + k.word]) k.memory.setPtr(at, headOf(k, list));
  },
  'void list_destroy(void *list)': (k, list) => k.memory.fill(list, 4 * k.word, 0),
  'void list_insert_head(void *list, void *object)': (k, list, object) =>
    insertAfter(k, headOf(k, list), object + offsetOf(k, list)),
  'void list_insert_tail(void *list, void *object)': (k, list, object) =>
    insertAfter(k, k.memory.ptr(headOf(k, list) + k.word), object + offsetOf(k, list)),
  'void list_remove(void *list, void *object)': (k, list, object) => unlink(k, object + offsetOf(k, list)),
  'void *list_head(void *list)': (k, list) => objectAt(k, list, k.memory.ptr(headOf(k, list))),
  'void *list_tail(void *list)': (k, list) => objectAt(k, list, k.memory.ptr(headOf(k, list) + k.word)),
  'void *list_next(void *list, void *object)': (k, list, object) =>
    objectAt(k, list, k.memory.ptr(object + offsetOf(k, list))),
  'void *list_prev(void *list, void *object)': (k, list, object) =>
    objectAt(k, list, k.memory.ptr(object + offsetOf(k, list) + k.word)),
  'void *list_remove_head(void *list)': (k, list) => {
    const node = k.memory.ptr(headOf(k, list));
    const object = objectAt(k, list, node);
    if (object !== 0) unlink(k, node);
    return object;
  },
  'int list_is_empty(void *list)': (k, list) => (k.memory.ptr(headOf(k, list)) === headOf(k, list) ? 1 : 0),
  // The decimal number that a string begins with; the pointer goes on behind it (sys/ddi.h).
  'int stoi(char **text)': (k, text) => {
    const at = k.memory.ptr(text);
    const digits = /^\d{0,10}/.exec(k.memory.cstring(at, 16))?.[0] ?? '';
    k.memory.setPtr(text, at + digits.length);
    return Number(digits) | 0;
  },
  'void numtos(ulong_t value, char *text)': (k, value, text) =>
    k.memory.write(text, new TextEncoder().encode(`${BigInt.asUintN(k.bits, BigInt(value))}\0`)),
  'int random_get_pseudo_bytes(uint8_t *at, size_t count)': (k, at, count) => {
    k.memory.write(
      at,
      Uint8Array.from({ length: Math.min(count, 4096) }, () => k.random32() & 0xff),
    );
    return 0;
  },
  'size_t strlcpy(char *to, const char *from, size_t size)': (k, to, from, size) => {
    const text = new TextEncoder().encode(k.memory.cstring(from));
    if (size > 0) k.memory.write(to, Uint8Array.from([...text.subarray(0, size - 1), 0]));
    return text.length;
  },
  'size_t strlcat(char *to, const char *from, size_t size)': (k, to, from, size) => {
    const have = k.memory.cstring(to, Math.max(1, size)).length;
    const text = new TextEncoder().encode(k.memory.cstring(from));
    if (have < size) k.memory.write(to + have, Uint8Array.from([...text.subarray(0, size - have - 1), 0]));
    return have + text.length;
  },
});
