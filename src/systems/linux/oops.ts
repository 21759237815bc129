/**
 * The text of an oops or warning, line for line as arch/x86/kernel/dumpstack.c, process_64.c and mm/fault.c
 * print it on a kernel with Debian's configuration. Lines that describe hardware the base kernel does not
 * have (CR3, page table walk) carry its own values.
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Fault } from '../../kernel/scheduler.ts';
import { type Address, hexWord } from '../../memory/address.ts';
import { GuestFault } from '../../memory/space.ts';
import { idOf } from './cred.ts';
import type { Linux } from './linux.ts';
import { panicsOnOops } from './panic.ts';
import { modulesLinkedIn, taintText } from './taint.ts';

/** pr_alert, pr_warn and pr_default levels. */
const ALERT = 1;
const WARNING = 4;
const PAGE_FAULT = 14;

/** The user's number, as far as the module has left the credentials readable. */
function currentUid(k: Linux): number {
  try {
    return idOf(k, k.current, '', 'uid');
  } catch (error) {
    if (error instanceof GuestFault) return 0;
    throw error;
  }
}

/** The lines a bad page access begins with (show_fault_oops). */
export function reportHead(k: Linux, fault: Fault): void {
  const at = hexWord(fault.address, k.word);
  if (fault.access === 'execute' && (fault.errorCode & 1) === 1) {
    k.printk(2, `kernel tried to execute NX-protected page - exploit attempt? (uid: ${currentUid(k)})`);
  }
  if (fault.address < 4096n) k.printk(ALERT, `BUG: kernel NULL pointer dereference, address: ${at}`);
  else k.printk(ALERT, `BUG: unable to handle page fault for address: ${at}`);
  const access = { read: 'read access', write: 'write access', execute: 'instruction fetch' }[fault.access];
  k.printk(ALERT, `#PF: supervisor ${access} in kernel mode`);
  const fetch = fault.access === 'execute' ? 0x10 : 0;
  const code = (fault.errorCode | fetch).toString(16).padStart(4, '0');
  const why = (fault.errorCode & 1) === 1 ? 'permissions violation' : 'not-present page';
  k.printk(ALERT, `#PF: error_code(0x${code}) - ${why}`);
  k.printk(6, k.word === 8 ? 'PGD 0 P4D 0 ' : '*pdpt = 0000000000000000 *pde = 0000000000000000 ');
}

/** The oops proper: `what` is "Oops", "divide error", "invalid opcode"... */
export function oops(k: Linux, fault: Fault, what: string): void {
  const counter = k.state(oopsCounter);
  counter.count++;
  const code = (fault.errorCode & 0xffff).toString(16).padStart(4, '0');
  k.printk(WARNING, `${what}: ${code} [#${counter.count}] PREEMPT SMP NOPTI`);
  registersAndTrace(k, fault, WARNING, false);
  if (fault.vector === PAGE_FAULT) k.printk(WARNING, `CR2: ${hexWord(fault.address, k.word)}`);
  k.printk(WARNING, '---[ end trace 0000000000000000 ]---');
  // The registers of the first oops may have scrolled away: they are shown again (oops_end, exec_summary_regs).
  counter.first ??= registerLines(k, fault);
  for (const line of counter.first) k.printk(WARNING, line);
  // A page fault comes with interrupts off; other traps turn them on again before they report.
  if (fault.vector === PAGE_FAULT && !panicsOnOops(k)) {
    k.printk(6, `note: ${k.tasks.comm(k.current)}[${k.tasks.pid(k.current)}] exited with irqs disabled`);
  }
}

const oopsCounter = perKernel<{ count: number; first?: string[] }>(() => ({ count: 0 }));

/** CPU line, RIP, code bytes, registers, call trace and module list. */
export function registersAndTrace(k: Linux, fault: Fault, level: number, warning: boolean): void {
  if (warning) k.printk(level, `Modules linked in:${modulesLinkedIn(k)}`);
  k.printk(level, whoLine(k));
  k.printk(level, 'Hardware name: lkm base kernel');
  showRegisters(k, fault, level);
  k.printk(level, 'Call Trace:');
  k.printk(level, ' <TASK>');
  for (const line of callTrace(k)) k.printk(level, ` ${line}`);
  k.printk(level, ' </TASK>');
  if (!warning) k.printk(level, `Modules linked in:${modulesLinkedIn(k)}`);
}

function showRegisters(k: Linux, fault: Fault, level: number): void {
  for (const line of registerLines(k, fault)) k.printk(level, line);
}

/** Which task runs, how the kernel is tainted, and which build it is (dump_stack_print_info). */
export function whoLine(k: Linux): string {
  const task = k.current;
  return `CPU: 0 PID: ${k.tasks.pid(task)} Comm: ${k.tasks.comm(task)} ${taintText(k)} ${k.file.release} ${versionText(k)}`;
}

/** The build's number, and what Debian adds to it, out of the version banner (dump_stack_print_info). */
function versionText(k: Linux): string {
  const number = k.file.banner.match(/#\d+/)?.[0] ?? '#1';
  const debian = k.file.banner.match(/Debian \S+$|Debian \d\S+(?= \()/)?.[0];
  return debian === undefined ? number : `${number}  ${debian}`;
}

/** 42 bytes before the instruction, the instruction's first byte in angle brackets, 21 after (show_opcodes). */
function codeBytes(k: Linux, at: Address): string {
  const bytes: string[] = [];
  for (let i = -42; i < 22; i++) {
    try {
      const byte = k.memory
        .u8(at + i)
        .toString(16)
        .padStart(2, '0');
      bytes.push(i === 0 ? `<${byte}>` : byte);
    } catch {
      return (
        `Unable to access opcode bytes at ${k.word === 8 ? 'RIP' : 'EIP'} 0x` +
        BigInt.asUintN(64, BigInt(at - 42)).toString(16) +
        '.'
      );
    }
  }
  return `Code: ${bytes.join(' ')}`;
}

const ROWS: readonly (readonly [string, number][])[] = [
  [
    ['RAX', 0],
    ['RBX', 3],
    ['RCX', 1],
  ],
  [
    ['RDX', 2],
    ['RSI', 6],
    ['RDI', 7],
  ],
  [
    ['RBP', 5],
    ['R08', 8],
    ['R09', 9],
  ],
  [
    ['R10', 10],
    ['R11', 11],
    ['R12', 12],
  ],
  [
    ['R13', 13],
    ['R14', 14],
    ['R15', 15],
  ],
];

/** As __show_regs of process_32.c has them. */
function registerLines32(k: Linux, fault: Fault): string[] {
  const { cpu } = k;
  const hex = (value: Address | bigint): string => hexWord(value, 4);
  const row = (names: readonly string[], first: readonly number[]): string =>
    names.map((name, i) => `${name}: ${hex(cpu.gpr(first[i]))}`).join(' ');
  const segment = (n: number): string => cpu.segments[n].toString(16).padStart(4, '0');
  return [
    `EIP: ${k.describe(fault.at)}`,
    codeBytes(k, fault.at),
    row(['EAX', 'EBX', 'ECX', 'EDX'], [0, 3, 1, 2]),
    row(['ESI', 'EDI', 'EBP', 'ESP'], [6, 7, 5, 4]),
    `DS: ${segment(3)} ES: ${segment(0)} FS: ${segment(4)} GS: ${segment(5)} SS: ${segment(2)} EFLAGS: ${hex(cpu.rflags)}`,
    `CR0: 80050033 CR2: ${hex(fault.address)} CR3: 00000000 CR4: 000006f0`,
  ];
}

function registerLines(k: Linux, fault: Fault): string[] {
  if (k.word === 4) return registerLines32(k, fault);
  const { cpu } = k;
  const hex = (value: Address | bigint): string => hexWord(value, 8);
  const flags = cpu.rflags.toString(16).padStart(8, '0');
  return [
    `RIP: 0010:${k.describe(fault.at)}`,
    codeBytes(k, fault.at),
    `RSP: 0018:${hex(cpu.gprBig(4))} EFLAGS: ${flags}`,
    ...ROWS.map((row) => row.map(([name, n]) => `${name}: ${hex(cpu.gprBig(n))}`).join(' ')),
    `FS:  ${hex(cpu.fsBase)}(0000) GS:${hex(cpu.gsBase)}(0000) knlGS:0000000000000000`,
    'CS:  0010 DS: 0000 ES: 0000 CR0: 0000000080050033',
    `CR2: ${hex(fault.address)} CR3: 0000000000000000 CR4: 00000000000006f0`,
  ];
}

/** More return addresses than any real trace shows. */
const MAX_TRACE = 32;

/**
 * Return addresses found on the stack: words that point behind a call instruction in a module. The real
 * unwinder reads ORC tables and marks guesses with a question mark; this one has only guesses in modules, and
 * knows the kernel's own functions from the steps that are in progress.
 */
export function callTrace(k: Linux): string[] {
  const thread = k.scheduler.current;
  if (thread === undefined) return [];
  const lines: string[] = [];
  const top = thread.stackBase + thread.stackSize;
  const start = k.cpu.gpr(4);
  for (
    let at = start;
    at >= thread.stackBase && at + k.word <= top && lines.length < MAX_TRACE;
    at += k.word
  ) {
    if (k.memory.permOf(at) === undefined) break;
    const word = k.memory.ptr(at);
    if (k.modules.at(word) !== undefined && followsCall(k, word)) lines.push(k.describeReturn(word));
  }
  for (const frame of [...thread.frames].reverse()) {
    if (frame.kind === 'host') lines.push(frame.name);
  }
  return lines;
}

function followsCall(k: Linux, at: Address): boolean {
  try {
    if (k.memory.u8(at - 5) === 0xe8) return true;
    // call r/m: ff /2, in two to seven bytes.
    return [2, 3, 4, 6, 7].some(
      (n) => k.memory.u8(at - n) === 0xff && ((k.memory.u8(at - n + 1) >> 3) & 7) === 2,
    );
  } catch {
    return false;
  }
}
