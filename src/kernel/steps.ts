/**
 * What a kernel function that waits or calls machine code yields to the scheduler.
 *
 * A plain kernel function returns a value. One that blocks, or that calls back into the guest, is a generator:
 * it yields one of the requests below and is resumed with the answer. Nothing nests on the host stack, so a
 * guest function called from TypeScript can block in the middle of nested calls and go on later.
 */
import type { Address } from '../memory/space.ts';

/** A value handed to or from machine code: a signed number, a 64-bit bigint or a truth value. */
export type GuestValue = number | bigint | boolean;

/** Call the guest function at `address`; answered with its result register as a signed number. */
export interface GuestCall {
  readonly kind: 'call';
  readonly address: Address;
  readonly args: readonly GuestValue[];
  /** The result is 64 bits wide where a word has 32; answered with a signed number. */
  readonly wide?: boolean;
}

/** Sleep until `Thread.wake()` or until virtual time reaches `until` (ns); answered with 1 = woken, 0 = timed out. */
export interface Block {
  readonly kind: 'block';
  /** Virtual nanoseconds since boot; Infinity = no deadline. */
  readonly until: number;
  /** Shown when the thread never wakes. */
  readonly why: string;
}

/** Let other ready threads run; answered with 0. */
export interface YieldCpu {
  readonly kind: 'yield';
}

/** End this thread now, whatever is on its stack. Never answered. */
export interface Exit {
  readonly kind: 'exit';
  readonly code: number;
}

/**
 * The steps have put the frames and registers of their own thread in order (an exception handler far below was chosen): go
 * on with what is on top now. Never answered.
 */
export interface Jump {
  readonly kind: 'jump';
}

export type Request = GuestCall | Block | YieldCpu | Exit | Jump;

/** A computation in steps; resumed with a number after each request. */
export type Steps<T> = Generator<Request, T, number>;

export function* callGuest(address: Address, args: readonly GuestValue[]): Steps<number> {
  return yield { kind: 'call', address, args };
}

export function* block(why: string, until = Number.POSITIVE_INFINITY): Steps<boolean> {
  return (yield { kind: 'block', until, why }) === 1;
}

export function isSteps(value: unknown): value is Steps<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value && 'next' in value;
}
