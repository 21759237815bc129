/** Files as drivers open, read, write and list them: on the sandbox's own volume, or on devices through their drivers. */
import { joinTables } from '../../../kernel/functions.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { openByName } from '../files.ts';
import { Major } from '../irp.ts';
import { filtered } from '../minifilter.ts';
import {
  allocation,
  attributesOf,
  Bytes,
  type Create,
  changeOnVolume,
  DIRECTORY_NOT_EMPTY,
  Did,
  Disposition,
  Info,
  type OpenFile,
  type Outcome,
  openFileOf,
  openOnVolume,
  queryOnVolume,
  times,
  transferOnVolume,
} from '../open-files.ts';
import { controlFile, request, transferFile } from '../requests.ts';
import { Status } from '../status.ts';
import { encodeUtf16, unicodeString } from '../strings.ts';
import { type FileNode, volumePath } from '../volume.ts';
import { signal } from '../wait.ts';
import type { Windows } from '../windows.ts';
import { kernelFunctions, underZw } from './define.ts';
import { nameMatches } from './fsrtl.ts';
import { attributesPath } from './ps.ts';

/** Status values that only files have. */
const NO_MORE_FILES = 0x80000006 | 0;
const SHARING_VIOLATION = 0xc0000043 | 0;

/** Fills an IO_STATUS_BLOCK, where there is one. @returns the status */
export function setBlock(k: Windows, block: Address, status: number, information: number): number {
  if (block !== 0) {
    k.write('IO_STATUS_BLOCK.Status', block, status);
    k.write('IO_STATUS_BLOCK.Information', block, information);
  }
  return status;
}

/** The path in an OBJECT_ATTRIBUTES: below an open folder when it has a root. */
function pathOf(k: Windows, attributes: Address): string {
  const root = k.read('OBJECT_ATTRIBUTES.RootDirectory', attributes);
  const folder = root === 0 ? undefined : k.objects.fromHandle(root);
  const open = folder === undefined ? undefined : openFileOf(k, folder);
  if (open === undefined) return attributesPath(k, attributes);
  return `\\??\\C:${open.path}\\${unicodeString(k, k.read('OBJECT_ATTRIBUTES.ObjectName', attributes))}`;
}

interface ZwCreate extends Create {
  readonly out: Address;
  readonly attributes: Address;
  readonly block: Address;
}

/** NtCreateFile. */
function* createFile(k: Windows, c: ZwCreate): Steps<number> {
  const path = pathOf(k, c.attributes);
  if (path === '') return setBlock(k, c.block, Status.OBJECT_PATH_SYNTAX_BAD, 0);
  const onVolume = volumePath(path);
  if (onVolume === undefined) {
    const { status, handle } = yield* openByName(k, path);
    if (status >= 0) k.memory.setPtr(c.out, handle);
    return setBlock(k, c.block, status, status >= 0 ? Did.OPENED : 0);
  }
  const { status, information, object } = yield* openOnVolume(k, onVolume, c);
  if (object !== undefined) {
    k.memory.setPtr(c.out, k.objects.open(object));
    yield* k.objects.dereference(object);
  }
  return setBlock(k, c.block, status, information);
}

// -- reading and writing ------------------------------------------------------------------------------------------------

interface Transfer {
  readonly handle: number;
  readonly event: number;
  readonly block: Address;
  readonly buffer: Address;
  readonly bytes: number;
  readonly offset: Address;
}

function finish(k: Windows, t: Transfer, status: number, bytes: number): number {
  const event = t.event === 0 ? undefined : k.objects.fromHandle(t.event);
  if (event !== undefined) signal(k, event.address, 1);
  return setBlock(k, t.block, status, bytes);
}

function* transfer(k: Windows, writing: boolean, t: Transfer): Steps<number> {
  const object = k.objects.fromHandle(t.handle);
  if (object === undefined) return Status.INVALID_HANDLE;
  if (object.type !== 'File') return Status.OBJECT_TYPE_MISMATCH;
  const open = openFileOf(k, object);
  if (open === undefined) {
    const given = t.offset === 0 ? 0 : Number(BigInt.asIntN(64, k.memory.u64(t.offset)));
    const outcome = yield* transferFile(k, object.address, writing, t.buffer, t.bytes, Math.max(0, given));
    return finish(k, t, outcome.status, outcome.information);
  }
  const { status, information } = yield* transferOnVolume(k, object, open, writing, t);
  return finish(k, t, status, information);
}

/** NtQueryInformationFile and NtSetInformationFile: both find the file first. */
function* aboutFile(
  k: Windows,
  change: boolean,
  handle: number,
  block: Address,
  buffer: Address,
  bytes: number,
  kind: number,
): Steps<number> {
  const object = k.objects.fromHandle(handle);
  if (object === undefined) return Status.INVALID_HANDLE;
  const open = openFileOf(k, object);
  if (open === undefined) return setBlock(k, block, Status.INVALID_DEVICE_REQUEST, 0);
  const act = change ? changeOnVolume : queryOnVolume;
  const { status, information } = yield* act(k, object, open, buffer, bytes, kind);
  const told = change || (status !== Status.INVALID_INFO_CLASS && status !== Status.INFO_LENGTH_MISMATCH);
  return told ? setBlock(k, block, status, information) : status;
}

// -- listings -------------------------------------------------------------------------------------------------------------

/** One entry without its link to the next. */
function listed(node: FileNode, kind: number): Uint8Array | undefined {
  const name = encodeUtf16(node.name);
  if (kind === Info.NAMES) return new Bytes().u32(0).u32(0).u32(name.length).raw(name).done;
  if (kind < Info.DIRECTORY || kind > Info.BOTH_DIRECTORY) return undefined;
  const b = times(new Bytes().u32(0).u32(0), node)
    .u64(BigInt(node.data?.length ?? 0))
    .u64(BigInt(allocation(node)))
    .u32(attributesOf(node))
    .u32(name.length);
  if (kind >= Info.FULL_DIRECTORY) b.u32(0);
  // Both: length of the short name, a byte of padding, twelve characters.
  if (kind === Info.BOTH_DIRECTORY) b.u8(0, 0).raw(new Uint8Array(24));
  return b.raw(name).done;
}

interface Listing {
  readonly handle: number;
  readonly block: Address;
  readonly out: Address;
  readonly room: number;
  readonly kind: number;
  readonly single: boolean;
  readonly pattern: Address;
  readonly restart: boolean;
}

/** IRP_MJ_DIRECTORY_CONTROL, IRP_MN_QUERY_DIRECTORY. */
function* queryDirectory(k: Windows, l: Listing): Steps<number> {
  const object = k.objects.fromHandle(l.handle);
  const open = object === undefined ? undefined : openFileOf(k, object);
  if (object === undefined || open === undefined) return Status.INVALID_HANDLE;
  if (open.node.data !== undefined) return Status.INVALID_PARAMETER;
  const w = k.word;
  const fill = (p: Address) => {
    k.memory.set32(p, l.room);
    k.memory.setPtr(p + w, l.pattern);
    k.memory.set32(p + 2 * w, l.kind);
    k.memory.setPtr(p + 4 * w, l.out);
  };
  const request = { major: Major.DIRECTORY_CONTROL, minor: 1, file: object.address, fill };
  const done = yield* filtered(k, 'top', request, () => listFolder(k, open, l));
  return done.status === Status.INVALID_INFO_CLASS
    ? done.status
    : setBlock(k, l.block, done.status, done.information);
}

function listFolder(k: Windows, open: OpenFile, l: Listing): Outcome {
  const first = open.listing === undefined || l.restart;
  if (open.listing === undefined || l.restart) {
    const pattern = l.pattern === 0 ? '*' : unicodeString(k, l.pattern);
    const dots = ['.', '..'].map((name): FileNode => ({ ...open.node, name, data: undefined }));
    const all = [...(open.node.parent === undefined ? [] : dots), ...open.node.entries.values()];
    open.listing = { names: all.filter(({ name }) => nameMatches(pattern, name)), at: 0 };
  }
  const { listing } = open;
  let [used, previous] = [0, -1];
  while (listing.at < listing.names.length) {
    const bytes = listed(listing.names[listing.at], l.kind);
    if (bytes === undefined) return { status: Status.INVALID_INFO_CLASS, information: 0 };
    const at = (used + 7) & ~7;
    if (at + bytes.length > l.room) {
      if (previous < 0) return { status: Status.BUFFER_OVERFLOW, information: 0 };
      break;
    }
    k.memory.write(l.out + at, bytes);
    if (previous >= 0) k.memory.set32(l.out + previous, at - previous);
    [previous, used] = [at, at + bytes.length];
    listing.at++;
    if (l.single) break;
  }
  if (previous >= 0) return { status: Status.SUCCESS, information: used };
  return { status: first ? Status.NO_SUCH_FILE : NO_MORE_FILES, information: 0 };
}

// -- the rest ---------------------------------------------------------------------------------------------------------------

/** FS_INFORMATION_CLASS: volume (1), size (3), device (4), attribute (5). */
function queryVolume(
  k: Windows,
  handle: number,
  block: Address,
  out: Address,
  room: number,
  kind: number,
): number {
  const object = k.objects.fromHandle(handle);
  if (object === undefined) return Status.INVALID_HANDLE;
  const label = encodeUtf16('System');
  const name = encodeUtf16('NTFS');
  const device = openFileOf(k, object) !== undefined ? 0 : k.read('FILE_OBJECT.DeviceObject', object.address);
  const bytes = [
    undefined,
    new Bytes().u64(k.volume.root.created).u32(0x1c0de).u32(label.length).u8(0, 0).raw(label),
    undefined,
    new Bytes().u64(0x4000n).u64(0x4000n).u32(8).u32(512),
    device === 0
      ? new Bytes().u32(7).u32(0)
      : new Bytes()
          .u32(k.read('DEVICE_OBJECT.DeviceType', device))
          .u32(k.read('DEVICE_OBJECT.Characteristics', device)),
    new Bytes().u32(0xf).u32(255).u32(name.length).raw(name),
  ][kind]?.done;
  if (bytes === undefined) return Status.INVALID_INFO_CLASS;
  k.memory.write(out, bytes.subarray(0, room));
  const status = room < bytes.length ? Status.BUFFER_OVERFLOW : Status.SUCCESS;
  return setBlock(k, block, status, Math.min(room, bytes.length));
}

function* deleteFile(k: Windows, attributes: Address): Steps<number> {
  const path = volumePath(pathOf(k, attributes));
  if (path === undefined) return Status.OBJECT_NAME_NOT_FOUND;
  const node = k.volume.find(path);
  if (node === undefined)
    return k.volume.folderOf(path) === undefined
      ? Status.OBJECT_PATH_NOT_FOUND
      : Status.OBJECT_NAME_NOT_FOUND;
  if (node.entries.size > 0) return DIRECTORY_NOT_EMPTY;
  if (node.handles > 0) return SHARING_VIOLATION;
  k.volume.remove(node);
  return Status.SUCCESS;
}

function attributesOfPath(k: Windows, attributes: Address, out: Address, full: boolean): number {
  const path = volumePath(pathOf(k, attributes));
  const node = path === undefined ? undefined : k.volume.find(path);
  if (node === undefined) return Status.OBJECT_NAME_NOT_FOUND;
  const b = times(new Bytes(), node);
  if (full) b.u64(BigInt(allocation(node))).u64(BigInt(node.data?.length ?? 0));
  k.memory.write(out, b.u32(attributesOf(node)).u32(0).done);
  return Status.SUCCESS;
}

interface Control {
  readonly handle: number;
  readonly event: number;
  readonly block: Address;
  readonly code: number;
  readonly input: Address;
  readonly inputBytes: number;
  readonly output: Address;
  readonly outputBytes: number;
}

function* controlDevice(k: Windows, major: 'device' | 'file-system', c: Control): Steps<number> {
  const object = k.objects.fromHandle(c.handle);
  if (object === undefined) return Status.INVALID_HANDLE;
  if (object.type !== 'File') return Status.OBJECT_TYPE_MISMATCH;
  if (openFileOf(k, object) !== undefined) return setBlock(k, c.block, Status.INVALID_DEVICE_REQUEST, 0);
  const { status, information } = yield* controlFile(k, object.address, major, c);
  const event = c.event === 0 ? undefined : k.objects.fromHandle(c.event);
  if (event !== undefined) signal(k, event.address, 1);
  return setBlock(k, c.block, status, information);
}

/** The volume keeps nothing back; a device's driver is asked (IRP_MJ_FLUSH_BUFFERS), and so are filters of files. */
function* flush(k: Windows, handle: number, block: Address): Steps<number> {
  const object = k.objects.fromHandle(handle);
  if (object === undefined) return Status.INVALID_HANDLE;
  if (object.type !== 'File') return Status.OBJECT_TYPE_MISMATCH;
  const file = object.address;
  const done =
    openFileOf(k, object) === undefined
      ? yield* request(
          k,
          file,
          k.read('FILE_OBJECT.DeviceObject', file),
          Major.FLUSH_BUFFERS,
          () => undefined,
        )
      : yield* filtered(k, 'top', { major: Major.FLUSH_BUFFERS, file }, () => undefined);
  return setBlock(k, block, done.status, done.information);
}

/** What drivers call by either name: requests of theirs are not probed here, so that both are the same. */
const nt = kernelFunctions({
  'NTSTATUS NtCreateFile(HANDLE *handle, ACCESS_MASK access, PVOID attributes, PVOID block, PVOID size, ULONG fileAttributes, ULONG share, ULONG disposition, ULONG options, PVOID ea, ULONG eaLength)':
    (k, out, access, attributes, block, _size, _fa, _share, disposition, options) =>
      createFile(k, { out, access, attributes, block, disposition, options }),
  'NTSTATUS NtOpenFile(HANDLE *handle, ACCESS_MASK access, PVOID attributes, PVOID block, ULONG share, ULONG options)':
    (k, out, access, attributes, block, _share, options) =>
      createFile(k, { out, access, attributes, block, disposition: Disposition.OPEN, options }),
  'NTSTATUS NtReadFile(HANDLE handle, HANDLE event, PVOID apc, PVOID context, PVOID block, PVOID buffer, ULONG bytes, PVOID offset, ULONG *key)':
    (k, handle, event, _apc, _context, block, buffer, bytes, offset) =>
      transfer(k, false, { handle, event, block, buffer, bytes, offset }),
  'NTSTATUS NtWriteFile(HANDLE handle, HANDLE event, PVOID apc, PVOID context, PVOID block, PVOID buffer, ULONG bytes, PVOID offset, ULONG *key)':
    (k, handle, event, _apc, _context, block, buffer, bytes, offset) =>
      transfer(k, true, { handle, event, block, buffer, bytes, offset }),
  'NTSTATUS NtQueryInformationFile(HANDLE handle, PVOID block, PVOID out, ULONG room, ULONG kind)': (
    k,
    ...rest
  ) => aboutFile(k, false, ...rest),
  'NTSTATUS NtSetInformationFile(HANDLE handle, PVOID block, PVOID data, ULONG bytes, ULONG kind)': (
    k,
    ...rest
  ) => aboutFile(k, true, ...rest),
  'NTSTATUS NtQueryDirectoryFile(HANDLE handle, HANDLE event, PVOID apc, PVOID context, PVOID block, PVOID out, ULONG room, ULONG kind, BOOLEAN single, PVOID pattern, BOOLEAN restart)':
    (k, handle, _event, _apc, _context, block, out, room, kind, single, pattern, restart) =>
      queryDirectory(k, {
        handle,
        block,
        out,
        room,
        kind,
        single: single !== 0,
        pattern,
        restart: restart !== 0,
      }),
  'NTSTATUS NtQueryVolumeInformationFile(HANDLE handle, PVOID block, PVOID out, ULONG room, ULONG kind)': (
    k,
    ...rest
  ) => queryVolume(k, ...rest),
  'NTSTATUS NtDeleteFile(PVOID attributes)': (k, attributes) => deleteFile(k, attributes),
  'NTSTATUS NtFlushBuffersFile(HANDLE handle, PVOID block)': (k, handle, block) => flush(k, handle, block),
  'NTSTATUS NtQueryFullAttributesFile(PVOID attributes, PVOID out)': (k, attributes, out) =>
    attributesOfPath(k, attributes, out, true),
  'NTSTATUS NtQueryAttributesFile(PVOID attributes, PVOID out)': (k, attributes, out) =>
    attributesOfPath(k, attributes, out, false),
  'NTSTATUS NtDeviceIoControlFile(HANDLE handle, HANDLE event, PVOID apc, PVOID context, PVOID block, ULONG code, PVOID input, ULONG inputBytes, PVOID output, ULONG outputBytes)':
    (k, handle, event, _apc, _context, block, code, input, inputBytes, output, outputBytes) =>
      controlDevice(k, 'device', { handle, event, block, code, input, inputBytes, output, outputBytes }),
  'NTSTATUS NtFsControlFile(HANDLE handle, HANDLE event, PVOID apc, PVOID context, PVOID block, ULONG code, PVOID input, ULONG inputBytes, PVOID output, ULONG outputBytes)':
    (k, handle, event, _apc, _context, block, code, input, inputBytes, output, outputBytes) =>
      controlDevice(k, 'file-system', { handle, event, block, code, input, inputBytes, output, outputBytes }),
});

export const fileFunctions = joinTables([
  nt,
  underZw(nt),
  kernelFunctions({
    'NTSTATUS IoCreateFile(HANDLE *handle, ACCESS_MASK access, PVOID attributes, PVOID block, PVOID size, ULONG fileAttributes, ULONG share, ULONG disposition, ULONG options, PVOID ea, ULONG eaLength, ULONG type, PVOID extra, ULONG more)':
      (k, out, access, attributes, block, _size, _fa, _share, disposition, options) =>
        createFile(k, { out, access, attributes, block, disposition, options }),
  }),
]);
