/**
 * System calls: the way in from user space, the table, and the switch that newer kernels use instead of it
 * (arch/x86/entry/common.c, arch/x86/entry/syscall_64.c).
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Thread } from '../../kernel/thread.ts';
import { type Address, Perm } from '../../memory/space.ts';
import { Errno } from './errno.ts';
import { kernelFunctions } from './functions/define.ts';
import type { Linux } from './linux.ts';

/** __NR_syscalls of 6.1 is 451; the rest of the page is the kernel's own padding. */
const TABLE_ENTRIES = 512;

/** The system calls that the base kernel serves by itself; every other number is unknown to it. */
const NUMBERS: ReadonlyMap<number, string> = new Map([
  [39, '__x64_sys_getpid'],
  [102, '__x64_sys_getuid'],
  [104, '__x64_sys_getgid'],
  [107, '__x64_sys_geteuid'],
  [108, '__x64_sys_getegid'],
  [175, '__x64_sys_init_module'],
  [176, '__x64_sys_delete_module'],
  [186, '__x64_sys_gettid'],
]);

export const syscallFunctions = kernelFunctions({
  // The switch of newer kernels: unsigned so that a negative number is merely a large one.
  'long x64_sys_call(const struct pt_regs *regs, unsigned int nr)': function* (k, regs, number) {
    return yield* k.call(k.addressOf(NUMBERS.get(number) ?? '__x64_sys_ni_syscall'), regs);
  },
  'long __x64_sys_ni_syscall(const struct pt_regs *regs)': () => -Errno.ENOSYS,
  'long __x64_sys_getpid(const struct pt_regs *regs)': (k) => k.tasks.pid(k.current),
  'long __x64_sys_gettid(const struct pt_regs *regs)': (k) => k.tasks.pid(k.current),
  'long __x64_sys_getuid(const struct pt_regs *regs)': (k) => k.tasks.currentCredential.uid,
  'long __x64_sys_geteuid(const struct pt_regs *regs)': (k) => k.tasks.currentCredential.uid,
  'long __x64_sys_getgid(const struct pt_regs *regs)': (k) => k.tasks.currentCredential.gid,
  'long __x64_sys_getegid(const struct pt_regs *regs)': (k) => k.tasks.currentCredential.gid,
});

/** Entries of the table that do not lead where the kernel itself lets them lead. */
export function* changedSystemCalls(k: Linux): Generator<{ number: number; target: Address }> {
  const table = k.symbols.find('sys_call_table');
  if (table === undefined) return;
  for (let number = 0; number < TABLE_ENTRIES; number++) {
    const target = k.memory.ptr(table + number * k.word);
    if (target !== k.addressOf(NUMBERS.get(number) ?? '__x64_sys_ni_syscall')) yield { number, target };
  }
}

/** sys_call_table, in read-only pages of its own; made when somebody first asks for it. */
export const systemCallTable = perKernel<{ at: Address }, Linux>((k) => {
  const at = k.mapPages(k.vmallocArea, 1, Perm.R, 'sys_call_table');
  const bytes = new Uint8Array(TABLE_ENTRIES * 8);
  const view = new DataView(bytes.buffer);
  for (let number = 0; number < TABLE_ENTRIES; number++) {
    view.setBigInt64(number * 8, BigInt(k.addressOf(NUMBERS.get(number) ?? '__x64_sys_ni_syscall')), true);
  }
  k.memory.poke(at, bytes);
  k.symbols.add(at, bytes.length, undefined, [{ name: 'sys_call_table', address: at, size: bytes.length }]);
  return { at };
});

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

/** The numbers a call passes, in the order of the ABI: rdi, rsi, rdx, r10, r8, r9. */
const ARGUMENT_FIELDS = ['di', 'si', 'dx', 'r10', 'r8', 'r9'];

/** Makes a system call as a process would; the result, or a negative errno. */
export function* systemCall(k: Linux, number: number, args: readonly number[]): Steps<number> {
  const regs = k.heap.allocateZeroed(k.sizeof('pt_regs'));
  k.write('pt_regs.orig_ax', regs, number);
  k.write('pt_regs.ax', regs, -Errno.ENOSYS);
  // User code and data segments, so that user_mode(regs) says what it should.
  k.write('pt_regs.cs', regs, 0x33);
  k.write('pt_regs.ss', regs, 0x2b);
  k.write('pt_regs.flags', regs, 0x246);
  for (const [i, value] of args.slice(0, 6).entries()) k.write(`pt_regs.${ARGUMENT_FIELDS[i]}`, regs, value);
  const result = yield* enter(k, number, regs);
  k.heap.free(regs);
  return result;
}

/** do_syscall_x64: through the table, or through the switch. */
function enter(k: Linux, number: number, regs: Address): Steps<number> {
  if (!callsThroughTable(exactRelease(k))) return k.call(k.addressOf('x64_sys_call'), regs, number);
  const known = number >= 0 && number < TABLE_ENTRIES;
  return k.call(
    known ? k.memory.ptr(k.state(systemCallTable).at + number * k.word) : k.addressOf('__x64_sys_ni_syscall'),
    regs,
  );
}

/** Does this kernel have a function of that name of its own? The switch is there only where it is used. */
export function hasSystemCallSwitch(k: Linux): boolean {
  return !callsThroughTable(exactRelease(k));
}

/** Debian's release names the ABI (6.1.0-56); the upstream version stands at the end of the banner. */
function exactRelease(k: Linux): string {
  return k.file.banner.match(/Debian (\d+\.\d+\.\d+)/)?.[1] ?? k.file.release;
}

/** syscall or int 0x80 executed by guest code in user mode; in kernel code it is a mistake. */
export function enterSystemCall(k: Linux, thread: Thread): void {
  const { cpu } = k;
  const number = cpu.gpr(0);
  const args = [7, 6, 2, 10, 8, 9].map((register) => cpu.gpr(register));
  k.scheduler.complete(thread, 'entry_SYSCALL_64', systemCall(k, number, args), (value) => {
    cpu.setGpr(0, Number(value));
  });
}
