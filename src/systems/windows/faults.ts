/** What the kernel does when machine code, or a kernel function on its behalf, faults. */
import { MAX_INSTRUCTION } from '../../cpu/x86/decode.ts';
import { describeInstruction } from '../../cpu/x86/lift.ts';
import type { Fault } from '../../kernel/scheduler.ts';
import { type Thread, ThreadKilled } from '../../kernel/thread.ts';
import { OutOfMemory } from '../../memory/frames.ts';
import { type Address, Perm } from '../../memory/space.ts';
import { BugCode, stop } from './bugcheck.ts';
import { RaisedStatus, raise } from './exceptions.ts';
import { DISPATCH_LEVEL } from './irql.ts';
import { NoPool } from './objects.ts';
import { Status } from './status.ts';
import { WrongHandle } from './wdf/objects.ts';
import type { Windows } from './windows.ts';

type Verdict = 'resume' | { kill: ThreadKilled };

const Vector = {
  DIVIDE: 0,
  BREAKPOINT: 3,
  OVERFLOW: 4,
  INVALID_OPCODE: 6,
  DOUBLE: 8,
  PROTECTION: 13,
  PAGE: 14,
} as const;
/** `int 29h`: __fastfail. `int 2Ch`: assertion. `int 2Dh`: debug print and breakpoints with arguments. */
const FAST_FAIL = 0x29;
const [RCX, RSP] = [1, 4];
/** Exception information of an access violation: read, write, execute. */
const ACCESS = { read: 0n, write: 1n, execute: 8n } as const;

export function judgeFault(k: Windows, thread: Thread, fault: Fault): Verdict {
  if (k.stopped !== undefined)
    return { kill: new ThreadKilled(thread.name, k.stopped.code, 'the kernel has stopped') };
  if (fault.source === 'budget') return endless(k, thread, fault);
  if (fault.detail === 'unsupported') return { kill: unsupported(k, thread, fault.at) };
  switch (fault.vector) {
    case Vector.PAGE:
      return pageFault(k, thread, fault);
    case Vector.DIVIDE:
      return except(k, thread, fault, Status.INTEGER_DIVIDE_BY_ZERO);
    case Vector.BREAKPOINT:
      return except(k, thread, fault, Status.BREAKPOINT, [0n]);
    case Vector.INVALID_OPCODE:
      return except(k, thread, fault, Status.ILLEGAL_INSTRUCTION);
    case Vector.PROTECTION:
      // The processor does not say which address: Windows reports -1.
      return except(k, thread, fault, Status.ACCESS_VIOLATION, [0n, (1n << 64n) - 1n]);
    case FAST_FAIL:
      return bug(k, BugCode.KERNEL_SECURITY_CHECK_FAILURE, [k.cpu.gpr(RCX), 0, 0, 0], fault.at);
    default:
      return bug(k, BugCode.UNEXPECTED_KERNEL_MODE_TRAP, [fault.vector, 0, 0, 0], fault.at);
  }
}

function bug(k: Windows, code: number, parameters: readonly (number | bigint)[], at: Address): Verdict {
  return { kill: stop(k, code, parameters, at) };
}

function except(
  k: Windows,
  thread: Thread,
  fault: Fault,
  code: number,
  information: readonly bigint[] = [],
): Verdict {
  if (
    k.irql.current >= DISPATCH_LEVEL &&
    code === Status.ACCESS_VIOLATION &&
    information[1] !== (1n << 64n) - 1n
  )
    return irqlFault(k, fault);
  raise(k, thread, { code, address: fault.at, information });
  return 'resume';
}

/** MmAccessFault, as far as drivers meet it: nothing is ever on disk. */
function pageFault(k: Windows, thread: Thread, fault: Fault): Verdict {
  const address =
    k.word === 8 ? Number(BigInt.asIntN(64, fault.address)) : Number(BigInt.asUintN(32, fault.address));
  const at = inKernel(k, fault.at) ? callerOr(k, fault.at) : fault.at;
  const user = address >= 0 && address < k.map.userEnd;
  if (thread.stackBase - 4096 <= address && address < thread.stackBase)
    return bug(k, BugCode.UNEXPECTED_KERNEL_MODE_TRAP, [Vector.DOUBLE, 0, 0, 0], fault.at);
  if (k.irql.current >= DISPATCH_LEVEL) return irqlFault(k, fault);
  if (user) return except(k, thread, fault, Status.ACCESS_VIOLATION, [ACCESS[fault.access], fault.address]);
  if (fault.access === 'execute' && k.drivers.unloadedAt(address) !== undefined) {
    return bug(
      k,
      BugCode.DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS,
      [address, 8, address, 0],
      at,
    );
  }
  const perm = k.memory.permOf(address);
  if (perm !== undefined && fault.access === 'write')
    return bug(k, BugCode.ATTEMPTED_WRITE_TO_READONLY_MEMORY, [address, 0, 0, 0x0b], at);
  if (perm !== undefined && fault.access === 'execute')
    return bug(k, BugCode.ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY, [address, 0, 0, 2], at);
  return bug(k, BugCode.PAGE_FAULT_IN_NONPAGED_AREA, [address, ACCESS[fault.access], fault.at, 0], at);
}

/** Who called the kernel function in progress; code that has lost its stack may have jumped there instead. */
function callerOr(k: Windows, otherwise: Address): Address {
  const stack = k.cpu.gpr(RSP);
  const last = stack + k.word - 1;
  const there = [stack, last].every((at) => ((k.memory.permOf(at) ?? 0) & Perm.R) !== 0);
  return there ? k.convention.returnAddress(k.cpu) : otherwise;
}

const inKernel = (k: Windows, at: Address): boolean => k.drivers.at(at) === undefined;

/** At DISPATCH_LEVEL no page can be brought in: the code is whose address counts. */
function irqlFault(k: Windows, fault: Fault): Verdict {
  const kernel = inKernel(k, fault.at);
  const code =
    fault.access === 'execute' || !kernel
      ? BugCode.DRIVER_IRQL_NOT_LESS_OR_EQUAL
      : BugCode.IRQL_NOT_LESS_OR_EQUAL;
  return bug(k, code, [fault.address, k.irql.current, ACCESS[fault.access], fault.at], fault.at);
}

function endless(k: Windows, thread: Thread, fault: Fault): Verdict {
  if (k.irql.current >= DISPATCH_LEVEL) return bug(k, BugCode.DPC_WATCHDOG_VIOLATION, [1, 0, 0, 0], fault.at);
  const why = `endless loop at ${k.describe(fault.at)}: stopped by the instruction budget`;
  return { kill: new ThreadKilled(thread.name, 0, why) };
}

/** Ours, not the driver's fault: it is called by its name. */
function unsupported(k: Windows, thread: Thread, at: Address): ThreadKilled {
  const bytes: number[] = [];
  while (bytes.length < MAX_INSTRUCTION && ((k.memory.permOf(at + bytes.length) ?? 0) & Perm.R) !== 0)
    bytes.push(k.memory.u8(at + bytes.length));
  const { text } = describeInstruction(Uint8Array.from(bytes), at, k.word === 8 ? 64 : 32);
  return new ThreadKilled(
    thread.name,
    0,
    `the processor does not have the instruction "${text}" at ${k.describe(at)}`,
  );
}

/** A kernel function threw: exceptions that the system raises go to the driver's handlers. */
export function judgeMisuse(k: Windows, thread: Thread, error: unknown): ThreadKilled | 'resume' | undefined {
  if (error instanceof RaisedStatus) {
    raise(k, thread, { code: error.status, address: k.cpu.rip, information: error.information });
    return 'resume';
  }
  if (error instanceof WrongHandle)
    return stop(k, BugCode.WDF_VIOLATION, [5, error.handle, 0, 0], callerOr(k, k.cpu.rip));
  if (error instanceof OutOfMemory || error instanceof NoPool)
    return new ThreadKilled(thread.name, 0, `guest memory has run out: ${error.message}`);
  if (error instanceof RangeError) {
    const at = k.describe(callerOr(k, k.cpu.rip));
    return new ThreadKilled(thread.name, 0, `numbers that make no sense, from ${at}: ${error.message}`);
  }
  return undefined;
}
