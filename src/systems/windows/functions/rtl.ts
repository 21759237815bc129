/** Run-time library: counted strings, versions, times, bit maps, checks. */
import { Status, win32Error } from '../status.ts';
import {
  ansiString,
  encodeLatin1,
  encodeUtf16,
  latin1,
  setCounted,
  unicodeString,
  upcase,
  utf16,
  wideText,
} from '../strings.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';
import { freePool } from './pool.ts';

const TAG_STRING = 0x67727453;
const MAX_UNICODE = 0xfffe;

const maximum = (k: Windows, at: number): number => k.read('UNICODE_STRING.MaximumLength', at);
const bufferOf = (k: Windows, at: number): number => k.read('UNICODE_STRING.Buffer', at);

function initialise(k: Windows, string: number, source: number, unit: 1 | 2): void {
  if (source === 0) {
    setCounted(k, string, 0, 0, 0);
    return;
  }
  const units = unit === 2 ? wideText(k, source).length : k.memory.cstring(source).length;
  const bytes = Math.min(units * unit, MAX_UNICODE - unit);
  setCounted(k, string, bytes, bytes + unit, source);
}

/** As much as fits; a NUL behind it when there is room (RtlCopyUnicodeString). */
function copyCounted(k: Windows, target: number, source: number, unit: 1 | 2): void {
  if (source === 0) {
    k.write('UNICODE_STRING.Length', target, 0);
    return;
  }
  const room = maximum(k, target);
  const bytes = Math.min(k.read('UNICODE_STRING.Length', source), room);
  k.memory.copy(bufferOf(k, target), bufferOf(k, source), bytes);
  k.write('UNICODE_STRING.Length', target, bytes);
  if (bytes + unit <= room) k.memory.fill(bufferOf(k, target) + bytes, unit, 0);
}

function append(k: Windows, target: number, bytes: Uint8Array, unit: 1 | 2): number {
  const length = k.read('UNICODE_STRING.Length', target);
  const total = length + bytes.length;
  if (total > maximum(k, target)) return Status.BUFFER_TOO_SMALL;
  k.memory.write(bufferOf(k, target) + length, bytes);
  k.write('UNICODE_STRING.Length', target, total);
  if (total + unit <= maximum(k, target)) k.memory.fill(bufferOf(k, target) + total, unit, 0);
  return Status.SUCCESS;
}

/** Writes a string that a function gives out: into the buffer that is there, or a new one. */
export function give(k: Windows, out: number, bytes: Uint8Array, unit: 1 | 2, allocate: boolean): number {
  const need = bytes.length + unit;
  if (need > 0xffff) return Status.INVALID_PARAMETER;
  if (allocate) {
    const at = k.pool.allocate('paged', need, TAG_STRING, callerOf(k));
    if (at === 0) return Status.NO_MEMORY;
    setCounted(k, out, bytes.length, need, at);
  } else if (bytes.length > maximum(k, out)) return Status.BUFFER_OVERFLOW;
  k.write('UNICODE_STRING.Length', out, bytes.length);
  k.memory.write(bufferOf(k, out), bytes);
  if (need <= maximum(k, out)) k.memory.fill(bufferOf(k, out) + bytes.length, unit, 0);
  return Status.SUCCESS;
}

function freeCounted(k: Windows, string: number): void {
  const at = bufferOf(k, string);
  if (at !== 0) freePool(k, at, 0);
  setCounted(k, string, 0, 0, 0);
}

function compare(a: string, b: string, fold: boolean): number {
  const [x, y] = fold ? [upcase(a), upcase(b)] : [a, b];
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    if (x.charCodeAt(i) !== y.charCodeAt(i)) return x.charCodeAt(i) - y.charCodeAt(i);
  }
  return x.length - y.length;
}

const same = (k: Windows, a: number, b: number, fold: number): boolean =>
  compare(unicodeString(k, a), unicodeString(k, b), fold !== 0) === 0;

function prefix(k: Windows, a: number, b: number, fold: number): boolean {
  const [head, whole] = [unicodeString(k, a), unicodeString(k, b)];
  return head.length <= whole.length && compare(head, whole.slice(0, head.length), fold !== 0) === 0;
}

/** C's digits for a base of 2, 8, 10 or 16; base 0 is 10. */
function digits(value: number, base: number): string | undefined {
  if (base === 0 || base === 10) return (value >>> 0).toString();
  return base === 2 || base === 8 || base === 16 ? (value >>> 0).toString(base).toUpperCase() : undefined;
}

function parseInteger(text: string, base: number): number | undefined {
  const match = /^[\s\0]*([+-]?)(0x|0o|0b)?([0-9a-f]*)/i.exec(text);
  if (match === null || ![0, 2, 8, 10, 16].includes(base)) return undefined;
  const prefixBase = { '0x': 16, '0o': 8, '0b': 2 }[(match[2] ?? '').toLowerCase()];
  const radix = base !== 0 ? base : (prefixBase ?? 10);
  let value = 0;
  for (const c of match[3]) {
    const digit = Number.parseInt(c, 16);
    if (digit >= radix) break;
    value = (Math.imul(value, radix) + digit) | 0;
  }
  return match[1] === '-' ? -value | 0 : value;
}

// -- time ------------------------------------------------------------------------------------------------------

const SECONDS_TO_1980 = 315532800n;
const EPOCH_DIFFERENCE = 11644473600000n;

function toFields(k: Windows, time: number, out: number): void {
  const ticks = BigInt.asIntN(64, k.memory.u64(time));
  const date = new Date(Number(ticks / 10000n - EPOCH_DIFFERENCE));
  const set = (name: string, value: number) => k.write(`TIME_FIELDS.${name}`, out, value);
  set('Year', date.getUTCFullYear());
  set('Month', date.getUTCMonth() + 1);
  set('Day', date.getUTCDate());
  set('Hour', date.getUTCHours());
  set('Minute', date.getUTCMinutes());
  set('Second', date.getUTCSeconds());
  set('Milliseconds', date.getUTCMilliseconds());
  set('Weekday', date.getUTCDay());
}

function fromFields(k: Windows, fields: number, out: number): number {
  const get = (name: string) => k.read(`TIME_FIELDS.${name}`, fields);
  const [year, month, day] = [get('Year'), get('Month'), get('Day')];
  if (
    year < 1601 ||
    month < 1 ||
    month > 12 ||
    day < 1 ||
    day > new Date(Date.UTC(year, month, 0)).getUTCDate()
  )
    return 0;
  const ms = Date.UTC(year, month - 1, day, get('Hour'), get('Minute'), get('Second'), get('Milliseconds'));
  k.memory.setU64(out, (BigInt(ms) + EPOCH_DIFFERENCE) * 10000n);
  return 1;
}

// -- versions ----------------------------------------------------------------------------------------------------

function version(k: Windows, at: number): number {
  const size = k.memory.u32(at);
  const { major, minor, build } = k.release;
  k.memory.set32(at + 4, major);
  k.memory.set32(at + 8, minor);
  k.memory.set32(at + 12, build);
  k.memory.set32(at + 16, 2);
  k.memory.fill(at + 20, 256, 0);
  if (size < k.sizeof('RTL_OSVERSIONINFOEXW')) return Status.SUCCESS;
  k.memory.fill(at + 276, 8, 0);
  k.write('RTL_OSVERSIONINFOEXW.wSuiteMask', at, 0x100);
  k.write('RTL_OSVERSIONINFOEXW.wProductType', at, 1);
  return Status.SUCCESS;
}

/** RtlVerifyVersionInfo: three bits of condition for each field; major, minor and build only, as one number. */
function verifyVersion(k: Windows, at: number, mask: number, conditions: bigint): number {
  const { major, minor, build } = k.release;
  const fields: readonly [bit: number, shift: bigint, mine: number, theirs: number][] = [
    [2, 3n, major, k.memory.u32(at + 4)],
    [1, 0n, minor, k.memory.u32(at + 8)],
    [4, 6n, build, k.memory.u32(at + 12)],
  ];
  for (const [bit, shift, mine, theirs] of fields) {
    if ((mask & bit) === 0) continue;
    const condition = Number((conditions >> shift) & 7n);
    const difference = mine - theirs;
    const holds = [true, difference === 0, difference > 0, difference >= 0, difference < 0, difference <= 0][
      condition
    ];
    // Where the major version decides, the minor one is not asked any more.
    if (difference !== 0 && condition > 1 && holds) return Status.SUCCESS;
    if (!holds) return REVISION_MISMATCH;
  }
  return Status.SUCCESS;
}
const REVISION_MISMATCH = 0xc0000059 | 0;

// -- bit maps ----------------------------------------------------------------------------------------------------

const bit = (k: Windows, map: number, index: number): boolean =>
  ((k.memory.u8(k.read('RTL_BITMAP.Buffer', map) + (index >> 3)) >> (index & 7)) & 1) !== 0;

function setBits(k: Windows, map: number, from: number, count: number, value: boolean): void {
  const buffer = k.read('RTL_BITMAP.Buffer', map);
  const size = k.read('RTL_BITMAP.SizeOfBitMap', map);
  for (let i = from; i < Math.min(size, from + count); i++) {
    const at = buffer + (i >> 3);
    const old = k.memory.u8(at);
    k.memory.set8(at, value ? old | (1 << (i & 7)) : old & ~(1 << (i & 7)));
  }
}

function countBits(k: Windows, map: number, value: boolean): number {
  let count = 0;
  const size = k.read('RTL_BITMAP.SizeOfBitMap', map);
  for (let i = 0; i < size; i++) if (bit(k, map, i) === value) count++;
  return count;
}

function findRun(k: Windows, map: number, wanted: number, hint: number, value: boolean): number {
  const size = k.read('RTL_BITMAP.SizeOfBitMap', map);
  for (const start of hint > 0 && hint < size ? [hint, 0] : [0]) {
    let run = 0;
    for (let i = start; i < size; i++) {
      run = bit(k, map, i) === value ? run + 1 : 0;
      if (run >= wanted) return i - wanted + 1;
    }
  }
  return 0xffffffff;
}

export const rtlFunctions = kernelFunctions({
  'void RtlInitUnicodeString(PVOID string, PCWSTR source)': (k, string, source) =>
    initialise(k, string, source, 2),
  'NTSTATUS RtlInitUnicodeStringEx(PVOID string, PCWSTR source)': (k, string, source) => {
    initialise(k, string, source, 2);
    return Status.SUCCESS;
  },
  'void RtlInitAnsiString(PVOID string, PCSTR source)': (k, string, source) =>
    initialise(k, string, source, 1),
  'void RtlInitString(PVOID string, PCSTR source)': (k, string, source) => initialise(k, string, source, 1),
  'void RtlCopyUnicodeString(PVOID target, PVOID source)': (k, target, source) =>
    copyCounted(k, target, source, 2),
  'void RtlCopyString(PVOID target, PVOID source)': (k, target, source) => copyCounted(k, target, source, 1),
  'NTSTATUS RtlAppendUnicodeToString(PVOID target, PCWSTR source)': (k, target, source) =>
    source === 0 ? Status.SUCCESS : append(k, target, encodeUtf16(wideText(k, source)), 2),
  'NTSTATUS RtlAppendUnicodeStringToString(PVOID target, PVOID source)': (k, target, source) =>
    append(k, target, encodeUtf16(unicodeString(k, source)), 2),
  'NTSTATUS RtlAppendStringToString(PVOID target, PVOID source)': (k, target, source) =>
    append(k, target, encodeLatin1(ansiString(k, source)), 1),
  'BOOLEAN RtlCreateUnicodeString(PVOID target, PCWSTR source)': (k, target, source) =>
    give(k, target, encodeUtf16(wideText(k, source)), 2, true) === Status.SUCCESS,
  'BOOLEAN RtlCreateUnicodeStringFromAsciiz(PVOID target, PCSTR source)': (k, target, source) =>
    give(k, target, encodeUtf16(k.memory.cstring(source)), 2, true) === Status.SUCCESS,
  'NTSTATUS RtlDuplicateUnicodeString(ULONG flags, PVOID source, PVOID target)': (
    k,
    _flags,
    source,
    target,
  ) => give(k, target, encodeUtf16(unicodeString(k, source)), 2, true),
  'void RtlFreeUnicodeString(PVOID string)': (k, string) => freeCounted(k, string),
  'void RtlFreeAnsiString(PVOID string)': (k, string) => freeCounted(k, string),
  'void RtlFreeOemString(PVOID string)': (k, string) => freeCounted(k, string),
  'void RtlFreeUTF8String(PVOID string)': (k, string) => freeCounted(k, string),
  'LONG RtlCompareUnicodeString(PVOID a, PVOID b, BOOLEAN fold)': (k, a, b, fold) =>
    compare(unicodeString(k, a), unicodeString(k, b), fold !== 0),
  'LONG RtlCompareUnicodeStrings(PCWSTR a, SIZE_T m, PCWSTR b, SIZE_T n, BOOLEAN fold)': (
    k,
    a,
    m,
    b,
    n,
    fold,
  ) => compare(utf16(k, a, m * 2), utf16(k, b, n * 2), fold !== 0),
  'LONG RtlCompareString(PVOID a, PVOID b, BOOLEAN fold)': (k, a, b, fold) =>
    compare(ansiString(k, a), ansiString(k, b), fold !== 0),
  'BOOLEAN RtlEqualUnicodeString(PVOID a, PVOID b, BOOLEAN fold)': (k, a, b, fold) => same(k, a, b, fold),
  'BOOLEAN RtlEqualString(PVOID a, PVOID b, BOOLEAN fold)': (k, a, b, fold) =>
    compare(ansiString(k, a), ansiString(k, b), fold !== 0) === 0,
  'BOOLEAN RtlPrefixUnicodeString(PVOID a, PVOID b, BOOLEAN fold)': (k, a, b, fold) => prefix(k, a, b, fold),
  'BOOLEAN RtlPrefixString(PVOID a, PVOID b, BOOLEAN fold)': (k, a, b, fold) => {
    const [head, whole] = [ansiString(k, a), ansiString(k, b)];
    return compare(head, whole.slice(0, head.length), fold !== 0) === 0;
  },
  'BOOLEAN RtlSuffixUnicodeString(PVOID a, PVOID b, BOOLEAN fold)': (k, a, b, fold) => {
    const [tail, whole] = [unicodeString(k, a), unicodeString(k, b)];
    return (
      tail.length <= whole.length && compare(tail, whole.slice(whole.length - tail.length), fold !== 0) === 0
    );
  },
  'USHORT RtlUpcaseUnicodeChar(USHORT c)': (_k, c) => upcase(String.fromCharCode(c)).charCodeAt(0),
  'USHORT RtlDowncaseUnicodeChar(USHORT c)': (_k, c) => downcase(c),
  'CHAR RtlUpperChar(CHAR c)': (_k, c) => (c >= 0x61 && c <= 0x7a ? c - 32 : c),
  'NTSTATUS RtlUpcaseUnicodeString(PVOID target, PVOID source, BOOLEAN allocate)': (
    k,
    target,
    source,
    allocate,
  ) => give(k, target, encodeUtf16(upcase(unicodeString(k, source))), 2, allocate !== 0),
  'NTSTATUS RtlDowncaseUnicodeString(PVOID target, PVOID source, BOOLEAN allocate)': (
    k,
    target,
    source,
    allocate,
  ) => {
    const text = [...unicodeString(k, source)]
      .map((c) => String.fromCharCode(downcase(c.charCodeAt(0))))
      .join('');
    return give(k, target, encodeUtf16(text), 2, allocate !== 0);
  },
  'void RtlUpperString(PVOID target, PVOID source)': (k, target, source) => {
    copyCounted(k, target, source, 1);
    const text = ansiString(k, target).replace(/[a-z]/g, (c) => c.toUpperCase());
    k.memory.write(bufferOf(k, target), encodeLatin1(text));
  },
  'NTSTATUS RtlAnsiStringToUnicodeString(PVOID target, PVOID source, BOOLEAN allocate)': (
    k,
    target,
    source,
    allocate,
  ) => give(k, target, encodeUtf16(ansiString(k, source)), 2, allocate !== 0),
  'NTSTATUS RtlOemStringToUnicodeString(PVOID target, PVOID source, BOOLEAN allocate)': (
    k,
    target,
    source,
    allocate,
  ) => give(k, target, encodeUtf16(ansiString(k, source)), 2, allocate !== 0),
  'NTSTATUS RtlUnicodeStringToAnsiString(PVOID target, PVOID source, BOOLEAN allocate)': (
    k,
    target,
    source,
    allocate,
  ) => give(k, target, encodeLatin1(unicodeString(k, source)), 1, allocate !== 0),
  'NTSTATUS RtlUnicodeStringToOemString(PVOID target, PVOID source, BOOLEAN allocate)': (
    k,
    target,
    source,
    allocate,
  ) => give(k, target, encodeLatin1(unicodeString(k, source)), 1, allocate !== 0),
  'NTSTATUS RtlUpcaseUnicodeStringToOemString(PVOID target, PVOID source, BOOLEAN allocate)': (
    k,
    target,
    source,
    allocate,
  ) => give(k, target, encodeLatin1(upcase(unicodeString(k, source))), 1, allocate !== 0),
  'ULONG RtlxAnsiStringToUnicodeSize(PVOID string)': (k, string) => k.read('STRING.Length', string) * 2 + 2,
  'ULONG RtlxUnicodeStringToAnsiSize(PVOID string)': (k, string) =>
    k.read('UNICODE_STRING.Length', string) / 2 + 1,
  'NTSTATUS RtlMultiByteToUnicodeN(PVOID out, ULONG room, ULONG *written, PVOID source, ULONG bytes)': (
    k,
    out,
    room,
    written,
    source,
    bytes,
  ) => {
    const data = encodeUtf16(latin1(k.memory.bytes(source, bytes))).subarray(0, room & ~1);
    k.memory.write(out, data);
    if (written !== 0) k.memory.set32(written, data.length);
    return Status.SUCCESS;
  },
  'NTSTATUS RtlUnicodeToMultiByteN(PVOID out, ULONG room, ULONG *written, PVOID source, ULONG bytes)': (
    k,
    out,
    room,
    written,
    source,
    bytes,
  ) => {
    const data = encodeLatin1(utf16(k, source, bytes)).subarray(0, room);
    k.memory.write(out, data);
    if (written !== 0) k.memory.set32(written, data.length);
    return Status.SUCCESS;
  },
  'NTSTATUS RtlMultiByteToUnicodeSize(ULONG *bytes, PVOID source, ULONG length)': (
    k,
    out,
    _source,
    length,
  ) => {
    k.memory.set32(out, length * 2);
    return Status.SUCCESS;
  },
  'NTSTATUS RtlUnicodeToMultiByteSize(ULONG *bytes, PVOID source, ULONG length)': (
    k,
    out,
    _source,
    length,
  ) => {
    k.memory.set32(out, length / 2);
    return Status.SUCCESS;
  },
  'NTSTATUS RtlUTF8ToUnicodeN(PVOID out, ULONG room, ULONG *written, PVOID source, ULONG bytes)': (
    k,
    out,
    room,
    written,
    source,
    bytes,
  ) => {
    const data = encodeUtf16(new TextDecoder().decode(k.memory.bytes(source, bytes)));
    if (written !== 0) k.memory.set32(written, out === 0 ? data.length : Math.min(room, data.length));
    if (out !== 0) k.memory.write(out, data.subarray(0, room));
    return out !== 0 && data.length > room ? Status.BUFFER_TOO_SMALL : Status.SUCCESS;
  },
  'NTSTATUS RtlUnicodeToUTF8N(PVOID out, ULONG room, ULONG *written, PVOID source, ULONG bytes)': (
    k,
    out,
    room,
    written,
    source,
    bytes,
  ) => {
    const data = new TextEncoder().encode(utf16(k, source, bytes));
    if (written !== 0) k.memory.set32(written, out === 0 ? data.length : Math.min(room, data.length));
    if (out !== 0) k.memory.write(out, data.subarray(0, room));
    return out !== 0 && data.length > room ? Status.BUFFER_TOO_SMALL : Status.SUCCESS;
  },
  'NTSTATUS RtlIntegerToUnicodeString(ULONG value, ULONG base, PVOID string)': (k, value, base, string) => {
    const text = digits(value, base);
    return text === undefined ? Status.INVALID_PARAMETER : give(k, string, encodeUtf16(text), 2, false);
  },
  'NTSTATUS RtlInt64ToUnicodeString(u64 value, ULONG base, PVOID string)': (k, value, base, string) =>
    give(k, string, encodeUtf16(value.toString(base === 0 ? 10 : base).toUpperCase()), 2, false),
  'NTSTATUS RtlIntegerToChar(ULONG value, ULONG base, LONG length, PVOID out)': (
    k,
    value,
    base,
    length,
    out,
  ) => {
    const text = digits(value, base);
    if (text === undefined) return Status.INVALID_PARAMETER;
    if (text.length > Math.abs(length)) return Status.BUFFER_OVERFLOW;
    k.memory.write(out, encodeLatin1(text.length < length ? `${text}\0` : text));
    return Status.SUCCESS;
  },
  'NTSTATUS RtlUnicodeStringToInteger(PVOID string, ULONG base, ULONG *value)': (k, string, base, out) => {
    const value = parseInteger(unicodeString(k, string), base);
    if (value === undefined) return Status.INVALID_PARAMETER;
    k.memory.set32(out, value);
    return Status.SUCCESS;
  },
  'NTSTATUS RtlCharToInteger(PCSTR string, ULONG base, ULONG *value)': (k, string, base, out) => {
    const value = parseInteger(k.memory.cstring(string), base);
    if (value === undefined) return Status.INVALID_PARAMETER;
    k.memory.set32(out, value);
    return Status.SUCCESS;
  },
  'NTSTATUS RtlHashUnicodeString(PVOID string, BOOLEAN fold, ULONG algorithm, ULONG *hash)': (
    k,
    string,
    fold,
    algorithm,
    out,
  ) => {
    if (algorithm > 1) return Status.INVALID_PARAMETER;
    const text = unicodeString(k, string);
    let hash = 0;
    for (const c of fold ? upcase(text) : text) hash = (Math.imul(hash, 65599) + c.charCodeAt(0)) | 0;
    k.memory.set32(out, hash);
    return Status.SUCCESS;
  },
  'NTSTATUS RtlStringFromGUID(PVOID guid, PVOID string)': (k, guid, string) =>
    give(k, string, encodeUtf16(guidText(k, guid)), 2, true),
  'NTSTATUS RtlGUIDFromString(PVOID string, PVOID guid)': (k, string, guid) => {
    const match = /^\{([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})\}$/i.exec(
      unicodeString(k, string),
    );
    if (match === null) return Status.INVALID_PARAMETER;
    k.memory.set32(guid, Number.parseInt(match[1], 16));
    k.memory.set16(guid + 4, Number.parseInt(match[2], 16));
    k.memory.set16(guid + 6, Number.parseInt(match[3], 16));
    const tail = match[4] + match[5];
    for (let i = 0; i < 8; i++)
      k.memory.set8(guid + 8 + i, Number.parseInt(tail.slice(i * 2, i * 2 + 2), 16));
    return Status.SUCCESS;
  },

  'SIZE_T RtlCompareMemory(PVOID a, PVOID b, SIZE_T length)': (k, a, b, length) => {
    let same = 0;
    while (same < length && k.memory.u8(a + same) === k.memory.u8(b + same)) same++;
    return same;
  },
  'SIZE_T RtlCompareMemoryUlong(PVOID a, SIZE_T length, ULONG pattern)': (k, a, length, pattern) => {
    let same = 0;
    while (same + 4 <= length && k.memory.u32(a + same) === pattern) same += 4;
    return same;
  },
  'void RtlCopyMemory(PVOID target, PVOID source, SIZE_T length)': (k, target, source, length) =>
    k.memory.copy(target, source, length),
  'void RtlMoveMemory(PVOID target, PVOID source, SIZE_T length)': (k, target, source, length) =>
    k.memory.copy(target, source, length),
  'void RtlCopyMemoryNonTemporal(PVOID target, PVOID source, SIZE_T length)': (k, target, source, length) =>
    k.memory.copy(target, source, length),
  'void RtlZeroMemory(PVOID target, SIZE_T length)': (k, target, length) => k.memory.fill(target, length, 0),
  'void RtlFillMemory(PVOID target, SIZE_T length, UCHAR value)': (k, target, length, value) =>
    k.memory.fill(target, length, value),
  'void FASTCALL RtlPrefetchMemoryNonTemporal(PVOID source, SIZE_T length)': () => undefined,

  'NTSTATUS RtlGetVersion(PVOID version)': (k, at) => version(k, at),
  'NTSTATUS RtlVerifyVersionInfo(PVOID version, ULONG mask, u64 conditions)': (k, at, mask, conditions) =>
    verifyVersion(k, at, mask, conditions),
  'u64 VerSetConditionMask(u64 mask, ULONG type, UCHAR condition)': (_k, mask, type, condition) => {
    // Three bits for each of minor, major, build, platform, service pack minor and major, suite, product.
    const slot = Math.log2(type & -type);
    return mask | (1n << 63n) | (BigInt(condition & 7) << BigInt(slot * 3));
  },
  'ULONG RtlIsNtDdiVersionAvailable(ULONG version)': (k, version) => {
    const mine = (k.release.major << 24) | (k.release.minor << 16);
    return (version & 0xffff0000) >>> 0 <= mine >>> 0 ? 1 : 0;
  },
  'ULONG RtlGetSuiteMask(void)': () => 0x100,
  'BOOLEAN RtlGetNtProductType(ULONG *type)': (k, type) => {
    k.memory.set32(type, 1);
    return 1;
  },
  'void RtlTimeToTimeFields(PVOID time, PVOID fields)': (k, time, fields) => toFields(k, time, fields),
  'BOOLEAN RtlTimeFieldsToTime(PVOID fields, PVOID time)': (k, fields, time) => fromFields(k, fields, time),
  'BOOLEAN RtlTimeToSecondsSince1970(PVOID time, ULONG *seconds)': (k, time, out) => {
    const seconds = (BigInt.asIntN(64, k.memory.u64(time)) - EPOCH_DIFFERENCE * 10000n) / 10000000n;
    if (seconds < 0n || seconds > 0xffffffffn) return 0;
    k.memory.set32(out, Number(seconds));
    return 1;
  },
  'BOOLEAN RtlTimeToSecondsSince1980(PVOID time, ULONG *seconds)': (k, time, out) => {
    const seconds =
      (BigInt.asIntN(64, k.memory.u64(time)) - EPOCH_DIFFERENCE * 10000n) / 10000000n - SECONDS_TO_1980;
    if (seconds < 0n || seconds > 0xffffffffn) return 0;
    k.memory.set32(out, Number(seconds));
    return 1;
  },
  /** Code pages of one byte: every character stands for itself, and the pointer moves behind it. */
  'USHORT RtlAnsiCharToUnicodeChar(PVOID *source)': (k, source) => {
    const from = k.memory.ptr(source);
    k.memory.setPtr(source, from + 1);
    return k.memory.u8(from);
  },
  'void RtlSecondsSince1970ToTime(ULONG seconds, PVOID time)': (k, seconds, time) =>
    k.memory.setU64(time, BigInt(seconds) * 10000000n + EPOCH_DIFFERENCE * 10000n),
  'ULONG RtlRandom(ULONG *seed)': (k, seed) => {
    k.memory.set32(seed, k.random32() & 0x7fffffff);
    return k.memory.u32(seed);
  },
  'ULONG RtlRandomEx(ULONG *seed)': (k, seed) => {
    k.memory.set32(seed, k.random32() & 0x7fffffff);
    return k.memory.u32(seed);
  },
  'ULONG RtlNtStatusToDosErrorNoTeb(NTSTATUS status)': (k, status) => win32Error(status, k.release),
  'ULONG RtlNtStatusToDosError(NTSTATUS status)': (k, status) => win32Error(status, k.release),
  'void RtlGetCallersAddress(PVOID *caller, PVOID *callers)': (k, caller, callers) => {
    k.memory.setPtr(caller, callerOf(k));
    k.memory.setPtr(callers, 0);
  },
  'ULONG FASTCALL RtlUlongByteSwap(ULONG value)': (_k, v) =>
    ((v >>> 24) | ((v >>> 8) & 0xff00) | ((v << 8) & 0xff0000) | (v << 24)) >>> 0,
  'USHORT FASTCALL RtlUshortByteSwap(USHORT value)': (_k, v) => ((v & 0xff) << 8) | (v >> 8),
  'u64 FASTCALL RtlUlonglongByteSwap(u64 value)': (_k, v) => {
    let out = 0n;
    for (let i = 0n; i < 64n; i += 8n) out = (out << 8n) | ((v >> i) & 0xffn);
    return out;
  },
  'ULONG RtlComputeCrc32(ULONG initial, PVOID data, LONG length)': (k, initial, data, length) => {
    let crc = ~initial;
    for (const byte of k.memory.bytes(data, length)) {
      crc ^= byte;
      for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc >>> 0;
  },

  'void RtlInitializeBitMap(PVOID map, PVOID buffer, ULONG size)': (k, map, buffer, size) => {
    k.write('RTL_BITMAP.SizeOfBitMap', map, size);
    k.write('RTL_BITMAP.Buffer', map, buffer);
  },
  'void RtlClearAllBits(PVOID map)': (k, map) =>
    setBits(k, map, 0, k.read('RTL_BITMAP.SizeOfBitMap', map), false),
  'void RtlSetAllBits(PVOID map)': (k, map) =>
    setBits(k, map, 0, k.read('RTL_BITMAP.SizeOfBitMap', map), true),
  'void RtlClearBits(PVOID map, ULONG from, ULONG count)': (k, map, from, count) =>
    setBits(k, map, from, count, false),
  'void RtlSetBits(PVOID map, ULONG from, ULONG count)': (k, map, from, count) =>
    setBits(k, map, from, count, true),
  'void RtlClearBit(PVOID map, ULONG at)': (k, map, at) => setBits(k, map, at, 1, false),
  'void RtlSetBit(PVOID map, ULONG at)': (k, map, at) => setBits(k, map, at, 1, true),
  'BOOLEAN RtlTestBit(PVOID map, ULONG at)': (k, map, at) => bit(k, map, at),
  'BOOLEAN RtlAreBitsClear(PVOID map, ULONG from, ULONG count)': (k, map, from, count) =>
    areBits(k, map, from, count, false),
  'BOOLEAN RtlAreBitsSet(PVOID map, ULONG from, ULONG count)': (k, map, from, count) =>
    areBits(k, map, from, count, true),
  'ULONG RtlNumberOfSetBits(PVOID map)': (k, map) => countBits(k, map, true),
  'ULONG RtlNumberOfClearBits(PVOID map)': (k, map) => countBits(k, map, false),
  'ULONG RtlFindClearBits(PVOID map, ULONG count, ULONG hint)': (k, map, count, hint) =>
    findRun(k, map, count, hint, false),
  'ULONG RtlFindSetBits(PVOID map, ULONG count, ULONG hint)': (k, map, count, hint) =>
    findRun(k, map, count, hint, true),
  'ULONG RtlFindClearBitsAndSet(PVOID map, ULONG count, ULONG hint)': (k, map, count, hint) => {
    const at = findRun(k, map, count, hint, false);
    if (at !== 0xffffffff) setBits(k, map, at, count, true);
    return at;
  },
});

function downcase(unit: number): number {
  const lower = String.fromCharCode(unit).toLowerCase();
  return lower.length === 1 ? lower.charCodeAt(0) : unit;
}

function areBits(k: Windows, map: number, from: number, count: number, value: boolean): boolean {
  for (let i = from; i < from + count; i++) if (bit(k, map, i) !== value) return false;
  return count > 0;
}

export function guidText(k: Windows, guid: number): string {
  const hex = (value: number, width: number) => value.toString(16).toUpperCase().padStart(width, '0');
  const tail = Array.from({ length: 8 }, (_, i) => hex(k.memory.u8(guid + 8 + i), 2));
  const head = `${hex(k.memory.u32(guid), 8)}-${hex(k.memory.u16(guid + 4), 4)}-${hex(k.memory.u16(guid + 6), 4)}`;
  return `{${head}-${tail.slice(0, 2).join('')}-${tail.slice(2).join('')}}`;
}
