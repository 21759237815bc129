/** Names of files as minifilters ask for them, and the contexts that they hang on instances, files and handles. */
import type { Address } from '../../../memory/space.ts';
import {
  allocateContext,
  contextAt,
  deleteContext,
  getContext,
  ContextKind as Kind,
  referenceContext,
  releaseContext,
  setContext,
} from '../filter-contexts.ts';
import { filterAt, VOLUME_DEVICE } from '../minifilter.ts';
import { openFileOf } from '../open-files.ts';
import { Status } from '../status.ts';
import { encodeUtf16, setCounted, unicodeString } from '../strings.ts';
import type { Windows } from '../windows.ts';
import { kernelFunctions } from './define.ts';

const TAG = 0x6e6c6646;
/** FLT_FILE_NAME_OPTIONS: the format is the lowest byte. */
const NORMALIZED = 1;
/** FLTFL_FILE_NAME_PARSED_*. */
const Parsed = { FINAL_COMPONENT: 1, EXTENSION: 2, STREAM: 4, PARENT_DIR: 8 } as const;

/** FLT_FILE_NAME_INFORMATION with its text behind it, and a count of references in front of it. */
function newNameInformation(k: Windows, file: Address, options: number, out: Address): number {
  const path = unicodeString(k, file + k.offset('FILE_OBJECT.FileName'));
  const name = encodeUtf16(`${VOLUME_DEVICE}${path.replace(/\\$/, '')}`);
  const bytes = k.sizeof('FLT_FILE_NAME_INFORMATION');
  const block = k.pool.allocate('paged', 16 + bytes + name.length + 2, TAG, 0, true);
  if (block === 0) return Status.INSUFFICIENT_RESOURCES;
  k.memory.set32(block, 1);
  const at = block + 16;
  k.memory.write(at + bytes, name);
  const set = (field: string, from: number, length: number) =>
    setCounted(
      k,
      at + k.offset(`FLT_FILE_NAME_INFORMATION.${field}`),
      length,
      length,
      length === 0 ? 0 : at + bytes + from,
    );
  k.write('FLT_FILE_NAME_INFORMATION.Size', at, bytes);
  k.write('FLT_FILE_NAME_INFORMATION.Format', at, (options & 0xff) === 0 ? NORMALIZED : options & 0xff);
  set('Name', 0, name.length);
  set('Volume', 0, VOLUME_DEVICE.length * 2);
  k.memory.setPtr(out, at);
  return Status.SUCCESS;
}

/** FltParseFileNameInformation: the parts behind the volume. */
function parseName(k: Windows, at: Address): number {
  const name = unicodeString(k, at + k.offset('FLT_FILE_NAME_INFORMATION.Name'));
  const text = k.read('UNICODE_STRING.Buffer', at + k.offset('FLT_FILE_NAME_INFORMATION.Name'));
  const set = (field: string, from: number, to: number) =>
    setCounted(
      k,
      at + k.offset(`FLT_FILE_NAME_INFORMATION.${field}`),
      (to - from) * 2,
      (to - from) * 2,
      to === from ? 0 : text + from * 2,
    );
  const last = name.lastIndexOf('\\');
  const stream = name.indexOf(':', last);
  const end = stream < 0 ? name.length : stream;
  const dot = name.slice(last + 1, end).lastIndexOf('.');
  set('FinalComponent', last + 1, name.length);
  set('Stream', stream < 0 ? name.length : stream, name.length);
  set('Extension', dot < 0 ? end : last + 1 + dot + 1, end);
  set('ParentDir', VOLUME_DEVICE.length, Math.max(VOLUME_DEVICE.length, last + 1));
  const all = Parsed.FINAL_COMPONENT | Parsed.EXTENSION | Parsed.STREAM | Parsed.PARENT_DIR;
  k.write('FLT_FILE_NAME_INFORMATION.NamesParsed', at, all);
  return Status.SUCCESS;
}

function countName(k: Windows, at: Address, by: number): void {
  const left = k.memory.u32(at - 16) + by;
  if (left <= 0) k.pool.release(at - 16);
  else k.memory.set32(at - 16, left);
}

const targetFile = (k: Windows, data: Address): Address =>
  k.read('FLT_IO_PARAMETER_BLOCK.TargetFileObject', k.read('FLT_CALLBACK_DATA.Iopb', data));

/** Files have one stream here: contexts of either hang on the file's node, those of handles on the file object. */
function filePlace(k: Windows, kind: number, instance: Address, file: Address): string {
  const object = k.objects.at(file);
  const open = object === undefined ? undefined : openFileOf(k, object);
  return kind === Kind.STREAM_HANDLE || open === undefined
    ? `${kind} ${instance} ${file}`
    : `${kind} ${instance} ${open.path.toLowerCase()}`;
}

export const fltNameFunctions = kernelFunctions({
  'NTSTATUS FltGetFileNameInformation(PVOID data, ULONG options, PVOID *information)': (
    k,
    data,
    options,
    out,
  ) => newNameInformation(k, targetFile(k, data), options, out),
  'NTSTATUS FltGetFileNameInformationUnsafe(PVOID file, PVOID instance, ULONG options, PVOID *information)': (
    k,
    file,
    _instance,
    options,
    out,
  ) => newNameInformation(k, file, options, out),
  'NTSTATUS FltParseFileNameInformation(PVOID information)': (k, at) => parseName(k, at),
  'void FltReferenceFileNameInformation(PVOID information)': (k, at) => countName(k, at, 1),
  'void FltReleaseFileNameInformation(PVOID information)': (k, at) => countName(k, at, -1),

  'NTSTATUS FltAllocateContext(PVOID filter, USHORT type, SIZE_T bytes, ULONG pool, PVOID *context)': (
    k,
    filter,
    type,
    bytes,
    pool,
    out,
  ) => allocateContext(k, filterAt(k, filter), type, bytes, pool, out),
  'void FltReferenceContext(PVOID context)': (k, at) => referenceContext(k, at),
  'void FltReleaseContext(PVOID context)': (k, at) => releaseContext(k, at),
  'void FltDeleteContext(PVOID context)': function* (k, at) {
    const place = contextAt(k, at)?.at;
    if (place !== undefined) yield* deleteContext(k, place, 0);
  },
  'NTSTATUS FltSetInstanceContext(PVOID instance, ULONG how, PVOID context, PVOID *old)': (
    k,
    instance,
    how,
    context,
    old,
  ) => setContext(k, `${Kind.INSTANCE} ${instance}`, how, context, old),
  'NTSTATUS FltGetInstanceContext(PVOID instance, PVOID *context)': (k, instance, out) =>
    getContext(k, `${Kind.INSTANCE} ${instance}`, out),
  'NTSTATUS FltDeleteInstanceContext(PVOID instance, PVOID *old)': (k, instance, old) =>
    deleteContext(k, `${Kind.INSTANCE} ${instance}`, old),
  'NTSTATUS FltSetVolumeContext(PVOID volume, ULONG how, PVOID context, PVOID *old)': (
    k,
    volume,
    how,
    context,
    old,
  ) => setContext(k, `${Kind.VOLUME} ${volume}`, how, context, old),
  'NTSTATUS FltGetVolumeContext(PVOID filter, PVOID volume, PVOID *context)': (k, _filter, volume, out) =>
    getContext(k, `${Kind.VOLUME} ${volume}`, out),
  'NTSTATUS FltSetStreamContext(PVOID instance, PVOID file, ULONG how, PVOID context, PVOID *old)': (
    k,
    instance,
    file,
    how,
    context,
    old,
  ) => setContext(k, filePlace(k, Kind.STREAM, instance, file), how, context, old),
  'NTSTATUS FltGetStreamContext(PVOID instance, PVOID file, PVOID *context)': (k, instance, file, out) =>
    getContext(k, filePlace(k, Kind.STREAM, instance, file), out),
  'NTSTATUS FltSetStreamHandleContext(PVOID instance, PVOID file, ULONG how, PVOID context, PVOID *old)': (
    k,
    instance,
    file,
    how,
    context,
    old,
  ) => setContext(k, filePlace(k, Kind.STREAM_HANDLE, instance, file), how, context, old),
  'NTSTATUS FltGetStreamHandleContext(PVOID instance, PVOID file, PVOID *context)': (
    k,
    instance,
    file,
    out,
  ) => getContext(k, filePlace(k, Kind.STREAM_HANDLE, instance, file), out),
  'NTSTATUS FltDeleteStreamHandleContext(PVOID instance, PVOID file, PVOID *old)': (k, instance, file, old) =>
    deleteContext(k, filePlace(k, Kind.STREAM_HANDLE, instance, file), old),
});
