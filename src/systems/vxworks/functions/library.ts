/** What of the C library is this system's own, and the shell's routines that modules call. */
import { definer } from '../../../kernel/functions.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import { guestText, writeGuestText } from '../../../kernel/text/printf.ts';
import { ERROR, OK } from '../errno.ts';
import type { VxWorks } from '../vxworks.ts';
import { showDevices, showDrivers, showFiles } from './io.ts';

const functions = definer<VxWorks>();

/** Where strerror writes. */
const errorText = perKernel((k) => (k as VxWorks).allocate(32));

export const libraryFunctions = functions({
  'char *strdup(const char *text)': (k, text) => {
    const copy = guestText(k, text);
    const at = k.allocate(copy.length + 1, k.caller);
    if (at !== 0) writeGuestText(k, at, copy);
    return at;
  },
  'size_t strlcpy(char *to, const char *from, size_t size)': (k, to, from, size) => {
    const text = guestText(k, from);
    if (size > 0) writeGuestText(k, to, text.slice(0, size - 1));
    return text.length;
  },
  'size_t strlcat(char *to, const char *from, size_t size)': (k, to, from, size) => {
    const [before, text] = [guestText(k, to, size), guestText(k, from)];
    if (before.length < size) writeGuestText(k, to + before.length, text.slice(0, size - 1 - before.length));
    return before.length + text.length;
  },
  'char *index(const char *text, int c)': (k, text, c) =>
    place(text, `${guestText(k, text)}\0`.indexOf(byte(c))),
  'char *rindex(const char *text, int c)': (k, text, c) =>
    place(text, `${guestText(k, text)}\0`.lastIndexOf(byte(c))),
  'void bfill(char *at, int bytes, int value)': (k, at, bytes, value) =>
    k.memory.fill(at, bytes, value & 0xff),
  'void swab(char *from, char *to, int bytes)': (k, from, to, bytes) => {
    const all = k.memory.bytes(from, bytes & ~1).slice();
    for (let i = 0; i + 1 < all.length; i += 2) [all[i], all[i + 1]] = [all[i + 1], all[i]];
    k.memory.write(to, all);
  },
  // Without a table of names for status values, which no build has by default, the number is all that is said (errnoLib).
  'char *strerror(int errno)': (k, errno) => {
    const at = k.state(errorText);
    writeGuestText(k, at, `errno = 0x${(errno >>> 0).toString(16)}`);
    return at;
  },
  'int taskIdListGet(TASK_ID *list, int most)': (k, list, most) => {
    const ids = [...k.tasks].map((task) => task.id).slice(0, Math.max(0, most));
    for (const [i, id] of ids.entries()) k.memory.setPtr(list + i * k.spec.pointerBytes, id);
    return ids.length;
  },
  'STATUS taskOptionsGet(TASK_ID id, int *options)': (k, id, options) => {
    const task = k.tasks.find(id);
    if (task === undefined) return ERROR;
    k.memory.set32(options, task.options);
    return OK;
  },
  'TASK_ID sp(FUNCPTR entry, _Vx_usr_arg_t a1, _Vx_usr_arg_t a2, _Vx_usr_arg_t a3, _Vx_usr_arg_t a4, _Vx_usr_arg_t a5, _Vx_usr_arg_t a6, _Vx_usr_arg_t a7, _Vx_usr_arg_t a8, _Vx_usr_arg_t a9)':
    (k, entry, ...args) => {
      const spec = { name: k.tasks.nextName('u'), priority: 100, options: 8, entry, args: [...args, 0] };
      return k.tasks.create(spec, true)?.id ?? ERROR;
    },
  'void iosDrvShow(void)': (k) => say(k, showDrivers(k)),
  'void iosDevShow(void)': (k) => say(k, showDevices(k)),
  'void iosFdShow(void)': (k) => say(k, showFiles(k)),
});

const byte = (c: number): string => String.fromCharCode(c & 0xff);

function place(text: number, at: number): number {
  return at < 0 ? 0 : text + at;
}

function say(k: VxWorks, lines: readonly string[]): void {
  for (const line of lines) k.console.say(line);
}
