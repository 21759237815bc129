/**
 * Objects of the driver framework: a tree in which a parent's deletion deletes its children, with contexts in guest memory
 * by type. A handle is the address of a small block that nobody looks into; what the framework keeps about it is here.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Status } from '../status.ts';
import type { Windows } from '../windows.ts';

export type WdfKind =
  | 'resources'
  | 'driver'
  | 'device'
  | 'queue'
  | 'request'
  | 'file'
  | 'memory'
  | 'timer'
  | 'dpc'
  | 'workitem'
  | 'spinlock'
  | 'waitlock'
  | 'string'
  | 'collection'
  | 'key'
  | 'target'
  | 'lookaside'
  | 'object';

export interface WdfObject<T = unknown> {
  readonly kind: WdfKind;
  readonly handle: Address;
  parent: WdfObject | undefined;
  readonly children: Set<WdfObject>;
  /** By address of the type info that stands for the type. */
  readonly contexts: Map<Address, Address>;
  references: number;
  deleted: boolean;
  readonly callbacks: { cleanup: Address; destroy: Address }[];
  /** What the kind itself needs. */
  readonly data: T;
  /** Gives back what the kind holds. */
  dispose?: () => Steps<void> | void;
}

const HANDLE_BYTES = 32;
const TAG = 0x4678_7246;
const objects = perKernel(() => ({
  byHandle: new Map<Address, WdfObject>(),
  byContext: new Map<Address, WdfObject>(),
}));

/** WDF_OBJECT_ATTRIBUTES as far as it matters here. */
interface Attributes {
  readonly parent: Address;
  readonly type: Address;
  readonly contextBytes: number;
  readonly cleanup: Address;
  readonly destroy: Address;
}

function readAttributes(k: Windows, at: Address): Attributes | undefined {
  if (at === 0) return undefined;
  const get = (field: string) => k.read(`WDF_OBJECT_ATTRIBUTES.${field}`, at);
  const type = get('ContextTypeInfo');
  const override = get('ContextSizeOverride');
  const own = type === 0 ? 0 : k.read('WDF_OBJECT_CONTEXT_TYPE_INFO.ContextSize', type);
  return {
    parent: get('ParentObject'),
    type,
    contextBytes: override === 0 ? own : override,
    cleanup: get('EvtCleanupCallback'),
    destroy: get('EvtDestroyCallback'),
  };
}

/** Types may be declared in several places of a driver: one of them stands for all. */
const uniqueType = (k: Windows, type: Address): Address =>
  k.read('WDF_OBJECT_CONTEXT_TYPE_INFO.UniqueType', type) || type;

/** @returns the object, or a status when there is no memory or the parent is no object */
export function create<T>(
  k: Windows,
  kind: WdfKind,
  data: T,
  attributesAt: Address,
  defaultParent: WdfObject | undefined,
): WdfObject<T> | number {
  const attributes = readAttributes(k, attributesAt);
  const parent =
    attributes === undefined || attributes.parent === 0 ? defaultParent : find(k, attributes.parent);
  if (attributes !== undefined && attributes.parent !== 0 && parent === undefined)
    return Status.INVALID_HANDLE;
  const handle = k.pool.allocate('nonpaged', HANDLE_BYTES, TAG, 0, true);
  if (handle === 0) return Status.INSUFFICIENT_RESOURCES;
  const object: WdfObject<T> = {
    kind,
    handle,
    parent,
    children: new Set(),
    contexts: new Map(),
    references: 1,
    deleted: false,
    callbacks: [],
    data,
  };
  parent?.children.add(object);
  k.state(objects).byHandle.set(handle, object);
  if (attributes !== undefined) addContext(k, object, attributes);
  return object;
}

function addContext(k: Windows, object: WdfObject, a: Attributes): Address {
  if (a.cleanup !== 0 || a.destroy !== 0) object.callbacks.push({ cleanup: a.cleanup, destroy: a.destroy });
  if (a.type === 0) return 0;
  const at = k.pool.allocate('nonpaged', Math.max(1, a.contextBytes), TAG, 0, true);
  if (at === 0) return 0;
  object.contexts.set(uniqueType(k, a.type), at);
  k.state(objects).byContext.set(at, object);
  return at;
}

/** WdfObjectAllocateContext. */
export function allocateContext(k: Windows, object: WdfObject, attributesAt: Address, out: Address): number {
  const attributes = readAttributes(k, attributesAt);
  if (attributes === undefined || attributes.type === 0) return Status.INVALID_PARAMETER;
  const known = object.contexts.get(uniqueType(k, attributes.type));
  if (known !== undefined) {
    if (out !== 0) k.memory.setPtr(out, known);
    return Status.OBJECT_NAME_EXISTS;
  }
  const at = addContext(k, object, attributes);
  if (at === 0) return Status.INSUFFICIENT_RESOURCES;
  if (out !== 0) k.memory.setPtr(out, at);
  return Status.SUCCESS;
}

export const contextOf = (k: Windows, object: WdfObject, type: Address): Address =>
  object.contexts.get(uniqueType(k, type)) ?? 0;
export const ofContext = (k: Windows, context: Address): WdfObject | undefined =>
  k.state(objects).byContext.get(context);

export const find = (k: Windows, handle: Address): WdfObject | undefined =>
  k.state(objects).byHandle.get(handle);

/** The object of a kind behind a handle. @throws WrongHandle */
export function need<T>(k: Windows, handle: Address, kind: WdfKind): WdfObject<T> {
  const object = find(k, handle);
  if (object === undefined || object.kind !== kind) throw new WrongHandle(kind, handle);
  return object as WdfObject<T>;
}

/** The framework verifies its handles and stops the system for a wrong one (WDF_VIOLATION, 0x10D, parameter 1 = 5 or 6). */
export class WrongHandle extends Error {
  readonly handle: Address;

  constructor(kind: WdfKind, handle: Address) {
    super(`0x${handle.toString(16)} is no handle of a framework ${kind}`);
    this.name = 'WrongHandle';
    this.handle = handle;
  }
}

/** WdfObjectDelete: children first, their cleanup callbacks, then the block when the last reference goes. */
export function* remove(k: Windows, object: WdfObject): Steps<void> {
  if (object.deleted) return;
  object.deleted = true;
  for (const child of [...object.children].reverse()) yield* remove(k, child);
  for (const { cleanup } of object.callbacks) if (cleanup !== 0) yield* k.call(cleanup, object.handle);
  const steps = object.dispose?.();
  if (steps !== undefined) yield* steps;
  object.parent?.children.delete(object);
  yield* dereference(k, object);
}

export function* dereference(k: Windows, object: WdfObject): Steps<void> {
  if (--object.references > 0) return;
  for (const { destroy } of object.callbacks) if (destroy !== 0) yield* k.call(destroy, object.handle);
  const table = k.state(objects);
  for (const at of object.contexts.values()) {
    table.byContext.delete(at);
    k.pool.release(at);
  }
  table.byHandle.delete(object.handle);
  k.pool.release(object.handle);
}
