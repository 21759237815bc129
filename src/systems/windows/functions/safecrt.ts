/** The C functions that check their bounds ("Security-Enhanced Versions of CRT Functions"), sorting, and searching. */
import type { VarArgs } from '../../../abi/convention.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { format } from '../format.ts';
import { encodeLatin1, encodeUtf16, latin1, wideText } from '../strings.ts';
import type { Windows } from '../windows.ts';
import { kernelFunctions } from './define.ts';

type Unit = 1 | 2;
const EINVAL = 22;
const ERANGE = 34;
const STRUNCATE = 80;
const TRUNCATE = -1;

const read = (k: Windows, at: Address, unit: Unit): string =>
  unit === 2 ? wideText(k, at) : latin1(k.memory.bytes(at, k.memory.scan(at, 0, 1 << 20)));

function put(k: Windows, at: Address, text: string, unit: Unit): void {
  k.memory.write(at, unit === 2 ? encodeUtf16(`${text}\0`) : encodeLatin1(`${text}\0`));
}

function empty(k: Windows, at: Address, unit: Unit): void {
  if (unit === 2) k.memory.set16(at, 0);
  else k.memory.set8(at, 0);
}

/** Copies at most `most` units behind what is there. Too little room empties the target, unless cutting was asked for. */
function copy(
  k: Windows,
  target: Address,
  room: number,
  source: Address,
  most: number,
  unit: Unit,
  append: boolean,
): number {
  if (target === 0 || room <= 0) return EINVAL;
  if (source === 0) {
    empty(k, target, unit);
    return EINVAL;
  }
  const before = append ? read(k, target, unit) : '';
  const all = read(k, source, unit);
  const text = most === TRUNCATE ? all : all.slice(0, most);
  const whole = before + text;
  if (whole.length < room) {
    put(k, target, whole, unit);
    return 0;
  }
  if (most !== TRUNCATE || before.length >= room) {
    empty(k, target, unit);
    return ERANGE;
  }
  put(k, target, whole.slice(0, room - 1), unit);
  return STRUNCATE;
}

const ALL = 1 << 24;
/** _TRUNCATE is all ones in a size_t. */
const limit = (k: Windows, value: number): number =>
  value === -1 || (k.word === 4 && value === 0xffffffff) ? TRUNCATE : value;

/** @returns characters written, or -1 */
function print(k: Windows, out: Address, room: number, most: number, text: string, unit: Unit): number {
  if (out === 0 || room <= 0) return -1;
  const wanted = most === TRUNCATE ? text : text.slice(0, most);
  if (wanted.length < room) {
    put(k, out, wanted, unit);
    return wanted.length === text.length ? text.length : -1;
  }
  if (most === TRUNCATE) put(k, out, text.slice(0, room - 1), unit);
  else empty(k, out, unit);
  return -1;
}

const narrow = (k: Windows, at: Address, args: VarArgs): string => format(k, k.memory.cstring(at), args);
const wide = (k: Windows, at: Address, args: VarArgs): string => format(k, wideText(k, at), args, true);

/** Sorts by calls of the caller's routine: insertion by halves, so that few calls are made and equal ones keep their order. */
function* sort(k: Windows, base: Address, count: number, size: number, compare: Address): Steps<void> {
  const scratch = k.pool.allocate('nonpaged', size, 0x74726f73, 0);
  for (let i = 1; i < count; i++) {
    k.memory.copy(scratch, base + i * size, size);
    let [low, high] = [0, i];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((yield* k.callInt(compare, scratch, base + middle * size)) < 0) high = middle;
      else low = middle + 1;
    }
    k.memory.copy(base + (low + 1) * size, base + low * size, (i - low) * size);
    k.memory.copy(base + low * size, scratch, size);
  }
  k.pool.release(scratch);
}

function* search(
  k: Windows,
  key: Address,
  base: Address,
  count: number,
  size: number,
  compare: Address,
): Steps<Address> {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    const order = yield* k.callInt(compare, key, base + middle * size);
    if (order === 0) return base + middle * size;
    if (order < 0) high = middle;
    else low = middle + 1;
  }
  return 0;
}

function copyBytes(k: Windows, target: Address, room: number, source: Address, bytes: number): number {
  if (bytes === 0) return 0;
  if (target === 0) return EINVAL;
  if (source === 0 || room < bytes) {
    k.memory.fill(target, room, 0);
    return source === 0 ? EINVAL : ERANGE;
  }
  k.memory.copy(target, source, bytes);
  return 0;
}

export const safeCrtFunctions = kernelFunctions({
  'LONG __cdecl strcpy_s(PVOID target, SIZE_T room, PVOID source)': (k, target, room, source) =>
    copy(k, target, room, source, ALL, 1, false),
  'LONG __cdecl wcscpy_s(PVOID target, SIZE_T room, PVOID source)': (k, target, room, source) =>
    copy(k, target, room, source, ALL, 2, false),
  'LONG __cdecl strcat_s(PVOID target, SIZE_T room, PVOID source)': (k, target, room, source) =>
    copy(k, target, room, source, ALL, 1, true),
  'LONG __cdecl wcscat_s(PVOID target, SIZE_T room, PVOID source)': (k, target, room, source) =>
    copy(k, target, room, source, ALL, 2, true),
  'LONG __cdecl strncpy_s(PVOID target, SIZE_T room, PVOID source, SIZE_T count)': (
    k,
    target,
    room,
    source,
    count,
  ) => copy(k, target, room, source, limit(k, count), 1, false),
  'LONG __cdecl wcsncpy_s(PVOID target, SIZE_T room, PVOID source, SIZE_T count)': (
    k,
    target,
    room,
    source,
    count,
  ) => copy(k, target, room, source, limit(k, count), 2, false),
  'LONG __cdecl strncat_s(PVOID target, SIZE_T room, PVOID source, SIZE_T count)': (
    k,
    target,
    room,
    source,
    count,
  ) => copy(k, target, room, source, limit(k, count), 1, true),
  'LONG __cdecl wcsncat_s(PVOID target, SIZE_T room, PVOID source, SIZE_T count)': (
    k,
    target,
    room,
    source,
    count,
  ) => copy(k, target, room, source, limit(k, count), 2, true),
  'LONG __cdecl memcpy_s(PVOID target, SIZE_T room, PVOID source, SIZE_T bytes)': (
    k,
    target,
    room,
    source,
    bytes,
  ) => copyBytes(k, target, room, source, bytes),
  'LONG __cdecl memmove_s(PVOID target, SIZE_T room, PVOID source, SIZE_T bytes)': (
    k,
    target,
    room,
    source,
    bytes,
  ) => copyBytes(k, target, room, source, bytes),
  'LONG __cdecl sprintf_s(PVOID out, SIZE_T room, PVOID text, ...)': (k, out, room, text, args) =>
    print(k, out, room, ALL, narrow(k, text, args), 1),
  'LONG __cdecl swprintf_s(PVOID out, SIZE_T room, PVOID text, ...)': (k, out, room, text, args) =>
    print(k, out, room, ALL, wide(k, text, args), 2),
  'LONG __cdecl vsprintf_s(PVOID out, SIZE_T room, PVOID text, va_list args)': (k, out, room, text, args) =>
    print(k, out, room, ALL, narrow(k, text, args), 1),
  'LONG __cdecl vswprintf_s(PVOID out, SIZE_T room, PVOID text, va_list args)': (k, out, room, text, args) =>
    print(k, out, room, ALL, wide(k, text, args), 2),
  'LONG __cdecl _snprintf_s(PVOID out, SIZE_T room, SIZE_T count, PVOID text, ...)': (
    k,
    out,
    room,
    count,
    text,
    args,
  ) => print(k, out, room, limit(k, count), narrow(k, text, args), 1),
  'LONG __cdecl _snwprintf_s(PVOID out, SIZE_T room, SIZE_T count, PVOID text, ...)': (
    k,
    out,
    room,
    count,
    text,
    args,
  ) => print(k, out, room, limit(k, count), wide(k, text, args), 2),
  'LONG __cdecl _vsnprintf_s(PVOID out, SIZE_T room, SIZE_T count, PVOID text, va_list args)': (
    k,
    out,
    room,
    count,
    text,
    args,
  ) => print(k, out, room, limit(k, count), narrow(k, text, args), 1),
  'LONG __cdecl _vsnwprintf_s(PVOID out, SIZE_T room, SIZE_T count, PVOID text, va_list args)': (
    k,
    out,
    room,
    count,
    text,
    args,
  ) => print(k, out, room, limit(k, count), wide(k, text, args), 2),
  'void __cdecl qsort(PVOID base, SIZE_T count, SIZE_T size, PVOID compare)': (
    k,
    base,
    count,
    size,
    compare,
  ) => sort(k, base, count, size, compare),
  'PVOID __cdecl bsearch(PVOID key, PVOID base, SIZE_T count, SIZE_T size, PVOID compare)': (
    k,
    key,
    base,
    count,
    size,
    compare,
  ) => search(k, key, base, count, size, compare),
});
