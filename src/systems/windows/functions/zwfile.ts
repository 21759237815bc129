/** Files as drivers open, read, write and list them: on the sandbox's own volume, or on devices through their drivers. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { openByName } from '../files.ts';
import type { KernelObject } from '../objects.ts';
import { controlFile, transferFile } from '../requests.ts';
import { Status } from '../status.ts';
import { encodeUtf16, setCounted, unicodeString } from '../strings.ts';
import { FileAttribute, type FileNode, type Volume, volumePath } from '../volume.ts';
import { signal } from '../wait.ts';
import type { Windows } from '../windows.ts';
import { kernelFunctions } from './define.ts';
import { nameMatches } from './fsrtl.ts';
import { attributesPath } from './ps.ts';

/** An open file of the volume; FILE_OBJECT is its body in guest memory. */
interface OpenFile {
  readonly node: FileNode;
  readonly path: string;
  readonly deleteOnClose: boolean;
  readonly appendOnly: boolean;
  /** What a listing has shown, and its pattern. */
  listing: { names: FileNode[]; at: number } | undefined;
}

const opened = perKernel(() => new Map<KernelObject, OpenFile>());
const FILE_TYPE = 5;

/** Status values that only files have. */
const NO_MORE_FILES = 0x80000006 | 0;
const SHARING_VIOLATION = 0xc0000043 | 0;
const NOT_A_DIRECTORY = 0xc0000103 | 0;
const DIRECTORY_NOT_EMPTY = 0xc0000101 | 0;
const CANNOT_DELETE = 0xc0000121 | 0;

/** CreateDisposition. */
const Disposition = { SUPERSEDE: 0, OPEN: 1, CREATE: 2, OPEN_IF: 3, OVERWRITE: 4, OVERWRITE_IF: 5 } as const;
/** CreateOptions. */
const Option = { DIRECTORY: 1, NON_DIRECTORY: 0x40, DELETE_ON_CLOSE: 0x1000 } as const;
/** IO_STATUS_BLOCK.Information of a create. */
const Did = { SUPERSEDED: 0, OPENED: 1, CREATED: 2, OVERWRITTEN: 3 } as const;

function setBlock(k: Windows, block: Address, status: number, information: number): number {
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
  const open = folder === undefined ? undefined : k.state(opened).get(folder);
  if (open === undefined) return attributesPath(k, attributes);
  return `\\??\\C:${open.path}\\${unicodeString(k, k.read('OBJECT_ATTRIBUTES.ObjectName', attributes))}`;
}

/** The contents of an open file of the volume; undefined for devices, folders and bad handles. */
export function volumeFile(k: Windows, handle: number): Uint8Array | undefined {
  const object = k.objects.fromHandle(handle);
  return object === undefined ? undefined : k.state(opened).get(object)?.node.data;
}

function newFileObject(k: Windows, open: OpenFile): KernelObject {
  const bytes = k.sizeof('FILE_OBJECT');
  const name = encodeUtf16(open.path);
  const object: KernelObject = k.objects.create('File', bytes + name.length + 2, {
    closed: () => {
      const { node } = open;
      node.handles--;
      if ((node.doomed || open.deleteOnClose) && node.handles === 0) k.volume.remove(node);
    },
    destroy: () => {
      k.state(opened).delete(object);
    },
  });
  const file = object.address;
  k.write('FILE_OBJECT.Type', file, FILE_TYPE);
  k.write('FILE_OBJECT.Size', file, bytes);
  k.memory.write(file + bytes, name);
  setCounted(k, file + k.offset('FILE_OBJECT.FileName'), name.length, name.length + 2, file + bytes);
  k.state(opened).set(object, open);
  open.node.handles++;
  return object;
}

interface Create {
  readonly out: Address;
  readonly access: number;
  readonly attributes: Address;
  readonly block: Address;
  readonly disposition: number;
  readonly options: number;
}

/** NtCreateFile. */
export function* createFile(k: Windows, c: Create): Steps<number> {
  const path = pathOf(k, c.attributes);
  if (path === '') return setBlock(k, c.block, Status.OBJECT_PATH_SYNTAX_BAD, 0);
  const onVolume = volumePath(path);
  if (onVolume === undefined) {
    const { status, handle } = yield* openByName(k, path);
    if (status >= 0) k.memory.setPtr(c.out, handle);
    return setBlock(k, c.block, status, status >= 0 ? Did.OPENED : 0);
  }
  const { status, node, did } = place(k.volume, onVolume, c);
  if (node === undefined) return setBlock(k, c.block, status, 0);
  const object = newFileObject(k, {
    node,
    path: onVolume,
    deleteOnClose: (c.options & Option.DELETE_ON_CLOSE) !== 0,
    // FILE_APPEND_DATA without FILE_WRITE_DATA.
    appendOnly: (c.access & 6) === 4 && (c.access & 0x50000000) === 0,
    listing: undefined,
  });
  k.memory.setPtr(c.out, k.objects.open(object));
  yield* k.objects.dereference(object);
  return setBlock(k, c.block, Status.SUCCESS, did);
}

/** Finds or makes the node as the disposition says. */
function place(
  volume: Volume,
  path: string,
  { disposition, options }: Create,
): { status: number; node?: FileNode; did: number } {
  const node = volume.find(path);
  const fail = (status: number) => ({ status, did: 0 });
  if (node === undefined) {
    if (disposition === Disposition.OPEN || disposition === Disposition.OVERWRITE)
      return fail(
        volume.folderOf(path) === undefined ? Status.OBJECT_PATH_NOT_FOUND : Status.OBJECT_NAME_NOT_FOUND,
      );
    const folder = volume.folderOf(path);
    const name = path.slice(path.lastIndexOf('\\') + 1);
    if (folder === undefined) return fail(Status.OBJECT_PATH_NOT_FOUND);
    if (name === '' || /[<>:"/|?*]/.test(name)) return fail(Status.OBJECT_NAME_INVALID);
    const made = volume.create(folder, name, (options & Option.DIRECTORY) !== 0);
    return { status: Status.SUCCESS, node: made, did: Did.CREATED };
  }
  if (node.doomed) return fail(Status.DELETE_PENDING);
  if (disposition === Disposition.CREATE) return fail(Status.OBJECT_NAME_COLLISION);
  if (node.data === undefined && (options & Option.NON_DIRECTORY) !== 0)
    return fail(Status.FILE_IS_A_DIRECTORY);
  if (node.data !== undefined && (options & Option.DIRECTORY) !== 0) return fail(NOT_A_DIRECTORY);
  if (disposition === Disposition.OPEN || disposition === Disposition.OPEN_IF)
    return { status: Status.SUCCESS, node, did: Did.OPENED };
  if (node.data === undefined) return fail(Status.OBJECT_NAME_COLLISION);
  volume.resize(node, 0);
  return {
    status: Status.SUCCESS,
    node,
    did: disposition === Disposition.SUPERSEDE ? Did.SUPERSEDED : Did.OVERWRITTEN,
  };
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

/** Where the transfer begins: what was given, the end (-1), or the file's own position (-2, or nothing given). */
function position(k: Windows, file: Address, node: FileNode, at: Address): number {
  const own = k.read('FILE_OBJECT.CurrentByteOffset', file);
  if (at === 0) return own;
  const value = Number(BigInt.asIntN(64, k.memory.u64(at)));
  if (value === -2) return own;
  return value === -1 ? (node.data?.length ?? 0) : value;
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
  const open = k.state(opened).get(object);
  if (open === undefined) {
    const given = t.offset === 0 ? 0 : Number(BigInt.asIntN(64, k.memory.u64(t.offset)));
    const outcome = yield* transferFile(k, object.address, writing, t.buffer, t.bytes, Math.max(0, given));
    return finish(k, t, outcome.status, outcome.information);
  }
  const { node } = open;
  if (node.data === undefined) return finish(k, t, Status.INVALID_DEVICE_REQUEST, 0);
  const at = open.appendOnly ? node.data.length : position(k, object.address, node, t.offset);
  if (at < 0) return finish(k, t, Status.INVALID_PARAMETER, 0);
  let moved = t.bytes;
  if (writing) {
    if (!k.volume.write(node, at, k.memory.bytes(t.buffer, t.bytes)))
      return finish(k, t, Status.DISK_FULL, 0);
  } else {
    moved = Math.max(0, Math.min(t.bytes, node.data.length - at));
    if (moved === 0 && t.bytes > 0) return finish(k, t, Status.END_OF_FILE, 0);
    k.memory.write(t.buffer, node.data.subarray(at, at + moved));
  }
  k.write('FILE_OBJECT.CurrentByteOffset', object.address, at + moved);
  return finish(k, t, Status.SUCCESS, moved);
}

// -- facts about files ----------------------------------------------------------------------------------------------------

const allocation = (node: FileNode): number => Math.ceil((node.data?.length ?? 0) / 4096) * 4096;
const attributesOf = (node: FileNode): number => node.attributes || FileAttribute.NORMAL;

/** FILE_INFORMATION_CLASS. */
const Info = {
  DIRECTORY: 1,
  FULL_DIRECTORY: 2,
  BOTH_DIRECTORY: 3,
  BASIC: 4,
  STANDARD: 5,
  INTERNAL: 6,
  NAME: 9,
  RENAME: 10,
  NAMES: 12,
  DISPOSITION: 13,
  POSITION: 14,
  ALLOCATION: 19,
  END_OF_FILE: 20,
  NETWORK_OPEN: 34,
} as const;

class Bytes {
  private readonly out: number[] = [];
  u8(...values: number[]): this {
    for (const value of values) this.out.push(value & 0xff);
    return this;
  }
  u32(value: number): this {
    return this.u8(value, value >>> 8, value >>> 16, value >>> 24);
  }
  u64(value: bigint): this {
    return this.u32(Number(value & 0xffffffffn)).u32(Number((value >> 32n) & 0xffffffffn));
  }
  raw(bytes: Uint8Array): this {
    return this.u8(...bytes);
  }
  get done(): Uint8Array {
    return Uint8Array.from(this.out);
  }
}

const times = (b: Bytes, node: FileNode): Bytes =>
  b.u64(node.created).u64(node.written).u64(node.written).u64(node.written);

/** The bytes of one information class; undefined for classes that are not written. */
function fileInformation(
  k: Windows,
  file: Address,
  { node, path }: OpenFile,
  kind: number,
): Uint8Array | undefined {
  const size = BigInt(node.data?.length ?? 0);
  switch (kind) {
    case Info.BASIC:
      return times(new Bytes(), node).u32(attributesOf(node)).u32(0).done;
    case Info.STANDARD:
      return new Bytes()
        .u64(BigInt(allocation(node)))
        .u64(size)
        .u32(1)
        .u8(node.doomed ? 1 : 0, node.data === undefined ? 1 : 0, 0, 0).done;
    case Info.INTERNAL:
      return new Bytes().u64(BigInt(file >>> 4)).done;
    case Info.NAME: {
      const name = encodeUtf16(path);
      return new Bytes().u32(name.length).raw(name).done;
    }
    case Info.POSITION:
      return new Bytes().u64(BigInt(k.read('FILE_OBJECT.CurrentByteOffset', file))).done;
    case Info.NETWORK_OPEN:
      return times(new Bytes(), node)
        .u64(BigInt(allocation(node)))
        .u64(size)
        .u32(attributesOf(node))
        .u32(0).done;
    default:
      return undefined;
  }
}

function queryFile(
  k: Windows,
  handle: number,
  block: Address,
  out: Address,
  room: number,
  kind: number,
): number {
  const object = k.objects.fromHandle(handle);
  if (object === undefined) return Status.INVALID_HANDLE;
  const open = k.state(opened).get(object);
  if (open === undefined) return setBlock(k, block, Status.INVALID_DEVICE_REQUEST, 0);
  const bytes = fileInformation(k, object.address, open, kind);
  if (bytes === undefined) return Status.INVALID_INFO_CLASS;
  if (room < bytes.length && kind !== Info.NAME) return Status.INFO_LENGTH_MISMATCH;
  k.memory.write(out, bytes.subarray(0, room));
  const all = bytes.length <= room;
  return setBlock(k, block, all ? Status.SUCCESS : Status.BUFFER_OVERFLOW, Math.min(bytes.length, room));
}

function setFile(
  k: Windows,
  handle: number,
  block: Address,
  data: Address,
  bytes: number,
  kind: number,
): number {
  const object = k.objects.fromHandle(handle);
  if (object === undefined) return Status.INVALID_HANDLE;
  const open = k.state(opened).get(object);
  if (open === undefined) return setBlock(k, block, Status.INVALID_DEVICE_REQUEST, 0);
  return setBlock(k, block, changeFile(k, object.address, open, data, bytes, kind), 0);
}

function changeFile(
  k: Windows,
  file: Address,
  { node }: OpenFile,
  data: Address,
  bytes: number,
  kind: number,
): number {
  const number = () => Number(BigInt.asIntN(64, k.memory.u64(data)));
  switch (kind) {
    case Info.BASIC: {
      const attributes = k.memory.u32(data + 32);
      if (attributes !== 0) node.attributes = (attributes & 0x27) | (node.data === undefined ? 0x10 : 0);
      const [created, written] = [k.memory.u64(data), k.memory.u64(data + 16)];
      if (created !== 0n) node.created = created;
      if (written !== 0n) node.written = written;
      return Status.SUCCESS;
    }
    case Info.DISPOSITION:
      if (k.memory.u8(data) !== 0 && (node.attributes & FileAttribute.READONLY) !== 0) return CANNOT_DELETE;
      if (node.entries.size > 0) return DIRECTORY_NOT_EMPTY;
      node.doomed = k.memory.u8(data) !== 0;
      return Status.SUCCESS;
    case Info.POSITION:
      k.write('FILE_OBJECT.CurrentByteOffset', file, number());
      return Status.SUCCESS;
    case Info.ALLOCATION:
      return Status.SUCCESS;
    case Info.END_OF_FILE:
      return k.volume.resize(node, number()) ? Status.SUCCESS : Status.DISK_FULL;
    case Info.RENAME:
      return rename(k, node, data, bytes);
    default:
      return Status.INVALID_INFO_CLASS;
  }
}

function rename(k: Windows, node: FileNode, data: Address, bytes: number): number {
  const length = k.memory.u32(data + 2 * k.word);
  if (length + 2 * k.word + 4 > bytes) return Status.INFO_LENGTH_MISMATCH;
  const raw = k.memory.bytes(data + 2 * k.word + 4, length);
  const name = new TextDecoder('utf-16le').decode(raw);
  const folder = node.parent;
  const target = name.startsWith('\\') ? volumePath(name) : `${fullPath(folder)}\\${name}`;
  if (target === undefined) return Status.OBJECT_PATH_SYNTAX_BAD;
  return k.volume.rename(node, target, k.memory.u8(data) !== 0)
    ? Status.SUCCESS
    : Status.OBJECT_NAME_COLLISION;
}

const fullPath = (node: FileNode | undefined): string =>
  node?.parent === undefined ? '' : `${fullPath(node.parent)}\\${node.name}`;

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

function listFolder(k: Windows, l: Listing): number {
  const object = k.objects.fromHandle(l.handle);
  const open = object === undefined ? undefined : k.state(opened).get(object);
  if (open === undefined) return Status.INVALID_HANDLE;
  if (open.node.data !== undefined) return Status.INVALID_PARAMETER;
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
    if (bytes === undefined) return Status.INVALID_INFO_CLASS;
    const at = (used + 7) & ~7;
    if (at + bytes.length > l.room) {
      if (previous < 0) return setBlock(k, l.block, Status.BUFFER_OVERFLOW, 0);
      break;
    }
    k.memory.write(l.out + at, bytes);
    if (previous >= 0) k.memory.set32(l.out + previous, at - previous);
    [previous, used] = [at, at + bytes.length];
    listing.at++;
    if (l.single) break;
  }
  if (previous >= 0) return setBlock(k, l.block, Status.SUCCESS, used);
  return setBlock(k, l.block, first ? Status.NO_SUCH_FILE : NO_MORE_FILES, 0);
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
  const device = k.state(opened).has(object) ? 0 : k.read('FILE_OBJECT.DeviceObject', object.address);
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
  if (k.state(opened).has(object)) return setBlock(k, c.block, Status.INVALID_DEVICE_REQUEST, 0);
  const { status, information } = yield* controlFile(k, object.address, major, c);
  const event = c.event === 0 ? undefined : k.objects.fromHandle(c.event);
  if (event !== undefined) signal(k, event.address, 1);
  return setBlock(k, c.block, status, information);
}

export const fileFunctions = kernelFunctions({
  'NTSTATUS ZwCreateFile(HANDLE *handle, ACCESS_MASK access, PVOID attributes, PVOID block, PVOID size, ULONG fileAttributes, ULONG share, ULONG disposition, ULONG options, PVOID ea, ULONG eaLength)':
    (k, out, access, attributes, block, _size, _fa, _share, disposition, options) =>
      createFile(k, { out, access, attributes, block, disposition, options }),
  'NTSTATUS NtCreateFile(HANDLE *handle, ACCESS_MASK access, PVOID attributes, PVOID block, PVOID size, ULONG fileAttributes, ULONG share, ULONG disposition, ULONG options, PVOID ea, ULONG eaLength)':
    (k, out, access, attributes, block, _size, _fa, _share, disposition, options) =>
      createFile(k, { out, access, attributes, block, disposition, options }),
  'NTSTATUS IoCreateFile(HANDLE *handle, ACCESS_MASK access, PVOID attributes, PVOID block, PVOID size, ULONG fileAttributes, ULONG share, ULONG disposition, ULONG options, PVOID ea, ULONG eaLength, ULONG type, PVOID extra, ULONG more)':
    (k, out, access, attributes, block, _size, _fa, _share, disposition, options) =>
      createFile(k, { out, access, attributes, block, disposition, options }),
  'NTSTATUS ZwOpenFile(HANDLE *handle, ACCESS_MASK access, PVOID attributes, PVOID block, ULONG share, ULONG options)':
    (k, out, access, attributes, block, _share, options) =>
      createFile(k, { out, access, attributes, block, disposition: Disposition.OPEN, options }),
  'NTSTATUS NtOpenFile(HANDLE *handle, ACCESS_MASK access, PVOID attributes, PVOID block, ULONG share, ULONG options)':
    (k, out, access, attributes, block, _share, options) =>
      createFile(k, { out, access, attributes, block, disposition: Disposition.OPEN, options }),
  'NTSTATUS ZwReadFile(HANDLE handle, HANDLE event, PVOID apc, PVOID context, PVOID block, PVOID buffer, ULONG bytes, PVOID offset, ULONG *key)':
    (k, handle, event, _apc, _context, block, buffer, bytes, offset) =>
      transfer(k, false, { handle, event, block, buffer, bytes, offset }),
  'NTSTATUS NtReadFile(HANDLE handle, HANDLE event, PVOID apc, PVOID context, PVOID block, PVOID buffer, ULONG bytes, PVOID offset, ULONG *key)':
    (k, handle, event, _apc, _context, block, buffer, bytes, offset) =>
      transfer(k, false, { handle, event, block, buffer, bytes, offset }),
  'NTSTATUS ZwWriteFile(HANDLE handle, HANDLE event, PVOID apc, PVOID context, PVOID block, PVOID buffer, ULONG bytes, PVOID offset, ULONG *key)':
    (k, handle, event, _apc, _context, block, buffer, bytes, offset) =>
      transfer(k, true, { handle, event, block, buffer, bytes, offset }),
  'NTSTATUS NtWriteFile(HANDLE handle, HANDLE event, PVOID apc, PVOID context, PVOID block, PVOID buffer, ULONG bytes, PVOID offset, ULONG *key)':
    (k, handle, event, _apc, _context, block, buffer, bytes, offset) =>
      transfer(k, true, { handle, event, block, buffer, bytes, offset }),
  'NTSTATUS ZwQueryInformationFile(HANDLE handle, PVOID block, PVOID out, ULONG room, ULONG kind)': (
    k,
    handle,
    block,
    out,
    room,
    kind,
  ) => queryFile(k, handle, block, out, room, kind),
  'NTSTATUS NtQueryInformationFile(HANDLE handle, PVOID block, PVOID out, ULONG room, ULONG kind)': (
    k,
    handle,
    block,
    out,
    room,
    kind,
  ) => queryFile(k, handle, block, out, room, kind),
  'NTSTATUS ZwSetInformationFile(HANDLE handle, PVOID block, PVOID data, ULONG bytes, ULONG kind)': (
    k,
    handle,
    block,
    data,
    bytes,
    kind,
  ) => setFile(k, handle, block, data, bytes, kind),
  'NTSTATUS NtSetInformationFile(HANDLE handle, PVOID block, PVOID data, ULONG bytes, ULONG kind)': (
    k,
    handle,
    block,
    data,
    bytes,
    kind,
  ) => setFile(k, handle, block, data, bytes, kind),
  'NTSTATUS ZwQueryDirectoryFile(HANDLE handle, HANDLE event, PVOID apc, PVOID context, PVOID block, PVOID out, ULONG room, ULONG kind, BOOLEAN single, PVOID pattern, BOOLEAN restart)':
    (k, handle, _event, _apc, _context, block, out, room, kind, single, pattern, restart) =>
      listFolder(k, {
        handle,
        block,
        out,
        room,
        kind,
        single: single !== 0,
        pattern,
        restart: restart !== 0,
      }),
  'NTSTATUS ZwQueryVolumeInformationFile(HANDLE handle, PVOID block, PVOID out, ULONG room, ULONG kind)': (
    k,
    handle,
    block,
    out,
    room,
    kind,
  ) => queryVolume(k, handle, block, out, room, kind),
  'NTSTATUS ZwDeleteFile(PVOID attributes)': (k, attributes) => deleteFile(k, attributes),
  'NTSTATUS ZwFlushBuffersFile(HANDLE handle, PVOID block)': (k, handle, block) =>
    k.objects.fromHandle(handle) === undefined
      ? Status.INVALID_HANDLE
      : setBlock(k, block, Status.SUCCESS, 0),
  'NTSTATUS ZwQueryFullAttributesFile(PVOID attributes, PVOID out)': (k, attributes, out) =>
    attributesOfPath(k, attributes, out, true),
  'NTSTATUS ZwQueryAttributesFile(PVOID attributes, PVOID out)': (k, attributes, out) =>
    attributesOfPath(k, attributes, out, false),
  'NTSTATUS ZwDeviceIoControlFile(HANDLE handle, HANDLE event, PVOID apc, PVOID context, PVOID block, ULONG code, PVOID input, ULONG inputBytes, PVOID output, ULONG outputBytes)':
    (k, handle, event, _apc, _context, block, code, input, inputBytes, output, outputBytes) =>
      controlDevice(k, 'device', { handle, event, block, code, input, inputBytes, output, outputBytes }),
  'NTSTATUS ZwFsControlFile(HANDLE handle, HANDLE event, PVOID apc, PVOID context, PVOID block, ULONG code, PVOID input, ULONG inputBytes, PVOID output, ULONG outputBytes)':
    (k, handle, event, _apc, _context, block, code, input, inputBytes, output, outputBytes) =>
      controlDevice(k, 'file-system', { handle, event, block, code, input, inputBytes, output, outputBytes }),
});
