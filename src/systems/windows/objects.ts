/**
 * The object manager: bodies with their header of counts in guest memory, one namespace with directories and symbolic
 * links, and one handle table (all requests come from one process).
 */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { Status } from './status.ts';
import { upcase } from './strings.ts';
import type { Windows } from './windows.ts';

export type ObjectType =
  | 'Device'
  | 'Driver'
  | 'Directory'
  | 'SymbolicLink'
  | 'Event'
  | 'File'
  | 'Key'
  | 'Thread'
  | 'Process'
  | 'Mutant'
  | 'Semaphore'
  | 'Timer'
  | 'Section'
  | 'Callback'
  | 'Token'
  | 'FilterConnectionPort';

export interface KernelObject {
  readonly type: ObjectType;
  readonly address: Address;
  /** Full path while it has a name. */
  name: string | undefined;
  /** Symbolic links: where they lead. */
  target?: string;
  /** What the subsystem that made it keeps beside it: a registry key, an open file. */
  readonly extra?: unknown;
  /** Runs when the last reference goes. */
  readonly destroy?: () => Steps<void> | void;
  /** Runs when the last handle is closed. */
  readonly closed?: () => Steps<void> | void;
}

/** OBJECT_HEADER in front of the body: PointerCount, HandleCount. */
const HEADER = { 8: 0x30, 4: 0x18 } as const;
const TAG_OBJECT = 0x6a624f20;
/** Links that lead to links: more than that is a circle. */
const MAX_REPARSE = 32;

export class Objects {
  private readonly k: Windows;
  private readonly byAddress = new Map<Address, KernelObject>();
  private readonly byName = new Map<string, KernelObject>();
  private readonly handles = new Map<number, KernelObject>();
  private nextHandle = 0x80;
  private readonly types = new Map<ObjectType, Address>();

  constructor(k: Windows) {
    this.k = k;
    for (const name of [
      '\\',
      '\\Device',
      '\\Driver',
      '\\FileSystem',
      '\\??',
      '\\BaseNamedObjects',
      '\\Callback',
    ])
      this.create('Directory', 64, { name });
    this.create('SymbolicLink', 64, { name: '\\DosDevices', target: '\\??' });
    this.create('SymbolicLink', 64, { name: '\\GLOBAL??', target: '\\??' });
    this.create('SymbolicLink', 64, { name: '\\??\\GLOBALROOT', target: '' });
  }

  /** A new object with one reference. @throws OutOfPool as a status through the caller when 0 */
  create(
    type: ObjectType,
    bytes: number,
    more: Partial<Pick<KernelObject, 'name' | 'target' | 'extra' | 'destroy' | 'closed'>> = {},
  ): KernelObject {
    const header = HEADER[this.k.word];
    const base = this.k.pool.allocate('nonpaged', bytes + header, TAG_OBJECT, 0, true);
    if (base === 0) throw new NoPool(type);
    const object: KernelObject = { type, address: base + header, name: undefined, ...more };
    this.byAddress.set(object.address, object);
    this.k.memory.setPtr(base, 1);
    if (object.name !== undefined) this.byName.set(upcase(object.name), object);
    return object;
  }

  at(address: Address): KernelObject | undefined {
    return this.byAddress.get(address);
  }

  /** Bodies that other code allocated (a timer in a device extension has no header): they are not objects. */
  has(address: Address): boolean {
    return this.byAddress.has(address);
  }

  /** All of them, in the order they were made. */
  get all(): Iterable<KernelObject> {
    return this.byAddress.values();
  }

  /** All objects with a name, in the order they were made. */
  named(): Iterable<KernelObject> {
    return this.byName.values();
  }

  /** The object body that stands for a type (IoFileObjectType points to it). */
  typeObject(type: ObjectType): Address {
    let at = this.types.get(type);
    if (at === undefined) {
      at = this.k.kernelData(0xd0, `object type ${type}`);
      this.types.set(type, at);
    }
    return at;
  }

  typeAt(address: Address): ObjectType | undefined {
    for (const [type, at] of this.types) if (at === address) return type;
    return undefined;
  }

  references(object: KernelObject): number {
    return this.k.memory.ptr(this.header(object));
  }

  reference(object: KernelObject): void {
    this.count(object, 0, 1);
  }

  *dereference(object: KernelObject): Steps<void> {
    if (this.count(object, 0, -1) > 0) return;
    if (!this.byAddress.delete(object.address)) return;
    this.unname(object);
    const steps = object.destroy?.();
    if (steps !== undefined) yield* steps;
    this.k.pool.release(this.header(object));
  }

  // -- handles ----------------------------------------------------------------------------------------------

  open(object: KernelObject): number {
    const handle = this.nextHandle;
    this.nextHandle += 4;
    this.handles.set(handle, object);
    this.reference(object);
    this.count(object, 1, 1);
    return handle;
  }

  fromHandle(handle: number): KernelObject | undefined {
    // -1 and -2: the current process and thread.
    if (handle === -1 || handle === 0xffffffff) return this.at(this.k.threads.process);
    if (handle === -2 || handle === 0xfffffffe) return this.at(this.k.processor.currentThread);
    return this.handles.get(handle);
  }

  *close(handle: number): Steps<number> {
    const object = this.handles.get(handle);
    if (object === undefined) return Status.INVALID_HANDLE;
    this.handles.delete(handle);
    if (this.count(object, 1, -1) === 0) {
      const steps = object.closed?.();
      if (steps !== undefined) yield* steps;
    }
    yield* this.dereference(object);
    return Status.SUCCESS;
  }

  get openHandles(): Iterable<[number, KernelObject]> {
    return this.handles;
  }

  // -- names ------------------------------------------------------------------------------------------------

  /** Where a path leads: the object, and what is left of the path behind it. */
  lookUp(path: string, followLast = true): { object: KernelObject; rest: string } | undefined {
    let name = path;
    for (let hops = 0; hops < MAX_REPARSE; hops++) {
      const found = this.longest(name);
      if (found === undefined) return undefined;
      const { object, rest } = found;
      const link = object.type === 'SymbolicLink' && object.target !== undefined;
      if (!link || (rest === '' && !followLast)) return found;
      name = `${object.target}${rest}`;
    }
    return undefined;
  }

  /** The path with the links of its folders followed: what a new object's name is stored under. */
  canonical(path: string): string {
    const cut = path.lastIndexOf('\\');
    if (cut <= 0) return path;
    const folder = this.lookUp(path.slice(0, cut));
    return folder?.rest === '' && folder.object.name !== undefined
      ? `${folder.object.name}${path.slice(cut)}`
      : path;
  }

  /** Makes the name an object's own. @returns a status */
  insert(object: KernelObject, path: string): number {
    if (!path.startsWith('\\')) return Status.OBJECT_PATH_SYNTAX_BAD;
    const name = this.canonical(path);
    if (this.byName.has(upcase(name))) return Status.OBJECT_NAME_COLLISION;
    const folder = name.slice(0, Math.max(1, name.lastIndexOf('\\')));
    if (!this.byName.has(upcase(folder))) return Status.OBJECT_PATH_NOT_FOUND;
    object.name = name;
    this.byName.set(upcase(name), object);
    return Status.SUCCESS;
  }

  /** Makes a symbolic link. @returns a status */
  addLink(path: string, target: string): number {
    const object = this.create('SymbolicLink', 64, { target });
    const status = this.insert(object, path);
    if (status < 0) {
      // Nobody else has seen it, so that its going waits for nobody.
      const steps = this.dereference(object);
      while (!steps.next(0).done);
    }
    return status;
  }

  /** The symbolic link of that very name. */
  linkAt(path: string): KernelObject | undefined {
    const found = this.lookUp(path, false);
    return found?.rest === '' && found.object.type === 'SymbolicLink' ? found.object : undefined;
  }

  unname(object: KernelObject): void {
    if (object.name === undefined) return;
    if (this.byName.get(upcase(object.name)) === object) this.byName.delete(upcase(object.name));
    object.name = undefined;
  }

  private longest(path: string): { object: KernelObject; rest: string } | undefined {
    for (let end = path.length; end > 0; end = path.lastIndexOf('\\', end - 1)) {
      const object = this.byName.get(upcase(path.slice(0, end)));
      if (object === undefined) continue;
      const rest = path.slice(end);
      // A directory knows its children; nothing lies "behind" it.
      if (rest !== '' && object.type === 'Directory') return undefined;
      return { object, rest };
    }
    return undefined;
  }

  private header(object: KernelObject): Address {
    return object.address - HEADER[this.k.word];
  }

  private count(object: KernelObject, field: 0 | 1, by: number): number {
    const at = this.header(object) + field * this.k.word;
    const count = this.k.memory.ptr(at) + by;
    this.k.memory.setPtr(at, count);
    return count;
  }
}

/** Pool ran out while the kernel made something for itself; the call that asked fails with STATUS_INSUFFICIENT_RESOURCES. */
export class NoPool extends Error {
  constructor(what: string) {
    super(`no pool left for ${what}`);
    this.name = 'NoPool';
  }
}
