/** Routines that want to hear of a bug check: real to register and to take back, and never called, for nothing runs after one here. */
import type { Address } from '../../../memory/space.ts';
import { deregister, register, registrations } from '../registered.ts';
import type { Windows } from '../windows.ts';
import { kernelFunctions } from './define.ts';

const WHAT = 'bug check callback';
/** KBUGCHECK_BUFFER_DUMP_STATE: empty as KeInitializeCallbackRecord leaves it, and inserted. */
const EMPTY = 0;
const INSERTED = 1;

/** KBUGCHECK_CALLBACK_RECORD: a list entry, the routine, buffer, length, component, checksum; then the state. */
const stateOf = (k: Windows, record: Address): Address => record + 7 * k.word;
/** KBUGCHECK_REASON_CALLBACK_RECORD: a list entry, the routine, component, checksum, the reason; then the state. */
const reasonStateOf = (k: Windows, record: Address): Address => record + 5 * k.word + 4;

function insert(k: Windows, record: Address, state: Address): number {
  if (k.memory.u8(state) !== EMPTY || register(k, WHAT, record, 0) < 0) return 0;
  k.memory.set8(state, INSERTED);
  return 1;
}

function takeOut(k: Windows, record: Address, state: Address): number {
  const found = registrations(k).find(({ what, by }) => what === WHAT && by === record);
  if (found === undefined || k.memory.u8(state) !== INSERTED) return 0;
  deregister(k, found.handle);
  k.memory.set8(state, EMPTY);
  return 1;
}

export const bugCheckFunctions = kernelFunctions({
  'BOOLEAN KeRegisterBugCheckCallback(PVOID record, PVOID routine, PVOID buffer, ULONG length, PVOID component)':
    (k, record, routine, buffer, length, component) => {
      if (insert(k, record, stateOf(k, record)) === 0) return 0;
      k.memory.setPtr(record + 2 * k.word, routine);
      k.memory.setPtr(record + 3 * k.word, buffer);
      k.memory.set32(record + 4 * k.word, length);
      k.memory.setPtr(record + 5 * k.word, component);
      return 1;
    },
  'BOOLEAN KeDeregisterBugCheckCallback(PVOID record)': (k, record) => takeOut(k, record, stateOf(k, record)),
  'BOOLEAN KeRegisterBugCheckReasonCallback(PVOID record, PVOID routine, ULONG reason, PVOID component)': (
    k,
    record,
    routine,
    reason,
    component,
  ) => {
    if (insert(k, record, reasonStateOf(k, record)) === 0) return 0;
    k.memory.setPtr(record + 2 * k.word, routine);
    k.memory.setPtr(record + 3 * k.word, component);
    k.memory.set32(record + 5 * k.word, reason);
    return 1;
  },
  'BOOLEAN KeDeregisterBugCheckReasonCallback(PVOID record)': (k, record) =>
    takeOut(k, record, reasonStateOf(k, record)),
});
