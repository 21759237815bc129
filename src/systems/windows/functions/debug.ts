/** Debug output, breakpoints and bug checks. */
import type { VarArgs } from '../../../abi/convention.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import { GuestFault } from '../../../memory/space.ts';
import { BugCode, bugCheck } from '../bugcheck.ts';
import { RaisedStatus } from '../exceptions.ts';
import { format } from '../format.ts';
import { Status } from '../status.ts';
import type { Windows } from '../windows.ts';
import { kernelFunctions } from './define.ts';

const LEVEL_INFO = 6;
const line = perKernel(() => ({ text: '' }));
/** DbgPrint shows the first 512 bytes (DbgPrint, WDK reference). */
const MAX_BYTES = 512;

/** Text without a line end waits for the rest of its line. */
function print(k: Windows, text: string): number {
  const lines = (k.state(line).text + text.slice(0, MAX_BYTES)).split('\n');
  k.state(line).text = lines.pop() ?? '';
  for (const one of lines) k.log.write(LEVEL_INFO, one.replace(/\r$/, ''));
  return Status.SUCCESS;
}

/** Component filters of DbgPrintEx: without a debugger's masks, errors (level 0) and DPFLTR_IHVDRIVER... are shown. */
function printArgs(k: Windows, at: number, args: VarArgs): number {
  try {
    return print(k, format(k, k.memory.cstring(at), args));
  } catch (error) {
    // Text that cannot be read is not shown, and no more: the kernel formats it in a __try of its own.
    if (error instanceof GuestFault) return Status.ACCESS_VIOLATION;
    throw error;
  }
}

export const debugFunctions = kernelFunctions({
  'ULONG DbgPrint(const char *Format, ...)': (k, at, args) => printArgs(k, at, args),
  'ULONG DbgPrintEx(ULONG ComponentId, ULONG Level, const char *Format, ...)': (
    k,
    _component,
    _level,
    at,
    args,
  ) => printArgs(k, at, args),
  'ULONG vDbgPrintEx(ULONG ComponentId, ULONG Level, const char *Format, va_list list)': (
    k,
    _component,
    _level,
    at,
    args,
  ) => printArgs(k, at, args),
  'ULONG vDbgPrintExWithPrefix(const char *Prefix, ULONG ComponentId, ULONG Level, const char *Format, va_list list)':
    (k, prefix, _component, _level, at, args) =>
      print(k, k.memory.cstring(prefix) + format(k, k.memory.cstring(at), args)),
  'ULONG DbgPrintReturnControlC(const char *Format, ...)': (k, at, args) => printArgs(k, at, args),
  'void DbgBreakPoint(void)': () => {
    throw new RaisedStatus(Status.BREAKPOINT, [0n]);
  },
  'void DbgBreakPointWithStatus(ULONG status)': (_k, status) => {
    throw new RaisedStatus(Status.BREAKPOINT, [BigInt(status)]);
  },
  'NTSTATUS DbgQueryDebugFilterState(ULONG ComponentId, ULONG Level)': (_k, _component, level) =>
    level === 0 ? 1 : 0,
  'void KeBugCheck(ULONG BugCheckCode)': (k, code) => bugCheck(k, code, []),
  'void KeBugCheckEx(ULONG Code, ULONG_PTR p1, ULONG_PTR p2, ULONG_PTR p3, ULONG_PTR p4)': (
    k,
    code,
    a,
    b,
    c,
    d,
  ) => bugCheck(k, code, [a, b, c, d]),
  'void RtlAssert(PVOID assertion, PVOID file, ULONG line, const char *message)': (
    k,
    assertion,
    file,
    line,
  ) => {
    print(
      k,
      `\n*** Assertion failed: ${k.memory.cstring(assertion)}\n***   Source File: ${k.memory.cstring(file)}, line ${line}\n\n`,
    );
    throw new RaisedStatus(Status.BREAKPOINT, [0n]);
  },
  'NTSTATUS KdDisableDebugger(void)': () => Status.ACCESS_DENIED,
  'NTSTATUS KdEnableDebugger(void)': () => Status.ACCESS_DENIED,
  'BOOLEAN KdRefreshDebuggerNotPresent(void)': () => 1,
  'void ExRaiseStatus(NTSTATUS status)': (_k, status) => {
    throw new RaisedStatus(status);
  },
  'void RtlRaiseStatus(NTSTATUS status)': (_k, status) => {
    throw new RaisedStatus(status);
  },
  /** EXCEPTION_RECORD: code, flags, record, address, count, parameters. */
  'void RtlRaiseException(PVOID record)': (k, record) => {
    const count = Math.min(15, k.memory.u32(record + 8 + 2 * k.word));
    const first = record + 8 + 3 * k.word;
    throw new RaisedStatus(
      k.memory.u32(record) | 0,
      Array.from({ length: count }, (_, i) => BigInt(k.memory.ptr(first + i * k.word))),
    );
  },
  'void ExRaiseAccessViolation(void)': () => {
    throw new RaisedStatus(Status.ACCESS_VIOLATION);
  },
  'void ExRaiseDatatypeMisalignment(void)': () => {
    throw new RaisedStatus(Status.DATATYPE_MISALIGNMENT);
  },
  'void __report_rangecheckfailure(void)': (k) =>
    bugCheck(k, BugCode.KERNEL_SECURITY_CHECK_FAILURE, [8, 0, 0, 0]),
});
