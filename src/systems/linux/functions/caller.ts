/** Who called a kernel function, and what happens to a caller that broke a rule. */
import type { Fault } from '../../../kernel/scheduler.ts';
import { type Address, toBig } from '../../../memory/address.ts';
import type { Linux } from '../linux.ts';
import { registersAndTrace } from '../oops.ts';
import { TAINT, taintKernel } from '../taint.ts';

/** The return address of the kernel function in progress; 0 when no machine code called it. */
export function callerOf(k: Linux): Address {
  const frames = k.scheduler.current?.frames ?? [];
  return frames.some((frame) => frame.kind === 'guest') ? k.convention.returnAddress(k.cpu) : 0;
}

/** BUG(): the cut line, where in the kernel's source the rule stands, an oops, the end of the task. */
export function kernelBug(k: Linux, place: string): never {
  k.printk(4, '------------[ cut here ]------------');
  k.printk(2, `kernel BUG at ${place}!`);
  return stop(k, { vector: 6, address: 0n });
}

/** What an access through a bad pointer inside a kernel function does. */
export function badAccess(k: Linux, address: Address): never {
  return stop(k, { vector: 14, address: toBig(address) });
}

/** A division by zero inside a kernel function. */
export function divideError(k: Linux): never {
  return stop(k, { vector: 0, address: 0n });
}

function stop(k: Linux, what: Pick<Fault, 'vector' | 'address'>): never {
  const thread = k.scheduler.current;
  if (thread === undefined) throw new Error('the kernel stopped outside of any thread');
  const verdict = k.fault(thread, { ...atCall(k), ...what });
  if (verdict === 'resume') throw new Error('a broken rule was resumed');
  throw verdict.kill;
}

/** WARN(): the report of a broken rule, after which the caller goes on. `at`: where in the kernel's code, unless it was called. */
export function kernelWarning(k: Linux, place: string, text?: string, at: Address = k.cpu.rip): void {
  k.printk(4, '------------[ cut here ]------------');
  if (text !== undefined) k.printk(4, text);
  const pid = k.tasks.pid(k.current);
  k.printk(4, `WARNING: CPU: 0 PID: ${pid} at ${place} ${k.describe(at)}`);
  registersAndTrace(k, { ...atCall(k), at, vector: 6, address: 0n }, 4, true);
  k.printk(4, '---[ end trace 0000000000000000 ]---');
  taintKernel(k, TAINT.WARN);
}

function atCall(k: Linux): Omit<Fault, 'vector' | 'address'> {
  return { source: 'host', errorCode: 0, access: 'read', at: k.cpu.rip };
}
