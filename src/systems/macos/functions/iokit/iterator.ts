/** IORegistryIterator (iokit/Kernel/IORegistryEntry.cpp): a walk over the children or parents of an entry in a plane. */
import type { Steps } from '../../../../kernel/steps.ts';
import type { Address } from '../../../../memory/space.ts';
import type { Macos } from '../../macos.ts';
import { newObject } from '../../runtime/classes.ts';
import { arrayAdd, arrayItems } from '../../runtime/collections.ts';
import { release, retain } from '../../runtime/objects.ts';
import { childrenOf, parentsOf, planeOf, root } from '../../runtime/registry.ts';
import { kernelFunctions } from '../define.ts';
import { withCapacity } from '../libkern/collections.ts';
import { freeObject } from '../libkern/object.ts';
import { insertOrdered } from '../libkern/ordered-set.ts';

/** IORegistryEntry.h: kIORegistryIterateRecursively, kIORegistryIterateParents */
const RECURSIVELY = 1;
const PARENTS = 2;
const MAX_ENTRIES = 100_000;

/** Where a walk stands: one level, and the level that it was entered from. */
function level(k: Macos, at: Address, entry: Address): Address {
  const plane = planeOf(k, k.read('IORegistryIterator.plane', at));
  const up = (k.read('IORegistryIterator.options', at) & PARENTS) !== 0;
  const list = withCapacity(k, 'OSArray', 4);
  for (const one of (up ? parentsOf : childrenOf)(k, entry, plane)) arrayAdd(k, list, one);
  const frame = k.heap.allocate(k.sizeof('struct IORegCursor'), 'IORegistryIterator');
  k.write('IORegCursor.next', frame, k.read('IORegistryIterator.where', at));
  k.write('IORegCursor.list', frame, list);
  k.write('IORegistryIterator.where', at, frame);
  return frame;
}

function* leave(k: Macos, at: Address): Steps<boolean> {
  const frame = k.read('IORegistryIterator.where', at);
  if (frame === 0) return false;
  k.write('IORegistryIterator.where', at, k.read('IORegCursor.next', frame));
  yield* release(k, k.read('IORegCursor.list', frame));
  k.heap.free(frame);
  return k.read('IORegistryIterator.where', at) !== 0;
}

function* reset(k: Macos, at: Address): Steps<void> {
  while (k.read('IORegistryIterator.where', at) !== 0) yield* leave(k, at);
  level(k, at, k.read('IORegistryIterator.root', at));
}

function create(k: Macos, start: Address, plane: Address, options: number): Address {
  if (start === 0 || plane === 0) return 0;
  const at = newObject(k, 'IORegistryIterator');
  retain(k, start);
  k.write('IORegistryIterator.root', at, start);
  k.write('IORegistryIterator.plane', at, plane);
  k.write('IORegistryIterator.options', at, options);
  level(k, at, start);
  return at;
}

const current = (k: Macos, at: Address): Address => {
  const frame = k.read('IORegistryIterator.where', at);
  return frame === 0 ? 0 : k.read('IORegCursor.current', frame);
};

/** The next of this level. */
function flat(k: Macos, at: Address): Address {
  const frame = k.read('IORegistryIterator.where', at);
  if (frame === 0) return 0;
  const index = k.read('IORegCursor.index', frame);
  const next = arrayItems(k, k.read('IORegCursor.list', frame))[index] ?? 0;
  k.write('IORegCursor.current', frame, next);
  if (next !== 0) k.write('IORegCursor.index', frame, index + 1);
  return next;
}

/** The next below the one before, or beside it, or beside what it was entered from. */
function* recursive(k: Macos, at: Address): Steps<Address> {
  const before = current(k, at);
  if (before !== 0) level(k, at, before);
  for (;;) {
    const next = flat(k, at);
    if (next !== 0 || !(yield* leave(k, at))) return next;
  }
}

function* next(k: Macos, at: Address): Steps<Address> {
  const options = k.read('IORegistryIterator.options', at);
  return (options & RECURSIVELY) === 0 ? flat(k, at) : yield* recursive(k, at);
}

/** Everything that is left, each once, in the walk's order. */
function* all(k: Macos, at: Address): Steps<Address> {
  yield* reset(k, at);
  const found = newObject(k, 'OSOrderedSet');
  for (let left = MAX_ENTRIES; left > 0; left--) {
    const one = yield* recursive(k, at);
    if (one === 0) break;
    insertOrdered(k, found, k.read('OSOrderedSet.count', found), one);
  }
  return found;
}

export const registryIterators = kernelFunctions({
  'void *_ZN18IORegistryIterator11iterateOverEPK15IORegistryPlanej(const void *plane, unsigned int options)':
    (k, plane, options) => create(k, root(k), plane, options),
  'void *_ZN18IORegistryIterator11iterateOverEP15IORegistryEntryPK15IORegistryPlanej(void *start, const void *plane, unsigned int options)':
    create,
  'void _ZN18IORegistryIterator4freeEv(void *at)': function* (k, at) {
    while (k.read('IORegistryIterator.where', at) !== 0) yield* leave(k, at);
    yield* release(k, k.read('IORegistryIterator.root', at));
    yield* freeObject(k, at);
  },
  'void _ZN18IORegistryIterator5resetEv(void *at)': reset,
  'bool _ZN18IORegistryIterator7isValidEv(void *at)': () => true,
  'void *_ZN18IORegistryIterator13getNextObjectEv(void *at)': next,
  'void *_ZN18IORegistryIterator17getNextObjectFlatEv(void *at)': flat,
  'void *_ZN18IORegistryIterator22getNextObjectRecursiveEv(void *at)': recursive,
  'void *_ZN18IORegistryIterator15getCurrentEntryEv(void *at)': current,
  'void _ZN18IORegistryIterator10enterEntryEv(void *at)': (k, at) => {
    const entry = current(k, at);
    if (entry !== 0) level(k, at, entry);
  },
  'void _ZN18IORegistryIterator10enterEntryEPK15IORegistryPlane(void *at, const void *plane)': (
    k,
    at,
    plane,
  ) => {
    const entry = current(k, at);
    k.write('IORegistryIterator.plane', at, plane);
    level(k, at, entry !== 0 ? entry : k.read('IORegistryIterator.root', at));
  },
  'bool _ZN18IORegistryIterator9exitEntryEv(void *at)': leave,
  'void *_ZN18IORegistryIterator10iterateAllEv(void *at)': all,
});
