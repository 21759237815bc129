/** The time of day and since boot in its many forms (sys/kern/kern_tc.c), and what holds up mounting the root. */
import type { Address } from '../../../memory/space.ts';
import { BOOT_TIME } from '../data.ts';
import type { FreeBsd } from '../freebsd.ts';
import { kernelFunctions } from './define.ts';
import { HZ } from './sleep.ts';

/** Nanoseconds since 1970, and since boot as the kernel counts: it begins at one second. */
const now = (k: FreeBsd): number => BOOT_TIME * 1e9 + k.time.now();
const up = (k: FreeBsd): number => 1e9 + k.time.now();

const seconds = (ns: number): number => Math.floor(ns / 1e9);

/** struct timeval, timespec and bintime: a time_t, and the rest in microseconds, nanoseconds or 2^-64 seconds. */
const timeval = (clock: (k: FreeBsd) => number) => (k: FreeBsd, at: Address) => {
  k.memory.setPtr(at, seconds(clock(k)));
  k.memory.setPtr(at + k.word, Math.floor((clock(k) % 1e9) / 1000));
};
const timespec = (clock: (k: FreeBsd) => number) => (k: FreeBsd, at: Address) => {
  k.memory.setPtr(at, seconds(clock(k)));
  k.memory.setPtr(at + k.word, Math.floor(clock(k) % 1e9));
};
const bintime = (clock: (k: FreeBsd) => number) => (k: FreeBsd, at: Address) => {
  k.memory.setPtr(at, seconds(clock(k)));
  k.memory.setU64(at + k.word, (BigInt(Math.floor(clock(k) % 1e9)) << 64n) / 1000000000n);
};

export const clocks = kernelFunctions({
  'void microtime(void *tvp)': timeval(now),
  'void getmicrotime(void *tvp)': timeval(now),
  'void microuptime(void *tvp)': timeval(up),
  'void getmicrouptime(void *tvp)': timeval(up),
  'void nanotime(void *tsp)': timespec(now),
  'void getnanotime(void *tsp)': timespec(now),
  'void nanouptime(void *tsp)': timespec(up),
  'void getnanouptime(void *tsp)': timespec(up),
  'void vfs_timestamp(void *tsp)': timespec((k) => seconds(now(k)) * 1e9),
  'void bintime(void *bt)': bintime(now),
  'void getbintime(void *bt)': bintime(now),
  'void getboottime(void *tvp)': timeval(() => BOOT_TIME * 1e9),
  'void getboottimebin(void *bt)': bintime(() => BOOT_TIME * 1e9),
  'void binuptime(void *bt)': bintime(up),
  'void getbinuptime(void *bt)': bintime(up),
  /** Counts events of the second that began at `last`, and says whether there were few enough (sys/kern/kern_time.c). */
  'int eventratecheck(void *lasttime, int *cureps, int maxeps)': (k, last, count, most) => {
    const ticks = Math.floor((k.time.now() * HZ) / 1e9);
    const began = k.memory.ptr(last);
    const fresh = began === 0 || ticks - began >= HZ;
    if (fresh) k.memory.setPtr(last, ticks);
    const now = fresh ? 1 : k.memory.i32(count) + 1;
    k.memory.set32(count, now);
    return fresh ? Number(most !== 0) : Number(most < 0 || now <= most);
  },
});

/** The root is mounted before any module is loaded here, so that nobody waits for these (sys/kern/vfs_mountroot.c). */
export const rootHolds = kernelFunctions({
  'void root_mount_hold_token(const char *identifier, void *h)': () => undefined,
  'void *root_mount_hold(const char *identifier)': (k) => k.heap.allocate(64),
  'void root_mount_rel(void *h)': (k, at) => {
    if (k.heap.find(at) !== undefined) k.heap.free(at);
  },
  'int root_mounted(void)': () => 1,
  'unsigned int uma_get_cache_align_mask(void)': () => 63,
});
