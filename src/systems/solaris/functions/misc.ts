/** Division on i386, random numbers, and what belongs nowhere else. */
import { panic } from '../faults.ts';
import type { Solaris } from '../solaris.ts';
import { errors } from '../syscalls.ts';
import { kernelFunctions } from './define.ts';

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
  'int set_errno(unsigned int errno)': (k, errno) => {
    k.state(errors).set(k.curthread, errno);
    return -1;
  },
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
