/** The registry as drivers call it. */
import type { Steps } from '../../../kernel/steps.ts';
import { type RegistryKey, type RegistryValue, SERVICES } from '../registry.ts';
import { deleteKey, deleteValue, keyObject, keyOf, openOrCreate, setValue } from '../regops.ts';
import { Status } from '../status.ts';
import { encodeUtf16, unicodeString, wideText } from '../strings.ts';
import type { Windows } from '../windows.ts';
import { kernelFunctions } from './define.ts';

/** KEY_VALUE_INFORMATION_CLASS. */
const ValueClass = { BASIC: 0, FULL: 1, PARTIAL: 2 } as const;
/** RTL_REGISTRY_* roots. */
const ROOTS = [
  '',
  SERVICES,
  '\\Registry\\Machine\\System\\CurrentControlSet\\Control',
  '\\Registry\\Machine\\Software\\Microsoft\\Windows NT\\CurrentVersion',
  '\\Registry\\Machine\\Hardware\\DeviceMap',
  '\\Registry\\User\\.Default',
];

function keyAt(k: Windows, handle: number): RegistryKey | number {
  const object = k.objects.fromHandle(handle);
  if (object === undefined) return Status.INVALID_HANDLE;
  const key = keyOf(object);
  if (key === undefined) return Status.OBJECT_TYPE_MISMATCH;
  return key.deleted ? KEY_DELETED : key;
}
const KEY_DELETED = 0xc000017c | 0;

/** The key that OBJECT_ATTRIBUTES name: from the root, or below an open key. */
function path(k: Windows, attributes: number): string {
  const name = unicodeString(k, k.read('OBJECT_ATTRIBUTES.ObjectName', attributes));
  const root = k.read('OBJECT_ATTRIBUTES.RootDirectory', attributes);
  const key = root === 0 ? undefined : keyOf(k.objects.fromHandle(root));
  return key === undefined ? name : `${key.path}\\${name}`;
}

function giveKey(k: Windows, out: number, key: RegistryKey): number {
  const object = keyObject(k, key);
  k.memory.setPtr(out, k.objects.open(object));
  while (!k.objects.dereference(object).next(0).done);
  return Status.SUCCESS;
}

function* openKey(k: Windows, out: number, attributes: number): Steps<number> {
  const key = yield* openOrCreate(k, path(k, attributes), false);
  return typeof key === 'number' ? key : giveKey(k, out, key);
}

/** Fills one of the three value structures. */
function giveValue(
  k: Windows,
  value: RegistryValue,
  kind: number,
  out: number,
  room: number,
  needed: number,
): number {
  const name = encodeUtf16(value.name);
  const head = kind === ValueClass.PARTIAL ? 12 : kind === ValueClass.BASIC ? 12 : 20;
  const dataAt = kind === ValueClass.PARTIAL ? 12 : (head + name.length + 7) & ~7;
  const total = kind === ValueClass.BASIC ? head + name.length : dataAt + value.data.length;
  if (kind > ValueClass.PARTIAL) return Status.INVALID_PARAMETER;
  k.memory.set32(needed, total);
  if (room < head) return Status.BUFFER_TOO_SMALL;
  k.memory.set32(out, 0);
  k.memory.set32(out + 4, value.type);
  const bytes = (from: number, data: Uint8Array) =>
    k.memory.write(out + from, data.subarray(0, Math.max(0, Math.min(data.length, room - from))));
  if (kind === ValueClass.PARTIAL) {
    k.memory.set32(out + 8, value.data.length);
    bytes(12, value.data);
  } else if (kind === ValueClass.BASIC) {
    k.memory.set32(out + 8, name.length);
    bytes(12, name);
  } else {
    k.memory.set32(out + 8, dataAt);
    k.memory.set32(out + 12, value.data.length);
    k.memory.set32(out + 16, name.length);
    bytes(20, name);
    bytes(dataAt, value.data);
  }
  return room < total ? Status.BUFFER_OVERFLOW : Status.SUCCESS;
}

/** KEY_BASIC_INFORMATION (0), KEY_NODE (1), KEY_FULL (2), KEY_NAME (3). */
function giveKeyFacts(
  k: Windows,
  key: RegistryKey,
  kind: number,
  out: number,
  room: number,
  needed: number,
): number {
  const name = encodeUtf16(kind === 3 ? key.path : key.name);
  if (kind === 2) {
    k.memory.set32(needed, 44);
    if (room < 44) return Status.BUFFER_TOO_SMALL;
    k.memory.fill(out, 44, 0);
    const longest = (texts: readonly string[]) => Math.max(0, ...texts.map((text) => text.length * 2));
    const values = [...key.values.values()];
    k.memory.set32(out + 12, 44);
    k.memory.set32(out + 20, key.keys.size);
    k.memory.set32(out + 24, longest([...key.keys.values()].map((one) => one.name)));
    k.memory.set32(out + 32, values.length);
    k.memory.set32(out + 36, longest(values.map((one) => one.name)));
    k.memory.set32(out + 40, Math.max(0, ...values.map((one) => one.data.length)));
    return Status.SUCCESS;
  }
  const head = kind === 0 ? 16 : kind === 1 ? 24 : 4;
  if (kind > 3) return Status.INVALID_PARAMETER;
  k.memory.set32(needed, head + name.length);
  if (room < head) return Status.BUFFER_TOO_SMALL;
  k.memory.fill(out, head, 0);
  k.memory.set32(out + head - 4, name.length);
  k.memory.write(out + head, name.subarray(0, Math.max(0, room - head)));
  return room < head + name.length ? Status.BUFFER_OVERFLOW : Status.SUCCESS;
}

const nth = <T>(items: Iterable<T>, index: number): T | undefined => [...items][index];

/** The key of an RTL_REGISTRY_* root and a path, for the Rtl functions. */
function rtlKey(k: Windows, relative: number, at: number, create = false): RegistryKey | undefined {
  // RTL_REGISTRY_HANDLE: the path is a handle.
  if ((relative & 0x40000000) !== 0) return keyOf(k.objects.fromHandle(at));
  const root = ROOTS[relative & 0xff];
  if (root === undefined) return undefined;
  const text = at === 0 ? '' : wideText(k, at);
  const full = root === '' ? text : `${root}\\${text}`;
  return create ? k.registry.create(full) : k.registry.find(full);
}

export const zwFunctions = kernelFunctions({
  'NTSTATUS ZwOpenKey(HANDLE *handle, ACCESS_MASK access, PVOID attributes)': (k, out, _access, attributes) =>
    openKey(k, out, attributes),
  'NTSTATUS ZwOpenKeyEx(HANDLE *handle, ACCESS_MASK access, PVOID attributes, ULONG options)': (
    k,
    out,
    _access,
    attributes,
  ) => openKey(k, out, attributes),
  'NTSTATUS ZwCreateKey(HANDLE *handle, ACCESS_MASK access, PVOID attributes, ULONG index, PVOID class, ULONG options, ULONG *disposition)':
    function* (k, out, _access, attributes, _index, _class, _options, disposition) {
      const text = path(k, attributes);
      const known = k.registry.find(text) !== undefined;
      const key = yield* openOrCreate(k, text, true);
      if (typeof key === 'number') return key;
      if (disposition !== 0) k.memory.set32(disposition, known ? 2 : 1);
      return giveKey(k, out, key);
    },
  'NTSTATUS ZwDeleteKey(HANDLE handle)': function* (k, handle) {
    const object = k.objects.fromHandle(handle);
    return object === undefined ? Status.INVALID_HANDLE : yield* deleteKey(k, object);
  },
  'NTSTATUS ZwFlushKey(HANDLE handle)': (k, handle) => {
    const key = keyAt(k, handle);
    return typeof key === 'number' ? key : Status.SUCCESS;
  },
  'NTSTATUS ZwQueryValueKey(HANDLE handle, PVOID name, ULONG kind, PVOID out, ULONG room, ULONG *needed)': (
    k,
    handle,
    name,
    kind,
    out,
    room,
    needed,
  ) => {
    const key = keyAt(k, handle);
    if (typeof key === 'number') return key;
    const value = key.value(unicodeString(k, name));
    return value === undefined ? Status.OBJECT_NAME_NOT_FOUND : giveValue(k, value, kind, out, room, needed);
  },
  'NTSTATUS ZwEnumerateValueKey(HANDLE handle, ULONG index, ULONG kind, PVOID out, ULONG room, ULONG *needed)':
    (k, handle, index, kind, out, room, needed) => {
      const key = keyAt(k, handle);
      if (typeof key === 'number') return key;
      const value = nth(key.values.values(), index);
      return value === undefined ? Status.NO_MORE_ENTRIES : giveValue(k, value, kind, out, room, needed);
    },
  'NTSTATUS ZwSetValueKey(HANDLE handle, PVOID name, ULONG index, ULONG type, PVOID data, ULONG bytes)':
    function* (k, handle, name, _index, type, data, bytes) {
      const object = k.objects.fromHandle(handle);
      if (object === undefined) return Status.INVALID_HANDLE;
      return yield* setValue(k, object, unicodeString(k, name), type, data, bytes);
    },
  'NTSTATUS ZwDeleteValueKey(HANDLE handle, PVOID name)': function* (k, handle, name) {
    const object = k.objects.fromHandle(handle);
    return object === undefined
      ? Status.INVALID_HANDLE
      : yield* deleteValue(k, object, unicodeString(k, name));
  },
  'NTSTATUS ZwEnumerateKey(HANDLE handle, ULONG index, ULONG kind, PVOID out, ULONG room, ULONG *needed)': (
    k,
    handle,
    index,
    kind,
    out,
    room,
    needed,
  ) => {
    const key = keyAt(k, handle);
    if (typeof key === 'number') return key;
    const child = nth(key.keys.values(), index);
    return child === undefined ? Status.NO_MORE_ENTRIES : giveKeyFacts(k, child, kind, out, room, needed);
  },
  'NTSTATUS ZwQueryKey(HANDLE handle, ULONG kind, PVOID out, ULONG room, ULONG *needed)': (
    k,
    handle,
    kind,
    out,
    room,
    needed,
  ) => {
    const key = keyAt(k, handle);
    return typeof key === 'number' ? key : giveKeyFacts(k, key, kind, out, room, needed);
  },
  'NTSTATUS RtlCheckRegistryKey(ULONG relative, PWSTR path)': (k, relative, at) =>
    rtlKey(k, relative, at) === undefined ? Status.OBJECT_NAME_NOT_FOUND : Status.SUCCESS,
  'NTSTATUS RtlCreateRegistryKey(ULONG relative, PWSTR path)': (k, relative, at) =>
    rtlKey(k, relative, at, true) === undefined ? Status.INVALID_PARAMETER : Status.SUCCESS,
  'NTSTATUS RtlWriteRegistryValue(ULONG relative, PWSTR path, PWSTR name, ULONG type, PVOID data, ULONG bytes)':
    (k, relative, at, name, type, data, bytes) => {
      const key = rtlKey(k, relative, at);
      if (key === undefined) return Status.OBJECT_NAME_NOT_FOUND;
      key.set(wideText(k, name), type, k.memory.bytes(data, bytes));
      return Status.SUCCESS;
    },
  'NTSTATUS RtlDeleteRegistryValue(ULONG relative, PWSTR path, PWSTR name)': (k, relative, at, name) => {
    const key = rtlKey(k, relative, at);
    if (key === undefined) return Status.OBJECT_NAME_NOT_FOUND;
    return key.values.delete(wideText(k, name).toUpperCase()) ? Status.SUCCESS : Status.OBJECT_NAME_NOT_FOUND;
  },
  'NTSTATUS RtlQueryRegistryValues(ULONG relative, PWSTR path, PVOID table, PVOID context, PVOID environment)':
    (k, relative, at, table, context) => queryTable(k, rtlKey(k, relative, at), table, context),
  'NTSTATUS RtlQueryRegistryValuesEx(ULONG relative, PWSTR path, PVOID table, PVOID context, PVOID environment)':
    (k, relative, at, table, context) => queryTable(k, rtlKey(k, relative, at), table, context),
});

/** RTL_QUERY_REGISTRY_TABLE flags. */
const Query = {
  SUBKEY: 1,
  TOPKEY: 2,
  REQUIRED: 4,
  NOVALUE: 8,
  NOEXPAND: 0x10,
  DIRECT: 0x20,
  DELETE: 0x40,
} as const;

function* queryTable(k: Windows, top: RegistryKey | undefined, table: number, context: number) {
  if (top === undefined) return Status.OBJECT_NAME_NOT_FOUND;
  let key = top;
  const bytes = k.sizeof('RTL_QUERY_REGISTRY_TABLE');
  for (let entry = table, n = 0; n < 256; entry += bytes, n++) {
    const get = (field: string) => k.read(`RTL_QUERY_REGISTRY_TABLE.${field}`, entry);
    const [routine, flags, nameAt] = [get('QueryRoutine'), get('Flags'), get('Name')];
    if (routine === 0 && nameAt === 0) return Status.SUCCESS;
    const name = nameAt === 0 ? '' : wideText(k, nameAt);
    if ((flags & Query.TOPKEY) !== 0) key = top;
    if ((flags & Query.SUBKEY) !== 0) {
      const child = name === '' ? key : key.child(name);
      if (child === undefined && (flags & Query.REQUIRED) !== 0) return Status.OBJECT_NAME_NOT_FOUND;
      key = child ?? key;
      continue;
    }
    const value = key.value(name) ?? defaultValue(k, entry, name);
    if (value === undefined) {
      if ((flags & Query.REQUIRED) !== 0) return Status.OBJECT_NAME_NOT_FOUND;
      continue;
    }
    const status =
      (flags & Query.DIRECT) !== 0
        ? direct(k, value, get('EntryContext'))
        : yield* callRoutine(k, routine, value, context, get('EntryContext'));
    if (status < 0) return status;
    if ((flags & Query.DELETE) !== 0) key.values.delete(name.toUpperCase());
  }
  return Status.SUCCESS;
}

function defaultValue(k: Windows, entry: number, name: string): RegistryValue | undefined {
  const type = k.read('RTL_QUERY_REGISTRY_TABLE.DefaultType', entry) & 0xff;
  const at = k.read('RTL_QUERY_REGISTRY_TABLE.DefaultData', entry);
  if (type === 0 || at === 0) return undefined;
  let bytes = k.read('RTL_QUERY_REGISTRY_TABLE.DefaultLength', entry);
  if (bytes === 0 && (type === 1 || type === 2)) bytes = (wideText(k, at).length + 1) * 2;
  return { name, type, data: k.memory.bytes(at, bytes) };
}

/** RTL_QUERY_REGISTRY_DIRECT: strings go to a UNICODE_STRING (with a buffer of the pool when it has none), numbers to memory. */
function direct(k: Windows, { type, data }: RegistryValue, out: number): number {
  if (type === 1 || type === 2 || type === 7) {
    const room = k.read('UNICODE_STRING.MaximumLength', out);
    let buffer = k.read('UNICODE_STRING.Buffer', out);
    if (buffer === 0) {
      buffer = k.pool.allocate('paged', data.length + 2, 0x67655276, k.convention.returnAddress(k.cpu), true);
      k.write('UNICODE_STRING.Buffer', out, buffer);
      k.write('UNICODE_STRING.MaximumLength', out, data.length);
    } else if (room < data.length) return Status.BUFFER_TOO_SMALL;
    k.memory.write(buffer, data);
    const ends = data.length >= 2 && data[data.length - 2] === 0 && data[data.length - 1] === 0;
    k.write('UNICODE_STRING.Length', out, data.length - (ends ? 2 : 0));
    return Status.SUCCESS;
  }
  if (data.length <= 4) k.memory.write(out, data);
  else {
    const room = k.memory.i32(out);
    // A negative first word is the room of a buffer at this place; otherwise length and type come before the bytes.
    if (room < 0 && -room >= data.length) k.memory.write(out, data);
    else if (room >= data.length + 8) {
      k.memory.set32(out, data.length);
      k.memory.set32(out + 4, type);
      k.memory.write(out + 8, data);
    } else return Status.BUFFER_TOO_SMALL;
  }
  return Status.SUCCESS;
}

function* callRoutine(
  k: Windows,
  routine: number,
  value: RegistryValue,
  context: number,
  entryContext: number,
) {
  const name = encodeUtf16(`${value.name}\0`);
  const block = k.pool.allocate('paged', name.length + value.data.length + 8, 0x67655276, 0, true);
  k.memory.write(block, value.data);
  const nameAt = block + Math.ceil(value.data.length / 2) * 2;
  k.memory.write(nameAt, name);
  const status = yield* k.callInt(
    routine,
    nameAt,
    value.type,
    block,
    value.data.length,
    context,
    entryContext,
  );
  k.pool.release(block);
  return status;
}
