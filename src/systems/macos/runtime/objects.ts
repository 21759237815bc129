/** Objects of libkern's classes as TypeScript handles them: references, texts, numbers, and values of property lists. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { guestText, writeGuestText } from '../../../kernel/text/printf.ts';
import { bytesOf } from '../../../kernel/text/sink.ts';
import type { Address } from '../../../memory/space.ts';
import type { Macos } from '../macos.ts';
import { isDict, type PlistValue } from '../plist.ts';
import { invoke, newObject, vtablePointer } from './classes.ts';
import { arrayAdd, arrayItems, dictionaryItems, dictionarySet } from './collections.ts';

/** Longest text of an object that is looked at. */
const MAX_TEXT = 65536;

export const retain = (k: Macos, at: Address): void => {
  if (at !== 0) k.write('OSObject.retainCount', at, k.read('OSObject.retainCount', at) + 1);
};

/** Gives a reference back, as the object's own class does it. */
export function* release(k: Macos, at: Address): Steps<void> {
  if (at !== 0) yield* invoke(k, at, 'OSObject', '_ZNK8OSObject7releaseEv');
}

export const references = (k: Macos, at: Address): number => k.read('OSObject.retainCount', at) & 0xffff;

/** Is it an object of exactly this class of the kernel? */
export const isExactly = (k: Macos, at: Address, name: string): boolean =>
  at !== 0 && k.memory.ptr(at) === vtablePointer(k, name);

const KINDS = [
  'OSString',
  'OSSymbol',
  'OSNumber',
  'OSBoolean',
  'OSData',
  'OSArray',
  'OSSet',
  'OSOrderedSet',
  'OSDictionary',
] as const;
export type ObjectKind = (typeof KINDS)[number];

/** Which of the plain classes an object is of; undefined for any other, and for classes of kexts. */
export const kindOf = (k: Macos, at: Address): ObjectKind | undefined =>
  at === 0 ? undefined : KINDS.find((name) => isExactly(k, at, name));

// -- texts ------------------------------------------------------------------------------------------------------

export const isText = (k: Macos, at: Address): boolean =>
  isExactly(k, at, 'OSString') || isExactly(k, at, 'OSSymbol');

/** The text of an OSString or OSSymbol; empty for the null pointer. */
export const textOf = (k: Macos, at: Address): string =>
  at === 0 ? '' : guestText(k, k.read('OSString.string', at), MAX_TEXT);

export function fillString(k: Macos, at: Address, text: string): void {
  const bytes = bytesOf(text).length + 1;
  const copy = k.heap.allocate(bytes, 'OSString');
  writeGuestText(k, copy, text);
  k.write('OSString.string', at, copy);
  k.write('OSString.length', at, bytes);
}

export function newString(k: Macos, text: string, kind: 'OSString' | 'OSSymbol' = 'OSString'): Address {
  const at = newObject(k, kind);
  fillString(k, at, text);
  return at;
}

/** Symbols by their text: one object each while anybody holds it. */
export const symbolPool = perKernel<Map<string, Address>, Macos>(() => new Map());

/** The symbol of a text, with one reference more. */
export function symbol(k: Macos, text: string): Address {
  const pool = k.state(symbolPool);
  const known = pool.get(text);
  if (known !== undefined) {
    retain(k, known);
    return known;
  }
  const at = newString(k, text, 'OSSymbol');
  pool.set(text, at);
  return at;
}

// -- numbers and truth --------------------------------------------------------------------------------------------

export function newNumber(k: Macos, value: bigint, bits: number): Address {
  const at = newObject(k, 'OSNumber');
  k.memory.setU64(at + k.offset('OSNumber.value'), BigInt.asUintN(bits > 0 && bits < 64 ? bits : 64, value));
  k.write('OSNumber.size', at, bits);
  return at;
}

export const numberOf = (k: Macos, at: Address): bigint => k.memory.u64(at + k.offset('OSNumber.value'));

const booleans = perKernel<{ yes: Address; no: Address }, Macos>((k) => {
  const make = (value: number): Address => {
    const at = newObject(k, 'OSBoolean');
    k.memory.set8(at + k.offset('OSBoolean.value'), value);
    return at;
  };
  return { yes: make(1), no: make(0) };
});

export const boolean = (k: Macos, value: boolean): Address =>
  value ? k.state(booleans).yes : k.state(booleans).no;

export function newData(k: Macos, bytes: Uint8Array): Address {
  const at = newObject(k, 'OSData');
  const place = bytes.length === 0 ? 0 : k.heap.allocate(bytes.length, 'OSData');
  if (place !== 0) k.memory.write(place, bytes);
  k.write('OSData.data', at, place);
  k.write('OSData.length', at, bytes.length);
  k.write('OSData.capacity', at, bytes.length);
  return at;
}

export const dataOf = (k: Macos, at: Address): Uint8Array => {
  const length = k.read('OSData.length', at);
  return length === 0 ? new Uint8Array() : k.memory.bytes(k.read('OSData.data', at), length).slice();
};

// -- property lists ---------------------------------------------------------------------------------------------

/** An object of a value, with one reference. */
export function fromPlist(k: Macos, value: PlistValue): Address {
  if (typeof value === 'string') return newString(k, value);
  if (typeof value === 'boolean') {
    const at = boolean(k, value);
    retain(k, at);
    return at;
  }
  if (typeof value === 'number' || typeof value === 'bigint')
    return newNumber(k, BigInt(typeof value === 'number' ? Math.trunc(value) : value), 32);
  if (value instanceof Uint8Array) return newData(k, value);
  if (Array.isArray(value)) {
    const at = newObject(k, 'OSArray');
    for (const one of value as readonly PlistValue[])
      given(k, fromPlist(k, one), (item) => arrayAdd(k, at, item));
    return at;
  }
  const at = newObject(k, 'OSDictionary');
  if (isDict(value)) {
    for (const [key, one] of Object.entries(value)) {
      const name = symbol(k, key);
      given(k, fromPlist(k, one), (item) => dictionarySet(k, at, name, item));
      drop(k, name);
    }
  }
  return at;
}

/** Hands an object over and gives the own reference back: whoever took it holds it now. */
function given(k: Macos, at: Address, use: (at: Address) => void): void {
  use(at);
  drop(k, at);
}

/** One reference less of an object that somebody else holds. */
export const drop = (k: Macos, at: Address): void =>
  k.write('OSObject.retainCount', at, k.read('OSObject.retainCount', at) - 1);

const DEPTH = 32;

/** What a property says; undefined for objects that are no values of a property list. */
export function toPlist(k: Macos, at: Address, depth = DEPTH): PlistValue | undefined {
  if (depth === 0) return undefined;
  switch (kindOf(k, at)) {
    case 'OSString':
    case 'OSSymbol':
      return textOf(k, at);
    case 'OSNumber':
      return numberOf(k, at);
    case 'OSBoolean':
      return k.memory.u8(at + k.offset('OSBoolean.value')) !== 0;
    case 'OSData':
      return dataOf(k, at);
    case 'OSArray':
      return arrayItems(k, at).flatMap((one) => toPlist(k, one, depth - 1) ?? []);
    case 'OSSet':
      return arrayItems(k, k.read('OSSet.members', at)).flatMap((one) => toPlist(k, one, depth - 1) ?? []);
    case 'OSDictionary':
      return Object.fromEntries(
        dictionaryItems(k, at).flatMap(({ key, value }) => {
          const plain = toPlist(k, value, depth - 1);
          return plain === undefined ? [] : [[textOf(k, key), plain]];
        }),
      );
    default:
      return undefined;
  }
}
