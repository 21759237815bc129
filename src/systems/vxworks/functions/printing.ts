/** fioLib and logLib: text for the console, and errnoLib. */
import { definer } from '../../../kernel/functions.ts';
import { formatC, guestText } from '../../../kernel/text/printf.ts';
import type { VxWorks } from '../vxworks.ts';
import { hex, wording } from '../wording.ts';

const functions = definer<VxWorks>();

export const printingFunctions = functions({
  'int printf(const char *format, ...)': (k, format, args) => print(k, formatC(k, format, args).text),
  'int vprintf(const char *format, va_list args)': (k, format, args) =>
    print(k, formatC(k, format, args).text),
  'int printErr(const char *format, ...)': (k, format, args) => print(k, formatC(k, format, args).text),
  'int puts(const char *text)': (k, text) => print(k, `${guestText(k, text)}\n`),
  'int putchar(int c)': (k, c) => {
    k.console.write(String.fromCharCode(c & 0xff));
    return c;
  },
  // Its six arguments stand where variable ones would.
  'int logMsg(const char *format, ...)': (k, format, args) => {
    const text = formatC(k, format, args).text.replace(/\n$/, '');
    const task = k.tasks.current;
    const bits = k.spec.pointerBytes * 8;
    const line =
      task === undefined
        ? wording.logInterrupt(text)
        : wording.logMessage(hex(task.id, bits), task.name, text);
    k.console.say(line);
    return text.length;
  },
  'int *__errno(void)': (k) => {
    const task = k.tasks.current;
    return task === undefined ? 0 : task.id + k.offset('struct lkm_tcb.errorStatus');
  },
  'int errnoGet(void)': (k) => k.errno,
  'STATUS errnoSet(int value)': (k, value) => {
    k.errno = value;
    return 0;
  },
  'void perror(const char *text)': (k, text) => {
    print(k, `${guestText(k, text)}: errno = 0x${k.errno.toString(16)}\n`);
  },
});

function print(k: VxWorks, text: string): number {
  k.console.write(text);
  return text.length;
}
