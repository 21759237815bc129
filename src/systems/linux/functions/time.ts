/** Clocks, conversions and busy delays: virtual time in the kernel's units. */
import type { Address } from '../../../memory/space.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { HZ, jiffies, NS_PER_JIFFY, showJiffies, unwrapped, wallClock } from './clock.ts';
import { kernelFunctions } from './define.ts';
import { pokePointer } from './thunks.ts';

const NS = 1_000_000_000n;
/** MAX_JIFFY_OFFSET: (LONG_MAX >> 1) - 1. */
const maxJiffies = (k: Linux): number => (k.word === 8 ? 2 ** 62 - 1 : 2 ** 30 - 2);
/** TSC kHz of the 1 GHz machine that virtual time makes. */
const CPU_KHZ = 1_000_000;

const monotonic = (k: Linux): bigint => BigInt(Math.floor(k.time.now()));

function writeTime(k: Linux, at: Address, ns: bigint): void {
  k.memory.setU64(at, ns / NS);
  k.memory.setUlong(at + 8, ns % NS);
}

/** enum tk_offsets: real time, boot time, TAI. */
function withOffset(k: Linux, which: number): bigint {
  return which === 1 ? monotonic(k) : wallClock(k);
}

/** A delay keeps the CPU busy: time passes, nothing else runs. */
function delay(k: Linux, ns: number): void {
  k.time.skip(Math.max(0, ns));
}

/** loops_per_jiffy of the 1 GHz machine. */
const LOOPS_PER_JIFFY = (CPU_KHZ * 1000) / HZ;

export const timeFunctions = kernelFunctions({
  'ktime_t ktime_get(void)': (k) => monotonic(k),
  // Not exported: hrtimer bases of the real-time clock point at it.
  'ktime_t ktime_get_real(void)': (k) => wallClock(k),
  'ktime_t ktime_get_raw(void)': (k) => monotonic(k),
  'ktime_t ktime_get_with_offset(enum tk_offsets offs)': (k, which) => withOffset(k, which),
  'ktime_t ktime_get_coarse_with_offset(enum tk_offsets offs)': (k, which) => withOffset(k, which),
  'ktime_t ktime_mono_to_any(ktime_t tmono, enum tk_offsets offs)': (k, time, which) =>
    time + withOffset(k, which) - monotonic(k),
  'u64 ktime_get_mono_fast_ns(void)': (k) => monotonic(k),
  'u64 ktime_get_raw_fast_ns(void)': (k) => monotonic(k),
  'u64 ktime_get_boot_fast_ns(void)': (k) => monotonic(k),
  'u64 ktime_get_real_fast_ns(void)': (k) => wallClock(k),
  'u64 ktime_get_tai_fast_ns(void)': (k) => wallClock(k),
  'u32 ktime_get_resolution_ns(void)': () => 1,
  'time64_t ktime_get_seconds(void)': (k) => Number(monotonic(k) / NS),
  'time64_t ktime_get_real_seconds(void)': (k) => Number(wallClock(k) / NS),
  'void ktime_get_ts64(struct timespec64 *ts)': (k, ts) => writeTime(k, ts, monotonic(k)),
  'void ktime_get_raw_ts64(struct timespec64 *ts)': (k, ts) => writeTime(k, ts, monotonic(k)),
  'void ktime_get_coarse_ts64(struct timespec64 *ts)': (k, ts) => writeTime(k, ts, monotonic(k)),
  'void ktime_get_real_ts64(struct timespec64 *tv)': (k, ts) => writeTime(k, ts, wallClock(k)),
  'void ktime_get_coarse_real_ts64(struct timespec64 *ts)': (k, ts) => writeTime(k, ts, wallClock(k)),
  'void getboottime64(struct timespec64 *ts)': (k, ts) => writeTime(k, ts, wallClock(k) - monotonic(k)),
  'ktime_t ktime_add_safe(const ktime_t lhs, const ktime_t rhs)': (_k, a, b) => {
    const sum = a + b;
    return sum < 0n || sum >= 1n << 63n ? (1n << 63n) - 1n : sum;
  },
  'unsigned long long sched_clock(void)': (k) => monotonic(k),
  'u64 sched_clock_cpu(int cpu)': (k) => monotonic(k),
  'void __udelay(unsigned long usecs)': (k, us) => delay(k, us * 1000),
  'void __ndelay(unsigned long nsecs)': (k, ns) => delay(k, ns),
  'void __delay(unsigned long loops)': (k, loops) => delay(k, loops),
  // udelay(c) with a constant passes c * 2^32 / 10^6 (arch/x86/include/asm/delay.h).
  'void __const_udelay(unsigned long xloops)': (k, loops) => delay(k, Math.round((loops * 1e9) / 2 ** 32)),
});

/** Sleeping in hrtimer units has its own file; these only reckon. */
export const timeConversions = kernelFunctions({
  'unsigned int jiffies_to_msecs(const unsigned long j)': (_k, j) => (j * 1000) / HZ,
  'unsigned int jiffies_to_usecs(const unsigned long j)': (_k, j) => (j * 1_000_000) / HZ,
  'u64 jiffies64_to_nsecs(u64 j)': (_k, j) => j * BigInt(NS_PER_JIFFY),
  'u64 jiffies64_to_msecs(u64 j)': (_k, j) => (j * 1000n) / BigInt(HZ),
  'unsigned long __msecs_to_jiffies(const unsigned int m)': (k, ms) =>
    (ms | 0) < 0 ? maxJiffies(k) : Math.ceil((ms * HZ) / 1000),
  'unsigned long __usecs_to_jiffies(const unsigned int u)': (_k, us) => Math.ceil((us * HZ) / 1_000_000),
  'unsigned long nsecs_to_jiffies(u64 n)': (_k, ns) => ns / BigInt(NS_PER_JIFFY),
  'u64 nsecs_to_jiffies64(u64 n)': (_k, ns) => ns / BigInt(NS_PER_JIFFY),
  'clock_t jiffies_to_clock_t(unsigned long x)': (_k, j) => Math.floor((j * 100) / HZ),
  'unsigned long clock_t_to_jiffies(unsigned long x)': (_k, x) => Math.floor((x * HZ) / 100),
  'u64 jiffies_64_to_clock_t(u64 x)': (_k, j) => (j * 100n) / BigInt(HZ),
  'void jiffies_to_timespec64(const unsigned long jiffies, struct timespec64 *value)': (k, j, at) =>
    writeTime(k, at, BigInt(j) * BigInt(NS_PER_JIFFY)),
  'unsigned long timespec64_to_jiffies(const struct timespec64 *value)': (k, at) => {
    const ns = BigInt.asIntN(64, k.memory.u64(at)) * NS + BigInt(k.memory.long(at + 8));
    return (ns + BigInt(NS_PER_JIFFY) - 1n) / BigInt(NS_PER_JIFFY);
  },
  'void set_normalized_timespec64(struct timespec64 *ts, time64_t sec, s64 nsec)': (k, at, seconds, ns) => {
    const total = BigInt(seconds) * NS + ns;
    const rest = ((total % NS) + NS) % NS;
    k.memory.setU64(at, (total - rest) / NS);
    k.memory.setUlong(at + 8, rest);
  },
  'time64_t mktime64(const unsigned int year, const unsigned int mon, const unsigned int day, const unsigned int hour, const unsigned int min, const unsigned int sec)':
    (_k, year, month, day, hour, minute, second) => {
      const date = new Date(0);
      date.setUTCFullYear(year, month - 1, day);
      return Math.floor(date.getTime() / 1000) + hour * 3600 + minute * 60 + second;
    },
  'void time64_to_tm(time64_t totalsecs, int offset, struct tm *result)': (k, seconds, offset, at) =>
    writeCalendar(k, at, seconds + offset),
  'unsigned long round_jiffies(unsigned long j)': (k, j) => roundJiffies(k, j, false),
  'unsigned long round_jiffies_relative(unsigned long j)': (k, j) =>
    roundJiffies(k, j + jiffies(k), false) - jiffies(k),
  'unsigned long round_jiffies_up(unsigned long j)': (k, j) => roundJiffies(k, j, true),
  'unsigned long round_jiffies_up_relative(unsigned long j)': (k, j) =>
    roundJiffies(k, j + jiffies(k), true) - jiffies(k),
});

/** To a whole second: down below a quarter of one, up otherwise; never into the past. */
function roundJiffies(k: Linux, value: number, up: boolean): number {
  const j = unwrapped(k, value);
  const rest = j % HZ;
  const rounded = rest < HZ / 4 && !up ? j - rest : j - rest + HZ;
  return rounded > jiffies(k) ? rounded : j;
}

function writeCalendar(k: Linux, at: Address, seconds: number): void {
  const date = new Date(seconds * 1000);
  const year = date.getUTCFullYear();
  const dayOfYear = Math.floor(
    (Date.UTC(year, date.getUTCMonth(), date.getUTCDate()) - Date.UTC(year, 0, 1)) / 86_400_000,
  );
  const fields: [string, number][] = [
    ['tm_sec', date.getUTCSeconds()],
    ['tm_min', date.getUTCMinutes()],
    ['tm_hour', date.getUTCHours()],
    ['tm_mday', date.getUTCDate()],
    ['tm_mon', date.getUTCMonth()],
    ['tm_year', year - 1900],
    ['tm_wday', date.getUTCDay()],
    ['tm_yday', dayOfYear],
  ];
  for (const [name, value] of fields) k.write(`tm.${name}`, at, value);
}

const showing = (symbol: string): DataInitialiser => ({
  symbol,
  when: 'import',
  fill: (k, at) => showJiffies(k, at),
});

const word = (symbol: string, value: number): DataInitialiser => ({
  symbol,
  when: 'import',
  fill: (k, at) => pokePointer(k, at, value),
});

export const timeData: readonly DataInitialiser[] = [
  // jiffies and jiffies_64 are one variable under two names.
  showing('jiffies'),
  showing('jiffies_64'),
  word('loops_per_jiffy', LOOPS_PER_JIFFY),
  {
    symbol: 'cpu_khz',
    when: 'import',
    fill: (k, at) => k.memory.poke(at, new Uint8Array(Int32Array.of(CPU_KHZ).buffer)),
  },
  {
    symbol: 'tsc_khz',
    when: 'import',
    fill: (k, at) => k.memory.poke(at, new Uint8Array(Int32Array.of(CPU_KHZ).buffer)),
  },
  {
    symbol: 'hrtimer_resolution',
    when: 'import',
    fill: (k, at) => k.memory.poke(at, Uint8Array.of(1, 0, 0, 0)),
  },
];
