/** The calling process, time, and moving data between it and the kernel. */
import { block, type Steps } from '../../../kernel/steps.ts';
import { guestText, writeGuestText } from '../../../kernel/text/printf.ts';
import { type Address, GuestFault } from '../../../memory/space.ts';
import { ERRNO } from '../errno.ts';
import type { Macos } from '../macos.ts';
import { kernelFunctions } from './define.ts';

const NANOSECONDS = 1_000_000_000;
/** The clock at boot: the seconds that the tour always begins with. */
const EPOCH = 1_000_000_000;
/** The user half of the address space. */
const USER_END = 0x7fffffffffff;

function copyIn(k: Macos, from: Address, to: Address, bytes: number): number {
  if (from < 0 || from + bytes > USER_END) return ERRNO.EFAULT;
  return copy(k, from, to, bytes);
}

function copy(k: Macos, from: Address, to: Address, bytes: number): number {
  try {
    k.memory.copy(to, from, bytes);
    return 0;
  } catch (error) {
    if (error instanceof GuestFault) return ERRNO.EFAULT;
    throw error;
  }
}

function* sleep(k: Macos, ns: number): Steps<void> {
  yield* block('time to pass', k.time.now() + ns);
}

const seconds = (k: Macos): number => EPOCH + Math.floor(k.time.now() / NANOSECONDS);
const fraction = (k: Macos): number => Math.floor(k.time.now() % NANOSECONDS);

/** `proc_t` and `task_t` are opaque to kexts: the pid and the uid are what stands in ours. */
export function procOf(k: Macos): Address {
  const at = k.object('_lkm_current_proc');
  k.memory.set32(at, k.process.pid);
  k.memory.set32(at + 4, k.process.uid);
  return at;
}

export const processes = kernelFunctions({
  'void *current_proc(void)': procOf,
  'int proc_selfpid(void)': (k) => k.process.pid,
  'int proc_pid(void *p)': (k, p) => k.memory.i32(p),
  'void proc_name(int pid, char *to, int size)': (k, pid, to, size) => {
    const name = pid === k.process.pid ? k.process.name : '';
    writeGuestText(k, to, name.slice(0, Math.max(0, size - 1)));
  },
  'void proc_selfname(char *to, int size)': (k, to, size) => {
    writeGuestText(k, to, k.process.name.slice(0, Math.max(0, size - 1)));
  },
  'void *proc_self(void)': procOf,
  'int proc_rele(void *p)': () => 0,
  'int proc_is64bit(void *p)': (k) => (k.word === 8 ? 1 : 0),
  'int proc_suser(void *p)': (k, p) => (k.memory.i32(p + 4) === 0 ? 0 : ERRNO.EPERM),
  'uid_t kauth_getuid(void)': (k) => k.process.uid,
  'int copyin(user_addr_t from, void *to, size_t bytes)': copyIn,
  'int copyout(const void *from, user_addr_t to, size_t bytes)': (k, from, to, bytes) =>
    to < 0 || to + bytes > USER_END ? ERRNO.EFAULT : copy(k, from, to, bytes),
  'int copyinstr(user_addr_t from, void *to, size_t size, size_t *done)': (k, from, to, size, done) => {
    if (from < 0) return ERRNO.EFAULT;
    const text = guestText(k, from, size);
    if (text.length >= size) return ERRNO.ENAMETOOLONG;
    writeGuestText(k, to, text);
    if (done !== 0) k.memory.setPtr(done, text.length + 1);
    return 0;
  },
});

export const clocks = kernelFunctions({
  'void microtime(struct timeval *tv)': (k, tv) => {
    k.write('timeval.tv_sec', tv, seconds(k));
    k.write('timeval.tv_usec', tv, Math.floor(fraction(k) / 1000));
  },
  'void nanotime(struct timespec *ts)': (k, ts) => {
    k.write('timespec.tv_sec', ts, seconds(k));
    k.write('timespec.tv_nsec', ts, fraction(k));
  },
  'uint64_t mach_absolute_time(void)': (k) => BigInt(Math.floor(k.time.now())),
  'void clock_get_uptime(uint64_t *result)': (k, at) => k.memory.setU64(at, BigInt(Math.floor(k.time.now()))),
  // One tick of the clock is one nanosecond here, as on most Intel machines.
  'void absolutetime_to_nanoseconds(uint64_t time, uint64_t *result)': (k, time, at) =>
    k.memory.setU64(at, time),
  'void nanoseconds_to_absolutetime(uint64_t time, uint64_t *result)': (k, time, at) =>
    k.memory.setU64(at, time),
  'void clock_interval_to_deadline(uint32_t interval, uint32_t scale, uint64_t *result)': (
    k,
    interval,
    scale,
    at,
  ) => k.memory.setU64(at, BigInt(Math.floor(k.time.now())) + BigInt(interval) * BigInt(scale)),
  'void clock_interval_to_absolutetime_interval(uint32_t interval, uint32_t scale, uint64_t *result)': (
    k,
    interval,
    scale,
    at,
  ) => k.memory.setU64(at, BigInt(interval) * BigInt(scale)),
  'void clock_get_calendar_microtime(clock_res_t *s, clock_res_t *us)': (k, s, us) => {
    k.memory.set32(s, seconds(k));
    k.memory.set32(us, Math.floor(fraction(k) / 1000));
  },
  'void IOSleep(unsigned int ms)': (k, ms) => sleep(k, ms * 1_000_000),
  'void IODelay(unsigned int us)': (k, us) => sleep(k, us * 1000),
  'void delay(int us)': (k, us) => sleep(k, us * 1000),
  'unsigned int random(void)': (k) => k.random32(),
  'void read_random(void *at, u_int bytes)': (k, at, bytes) => {
    for (let i = 0; i < bytes; i++) k.memory.set8(at + i, k.random32() & 0xff);
  },
});
