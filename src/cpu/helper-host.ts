import type { Address } from '../memory/address.ts';
import type { GuestMemory } from '../memory/space.ts';
import type { CpuMachine } from './machine.ts';
import { MXCSR, OP, WATCHED } from './state.ts';

/** What the instructions done in TypeScript see of the processor. */
export interface HelperHost {
  readonly memory: GuestMemory;
  /** All of linear memory. */
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly machine: CpuMachine;
  /** Of an address. */
  readonly bits: 32 | 64;
  readonly segments: Uint16Array;
  readonly retired: number;
  mxcsr: number;
  rip: Address;
  rflags: number;
  cpl: number;
  /** Cuts an address sum to the guest's width. */
  wrap(address: Address): Address;
  gpr(n: number): number;
  setGpr(n: number, value: number): void;
  gprBig(n: number): bigint;
  setGprBig(n: number, value: bigint): void;
  xmm(n: number): Uint8Array;
  condition(condition: number): boolean;
  /** An exception of the current instruction; returned by the helper. */
  raise(vector: number, errorCode?: number, reason?: 'unsupported'): number;
  /** Leaves the interpreter with an exit, or to go on at rip; returned by the helper. */
  leaveWith(exit: number | undefined, own?: number): number;
  setVector(vector: number): void;
  instructionAt(ip: number): Address;
}

/** The fields of the operation that called, and memory as it sees it. */
export interface HelperCall {
  readonly host: HelperHost;
  /** Offset of the operation. */
  readonly ip: number;
  readonly id: number;
  /** Field d: an operand size for most. */
  readonly size: number;
  /** Register numbers. */
  readonly a: number;
  readonly b: number;
  readonly imm: number;
  readonly scale: number;
  /** Field d names bits 8..15 of its register. */
  readonly highByte: boolean;
}

/** Gives what {@link HelperHost.raise} or {@link HelperHost.leaveWith} gave; anything but a number: go on. */
export type HelperFunction = (call: HelperCall) => unknown;

export const Vector = { DE: 0, UD: 6, GP: 13 } as const;

/** Address of the instruction after that of the call. */
export function nextOf({ host, ip }: HelperCall): Address {
  return host.wrap(host.instructionAt(ip) + host.view.getUint8(ip + OP.X));
}

/** MXCSR, for guest code: whoever reads it may look at its flags the next time. */
export function readMxcsr({ view, mxcsr }: HelperHost): number {
  view.setUint32(MXCSR, (view.getUint32(MXCSR, true) | WATCHED) >>> 0, true);
  return mxcsr;
}
