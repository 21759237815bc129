/**
 * System calls: the way in from user space, the table, and the switch that newer kernels use instead of it
 * (arch/x86/entry/common.c, arch/x86/entry/syscall_64.c).
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Thread } from '../../kernel/thread.ts';
import { type Address, GuestFault, Perm } from '../../memory/space.ts';
import { idOf } from './cred.ts';
import { Errno } from './errno.ts';
import { kernelFunctions } from './functions/define.ts';
import type { Linux } from './linux.ts';

/** __NR_syscalls of 6.1 is 451 in either table; the rest of the page is the kernel's own padding. */
const TABLE_ENTRIES = 512;

/** One way from user space into the kernel: its numbers, and how they and the arguments come. */
export interface Gate {
  /** What the names of its functions begin with; each takes the registers (ARCH_HAS_SYSCALL_WRAPPER, on i386 since 5.7). */
  readonly prefix: string;
  /** The function with the switch of newer kernels. */
  readonly dispatcher: string;
  /** The system calls that the base kernel serves by itself; every other number is unknown to it. */
  readonly numbers: ReadonlyMap<number, string>;
  /** Arguments in the order of the ABI, as members of pt_regs and as register numbers. */
  readonly fields: readonly string[];
  readonly registers: readonly number[];
}

/** syscall in 64-bit code (arch/x86/entry/syscalls/syscall_64.tbl). */
const X64: Gate = {
  prefix: '__x64_sys_',
  dispatcher: 'x64_sys_call',
  numbers: new Map([
    [24, 'sched_yield'],
    [39, 'getpid'],
    [102, 'getuid'],
    [104, 'getgid'],
    [107, 'geteuid'],
    [108, 'getegid'],
    [175, 'init_module'],
    [176, 'delete_module'],
    [186, 'gettid'],
  ]),
  fields: ['di', 'si', 'dx', 'r10', 'r8', 'r9'],
  registers: [7, 6, 2, 10, 8, 9],
};

/** int 0x80, and all system calls of i386 (syscall_32.tbl): the old numbers of user and group know 16 bits of them. */
const IA32: Gate = {
  prefix: '__ia32_sys_',
  dispatcher: 'ia32_sys_call',
  numbers: new Map([
    [20, 'getpid'],
    [24, 'getuid16'],
    [47, 'getgid16'],
    [49, 'geteuid16'],
    [50, 'getegid16'],
    [128, 'init_module'],
    [129, 'delete_module'],
    [158, 'sched_yield'],
    [199, 'getuid'],
    [200, 'getgid'],
    [201, 'geteuid'],
    [202, 'getegid'],
    [224, 'gettid'],
  ]),
  fields: ['bx', 'cx', 'dx', 'si', 'di', 'bp'],
  registers: [3, 1, 2, 6, 7, 5],
};

/** The gate that programs of the kernel's own width come through. */
export const nativeGate = (k: Linux): Gate => (k.arch.bits === 64 ? X64 : IA32);

const functionOf = (k: Linux, { prefix, numbers }: Gate, number: number): Address =>
  k.addressOf(prefix + (numbers.get(number) ?? 'ni_syscall'));

function* giveWay(): Steps<number> {
  yield { kind: 'yield' };
  return 0;
}

/** high2lowuid (include/linux/highuid.h): what does not fit is nobody. */
const low16 = (id: number): number => (id > 0xffff ? 65534 : id);

export const syscallFunctions = kernelFunctions({
  // The switches of newer kernels: unsigned so that a negative number is merely a large one.
  'long x64_sys_call(const struct pt_regs *regs, unsigned int nr)': function* (k, regs, number) {
    return yield* k.call(functionOf(k, X64, number), regs);
  },
  'long ia32_sys_call(const struct pt_regs *regs, unsigned int nr)': function* (k, regs, number) {
    return yield* k.call(functionOf(k, IA32, number), regs);
  },
  'long __x64_sys_ni_syscall(const struct pt_regs *regs)': () => -Errno.ENOSYS,
  'long __x64_sys_sched_yield(const struct pt_regs *regs)': giveWay,
  'long __ia32_sys_sched_yield(const struct pt_regs *regs)': giveWay,
  'long __x64_sys_getpid(const struct pt_regs *regs)': (k) => k.tasks.pid(k.current),
  'long __x64_sys_gettid(const struct pt_regs *regs)': (k) => k.tasks.pid(k.current),
  'long __x64_sys_getuid(const struct pt_regs *regs)': (k) => idOf(k, k.current, '', 'uid'),
  'long __x64_sys_geteuid(const struct pt_regs *regs)': (k) => idOf(k, k.current, 'e', 'uid'),
  'long __x64_sys_getgid(const struct pt_regs *regs)': (k) => idOf(k, k.current, '', 'gid'),
  'long __x64_sys_getegid(const struct pt_regs *regs)': (k) => idOf(k, k.current, 'e', 'gid'),
  'long __ia32_sys_ni_syscall(const struct pt_regs *regs)': () => -Errno.ENOSYS,
  'long __ia32_sys_getpid(const struct pt_regs *regs)': (k) => k.tasks.pid(k.current),
  'long __ia32_sys_gettid(const struct pt_regs *regs)': (k) => k.tasks.pid(k.current),
  'long __ia32_sys_getuid(const struct pt_regs *regs)': (k) => idOf(k, k.current, '', 'uid'),
  'long __ia32_sys_geteuid(const struct pt_regs *regs)': (k) => idOf(k, k.current, 'e', 'uid'),
  'long __ia32_sys_getgid(const struct pt_regs *regs)': (k) => idOf(k, k.current, '', 'gid'),
  'long __ia32_sys_getegid(const struct pt_regs *regs)': (k) => idOf(k, k.current, 'e', 'gid'),
  'long __ia32_sys_getuid16(const struct pt_regs *regs)': (k) => low16(idOf(k, k.current, '', 'uid')),
  'long __ia32_sys_geteuid16(const struct pt_regs *regs)': (k) => low16(idOf(k, k.current, 'e', 'uid')),
  'long __ia32_sys_getgid16(const struct pt_regs *regs)': (k) => low16(idOf(k, k.current, '', 'gid')),
  'long __ia32_sys_getegid16(const struct pt_regs *regs)': (k) => low16(idOf(k, k.current, 'e', 'gid')),
});

/** The tables that somebody has asked for, by gate. */
const tables = perKernel<Map<Gate, Address>, Linux>(() => new Map());

/**
 * What the symbol table calls the function of a system call, found by its address: one without arguments has a single function
 * under three names (SYSCALL_DEFINE0), and this is the first of them. Other names are given back as they are.
 */
export function kallsymsName(name: string): string {
  const [, call] = /^__(?:x64|ia32)_sys_(\w+)$/.exec(name) ?? [];
  return call !== undefined && WITHOUT_ARGUMENTS.has(call) ? `__do_sys_${call}` : name;
}

const WITHOUT_ARGUMENTS = new Set([
  ...[
    'fork',
    'getegid',
    'geteuid',
    'getgid',
    'getpid',
    'getppid',
    'gettid',
    'getuid',
    'inotify_init',
    'munlockall',
  ],
  ...['ni_syscall', 'pause', 'rt_sigreturn', 'sched_yield', 'setsid', 'sync', 'vfork', 'vhangup'],
]);

/** Entries of the tables that do not lead where the kernel itself lets them lead. */
export function* changedSystemCalls(k: Linux): Generator<{ number: number; target: Address }> {
  for (const [gate, table] of k.state(tables)) {
    for (let number = 0; number < TABLE_ENTRIES; number++) {
      const target = k.memory.ptr(table + number * k.word);
      if (target !== functionOf(k, gate, number)) yield { number, target };
    }
  }
}

/**
 * A gate's table, in read-only pages of its own; made when somebody first asks for it. The native one is sys_call_table
 * (arch/x86/include/asm/syscall.h calls that of i386 so too), and stays for traces where calls do not go through it.
 */
function tableOf(k: Linux, gate: Gate): Address {
  const made = k.state(tables);
  const known = made.get(gate);
  if (known !== undefined) return known;
  const name = gate === nativeGate(k) ? 'sys_call_table' : 'ia32_sys_call_table';
  const at = k.mapPages(k.vmallocArea, 1, Perm.R, name);
  const bytes = new Uint8Array(TABLE_ENTRIES * k.word);
  const view = new DataView(bytes.buffer);
  for (let number = 0; number < TABLE_ENTRIES; number++) {
    const address = functionOf(k, gate, number);
    if (k.word === 8) view.setBigInt64(number * 8, BigInt(address), true);
    else view.setUint32(number * 4, address, true);
  }
  k.memory.poke(at, bytes);
  k.symbols.add(at, bytes.length, undefined, [{ name, address: at, size: bytes.length }]);
  made.set(gate, at);
  return at;
}

/**
 * The address of a name that has to do with system calls: 0 where this kernel has none of that name, undefined for every
 * other name.
 */
export function systemCallSymbol(k: Linux, name: string): Address | undefined {
  const through = callsThroughTable(exactRelease(k));
  if (name === 'sys_call_table') return tableOf(k, nativeGate(k));
  if (name === 'ia32_sys_call_table') return k.arch.bits === 64 && through ? tableOf(k, IA32) : 0;
  if (through && (name === X64.dispatcher || name === IA32.dispatcher)) return 0;
  const foreign = k.arch.bits === 32 && (name === X64.dispatcher || name.startsWith(X64.prefix));
  return foreign ? 0 : undefined;
}

/**
 * Does this kernel still call through the table? The switch of x64_sys_call came as a mitigation (BHI) with
 * 6.9 and was carried back to the stable series in these releases.
 */
export function callsThroughTable(release: string): boolean {
  const [major, minor, patch] = release.split(/[.-]/).map(Number);
  const backported: Record<string, number> = { '5.15': 154, '6.1': 85, '6.6': 26, '6.8': 5 };
  const from = backported[`${major}.${minor}`];
  if (from !== undefined) return patch < from;
  return major < 6 || (major === 6 && minor < 9);
}

/** User code and data segments, so that user_mode(regs) says what it should (arch/x86/include/asm/segment.h). */
function userSegments(k: Linux, gate: Gate): { cs: number; ss: number } {
  if (k.arch.bits === 32) return { cs: 0x73, ss: 0x7b };
  return { cs: gate === X64 ? 0x33 : 0x23, ss: 0x2b };
}

/** Makes a system call as a process would; the result, or a negative errno. */
export function* systemCall(
  k: Linux,
  number: number,
  args: readonly number[],
  gate = nativeGate(k),
): Steps<number> {
  const regs = k.heap.allocateZeroed(k.sizeof('pt_regs'));
  const { cs, ss } = userSegments(k, gate);
  k.write('pt_regs.orig_ax', regs, number);
  k.write('pt_regs.ax', regs, -Errno.ENOSYS);
  k.write('pt_regs.cs', regs, cs);
  k.write('pt_regs.ss', regs, ss);
  k.write('pt_regs.flags', regs, 0x246);
  for (const [i, value] of args.slice(0, 6).entries()) k.write(`pt_regs.${gate.fields[i]}`, regs, value);
  const result = yield* enter(k, gate, number, regs);
  k.heap.free(regs);
  return result;
}

/** do_syscall_x64, do_syscall_32_irqs_on: through the table, or through the switch. */
function enter(k: Linux, gate: Gate, number: number, regs: Address): Steps<number> {
  if (!callsThroughTable(exactRelease(k))) return k.call(k.addressOf(gate.dispatcher), regs, number);
  const known = number >= 0 && number < TABLE_ENTRIES;
  return k.call(known ? k.memory.ptr(tableOf(k, gate) + number * k.word) : functionOf(k, gate, -1), regs);
}

/** Debian's release names the ABI (6.1.0-56); the upstream version stands at the end of the banner, after the compiler's. */
function exactRelease(k: Linux): string {
  return k.file.banner.match(/#\d+ .*Debian (\d+\.\d+\.\d+)/)?.[1] ?? k.file.release;
}

/** syscall and sysenter executed by guest code. */
export function enterSystemCall(k: Linux, thread: Thread): void {
  if (k.arch.bits === 64) enterBy(k, thread, X64, 'entry_SYSCALL_64');
  else enterSysenter(k, thread);
}

const [RAX, RBP] = [0, 5];

/**
 * ebp holds the caller's stack pointer, and what lies there the sixth argument, which it gets back (do_fast_syscall_32, which
 * takes any fault there for a mistake of the caller's).
 */
function enterSysenter(k: Linux, thread: Thread): void {
  const { cpu, memory } = k;
  try {
    cpu.setGpr(RBP, memory.u32(cpu.gprLow(RBP) >>> 0));
    enterBy(k, thread, IA32, 'entry_SYSENTER_32');
  } catch (error) {
    if (!(error instanceof GuestFault)) throw error;
    cpu.setGpr(RAX, -Errno.EFAULT);
  }
}

/** int 0x80 executed by guest code: 32 bits of each register, whatever the code's own width. */
export function enterInt80(k: Linux, thread: Thread): void {
  enterBy(k, thread, IA32, k.arch.bits === 64 ? 'int80_emulation' : 'entry_INT80_32');
}

function enterBy(k: Linux, thread: Thread, gate: Gate, name: string): void {
  const { cpu } = k;
  const value = (register: number): number => (gate === X64 ? cpu.gpr(register) : cpu.gprLow(register) >>> 0);
  // The number is an int: above the largest it is a negative one.
  const steps = systemCall(k, cpu.gprLow(0), gate.registers.map(value), gate);
  k.scheduler.complete(thread, name, steps, (result) => {
    cpu.setGpr(0, Number(result));
  });
}
