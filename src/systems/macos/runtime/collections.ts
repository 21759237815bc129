/** Arrays and dictionaries of objects where they lie: entries in a block of kernel memory that grows (OSArray, OSDictionary). */
import type { Address } from '../../../memory/space.ts';
import type { Macos } from '../macos.ts';

/** More entries than any collection has; ends one whose count a module has overwritten. */
const MOST = 1_000_000;

/** An increment of 0 is what a collection begins with; it grows by its first capacity then. */
const increment = (k: Macos, path: 'OSArray' | 'OSDictionary', at: Address): number =>
  Math.max(4, k.read(`${path}.capacityIncrement`, at));

function room(
  k: Macos,
  path: 'OSArray' | 'OSDictionary',
  field: 'OSArray.array' | 'OSDictionary.dictionary',
  at: Address,
  wanted: number,
  entry: number,
): void {
  const capacity = k.read(`${path}.capacity`, at);
  if (wanted <= capacity) return;
  const step = increment(k, path, at);
  const next = Math.ceil(wanted / step) * step;
  const block = k.heap.allocate(next * entry, path);
  const old = k.read(field, at);
  if (old !== 0) {
    k.memory.copy(block, old, k.read(`${path}.count`, at) * entry);
    k.heap.free(old);
  }
  k.write(field, at, block);
  k.write(`${path}.capacity`, at, next);
}

export const arrayCount = (k: Macos, at: Address): number => Math.min(MOST, k.read('OSArray.count', at));

export function arrayItems(k: Macos, at: Address): Address[] {
  if (at === 0) return [];
  const block = k.read('OSArray.array', at);
  return Array.from({ length: arrayCount(k, at) }, (_, i) => k.memory.ptr(block + i * k.word));
}

const touch = (k: Macos, at: Address): void =>
  k.write('OSCollection.updateStamp', at, (k.read('OSCollection.updateStamp', at) + 1) >>> 0);

const hold = (k: Macos, at: Address): void =>
  k.write('OSObject.retainCount', at, k.read('OSObject.retainCount', at) + 1);

/** Puts an object at an index, later ones move up, and holds it. */
export function arrayInsert(k: Macos, at: Address, index: number, item: Address): boolean {
  const count = arrayCount(k, at);
  if (item === 0 || index < 0 || index > count) return false;
  room(k, 'OSArray', 'OSArray.array', at, count + 1, k.word);
  const block = k.read('OSArray.array', at);
  k.memory.copy(block + (index + 1) * k.word, block + index * k.word, (count - index) * k.word);
  k.memory.setPtr(block + index * k.word, item);
  hold(k, item);
  k.write('OSArray.count', at, count + 1);
  touch(k, at);
  return true;
}

export const arrayAdd = (k: Macos, at: Address, item: Address): boolean =>
  arrayInsert(k, at, arrayCount(k, at), item);

/** Takes an entry out; gives the object, which the caller has to release. */
export function arrayTake(k: Macos, at: Address, index: number): Address | undefined {
  const count = arrayCount(k, at);
  if (index < 0 || index >= count) return undefined;
  const block = k.read('OSArray.array', at);
  const item = k.memory.ptr(block + index * k.word);
  k.memory.copy(block + index * k.word, block + (index + 1) * k.word, (count - index - 1) * k.word);
  k.write('OSArray.count', at, count - 1);
  touch(k, at);
  return item;
}

export function arrayReplace(k: Macos, at: Address, index: number, item: Address): Address | undefined {
  if (item === 0 || index < 0 || index >= arrayCount(k, at)) return undefined;
  const place = k.read('OSArray.array', at) + index * k.word;
  const old = k.memory.ptr(place);
  hold(k, item);
  k.memory.setPtr(place, item);
  touch(k, at);
  return old;
}

export const ensureArray = (k: Macos, at: Address, capacity: number): void =>
  room(k, 'OSArray', 'OSArray.array', at, capacity, k.word);

// -- dictionaries -------------------------------------------------------------------------------------------------

export interface DictionaryItem {
  readonly key: Address;
  readonly value: Address;
}

const dictionaryCount = (k: Macos, at: Address): number => Math.min(MOST, k.read('OSDictionary.count', at));

export function dictionaryItems(k: Macos, at: Address): DictionaryItem[] {
  if (at === 0) return [];
  const block = k.read('OSDictionary.dictionary', at);
  return Array.from({ length: dictionaryCount(k, at) }, (_, i) => ({
    key: k.memory.ptr(block + i * 2 * k.word),
    value: k.memory.ptr(block + (i * 2 + 1) * k.word),
  }));
}

/** Keys are symbols: the same text is the same object. */
export const dictionaryGet = (k: Macos, at: Address, key: Address): Address =>
  dictionaryItems(k, at).find((item) => item.key === key)?.value ?? 0;

/** Sets a value and holds it; gives the value that was there, which the caller has to release. */
export function dictionarySet(k: Macos, at: Address, key: Address, value: Address): Address {
  const items = dictionaryItems(k, at);
  const index = items.findIndex((item) => item.key === key);
  hold(k, value);
  touch(k, at);
  if (index >= 0) {
    k.memory.setPtr(k.read('OSDictionary.dictionary', at) + (index * 2 + 1) * k.word, value);
    return items[index].value;
  }
  room(k, 'OSDictionary', 'OSDictionary.dictionary', at, items.length + 1, 2 * k.word);
  const place = k.read('OSDictionary.dictionary', at) + items.length * 2 * k.word;
  k.memory.setPtr(place, key);
  k.memory.setPtr(place + k.word, value);
  hold(k, key);
  k.write('OSDictionary.count', at, items.length + 1);
  return 0;
}

/** Takes an entry out; gives what has to be released. */
export function dictionaryTake(k: Macos, at: Address, key: Address): DictionaryItem | undefined {
  const items = dictionaryItems(k, at);
  const index = items.findIndex((item) => item.key === key);
  if (index < 0) return undefined;
  const block = k.read('OSDictionary.dictionary', at);
  const entry = 2 * k.word;
  k.memory.copy(block + index * entry, block + (index + 1) * entry, (items.length - index - 1) * entry);
  k.write('OSDictionary.count', at, items.length - 1);
  touch(k, at);
  return items[index];
}

export const ensureDictionary = (k: Macos, at: Address, capacity: number): void =>
  room(k, 'OSDictionary', 'OSDictionary.dictionary', at, capacity, 2 * k.word);
