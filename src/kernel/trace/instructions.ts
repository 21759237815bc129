/** A trace of instructions: where each is, its text, and the symbol of the address it names. */
import type { Kernel } from '../kernel.ts';
import { pointerText } from './values.ts';

/** The longest instruction of any machine here. */
const LONGEST = 16;
const THREAD_COLUMN = 14;
const PLACE_COLUMN = 36;

/** Tells every instruction before it runs, until the function returned is called. */
export function traceInstructions(k: Kernel, line: (text: string) => void): () => void {
  k.cpu.trace = ({ rip }) => {
    // A kernel function's address holds no code of its own.
    if (k.boundName(rip) !== undefined) return;
    const thread = k.scheduler.current;
    const who = thread === undefined ? '' : `${thread.name}:${thread.id}`;
    const place = pointerText(k, rip);
    const { text, target } = k.translator.inspect(k.memory.peek(rip, LONGEST), rip);
    const near = target === undefined ? undefined : k.nearest(target);
    const names = near === undefined ? '' : `  # ${pointerText(k, target ?? 0)}`;
    line(`${who.padEnd(THREAD_COLUMN)} ${place.padEnd(PLACE_COLUMN)} ${text}${names}`);
  };
  return () => {
    k.cpu.trace = undefined;
  };
}
