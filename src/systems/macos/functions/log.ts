/** printf and its relatives: text to the system log (osfmk/kern/printf.c, iokit/Kernel/IOLib.cpp). */
import type { VarArgs } from '../../../abi/convention.ts';
import { formatC, guestText } from '../../../kernel/text/printf.ts';
import type { Address } from '../../../memory/space.ts';
import type { Macos } from '../macos.ts';
import { kernelFunctions } from './define.ts';

const print = (k: Macos, format: Address, args: VarArgs): void => k.print(formatC(k, format, args).text);

const hex = (address: Address): string =>
  `0x${BigInt.asUintN(64, BigInt(address)).toString(16).padStart(16, '0')}`;

export const logging = kernelFunctions({
  'int printf(const char *format, ...)': (k, format, args) => {
    print(k, format, args);
    return 0;
  },
  'int vprintf(const char *format, va_list args)': (k, format, args) => {
    print(k, format, args);
    return 0;
  },
  'void kprintf(const char *format, ...)': print,
  'void IOLog(const char *format, ...)': print,
  'void IOLogv(const char *format, va_list args)': print,
  'void log(int level, const char *format, ...)': (k, _level, format, args) => print(k, format, args),
  'void conslog_putc(char c)': (k, c) => k.print(String.fromCharCode(c & 0xff)),
  // os_log(9) keeps its text outside of the buffer that dmesg shows; here is one log for both.
  'void _os_log_internal(void *image, void *log, int type, const char *format, ...)': (
    k,
    _image,
    _log,
    _type,
    format,
    args,
  ) => {
    k.print(`${formatC(k, format, args).text.replace(/%\{public\}/g, '%')}\n`);
  },
  'void panic(const char *format, ...)': (k, format, args) => {
    throw k.panic(`panic(cpu 0 caller ${hex(k.caller())}): "${formatC(k, format, args).text}"`);
  },
  'void Debugger(const char *message)': (k, message) => {
    throw k.panic(`Debugger called: <${guestText(k, message)}>`);
  },
});
