/** What the kernel does when its code goes wrong: a panic with the trap's own words (i86pc/os/trap.c, common/os/panic.c). */
import type { Fault } from '../../kernel/scheduler.ts';
import { type Thread, ThreadKilled } from '../../kernel/thread.ts';
import { AreaError } from '../../memory/areas.ts';
import { FrameError, OutOfMemory } from '../../memory/frames.ts';
import { MappingError } from '../../memory/space.ts';
import { HeapMisuse } from './heap.ts';
import type { Solaris } from './solaris.ts';

/** Names of traps by processor vector. */
const TRAPS: Readonly<Record<number, string>> = {
  0: '#de Divide error',
  3: '#bp Breakpoint',
  4: '#of Overflow',
  6: '#ud Invalid opcode',
  8: '#df Double fault',
  13: '#gp General protection',
  14: '#pf Page fault',
};

const VECTOR_PAGE_FAULT = 14;
/** An address in the first page is taken for a null pointer with an offset. */
const NULL_END = 4096n;
const MISUSES = [AreaError, FrameError, MappingError, RangeError];

export function judgeFault(k: Solaris, thread: Thread, fault: Fault): 'resume' | { kill: ThreadKilled } {
  if (fault.source === 'budget') {
    const why = `${k.where(fault.at)} runs without an end; a real machine would hang here`;
    return { kill: new ThreadKilled(thread.name, 0, why) };
  }
  const name = TRAPS[fault.vector] ?? `trap ${fault.vector}`;
  const address = fault.address.toString(16);
  const module = k.modules.at(fault.at)?.name ?? 'genunix';
  const page = fault.vector === VECTOR_PAGE_FAULT;
  const addr = page ? ` addr=${address}` : '';
  const reason = page && fault.address < NULL_END ? ' due to a NULL pointer dereference' : '';
  const head = `BAD TRAP: type=${fault.vector.toString(16)} (${name}) rp=${hex(k, k.cpu.gpr(4))}${addr} `;
  const text = `${head}occurred in module "${module}"${reason}`;
  const lines = ['', '', `${thread.name}: ${name}`];
  if (page) lines.push(`Bad kernel fault at addr=0x${address}`);
  lines.push(
    `pid=0, pc=0x${hex(k, fault.at)}, sp=0x${hex(k, k.cpu.gpr(4))}, eflags=0x${Number(k.cpu.rflags).toString(16)}`,
  );
  lines.push('', `${hex(k, k.cpu.gpr(5))} ${k.where(fault.at)} ()`);
  const why = fault.detail === undefined ? '' : `: ${fault.detail}`;
  return { kill: panic(k, text, lines, `${name} in ${k.where(fault.at)}${why}`) };
}

const hex = (k: Solaris, value: number): string => BigInt.asUintN(k.bits, BigInt(value)).toString(16);

/** The machine goes down: the panic's own lines, and how the thread that caused it ends. */
export function panic(k: Solaris, text: string, more: readonly string[] = [], why = text): ThreadKilled {
  k.log.write(0, `panic[cpu0]/thread=${hex(k, k.curthread)}: `);
  for (const line of [text, ...more]) k.log.write(0, line);
  k.panicked ??= why;
  return new ThreadKilled(k.scheduler.current?.name ?? 'kernel', 0, `the kernel panicked: ${why}`);
}

/** How a thread ends whose kernel function threw `error`; undefined when that is no doing of the guest. */
export function judgeMisuse(k: Solaris, _thread: Thread, error: unknown): ThreadKilled | undefined {
  if (error instanceof HeapMisuse) {
    k.log.write(4, `kernel memory allocator: ${error.message}`);
    return panic(k, 'kernel heap corruption detected', [], error.message);
  }
  if (error instanceof OutOfMemory) return panic(k, 'out of memory', [], error.message);
  if (!(error instanceof Error) || !MISUSES.some((kind) => error instanceof kind)) return undefined;
  return panic(k, error.message);
}

/** int n executed by kernel code. */
export function trapInstruction(k: Solaris, thread: Thread, vector: number): void {
  const verdict = judgeFault(k, thread, {
    source: 'cpu',
    vector,
    errorCode: 0,
    address: 0n,
    access: 'execute',
    at: k.cpu.rip,
  });
  if (verdict !== 'resume') thread.die({ killed: verdict.kill });
}
