/**
 * Who wants to hear of what: processes, threads, images, handles and the registry. Drivers register routines; those who
 * make, load, open or change something tell them here, in the order of registration.
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import { type Address, PAGE_SIZE } from '../../memory/space.ts';
import type { DriverImage } from './images.ts';
import type { ProcessInfo } from './processes.ts';
import { Status } from './status.ts';
import { encodeUtf16, setCounted } from './strings.ts';
import type { Windows } from './windows.ts';

export type RoutineKind = 'process' | 'process-ex' | 'thread' | 'image';

/** PspCreateProcessNotifyRoutine and its like have 64 places (8 before Vista; the larger number is taken). */
const MAX_ROUTINES = 64;
const TAG_NOTIFY = 0x79746f4e;

export interface HandleCallback {
  readonly cookie: Address;
  readonly types: readonly { type: string; operations: number; before: Address; after: Address }[];
  readonly context: Address;
  readonly altitude: string;
}

export interface RegistryCallback {
  readonly cookie: bigint;
  readonly routine: Address;
  readonly context: Address;
  readonly altitude: string;
}

const registered = perKernel(() => ({
  routines: { process: [], 'process-ex': [], thread: [], image: [] } as Record<RoutineKind, Address[]>,
  handles: [] as HandleCallback[],
  registry: [] as RegistryCallback[],
  cookies: 0x01d7_0000_0000_0000n,
}));

export function addRoutine(k: Windows, kind: RoutineKind, routine: Address): number {
  const list = k.state(registered).routines[kind];
  if (list.includes(routine)) return Status.INVALID_PARAMETER;
  if (list.length >= MAX_ROUTINES) return Status.INVALID_PARAMETER;
  list.push(routine);
  return Status.SUCCESS;
}

/** STATUS_PROCEDURE_NOT_FOUND: it was not registered. */
export function removeRoutine(k: Windows, kind: RoutineKind, routine: Address): number {
  const list = k.state(registered).routines[kind];
  const at = list.indexOf(routine);
  if (at < 0) return Status.PROCEDURE_NOT_FOUND;
  list.splice(at, 1);
  return Status.SUCCESS;
}

export const handleCallbacks = (k: Windows): HandleCallback[] => k.state(registered).handles;
export const registryCallbacks = (k: Windows): RegistryCallback[] => k.state(registered).registry;
export const nextCookie = (k: Windows): bigint => ++k.state(registered).cookies;

const ROUTINES: Record<RoutineKind, string> = {
  process: 'process notify routine',
  'process-ex': 'process notify routine',
  thread: 'thread notify routine',
  image: 'image notify routine',
};

/** Everything that will be called, by kind, with what it is known by and where it is. */
export function* routinesNow(k: Windows): Generator<{ what: string; key: string; at: Address }> {
  const { routines, handles, registry } = k.state(registered);
  for (const kind of Object.keys(routines) as RoutineKind[])
    for (const at of routines[kind]) yield { what: ROUTINES[kind], key: `${kind} ${at}`, at };
  for (const { cookie, types } of handles) {
    const at = types.flatMap(({ before, after }) => [before, after]).find((one) => one !== 0);
    yield { what: 'handle callbacks', key: `${cookie}`, at: at ?? 0 };
  }
  for (const { cookie, routine } of registry)
    yield { what: 'registry callback', key: `${cookie}`, at: routine };
}

/** Routines that point into an image: what a driver that goes has left behind. */
export const routinesIn = (k: Windows, { base, pages }: DriverImage): string[] =>
  [...routinesNow(k)].filter(({ at }) => at >= base && at < base + pages * PAGE_SIZE).map(({ what }) => what);

/** A UNICODE_STRING with its text in nonpaged pool; released by the caller. */
function string(k: Windows, text: string): Address {
  const bytes = encodeUtf16(`${text}\0`);
  const head = k.sizeof('UNICODE_STRING');
  const at = k.pool.allocate('nonpaged', head + bytes.length, TAG_NOTIFY, 0, true);
  k.memory.write(at + head, bytes);
  setCounted(k, at, text.length * 2, bytes.length, at + head);
  return at;
}

/** A process was made. @returns the status of the first routine that refuses it, or success */
export function* tellProcessCreated(k: Windows, process: ProcessInfo, creator: number): Steps<number> {
  const { routines } = k.state(registered);
  for (const routine of [...routines.process]) yield* k.call(routine, process.parent, process.id, 1);
  if (routines['process-ex'].length === 0) return Status.SUCCESS;
  const path = string(k, process.path);
  const command = string(k, process.name);
  const info = k.pool.allocate('nonpaged', k.sizeof('PS_CREATE_NOTIFY_INFO'), TAG_NOTIFY, 0, true);
  k.write('PS_CREATE_NOTIFY_INFO.Size', info, k.sizeof('PS_CREATE_NOTIFY_INFO'));
  k.write('PS_CREATE_NOTIFY_INFO.Flags', info, 1);
  k.write('PS_CREATE_NOTIFY_INFO.ParentProcessId', info, process.parent);
  k.write('PS_CREATE_NOTIFY_INFO.CreatingProcessId', info, creator);
  k.write('PS_CREATE_NOTIFY_INFO.ImageFileName', info, path);
  k.write('PS_CREATE_NOTIFY_INFO.CommandLine', info, command);
  let status: number = Status.SUCCESS;
  for (const routine of [...routines['process-ex']]) {
    yield* k.call(routine, process.object.address, process.id, info);
    status = k.read('PS_CREATE_NOTIFY_INFO.CreationStatus', info);
    if (status < 0) break;
  }
  for (const at of [path, command, info]) k.pool.release(at);
  return status;
}

export function* tellProcessEnded(k: Windows, process: ProcessInfo): Steps<void> {
  const { routines } = k.state(registered);
  for (const routine of [...routines.process]) yield* k.call(routine, process.parent, process.id, 0);
  for (const routine of [...routines['process-ex']])
    yield* k.call(routine, process.object.address, process.id, 0);
}

export function* tellThread(k: Windows, process: number, thread: number, created: boolean): Steps<void> {
  for (const routine of [...k.state(registered).routines.thread])
    yield* k.call(routine, process, thread, created ? 1 : 0);
}

export const wantsThreads = (k: Windows): boolean => k.state(registered).routines.thread.length > 0;

/** IMAGE_INFO.Properties: addressing mode 3, and bit 8 for images of the system's own space. */
const SYSTEM_MODE_IMAGE = 0x103;

export function* tellImage(k: Windows, image: DriverImage): Steps<void> {
  const list = [...k.state(registered).routines.image];
  if (list.length === 0) return;
  const name = string(k, image.path);
  const info = k.pool.allocate('nonpaged', k.sizeof('IMAGE_INFO'), TAG_NOTIFY, 0, true);
  k.write('IMAGE_INFO.Properties', info, SYSTEM_MODE_IMAGE);
  k.write('IMAGE_INFO.ImageBase', info, image.base);
  k.write('IMAGE_INFO.ImageSize', info, image.pages * PAGE_SIZE);
  for (const routine of list) yield* k.call(routine, name, 0, info);
  k.pool.release(info);
  k.pool.release(name);
}

/** OB_OPERATION_HANDLE_CREATE. */
const HANDLE_CREATE = 1;

/** Asks before a handle to a process or thread is made. @returns the rights that the callbacks leave */
export function* askHandle(
  k: Windows,
  type: 'Process' | 'Thread',
  object: Address,
  access: number,
): Steps<number> {
  const wanted = k
    .state(registered)
    .handles.flatMap(({ types, context }) =>
      types
        .filter((one) => one.type === type && (one.operations & HANDLE_CREATE) !== 0)
        .map((one) => ({ ...one, context })),
    );
  if (wanted.length === 0) return access;
  const head = k.sizeof('OB_PRE_OPERATION_INFORMATION');
  const info = k.pool.allocate('nonpaged', head + 16, TAG_NOTIFY, 0, true);
  k.write('OB_PRE_OPERATION_INFORMATION.Operation', info, HANDLE_CREATE);
  k.write('OB_PRE_OPERATION_INFORMATION.Object', info, object);
  k.write('OB_PRE_OPERATION_INFORMATION.ObjectType', info, k.objects.typeObject(type));
  k.write('OB_PRE_OPERATION_INFORMATION.Parameters', info, info + head);
  k.memory.set32(info + head, access);
  k.memory.set32(info + head + 4, access);
  for (const { before, context } of wanted) if (before !== 0) yield* k.callInt(before, context, info);
  const left = k.memory.u32(info + head) & access;
  k.pool.release(info);
  return left >>> 0;
}
