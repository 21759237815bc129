/** printf(9), log(9), panic(9), sprintf: sys/kern/subr_prf.c, kern_shutdown.c. */
import type { VarArgs } from '../../../abi/convention.ts';
import { guestText, writeGuestText } from '../../../kernel/text/printf.ts';
import type { Address } from '../../../memory/space.ts';
import { KernelPanic } from '../faults.ts';
import type { FreeBsd } from '../freebsd.ts';
import { kernelFunctions } from './define.ts';
import { format } from './format.ts';

const text = (k: FreeBsd, at: Address, args: VarArgs): string => format(k, guestText(k, at), args);

function print(k: FreeBsd, at: Address, args: VarArgs): number {
  const out = text(k, at, args);
  k.printf(out);
  return out.length;
}

function putSized(k: FreeBsd, to: Address, size: number, out: string): number {
  if (size > 0) writeGuestText(k, to, out.slice(0, size - 1));
  return out.length;
}

export const output = kernelFunctions({
  'int printf(const char *fmt, ...)': print,
  'int vprintf(const char *fmt, va_list ap)': print,
  'int uprintf(const char *fmt, ...)': print,
  'void tprintf(struct proc *p, int pri, const char *fmt, ...)': (k, _p, _pri, at, args) => {
    print(k, at, args);
  },
  'void log(int level, const char *fmt, ...)': (k, _level, at, args) => {
    print(k, at, args);
  },
  'void vlog(int level, const char *fmt, va_list ap)': (k, _level, at, args) => {
    print(k, at, args);
  },
  'int sprintf(char *buf, const char *fmt, ...)': (k, to, at, args) => {
    const out = text(k, at, args);
    writeGuestText(k, to, out);
    return out.length;
  },
  'int vsprintf(char *buf, const char *fmt, va_list ap)': (k, to, at, args) => {
    const out = text(k, at, args);
    writeGuestText(k, to, out);
    return out.length;
  },
  'int snprintf(char *str, size_t size, const char *fmt, ...)': (k, to, size, at, args) =>
    putSized(k, to, size, text(k, at, args)),
  'int vsnprintf(char *str, size_t size, const char *fmt, va_list ap)': (k, to, size, at, args) =>
    putSized(k, to, size, text(k, at, args)),
  'int vsnrprintf(char *str, size_t size, int radix, const char *fmt, va_list ap)': (
    k,
    to,
    size,
    radix,
    at,
    args,
  ) => putSized(k, to, size, format(k, guestText(k, at), args, radix)),
  'void panic(const char *fmt, ...)': (k, at, args) => {
    throw new KernelPanic(text(k, at, args));
  },
  'void vpanic(const char *fmt, va_list ap)': (k, at, args) => {
    throw new KernelPanic(text(k, at, args));
  },
  'void kassert_panic(const char *fmt, ...)': (k, at, args) => {
    throw new KernelPanic(text(k, at, args));
  },
  'void __stack_chk_fail(void)': () => {
    throw new KernelPanic('stack overflow detected; backtrace may be corrupted');
  },
  'void hexdump(const void *ptr, int length, const char *hdr, int flags)': (k, at, length) => {
    for (let line = 0; line < Math.min(length, 65536); line += 16) {
      const bytes = [...k.memory.bytes(at + line, Math.min(16, length - line))];
      const hex = bytes.map((byte) => ` ${byte.toString(16).padStart(2, '0')}`).join('');
      const shown = bytes
        .map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.'))
        .join('');
      k.printf(`${line.toString(16).padStart(4, '0')}  ${hex.padEnd(48)}  |${shown}|\n`);
    }
  },
  'void kdb_backtrace(void)': (k) => k.printf('KDB: stack backtrace:\n'),
  'void kdb_enter(const char *why, const char *msg)': (k, _why, at) => {
    throw new KernelPanic(`kdb_enter: ${guestText(k, at)}`);
  },
});
