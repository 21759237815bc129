/**
 * What Linux does when a thread's machine code stops: look for an exception table entry, a WARN or BUG entry,
 * and otherwise write an oops and kill the task (arch/x86/kernel/traps.c, arch/x86/mm/fault.c, lib/bug.c).
 */
import { MAX_INSTRUCTION } from '../../cpu/x86/decode.ts';
import { describeInstruction } from '../../cpu/x86/lift.ts';
import type { Fault } from '../../kernel/scheduler.ts';
import { type Thread, ThreadKilled } from '../../kernel/thread.ts';
import { hexWord } from '../../memory/address.ts';
import { type Address, Perm } from '../../memory/space.ts';
import { addressOfWord } from './errno.ts';
import { type Bug, findBug, searchExceptionTable } from './extable.ts';
import type { Linux } from './linux.ts';
import { oops, registersAndTrace, reportHead } from './oops.ts';
import { panicNow, panicsOnOops } from './panic.ts';
import { lockDebuggingOff, TAINT, taintKernel } from './taint.ts';

const VECTOR_DIVIDE = 0;
const VECTOR_BREAKPOINT = 3;
const VECTOR_INVALID_OPCODE = 6;
const VECTOR_DOUBLE_FAULT = 8;
const VECTOR_GENERAL_PROTECTION = 13;
const VECTOR_PAGE_FAULT = 14;
const VECTOR_MATH_FAULT = 16;
const VECTOR_SIMD_FAULT = 19;

/** Signals the kernel ends an oopsed task with. */
const SIGFPE = 8;
const SIGKILL = 9;
const SIGSEGV = 11;

export type Verdict = 'resume' | { kill: ThreadKilled };

export function judgeFault(k: Linux, thread: Thread, fault: Fault): Verdict {
  if (fault.source === 'budget') return softLockup(k, thread, fault);
  if (fault.source === 'cpu' && searchExceptionTable(k, fault.at, fault)) return 'resume';
  if (fault.vector === VECTOR_INVALID_OPCODE) {
    const bug = findBug(k, fault.at);
    if (bug !== undefined) return bug.warning ? warn(k, fault, bug) : bugOops(k, thread, fault, bug);
  }
  return dieWithOops(k, thread, fault);
}

/** __warn (kernel/panic.c): a report, the first time only where that was asked for; execution goes on after the ud2. */
function warn(k: Linux, fault: Fault, bug: Bug): Verdict {
  if (!bug.repeated) reportWarning(k, fault, bug);
  k.cpu.rip = fault.at + bug.length;
  return 'resume';
}

function reportWarning(k: Linux, fault: Fault, bug: Bug): void {
  if (!bug.noCutHere) k.printk(4, '------------[ cut here ]------------');
  const where = bug.file === undefined ? '' : ` at ${bug.file}:${bug.line}`;
  k.printk(4, `WARNING: CPU: 0 PID: ${k.tasks.pid(k.current)}${where} ${k.describe(fault.at)}`);
  registersAndTrace(k, fault, 4, true);
  k.printk(4, '---[ end trace 0000000000000000 ]---');
  taintKernel(k, bug.taint);
}

function bugOops(k: Linux, thread: Thread, fault: Fault, bug: Bug): Verdict {
  k.printk(4, '------------[ cut here ]------------');
  if (bug.file !== undefined) k.printk(2, `kernel BUG at ${bug.file}:${bug.line}!`);
  return die(k, thread, fault, 'invalid opcode', SIGSEGV);
}

function dieWithOops(k: Linux, thread: Thread, fault: Fault): Verdict {
  switch (fault.vector) {
    case VECTOR_DIVIDE:
      return die(k, thread, fault, 'divide error', SIGSEGV);
    case VECTOR_BREAKPOINT:
      return dieInInterrupt(k, thread, fault, 'int3');
    case VECTOR_INVALID_OPCODE:
      return die(k, thread, fault, 'invalid opcode', SIGSEGV);
    case VECTOR_PAGE_FAULT:
      if (isStackGuard(k, thread, fault)) return stackOverflow(k, thread, fault);
      reportHead(k, fault);
      return die(k, thread, fault, 'Oops', SIGKILL);
    case VECTOR_GENERAL_PROTECTION:
      return die(k, thread, fault, generalProtection(fault), SIGSEGV);
    case VECTOR_DOUBLE_FAULT:
      return dieInInterrupt(k, thread, fault, 'double fault');
    case VECTOR_MATH_FAULT:
      return die(k, thread, fault, 'fpu exception', SIGFPE);
    case VECTOR_SIMD_FAULT:
      return die(k, thread, fault, 'simd exception', SIGFPE);
    default:
      return die(k, thread, fault, `trap ${fault.vector}`, SIGSEGV);
  }
}

/** get_kernel_gp_address (traps.c) names the address when the instruction has one. */
function generalProtection(fault: Fault): string {
  if (fault.address === 0n) return 'general protection fault';
  const address = fault.address.toString(16).padStart(16, '0');
  return `general protection fault, probably for non-canonical address 0x${address}`;
}

function isStackGuard(k: Linux, thread: Thread, fault: Fault): boolean {
  const address = addressOfWord(fault.address, k.word);
  return address < thread.stackBase && address >= thread.stackBase - 4096;
}

/** handle_stack_overflow (arch/x86/kernel/traps.c); on the real machine it arrives as a double fault. */
function stackOverflow(k: Linux, thread: Thread, fault: Fault): Verdict {
  const hex = (n: number | bigint) => hexWord(n, k.word);
  const at = hex(fault.address);
  const end = hex(thread.stackBase + thread.stackSize - 1);
  k.printk(0, `BUG: TASK stack guard page was hit at ${at} (stack is ${hex(thread.stackBase)}..${end})`);
  return dieInInterrupt(
    k,
    thread,
    { ...fault, errorCode: 0, vector: VECTOR_DOUBLE_FAULT },
    'stack guard page',
  );
}

/** Traps that count as interrupts leave nobody to kill: the kernel panics (oops_end). */
function dieInInterrupt(k: Linux, thread: Thread, fault: Fault, what: string): Verdict {
  const verdict = die(k, thread, fault, what, SIGSEGV);
  panicNow(k, 'Fatal exception in interrupt');
  return verdict;
}

function die(k: Linux, thread: Thread, fault: Fault, what: string, signal: number): Verdict {
  lockDebuggingOff(k);
  oops(k, fault, what);
  taintKernel(k, TAINT.DIE);
  if (panicsOnOops(k)) panicNow(k, 'Fatal exception');
  // What the base kernel does for itself, outside of any of its functions that have an address.
  const ours = fault.source === 'host' && fault.at === 0;
  const why = `${what} ${ours ? 'in a function of the kernel' : `at ${k.describe(fault.at)}`}`;
  const detail = detailOf(k, fault);
  return { kill: new ThreadKilled(thread.name, signal, detail === undefined ? why : `${why}: ${detail}`) };
}

/** What the kernel's own words leave out: an instruction that this processor does not have is called by its name. */
function detailOf(k: Linux, fault: Fault): string | undefined {
  if (fault.detail !== 'unsupported') return fault.detail;
  const { text } = describeInstruction(instructionBytes(k, fault.at), fault.at, k.arch.bits);
  return `the processor does not have the instruction "${text}"`;
}

/** The bytes at `at`, fewer than an instruction may have where its mapping ends before. */
function instructionBytes(k: Linux, at: Address): Uint8Array {
  const bytes: number[] = [];
  while (bytes.length < MAX_INSTRUCTION && ((k.memory.permOf(at + bytes.length) ?? 0) & Perm.R) !== 0) {
    bytes.push(k.memory.u8(at + bytes.length));
  }
  return Uint8Array.from(bytes);
}

/** After twice watchdog_thresh it speaks, when it looks next (kernel/watchdog.c). */
const STUCK_SECONDS = 22;

/** The watchdog's words (kernel/watchdog.c); the sandbox then ends the task, which the real kernel does not. */
function softLockup(k: Linux, thread: Thread, fault: Fault): Verdict {
  const pid = k.tasks.pid(k.current);
  // The loop was left long before: until then it would have gone on like that.
  k.time.skip(STUCK_SECONDS * 1e9);
  k.printk(
    0,
    `watchdog: BUG: soft lockup - CPU#0 stuck for ${STUCK_SECONDS}s! [${k.tasks.comm(k.current)}:${pid}]`,
  );
  registersAndTrace(k, fault, 4, true);
  taintKernel(k, TAINT.SOFTLOCKUP);
  const what = fault.detail ?? 'stopped by the instruction budget';
  const why = `endless loop at ${k.describe(fault.at)}: ${what}`;
  return { kill: new ThreadKilled(thread.name, SIGKILL, why) };
}
