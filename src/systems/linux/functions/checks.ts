/** What hardened kernels check at run time: lists, reference counts, buffer sizes, stacks; and panic. */

import { readable } from '../../../kernel/text/sink.ts';
import { ThreadKilled } from '../../../kernel/thread.ts';
import { type Address, hexWord } from '../../../memory/address.ts';
import { addressOfWord } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { panicNow } from '../panic.ts';
import { callerOf, kernelBug, kernelWarning } from './caller.ts';
import { kernelFunctions } from './define.ts';
import { format } from './format/printf.ts';
import { dumpStack, finishRecord } from './printk.ts';

/** What LIST_POISON1 and LIST_POISON2 are reckoned from: CONFIG_ILLEGAL_POINTER_VALUE, none on 32 bits. */
const illegalPointer = (k: Linux): bigint => (k.word === 8 ? 0xdead000000000000n : 0n);

/** Debian builds with BUG_ON_DATA_CORRUPTION: a damaged list ends the task that found it. */
function corrupt(k: Linux, line: number, text: string): never {
  finishRecord(k);
  k.printk(3, text);
  return kernelBug(k, `lib/list_debug.c:${line}`);
}

function checkAdd(k: Linux, entry: Address, prev: Address, next: Address): number {
  const hex = (value: Address): string => hexWord(value, k.word);
  if (prev === 0) corrupt(k, 23, 'list_add corruption. prev is NULL.');
  if (next === 0) corrupt(k, 25, 'list_add corruption. next is NULL.');
  const back = k.memory.ptr(next + k.word);
  if (back !== prev)
    corrupt(
      k,
      27,
      `list_add corruption. next->prev should be prev (${hex(prev)}), but was ${hex(back)}. (next=${hex(next)}).`,
    );
  const forth = k.memory.ptr(prev);
  if (forth !== next)
    corrupt(
      k,
      30,
      `list_add corruption. prev->next should be next (${hex(next)}), but was ${hex(forth)}. (prev=${hex(prev)}).`,
    );
  if (entry === prev || entry === next)
    corrupt(k, 33, `list_add double add: new=${hex(entry)}, prev=${hex(prev)}, next=${hex(next)}.`);
  return 1;
}

/** What the kernel itself sees when it takes an entry out, where it was built to look (CONFIG_DEBUG_LIST). */
export function checkOwnDelete(k: Linux, entry: Address): void {
  const names = ['__list_del_entry_valid', '__list_del_entry_valid_or_report'];
  if (names.some((name) => k.file.exports.find(name) !== undefined)) checkDelete(k, entry);
}

function checkDelete(k: Linux, entry: Address): number {
  const hex = (value: Address | bigint): string => hexWord(value, k.word);
  const own = BigInt.asUintN(k.word * 8, BigInt(entry));
  const poison1 = illegalPointer(k) + 0x100n;
  const poison2 = illegalPointer(k) + 0x122n;
  const next = k.memory.ulong(entry);
  const prev = k.memory.ulong(entry + k.word);
  if (next === 0n) corrupt(k, 49, `list_del corruption, ${hex(entry)}->next is NULL`);
  if (prev === 0n) corrupt(k, 51, `list_del corruption, ${hex(entry)}->prev is NULL`);
  if (next === poison1)
    corrupt(k, 53, `list_del corruption, ${hex(entry)}->next is LIST_POISON1 (${hex(poison1)})`);
  if (prev === poison2)
    corrupt(k, 56, `list_del corruption, ${hex(entry)}->prev is LIST_POISON2 (${hex(poison2)})`);
  const forth = k.memory.ulong(addressOfWord(prev, k.word));
  if (forth !== own)
    corrupt(
      k,
      59,
      `list_del corruption. prev->next should be ${hex(entry)}, but was ${hex(forth)}. (prev=${hex(prev)})`,
    );
  const back = k.memory.ulong(addressOfWord(next, k.word) + k.word);
  if (back !== own)
    corrupt(
      k,
      62,
      `list_del corruption. next->prev should be ${hex(entry)}, but was ${hex(back)}. (next=${hex(next)})`,
    );
  return 1;
}

/** enum refcount_saturation_type: the warning and its line in lib/refcount.c. */
const SATURATIONS: readonly (readonly [string, number])[] = [
  ['refcount_t: saturated; leaking memory.', 19],
  ['refcount_t: saturated; leaking memory.', 22],
  ['refcount_t: addition on 0; use-after-free.', 25],
  ['refcount_t: underflow; use-after-free.', 28],
  ['refcount_t: decrement hit 0; leaking memory.', 31],
];
const REFCOUNT_SATURATED = -0x40000000;

export const checks = kernelFunctions({
  'bool __list_add_valid(struct list_head *new, struct list_head *prev, struct list_head *next)': (
    k,
    entry,
    prev,
    next,
  ) => checkAdd(k, entry, prev, next),
  'bool __list_del_entry_valid(struct list_head *entry)': (k, entry) => checkDelete(k, entry),
  'void refcount_warn_saturate(refcount_t *r, enum refcount_saturation_type t)': (k, count, kind) => {
    k.memory.set32(count, REFCOUNT_SATURATED);
    const [text, line] = SATURATIONS[kind] ?? ['refcount_t: unknown saturation event!?.', 34];
    finishRecord(k);
    kernelWarning(k, `lib/refcount.c:${line}`, text);
  },
  'bool refcount_dec_if_one(refcount_t *r)': (k, count) => {
    if (k.memory.i32(count) !== 1) return 0;
    k.memory.set32(count, 0);
    return 1;
  },
  'bool refcount_dec_not_one(refcount_t *r)': (k, count) => {
    const value = k.memory.i32(count);
    if (value === REFCOUNT_SATURATED) return 1;
    if (value === 1) return 0;
    k.memory.set32(count, value - 1);
    return 1;
  },
  'void fortify_panic(const char *name)': (k, name) => {
    finishRecord(k);
    k.printk(0, `detected buffer overflow in ${k.memory.cstring(name)}`);
    kernelBug(k, 'lib/string_helpers.c:1027');
  },
  'void __stack_chk_fail(void)': (k) =>
    panic(k, `stack-protector: Kernel stack is corrupted in: ${k.describeReturn(callerOf(k))}`),
  'void panic(const char *fmt, ...)': (k, fmt, args) => panic(k, readable(format(k, fmt, args, 1024).text)),
});

/** The kernel stops: the task that caused it ends, and the console takes no further command. */
export function panic(k: Linux, text: string): never {
  finishRecord(k);
  panicNow(k, text, () => dumpStack(k, 0));
  throw new ThreadKilled(k.scheduler.current?.name ?? 'kernel', 9, `kernel panic: ${text}`);
}
