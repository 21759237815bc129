/** The C functions that ntoskrnl exports. */
import type { VarArgs } from '../../../abi/convention.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import { format } from '../format.ts';
import { encodeLatin1, encodeUtf16, wideText } from '../strings.ts';
import type { Windows } from '../windows.ts';
import { kernelFunctions } from './define.ts';

type Unit = 1 | 2;
const at = (k: Windows, p: Address, i: number, unit: Unit): number =>
  unit === 2 ? k.memory.u16(p + i * 2) : k.memory.u8(p + i);
const put = (k: Windows, p: Address, i: number, unit: Unit, value: number): void => {
  if (unit === 2) k.memory.set16(p + i * 2, value);
  else k.memory.set8(p + i, value);
};
const lower = (c: number): number => (c >= 0x41 && c <= 0x5a ? c + 32 : c);
const upper = (c: number): number => (c >= 0x61 && c <= 0x7a ? c - 32 : c);
const length = (k: Windows, p: Address, unit: Unit): number => {
  let n = 0;
  while (at(k, p, n, unit) !== 0) n++;
  return n;
};

function compare(k: Windows, a: Address, b: Address, unit: Unit, most: number, fold: boolean): number {
  for (let i = 0; i < most; i++) {
    const [x, y] = [at(k, a, i, unit), at(k, b, i, unit)];
    const difference = fold ? lower(x) - lower(y) : x - y;
    if (difference !== 0) return difference < 0 ? -1 : 1;
    if (x === 0) return 0;
  }
  return 0;
}

function copy(k: Windows, target: Address, source: Address, unit: Unit): Address {
  const n = length(k, source, unit);
  k.memory.copy(target, source, (n + 1) * unit);
  return target;
}

function copyAtMost(k: Windows, target: Address, source: Address, unit: Unit, most: number): Address {
  let i = 0;
  for (; i < most; i++) {
    const c = at(k, source, i, unit);
    put(k, target, i, unit, c);
    if (c === 0) break;
  }
  for (; i < most; i++) put(k, target, i, unit, 0);
  return target;
}

function find(k: Windows, p: Address, c: number, unit: Unit, last: boolean): Address {
  let found = 0;
  for (let i = 0; ; i++) {
    const is = at(k, p, i, unit);
    if (is === c) {
      found = p + i * unit;
      if (!last) return found;
    }
    if (is === 0) return found;
  }
}

function findText(k: Windows, p: Address, wanted: Address, unit: Unit): Address {
  const n = length(k, wanted, unit);
  const total = length(k, p, unit);
  for (let i = 0; i + n <= total; i++)
    if (compare(k, p + i * unit, wanted, unit, n, false) === 0) return p + i * unit;
  return 0;
}

/** _snprintf: no NUL when the text just fits or is cut, and -1 when it is cut. `room` in units. */
function print(k: Windows, out: Address, room: number, text: string, unit: Unit): number {
  const bytes = unit === 2 ? encodeUtf16(text) : encodeLatin1(text);
  k.memory.write(out, bytes.subarray(0, Math.max(0, room) * unit));
  if (text.length < room) put(k, out, text.length, unit, 0);
  return text.length > room ? -1 : text.length;
}

const wide = (k: Windows, p: Address, args: VarArgs): string => format(k, wideText(k, p), args, true);
const narrow = (k: Windows, p: Address, args: VarArgs): string => format(k, k.memory.cstring(p), args);

function toNumber(k: Windows, p: Address, unit: Unit, end: Address, base: number): number {
  let i = 0;
  while ([0x20, 9, 10, 13].includes(at(k, p, i, unit))) i++;
  const sign = at(k, p, i, unit);
  if (sign === 0x2b || sign === 0x2d) i++;
  let radix = base;
  const hex = at(k, p, i, unit) === 0x30 && lower(at(k, p, i + 1, unit)) === 0x78;
  if ((radix === 0 || radix === 16) && hex) {
    radix = 16;
    i += 2;
  } else if (radix === 0) radix = at(k, p, i, unit) === 0x30 ? 8 : 10;
  let value = 0;
  for (; ; i++) {
    const digit = Number.parseInt(String.fromCharCode(at(k, p, i, unit)), radix);
    if (Number.isNaN(digit)) break;
    value = Math.min(value * radix + digit, 2 ** 32);
  }
  if (end !== 0) k.memory.setPtr(end, p + i * unit);
  return sign === 0x2d ? -value : value;
}

/** The sequence of the C library: a linear congruence, which begins with 1. */
const random = perKernel(() => ({ seed: 1 }));

/** Only to the base of ten is a number negative. */
function writeNumber(k: Windows, value: number, out: Address, radix: number, unit: Unit): Address {
  const text = (radix === 10 ? value : value >>> 0).toString(Math.min(36, Math.max(2, radix)));
  print(k, out, text.length + 1, text, unit);
  return out;
}

const clamp = (value: number): number => Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, value));

export const crtFunctions = kernelFunctions({
  'PVOID __cdecl memcpy(PVOID target, PVOID source, SIZE_T n)': (k, target, source, n) => {
    k.memory.copy(target, source, n);
    return target;
  },
  'PVOID __cdecl memmove(PVOID target, PVOID source, SIZE_T n)': (k, target, source, n) => {
    k.memory.copy(target, source, n);
    return target;
  },
  'PVOID __cdecl memset(PVOID target, LONG value, SIZE_T n)': (k, target, value, n) => {
    k.memory.fill(target, n, value & 0xff);
    return target;
  },
  'LONG __cdecl memcmp(PVOID a, PVOID b, SIZE_T n)': (k, a, b, n) => {
    for (let i = 0; i < n; i++) {
      const difference = k.memory.u8(a + i) - k.memory.u8(b + i);
      if (difference !== 0) return difference < 0 ? -1 : 1;
    }
    return 0;
  },
  'PVOID __cdecl memchr(PVOID p, LONG c, SIZE_T n)': (k, p, c, n) => {
    for (let i = 0; i < n; i++) if (k.memory.u8(p + i) === (c & 0xff)) return p + i;
    return 0;
  },
  'SIZE_T __cdecl strlen(PVOID p)': (k, p) => length(k, p, 1),
  'SIZE_T __cdecl wcslen(PVOID p)': (k, p) => length(k, p, 2),
  'SIZE_T __cdecl strnlen(PVOID p, SIZE_T most)': (k, p, most) => {
    for (let i = 0; i < most; i++) if (at(k, p, i, 1) === 0) return i;
    return most;
  },
  'SIZE_T __cdecl wcsnlen(PVOID p, SIZE_T most)': (k, p, most) => {
    for (let i = 0; i < most; i++) if (at(k, p, i, 2) === 0) return i;
    return most;
  },
  'LONG __cdecl strcmp(PVOID a, PVOID b)': (k, a, b) => compare(k, a, b, 1, Number.POSITIVE_INFINITY, false),
  'LONG __cdecl wcscmp(PVOID a, PVOID b)': (k, a, b) => compare(k, a, b, 2, Number.POSITIVE_INFINITY, false),
  'LONG __cdecl strncmp(PVOID a, PVOID b, SIZE_T n)': (k, a, b, n) => compare(k, a, b, 1, n, false),
  'LONG __cdecl wcsncmp(PVOID a, PVOID b, SIZE_T n)': (k, a, b, n) => compare(k, a, b, 2, n, false),
  'LONG __cdecl _stricmp(PVOID a, PVOID b)': (k, a, b) => compare(k, a, b, 1, Number.POSITIVE_INFINITY, true),
  'LONG __cdecl _wcsicmp(PVOID a, PVOID b)': (k, a, b) => compare(k, a, b, 2, Number.POSITIVE_INFINITY, true),
  'LONG __cdecl _strnicmp(PVOID a, PVOID b, SIZE_T n)': (k, a, b, n) => compare(k, a, b, 1, n, true),
  'LONG __cdecl _wcsnicmp(PVOID a, PVOID b, SIZE_T n)': (k, a, b, n) => compare(k, a, b, 2, n, true),
  'PVOID __cdecl strcpy(PVOID target, PVOID source)': (k, target, source) => copy(k, target, source, 1),
  'PVOID __cdecl wcscpy(PVOID target, PVOID source)': (k, target, source) => copy(k, target, source, 2),
  'PVOID __cdecl strncpy(PVOID target, PVOID source, SIZE_T n)': (k, target, source, n) =>
    copyAtMost(k, target, source, 1, n),
  'PVOID __cdecl wcsncpy(PVOID target, PVOID source, SIZE_T n)': (k, target, source, n) =>
    copyAtMost(k, target, source, 2, n),
  'PVOID __cdecl strcat(PVOID target, PVOID source)': (k, target, source) => {
    copy(k, target + length(k, target, 1), source, 1);
    return target;
  },
  'PVOID __cdecl wcscat(PVOID target, PVOID source)': (k, target, source) => {
    copy(k, target + length(k, target, 2) * 2, source, 2);
    return target;
  },
  'PVOID __cdecl wcsncat(PVOID target, PVOID source, SIZE_T n)': (k, target, source, n) => {
    const from = length(k, target, 2);
    const most = Math.min(n, length(k, source, 2));
    k.memory.copy(target + from * 2, source, most * 2);
    put(k, target, from + most, 2, 0);
    return target;
  },
  'PVOID __cdecl strncat(PVOID target, PVOID source, SIZE_T n)': (k, target, source, n) => {
    const from = length(k, target, 1);
    const most = Math.min(n, length(k, source, 1));
    k.memory.copy(target + from, source, most);
    put(k, target, from + most, 1, 0);
    return target;
  },
  'PVOID __cdecl strchr(PVOID p, LONG c)': (k, p, c) => find(k, p, c & 0xff, 1, false),
  'PVOID __cdecl strrchr(PVOID p, LONG c)': (k, p, c) => find(k, p, c & 0xff, 1, true),
  'PVOID __cdecl wcschr(PVOID p, USHORT c)': (k, p, c) => find(k, p, c, 2, false),
  'PVOID __cdecl wcsrchr(PVOID p, USHORT c)': (k, p, c) => find(k, p, c, 2, true),
  'PVOID __cdecl strstr(PVOID p, PVOID wanted)': (k, p, wanted) => findText(k, p, wanted, 1),
  'PVOID __cdecl wcsstr(PVOID p, PVOID wanted)': (k, p, wanted) => findText(k, p, wanted, 2),
  'PVOID __cdecl _strlwr(PVOID p)': (k, p) => fold(k, p, 1, lower),
  'PVOID __cdecl _strupr(PVOID p)': (k, p) => fold(k, p, 1, upper),
  'PVOID __cdecl _wcslwr(PVOID p)': (k, p) => fold(k, p, 2, lower),
  'PVOID __cdecl _wcsupr(PVOID p)': (k, p) => fold(k, p, 2, upper),
  'LONG __cdecl tolower(LONG c)': (_k, c) => lower(c),
  'LONG __cdecl toupper(LONG c)': (_k, c) => upper(c),
  'USHORT __cdecl towlower(USHORT c)': (_k, c) => lower(c),
  'USHORT __cdecl towupper(USHORT c)': (_k, c) => upper(c),
  'LONG __cdecl isdigit(LONG c)': (_k, c) => (c >= 0x30 && c <= 0x39 ? 4 : 0),
  'LONG __cdecl isspace(LONG c)': (_k, c) => (c === 0x20 || (c >= 9 && c <= 13) ? 8 : 0),
  'LONG __cdecl isprint(LONG c)': (_k, c) => (c >= 0x20 && c < 0x7f ? 0x10 : 0),
  'LONG __cdecl isupper(LONG c)': (_k, c) => (c >= 0x41 && c <= 0x5a ? 1 : 0),
  'LONG __cdecl islower(LONG c)': (_k, c) => (c >= 0x61 && c <= 0x7a ? 2 : 0),
  'LONG __cdecl isxdigit(LONG c)': (_k, c) => (/[0-9a-fA-F]/.test(String.fromCharCode(c)) ? 0x80 : 0),
  'LONG __cdecl atoi(PVOID p)': (k, p) => clamp(toNumber(k, p, 1, 0, 10)),
  'LONG __cdecl atol(PVOID p)': (k, p) => clamp(toNumber(k, p, 1, 0, 10)),
  'LONG __cdecl _wtoi(PVOID p)': (k, p) => clamp(toNumber(k, p, 2, 0, 10)),
  'LONG __cdecl _wtol(PVOID p)': (k, p) => clamp(toNumber(k, p, 2, 0, 10)),
  'LONG __cdecl strtol(PVOID p, PVOID *end, LONG base)': (k, p, end, base) =>
    clamp(toNumber(k, p, 1, end, base)),
  'ULONG __cdecl strtoul(PVOID p, PVOID *end, LONG base)': (k, p, end, base) =>
    Math.min(0xffffffff, toNumber(k, p, 1, end, base)),
  'LONG __cdecl wcstol(PVOID p, PVOID *end, LONG base)': (k, p, end, base) =>
    clamp(toNumber(k, p, 2, end, base)),
  'ULONG __cdecl wcstoul(PVOID p, PVOID *end, LONG base)': (k, p, end, base) =>
    Math.min(0xffffffff, toNumber(k, p, 2, end, base)),
  'LONG __cdecl abs(LONG value)': (_k, value) => Math.abs(value),
  'LONG __cdecl sprintf(PVOID out, PVOID format, ...)': (k, out, f, args) =>
    print(k, out, 1 << 20, narrow(k, f, args), 1),
  'LONG __cdecl swprintf(PVOID out, PVOID format, ...)': (k, out, f, args) =>
    print(k, out, 1 << 20, wide(k, f, args), 2),
  'LONG __cdecl vsprintf(PVOID out, PVOID format, va_list args)': (k, out, f, args) =>
    print(k, out, 1 << 20, narrow(k, f, args), 1),
  'LONG __cdecl _snprintf(PVOID out, SIZE_T room, PVOID format, ...)': (k, out, room, f, args) =>
    print(k, out, room, narrow(k, f, args), 1),
  'LONG __cdecl _vsnprintf(PVOID out, SIZE_T room, PVOID format, va_list args)': (k, out, room, f, args) =>
    print(k, out, room, narrow(k, f, args), 1),
  'LONG __cdecl _snwprintf(PVOID out, SIZE_T room, PVOID format, ...)': (k, out, room, f, args) =>
    print(k, out, room, wide(k, f, args), 2),
  'LONG __cdecl _vsnwprintf(PVOID out, SIZE_T room, PVOID format, va_list args)': (k, out, room, f, args) =>
    print(k, out, room, wide(k, f, args), 2),
  'SIZE_T __cdecl mbstowcs(PVOID out, PVOID source, SIZE_T count)': (k, out, source, count) => {
    const n = length(k, source, 1);
    for (let i = 0; out !== 0 && i < Math.min(count, n + 1); i++) put(k, out, i, 2, at(k, source, i, 1));
    return out === 0 ? n : Math.min(n, count);
  },
  'SIZE_T __cdecl wcstombs(PVOID out, PVOID source, SIZE_T count)': (k, out, source, count) => {
    const n = length(k, source, 2);
    for (let i = 0; out !== 0 && i < Math.min(count, n + 1); i++)
      put(k, out, i, 1, at(k, source, i, 2) & 0xff);
    return out === 0 ? n : Math.min(n, count);
  },
  'LONG __cdecl rand(void)': (k) => {
    const at = k.state(random);
    at.seed = (Math.imul(at.seed, 214013) + 2531011) | 0;
    return (at.seed >>> 16) & 0x7fff;
  },
  'void __cdecl srand(ULONG seed)': (k, seed) => {
    k.state(random).seed = seed | 0;
  },
  'PVOID __cdecl _itoa(LONG value, PVOID out, LONG radix)': (k, value, out, radix) =>
    writeNumber(k, value, out, radix, 1),
  'PVOID __cdecl _itow(LONG value, PVOID out, LONG radix)': (k, value, out, radix) =>
    writeNumber(k, value, out, radix, 2),
  'SIZE_T __cdecl wcscspn(PVOID p, PVOID set)': (k, p, set) => {
    let n = 0;
    while (at(k, p, n, 2) !== 0 && find(k, set, at(k, p, n, 2), 2, false) === 0) n++;
    return n;
  },
});

function fold(k: Windows, p: Address, unit: Unit, change: (c: number) => number): Address {
  const n = length(k, p, unit);
  for (let i = 0; i < n; i++) put(k, p, i, unit, change(at(k, p, i, unit)));
  return p;
}
