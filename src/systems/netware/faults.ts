/** An abend: the server says where it happened, and the process that did it is suspended for good. */
import type { Fault } from '../../kernel/scheduler.ts';
import { type Thread, ThreadKilled } from '../../kernel/thread.ts';
import type { NetWare } from './netware.ts';
import { wording } from './wording.ts';

/** Names of processor exceptions, by vector (Intel SDM, volume 3, table 6-1). */
const EXCEPTIONS: ReadonlyMap<number, string> = new Map([
  [0, 'Divide Error Processor Exception'],
  [3, 'Breakpoint Processor Exception'],
  [6, 'Invalid Opcode Processor Exception'],
  [13, 'General Protection Processor Exception'],
  [14, 'Page Fault Processor Exception'],
]);

export function judgeFault(k: NetWare, thread: Thread, fault: Fault): { kill: ThreadKilled } {
  const known = EXCEPTIONS.get(fault.vector) ?? `Processor Exception ${fault.vector}`;
  const what = fault.source === 'budget' ? 'CPU Hog Detected by Timer' : known;
  const code = fault.vector === 13 || fault.vector === 14 ? ` (Error code ${hex8(fault.errorCode)})` : '';
  k.screens.say(wording.abend(k.release, what + code));
  k.screens.say(wording.running(thread.name));
  const module = k.modules.at(fault.at);
  if (module !== undefined)
    k.screens.say(wording.abendPlace(module.name, hex8(fault.at - module.code.address)));
  else k.screens.say(`EIP ${hex8(fault.at)}`);
  return { kill: new ThreadKilled(thread.name, 0, `${what} at ${k.describe(fault.at)}`) };
}

export function hex8(value: number): string {
  return (value >>> 0).toString(16).toUpperCase().padStart(8, '0');
}
