/**
 * The filter manager: minifilters by altitude, their instances on the one volume there is, and the way of an operation
 * through them: callbacks before it from the top down, the file system, callbacks behind it from the bottom up
 * (fltkernel.h; "Pre-Operation and Post-Operation Callback Routines" of the driver documentation).
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { releaseContextsOf } from './filter-contexts.ts';
import { Major } from './irp.ts';
import { Status } from './status.ts';
import type { Windows } from './windows.ts';

/** The volume's names: as devices have it, and as people do. */
export const VOLUME_DEVICE = '\\Device\\HarddiskVolume1';
export const VOLUME_LETTER = 'C:';

export interface MiniFilter {
  readonly handle: Address;
  readonly driver: Address;
  readonly name: string;
  /** The default instance of the service's key, and its altitude. */
  readonly instance: string;
  readonly altitude: string;
  readonly registration: Registration;
  started: boolean;
}

/** What FLT_REGISTRATION said when it was handed over. */
export interface Registration {
  readonly unload: Address;
  readonly setup: Address;
  readonly queryTeardown: Address;
  readonly teardownStart: Address;
  readonly teardownComplete: Address;
  /** Routines before and behind, by major function. */
  readonly operations: ReadonlyMap<number, { readonly before: Address; readonly after: Address }>;
  /** Cleanup routines, by type of context. */
  readonly contexts: ReadonlyMap<number, Address>;
}

export interface FilterInstance {
  readonly handle: Address;
  readonly filter: MiniFilter;
  readonly name: string;
  readonly altitude: string;
}

interface Manager {
  readonly filters: MiniFilter[];
  /** From the highest altitude down. */
  readonly instances: FilterInstance[];
  volume: Address;
}

/** Operations that reach filters; nothing here makes others. */
export const FILTERED: readonly number[] = [
  Major.CREATE,
  Major.CLOSE,
  Major.READ,
  Major.WRITE,
  Major.QUERY_INFORMATION,
  Major.SET_INFORMATION,
  Major.FLUSH_BUFFERS,
  Major.DIRECTORY_CONTROL,
  Major.CLEANUP,
];

const manager = perKernel((): Manager => ({ filters: [], instances: [], volume: 0 }));

export const miniFilters = (k: Windows): readonly MiniFilter[] => k.state(manager).filters;
export const filterInstances = (k: Windows): readonly FilterInstance[] => k.state(manager).instances;
export const instanceAt = (k: Windows, handle: Address): FilterInstance | undefined =>
  k.state(manager).instances.find((one) => one.handle === handle);
export const filterAt = (k: Windows, handle: Address): MiniFilter | undefined =>
  k.state(manager).filters.find((one) => one.handle === handle);

const TAG = 0x6c664d46;
const HANDLE_BYTES = 64;
/** STATUS_FLT_*: facility 0x1C. */
export const FltStatus = {
  DO_NOT_ATTACH: 0xc01c000f | 0,
  DO_NOT_DETACH: 0xc01c0010 | 0,
  INSTANCE_ALTITUDE_COLLISION: 0xc01c0011 | 0,
  INSTANCE_NAME_COLLISION: 0xc01c0012 | 0,
  FILTER_NOT_FOUND: 0xc01c0013 | 0,
  VOLUME_NOT_FOUND: 0xc01c0014 | 0,
  INSTANCE_NOT_FOUND: 0xc01c0015 | 0,
} as const;

/** FLTFL_INSTANCE_SETUP_* and FLTFL_INSTANCE_TEARDOWN_*. */
export const SetupFlag = { AUTOMATIC: 1, MANUAL: 2 } as const;
export const TeardownFlag = { MANUAL: 1, FILTER_UNLOAD: 2 } as const;
const FILE_DEVICE_DISK_FILE_SYSTEM = 8;
const FLT_FSTYPE_NTFS = 2;

/** FLT_PREOP_CALLBACK_STATUS. */
const Before = {
  WITH_CALLBACK: 0,
  NO_CALLBACK: 1,
  PENDING: 2,
  DISALLOW_FASTIO: 3,
  COMPLETE: 4,
  SYNCHRONIZE: 5,
} as const;
/** FLT_CALLBACK_DATA.Flags. */
const DataFlag = { IRP_OPERATION: 1, POST_OPERATION: 0x20000, DIRTY: 0x80000000 } as const;

/** Altitudes are decimal fractions of any length. */
const higher = (a: string, b: string): number => Number(b) - Number(a);

/** The opaque FLT_VOLUME of the one volume. */
export function volumeHandle(k: Windows): Address {
  const state = k.state(manager);
  if (state.volume === 0) state.volume = k.pool.allocate('nonpaged', HANDLE_BYTES, TAG, 0, true);
  return state.volume;
}

export function addFilter(k: Windows, filter: Omit<MiniFilter, 'handle' | 'started'>): Address {
  const handle = k.pool.allocate('nonpaged', HANDLE_BYTES, TAG, 0, true);
  if (handle !== 0) k.state(manager).filters.push({ ...filter, handle, started: false });
  return handle;
}

/** Its instances go first, without being asked. */
export function* removeFilter(k: Windows, filter: MiniFilter): Steps<void> {
  for (const one of filterInstances(k).filter((instance) => instance.filter === filter))
    yield* tearDown(k, one, TeardownFlag.FILTER_UNLOAD);
  const { filters } = k.state(manager);
  const at = filters.indexOf(filter);
  if (at < 0) return;
  filters.splice(at, 1);
  k.pool.release(filter.handle);
}

/** Attaches an instance, when the filter's routine says so. @returns a status */
export function* attach(
  k: Windows,
  filter: MiniFilter,
  flags: number,
  name = filter.instance,
  altitude = filter.altitude,
): Steps<number> {
  const { instances } = k.state(manager);
  if (instances.some((one) => one.altitude === altitude)) return FltStatus.INSTANCE_ALTITUDE_COLLISION;
  if (instances.some((one) => one.name.toLowerCase() === name.toLowerCase()))
    return FltStatus.INSTANCE_NAME_COLLISION;
  const handle = k.pool.allocate('nonpaged', HANDLE_BYTES, TAG, 0, true);
  if (handle === 0) return Status.INSUFFICIENT_RESOURCES;
  const instance = { handle, filter, name, altitude };
  instances.push(instance);
  instances.sort((a, b) => higher(a.altitude, b.altitude));
  const { setup } = filter.registration;
  const status =
    setup === 0
      ? Status.SUCCESS
      : yield* withRelated(k, instance, 0, (related) =>
          k.callInt(setup, related, flags, FILE_DEVICE_DISK_FILE_SYSTEM, FLT_FSTYPE_NTFS),
        );
  if (status >= 0) return Status.SUCCESS;
  forgetInstance(k, instance);
  return status;
}

/** Takes an instance off on somebody's word: the filter may refuse. */
export function* detach(k: Windows, instance: FilterInstance): Steps<number> {
  const { queryTeardown } = instance.filter.registration;
  // Without a routine that can be asked, nobody may detach it by hand.
  if (queryTeardown === 0) return FltStatus.DO_NOT_DETACH;
  const status = yield* withRelated(k, instance, 0, (related) => k.callInt(queryTeardown, related, 0));
  if (status < 0) return status;
  yield* tearDown(k, instance, TeardownFlag.MANUAL);
  return Status.SUCCESS;
}

function* tearDown(k: Windows, instance: FilterInstance, reason: number): Steps<void> {
  const { teardownStart, teardownComplete } = instance.filter.registration;
  for (const routine of [teardownStart, teardownComplete])
    if (routine !== 0) yield* withRelated(k, instance, 0, (related) => k.callInt(routine, related, reason));
  yield* releaseContextsOf(k, instance.handle);
  forgetInstance(k, instance);
}

function forgetInstance(k: Windows, instance: FilterInstance): void {
  const { instances } = k.state(manager);
  instances.splice(instances.indexOf(instance), 1);
  k.pool.release(instance.handle);
}

/** FLT_RELATED_OBJECTS for one call. */
function* withRelated<T>(
  k: Windows,
  instance: FilterInstance,
  file: Address,
  use: (related: Address) => Steps<T>,
): Steps<T> {
  const related = k.pool.allocate('nonpaged', k.sizeof('FLT_RELATED_OBJECTS'), TAG, 0, true);
  k.write('FLT_RELATED_OBJECTS.Size', related, k.sizeof('FLT_RELATED_OBJECTS'));
  k.write('FLT_RELATED_OBJECTS.Filter', related, instance.filter.handle);
  k.write('FLT_RELATED_OBJECTS.Volume', related, volumeHandle(k));
  k.write('FLT_RELATED_OBJECTS.Instance', related, instance.handle);
  k.write('FLT_RELATED_OBJECTS.FileObject', related, file);
  const value = yield* use(related);
  k.pool.release(related);
  return value;
}

// -- operations -------------------------------------------------------------------------------------------------------------

/** Where an operation enters: at the top, or below an instance that makes it itself. */
export type FilterLevel = 'top' | FilterInstance;

export interface FilteredOutcome {
  readonly status: number;
  readonly information: number;
}

interface Request {
  readonly major: number;
  readonly minor?: number;
  readonly file: Address;
  /** Of a create: what it asks for. */
  readonly create?: { readonly access: number; readonly disposition: number; readonly options: number };
  /** Writes FLT_IO_PARAMETER_BLOCK.Parameters. */
  readonly fill?: (parameters: Address) => void;
}

/** The file system's part; `parameters`: what filters may have changed, 0 when none looked. */
type Perform = (parameters: Address) => FilteredOutcome | undefined;

const DONE: FilteredOutcome = { status: Status.SUCCESS, information: 0 };

/** Instances that an operation passes, from the top down. */
function passed(k: Windows, level: FilterLevel, major: number): FilterInstance[] {
  const all = filterInstances(k);
  const from = level === 'top' ? 0 : all.indexOf(level) + 1;
  return all.slice(from).filter(({ filter }) => filter.started && filter.registration.operations.has(major));
}

/** An operation with its callbacks. */
export function* filtered(
  k: Windows,
  level: FilterLevel,
  request: Request,
  perform: Perform,
): Steps<FilteredOutcome> {
  const instances = passed(k, level, request.major);
  if (instances.length === 0) return perform(0) ?? DONE;
  const security = request.create === undefined ? 0 : newSecurityContext(k, request.create);
  const data = newCallbackData(k, request, security);
  const iopb = k.read('FLT_CALLBACK_DATA.Iopb', data);
  const parameters = iopb + k.offset('FLT_IO_PARAMETER_BLOCK.Parameters');
  const behind: { instance: FilterInstance; context: Address }[] = [];
  const context = k.pool.allocate('nonpaged', k.word, TAG, 0, true);
  let completed = false;
  for (const instance of instances) {
    const { before } = instance.filter.registration.operations.get(request.major) ?? { before: 0 };
    k.memory.setPtr(context, 0);
    k.write('FLT_IO_PARAMETER_BLOCK.TargetInstance', iopb, instance.handle);
    const verdict =
      before === 0
        ? Before.WITH_CALLBACK
        : yield* withRelated(k, instance, request.file, (related) =>
            k.callInt(before, data, related, context),
          );
    if (verdict === Before.COMPLETE) {
      completed = true;
      break;
    }
    if (verdict === Before.WITH_CALLBACK || verdict === Before.SYNCHRONIZE)
      behind.push({ instance, context: k.memory.ptr(context) });
  }
  if (!completed) setOutcome(k, data, perform(parameters) ?? DONE);
  yield* after(k, data, iopb, request, behind.reverse());
  if (request.major === Major.CLOSE) yield* releaseContextsOf(k, request.file);
  const outcome = {
    status: k.read('FLT_CALLBACK_DATA.IoStatus.Status', data) | 0,
    information: k.read('FLT_CALLBACK_DATA.IoStatus.Information', data),
  };
  for (const block of [context, iopb, data, ...(security === 0 ? [] : [security])]) k.pool.release(block);
  return outcome;
}

/** Callbacks behind the operation, from the bottom up. */
function* after(
  k: Windows,
  data: Address,
  iopb: Address,
  { major, file }: Request,
  list: readonly { readonly instance: FilterInstance; readonly context: Address }[],
): Steps<void> {
  k.write('FLT_CALLBACK_DATA.Flags', data, k.read('FLT_CALLBACK_DATA.Flags', data) | DataFlag.POST_OPERATION);
  for (const { instance, context } of list) {
    const routine = instance.filter.registration.operations.get(major)?.after ?? 0;
    if (routine === 0) continue;
    k.write('FLT_IO_PARAMETER_BLOCK.TargetInstance', iopb, instance.handle);
    yield* withRelated(k, instance, file, (related) => k.callInt(routine, data, related, context, 0));
  }
}

function setOutcome(k: Windows, data: Address, { status, information }: FilteredOutcome): void {
  k.write('FLT_CALLBACK_DATA.IoStatus.Status', data, status);
  k.write('FLT_CALLBACK_DATA.IoStatus.Information', data, information);
}

/** IO_SECURITY_CONTEXT, which filters of creates look into for the access that is wanted. */
function newSecurityContext(k: Windows, { access, options }: NonNullable<Request['create']>): Address {
  const at = k.pool.allocate('nonpaged', k.sizeof('IO_SECURITY_CONTEXT'), TAG, 0, true);
  k.write('IO_SECURITY_CONTEXT.DesiredAccess', at, access);
  k.write('IO_SECURITY_CONTEXT.FullCreateOptions', at, options);
  return at;
}

function newCallbackData(
  k: Windows,
  { major, minor = 0, file, create, fill }: Request,
  security: Address,
): Address {
  const data = k.pool.allocate('nonpaged', k.sizeof('FLT_CALLBACK_DATA'), TAG, 0, true);
  const iopb = k.pool.allocate('nonpaged', k.sizeof('FLT_IO_PARAMETER_BLOCK'), TAG, 0, true);
  k.write('FLT_CALLBACK_DATA.Flags', data, DataFlag.IRP_OPERATION);
  k.write('FLT_CALLBACK_DATA.Thread', data, k.processor.currentThread);
  k.write('FLT_CALLBACK_DATA.Iopb', data, iopb);
  k.write('FLT_CALLBACK_DATA.RequestorMode', data, k.threads.current?.user ? 1 : 0);
  k.write('FLT_IO_PARAMETER_BLOCK.MajorFunction', iopb, major);
  k.write('FLT_IO_PARAMETER_BLOCK.MinorFunction', iopb, minor);
  k.write('FLT_IO_PARAMETER_BLOCK.TargetFileObject', iopb, file);
  const parameters = iopb + k.offset('FLT_IO_PARAMETER_BLOCK.Parameters');
  if (create !== undefined) {
    k.memory.setPtr(parameters, security);
    k.memory.set32(parameters + k.word, ((create.disposition << 24) | (create.options & 0xffffff)) >>> 0);
  }
  fill?.(parameters);
  return data;
}

/** IRP_MJ_READ and IRP_MJ_WRITE: filters may change length, offset and buffer, and mark the data dirty. */
export function* filteredTransfer(
  k: Windows,
  level: FilterLevel,
  t: {
    readonly file: Address;
    readonly writing: boolean;
    readonly buffer: Address;
    readonly bytes: number;
    readonly at: number;
  },
  perform: (buffer: Address, bytes: number, at: number) => FilteredOutcome,
): Steps<FilteredOutcome> {
  const w = k.word;
  // LARGE_INTEGER ByteOffset is behind length and key, and the buffer behind it.
  const [offsetAt, bufferAt] = [2 * w, 2 * w + 8];
  const request: Request = {
    major: t.writing ? Major.WRITE : Major.READ,
    file: t.file,
    fill: (p) => {
      k.memory.set32(p, t.bytes);
      k.memory.setU64(p + offsetAt, BigInt(t.at));
      k.memory.setPtr(p + bufferAt, t.buffer);
    },
  };
  return yield* filtered(k, level, request, (p) =>
    p === 0
      ? perform(t.buffer, t.bytes, t.at)
      : perform(
          k.memory.ptr(p + bufferAt),
          Math.min(k.memory.u32(p), t.bytes),
          Math.max(0, Number(BigInt.asIntN(64, k.memory.u64(p + offsetAt)))),
        ),
  );
}

/** IRP_MJ_QUERY_INFORMATION and IRP_MJ_SET_INFORMATION: length, class, buffer. */
export function* filteredChange(
  k: Windows,
  level: FilterLevel,
  c: {
    readonly major: number;
    readonly file: Address;
    readonly buffer: Address;
    readonly bytes: number;
    readonly kind: number;
  },
  perform: () => FilteredOutcome,
): Steps<FilteredOutcome> {
  const fill = (p: Address) => {
    k.memory.set32(p, c.bytes);
    k.memory.set32(p + k.word, c.kind);
    // Of a change the target's folder and a flag stand between.
    k.memory.setPtr(p + (c.major === Major.SET_INFORMATION ? 4 : 2) * k.word, c.buffer);
  };
  return yield* filtered(k, level, { major: c.major, file: c.file, fill }, perform);
}
