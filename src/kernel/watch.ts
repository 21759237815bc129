/** What those who look at calls are told: kernel functions called by machine code, and machine code called by the kernel. */
import type { Argument } from '../abi/convention.ts';
import type { Prototype } from '../ctypes/prototype.ts';
import type { Address } from '../memory/space.ts';
import type { GuestValue } from './steps.ts';
import type { Thread } from './thread.ts';

/** A kernel function that machine code has just called. */
export interface KernelCall {
  readonly name: string;
  /** Undefined for an entry with register rules of its own. */
  readonly prototype: Prototype | undefined;
  /** The prototype as it was written, which still has the qualifiers; empty without one. */
  readonly text: string;
  /** In the order of the prototype; variable arguments last. Read those through `copy()`. */
  readonly args: readonly Argument[];
  /** The return address. */
  readonly from: Address;
}

export interface CallWatcher {
  called(thread: Thread, call: KernelCall): void;
  /** A call that never returns (its thread ended) is not told. */
  returned(thread: Thread, name: string, value: unknown): void;
  /** The kernel calls machine code. */
  entered(thread: Thread, address: Address, args: readonly GuestValue[]): void;
  /** That machine code came back; `result` is its result register, whether it means anything or not. */
  left(thread: Thread, address: Address, result: number): void;
}
