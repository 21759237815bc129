/** What hardened kernels check at run time: lists, reference counts, buffer sizes, stacks; and panic. */

import { readable } from '../../../kernel/text/sink.ts';
import { ThreadKilled } from '../../../kernel/thread.ts';
import { type Address, hex16, toBig } from '../../../memory/address.ts';
import type { Linux } from '../linux.ts';
import { panicNow } from '../panic.ts';
import { callerOf, kernelBug, kernelWarning } from './caller.ts';
import { kernelFunctions } from './define.ts';
import { format } from './format/printf.ts';
import { dumpStack, finishRecord } from './printk.ts';

/** LIST_POISON1 and LIST_POISON2 with CONFIG_ILLEGAL_POINTER_VALUE=0xdead000000000000. */
const POISON1 = 0xdead000000000100n;
const POISON2 = 0xdead000000000122n;

/** Debian builds with BUG_ON_DATA_CORRUPTION: a damaged list ends the task that found it. */
function corrupt(k: Linux, line: number, text: string): never {
  finishRecord(k);
  k.printk(3, text);
  return kernelBug(k, `lib/list_debug.c:${line}`);
}

function checkAdd(k: Linux, entry: Address, prev: Address, next: Address): number {
  if (prev === 0) corrupt(k, 23, 'list_add corruption. prev is NULL.');
  if (next === 0) corrupt(k, 25, 'list_add corruption. next is NULL.');
  const back = k.memory.ptr(next + 8);
  if (back !== prev)
    corrupt(
      k,
      27,
      `list_add corruption. next->prev should be prev (${hex16(prev)}), but was ${hex16(back)}. (next=${hex16(next)}).`,
    );
  const forth = k.memory.ptr(prev);
  if (forth !== next)
    corrupt(
      k,
      30,
      `list_add corruption. prev->next should be next (${hex16(next)}), but was ${hex16(forth)}. (prev=${hex16(prev)}).`,
    );
  if (entry === prev || entry === next)
    corrupt(k, 33, `list_add double add: new=${hex16(entry)}, prev=${hex16(prev)}, next=${hex16(next)}.`);
  return 1;
}

function checkDelete(k: Linux, entry: Address): number {
  const next = k.memory.u64(entry);
  const prev = k.memory.u64(entry + 8);
  if (next === 0n) corrupt(k, 49, `list_del corruption, ${hex16(entry)}->next is NULL`);
  if (prev === 0n) corrupt(k, 51, `list_del corruption, ${hex16(entry)}->prev is NULL`);
  if (next === POISON1)
    corrupt(k, 53, `list_del corruption, ${hex16(entry)}->next is LIST_POISON1 (${hex16(POISON1)})`);
  if (prev === POISON2)
    corrupt(k, 56, `list_del corruption, ${hex16(entry)}->prev is LIST_POISON2 (${hex16(POISON2)})`);
  const forth = k.memory.u64(signed(prev));
  if (forth !== toBig(entry))
    corrupt(
      k,
      59,
      `list_del corruption. prev->next should be ${hex16(entry)}, but was ${hex16(forth)}. (prev=${hex16(prev)})`,
    );
  const back = k.memory.u64(signed(next) + 8);
  if (back !== toBig(entry))
    corrupt(
      k,
      62,
      `list_del corruption. next->prev should be ${hex16(entry)}, but was ${hex16(back)}. (next=${hex16(next)})`,
    );
  return 1;
}

const signed = (value: bigint): Address => Number(BigInt.asIntN(64, value));

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
