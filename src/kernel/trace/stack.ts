/** The logical stack of a thread: machine code and kernel functions as they called each other, innermost first. */
import type { CallFinder, CallFrame } from '../../cpu/ir.ts';
import type { Address } from '../../memory/space.ts';
import type { Kernel } from '../kernel.ts';
import type { Thread } from '../thread.ts';
import { pointerText } from './values.ts';

export interface StackEntry {
  /** 'guest' = machine code, 'kernel' = a kernel function, or a job that the kernel itself began. */
  readonly kind: 'guest' | 'kernel';
  /** Function without offset; the module in brackets. */
  readonly name: string;
  /** Where it is, or will go on; undefined for a kernel function. */
  readonly frame: CallFrame | undefined;
}

/** Deeper recursion is cut. */
const MAX_FRAMES = 256;

/** Reads stacks; keeps what it learns of code between two looks. */
export class StackReader {
  readonly #k: Kernel;
  readonly #finder: CallFinder;
  #generation = -1;

  constructor(k: Kernel) {
    this.#k = k;
    this.#finder = k.translator.callFinder();
  }

  /** The stack of `thread`, whose registers say that it is at `at`. */
  read(thread: Thread, at: CallFrame): StackEntry[] {
    if (this.#generation !== this.#k.symbols.generation) {
      this.#generation = this.#k.symbols.generation;
      this.#finder.forget();
    }
    const entries: StackEntry[] = [];
    let live = at;
    let outside = this.#kernelEntry(thread, live, entries);
    for (const frame of [...thread.frames].reverse()) {
      if (frame.kind === 'guest') {
        live = this.#guest(live, entries);
        live = { ip: frame.mark.instruction, sp: frame.mark.stack, fp: live.fp };
        outside = false;
      } else if (outside) outside = false;
      else entries.push({ kind: 'kernel', name: frame.name, frame: undefined });
    }
    return entries.slice(0, MAX_FRAMES);
  }

  /** A thread that stands at a kernel function's address has just called it; true when that is a frame of its own. */
  #kernelEntry(thread: Thread, at: CallFrame, entries: StackEntry[]): boolean {
    const name = this.#k.boundName(at.ip);
    if (name === undefined) return false;
    entries.push({ kind: 'kernel', name, frame: at });
    return thread.frames.at(-1)?.kind === 'host';
  }

  /** Frames of machine code up to the one that returns to the kernel; the last frame, as its caller left it. */
  #guest(from: CallFrame, entries: StackEntry[]): CallFrame {
    const { returnAddress } = this.#k.scheduler;
    let frame = from;
    for (let n = 0; n < MAX_FRAMES && frame.ip !== returnAddress; n++) {
      const near = this.#k.nearest(n === 0 ? frame.ip : frame.ip - 1);
      if (near === undefined) break;
      if (this.#k.boundName(frame.ip) === undefined)
        entries.push({ kind: 'guest', name: pointerText(this.#k, near.address), frame });
      const caller = this.#finder.caller(this.#peek, near.address, frame);
      if (caller === undefined || caller.sp <= frame.sp) break;
      frame = caller;
    }
    return frame;
  }

  readonly #peek = (address: Address, length: number): Uint8Array => this.#k.memory.peek(address, length);
}

/** Where the processor is now. */
export function liveFrame(k: Kernel): CallFrame {
  const { sp, fp } = k.translator.frameRegisters;
  return { ip: k.cpu.rip, sp: k.cpu.gpr(sp), fp: k.cpu.gpr(fp) };
}
