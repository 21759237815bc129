/** What the kernel does when machine code goes wrong: a fatal trap and a panic (sys/amd64/amd64/trap.c, kern_shutdown.c). */

import { perKernel } from '../../kernel/kernel.ts';
import { MissingFunctionReached } from '../../kernel/missing.ts';
import type { Fault } from '../../kernel/scheduler.ts';
import { type Thread, ThreadKilled } from '../../kernel/thread.ts';
import { AreaError } from '../../memory/areas.ts';
import { FrameError, OutOfMemory } from '../../memory/frames.ts';
import { type Address, MappingError } from '../../memory/space.ts';
import type { FreeBsd } from './freebsd.ts';
import { HeapMisuse } from './malloc.ts';

/** Trap numbers and texts of sys/x86/include/trap.h by processor vector. */
const TRAPS: Readonly<Record<number, readonly [number, string]>> = {
  0: [18, 'integer divide fault'],
  3: [3, 'breakpoint instruction fault'],
  4: [10, 'overflow trap'],
  5: [20, 'FPU bounds check fault'],
  6: [1, 'privileged instruction fault'],
  13: [9, 'general protection fault'],
  14: [12, 'page fault'],
  19: [29, 'SIMD floating-point exception'],
};
const VECTOR_PAGE_FAULT = 14;

/** A panic ends the system; nothing is loaded or unloaded after it. */
export const panicState = perKernel<{ text: string | undefined }>(() => ({ text: undefined }));

export function judgeFault(k: FreeBsd, thread: Thread, fault: Fault): 'resume' | { kill: ThreadKilled } {
  if (fault.vector === VECTOR_PAGE_FAULT && touchedMissing(k, thread, fault)) return 'resume';
  if (fault.source === 'budget') {
    const why = `${k.describe(fault.at)} runs without an end`;
    return { kill: new ThreadKilled(thread.name, 0, `${why}; a real kernel would hang`) };
  }
  const [number, text] = TRAPS[fault.vector] ?? [30, 'unknown/reserved trap'];
  report(k, thread, fault, number, text);
  return panic(k, thread, text, `${text} at ${k.describe(fault.at)}${detail(fault)}`);
}

/** An access to the data of a symbol that nobody wrote ends the thread, as a call of one does. */
function touchedMissing(k: FreeBsd, thread: Thread, fault: Fault): boolean {
  const name = k.data.missingAtAddress(Number(BigInt.asIntN(64, fault.address)));
  if (name === undefined) return false;
  const where = k.describe(fault.at);
  const entry = k.missing.get(name) ?? { name, callers: new Map<string, number>() };
  k.missing.set(name, entry);
  entry.callers.set(where, (entry.callers.get(where) ?? 0) + 1);
  thread.die({ error: new MissingFunctionReached(thread.name, name, where) });
  return true;
}

const detail = ({ detail: more }: Fault): string => (more === undefined ? '' : `: ${more}`);

/** Prints the panic and says how the thread ends. */
export function panic(
  k: FreeBsd,
  thread: Thread | undefined,
  text: string,
  why = text,
): { kill: ThreadKilled } {
  k.console.flush();
  k.printf(`panic: ${text}\ncpuid = 0\n`);
  k.state(panicState).text = text;
  return { kill: new ThreadKilled(thread?.name ?? 'kernel', 0, `the kernel panicked: ${why}`) };
}

const hex = (value: number | bigint): string => BigInt.asUintN(64, BigInt(value)).toString(16);

/** trap_fatal */
function report(k: FreeBsd, thread: Thread, fault: Fault, number: number, text: string): void {
  const { cpu } = k;
  const lines = ['', '', `Fatal trap ${number}: ${text} while in kernel mode`, 'cpuid = 0; apic id = 00'];
  if (fault.vector === VECTOR_PAGE_FAULT) {
    const { errorCode } = fault;
    const what = (errorCode & 16) !== 0 ? 'instruction' : 'data';
    const access = (errorCode & 2) !== 0 ? 'write' : 'read';
    const reason = (errorCode & 1) !== 0 ? 'protection violation' : 'page not present';
    lines.push(`fault virtual address\t= 0x${hex(fault.address)}`);
    lines.push(`fault code\t\t= supervisor ${access} ${what}, ${reason}`);
  }
  lines.push(`instruction pointer\t= 0x20:0x${hex(fault.at)}`);
  lines.push(`stack pointer\t        = 0x28:0x${hex(cpu.gpr(4))}`);
  lines.push(`frame pointer\t        = 0x28:0x${hex(cpu.gpr(5))}`);
  lines.push('code segment\t\t= base 0x0, limit 0xfffff, type 0x1b');
  lines.push('\t\t\t= DPL 0, pres 1, long 1, def32 0, gran 1');
  lines.push('processor eflags\t= interrupt enabled, resume, IOPL = 0');
  lines.push(`current process\t\t= ${k.threads.pid(thread.control)} (${thread.name})`);
  lines.push(`trap number\t\t= ${number}`);
  k.console.flush();
  k.printf(`${lines.join('\n')}\n`);
}

/** Errors of allocators, tables and conversions that only senseless arguments cause. */
const MISUSES = [FrameError, AreaError, MappingError, RangeError];

export function judgeMisuse(k: FreeBsd, thread: Thread, error: unknown): ThreadKilled | undefined {
  if (error instanceof KernelPanic) return panic(k, thread, error.message).kill;
  if (error instanceof HeapMisuse) {
    // uma_core.c of releases with INVARIANTS off just corrupts its lists; this is what the checks of INVARIANTS say.
    const at = `0x${hex(error.address)}`;
    return panic(k, thread, `free: address ${at}(${at}) has not been allocated.`, `${error.message} (${at})`)
      .kill;
  }
  if (error instanceof OutOfMemory)
    return panic(k, thread, 'kmem_malloc: kmem_map too small', 'guest memory has run out').kill;
  if (!(error instanceof Error) || !MISUSES.some((kind) => error instanceof kind)) return undefined;
  return panic(
    k,
    thread,
    'page fault',
    `a kernel function could not go on with what it was given: ${error.message}`,
  ).kill;
}

/** A kernel function ends the system with a message of its own. */
export class KernelPanic extends Error {}

export function trapInstruction(k: FreeBsd, thread: Thread, vector: number): void {
  const at: Address = k.cpu.rip;
  const fault = { source: 'cpu', vector, errorCode: 0, address: 0n, access: 'execute', at } as const;
  const verdict = judgeFault(k, thread, fault);
  if (verdict !== 'resume') thread.die({ killed: verdict.kill });
}
