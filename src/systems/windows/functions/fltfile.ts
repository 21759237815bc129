/** Operations on files that a minifilter makes itself: they begin below its own instance. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { openByName } from '../files.ts';
import { type FilterLevel, instanceAt } from '../minifilter.ts';
import type { KernelObject } from '../objects.ts';
import {
  changeOnVolume,
  Did,
  type OpenFile,
  openFileOf,
  openOnVolume,
  queryOnVolume,
  transferOnVolume,
} from '../open-files.ts';
import { Status } from '../status.ts';
import { volumePath } from '../volume.ts';
import type { Windows } from '../windows.ts';
import { kernelFunctions } from './define.ts';
import { attributesPath } from './ps.ts';
import { setBlock } from './zwfile.ts';

/** FLTFL_IO_OPERATION_DO_NOT_UPDATE_BYTE_OFFSET. */
const KEEP_POSITION = 4;

/** Without an instance an operation begins at the top, like anybody's. */
const levelOf = (k: Windows, instance: Address): FilterLevel => instanceAt(k, instance) ?? 'top';

interface Opening {
  readonly instance: Address;
  readonly handle: Address;
  readonly file: Address;
  readonly access: number;
  readonly attributes: Address;
  readonly block: Address;
  readonly disposition: number;
  readonly options: number;
}

function* open(k: Windows, o: Opening): Steps<number> {
  const path = attributesPath(k, o.attributes);
  const onVolume = volumePath(path);
  if (onVolume === undefined) {
    const { status, handle, file } = yield* openByName(k, path);
    if (status >= 0) k.memory.setPtr(o.handle, handle);
    if (status >= 0 && o.file !== 0) giveObject(k, k.objects.at(file), o.file);
    return setBlock(k, o.block, status, status >= 0 ? Did.OPENED : 0);
  }
  const { status, information, object } = yield* openOnVolume(k, onVolume, o, levelOf(k, o.instance));
  if (object !== undefined) {
    k.memory.setPtr(o.handle, k.objects.open(object));
    if (o.file !== 0) giveObject(k, object, o.file);
    yield* k.objects.dereference(object);
  }
  return setBlock(k, o.block, status, information);
}

function giveObject(k: Windows, object: KernelObject | undefined, out: Address): void {
  if (object === undefined) return;
  k.objects.reference(object);
  k.memory.setPtr(out, object.address);
}

/** The open file of a file object, for what is done with it; what else it may be is no file of the volume. */
function* withFile(
  k: Windows,
  file: Address,
  act: (object: KernelObject, open: OpenFile) => Steps<number>,
): Steps<number> {
  const object = k.objects.at(file);
  const found = object === undefined ? undefined : openFileOf(k, object);
  return object === undefined || found === undefined ? Status.INVALID_PARAMETER : yield* act(object, found);
}

interface Moving {
  readonly instance: Address;
  readonly file: Address;
  readonly offset: Address;
  readonly bytes: number;
  readonly buffer: Address;
  readonly flags: number;
  readonly moved: Address;
}

function* move(k: Windows, writing: boolean, m: Moving): Steps<number> {
  return yield* withFile(k, m.file, function* (object, found) {
    const before = k.read('FILE_OBJECT.CurrentByteOffset', m.file);
    const level = levelOf(k, m.instance);
    const { status, information } = yield* transferOnVolume(k, object, found, writing, m, level);
    if ((m.flags & KEEP_POSITION) !== 0) k.write('FILE_OBJECT.CurrentByteOffset', m.file, before);
    if (m.moved !== 0) k.memory.set32(m.moved, information);
    return status;
  });
}

export const fltFileFunctions = kernelFunctions({
  'NTSTATUS FltCreateFile(PVOID filter, PVOID instance, HANDLE *handle, ACCESS_MASK access, PVOID attributes, PVOID block, PVOID size, ULONG fileAttributes, ULONG share, ULONG disposition, ULONG options, PVOID ea, ULONG eaLength, ULONG flags)':
    (k, _filter, instance, handle, access, attributes, block, _size, _fa, _share, disposition, options) =>
      open(k, { instance, handle, file: 0, access, attributes, block, disposition, options }),
  'NTSTATUS FltCreateFileEx(PVOID filter, PVOID instance, HANDLE *handle, PVOID *file, ACCESS_MASK access, PVOID attributes, PVOID block, PVOID size, ULONG fileAttributes, ULONG share, ULONG disposition, ULONG options, PVOID ea, ULONG eaLength, ULONG flags)':
    (
      k,
      _filter,
      instance,
      handle,
      file,
      access,
      attributes,
      block,
      _size,
      _fa,
      _share,
      disposition,
      options,
    ) => open(k, { instance, handle, file, access, attributes, block, disposition, options }),
  'NTSTATUS FltClose(HANDLE handle)': (k, handle) => k.objects.close(handle),
  'NTSTATUS FltReadFile(PVOID instance, PVOID file, PVOID offset, ULONG bytes, PVOID buffer, ULONG flags, ULONG *moved, PVOID callback, PVOID context)':
    (k, instance, file, offset, bytes, buffer, flags, moved) =>
      move(k, false, { instance, file, offset, bytes, buffer, flags, moved }),
  'NTSTATUS FltWriteFile(PVOID instance, PVOID file, PVOID offset, ULONG bytes, PVOID buffer, ULONG flags, ULONG *moved, PVOID callback, PVOID context)':
    (k, instance, file, offset, bytes, buffer, flags, moved) =>
      move(k, true, { instance, file, offset, bytes, buffer, flags, moved }),
  'NTSTATUS FltQueryInformationFile(PVOID instance, PVOID file, PVOID out, ULONG room, ULONG kind, ULONG *needed)':
    (k, instance, file, out, room, kind, needed) =>
      withFile(k, file, function* (object, found) {
        const done = yield* queryOnVolume(k, object, found, out, room, kind, levelOf(k, instance));
        if (needed !== 0) k.memory.set32(needed, done.information);
        return done.status;
      }),
  'NTSTATUS FltSetInformationFile(PVOID instance, PVOID file, PVOID data, ULONG bytes, ULONG kind)': (
    k,
    instance,
    file,
    data,
    bytes,
    kind,
  ) =>
    withFile(k, file, function* (object, found) {
      return (yield* changeOnVolume(k, object, found, data, bytes, kind, levelOf(k, instance))).status;
    }),
});
