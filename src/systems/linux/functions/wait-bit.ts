/** Waiting on a bit of a word or on a variable: shared queues, found by hash (kernel/sched/wait_bit.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';
import { schedule, signalPending, TASK } from './sched.ts';
import {
  finishWait,
  initEntry,
  initWaitQueue,
  prepareToWait,
  WQ_FLAG,
  waitOffsets,
  wakeAndRemove,
  wakeUp,
} from './wait.ts';

/** WAIT_TABLE_BITS: 256 shared queues. */
const TABLE = 256;

/** bit_wait_table: wait queues that words and bits share by hash. */
const bitTable = perKernel<Address, Linux>((k) => {
  const size = k.sizeof('wait_queue_head');
  const at = k.heap.allocate(TABLE * size);
  for (let i = 0; i < TABLE; i++) initWaitQueue(k, at + i * size);
  return at;
});

function sharedQueue(k: Linux, word: Address, bit: number): Address {
  const mixed = Math.imul(Math.floor(word / 8) | 0, 0x61c88647) ^ bit;
  return k.state(bitTable) + ((mixed >>> 24) % TABLE) * k.sizeof('wait_queue_head');
}

const bitIsSet = (k: Linux, word: Address, bit: number): boolean =>
  ((k.memory.u8(word + (bit >> 3)) >> (bit & 7)) & 1) === 1;

/** Wakes those who wait for that very bit (bit_nr -1: for a variable). */
function* wakeBit(k: Linux, word: Address, bit: number): Steps<void> {
  const key = k.heap.allocate(k.sizeof('wait_bit_key'));
  k.write('wait_bit_key.flags', key, word);
  k.write('wait_bit_key.bit_nr', key, bit);
  yield* wakeUp(k, sharedQueue(k, word, bit), TASK.NORMAL, bit < 0 ? 0 : 1, key);
  k.heap.free(key);
}

/** Entry of a bit waiter: woken when key and entry name the same bit and it is clear. */
function wakeBitEntry(k: Linux, entry: Address, mode: number, key: Address): number {
  const own = entry - k.offset('wait_bit_queue_entry.wq_entry') + k.offset('wait_bit_queue_entry.key');
  const word = k.read('wait_bit_key.flags', own);
  const bit = k.read('wait_bit_key.bit_nr', own);
  if (word !== k.read('wait_bit_key.flags', key) || bit !== k.read('wait_bit_key.bit_nr', key)) return 0;
  if (bit >= 0 && bitIsSet(k, word, bit)) return 0;
  return wakeAndRemove(k, entry, mode);
}

function* waitOnBit(
  k: Linux,
  word: Address,
  bit: number,
  mode: number,
  action: Address,
  take: boolean,
): Steps<number> {
  const queue = sharedQueue(k, word, bit);
  const waiter = k.heap.allocate(k.sizeof('wait_bit_queue_entry'));
  const entry = waiter + k.offset('wait_bit_queue_entry.wq_entry');
  const key = waiter + k.offset('wait_bit_queue_entry.key');
  k.write('wait_bit_key.flags', key, word);
  k.write('wait_bit_key.bit_nr', key, bit);
  initEntry(k, entry, take ? WQ_FLAG.EXCLUSIVE : 0);
  k.memory.setPtr(entry + k.state(waitOffsets).func, k.addressOf('wake_bit_function'));
  let result = 0;
  while (result === 0 && bitIsSet(k, word, bit)) {
    prepareToWait(k, queue, entry, mode, take);
    if (bitIsSet(k, word, bit)) result = yield* k.callInt(action, key, mode);
  }
  if (take && result === 0)
    k.memory.set8(word + (bit >> 3), k.memory.u8(word + (bit >> 3)) | (1 << (bit & 7)));
  finishWait(k, entry);
  k.heap.free(waiter);
  return result;
}

function* bitWait(k: Linux, mode: number): Steps<number> {
  yield* schedule(k, undefined, 'wait_on_bit');
  return (mode & (TASK.INTERRUPTIBLE | TASK.WAKEKILL)) !== 0 && signalPending(k) ? -Errno.EINTR : 0;
}

export const bitWaits = kernelFunctions({
  'wait_queue_head_t *bit_waitqueue(void *word, int bit)': (k, word, bit) => sharedQueue(k, word, bit),
  'wait_queue_head_t *__var_waitqueue(void *p)': (k, p) => sharedQueue(k, p, -1),
  'void wake_up_bit(void *word, int bit)': (k, word, bit) => wakeBit(k, word, bit),
  'void wake_up_var(void *var)': (k, variable) => wakeBit(k, variable, -1),
  'int wake_bit_function(struct wait_queue_entry *wq_entry, unsigned int mode, int sync, void *arg)': (
    k,
    entry,
    mode,
    _sync,
    key,
  ) => wakeBitEntry(k, entry, mode, key),
  'void init_wait_var_entry(struct wait_bit_queue_entry *wbq_entry, void *var, int flags)': (
    k,
    waiter,
    variable,
    flags,
  ) => {
    const key = waiter + k.offset('wait_bit_queue_entry.key');
    k.write('wait_bit_key.flags', key, variable);
    k.write('wait_bit_key.bit_nr', key, -1);
    const entry = waiter + k.offset('wait_bit_queue_entry.wq_entry');
    initEntry(k, entry, flags);
    k.memory.setPtr(entry + k.state(waitOffsets).func, k.addressOf('var_wake_function'));
  },
  'int var_wake_function(struct wait_queue_entry *wq_entry, unsigned int mode, int sync, void *arg)': (
    k,
    entry,
    mode,
    _sync,
    key,
  ) => wakeBitEntry(k, entry, mode, key),
  'int out_of_line_wait_on_bit(void *word, int bit, wait_bit_action_f *action, unsigned int mode)': (
    k,
    word,
    bit,
    action,
    mode,
  ) => waitOnBit(k, word, bit, mode, action, false),
  'int out_of_line_wait_on_bit_lock(void *word, int bit, wait_bit_action_f *action, unsigned int mode)': (
    k,
    word,
    bit,
    action,
    mode,
  ) => waitOnBit(k, word, bit, mode, action, true),
  'int bit_wait(struct wait_bit_key *word, int mode)': (k, _key, mode) => bitWait(k, mode),
  'int bit_wait_io(struct wait_bit_key *word, int mode)': (k, _key, mode) => bitWait(k, mode),
});
