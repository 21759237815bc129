/** What both machines share of exceptions: the record, and the end when nobody handles one. */
import type { Address } from '../../memory/space.ts';
import { BugCode, bugCheck } from './bugcheck.ts';
import type { Windows } from './windows.ts';

const signed = (value: bigint): Address => Number(BigInt.asIntN(64, value));

/** EXCEPTION_RECORD.ExceptionFlags. */
export const ExceptionFlag = {
  NONCONTINUABLE: 1,
  UNWINDING: 2,
  EXIT_UNWIND: 4,
  TARGET_UNWIND: 0x20,
} as const;

export interface ExceptionFacts {
  readonly code: number;
  readonly address: Address;
  readonly information: readonly bigint[];
}

export function writeRecord(
  k: Windows,
  at: Address,
  { code, address, information }: ExceptionFacts,
  flags = 0,
): void {
  k.memory.fill(at, k.sizeof('EXCEPTION_RECORD'), 0);
  k.write('EXCEPTION_RECORD.ExceptionCode', at, code);
  k.write('EXCEPTION_RECORD.ExceptionFlags', at, flags);
  k.write('EXCEPTION_RECORD.ExceptionAddress', at, address);
  k.write('EXCEPTION_RECORD.NumberParameters', at, information.length);
  const list = at + k.offset('EXCEPTION_RECORD.ExceptionInformation');
  information.forEach((value, i) => {
    if (k.word === 8) k.memory.setU64(list + i * 8, value);
    else k.memory.set32(list + i * 4, Number(value & 0xffffffffn));
  });
}

/** Nobody wanted it: which bug check follows depends on where the code ran. */
export function unhandled(
  k: Windows,
  facts: ExceptionFacts,
  at: { record: Address; context: Address },
): never {
  const { code, address, information } = facts;
  const where = facts.address;
  if (k.scheduler.interrupting)
    return bugCheck(
      k,
      BugCode.KMODE_EXCEPTION_NOT_HANDLED,
      [code >>> 0, address, information[0] ?? 0n, information[1] ?? 0n],
      where,
    );
  if (k.word === 4)
    return bugCheck(k, BugCode.KERNEL_MODE_EXCEPTION_NOT_HANDLED, [code >>> 0, address, at.record, 0], where);
  if (k.threads.current?.user)
    return bugCheck(k, BugCode.SYSTEM_SERVICE_EXCEPTION, [code >>> 0, address, at.context, 0], where);
  return bugCheck(
    k,
    BugCode.SYSTEM_THREAD_EXCEPTION_NOT_HANDLED,
    [signed(BigInt(code)), address, at.record, at.context],
    where,
  );
}
