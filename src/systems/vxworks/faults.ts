/** What becomes of a task whose machine code stops: a report, and the task is suspended for somebody to look at. */
import type { Fault } from '../../kernel/scheduler.ts';
import { type Thread, ThreadKilled } from '../../kernel/thread.ts';
import type { VxWorks } from './vxworks.ts';
import { hex, wording } from './wording.ts';

/** Names of the processor's exceptions, by vector (Intel SDM, volume 3, table 6-1). */
const EXCEPTIONS: ReadonlyMap<number, string> = new Map([
  [0, 'Divide Error'],
  [1, 'Debug'],
  [3, 'Breakpoint'],
  [4, 'Overflow'],
  [5, 'Bound'],
  [6, 'Invalid Opcode'],
  [7, 'Device Not Available'],
  [8, 'Double Fault'],
  [13, 'General Protection'],
  [14, 'Page Fault'],
  [17, 'Alignment Check'],
]);

export function judgeFault(k: VxWorks, thread: Thread, fault: Fault): { kill: ThreadKilled } {
  const bits = k.spec.pointerBytes * 8;
  const task = k.tasks.of(thread);
  const name =
    fault.source === 'budget'
      ? 'Endless loop'
      : (EXCEPTIONS.get(fault.vector) ?? `Exception ${fault.vector}`);
  k.console.say(wording.exception(name));
  k.console.say(wording.programCounter(hex(fault.at, bits)));
  k.console.say(wording.statusRegister(hex(k.cpu.rflags, 32)));
  if (fault.vector === 14) k.console.say(wording.accessAddress(hex(fault.address, bits)));
  if (task !== undefined) {
    const id = hex(task.id, bits);
    k.console.say(wording.task(id, task.name));
    k.console.say(wording.stopped(id, task.name));
    task.failed = true;
  }
  const why = `${name} at ${k.describe(fault.at)}${fault.detail === undefined ? '' : ` (${fault.detail})`}`;
  return { kill: new ThreadKilled(thread.name, 11, why) };
}
