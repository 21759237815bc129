/** Processes and threads by handle, virtual memory of processes, APCs. */
import { joinTables } from '../../../kernel/functions.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { type Address, PAGE_SIZE, Perm } from '../../../memory/space.ts';
import { askHandle, tellProcessEnded } from '../callbacks.ts';
import type { KernelObject } from '../objects.ts';
import { isSecured } from '../secured.ts';
import { Status } from '../status.ts';
import { encodeUtf16, setCounted } from '../strings.ts';
import type { Windows } from '../windows.ts';
import { kernelFunctions, underZw } from './define.ts';

const INVALID_CID = 0xc000000b | 0;
const PROCESS_IS_TERMINATING = 0xc000010a | 0;
const DUPLICATE_SAME_ACCESS_CLOSE = 1;
const MEM_COMMIT = 0x1000;
const MEM_RELEASE = 0x8000;
const MEMORY_NOT_ALLOCATED = 0xc00000a0 | 0;
const INVALID_PAGE_PROTECTION = 0xc0000045 | 0;
const MAX_ALLOCATION = 1 << 26;

function* openProcess(k: Windows, out: Address, access: number, client: Address): Steps<number> {
  if (client === 0) return Status.INVALID_PARAMETER;
  const thread = k.memory.ptr(client + k.word);
  const info = k.processes.byId(k.memory.ptr(client));
  if (info === undefined || thread !== 0) return INVALID_CID;
  // Who watches over handles hears of the kernel's own as well, but takes no rights from them.
  yield* askHandle(k, 'Process', info.object.address, access);
  k.memory.setPtr(out, k.objects.open(info.object));
  return Status.SUCCESS;
}

function* openThread(k: Windows, out: Address, access: number, client: Address): Steps<number> {
  const id = k.memory.ptr(client + k.word);
  for (const info of k.threads.live) {
    if (info.id !== id) continue;
    yield* askHandle(k, 'Thread', info.object.address, access);
    k.memory.setPtr(out, k.objects.open(info.object));
    return Status.SUCCESS;
  }
  return INVALID_CID;
}

/** Ends a process that was started to be seen; the session's own and the System process stay. */
export function* endProcess(k: Windows, object: KernelObject, status: number): Steps<number> {
  const info = k.processes.at(object.address);
  if (info === undefined) return Status.OBJECT_TYPE_MISMATCH;
  if (info === k.processes.system || info === k.processes.user) return Status.ACCESS_DENIED;
  if (info.exitStatus !== undefined) return PROCESS_IS_TERMINATING;
  yield* tellProcessEnded(k, info);
  yield* k.processes.end(info, status);
  return Status.SUCCESS;
}

const Info = {
  BASIC: 0,
  TIMES: 4,
  DEBUG_PORT: 7,
  SESSION: 24,
  WOW64: 26,
  IMAGE_NAME: 27,
  DEBUG_OBJECT: 30,
} as const;
const PORT_NOT_SET = 0xc0000353 | 0;

/** Says how much there is, and clears the place for it. @returns false when it does not fit */
function roomFor(k: Windows, bytes: number, out: Address, room: number, needed: Address): boolean {
  if (needed !== 0) k.memory.set32(needed, bytes);
  if (room < bytes) return false;
  k.memory.fill(out, bytes, 0);
  return true;
}

function queryProcess(
  k: Windows,
  handle: number,
  kind: number,
  out: Address,
  room: number,
  needed: Address,
): number {
  const object = k.objects.fromHandle(handle);
  if (object === undefined) return Status.INVALID_HANDLE;
  const info = k.processes.at(object.address);
  if (info === undefined) return Status.OBJECT_TYPE_MISMATCH;
  const w = k.word;
  const name = encodeUtf16(`${info.path}\0`);
  const sizes: Readonly<Record<number, number>> = {
    [Info.BASIC]: 6 * w,
    [Info.TIMES]: 32,
    [Info.DEBUG_PORT]: w,
    [Info.SESSION]: 4,
    [Info.WOW64]: w,
    [Info.IMAGE_NAME]: k.sizeof('UNICODE_STRING') + name.length,
  };
  if (kind === Info.DEBUG_OBJECT) return PORT_NOT_SET;
  const bytes = sizes[kind];
  if (bytes === undefined) return Status.INVALID_INFO_CLASS;
  if (!roomFor(k, bytes, out, room, needed)) return Status.INFO_LENGTH_MISMATCH;
  if (kind === Info.BASIC) {
    k.memory.set32(out, info.exitStatus ?? Status.PENDING);
    k.memory.setPtr(out + 2 * w, 1);
    k.memory.set32(out + 3 * w, 8);
    k.memory.setPtr(out + 4 * w, info.id);
    k.memory.setPtr(out + 5 * w, info.parent);
  } else if (kind === Info.TIMES) {
    k.memory.setU64(out, info.created);
    k.memory.setU64(out + 8, info.exited);
  } else if (kind === Info.SESSION) k.memory.set32(out, info === k.processes.system ? 0 : 1);
  else if (kind === Info.IMAGE_NAME) {
    const at = out + k.sizeof('UNICODE_STRING');
    setCounted(k, out, name.length - 2, name.length, info.path === '' ? 0 : at);
    k.memory.write(at, name);
  }
  return Status.SUCCESS;
}

/** ThreadBasicInformation (0): exit status, TEB, client id, affinity, priorities. */
function queryThread(
  k: Windows,
  handle: number,
  kind: number,
  out: Address,
  room: number,
  needed: Address,
): number {
  const object = k.objects.fromHandle(handle);
  if (object === undefined) return Status.INVALID_HANDLE;
  const info = k.threads.at(object.address);
  if (info === undefined) return Status.OBJECT_TYPE_MISMATCH;
  if (kind !== 0) return Status.INVALID_INFO_CLASS;
  const w = k.word;
  if (!roomFor(k, 6 * w, out, room, needed)) return Status.INFO_LENGTH_MISMATCH;
  k.memory.set32(out, Status.PENDING);
  k.memory.setPtr(out + 2 * w, k.threads.processId(k.threads.processOf(info).address));
  k.memory.setPtr(out + 3 * w, info.id);
  k.memory.setPtr(out + 4 * w, 1);
  k.memory.set32(out + 5 * w, info.priority);
  return Status.SUCCESS;
}

function* duplicate(k: Windows, handle: number, out: Address, options: number): Steps<number> {
  const object = k.objects.fromHandle(handle);
  if (object === undefined) return Status.INVALID_HANDLE;
  if (out !== 0) k.memory.setPtr(out, k.objects.open(object));
  if ((options & DUPLICATE_SAME_ACCESS_CLOSE) !== 0) yield* k.objects.close(handle);
  return Status.SUCCESS;
}

// -- memory of processes --------------------------------------------------------------------------------------------------

const permOf = (protect: number): number => {
  const kind = protect & 0xff;
  const write = [4, 8, 0x40, 0x80].includes(kind) ? Perm.W : 0;
  return Perm.R | Perm.U | write | (kind >= 0x10 ? Perm.X : 0);
};

function allocateMemory(k: Windows, baseAt: Address, sizeAt: Address, kind: number, protect: number): number {
  const bytes = k.memory.ptr(sizeAt);
  if (!(bytes > 0) || bytes > MAX_ALLOCATION) return Status.NO_MEMORY;
  const pages = Math.ceil(bytes / PAGE_SIZE);
  const wanted = k.memory.ptr(baseAt);
  if (wanted !== 0) {
    // Committing what was reserved here is the one case in which a place can be asked for.
    const area = k.userArea.find(wanted);
    if (area === undefined || (kind & MEM_COMMIT) === 0) return Status.CONFLICTING_ADDRESSES;
    return Status.SUCCESS;
  }
  const at = k.mapPages(k.userArea, pages, permOf(protect), 'virtual memory of a process');
  k.memory.setPtr(baseAt, at);
  k.memory.setPtr(sizeAt, pages * PAGE_SIZE);
  return Status.SUCCESS;
}

function freeMemory(k: Windows, baseAt: Address, sizeAt: Address, kind: number): number {
  const at = k.memory.ptr(baseAt);
  const area = k.userArea.find(at);
  if (area === undefined) return MEMORY_NOT_ALLOCATED;
  if (isSecured(k, area.base, area.pages * PAGE_SIZE)) return INVALID_PAGE_PROTECTION;
  if (kind !== MEM_RELEASE) return Status.SUCCESS;
  k.memory.setPtr(sizeAt, area.pages * PAGE_SIZE);
  k.unmapPages(k.userArea, area.base, area.pages);
  return Status.SUCCESS;
}

/** MEMORY_BASIC_INFORMATION. */
function queryMemory(k: Windows, at: Address, out: Address, room: number, needed: Address): number {
  const w = k.word;
  const bytes = w === 8 ? 48 : 28;
  if (needed !== 0) k.memory.setPtr(needed, bytes);
  if (room < bytes) return Status.INFO_LENGTH_MISMATCH;
  if (at < 0 || at >= k.map.userEnd) return Status.INVALID_PARAMETER;
  const base = at - (at % PAGE_SIZE);
  const area = k.userArea.find(at);
  const perm = k.memory.permOf(at);
  const write = ((perm ?? 0) & Perm.W) !== 0;
  const protect = perm === undefined ? 1 : write ? 4 : 2;
  k.memory.fill(out, bytes, 0);
  k.memory.setPtr(out, base);
  k.memory.setPtr(out + w, area?.base ?? 0);
  k.memory.set32(out + 2 * w, protect);
  k.memory.setPtr(out + 3 * w, area === undefined ? PAGE_SIZE : area.base + area.pages * PAGE_SIZE - base);
  k.memory.set32(out + 4 * w, area === undefined ? 0x10000 : MEM_COMMIT);
  k.memory.set32(out + 4 * w + 4, protect);
  k.memory.set32(out + 4 * w + 8, area === undefined ? 0 : 0x20000);
  return Status.SUCCESS;
}

/** OBJECT_INFORMATION_CLASS: basic (0), name (1), type (2). */
function queryObject(
  k: Windows,
  handle: number,
  kind: number,
  out: Address,
  room: number,
  needed: Address,
): number {
  const object = k.objects.fromHandle(handle);
  if (object === undefined) return Status.INVALID_HANDLE;
  if (kind === 0) {
    if (!roomFor(k, 56, out, room, needed)) return Status.INFO_LENGTH_MISMATCH;
    k.memory.set32(out + 8, 1);
    k.memory.set32(out + 12, k.objects.references(object));
    return Status.SUCCESS;
  }
  const text = kind === 1 ? (object.name ?? '') : kind === 2 ? object.type : undefined;
  if (text === undefined) return Status.INVALID_INFO_CLASS;
  const head = k.sizeof('UNICODE_STRING') + (kind === 2 ? 88 : 0);
  const bytes = head + (text.length + 1) * 2;
  if (!roomFor(k, bytes, out, room, needed)) return Status.INFO_LENGTH_MISMATCH;
  k.memory.write(out + head, encodeUtf16(`${text}\0`));
  setCounted(k, out, text.length * 2, text.length * 2 + 2, out + head);
  return Status.SUCCESS;
}

/** What drivers call by either name. */
const nt = kernelFunctions({
  'NTSTATUS NtOpenProcess(HANDLE *handle, ACCESS_MASK access, PVOID attributes, PVOID client)': (
    k,
    out,
    access,
    _attributes,
    client,
  ) => openProcess(k, out, access, client),
  'NTSTATUS NtOpenThread(HANDLE *handle, ACCESS_MASK access, PVOID attributes, PVOID client)': (
    k,
    out,
    access,
    _attributes,
    client,
  ) => openThread(k, out, access, client),
  'NTSTATUS NtTerminateProcess(HANDLE handle, NTSTATUS status)': function* (k, handle, status) {
    const object = k.objects.fromHandle(handle);
    return object === undefined ? Status.INVALID_HANDLE : yield* endProcess(k, object, status);
  },
  'NTSTATUS NtQueryInformationProcess(HANDLE handle, ULONG kind, PVOID out, ULONG room, ULONG *needed)': (
    k,
    ...rest
  ) => queryProcess(k, ...rest),
  'NTSTATUS NtQueryInformationThread(HANDLE handle, ULONG kind, PVOID out, ULONG room, ULONG *needed)': (
    k,
    ...rest
  ) => queryThread(k, ...rest),
  'NTSTATUS NtSetInformationThread(HANDLE handle, ULONG kind, PVOID data, ULONG bytes)': (
    k,
    handle,
    kind,
    data,
    bytes,
  ) => {
    const info = k.threads.at(k.objects.fromHandle(handle)?.address ?? 0);
    if (info === undefined) return Status.INVALID_HANDLE;
    if (bytes < 4) return Status.INFO_LENGTH_MISMATCH;
    // ThreadPriority and ThreadBasePriority.
    if (kind === 2) info.priority = k.memory.i32(data);
    else if (kind === 3) info.priority = 8 + k.memory.i32(data);
    else return Status.INVALID_INFO_CLASS;
    return Status.SUCCESS;
  },
  'NTSTATUS NtDuplicateObject(HANDLE from, HANDLE handle, HANDLE to, HANDLE *out, ACCESS_MASK access, ULONG attributes, ULONG options)':
    (k, _from, handle, _to, out, _access, _attributes, options) => duplicate(k, handle, out, options),
  'NTSTATUS NtQueryObject(HANDLE handle, ULONG kind, PVOID out, ULONG room, ULONG *needed)': (k, ...rest) =>
    queryObject(k, ...rest),
  'NTSTATUS NtAllocateVirtualMemory(HANDLE process, PVOID *base, ULONG_PTR zeroBits, SIZE_T *size, ULONG kind, ULONG protect)':
    (k, _process, base, _zero, size, kind, protect) => allocateMemory(k, base, size, kind, protect),
  'NTSTATUS NtFreeVirtualMemory(HANDLE process, PVOID *base, SIZE_T *size, ULONG kind)': (
    k,
    _process,
    ...rest
  ) => freeMemory(k, ...rest),
  'NTSTATUS NtQueryVirtualMemory(HANDLE process, PVOID address, ULONG kind, PVOID out, SIZE_T room, SIZE_T *needed)':
    (k, _process, at, kind, out, room, needed) =>
      kind === 0 ? queryMemory(k, at, out, room, needed) : Status.INVALID_INFO_CLASS,
});

export const processFunctions = joinTables([
  nt,
  underZw(nt),
  kernelFunctions({
    'PVOID ObGetObjectType(PVOID object)': (k, at) => {
      const object = k.objects.at(at);
      return object === undefined ? 0 : k.objects.typeObject(object.type);
    },
  }),
]);
