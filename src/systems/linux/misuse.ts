/**
 * Kernel functions that cannot go on: memory has run out, or they were handed what a real kernel would trust and go
 * astray with. The guest gets a report of the kernel's kind; nothing of it is an error of the base kernel.
 */
import type { Fault } from '../../kernel/scheduler.ts';
import { type Thread, ThreadKilled } from '../../kernel/thread.ts';
import { AreaError } from '../../memory/areas.ts';
import { FrameError, OutOfMemory } from '../../memory/frames.ts';
import { MappingError } from '../../memory/space.ts';
import { HeapMisuse } from './heap.ts';
import type { Linux } from './linux.ts';
import { PageMisuse } from './pages.ts';

/** Errors of allocators, tables and conversions that only senseless arguments cause. */
const MISUSES = [HeapMisuse, PageMisuse, FrameError, AreaError, MappingError, RangeError];
const VECTOR_INVALID_OPCODE = 6;
const SIGKILL = 9;

/** How a thread ends whose kernel function threw `error`; undefined when that is no doing of the guest. */
export function judgeMisuse(k: Linux, thread: Thread, error: unknown): ThreadKilled | undefined {
  if (error instanceof OutOfMemory) return outOfMemory(k, thread, error);
  if (!(error instanceof Error) || !MISUSES.some((kind) => error instanceof kind)) return undefined;
  const fault: Fault = {
    source: 'host',
    vector: VECTOR_INVALID_OPCODE,
    errorCode: 0,
    address: 0n,
    access: 'read',
    at: k.cpu.rip,
    detail: `the kernel function could not go on with what it was given: ${error.message}`,
  };
  const verdict = k.fault(thread, fault);
  return verdict === 'resume' ? new ThreadKilled(thread.name, SIGKILL, error.message) : verdict.kill;
}

/** The words of mm/oom_kill.c; the task that asked is the one that goes. */
function outOfMemory(k: Linux, thread: Thread, { order, message }: OutOfMemory): ThreadKilled {
  const comm = k.tasks.comm(k.current);
  k.printk(4, `${comm} invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=${order}, oom_score_adj=0`);
  k.printk(3, `Out of memory: Killed process ${k.tasks.pid(k.current)} (${comm})`);
  return new ThreadKilled(thread.name, SIGKILL, `guest memory has run out: ${message}`);
}
