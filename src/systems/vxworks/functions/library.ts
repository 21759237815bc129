/** What of the C library is this system's own, and the shell's routines that modules call. */
import { definer } from '../../../kernel/functions.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import { guestText, writeGuestText } from '../../../kernel/text/printf.ts';
import { ERROR, OK } from '../errno.ts';
import type { VxWorks } from '../vxworks.ts';
import { showDevices, showDrivers, showFiles } from './io.ts';

const functions = definer<VxWorks>();

interface Library {
  seed: number;
  /** Where strtok goes on; of the last string it was given. */
  token: number;
}

const library = perKernel((): Library => ({ seed: 1, token: 0 }));

export const libraryFunctions = functions({
  // The generator that ISO C shows as an example (7.22.2.2).
  'int rand(void)': (k) => {
    const own = k.state(library);
    own.seed = (Math.imul(own.seed, 1103515245) + 12345) >>> 0;
    return Math.floor(own.seed / 65536) % 32768;
  },
  'void srand(unsigned int seed)': (k, seed) => {
    k.state(library).seed = seed;
  },
  'char *strtok(char *text, const char *separators)': (k, text, separators) => {
    const own = k.state(library);
    const { token, rest } = nextToken(k, text === 0 ? own.token : text, separators);
    own.token = rest;
    return token;
  },
  'char *strtok_r(char *text, const char *separators, char **rest)': (k, text, separators, at) => {
    const { token, rest } = nextToken(k, text === 0 ? k.memory.ptr(at) : text, separators);
    k.memory.setPtr(at, rest);
    return token;
  },
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
  // There is no interrupt controller: every line is open, all the time.
  'int intEnable(int level)': () => OK,
});

function say(k: VxWorks, lines: readonly string[]): void {
  for (const line of lines) k.console.say(line);
}

/** The token at or behind an address, ended in place; 0 when there is none. */
function nextToken(k: VxWorks, from: number, separators: number): { token: number; rest: number } {
  if (from === 0) return { token: 0, rest: 0 };
  const [text, set] = [guestText(k, from), guestText(k, separators)];
  let start = 0;
  while (start < text.length && set.includes(text[start])) start++;
  if (start === text.length) return { token: 0, rest: 0 };
  let end = start;
  while (end < text.length && !set.includes(text[end])) end++;
  if (end === text.length) return { token: from + start, rest: 0 };
  k.memory.set8(from + end, 0);
  return { token: from + start, rest: from + end + 1 };
}
