/** OSString, OSSymbol, OSNumber, OSBoolean and OSData (libkern/c++/OS*.cpp). */
import { sameBytes } from '../../../../bytes/same.ts';
import type { Steps } from '../../../../kernel/steps.ts';
import { guestText } from '../../../../kernel/text/printf.ts';
import { bytesOf } from '../../../../kernel/text/sink.ts';
import type { Address } from '../../../../memory/space.ts';
import type { Macos } from '../../macos.ts';
import { newObject } from '../../runtime/classes.ts';
import {
  boolean,
  dataOf,
  fillString,
  isExactly,
  isText,
  newData,
  newNumber,
  newString,
  numberOf,
  retain,
  symbol,
  symbolPool,
  textOf,
} from '../../runtime/objects.ts';
import { kernelFunctions } from '../define.ts';
import { freeObject } from './object.ts';

const cText = (k: Macos, at: Address): string => guestText(k, at, 65536);

function* freeString(k: Macos, at: Address): Steps<void> {
  k.heap.free(k.read('OSString.string', at));
  k.write('OSString.string', at, 0);
  yield* freeObject(k, at);
}

function* freeSymbol(k: Macos, at: Address): Steps<void> {
  const pool = k.state(symbolPool);
  const text = textOf(k, at);
  if (pool.get(text) === at) pool.delete(text);
  yield* freeString(k, at);
}

export const strings = kernelFunctions({
  'void *_ZN8OSString11withCStringEPKc(const char *text)': (k, text) =>
    text === 0 ? 0 : newString(k, cText(k, text)),
  'void *_ZN8OSString17withCStringNoCopyEPKc(const char *text)': (k, text) =>
    text === 0 ? 0 : newString(k, cText(k, text)),
  'void *_ZN8OSString10withStringEPKS_(const void *other)': (k, other) =>
    other === 0 ? 0 : newString(k, textOf(k, other)),
  'bool _ZN8OSString15initWithCStringEPKc(void *at, const char *text)': (k, at, text) => {
    if (text !== 0) fillString(k, at, cText(k, text));
    return text !== 0;
  },
  'bool _ZN8OSString14initWithStringEPKS_(void *at, const void *other)': (k, at, other) => {
    if (other !== 0) fillString(k, at, textOf(k, other));
    return other !== 0;
  },
  'void _ZN8OSString4freeEv(void *at)': freeString,
  'unsigned int _ZNK8OSString9getLengthEv(const void *at)': (k, at) => bytesOf(textOf(k, at)).length,
  'char _ZNK8OSString7getCharEj(const void *at, unsigned int index)': (k, at, index) =>
    index < k.read('OSString.length', at) ? k.memory.u8(k.read('OSString.string', at) + index) : 0,
  'bool _ZN8OSString7setCharEcj(void *at, char value, unsigned int index)': (k, at, value, index) => {
    if (index + 1 >= k.read('OSString.length', at)) return false;
    k.memory.set8(k.read('OSString.string', at) + index, value & 0xff);
    return true;
  },
  'const char *_ZNK8OSString16getCStringNoCopyEv(const void *at)': (k, at) => k.read('OSString.string', at),
  'bool _ZNK8OSString9isEqualToEPKc(const void *at, const char *text)': (k, at, text) =>
    text !== 0 && textOf(k, at) === cText(k, text),
  'bool _ZNK8OSString9isEqualToEPKS_(const void *at, const void *other)': (k, at, other) =>
    isText(k, other) && textOf(k, at) === textOf(k, other),
  'bool _ZNK8OSString9isEqualToEPK15OSMetaClassBase(const void *at, const void *other)': (k, at, other) =>
    isText(k, other) && textOf(k, at) === textOf(k, other),
  'void *_ZN8OSSymbol11withCStringEPKc(const char *text)': (k, text) => symbol(k, cText(k, text)),
  'void *_ZN8OSSymbol17withCStringNoCopyEPKc(const char *text)': (k, text) => symbol(k, cText(k, text)),
  'void *_ZN8OSSymbol10withStringEPK8OSString(const void *other)': (k, other) => symbol(k, textOf(k, other)),
  'void *_ZN8OSSymbol24existingSymbolForCStringEPKc(const char *text)': (k, text) => {
    const known = k.state(symbolPool).get(cText(k, text)) ?? 0;
    retain(k, known);
    return known;
  },
  'void *_ZN8OSSymbol23existingSymbolForStringEPK8OSString(const void *other)': (k, other) => {
    const known = k.state(symbolPool).get(textOf(k, other)) ?? 0;
    retain(k, known);
    return known;
  },
  'void _ZN8OSSymbol4freeEv(void *at)': freeSymbol,
  'bool _ZNK8OSSymbol9isEqualToEPKc(const void *at, const char *text)': (k, at, text) =>
    text !== 0 && textOf(k, at) === cText(k, text),
  'bool _ZNK8OSSymbol9isEqualToEPKS_(const void *at, const void *other)': (_, at, other) => at === other,
  'bool _ZNK8OSSymbol9isEqualToEPK15OSMetaClassBase(const void *at, const void *other)': (k, at, other) =>
    at === other || (isText(k, other) && textOf(k, at) === textOf(k, other)),
});

/** `0x12`, `012`, `12`, as strtoull reads them. */
function parsed(text: string): bigint {
  const number = /^\s*(0x[0-9a-f]+|\d+)/i.exec(text)?.[1] ?? '0';
  return BigInt(/^0\d+$/.test(number) ? `0o${number}` : number);
}

const masked = (value: bigint, bits: number): bigint =>
  BigInt.asUintN(bits > 0 && bits < 64 ? bits : 64, value);

export const numbers = kernelFunctions({
  'void *_ZN8OSNumber10withNumberEyj(unsigned long long value, unsigned int bits)': newNumber,
  'void *_ZN8OSNumber10withNumberEPKcj(const char *text, unsigned int bits)': (k, text, bits) =>
    newNumber(k, parsed(cText(k, text)), bits),
  'bool _ZN8OSNumber4initEyj(void *at, unsigned long long value, unsigned int bits)': (
    k,
    at,
    value,
    bits,
  ) => {
    k.memory.setU64(at + k.offset('OSNumber.value'), masked(value, bits));
    k.write('OSNumber.size', at, bits);
    return true;
  },
  'unsigned int _ZNK8OSNumber12numberOfBitsEv(const void *at)': (k, at) => k.read('OSNumber.size', at),
  'unsigned int _ZNK8OSNumber13numberOfBytesEv(const void *at)': (k, at) =>
    Math.ceil(k.read('OSNumber.size', at) / 8),
  'unsigned int _ZNK8OSNumber17unsigned8BitValueEv(const void *at)': (k, at) =>
    Number(numberOf(k, at) & 0xffn),
  'unsigned int _ZNK8OSNumber18unsigned16BitValueEv(const void *at)': (k, at) =>
    Number(numberOf(k, at) & 0xffffn),
  'unsigned int _ZNK8OSNumber18unsigned32BitValueEv(const void *at)': (k, at) =>
    Number(numberOf(k, at) & 0xffffffffn),
  'unsigned long long _ZNK8OSNumber18unsigned64BitValueEv(const void *at)': numberOf,
  'void _ZN8OSNumber8addValueEx(void *at, long long amount)': (k, at, amount) =>
    k.memory.setU64(
      at + k.offset('OSNumber.value'),
      masked(numberOf(k, at) + amount, k.read('OSNumber.size', at)),
    ),
  'void _ZN8OSNumber8setValueEy(void *at, unsigned long long value)': (k, at, value) =>
    k.memory.setU64(at + k.offset('OSNumber.value'), masked(value, k.read('OSNumber.size', at))),
  'bool _ZNK8OSNumber9isEqualToEPKS_(const void *at, const void *other)': (k, at, other) =>
    isExactly(k, other, 'OSNumber') && numberOf(k, at) === numberOf(k, other),
  'bool _ZNK8OSNumber9isEqualToEPK15OSMetaClassBase(const void *at, const void *other)': (k, at, other) =>
    isExactly(k, other, 'OSNumber') && numberOf(k, at) === numberOf(k, other),
  'void _ZN8OSNumber4freeEv(void *at)': freeObject,
  'void *_ZN9OSBoolean11withBooleanEb(bool value)': (k, value) => boolean(k, (value & 0xff) !== 0),
  'bool _ZNK9OSBoolean6isTrueEv(const void *at)': (k, at) =>
    k.memory.u8(at + k.offset('OSBoolean.value')) !== 0,
  'bool _ZNK9OSBoolean7isFalseEv(const void *at)': (k, at) =>
    k.memory.u8(at + k.offset('OSBoolean.value')) === 0,
  'bool _ZNK9OSBoolean8getValueEv(const void *at)': (k, at) =>
    k.memory.u8(at + k.offset('OSBoolean.value')) !== 0,
  'bool _ZNK9OSBoolean9isEqualToEPKS_(const void *at, const void *other)': (_, at, other) => at === other,
  'bool _ZNK9OSBoolean9isEqualToEPK15OSMetaClassBase(const void *at, const void *other)': (_, at, other) =>
    at === other,
  // The two values live for ever.
  'void _ZNK9OSBoolean12taggedRetainEPKv(const void *at, const void *tag)': () => undefined,
  'void _ZNK9OSBoolean13taggedReleaseEPKvi(const void *at, const void *tag, int when)': () => undefined,
  'void _ZN9OSBoolean4freeEv(void *at)': () => undefined,
});

function appendBytes(k: Macos, at: Address, more: Uint8Array): boolean {
  const bytes = new Uint8Array([...dataOf(k, at), ...more]);
  if (bytes.length > k.read('OSData.capacity', at)) {
    const block = k.heap.allocate(bytes.length, 'OSData');
    if (block === 0) return false;
    const old = k.read('OSData.data', at);
    k.write('OSData.data', at, block);
    k.write('OSData.capacity', at, bytes.length);
    k.heap.free(old);
  }
  if (bytes.length > 0) k.memory.write(k.read('OSData.data', at), bytes);
  k.write('OSData.length', at, bytes.length);
  return true;
}

/** OSData with room and nothing in it. */
function dataWithCapacity(k: Macos, capacity: number): Address {
  const at = newObject(k, 'OSData');
  if (capacity > 0) k.write('OSData.data', at, k.heap.allocate(capacity, 'OSData'));
  k.write('OSData.capacity', at, capacity);
  return at;
}

const bytesAt = (k: Macos, at: Address, count: number): Uint8Array =>
  at === 0 || count === 0 ? new Uint8Array(count) : k.memory.bytes(at, count).slice();

/** A capacity of its own says that the bytes belong to somebody else (EXTERNAL of OSData.cpp). */
const EXTERNAL = 0xffffffff;

export const data = kernelFunctions({
  'void *_ZN6OSData9withBytesEPKvj(const void *bytes, unsigned int count)': (k, bytes, count) =>
    newData(k, bytesAt(k, bytes, count)),
  'void *_ZN6OSData15withBytesNoCopyEPvj(void *bytes, unsigned int count)': (k, bytes, count) => {
    const at = newObject(k, 'OSData');
    k.write('OSData.data', at, bytes);
    k.write('OSData.length', at, count);
    k.write('OSData.capacity', at, EXTERNAL);
    return at;
  },
  'void *_ZN6OSData12withCapacityEj(unsigned int capacity)': dataWithCapacity,
  'void *_ZN6OSData8withDataEPKS_(const void *other)': (k, other) => newData(k, dataOf(k, other)),
  'void *_ZN6OSData8withDataEPKS_jj(const void *other, unsigned int start, unsigned int count)': (
    k,
    other,
    start,
    count,
  ) =>
    start + count > k.read('OSData.length', other)
      ? 0
      : newData(k, dataOf(k, other).slice(start, start + count)),
  'bool _ZN6OSData16initWithCapacityEj(void *at, unsigned int capacity)': (k, at, capacity) => {
    if (capacity > 0) k.write('OSData.data', at, k.heap.allocate(capacity, 'OSData'));
    k.write('OSData.capacity', at, capacity);
    return true;
  },
  'bool _ZN6OSData13initWithBytesEPKvj(void *at, const void *bytes, unsigned int count)': (
    k,
    at,
    bytes,
    count,
  ) => appendBytes(k, at, bytesAt(k, bytes, count)),
  'void _ZN6OSData4freeEv(void *at)': function* (k, at) {
    if (k.read('OSData.capacity', at) !== EXTERNAL) k.heap.free(k.read('OSData.data', at));
    yield* freeObject(k, at);
  },
  'unsigned int _ZNK6OSData9getLengthEv(const void *at)': (k, at) => k.read('OSData.length', at),
  'unsigned int _ZNK6OSData11getCapacityEv(const void *at)': (k, at) => k.read('OSData.capacity', at),
  'bool _ZN6OSData11appendBytesEPKvj(void *at, const void *bytes, unsigned int count)': (
    k,
    at,
    bytes,
    count,
  ) => appendBytes(k, at, bytesAt(k, bytes, count)),
  'bool _ZN6OSData11appendBytesEPKS_(void *at, const void *other)': (k, at, other) =>
    appendBytes(k, at, dataOf(k, other)),
  'bool _ZN6OSData10appendByteEhj(void *at, unsigned char byte, unsigned int count)': (k, at, byte, count) =>
    appendBytes(k, at, new Uint8Array(Math.min(count, 1 << 24)).fill(byte)),
  'const void *_ZNK6OSData14getBytesNoCopyEv(const void *at)': (k, at) =>
    k.read('OSData.length', at) === 0 ? 0 : k.read('OSData.data', at),
  'const void *_ZNK6OSData14getBytesNoCopyEjj(const void *at, unsigned int start, unsigned int count)': (
    k,
    at,
    start,
    count,
  ) => (count > 0 && start + count <= k.read('OSData.length', at) ? k.read('OSData.data', at) + start : 0),
  'bool _ZNK6OSData9isEqualToEPKS_(const void *at, const void *other)': (k, at, other) =>
    isExactly(k, other, 'OSData') && sameBytes(dataOf(k, at), dataOf(k, other)),
  'bool _ZNK6OSData9isEqualToEPKvj(const void *at, const void *bytes, unsigned int count)': (
    k,
    at,
    bytes,
    count,
  ) => sameBytes(dataOf(k, at), bytesAt(k, bytes, count)),
  'bool _ZNK6OSData9isEqualToEPK15OSMetaClassBase(const void *at, const void *other)': (k, at, other) =>
    isExactly(k, other, 'OSData') && sameBytes(dataOf(k, at), dataOf(k, other)),
});
