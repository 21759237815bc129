/** Changes of the registry, with those who registered for them asked before. */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { registryCallbacks } from './callbacks.ts';
import type { KernelObject } from './objects.ts';
import type { RegistryKey } from './registry.ts';
import { Status } from './status.ts';
import { encodeUtf16, setCounted, upcase } from './strings.ts';
import type { Windows } from './windows.ts';

/** REG_NOTIFY_CLASS. */
const Notify = { DELETE_KEY: 0, SET_VALUE: 1, DELETE_VALUE: 2, CREATE_KEY_EX: 26, OPEN_KEY_EX: 28 } as const;
/** The routine has done what was asked, or wants it taken for done. */
const CALLBACK_BYPASS = 0xc0000503 | 0;
const CANNOT_DELETE = 0xc0000121 | 0;
const KEY_DELETED = 0xc000017c | 0;
const TAG = 0x6b624d43;

/** An object for a key; the caller drops its reference. */
export function keyObject(k: Windows, key: RegistryKey): KernelObject {
  return k.objects.create('Key', 16, { extra: key });
}

export const keyOf = (object: KernelObject | undefined): RegistryKey | undefined =>
  object?.type === 'Key' ? (object.extra as RegistryKey) : undefined;

/** Asks all in order; a failure of one is the answer. `fill` writes what comes behind the object in the structure. */
function* ask(
  k: Windows,
  kind: number,
  object: Address,
  name: string,
  extra: readonly number[],
): Steps<number> {
  const list = [...registryCallbacks(k)];
  if (list.length === 0) return Status.SUCCESS;
  const text = encodeUtf16(`${name}\0`);
  const head = 12 * k.word;
  const block = k.pool.allocate('nonpaged', head + k.sizeof('UNICODE_STRING') + text.length, TAG, 0, true);
  if (block === 0) return Status.INSUFFICIENT_RESOURCES;
  const string = block + head;
  k.memory.write(string + k.sizeof('UNICODE_STRING'), text);
  setCounted(k, string, text.length - 2, text.length, string + k.sizeof('UNICODE_STRING'));
  const byName = kind === Notify.CREATE_KEY_EX || kind === Notify.OPEN_KEY_EX;
  k.memory.setPtr(block, byName ? string : object);
  if (byName) k.memory.setPtr(block + k.word, object);
  else if (kind !== Notify.DELETE_KEY) k.memory.setPtr(block + k.word, string);
  // TitleIndex and Type share a word on x64.
  if (kind === Notify.SET_VALUE) {
    const [type, data, bytes] = extra;
    k.memory.set32(block + 2 * k.word + 4, type);
    const dataAt = block + 2 * k.word + 8;
    k.memory.setPtr(dataAt, data);
    k.memory.set32(dataAt + k.word, bytes);
  }
  let status: number = Status.SUCCESS;
  for (const { routine, context } of list) {
    status = yield* k.callInt(routine, context, kind, block);
    if (status < 0) break;
  }
  k.pool.release(block);
  return status;
}

const verdict = (status: number): number | undefined =>
  status === CALLBACK_BYPASS ? Status.SUCCESS : status < 0 ? status : undefined;

/** The bytes are in guest memory, as callers of NtSetValueKey have them. */
export function* setValue(
  k: Windows,
  object: KernelObject,
  name: string,
  type: number,
  data: Address,
  bytes: number,
): Steps<number> {
  const key = keyOf(object);
  if (key === undefined) return Status.OBJECT_TYPE_MISMATCH;
  if (key.deleted) return KEY_DELETED;
  const said = verdict(yield* ask(k, Notify.SET_VALUE, object.address, name, [type, data, bytes]));
  if (said !== undefined) return said;
  key.set(name, type, bytes === 0 ? new Uint8Array(0) : k.memory.bytes(data, bytes));
  return Status.SUCCESS;
}

export function* deleteValue(k: Windows, object: KernelObject, name: string): Steps<number> {
  const key = keyOf(object);
  if (key === undefined) return Status.OBJECT_TYPE_MISMATCH;
  const said = verdict(yield* ask(k, Notify.DELETE_VALUE, object.address, name, []));
  if (said !== undefined) return said;
  return key.values.delete(upcase(name)) ? Status.SUCCESS : Status.OBJECT_NAME_NOT_FOUND;
}

export function* deleteKey(k: Windows, object: KernelObject): Steps<number> {
  const key = keyOf(object);
  if (key === undefined) return Status.OBJECT_TYPE_MISMATCH;
  if (key.keys.size > 0) return CANNOT_DELETE;
  const said = verdict(yield* ask(k, Notify.DELETE_KEY, object.address, '', []));
  if (said !== undefined) return said;
  key.remove();
  return Status.SUCCESS;
}

/** @returns the key, or the status of who refused */
export function* openOrCreate(k: Windows, path: string, create: boolean): Steps<RegistryKey | number> {
  const kind = create ? Notify.CREATE_KEY_EX : Notify.OPEN_KEY_EX;
  const said = verdict(yield* ask(k, kind, 0, path, []));
  if (said !== undefined && said < 0) return said;
  const key = create ? k.registry.create(path) : k.registry.find(path);
  return key ?? Status.OBJECT_NAME_NOT_FOUND;
}
