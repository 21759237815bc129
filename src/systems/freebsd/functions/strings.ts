/** What the kernel's string functions have beyond the C library (sys/libkern). */
import type { Kernel } from '../../../kernel/kernel.ts';
import { guestText, writeGuestText } from '../../../kernel/text/printf.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { FreeBsd } from '../freebsd.ts';
import { kernelFunctions } from './define.ts';

function copyBounded(k: Kernel, to: Address, from: Address, size: number): number {
  const text = guestText(k, from);
  if (size > 0) writeGuestText(k, to, text.slice(0, size - 1));
  return text.length;
}

function find(k: Kernel, at: Address, c: number, last: boolean): Address {
  const text = guestText(k, at);
  const wanted = String.fromCharCode(c & 0xff);
  if ((c & 0xff) === 0) return at + text.length;
  const place = last ? text.lastIndexOf(wanted) : text.indexOf(wanted);
  return place < 0 ? 0 : at + place;
}

export const strings = kernelFunctions({
  'size_t strlcpy(char *dst, const char *src, size_t size)': copyBounded,
  'size_t strlcat(char *dst, const char *src, size_t size)': (k, to, from, size) => {
    const used = Math.min(guestText(k, to).length, size);
    return used + copyBounded(k, to + used, from, size - used);
  },
  'char *strdup(const char *string, struct malloc_type *type)': (k, at) => k.heap.string(guestText(k, at)),
  'char *strdup_flags(const char *string, struct malloc_type *type, int flags)': (k, at) =>
    k.heap.string(guestText(k, at)),
  'char *strndup(const char *string, size_t n, struct malloc_type *type)': (k, at, n) =>
    k.heap.string(guestText(k, at).slice(0, n)),
  'char *index(const char *s, int c)': (k, at, c) => find(k, at, c, false),
  'char *rindex(const char *s, int c)': (k, at, c) => find(k, at, c, true),
  'char *strsep(char **stringp, const char *delim)': (k, place, delimiters) => {
    const at = k.memory.ptr(place);
    if (at === 0) return 0;
    const set = guestText(k, delimiters);
    const text = guestText(k, at);
    const end = [...text].findIndex((character) => set.includes(character));
    if (end >= 0) k.memory.set8(at + end, 0);
    k.memory.setPtr(place, end < 0 ? 0 : at + end + 1);
    return at;
  },
  'int strvalid(const char *s, size_t len)': (k, at, length) =>
    guestText(k, at, length).length < length ? 1 : 0,
  'u_quad_t strtouq(const char *nptr, char **endptr, int base)': (k, at, end, base) =>
    parse(k, at, end, base),
  'quad_t strtoq(const char *nptr, char **endptr, int base)': (k, at, end, base) => parse(k, at, end, base),
  'uint32_t crc32(const void *buf, size_t size)': (k, at, size) => crc32(k.memory.bytes(at, size)),
  'int ffs(int mask)': (_k, mask) => (mask === 0 ? 0 : 32 - Math.clz32(mask & -mask)),
  'int fls(int mask)': (_k, mask) => 32 - Math.clz32(mask),
  'uint32_t arc4random(void)': (k) => k.random32(),
  'void arc4rand(void *ptr, unsigned int len, int reseed)': (k, at, length) => randomBytes(k, at, length),
  'void arc4random_buf(void *ptr, size_t len)': (k, at, length) => randomBytes(k, at, length),
  'int read_random(void *buf, int count)': (k, at, count) => {
    randomBytes(k, at, count);
    return count;
  },
  'unsigned long random(void)': (k) => k.random32() & 0x7fffffff,
  'void srandom(unsigned long seed)': () => undefined,
  'void *memcchr(const void *s, int c, size_t n)': (k, at, c, n) => {
    const place = k.memory.bytes(at, n).findIndex((byte) => byte !== (c & 0xff));
    return place < 0 ? 0 : at + place;
  },
  'int timingsafe_bcmp(const void *a, const void *b, size_t n)': (k, a, b, n) => {
    const other = k.memory.bytes(b, n);
    return k.memory.bytes(a, n).some((byte, i) => byte !== other[i]) ? 1 : 0;
  },
  'void explicit_bzero(void *at, size_t n)': (k, at, n) => k.memory.fill(at, n, 0),
  'int copyin(const void *uaddr, void *kaddr, size_t len)': (k, user, to, length) =>
    userCopy(k, user, length, () => k.memory.write(to, k.memory.bytes(user, length))),
  'int copyin_nofault(const void *uaddr, void *kaddr, size_t len)': (k, user, to, length) =>
    userCopy(k, user, length, () => k.memory.write(to, k.memory.bytes(user, length))),
  'int copyout(const void *kaddr, void *uaddr, size_t len)': (k, from, user, length) =>
    userCopy(k, user, length, () => k.memory.write(user, k.memory.bytes(from, length))),
  'int copyout_nofault(const void *kaddr, void *uaddr, size_t len)': (k, from, user, length) =>
    userCopy(k, user, length, () => k.memory.write(user, k.memory.bytes(from, length))),
  'int copyinstr(const void *uaddr, void *kaddr, size_t len, size_t *done)': (k, user, to, length, done) =>
    userCopy(k, user, 1, () => copyString(k, user, to, length, done)),
  'int copystr(const void *from, void *to, size_t len, size_t *done)': copyString,
  'int fubyte(const void *base)': (k, user) => fetch(k, user, 1),
  'int fuword16(const void *base)': (k, user) => fetch(k, user, 2),
  'int fuword32(const void *base)': (k, user) => fetch(k, user, 4),
  'int suword32(void *base, int word)': (k, user, word) =>
    userCopy(k, user, 4, () => k.memory.set32(user, word)) === 0 ? 0 : -1,
});

function parse(k: FreeBsd, at: Address, end: Address, base: number): number {
  const text = guestText(k, at);
  const match = /^\s*([-+]?)(0x)?([0-9a-z]*)/i.exec(text);
  const hexadecimal = match?.[2] !== undefined && (base === 0 || base === 16);
  const radix = hexadecimal ? 16 : base !== 0 ? base : (match?.[3] ?? '').startsWith('0') ? 8 : 10;
  const allowed = '0123456789abcdefghijklmnopqrstuvwxyz'.slice(0, radix);
  const start =
    (match?.[0].length ?? 0) - (match?.[3].length ?? 0) - (hexadecimal || match?.[2] === undefined ? 0 : 1);
  let value = 0;
  let place = start;
  for (; place < text.length && allowed.includes(text[place].toLowerCase()); place++) {
    value = value * radix + allowed.indexOf(text[place].toLowerCase());
  }
  if (end !== 0) k.memory.setPtr(end, at + place);
  return match?.[1] === '-' ? -value : value;
}

/** The reversed polynomial 0xedb88320, without the inversions (libkern/crc32.c inverts at both ends). */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) !== 0 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function randomBytes(k: FreeBsd, at: Address, length: number): void {
  for (let i = 0; i < length; i++) k.memory.set8(at + i, k.random32() & 0xff);
}

/** Does the range lie in user memory, all of it mapped there? */
function isUser(k: FreeBsd, at: Address, length: number): boolean {
  const { base, pages } = k.map.user;
  return at >= base && at + length <= base + pages * 4096;
}

/** copyin(9) and its like give EFAULT for what is not the process's own. */
function userCopy(k: FreeBsd, user: Address, length: number, copy: () => unknown): number {
  if (!isUser(k, user, length)) return Errno.EFAULT;
  const error = copy();
  return typeof error === 'number' ? error : 0;
}

function copyString(k: FreeBsd, from: Address, to: Address, length: number, done: Address): number {
  const text = guestText(k, from, length);
  const whole = text.length < length;
  k.memory.write(to, k.memory.bytes(from, whole ? text.length + 1 : length));
  if (done !== 0) k.memory.setPtr(done, whole ? text.length + 1 : length);
  return whole ? 0 : Errno.ENAMETOOLONG;
}

function fetch(k: FreeBsd, user: Address, bytes: 1 | 2 | 4): number {
  if (!isUser(k, user, bytes)) return -1;
  if (bytes === 1) return k.memory.u8(user);
  return bytes === 2 ? k.memory.u16(user) : k.memory.i32(user);
}

/** What atomic(9) is for modules of releases before 12: functions, since they must run on one and on many processors. */
export const atomics = kernelFunctions({
  'void atomic_set_int(volatile u_int *p, u_int v)': (k, p, v) => k.memory.set32(p, k.memory.u32(p) | v),
  'void atomic_clear_int(volatile u_int *p, u_int v)': (k, p, v) => k.memory.set32(p, k.memory.u32(p) & ~v),
  'void atomic_add_int(volatile u_int *p, u_int v)': (k, p, v) =>
    k.memory.set32(p, (k.memory.u32(p) + v) | 0),
  'void atomic_add_barr_int(volatile u_int *p, u_int v)': (k, p, v) =>
    k.memory.set32(p, (k.memory.u32(p) + v) | 0),
  'void atomic_subtract_int(volatile u_int *p, u_int v)': (k, p, v) =>
    k.memory.set32(p, (k.memory.u32(p) - v) | 0),
  'void atomic_subtract_barr_int(volatile u_int *p, u_int v)': (k, p, v) =>
    k.memory.set32(p, (k.memory.u32(p) - v) | 0),
  'void atomic_set_barr_int(volatile u_int *p, u_int v)': (k, p, v) => k.memory.set32(p, k.memory.u32(p) | v),
  'void atomic_clear_barr_int(volatile u_int *p, u_int v)': (k, p, v) =>
    k.memory.set32(p, k.memory.u32(p) & ~v),
  'u_int atomic_fetchadd_int(volatile u_int *p, u_int v)': (k, p, v) => {
    const old = k.memory.u32(p);
    k.memory.set32(p, (old + v) | 0);
    return old;
  },
  'int atomic_cmpset_int(volatile u_int *p, u_int old, u_int value)': (k, p, old, value) => {
    if (k.memory.u32(p) !== old) return 0;
    k.memory.set32(p, value);
    return 1;
  },
  'u_int atomic_load_acq_int(volatile u_int *p)': (k, p) => k.memory.u32(p),
  'void atomic_store_rel_int(volatile u_int *p, u_int v)': (k, p, v) => k.memory.set32(p, v),
  'void atomic_set_long(volatile u_long *p, uint64_t v)': (k, p, v) =>
    k.memory.setU64(p, k.memory.u64(p) | v),
  'void atomic_clear_long(volatile u_long *p, uint64_t v)': (k, p, v) =>
    k.memory.setU64(p, k.memory.u64(p) & ~v),
  'void atomic_add_long(volatile u_long *p, uint64_t v)': (k, p, v) => add64(k, p, v),
  'void atomic_add_barr_long(volatile u_long *p, uint64_t v)': (k, p, v) => add64(k, p, v),
  'void atomic_subtract_long(volatile u_long *p, uint64_t v)': (k, p, v) => add64(k, p, -v),
  'void atomic_subtract_barr_long(volatile u_long *p, uint64_t v)': (k, p, v) => add64(k, p, -v),
  'uint64_t atomic_fetchadd_long(volatile u_long *p, uint64_t v)': (k, p, v) => {
    const old = k.memory.u64(p);
    add64(k, p, v);
    return old;
  },
  'int atomic_cmpset_long(volatile u_long *p, uint64_t old, uint64_t value)': (k, p, old, value) => {
    if (k.memory.u64(p) !== old) return 0;
    k.memory.setU64(p, value);
    return 1;
  },
  'uint64_t atomic_load_acq_long(volatile u_long *p)': (k, p) => k.memory.u64(p),
  'void atomic_store_rel_long(volatile u_long *p, uint64_t v)': (k, p, v) => k.memory.setU64(p, v),
});

function add64(k: FreeBsd, p: Address, v: bigint): void {
  k.memory.setU64(p, BigInt.asUintN(64, k.memory.u64(p) + v));
}
