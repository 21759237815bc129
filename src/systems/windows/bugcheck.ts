/** Bug checks: the kernel stops, and says why in the words of the debugger and of the blue screen. */
import { ThreadKilled } from '../../kernel/thread.ts';
import type { Address } from '../../memory/space.ts';
import type { Windows } from './windows.ts';

export const BugCode = {
  IRQL_NOT_LESS_OR_EQUAL: 0x0a,
  INVALID_AFFINITY_SET: 0x03,
  INVALID_PROCESS_ATTACH_ATTEMPT: 0x05,
  NO_MORE_IRP_STACK_LOCATIONS: 0x35,
  MULTIPLE_IRP_COMPLETE_REQUESTS: 0x44,
  INCONSISTENT_IRP: 0x2a,
  KMODE_EXCEPTION_NOT_HANDLED: 0x1e,
  SYSTEM_SERVICE_EXCEPTION: 0x3b,
  CANCEL_STATE_IN_COMPLETED_IRP: 0x48,
  PAGE_FAULT_IN_NONPAGED_AREA: 0x50,
  SYSTEM_THREAD_EXCEPTION_NOT_HANDLED: 0x7e,
  UNEXPECTED_KERNEL_MODE_TRAP: 0x7f,
  KERNEL_MODE_EXCEPTION_NOT_HANDLED: 0x8e,
  ATTEMPTED_SWITCH_FROM_DPC: 0xb8,
  ATTEMPTED_WRITE_TO_READONLY_MEMORY: 0xbe,
  BAD_POOL_CALLER: 0xc2,
  DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS: 0xce,
  DRIVER_IRQL_NOT_LESS_OR_EQUAL: 0xd1,
  MANUALLY_INITIATED_CRASH: 0xe2,
  ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY: 0xfc,
  WDF_VIOLATION: 0x10d,
  DPC_WATCHDOG_VIOLATION: 0x133,
  DRIVER_OVERRAN_STACK_BUFFER: 0xf7,
  KERNEL_SECURITY_CHECK_FAILURE: 0x139,
  IRQL_GT_ZERO_AT_SYSTEM_SERVICE: 0x4a,
  MUTEX_LEVEL_NUMBER_VIOLATION: 0x0d,
  THREAD_NOT_MUTEX_OWNER: 0x11,
  SPIN_LOCK_NOT_OWNED: 0x10,
  IRQL_NOT_GREATER_OR_EQUAL: 0x09,
} as const;

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(BugCode).map(([name, code]) => [code, name]),
);

export const bugName = (code: number): string | undefined => NAMES.get(code);

export interface BugCheck {
  readonly code: number;
  readonly name: string | undefined;
  readonly parameters: readonly bigint[];
  /** The driver whose code it happened in, when it is one's. */
  readonly driver: string | undefined;
  readonly stack: readonly string[];
}

/** Stops the kernel. */
export function bugCheck(
  k: Windows,
  code: number,
  parameters: readonly (number | bigint)[],
  at?: Address,
): never {
  throw stop(k, code, parameters, at);
}

/** As `bugCheck`, for callers that must return the killer instead of throwing it. */
export function stop(
  k: Windows,
  code: number,
  parameters: readonly (number | bigint)[],
  at?: Address,
): ThreadKilled {
  const thread = k.scheduler.current?.name ?? 'System';
  if (k.stopped === undefined) {
    const values = [0, 1, 2, 3].map((i) => BigInt.asUintN(k.word * 8, BigInt(parameters[i] ?? 0)));
    const stack = k.backtrace(at);
    const driver = k.culprit(at);
    k.stopped = { code, name: bugName(code), parameters: values, driver, stack };
    report(k, k.stopped);
  }
  return new ThreadKilled(thread, code, `bug check ${hexCode(code)} ${bugName(code) ?? ''}`.trimEnd());
}

const hexCode = (code: number): string => `0x${code.toString(16).toUpperCase()}`;

/** The lines of the blue screen up to Windows 7, and the stack as a debugger would list it. */
function report(k: Windows, { code, name, parameters, driver, stack }: BugCheck): void {
  const digits = k.word * 2;
  const hex = (value: bigint, width: number) => `0x${value.toString(16).toUpperCase().padStart(width, '0')}`;
  const say = (text: string) => k.log.write(0, text);
  if (name !== undefined) say(name);
  say(`*** STOP: ${hex(BigInt(code), 8)} (${parameters.map((value) => hex(value, digits)).join(',')})`);
  if (driver !== undefined) say(`***  ${driver}`);
  for (const line of stack) say(`  ${line}`);
}
