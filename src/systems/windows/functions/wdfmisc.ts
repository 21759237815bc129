/** Memory, strings, collections, locks, timers, DPCs, work items and registry keys of the driver framework. */
import type { Address } from '../../../memory/space.ts';
import { cancelTimer, initialiseDpc, initialiseTimer, queueDpc, removeDpc, setTimer } from '../dpc.ts';
import { DISPATCH_LEVEL } from '../irql.ts';
import { type RegistryKey, RegType, regBytes } from '../registry.ts';
import { Status } from '../status.ts';
import { encodeUtf16, setCounted, unicodeString } from '../strings.ts';
import { DispatcherType, initialiseHeader, signal, waitFor } from '../wait.ts';
import { driverOfGlobals } from '../wdf/driver.ts';
import { create, find, need, remove, type WdfKind, type WdfObject } from '../wdf/objects.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';

const TAG = 0x46787246;

interface Memory {
  at: Address;
  bytes: number;
}
const memory = (k: Windows, handle: Address): WdfObject<Memory> => need<Memory>(k, handle, 'memory');

/** A memory object over a buffer that belongs to somebody else. */
export function wrapMemory(k: Windows, parent: WdfObject, at: Address, bytes: number, out: Address): number {
  const object = create(k, 'memory', { at, bytes } satisfies Memory, 0, parent);
  if (typeof object === 'number') return object;
  k.memory.setPtr(out, object.handle);
  return Status.SUCCESS;
}

/** What each memory object of a list is like. */
type Lookaside = Pick<NewMemory, 'bytes' | 'pool' | 'tag' | 'attributes'>;

interface NewMemory {
  readonly attributes: Address;
  readonly pool: number;
  readonly tag: number;
  readonly bytes: number;
  readonly out: Address;
  readonly bufferOut: Address;
}

function createMemory(k: Windows, g: Address, m: NewMemory): number {
  if (m.bytes === 0) return Status.INVALID_PARAMETER;
  const kind = (m.pool & 1) === 1 ? 'paged' : 'nonpaged';
  const at = k.pool.allocate(kind, m.bytes, m.tag === 0 ? TAG : m.tag, callerOf(k));
  if (at === 0) return Status.INSUFFICIENT_RESOURCES;
  const object = create(
    k,
    'memory',
    { at, bytes: m.bytes } satisfies Memory,
    m.attributes,
    driverOfGlobals(k, g),
  );
  if (typeof object === 'number') {
    k.pool.release(at);
    return object;
  }
  object.dispose = () => {
    k.pool.release(at);
  };
  k.memory.setPtr(m.out, object.handle);
  if (m.bufferOut !== 0) k.memory.setPtr(m.bufferOut, at);
  return Status.SUCCESS;
}

function copyMemory(
  k: Windows,
  to: Address,
  from: Address,
  bytes: number,
  room: number,
  offset: number,
): number {
  if (offset + bytes > room) return Status.BUFFER_TOO_SMALL;
  k.memory.copy(to, from, bytes);
  return Status.SUCCESS;
}

// -- what runs a routine with its own handle: timers, DPCs, work items ------------------------------------------------------------

interface Event {
  readonly routine: Address;
  readonly period: number;
  /** KTIMER and KDPC in nonpaged pool, or the KDPC alone. */
  readonly timer: Address;
  readonly dpc: Address;
  queued: boolean;
}

function createEvent(k: Windows, kind: WdfKind, config: Address, attributes: Address, out: Address): number {
  const timerBytes = k.sizeof('KTIMER');
  const block = k.pool.allocate('nonpaged', timerBytes + k.sizeof('KDPC'), TAG, 0, true);
  if (block === 0) return Status.INSUFFICIENT_RESOURCES;
  const data: Event = {
    routine: k.read('WDF_EVENT_CONFIG.Routine', config),
    period: kind === 'timer' ? k.read('WDF_EVENT_CONFIG.Period', config) : 0,
    timer: block,
    dpc: block + timerBytes,
    queued: false,
  };
  const object = create(k, kind, data, attributes, undefined);
  // These three must be told their parent, a device or something below one.
  if (typeof object === 'number' || object.parent === undefined) {
    k.pool.release(block);
    return typeof object === 'number' ? object : 0xc0200211 | 0;
  }
  initialiseTimer(k, block, false);
  initialiseDpc(k, data.dpc, k.exported('FxEvent') ?? 0, object.handle);
  object.dispose = () => {
    cancelTimer(k, block);
    removeDpc(k, data.dpc);
    k.pool.release(block);
  };
  k.memory.setPtr(out, object.handle);
  return Status.SUCCESS;
}

const event = (k: Windows, handle: Address, kind: WdfKind): Event => need<Event>(k, handle, kind).data;

// -- locks ----------------------------------------------------------------------------------------------------------------------

function createLock(
  k: Windows,
  g: Address,
  kind: 'spinlock' | 'waitlock',
  attributes: Address,
  out: Address,
): number {
  const at = k.pool.allocate('nonpaged', 64, TAG, 0, true);
  if (at === 0) return Status.INSUFFICIENT_RESOURCES;
  if (kind === 'waitlock')
    initialiseHeader(k, at, DispatcherType.SYNCHRONIZATION_EVENT, k.sizeof('KEVENT'), 1);
  const object = create(k, kind, { at, irql: 0 }, attributes, driverOfGlobals(k, g));
  if (typeof object === 'number') {
    k.pool.release(at);
    return object;
  }
  object.dispose = () => {
    k.pool.release(at);
  };
  k.memory.setPtr(out, object.handle);
  return Status.SUCCESS;
}

interface Lock {
  readonly at: Address;
  irql: number;
}

// -- registry ---------------------------------------------------------------------------------------------------------------------

export function openWdfKey(
  k: Windows,
  parent: WdfObject | undefined,
  key: RegistryKey,
  attributes: Address,
  out: Address,
): number {
  const object = create(k, 'key', key, attributes, parent);
  if (typeof object === 'number') return object;
  k.memory.setPtr(out, object.handle);
  return Status.SUCCESS;
}

const key = (k: Windows, handle: Address): RegistryKey => need<RegistryKey>(k, handle, 'key').data;

function pathBelow(k: Windows, parent: Address, name: Address): string {
  const text = unicodeString(k, name);
  return parent === 0 ? text : `${key(k, parent).path}\\${text}`;
}

export const wdfMiscFunctions = kernelFunctions({
  'NTSTATUS WdfMemoryCreate(PVOID g, PVOID attributes, ULONG pool, ULONG tag, SIZE_T bytes, PVOID *memory, PVOID *buffer)':
    (k, g, attributes, pool, tag, bytes, out, bufferOut) =>
      createMemory(k, g, { attributes, pool, tag, bytes, out, bufferOut }),
  'NTSTATUS WdfMemoryCreatePreallocated(PVOID g, PVOID attributes, PVOID buffer, SIZE_T bytes, PVOID *memory)':
    (k, g, attributes, at, bytes, out) => {
      const object = create(k, 'memory', { at, bytes } satisfies Memory, attributes, driverOfGlobals(k, g));
      if (typeof object === 'number') return object;
      k.memory.setPtr(out, object.handle);
      return Status.SUCCESS;
    },
  'NTSTATUS WdfLookasideListCreate(PVOID g, PVOID attributes, SIZE_T bytes, ULONG pool, PVOID memoryAttributes, ULONG tag, PVOID *list)':
    (k, g, attributes, bytes, pool, memoryAttributes, tag, out) => {
      if (bytes === 0) return Status.INVALID_PARAMETER;
      const data: Lookaside = { bytes, pool, tag, attributes: memoryAttributes };
      const object = create(k, 'lookaside', data, attributes, driverOfGlobals(k, g));
      if (typeof object === 'number') return object;
      k.memory.setPtr(out, object.handle);
      return Status.SUCCESS;
    },
  'NTSTATUS WdfMemoryCreateFromLookaside(PVOID g, PVOID list, PVOID *memory)': (k, g, list, out) => {
    const { data } = need<Lookaside>(k, list, 'lookaside');
    return createMemory(k, g, { ...data, out, bufferOut: 0 });
  },
  'PVOID WdfMemoryGetBuffer(PVOID g, PVOID memory, SIZE_T *bytes)': (k, _g, handle, bytes) => {
    const { data } = memory(k, handle);
    if (bytes !== 0) k.memory.setPtr(bytes, data.bytes);
    return data.at;
  },
  'NTSTATUS WdfMemoryAssignBuffer(PVOID g, PVOID memory, PVOID buffer, SIZE_T bytes)': (
    k,
    _g,
    handle,
    at,
    bytes,
  ) => {
    const { data } = memory(k, handle);
    data.at = at;
    data.bytes = bytes;
    return Status.SUCCESS;
  },
  'NTSTATUS WdfMemoryCopyToBuffer(PVOID g, PVOID memory, SIZE_T offset, PVOID buffer, SIZE_T bytes)': (
    k,
    _g,
    handle,
    offset,
    to,
    bytes,
  ) => {
    const { data } = memory(k, handle);
    return copyMemory(k, to, data.at + offset, bytes, data.bytes, offset);
  },
  'NTSTATUS WdfMemoryCopyFromBuffer(PVOID g, PVOID memory, SIZE_T offset, PVOID buffer, SIZE_T bytes)': (
    k,
    _g,
    handle,
    offset,
    from,
    bytes,
  ) => {
    const { data } = memory(k, handle);
    return copyMemory(k, data.at + offset, from, bytes, data.bytes, offset);
  },

  'void FxEvent(PVOID dpc, PVOID handle, PVOID a, PVOID b)': function* (k, _dpc, handle) {
    const object = find(k, handle);
    if (object !== undefined && !object.deleted) yield* k.call((object.data as Event).routine, handle);
  },
  'NTSTATUS WdfTimerCreate(PVOID g, PVOID config, PVOID attributes, PVOID *timer)': (
    k,
    _g,
    config,
    attributes,
    out,
  ) => createEvent(k, 'timer', config, attributes, out),
  'BOOLEAN WdfTimerStart(PVOID g, PVOID timer, s64 due)': (k, _g, handle, due) => {
    const { timer, period, dpc } = event(k, handle, 'timer');
    return setTimer(k, timer, due, period, dpc);
  },
  'BOOLEAN WdfTimerStop(PVOID g, PVOID timer, BOOLEAN wait)': (k, _g, handle) =>
    cancelTimer(k, event(k, handle, 'timer').timer),
  'PVOID WdfTimerGetParentObject(PVOID g, PVOID timer)': (k, _g, handle) =>
    need(k, handle, 'timer').parent?.handle ?? 0,
  'NTSTATUS WdfDpcCreate(PVOID g, PVOID config, PVOID attributes, PVOID *dpc)': (
    k,
    _g,
    config,
    attributes,
    out,
  ) => createEvent(k, 'dpc', config, attributes, out),
  'BOOLEAN WdfDpcEnqueue(PVOID g, PVOID dpc)': (k, _g, handle) =>
    queueDpc(k, event(k, handle, 'dpc').dpc, 0, 0),
  'BOOLEAN WdfDpcCancel(PVOID g, PVOID dpc, BOOLEAN wait)': (k, _g, handle) =>
    removeDpc(k, event(k, handle, 'dpc').dpc),
  'PVOID WdfDpcGetParentObject(PVOID g, PVOID dpc)': (k, _g, handle) =>
    need(k, handle, 'dpc').parent?.handle ?? 0,
  'PVOID WdfDpcWdmGetDpc(PVOID g, PVOID dpc)': (k, _g, handle) => event(k, handle, 'dpc').dpc,
  'NTSTATUS WdfWorkItemCreate(PVOID g, PVOID config, PVOID attributes, PVOID *item)': (
    k,
    _g,
    config,
    attributes,
    out,
  ) => createEvent(k, 'workitem', config, attributes, out),
  'void WdfWorkItemEnqueue(PVOID g, PVOID item)': (k, _g, handle) => {
    const data = event(k, handle, 'workitem');
    if (data.queued) return;
    data.queued = true;
    k.threads.run(
      'System worker',
      (function* () {
        data.queued = false;
        if (find(k, handle) !== undefined) yield* k.call(data.routine, handle);
      })(),
    );
  },
  'PVOID WdfWorkItemGetParentObject(PVOID g, PVOID item)': (k, _g, handle) =>
    need(k, handle, 'workitem').parent?.handle ?? 0,
  'void WdfWorkItemFlush(PVOID g, PVOID item)': function* (k, _g, handle) {
    while (event(k, handle, 'workitem').queued) yield { kind: 'yield' };
  },

  'NTSTATUS WdfSpinLockCreate(PVOID g, PVOID attributes, PVOID *lock)': (k, g, attributes, out) =>
    createLock(k, g, 'spinlock', attributes, out),
  'void WdfSpinLockAcquire(PVOID g, PVOID lock)': (k, _g, handle) => {
    const { data } = need<Lock>(k, handle, 'spinlock');
    data.irql = k.irql.set(Math.max(DISPATCH_LEVEL, k.irql.current));
  },
  'void WdfSpinLockRelease(PVOID g, PVOID lock)': (k, _g, handle) => {
    k.irql.set(need<Lock>(k, handle, 'spinlock').data.irql);
  },
  'NTSTATUS WdfWaitLockCreate(PVOID g, PVOID attributes, PVOID *lock)': (k, g, attributes, out) =>
    createLock(k, g, 'waitlock', attributes, out),
  'NTSTATUS WdfWaitLockAcquire(PVOID g, PVOID lock, PVOID timeout)': (k, _g, handle, timeout) =>
    waitFor(
      k,
      [need<Lock>(k, handle, 'waitlock').data.at],
      true,
      timeout === 0 ? undefined : BigInt.asIntN(64, k.memory.u64(timeout)),
    ),
  'void WdfWaitLockRelease(PVOID g, PVOID lock)': (k, _g, handle) =>
    signal(k, need<Lock>(k, handle, 'waitlock').data.at, 1),

  'NTSTATUS WdfStringCreate(PVOID g, PVOID string, PVOID attributes, PVOID *out)': (
    k,
    g,
    string,
    attributes,
    out,
  ) => {
    const text = string === 0 ? '' : unicodeString(k, string);
    const bytes = encodeUtf16(`${text}\0`);
    const head = k.sizeof('UNICODE_STRING');
    const at = k.pool.allocate('nonpaged', head + bytes.length, TAG, 0, true);
    if (at === 0) return Status.INSUFFICIENT_RESOURCES;
    k.memory.write(at + head, bytes);
    setCounted(k, at, text.length * 2, bytes.length, at + head);
    const object = create(k, 'string', { at }, attributes, driverOfGlobals(k, g));
    if (typeof object === 'number') {
      k.pool.release(at);
      return object;
    }
    object.dispose = () => {
      k.pool.release(at);
    };
    k.memory.setPtr(out, object.handle);
    return Status.SUCCESS;
  },
  'void WdfStringGetUnicodeString(PVOID g, PVOID string, PVOID out)': (k, _g, handle, out) =>
    k.memory.copy(out, need<{ at: Address }>(k, handle, 'string').data.at, k.sizeof('UNICODE_STRING')),

  'NTSTATUS WdfCollectionCreate(PVOID g, PVOID attributes, PVOID *collection)': (k, g, attributes, out) => {
    const object = create(k, 'collection', [] as WdfObject[], attributes, driverOfGlobals(k, g));
    if (typeof object === 'number') return object;
    k.memory.setPtr(out, object.handle);
    return Status.SUCCESS;
  },
  'ULONG WdfCollectionGetCount(PVOID g, PVOID collection)': (k, _g, handle) =>
    need<WdfObject[]>(k, handle, 'collection').data.length,
  'NTSTATUS WdfCollectionAdd(PVOID g, PVOID collection, PVOID object)': (k, _g, handle, at) => {
    const object = find(k, at);
    if (object === undefined) return Status.INVALID_HANDLE;
    object.references++;
    need<WdfObject[]>(k, handle, 'collection').data.push(object);
    return Status.SUCCESS;
  },
  'void WdfCollectionRemove(PVOID g, PVOID collection, PVOID object)': (k, _g, handle, at) => {
    const { data } = need<WdfObject[]>(k, handle, 'collection');
    const index = data.findIndex((one) => one.handle === at);
    if (index >= 0) data.splice(index, 1)[0].references--;
  },
  'PVOID WdfCollectionGetItem(PVOID g, PVOID collection, ULONG index)': (k, _g, handle, index) =>
    need<WdfObject[]>(k, handle, 'collection').data[index]?.handle ?? 0,
  'PVOID WdfCollectionGetFirstItem(PVOID g, PVOID collection)': (k, _g, handle) =>
    need<WdfObject[]>(k, handle, 'collection').data[0]?.handle ?? 0,
  'PVOID WdfCollectionGetLastItem(PVOID g, PVOID collection)': (k, _g, handle) =>
    need<WdfObject[]>(k, handle, 'collection').data.at(-1)?.handle ?? 0,

  'NTSTATUS WdfRegistryOpenKey(PVOID g, PVOID parent, PVOID name, ULONG access, PVOID attributes, PVOID *key)':
    (k, g, parent, name, _access, attributes, out) => {
      const found = k.registry.find(pathBelow(k, parent, name));
      if (found === undefined) return Status.OBJECT_NAME_NOT_FOUND;
      return openWdfKey(k, driverOfGlobals(k, g), found, attributes, out);
    },
  'NTSTATUS WdfRegistryCreateKey(PVOID g, PVOID parent, PVOID name, ULONG access, ULONG options, ULONG *disposition, PVOID attributes, PVOID *key)':
    (k, g, parent, name, _access, _options, disposition, attributes, out) => {
      const path = pathBelow(k, parent, name);
      if (disposition !== 0) k.memory.set32(disposition, k.registry.find(path) === undefined ? 1 : 2);
      return openWdfKey(k, driverOfGlobals(k, g), k.registry.create(path), attributes, out);
    },
  'void WdfRegistryClose(PVOID g, PVOID key)': function* (k, _g, handle) {
    yield* remove(k, need(k, handle, 'key'));
  },
  'NTSTATUS WdfRegistryQueryULong(PVOID g, PVOID key, PVOID name, ULONG *value)': (
    k,
    _g,
    handle,
    name,
    out,
  ) => {
    const text = unicodeString(k, name);
    const value = key(k, handle).dword(text);
    if (value === undefined)
      return key(k, handle).value(text) === undefined
        ? Status.OBJECT_NAME_NOT_FOUND
        : Status.OBJECT_TYPE_MISMATCH;
    k.memory.set32(out, value);
    return Status.SUCCESS;
  },
  'NTSTATUS WdfRegistryAssignULong(PVOID g, PVOID key, PVOID name, ULONG value)': (
    k,
    _g,
    handle,
    name,
    value,
  ) => {
    key(k, handle).setDword(unicodeString(k, name), value);
    return Status.SUCCESS;
  },
  'NTSTATUS WdfRegistryQueryUnicodeString(PVOID g, PVOID key, PVOID name, USHORT *needed, PVOID out)': (
    k,
    _g,
    handle,
    name,
    needed,
    out,
  ) => {
    const text = key(k, handle).text(unicodeString(k, name));
    if (text === undefined) return Status.OBJECT_NAME_NOT_FOUND;
    const bytes = encodeUtf16(text);
    if (needed !== 0) k.memory.set16(needed, bytes.length);
    if (out === 0 || k.read('UNICODE_STRING.MaximumLength', out) < bytes.length)
      return Status.BUFFER_OVERFLOW;
    k.memory.write(k.read('UNICODE_STRING.Buffer', out), bytes);
    k.write('UNICODE_STRING.Length', out, bytes.length);
    return Status.SUCCESS;
  },
  'NTSTATUS WdfRegistryAssignUnicodeString(PVOID g, PVOID key, PVOID name, PVOID value)': (
    k,
    _g,
    handle,
    name,
    value,
  ) => {
    key(k, handle).set(unicodeString(k, name), RegType.SZ, regBytes(`${unicodeString(k, value)}\0`));
    return Status.SUCCESS;
  },
  'NTSTATUS WdfRegistryQueryValue(PVOID g, PVOID key, PVOID name, ULONG room, PVOID out, ULONG *bytes, ULONG *type)':
    (k, _g, handle, name, room, out, bytes, type) => {
      const value = key(k, handle).value(unicodeString(k, name));
      if (value === undefined) return Status.OBJECT_NAME_NOT_FOUND;
      if (bytes !== 0) k.memory.set32(bytes, value.data.length);
      if (type !== 0) k.memory.set32(type, value.type);
      if (out === 0 || room < value.data.length) return Status.BUFFER_OVERFLOW;
      k.memory.write(out, value.data);
      return Status.SUCCESS;
    },
  'NTSTATUS WdfRegistryAssignValue(PVOID g, PVOID key, PVOID name, ULONG type, ULONG bytes, PVOID data)': (
    k,
    _g,
    handle,
    name,
    type,
    bytes,
    data,
  ) => {
    key(k, handle).set(unicodeString(k, name), type, k.memory.bytes(data, bytes));
    return Status.SUCCESS;
  },
  'NTSTATUS WdfRegistryRemoveValue(PVOID g, PVOID key, PVOID name)': (k, _g, handle, name) =>
    key(k, handle).values.delete(unicodeString(k, name).toUpperCase())
      ? Status.SUCCESS
      : Status.OBJECT_NAME_NOT_FOUND,
});
