/**
 * What CLIB has beyond ISO C: names of Watcom's library, which it was made with, and direct input and output. NLMs run in ring 0: a
 * port instruction behind a function call is one like any other.
 */
import { definer } from '../../../kernel/functions.ts';
import { guestText, writeGuestText } from '../../../kernel/text/printf.ts';
import { scanFormat, textSource } from '../../../kernel/text/scanf.ts';
import type { NetWare } from '../netware.ts';

const functions = definer<NetWare>();

const lower = (text: string): string => text.replace(/[A-Z]/g, (c) => c.toLowerCase());
const upper = (text: string): string => text.replace(/[a-z]/g, (c) => c.toUpperCase());

/** The first difference without regard to case; a text that ends is the lower one. */
function compare(k: NetWare, a: number, b: number, most = Number.POSITIVE_INFINITY): number {
  const [left, right] = [a, b].map((at) => lower(guestText(k, at, Number.isFinite(most) ? most : undefined)));
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left.charCodeAt(i) || 0) - (right.charCodeAt(i) || 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Writes the changed text over itself. */
function change(k: NetWare, at: number, next: (text: string) => string): number {
  writeGuestText(k, at, next(guestText(k, at)));
  return at;
}

function digits(k: NetWare, value: number, to: number, radix: number): number {
  writeGuestText(k, to, radix >= 2 && radix <= 36 ? value.toString(radix) : '');
  return to;
}

/** A minus stands before decimal numbers only; in other bases the bits count. */
const signed = (k: NetWare, value: number, to: number, radix: number): number =>
  digits(k, radix === 10 ? value : value >>> 0, to, radix);

export const watcomFunctions = functions({
  'int stricmp(const char *a, const char *b)': (k, a, b) => compare(k, a, b),
  'int strcmpi(const char *a, const char *b)': (k, a, b) => compare(k, a, b),
  'int strnicmp(const char *a, const char *b, size_t most)': compare,
  'int memicmp(const void *a, const void *b, size_t bytes)': (k, a, b, bytes) => {
    for (let i = 0; i < bytes; i++) {
      const [left, right] = [a, b].map((at) => lower(String.fromCharCode(k.memory.u8(at + i))).charCodeAt(0));
      if (left !== right) return left - right;
    }
    return 0;
  },
  'char *strlwr(char *text)': (k, text) => change(k, text, lower),
  'char *strupr(char *text)': (k, text) => change(k, text, upper),
  'char *strrev(char *text)': (k, text) => change(k, text, (all) => [...all].reverse().join('')),
  'char *strset(char *text, int c)': (k, text, c) =>
    change(k, text, (all) => String.fromCharCode(c & 0xff).repeat(all.length)),
  'char *strnset(char *text, int c, size_t most)': (k, text, c, most) =>
    change(
      k,
      text,
      (all) => String.fromCharCode(c & 0xff).repeat(Math.min(all.length, most)) + all.slice(most),
    ),
  'char *strdup(const char *text)': (k, text) => {
    const copy = guestText(k, text);
    const at = k.pool.allocate(copy.length + 1, k.callingModule?.handle, k.caller);
    if (at !== 0) writeGuestText(k, at, copy);
    return at;
  },
  'char *itoa(int value, char *to, int radix)': signed,
  'char *ltoa(int value, char *to, int radix)': signed,
  'char *utoa(unsigned int value, char *to, int radix)': digits,
  'char *ultoa(unsigned int value, char *to, int radix)': digits,
  'int sscanf(const char *text, const char *format, ...)': (k, text, format, args) =>
    scanFormat(k, textSource(guestText(k, text)), guestText(k, format), args),
  'int vsscanf(const char *text, const char *format, va_list args)': (k, text, format, args) =>
    scanFormat(k, textSource(guestText(k, text)), guestText(k, format), args),
  'unsigned int inp(int port)': (k, port) => k.cpu.machine.in(port & 0xffff, 1),
  'unsigned int inpw(int port)': (k, port) => k.cpu.machine.in(port & 0xffff, 2),
  'LONG inpd(int port)': (k, port) => k.cpu.machine.in(port & 0xffff, 4),
  'unsigned int outp(int port, int value)': (k, port, value) => output(k, port, 1, value & 0xff),
  'unsigned int outpw(int port, unsigned int value)': (k, port, value) => output(k, port, 2, value & 0xffff),
  'LONG outpd(int port, LONG value)': (k, port, value) => output(k, port, 4, value),
});

/** What was written comes back. */
function output(k: NetWare, port: number, bytes: number, value: number): number {
  k.cpu.machine.out(port & 0xffff, bytes, value);
  return value;
}
