/** Messages: cmn_err(9F) and its kind, panic, and the printf family. */
import type { VarArgs } from '../../../abi/convention.ts';
import { formatC, guestText } from '../../../kernel/text/printf.ts';
import { readable } from '../../../kernel/text/sink.ts';
import type { Address } from '../../../memory/space.ts';
import { panic } from '../faults.ts';
import type { Solaris } from '../solaris.ts';
import { CE } from '../syslog.ts';
import { kernelFunctions } from './define.ts';

const format = (k: Solaris, at: Address, args: VarArgs): string =>
  readable(formatC(k, at, args, { pointerPrefix: '', nullText: '<null string>' }).text);

/** A null pointer as %s is shown in words (common/util/string.c). */
function message(k: Solaris, level: number, formatAt: Address, args: VarArgs): void {
  const text = format(k, formatAt, args);
  if (level === CE.IGNORE) return;
  if (level >= CE.PANIC) throw panic(k, text);
  k.syslog.say(guestText(k, formatAt), text, level, k.callingModule()?.name);
}

export const messages = kernelFunctions({
  'void cmn_err(int level, const char *format, ...)': message,
  'void vcmn_err(int level, const char *format, va_list args)': message,
  'void dev_err(dev_info_t *dip, int level, const char *format, ...)': (k, dip, level, formatAt, args) => {
    const name =
      dip === 0
        ? ''
        : `${k.readString('dev_info.devi_node_name', dip)}${k.read('dev_info.devi_instance', dip)}: `;
    if (level >= CE.PANIC) throw panic(k, name + format(k, formatAt, args));
    k.syslog.say(guestText(k, formatAt), name + format(k, formatAt, args), level, k.callingModule()?.name);
  },
  'void printf(const char *format, ...)': (k, formatAt, args) => {
    k.syslog.say(guestText(k, formatAt), format(k, formatAt, args), CE.CONT, k.callingModule()?.name);
  },
  'void uprintf(const char *format, ...)': (k, formatAt, args) => {
    k.log.write(6, format(k, formatAt, args).replace(/\n$/, ''));
  },
  'void panic(const char *format, ...)': (k, formatAt, args) => {
    throw panic(k, format(k, formatAt, args));
  },
  'void vpanic(const char *format, va_list args)': (k, formatAt, args) => {
    throw panic(k, format(k, formatAt, args));
  },
  'int assfail(const char *what, const char *file, int line)': (k, what, file, line) => {
    const where = `file: ${k.memory.cstring(file)}, line: ${line}`;
    throw panic(k, `assertion failed: ${k.memory.cstring(what)}, ${where}`);
  },
  'void assfail3(const char *what, uintptr_t left, const char *op, uintptr_t right, const char *file, int line)':
    (k, what, left, op, right, file, line) => {
      const hex = (value: number) => BigInt.asUintN(k.bits, BigInt(value)).toString(16);
      const values = `(0x${hex(left)} ${k.memory.cstring(op)} 0x${hex(right)})`;
      throw panic(
        k,
        `assertion failed: ${k.memory.cstring(what)} ${values}, file: ${k.memory.cstring(file)}, line: ${line}`,
      );
    },
});
