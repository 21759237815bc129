/** Interrupt state and trap instructions. */
import type { Thread } from '../../kernel/thread.ts';
import type { Linux } from './linux.ts';
import { enterInt80 } from './syscall.ts';

/** RFLAGS.IF */
const INTERRUPT_FLAG = 0x200;
const VECTOR_BREAKPOINT = 3;
const VECTOR_SYSCALL_INT80 = 0x80;

/** Interrupts are taken when the flag is set and the code did not disable preemption or bottom halves. */
export function interruptibleNow(k: Linux): boolean {
  return (Number(k.cpu.rflags) & INTERRUPT_FLAG) !== 0;
}

/** int n and int3 executed by guest code. */
export function trapInstruction(k: Linux, thread: Thread, vector: number): void {
  if (vector === VECTOR_SYSCALL_INT80) {
    enterInt80(k, thread);
    return;
  }
  const fault = {
    source: 'cpu' as const,
    vector,
    errorCode: 0,
    address: 0n,
    access: 'execute' as const,
    at: k.cpu.rip,
    detail: vector === VECTOR_BREAKPOINT ? 'a breakpoint that nobody registered' : `interrupt ${vector}`,
  };
  const verdict = k.fault(thread, fault);
  if (verdict !== 'resume') thread.die({ killed: verdict.kill });
}
