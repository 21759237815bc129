/** OSArray, OSDictionary, OSSet, OSOrderedSet and their iterator (libkern/c++/OSArray.cpp and its neighbours). */
import type { Steps } from '../../../../kernel/steps.ts';
import { guestText } from '../../../../kernel/text/printf.ts';
import type { Address } from '../../../../memory/space.ts';
import type { Macos } from '../../macos.ts';
import { newObject } from '../../runtime/classes.ts';
import {
  arrayAdd,
  arrayCount,
  arrayInsert,
  arrayItems,
  arrayReplace,
  arrayTake,
  dictionaryGet,
  dictionaryItems,
  dictionarySet,
  dictionaryTake,
  ensureArray,
  ensureDictionary,
} from '../../runtime/collections.ts';
import { drop, isExactly, release, retain, symbol, symbolPool, textOf } from '../../runtime/objects.ts';
import { kernelFunctions } from '../define.ts';
import { freeObject } from './object.ts';
import { orderedItems } from './ordered-set.ts';

/** A collection with room for so many, as withCapacity makes it. */
export function withCapacity(k: Macos, name: 'OSArray' | 'OSDictionary', capacity: number): Address {
  const at = newObject(k, name);
  const kind = name === 'OSDictionary' ? 'OSDictionary' : 'OSArray';
  k.write(`${kind}.capacityIncrement`, at, Math.min(capacity, 4096));
  if (capacity > 0 && capacity <= 65536)
    (kind === 'OSArray' ? ensureArray : ensureDictionary)(k, at, capacity);
  return at;
}

function setWithCapacity(k: Macos, capacity: number): Address {
  const at = newObject(k, 'OSSet');
  k.write('OSSet.members', at, withCapacity(k, 'OSArray', capacity));
  return at;
}

function* flushArray(k: Macos, at: Address): Steps<void> {
  const items = arrayItems(k, at);
  k.write('OSArray.count', at, 0);
  for (const item of items) yield* release(k, item);
}

function* flushDictionary(k: Macos, at: Address): Steps<void> {
  const items = dictionaryItems(k, at);
  k.write('OSDictionary.count', at, 0);
  for (const { key, value } of items) {
    yield* release(k, value);
    yield* release(k, key);
  }
}

function* removeAt(k: Macos, at: Address, index: number): Steps<void> {
  const item = arrayTake(k, at, index);
  if (item !== undefined) yield* release(k, item);
}

export const arrays = kernelFunctions({
  'void *_ZN7OSArray12withCapacityEj(unsigned int capacity)': (k, capacity) =>
    withCapacity(k, 'OSArray', capacity),
  'void *_ZN7OSArray11withObjectsEPPK8OSObjectjj(const void **objects, unsigned int count, unsigned int capacity)':
    (k, objects, count, capacity) => {
      const at = withCapacity(k, 'OSArray', Math.max(count, capacity));
      for (let i = 0; i < count; i++) arrayAdd(k, at, k.memory.ptr(objects + i * k.word));
      return at;
    },
  'void *_ZN7OSArray9withArrayEPKS_j(const void *other, unsigned int capacity)': (k, other, capacity) => {
    const items = arrayItems(k, other);
    const at = withCapacity(k, 'OSArray', Math.max(items.length, capacity));
    for (const item of items) arrayAdd(k, at, item);
    return at;
  },
  'bool _ZN7OSArray16initWithCapacityEj(void *at, unsigned int capacity)': (k, at, capacity) => {
    k.write('OSArray.capacityIncrement', at, capacity);
    if (capacity <= 65536) ensureArray(k, at, capacity);
    return true;
  },
  'void _ZN7OSArray4freeEv(void *at)': function* (k, at) {
    yield* flushArray(k, at);
    k.heap.free(k.read('OSArray.array', at));
    yield* freeObject(k, at);
  },
  'unsigned int _ZNK7OSArray8getCountEv(const void *at)': arrayCount,
  'unsigned int _ZNK7OSArray11getCapacityEv(const void *at)': (k, at) => k.read('OSArray.capacity', at),
  'unsigned int _ZNK7OSArray20getCapacityIncrementEv(const void *at)': (k, at) =>
    k.read('OSArray.capacityIncrement', at),
  'unsigned int _ZN7OSArray14ensureCapacityEj(void *at, unsigned int capacity)': (k, at, capacity) => {
    if (capacity <= 65536) ensureArray(k, at, capacity);
    return k.read('OSArray.capacity', at);
  },
  'void _ZN7OSArray15flushCollectionEv(void *at)': flushArray,
  'bool _ZN7OSArray9setObjectEPK15OSMetaClassBase(void *at, const void *object)': arrayAdd,
  'bool _ZN7OSArray9setObjectEjPK15OSMetaClassBase(void *at, unsigned int index, const void *object)':
    arrayInsert,
  'bool _ZN7OSArray5mergeEPKS_(void *at, const void *other)': (k, at, other) => {
    for (const item of arrayItems(k, other)) arrayAdd(k, at, item);
    return true;
  },
  'void _ZN7OSArray13replaceObjectEjPK15OSMetaClassBase(void *at, unsigned int index, const void *object)':
    function* (k, at, index, object) {
      const old = arrayReplace(k, at, index, object);
      if (old !== undefined) yield* release(k, old);
    },
  'void _ZN7OSArray12removeObjectEj(void *at, unsigned int index)': removeAt,
  'void *_ZNK7OSArray9getObjectEj(const void *at, unsigned int index)': (k, at, index) =>
    index < arrayCount(k, at) ? k.memory.ptr(k.read('OSArray.array', at) + index * k.word) : 0,
  'void *_ZNK7OSArray13getLastObjectEv(const void *at)': (k, at) => arrayItems(k, at).at(-1) ?? 0,
  'unsigned int _ZNK7OSArray20getNextIndexOfObjectEPK15OSMetaClassBasej(const void *at, const void *object, unsigned int index)':
    (k, at, object, index) => {
      const found = arrayItems(k, at).indexOf(object, index);
      return found < 0 ? 0xffffffff : found;
    },
});

const textKey = (k: Macos, at: Address): string => guestText(k, at, 65536);
/** The symbol that a key of another kind means; 0 when no dictionary can have it. */
const known = (k: Macos, text: string): Address => k.state(symbolPool).get(text) ?? 0;

function* put(k: Macos, at: Address, key: Address, value: Address): Steps<boolean> {
  if (key === 0 || value === 0) return false;
  const old = dictionarySet(k, at, key, value);
  if (old !== 0) yield* release(k, old);
  return true;
}

/** With a key of text: its symbol is made for as long as it takes. */
function* putText(k: Macos, at: Address, text: string, value: Address): Steps<boolean> {
  const key = symbol(k, text);
  const done = yield* put(k, at, key, value);
  yield* release(k, key);
  return done;
}

function* take(k: Macos, at: Address, key: Address): Steps<void> {
  const item = dictionaryTake(k, at, key);
  if (item === undefined) return;
  yield* release(k, item.value);
  yield* release(k, item.key);
}

function copyDictionary(k: Macos, other: Address, capacity: number): Address {
  const items = dictionaryItems(k, other);
  const at = withCapacity(k, 'OSDictionary', Math.max(items.length, capacity));
  for (const { key, value } of items) dictionarySet(k, at, key, value);
  return at;
}

function dictionaryOf(k: Macos, objects: Address, keys: Address, count: number, capacity: number): Address {
  const at = withCapacity(k, 'OSDictionary', Math.max(count, capacity));
  for (let i = 0; i < count; i++) {
    const given = k.memory.ptr(keys + i * k.word);
    const key = symbol(k, textOf(k, given));
    dictionarySet(k, at, key, k.memory.ptr(objects + i * k.word));
    drop(k, key);
  }
  return at;
}

export const dictionaries = kernelFunctions({
  'void *_ZN12OSDictionary12withCapacityEj(unsigned int capacity)': (k, capacity) =>
    withCapacity(k, 'OSDictionary', capacity),
  'void *_ZN12OSDictionary14withDictionaryEPKS_j(const void *other, unsigned int capacity)': copyDictionary,
  'void *_ZN12OSDictionary11withObjectsEPPK8OSObjectPPK8OSSymboljj(const void **objects, const void **keys, unsigned int count, unsigned int capacity)':
    dictionaryOf,
  'void *_ZN12OSDictionary11withObjectsEPPK8OSObjectPPK8OSStringjj(const void **objects, const void **keys, unsigned int count, unsigned int capacity)':
    dictionaryOf,
  'bool _ZN12OSDictionary16initWithCapacityEj(void *at, unsigned int capacity)': (k, at, capacity) => {
    k.write('OSDictionary.capacityIncrement', at, capacity);
    if (capacity <= 65536) ensureDictionary(k, at, capacity);
    return true;
  },
  'void _ZN12OSDictionary4freeEv(void *at)': function* (k, at) {
    yield* flushDictionary(k, at);
    k.heap.free(k.read('OSDictionary.dictionary', at));
    yield* freeObject(k, at);
  },
  'unsigned int _ZNK12OSDictionary8getCountEv(const void *at)': (k, at) => k.read('OSDictionary.count', at),
  'unsigned int _ZNK12OSDictionary11getCapacityEv(const void *at)': (k, at) =>
    k.read('OSDictionary.capacity', at),
  'unsigned int _ZN12OSDictionary14ensureCapacityEj(void *at, unsigned int capacity)': (k, at, capacity) => {
    if (capacity <= 65536) ensureDictionary(k, at, capacity);
    return k.read('OSDictionary.capacity', at);
  },
  'void _ZN12OSDictionary15flushCollectionEv(void *at)': flushDictionary,
  'bool _ZN12OSDictionary9setObjectEPK8OSSymbolPK15OSMetaClassBase(void *at, const void *key, const void *value)':
    put,
  'bool _ZN12OSDictionary9setObjectEPK8OSStringPK15OSMetaClassBase(void *at, const void *key, const void *value)':
    (k, at, key, value) => putText(k, at, textOf(k, key), value),
  'bool _ZN12OSDictionary9setObjectEPKcPK15OSMetaClassBase(void *at, const char *key, const void *value)': (
    k,
    at,
    key,
    value,
  ) => putText(k, at, textKey(k, key), value),
  'void _ZN12OSDictionary12removeObjectEPK8OSSymbol(void *at, const void *key)': take,
  'void _ZN12OSDictionary12removeObjectEPK8OSString(void *at, const void *key)': (k, at, key) =>
    take(k, at, known(k, textOf(k, key))),
  'void _ZN12OSDictionary12removeObjectEPKc(void *at, const char *key)': (k, at, key) =>
    take(k, at, known(k, textKey(k, key))),
  'void *_ZNK12OSDictionary9getObjectEPK8OSSymbol(const void *at, const void *key)': dictionaryGet,
  'void *_ZNK12OSDictionary9getObjectEPK8OSString(const void *at, const void *key)': (k, at, key) =>
    dictionaryGet(k, at, known(k, textOf(k, key))),
  'void *_ZNK12OSDictionary9getObjectEPKc(const void *at, const char *key)': (k, at, key) =>
    dictionaryGet(k, at, known(k, textKey(k, key))),
  'bool _ZN12OSDictionary5mergeEPKS_(void *at, const void *other)': function* (k, at, other) {
    for (const { key, value } of dictionaryItems(k, other)) yield* put(k, at, key, value);
    return true;
  },
  'void *_ZN12OSDictionary14copyCollectionEPS_(void *at, void *cycles)': (k, at) => copyDictionary(k, at, 0),
});

export const sets = kernelFunctions({
  'void *_ZN5OSSet12withCapacityEj(unsigned int capacity)': setWithCapacity,
  'bool _ZN5OSSet16initWithCapacityEj(void *at, unsigned int capacity)': (k, at, capacity) => {
    k.write('OSSet.members', at, withCapacity(k, 'OSArray', capacity));
    return true;
  },
  'void _ZN5OSSet4freeEv(void *at)': function* (k, at) {
    yield* release(k, k.read('OSSet.members', at));
    yield* freeObject(k, at);
  },
  'unsigned int _ZNK5OSSet8getCountEv(const void *at)': (k, at) => arrayCount(k, k.read('OSSet.members', at)),
  'bool _ZN5OSSet9setObjectEPK15OSMetaClassBase(void *at, const void *object)': (k, at, object) => {
    const members = k.read('OSSet.members', at);
    return !arrayItems(k, members).includes(object) && arrayAdd(k, members, object);
  },
  'void _ZN5OSSet12removeObjectEPK15OSMetaClassBase(void *at, const void *object)': (k, at, object) => {
    const members = k.read('OSSet.members', at);
    return removeAt(k, members, arrayItems(k, members).indexOf(object));
  },
  'bool _ZNK5OSSet14containsObjectEPK15OSMetaClassBase(const void *at, const void *object)': (
    k,
    at,
    object,
  ) => arrayItems(k, k.read('OSSet.members', at)).includes(object),
  'bool _ZNK5OSSet6memberEPK15OSMetaClassBase(const void *at, const void *object)': (k, at, object) =>
    arrayItems(k, k.read('OSSet.members', at)).includes(object),
  'void *_ZNK5OSSet12getAnyObjectEv(const void *at)': (k, at) =>
    arrayItems(k, k.read('OSSet.members', at))[0] ?? 0,
  'void _ZN5OSSet15flushCollectionEv(void *at)': (k, at) => flushArray(k, k.read('OSSet.members', at)),
});

// -- iterators ------------------------------------------------------------------------------------------------------

/** What a collection holds, in its order: the values of an array or set, the keys of a dictionary. */
export function membersOf(k: Macos, at: Address): Address[] {
  if (isExactly(k, at, 'OSDictionary')) return dictionaryItems(k, at).map(({ key }) => key);
  if (isExactly(k, at, 'OSSet')) return arrayItems(k, k.read('OSSet.members', at));
  if (isExactly(k, at, 'OSOrderedSet')) return orderedItems(k, at);
  return arrayItems(k, at);
}

/** An iterator over a collection; it holds the collection. */
export function newIterator(k: Macos, collection: Address): Address {
  const at = newObject(k, 'OSCollectionIterator');
  start(k, at, collection);
  return at;
}

function start(k: Macos, at: Address, collection: Address): void {
  retain(k, collection);
  k.write('OSCollectionIterator.collection', at, collection);
  reset(k, at);
}

const stampOf = (k: Macos, at: Address): number =>
  k.read('OSCollection.updateStamp', isExactly(k, at, 'OSSet') ? k.read('OSSet.members', at) : at);

function reset(k: Macos, at: Address): void {
  const collection = k.read('OSCollectionIterator.collection', at);
  k.write('OSCollectionIterator.initialUpdateStamp', at, stampOf(k, collection));
  k.write('OSCollectionIterator.collIterator', at, 0);
  k.write('OSCollectionIterator.valid', at, 1);
}

function valid(k: Macos, at: Address): boolean {
  const collection = k.read('OSCollectionIterator.collection', at);
  return (
    k.read('OSCollectionIterator.valid', at) !== 0 &&
    k.read('OSCollectionIterator.initialUpdateStamp', at) === stampOf(k, collection)
  );
}

function next(k: Macos, at: Address): Address {
  if (!valid(k, at)) return 0;
  const index = k.read('OSCollectionIterator.collIterator', at);
  const item = membersOf(k, k.read('OSCollectionIterator.collection', at))[index];
  if (item === undefined) {
    k.write('OSCollectionIterator.valid', at, 0);
    return 0;
  }
  k.write('OSCollectionIterator.collIterator', at, index + 1);
  return item;
}

export const iterators = kernelFunctions({
  'void *_ZN20OSCollectionIterator14withCollectionEPK12OSCollection(const void *collection)': (
    k,
    collection,
  ) => (collection === 0 ? 0 : newIterator(k, collection)),
  'bool _ZN20OSCollectionIterator18initWithCollectionEPK12OSCollection(void *at, const void *collection)': (
    k,
    at,
    collection,
  ) => {
    if (collection !== 0) start(k, at, collection);
    return collection !== 0;
  },
  'void _ZN20OSCollectionIterator4freeEv(void *at)': function* (k, at) {
    yield* release(k, k.read('OSCollectionIterator.collection', at));
    yield* freeObject(k, at);
  },
  'void _ZN20OSCollectionIterator5resetEv(void *at)': reset,
  'bool _ZN20OSCollectionIterator7isValidEv(void *at)': valid,
  'void *_ZN20OSCollectionIterator13getNextObjectEv(void *at)': next,
});
