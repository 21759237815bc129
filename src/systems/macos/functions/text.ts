/** Texts and checked copies of libkern beyond ISO C (osfmk/device/subrs.c, libkern/libkern/string.h, bsd/libkern). */
import { guestText, writeGuestText } from '../../../kernel/text/printf.ts';
import { scanFormat, textSource } from '../../../kernel/text/scanf.ts';
import type { Address } from '../../../memory/space.ts';
import type { Macos } from '../macos.ts';
import { kernelFunctions } from './define.ts';

/** Fortified copies end the machine when the compiler knows a smaller room. */
function checkRoom(k: Macos, what: string, to: Address, bytes: number, room: number): void {
  if (room >= 0 && bytes > room)
    throw k.panic(`panic(cpu 0): "${what} object size check failed: dst ${to}, src, (${room} < ${bytes})"`);
}

function append(k: Macos, to: Address, from: Address, room: number): number {
  const [own, added] = [guestText(k, to, room), guestText(k, from)];
  if (own.length < room) writeGuestText(k, to + own.length, added.slice(0, room - own.length - 1));
  return Math.min(own.length, room) + added.length;
}

function copyText(k: Macos, to: Address, from: Address, room: number): number {
  const text = guestText(k, from);
  if (room > 0) writeGuestText(k, to, text.slice(0, room - 1));
  return text.length;
}

/** Cuts the next piece off the text that a pointer leads to. */
function separate(k: Macos, place: Address, set: Address): Address {
  const start = k.memory.ptr(place);
  if (start === 0) return 0;
  const text = guestText(k, start);
  const ends = guestText(k, set);
  const at = [...text].findIndex((one) => ends.includes(one));
  if (at < 0) k.memory.setPtr(place, 0);
  else {
    k.memory.set8(start + at, 0);
    k.memory.setPtr(place, start + at + 1);
  }
  return start;
}

const CRC32 = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 0 ? value >>> 1 : (value >>> 1) ^ 0xedb88320;
  return value >>> 0;
});

function crc32(bytes: Uint8Array, start: number): number {
  let value = ~start >>> 0;
  for (const byte of bytes) value = (CRC32[(value ^ byte) & 0xff] ^ (value >>> 8)) >>> 0;
  return ~value >>> 0;
}

/** `8-4-4-4-12` hexadecimal digits. */
function parseUuid(k: Macos, text: Address, to: Address): number {
  const match = /^([\da-f]{8})-([\da-f]{4})-([\da-f]{4})-([\da-f]{4})-([\da-f]{12})$/i.exec(
    guestText(k, text, 64),
  );
  if (match === null) return -1;
  const digits = match.slice(1).join('');
  for (let i = 0; i < 16; i++) k.memory.set8(to + i, Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16));
  return 0;
}

function uuidText(k: Macos, at: Address): string {
  const digits = [...k.memory.bytes(at, 16)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** The number that a text begins with, and how many characters it has. */
function number(text: string, base: number): { value: bigint; length: number } {
  const match = /^\s*([+-]?)(0x)?/i.exec(text);
  const radix = base !== 0 ? base : match?.[2] !== undefined ? 16 : /^\s*[+-]?0/.test(text) ? 8 : 10;
  const skip = (match?.[0].length ?? 0) - (match?.[2] !== undefined && radix !== 16 ? 1 : 0);
  let value = 0n;
  let length = skip;
  for (; length < text.length; length++) {
    const digit = Number.parseInt(text[length], radix);
    if (Number.isNaN(digit)) break;
    value = value * BigInt(radix) + BigInt(digit);
  }
  return { value: match?.[1] === '-' ? -value : value, length: length === skip ? 0 : length };
}

function wideNumber(k: Macos, text: Address, end: Address, base: number): bigint {
  const { value, length } = number(guestText(k, text, 128), base);
  if (end !== 0) k.memory.setPtr(end, text + length);
  return BigInt.asIntN(64, value);
}

export const texts = kernelFunctions({
  'size_t strlcat(char *to, const char *from, size_t room)': append,
  'char *strsep(char **place, const char *set)': separate,
  'char *STRDUP(const char *text, int kind)': (k, text) => {
    const copy = k.heap.allocate(guestText(k, text).length + 1, 'malloc');
    writeGuestText(k, copy, guestText(k, text));
    return copy;
  },
  'int sscanf(const char *text, const char *format, ...)': (k, text, format, args) =>
    scanFormat(k, textSource(guestText(k, text)), guestText(k, format), args),
  'int64_t strtoq(const char *text, char **end, int base)': wideNumber,
  'int64_t strtouq(const char *text, char **end, int base)': wideNumber,
  'int ffs(int value)': (_k, value) => (value === 0 ? 0 : 32 - Math.clz32(value & -value)),
  'unsigned int crc32(unsigned int start, const void *at, size_t bytes)': (k, start, at, bytes) =>
    at === 0 ? 0 : crc32(k.memory.bytes(at, bytes), start),
  'int uuid_parse(const char *text, void *to)': parseUuid,
  'void uuid_unparse(const void *at, char *to)': (k, at, to) =>
    writeGuestText(k, to, uuidText(k, at).toUpperCase()),
  'void uuid_unparse_upper(const void *at, char *to)': (k, at, to) =>
    writeGuestText(k, to, uuidText(k, at).toUpperCase()),
  'void uuid_copy(void *to, const void *from)': (k, to, from) => k.memory.copy(to, from, 16),
  'void uuid_clear(void *at)': (k, at) => k.memory.fill(at, 16, 0),
  'int uuid_compare(const void *a, const void *b)': (k, a, b) => {
    const [one, other] = [k.memory.bytes(a, 16), k.memory.bytes(b, 16)];
    const at = one.findIndex((byte, i) => byte !== other[i]);
    return at < 0 ? 0 : one[at] - other[at];
  },
  'void uuid_generate(void *to)': (k, to) => {
    for (let i = 0; i < 16; i += 4) k.memory.set32(to + i, k.random32());
    k.memory.set8(to + 6, (k.memory.u8(to + 6) & 15) | 0x40);
    k.memory.set8(to + 8, (k.memory.u8(to + 8) & 0x3f) | 0x80);
  },
  'void *__memmove_chk(void *to, const void *from, size_t bytes, size_t room)': (
    k,
    to,
    from,
    bytes,
    room,
  ) => {
    checkRoom(k, '__memmove_chk', to, bytes, room);
    k.memory.copy(to, from, bytes);
    return to;
  },
  'char *__strncpy_chk(char *to, const char *from, size_t bytes, size_t room)': (
    k,
    to,
    from,
    bytes,
    room,
  ) => {
    checkRoom(k, '__strncpy_chk', to, bytes, room);
    const text = guestText(k, from, bytes);
    k.memory.fill(to, bytes, 0);
    if (text.length > 0) k.memory.copy(to, from, Math.min(bytes, text.length));
    return to;
  },
  'size_t __strlcpy_chk(char *to, const char *from, size_t bytes, size_t room)': (
    k,
    to,
    from,
    bytes,
    room,
  ) => {
    checkRoom(k, '__strlcpy_chk', to, bytes, room);
    return copyText(k, to, from, bytes);
  },
  'size_t __strlcat_chk(char *to, const char *from, size_t bytes, size_t room)': (
    k,
    to,
    from,
    bytes,
    room,
  ) => {
    checkRoom(k, '__strlcat_chk', to, bytes, room);
    return append(k, to, from, bytes);
  },
  'void __stack_chk_fail(void)': (k) => {
    throw k.panic('panic(cpu 0): "Kernel stack memory corruption detected"');
  },
  'int Assert(const char *file, int line, const char *expression)': (k, file, line, expression) => {
    throw k.panic(
      `panic(cpu 0): "${guestText(k, file)}:${line} Assertion failed: ${guestText(k, expression)}"`,
    );
  },
  // iokit/Kernel/IOLib.cpp: tables of value and name, ended by a null name.
  'const char *IOFindNameForValue(int value, const void *table)': (k, value, table) => {
    for (let at = table, left = 10_000; left > 0; at += 2 * k.word, left--) {
      const name = k.memory.ptr(at + k.word);
      if (name === 0) break;
      if (k.memory.i32(at) === value) return name;
    }
    return k.constantText(`0x${(value >>> 0).toString(16)} (UNDEFINED)`);
  },
});
