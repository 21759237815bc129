/**
 * What a board support package and the architecture give: time stamps, ports, lines of the interrupt controller, caches, spin
 * locks and atomic words. The board has no devices: ports float high, and a line can be opened and closed as often as one likes.
 */
import { definer } from '../../../kernel/functions.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import { GuestFault } from '../../../memory/space.ts';
import { ERRNO, ERROR, OK } from '../errno.ts';
import { noneFor } from '../tasks.ts';
import type { VxWorks } from '../vxworks.ts';

const functions = definer<VxWorks>();

/** Counts of the time stamp a second: one for each nanosecond of virtual time. */
const STAMP_RATE = 1e9;

interface Stamps {
  enabled: boolean;
  /** Virtual time at which the count began. */
  origin: number;
}

const stamps = perKernel((): Stamps => ({ enabled: false, origin: 0 }));

/** The counter, of 32 bits; it stands still until it is enabled (timestampDrv). */
function stamp(k: VxWorks): number {
  const { enabled, origin } = k.state(stamps);
  return enabled ? Math.floor(k.time.now() - origin) % 2 ** 32 : 0;
}

export const boardFunctions = functions({
  'STATUS sysTimestampEnable(void)': (k) => {
    const own = k.state(stamps);
    if (!own.enabled) own.origin = k.time.now();
    own.enabled = true;
    return OK;
  },
  'STATUS sysTimestampDisable(void)': (k) => {
    k.state(stamps).enabled = false;
    return OK;
  },
  'STATUS sysTimestampConnect(FUNCPTR routine, int argument)': () => ERROR,
  'UINT32 sysTimestamp(void)': stamp,
  'UINT32 sysTimestampLock(void)': stamp,
  'UINT32 sysTimestampFreq(void)': () => STAMP_RATE,
  'UINT32 sysTimestampPeriod(void)': () => 2 ** 32 - 1,
  'UCHAR sysInByte(int port)': (k, port) => k.cpu.machine.in(port & 0xffff, 1),
  'USHORT sysInWord(int port)': (k, port) => k.cpu.machine.in(port & 0xffff, 2),
  'ULONG sysInLong(int port)': (k, port) => k.cpu.machine.in(port & 0xffff, 4),
  'void sysOutByte(int port, char value)': (k, port, value) =>
    k.cpu.machine.out(port & 0xffff, 1, value & 0xff),
  'void sysOutWord(int port, short value)': (k, port, value) =>
    k.cpu.machine.out(port & 0xffff, 2, value & 0xffff),
  'void sysOutLong(int port, long value)': (k, port, value) =>
    k.cpu.machine.out(port & 0xffff, 4, value >>> 0),
  // There is no interrupt controller: every line is open, all the time.
  'int intEnable(int level)': () => OK,
  'int intDisable(int level)': () => OK,
  'STATUS sysIntEnable(int level)': () => OK,
  'STATUS sysIntDisable(int level)': () => OK,
  // One processor: what keeps the others out keeps interrupts out, which is all that is left to do.
  'int intCpuLock(void)': (k) => k.interruptLocks++,
  'void intCpuUnlock(int key)': (k, key) => {
    k.interruptLocks = Math.max(0, key);
  },
  'int taskCpuLock(void)': (k) => {
    const task = k.tasks.current;
    if (task === undefined) return ERROR;
    task.locks++;
    return OK;
  },
  'int taskCpuUnlock(void)': (k) => {
    const task = k.tasks.current;
    if (task === undefined) return ERROR;
    task.locks = Math.max(0, task.locks - 1);
    return OK;
  },
  'STATUS taskCpuAffinitySet(TASK_ID id, unsigned int processors)': (k, id, processors) =>
    // Only the one that is there can be asked for; none at all takes a wish back.
    k.tasks.find(id) === undefined || (processors & ~1) !== 0 ? ERROR : OK,
  'int vxCpuIdGet(void)': () => 0,
  'int vxCpuIndexGet(void)': () => 0,
  'unsigned int vxCpuConfiguredGet(void)': () => 1,
  'BOOL vxTas(void *at)': (k, at) => {
    if (k.memory.u8(at) !== 0) return 0;
    k.memory.set8(at, 1);
    return 1;
  },
  'STATUS vxMemProbe(char *at, int mode, int bytes, char *value)': (k, at, mode, bytes, value) => {
    if (bytes !== 1 && bytes !== 2 && bytes !== 4 && bytes !== 8) return ERROR;
    const [from, to] = mode === WRITE ? [value, at] : [at, value];
    try {
      k.memory.write(to, k.memory.bytes(from, bytes).slice());
    } catch (error) {
      if (error instanceof GuestFault) return ERROR;
      throw error;
    }
    return OK;
  },
  // Memory and caches agree here, with devices too: there is nothing to write back or to drop.
  'STATUS cacheFlush(int cache, void *at, size_t bytes)': () => OK,
  'STATUS cacheInvalidate(int cache, void *at, size_t bytes)': () => OK,
  'STATUS cacheClear(int cache, void *at, size_t bytes)': () => OK,
  'STATUS cacheEnable(int cache)': () => OK,
  'STATUS cacheDisable(int cache)': () => OK,
  'STATUS cacheTextUpdate(void *at, size_t bytes)': () => OK,
  'void *cacheDmaMalloc(size_t bytes)': (k, bytes) => {
    const at = k.allocate(bytes, k.caller, 64);
    return at === 0 ? noneFor(k, ERRNO.S_memLib_NOT_ENOUGH_MEMORY) : at;
  },
  'STATUS cacheDmaFree(void *at)': (k, at) => (k.pool.free(at) === undefined ? ERROR : OK),
});

const WRITE = 1;

/** Words that several processors change: the old value comes back (vxAtomicLib). */
const change = (k: VxWorks, at: number, next: (old: number) => number): number => {
  const old = k.memory.i32(at);
  k.memory.set32(at, next(old));
  return old;
};

const compareAndSet = (k: VxWorks, at: number, old: number, value: number): number => {
  if (k.memory.i32(at) !== old) return 0;
  k.memory.set32(at, value);
  return 1;
};

export const atomicFunctions = functions({
  'int vxAtomicAdd(int *at, int value)': (k, at, value) => change(k, at, (old) => old + value),
  'int vxAtomicSub(int *at, int value)': (k, at, value) => change(k, at, (old) => old - value),
  'int vxAtomicInc(int *at)': (k, at) => change(k, at, (old) => old + 1),
  'int vxAtomicDec(int *at)': (k, at) => change(k, at, (old) => old - 1),
  'int vxAtomicOr(int *at, int value)': (k, at, value) => change(k, at, (old) => old | value),
  'int vxAtomicAnd(int *at, int value)': (k, at, value) => change(k, at, (old) => old & value),
  'int vxAtomicXor(int *at, int value)': (k, at, value) => change(k, at, (old) => old ^ value),
  'int vxAtomicSet(int *at, int value)': (k, at, value) => change(k, at, () => value),
  'int vxAtomicClear(int *at)': (k, at) => change(k, at, () => 0),
  'int atomic32Add(int *at, int value)': (k, at, value) => change(k, at, (old) => old + value),
  'int atomic32Sub(int *at, int value)': (k, at, value) => change(k, at, (old) => old - value),
  'int atomic32Inc(int *at)': (k, at) => change(k, at, (old) => old + 1),
  'int atomic32Dec(int *at)': (k, at) => change(k, at, (old) => old - 1),
  'int atomic32Or(int *at, int value)': (k, at, value) => change(k, at, (old) => old | value),
  'int atomic32And(int *at, int value)': (k, at, value) => change(k, at, (old) => old & value),
  'int atomic32Xor(int *at, int value)': (k, at, value) => change(k, at, (old) => old ^ value),
  'int atomic32Set(int *at, int value)': (k, at, value) => change(k, at, () => value),
  'int atomic32Clear(int *at)': (k, at) => change(k, at, () => 0),
  'int vxAtomicGet(int *at)': (k, at) => k.memory.i32(at),
  'int atomic32Get(int *at)': (k, at) => k.memory.i32(at),
  'BOOL vxCas(int *at, int old, int value)': compareAndSet,
  'BOOL vxAtomicCas(int *at, int old, int value)': compareAndSet,
  'BOOL atomic32Cas(int *at, int old, int value)': compareAndSet,
});
