/**
 * Files of the sandbox's volume that are open: opening, reading and writing, facts about them and changes. Each operation
 * goes through the minifilters that are attached; what they are told of is in guest memory.
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { Major } from './irp.ts';
import { type FilterLevel, filtered, filteredChange, filteredTransfer } from './minifilter.ts';
import type { KernelObject } from './objects.ts';
import { Status } from './status.ts';
import { encodeUtf16, setCounted } from './strings.ts';
import { FileAttribute, type FileNode, type Volume, volumePath } from './volume.ts';
import type { Windows } from './windows.ts';

/** An open file of the volume; FILE_OBJECT is its body in guest memory. */
export interface OpenFile {
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
const NOT_A_DIRECTORY = 0xc0000103 | 0;
export const DIRECTORY_NOT_EMPTY = 0xc0000101 | 0;
const CANNOT_DELETE = 0xc0000121 | 0;

/** CreateDisposition. */
export const Disposition = {
  SUPERSEDE: 0,
  OPEN: 1,
  CREATE: 2,
  OPEN_IF: 3,
  OVERWRITE: 4,
  OVERWRITE_IF: 5,
} as const;
/** CreateOptions. */
const Option = { DIRECTORY: 1, NON_DIRECTORY: 0x40, DELETE_ON_CLOSE: 0x1000 } as const;
/** IO_STATUS_BLOCK.Information of a create. */
export const Did = { SUPERSEDED: 0, OPENED: 1, CREATED: 2, OVERWRITTEN: 3 } as const;

/** Undefined for devices and everything that is no file. */
export const openFileOf = (k: Windows, object: KernelObject): OpenFile | undefined =>
  k.state(opened).get(object);

/** The contents of an open file of the volume; undefined for devices, folders and bad handles. */
export function volumeFile(k: Windows, handle: number): Uint8Array | undefined {
  const object = k.objects.fromHandle(handle);
  return object === undefined ? undefined : openFileOf(k, object)?.node.data;
}

/** A FILE_OBJECT that is not open yet: filters see its name first. */
function newFileObject(k: Windows, path: string, level: FilterLevel): KernelObject {
  const bytes = k.sizeof('FILE_OBJECT');
  const name = encodeUtf16(path);
  const object: KernelObject = k.objects.create('File', bytes + name.length + 2, {
    closed: function* () {
      const open = openFileOf(k, object);
      if (open === undefined) return;
      yield* filtered(k, level, { major: Major.CLEANUP, file: object.address }, () => {
        const { node } = open;
        node.handles--;
        if ((node.doomed || open.deleteOnClose) && node.handles === 0) k.volume.remove(node);
      });
    },
    destroy: function* () {
      if (openFileOf(k, object) === undefined) return;
      yield* filtered(k, level, { major: Major.CLOSE, file: object.address }, () => {
        k.state(opened).delete(object);
      });
    },
  });
  const file = object.address;
  k.write('FILE_OBJECT.Type', file, FILE_TYPE);
  k.write('FILE_OBJECT.Size', file, bytes);
  k.memory.write(file + bytes, name);
  setCounted(k, file + k.offset('FILE_OBJECT.FileName'), name.length, name.length + 2, file + bytes);
  return object;
}

export interface Create {
  readonly access: number;
  readonly disposition: number;
  readonly options: number;
}

/** What became of an operation: a status, and IO_STATUS_BLOCK.Information. */
export interface Outcome {
  readonly status: number;
  readonly information: number;
}

export interface Created extends Outcome {
  /** With one reference; there is no handle yet. */
  readonly object?: KernelObject;
}

/** IRP_MJ_CREATE on a path of the volume. */
export function* openOnVolume(
  k: Windows,
  path: string,
  c: Create,
  level: FilterLevel = 'top',
): Steps<Created> {
  const object = newFileObject(k, path, level);
  const request = { major: Major.CREATE, file: object.address, create: c };
  const outcome = yield* filtered(k, level, request, () => {
    const { status, node, did } = place(k.volume, path, c);
    if (node === undefined) return { status, information: 0 };
    node.handles++;
    k.state(opened).set(object, {
      node,
      path,
      deleteOnClose: (c.options & Option.DELETE_ON_CLOSE) !== 0,
      // FILE_APPEND_DATA without FILE_WRITE_DATA.
      appendOnly: (c.access & 6) === 4 && (c.access & 0x50000000) === 0,
      listing: undefined,
    });
    return { status, information: did };
  });
  if (outcome.status >= 0 && openFileOf(k, object) !== undefined) return { ...outcome, object };
  const open = openFileOf(k, object);
  if (open !== undefined) {
    // A filter above has refused what was opened below it.
    open.node.handles--;
    k.state(opened).delete(object);
  }
  yield* k.objects.dereference(object);
  return outcome.status >= 0 ? { status: Status.ACCESS_DENIED, information: 0 } : outcome;
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

/** Where a transfer begins: what was given, the end (-1), or the file's own position (-2, or nothing given). */
function position(k: Windows, file: Address, node: FileNode, at: Address): number {
  const own = k.read('FILE_OBJECT.CurrentByteOffset', file);
  if (at === 0) return own;
  const value = Number(BigInt.asIntN(64, k.memory.u64(at)));
  if (value === -2) return own;
  return value === -1 ? (node.data?.length ?? 0) : value;
}

/** IRP_MJ_READ and IRP_MJ_WRITE; `offset`: the address of a LARGE_INTEGER, or 0. */
export function* transferOnVolume(
  k: Windows,
  object: KernelObject,
  open: OpenFile,
  writing: boolean,
  t: { readonly buffer: Address; readonly bytes: number; readonly offset: Address },
  level: FilterLevel = 'top',
): Steps<Outcome> {
  const { node } = open;
  if (node.data === undefined) return { status: Status.INVALID_DEVICE_REQUEST, information: 0 };
  const at = open.appendOnly ? node.data.length : position(k, object.address, node, t.offset);
  if (at < 0) return { status: Status.INVALID_PARAMETER, information: 0 };
  const given = { file: object.address, writing, buffer: t.buffer, bytes: t.bytes, at };
  return yield* filteredTransfer(k, level, given, (buffer, bytes, from) => {
    let moved = bytes;
    if (writing) {
      if (!k.volume.write(node, from, k.memory.bytes(buffer, bytes)))
        return { status: Status.DISK_FULL, information: 0 };
    } else {
      const all = node.data ?? new Uint8Array(0);
      moved = Math.max(0, Math.min(bytes, all.length - from));
      if (moved === 0 && bytes > 0) return { status: Status.END_OF_FILE, information: 0 };
      k.memory.write(buffer, all.subarray(from, from + moved));
    }
    k.write('FILE_OBJECT.CurrentByteOffset', object.address, from + moved);
    return { status: Status.SUCCESS, information: moved };
  });
}

// -- facts about files ----------------------------------------------------------------------------------------------------

export const allocation = (node: FileNode): number => Math.ceil((node.data?.length ?? 0) / 4096) * 4096;
export const attributesOf = (node: FileNode): number => node.attributes || FileAttribute.NORMAL;

/** FILE_INFORMATION_CLASS. */
export const Info = {
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

export class Bytes {
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

export const times = (b: Bytes, node: FileNode): Bytes =>
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

/** IRP_MJ_QUERY_INFORMATION. */
export function* queryOnVolume(
  k: Windows,
  object: KernelObject,
  open: OpenFile,
  out: Address,
  room: number,
  kind: number,
  level: FilterLevel = 'top',
): Steps<Outcome> {
  const given = { major: Major.QUERY_INFORMATION, file: object.address, buffer: out, bytes: room, kind };
  return yield* filteredChange(k, level, given, () => {
    const bytes = fileInformation(k, object.address, open, kind);
    if (bytes === undefined) return { status: Status.INVALID_INFO_CLASS, information: 0 };
    if (room < bytes.length && kind !== Info.NAME)
      return { status: Status.INFO_LENGTH_MISMATCH, information: 0 };
    k.memory.write(out, bytes.subarray(0, room));
    const status = bytes.length <= room ? Status.SUCCESS : Status.BUFFER_OVERFLOW;
    return { status, information: Math.min(bytes.length, room) };
  });
}

/** IRP_MJ_SET_INFORMATION. */
export function* changeOnVolume(
  k: Windows,
  object: KernelObject,
  open: OpenFile,
  data: Address,
  bytes: number,
  kind: number,
  level: FilterLevel = 'top',
): Steps<Outcome> {
  const given = { major: Major.SET_INFORMATION, file: object.address, buffer: data, bytes, kind };
  return yield* filteredChange(k, level, given, () => ({
    status: changeFile(k, object.address, open, data, bytes, kind),
    information: 0,
  }));
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
