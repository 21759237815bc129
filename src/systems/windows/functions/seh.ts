/** Exceptions and unwinding as drivers call them. */

import { perKernel } from '../../../kernel/kernel.ts';
import { captureContext, cSpecificHandler, unwindTo } from '../exceptions.ts';
import {
  abnormalTermination,
  captureContext32,
  exceptHandler3,
  localUnwind,
  unwind32,
} from '../exceptions32.ts';
import { callStack, functionAt } from '../unwind.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';

/** An exception record for unwinds without an exception. */
const empty = perKernel((k: Windows) => ({
  record: k.kernelData(k.sizeof('EXCEPTION_RECORD'), 'exception record'),
}));

export const sehFunctions = kernelFunctions({
  'LONG __cdecl _except_handler3(PVOID record, PVOID frame, PVOID context, PVOID dispatcher)': (
    k,
    record,
    frame,
    context,
  ) => exceptHandler3(k, record, frame, context),
  'void __cdecl _local_unwind2(PVOID frame, ULONG level)': (k, frame, level) => localUnwind(k, frame, level),
  'void __cdecl _global_unwind2(PVOID frame)': (k, frame) => unwind32(k, frame, 0),
  'LONG __cdecl _abnormal_termination(void)': (k) => (abnormalTermination(k) ? 1 : 0),
  'void RtlUnwind(PVOID frame, PVOID target, PVOID record, PVOID value)': (
    k,
    frame,
    target,
    record,
    value,
  ) =>
    k.word === 4
      ? unwind32(k, frame, record)
      : unwindTo(
          k,
          frame,
          target,
          record === 0 ? k.state(empty).record : record,
          BigInt.asUintN(64, BigInt(value)),
          undefined,
        ),
  'NTSTATUS __C_specific_handler(PVOID record, PVOID frame, PVOID context, PVOID dispatcher)': (
    k,
    record,
    frame,
    context,
    dispatcher,
  ) => cSpecificHandler(k, record, frame, context, dispatcher),
  'void RtlUnwindEx(PVOID frame, PVOID target, PVOID record, PVOID value, PVOID context, PVOID history)': (
    k,
    frame,
    target,
    record,
    value,
    context,
  ) =>
    unwindTo(
      k,
      frame,
      target,
      record,
      BigInt.asUintN(64, BigInt(value)),
      context === 0 ? undefined : context,
    ),
  'void _local_unwind(PVOID frame, PVOID target)': (k, frame, target) =>
    unwindTo(k, frame, target, k.state(empty).record, 0n, undefined),
  'void RtlCaptureContext(PVOID context)': (k, context) => {
    if (k.word === 8) captureContext(k, context, callerOf(k));
    else captureContext32(k, context);
  },
  'PVOID RtlLookupFunctionEntry(PVOID pc, PVOID *ImageBase, PVOID history)': (k, pc, imageBase) => {
    const image = k.drivers.at(pc);
    const entry = image === undefined ? undefined : functionAt(image, pc - image.base);
    if (image === undefined || entry === undefined) return 0;
    k.memory.setPtr(imageBase, image.base);
    const index = image.functions?.indexOf(entry) ?? 0;
    return image.base + image.pe.directory(3).address + index * 12;
  },
  'PVOID RtlPcToFileHeader(PVOID pc, PVOID *base)': (k, pc, base) => {
    const image = k.drivers.at(pc);
    k.memory.setPtr(base, image?.base ?? 0);
    return image?.base ?? 0;
  },
  'USHORT RtlCaptureStackBackTrace(ULONG skip, ULONG count, PVOID *trace, ULONG *hash)': (
    k,
    skip,
    count,
    trace,
    hash,
  ) => {
    const frames = callStack(k, callerOf(k)).slice(skip, skip + Math.min(count, 64));
    frames.forEach((at, i) => {
      k.memory.setPtr(trace + i * k.word, at);
    });
    if (hash !== 0)
      k.memory.set32(
        hash,
        frames.reduce((sum, at) => (sum + (at | 0)) | 0, 0),
      );
    return frames.length;
  },
});
