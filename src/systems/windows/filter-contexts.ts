/** What minifilters hang on instances, volumes, files and handles: blocks of their own, counted, with a routine for the end. */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import type { MiniFilter } from './minifilter.ts';
import { Status } from './status.ts';
import type { Windows } from './windows.ts';

const TAG = 0x78746346;
const CONTEXT_ALREADY_DEFINED = 0xc01c0002 | 0;
const CONTEXT_ALLOCATION_NOT_FOUND = 0xc01c0016 | 0;

interface Context {
  readonly filter: MiniFilter;
  readonly type: number;
  references: number;
  /** What it hangs on. */
  at: string | undefined;
}

interface Contexts {
  readonly byAddress: Map<Address, Context>;
  readonly byPlace: Map<string, Address>;
}

const contexts = perKernel((): Contexts => ({ byAddress: new Map(), byPlace: new Map() }));

/** FLT_*_CONTEXT. */
export const ContextKind = { VOLUME: 1, INSTANCE: 2, FILE: 4, STREAM: 8, STREAM_HANDLE: 0x10 } as const;
/** FLT_SET_CONTEXT_OPERATION. */
const KEEP_IF_EXISTS = 1;

export function allocateContext(
  k: Windows,
  filter: MiniFilter | undefined,
  type: number,
  bytes: number,
  pool: number,
  out: Address,
): number {
  if (filter === undefined) return Status.INVALID_PARAMETER;
  if (!filter.registration.contexts.has(type)) return CONTEXT_ALLOCATION_NOT_FOUND;
  const at = k.pool.allocate((pool & 1) === 1 ? 'paged' : 'nonpaged', bytes, TAG, 0, true);
  if (at === 0) return Status.INSUFFICIENT_RESOURCES;
  k.state(contexts).byAddress.set(at, { filter, type, references: 1, at: undefined });
  k.memory.setPtr(out, at);
  return Status.SUCCESS;
}

export function* releaseContext(k: Windows, at: Address): Steps<void> {
  const state = k.state(contexts);
  const context = state.byAddress.get(at);
  if (context === undefined || --context.references > 0) return;
  const cleanup = context.filter.registration.contexts.get(context.type) ?? 0;
  if (cleanup !== 0) yield* k.callInt(cleanup, at, context.type);
  state.byAddress.delete(at);
  k.pool.release(at);
}

export function* setContext(
  k: Windows,
  place: string,
  how: number,
  at: Address,
  old: Address,
): Steps<number> {
  const state = k.state(contexts);
  const context = state.byAddress.get(at);
  if (context === undefined) return Status.INVALID_PARAMETER;
  const there = state.byPlace.get(place);
  if (there !== undefined && how === KEEP_IF_EXISTS) {
    const known = state.byAddress.get(there);
    if (old !== 0 && known !== undefined) {
      known.references++;
      k.memory.setPtr(old, there);
    }
    return CONTEXT_ALREADY_DEFINED;
  }
  state.byPlace.set(place, at);
  context.references++;
  context.at = place;
  if (there === undefined) return Status.SUCCESS;
  // Who asked for the old one has its reference now.
  if (old !== 0) k.memory.setPtr(old, there);
  else yield* releaseContext(k, there);
  return Status.SUCCESS;
}

export function getContext(k: Windows, place: string, out: Address): number {
  const state = k.state(contexts);
  const at = state.byPlace.get(place);
  const context = at === undefined ? undefined : state.byAddress.get(at);
  k.memory.setPtr(out, at ?? 0);
  if (context === undefined) return Status.NOT_FOUND;
  context.references++;
  return Status.SUCCESS;
}

export function* deleteContext(k: Windows, place: string, old: Address): Steps<number> {
  const state = k.state(contexts);
  const at = state.byPlace.get(place);
  if (at === undefined) return Status.NOT_FOUND;
  state.byPlace.delete(place);
  if (old !== 0) k.memory.setPtr(old, at);
  else yield* releaseContext(k, at);
  return Status.SUCCESS;
}

export const contextAt = (k: Windows, at: Address): Context | undefined =>
  k.state(contexts).byAddress.get(at);

export function referenceContext(k: Windows, at: Address): void {
  const context = contextAt(k, at);
  if (context !== undefined) context.references++;
}

/** An instance or a file object goes: what hangs on it goes with it. */
export function* releaseContextsOf(k: Windows, owner: Address): Steps<void> {
  const places = [...k.state(contexts).byPlace.keys()];
  for (const place of places) if (place.split(' ').includes(`${owner}`)) yield* deleteContext(k, place, 0);
}
