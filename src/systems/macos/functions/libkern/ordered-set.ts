/** OSOrderedSet (libkern/c++/OSOrderedSet.cpp): each object once, in an order that the caller's function gives. */
import type { Steps } from '../../../../kernel/steps.ts';
import type { Address } from '../../../../memory/space.ts';
import type { Macos } from '../../macos.ts';
import { newObject } from '../../runtime/classes.ts';
import { release, retain } from '../../runtime/objects.ts';
import { kernelFunctions } from '../define.ts';
import { freeObject } from './object.ts';

const MOST = 1_000_000;

export function orderedItems(k: Macos, at: Address): Address[] {
  const block = k.read('OSOrderedSet.array', at);
  const count = Math.min(MOST, k.read('OSOrderedSet.count', at));
  return Array.from({ length: count }, (_, i) => k.memory.ptr(block + i * k.word));
}

function store(k: Macos, at: Address, items: readonly Address[]): void {
  if (items.length > k.read('OSOrderedSet.capacity', at)) {
    const capacity = Math.max(4, items.length * 2);
    const old = k.read('OSOrderedSet.array', at);
    k.write('OSOrderedSet.array', at, k.heap.allocate(capacity * k.word, 'OSOrderedSet'));
    k.write('OSOrderedSet.capacity', at, capacity);
    k.heap.free(old);
  }
  const block = k.read('OSOrderedSet.array', at);
  for (const [i, item] of items.entries()) k.memory.setPtr(block + i * k.word, item);
  k.write('OSOrderedSet.count', at, items.length);
  k.write('OSCollection.updateStamp', at, (k.read('OSCollection.updateStamp', at) + 1) >>> 0);
}

/** Puts an object at an index and holds it; false when it is there already. */
export function insertOrdered(k: Macos, at: Address, index: number, item: Address): boolean {
  const items = orderedItems(k, at);
  if (item === 0 || index > items.length || items.includes(item)) return false;
  retain(k, item);
  store(k, at, [...items.slice(0, index), item, ...items.slice(index)]);
  return true;
}

function* order(k: Macos, at: Address, one: Address, other: Address): Steps<number> {
  const routine = k.read('OSOrderedSet.ordering', at);
  return routine === 0
    ? 0
    : (yield* k.callInt(routine, one, other, k.read('OSOrderedSet.orderingRef', at))) | 0;
}

/** Behind those that come before it or are its equals. */
function* add(k: Macos, at: Address, item: Address): Steps<boolean> {
  const items = orderedItems(k, at);
  let index = 0;
  while (index < items.length && (yield* order(k, at, items[index], item)) >= 0) index++;
  return insertOrdered(k, at, index, item);
}

function* remove(k: Macos, at: Address, item: Address): Steps<void> {
  const items = orderedItems(k, at);
  if (!items.includes(item)) return;
  store(
    k,
    at,
    items.filter((one) => one !== item),
  );
  yield* release(k, item);
}

function* flush(k: Macos, at: Address): Steps<void> {
  const items = orderedItems(k, at);
  store(k, at, []);
  for (const item of items) yield* release(k, item);
}

function setUp(k: Macos, at: Address, ordering: Address, reference: Address): boolean {
  k.write('OSOrderedSet.ordering', at, ordering);
  k.write('OSOrderedSet.orderingRef', at, reference);
  return true;
}

export const orderedSets = kernelFunctions({
  'void *_ZN12OSOrderedSet12withCapacityEjPFiPK15OSMetaClassBaseS2_PvES3_(unsigned int capacity, void *ordering, void *reference)':
    (k, _capacity, ordering, reference) => {
      const at = newObject(k, 'OSOrderedSet');
      setUp(k, at, ordering, reference);
      return at;
    },
  'bool _ZN12OSOrderedSet16initWithCapacityEjPFiPK15OSMetaClassBaseS2_PvES3_(void *at, unsigned int capacity, void *ordering, void *reference)':
    (k, at, _capacity, ordering, reference) => setUp(k, at, ordering, reference),
  'void _ZN12OSOrderedSet4freeEv(void *at)': function* (k, at) {
    yield* flush(k, at);
    k.heap.free(k.read('OSOrderedSet.array', at));
    yield* freeObject(k, at);
  },
  'unsigned int _ZNK12OSOrderedSet8getCountEv(const void *at)': (k, at) => k.read('OSOrderedSet.count', at),
  'unsigned int _ZNK12OSOrderedSet11getCapacityEv(const void *at)': (k, at) =>
    k.read('OSOrderedSet.capacity', at),
  'void _ZN12OSOrderedSet15flushCollectionEv(void *at)': flush,
  'bool _ZN12OSOrderedSet9setObjectEPK15OSMetaClassBase(void *at, const void *item)': add,
  'bool _ZN12OSOrderedSet9setObjectEjPK15OSMetaClassBase(void *at, unsigned int index, const void *item)':
    insertOrdered,
  'bool _ZN12OSOrderedSet14setFirstObjectEPK15OSMetaClassBase(void *at, const void *item)': (k, at, item) =>
    insertOrdered(k, at, 0, item),
  'bool _ZN12OSOrderedSet13setLastObjectEPK15OSMetaClassBase(void *at, const void *item)': (k, at, item) =>
    insertOrdered(k, at, orderedItems(k, at).length, item),
  'void _ZN12OSOrderedSet12removeObjectEPK15OSMetaClassBase(void *at, const void *item)': remove,
  'bool _ZNK12OSOrderedSet14containsObjectEPK15OSMetaClassBase(const void *at, const void *item)': (
    k,
    at,
    item,
  ) => orderedItems(k, at).includes(item),
  'bool _ZNK12OSOrderedSet6memberEPK15OSMetaClassBase(const void *at, const void *item)': (k, at, item) =>
    orderedItems(k, at).includes(item),
  'void *_ZNK12OSOrderedSet9getObjectEj(const void *at, unsigned int index)': (k, at, index) =>
    orderedItems(k, at)[index] ?? 0,
  'void *_ZNK12OSOrderedSet14getFirstObjectEv(const void *at)': (k, at) => orderedItems(k, at)[0] ?? 0,
  'void *_ZNK12OSOrderedSet13getLastObjectEv(const void *at)': (k, at) => orderedItems(k, at).at(-1) ?? 0,
  'int _ZN12OSOrderedSet11orderObjectEPK15OSMetaClassBase(void *at, const void *item)': function* (
    k,
    at,
    item,
  ) {
    return yield* order(k, at, item, 0);
  },
  'void *_ZN12OSOrderedSet14getOrderingRefEv(void *at)': (k, at) => k.read('OSOrderedSet.orderingRef', at),
});
