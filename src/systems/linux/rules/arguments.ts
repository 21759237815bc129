/**
 * parse_args and next_arg (kernel/params.c, lib/cmdline.c): what stands behind insmod's file name. The string is cut up in
 * place, as the kernel does it; what a parameter makes of its value is asked of the caller.
 */
import type { Steps } from '../../../kernel/steps.ts';
import { Errno } from '../errno.ts';
import { type Judge, Level } from './judge.ts';

/** KERNEL_PARAM_OPS_FL_NOARG: the name may stand alone (include/linux/moduleparam.h). */
export const OPS_NOARG = 1;
/** KERNEL_PARAM_FL_UNSAFE: setting it taints the kernel. */
export const FLAG_UNSAFE = 1;

/** Where the string is: guest memory, or bytes. */
export interface ArgumentText {
  u8(at: number): number;
  set8(at: number, value: number): void;
  cstring(at: number, limit?: number): string;
}

/** One argument of the string: name, and where its value is if there is an equals sign. */
export interface Argument {
  readonly name: string;
  readonly value: number | undefined;
  readonly next: number;
}

const LONGEST_NAME = 4096;
const isSpace = (byte: number): boolean => byte === 32 || (byte >= 9 && byte <= 13) || byte === 0xa0;
const QUOTE = 0x22;
const EQUALS = 0x3d;

function skipSpaces(text: ArgumentText, at: number): number {
  while (isSpace(text.u8(at))) at++;
  return at;
}

/** next_arg */
function nextArgument(text: ArgumentText, start: number): Argument {
  let at = start;
  const quoted = text.u8(at) === QUOTE;
  if (quoted) at++;
  let inQuote = quoted;
  let equals = 0;
  let length = 0;
  for (; ; length++) {
    const byte = text.u8(at + length);
    if (byte === 0 || (isSpace(byte) && !inQuote)) break;
    if (equals === 0 && byte === EQUALS) equals = length;
    if (byte === QUOTE) inQuote = !inQuote;
  }
  const endsQuoted = length > 0 && text.u8(at + length - 1) === QUOTE;
  let value: number | undefined;
  if (equals !== 0) {
    text.set8(at + equals, 0);
    value = at + equals + 1;
    if (text.u8(value) === QUOTE) {
      value++;
      if (endsQuoted) text.set8(at + length - 1, 0);
    }
  }
  if (quoted && endsQuoted) text.set8(at + length - 1, 0);
  const more = text.u8(at + length) !== 0;
  if (more) text.set8(at + length, 0);
  const next = skipSpaces(text, at + length + (more ? 1 : 0));
  return { name: text.cstring(at, LONGEST_NAME), value, next };
}

/** Every argument is tried; the last error counts. `set` gives 0 or a positive errno. */
export function* judgeArguments(
  judge: Judge,
  module: string,
  text: ArgumentText,
  start: number,
  set: (argument: Argument) => Steps<number>,
): Steps<void> {
  judge.enter('parameters');
  let at = skipSpaces(text, start);
  let failed = 0;
  let failure = '';
  while (text.u8(at) !== 0) {
    const argument = nextArgument(text, at);
    at = argument.next;
    if (argument.value === undefined && argument.name === '--') {
      if (failed === 0) {
        const rest = text.cstring(at);
        judge.say(Level.WARNING, `${module}: parameters '${rest}' after \`--' ignored`);
      }
      break;
    }
    const errno = yield* set(argument);
    if (errno === 0) continue;
    failed = errno;
    failure = reportArgument(judge, module, text, argument, errno);
  }
  if (failed === 0) return;
  const hint = `See \`lkm inspect\` for the parameters and their types.`;
  judge.refuse('parameters', failed, `${failure}.`, hint);
}

/** Says what the kernel says of a bad argument; gives our words. */
function reportArgument(
  judge: Judge,
  module: string,
  memory: ArgumentText,
  { name, value }: Argument,
  errno: number,
): string {
  const text = value === undefined ? '' : memory.cstring(value);
  if (errno === Errno.ENOENT) {
    judge.say(Level.ERR, `${module}: Unknown parameter \`${name}'`);
    return `There is no parameter ${name}`;
  }
  const what = errno === Errno.ENOSPC ? 'too large' : 'invalid';
  judge.say(Level.ERR, `${module}: \`${text}' ${what} for parameter \`${name}'`);
  return `'${text}' is ${what} for the parameter ${name}`;
}

/** - and _ are the same in names (parameq). */
export const sameParameter = (a: string, b: string): boolean =>
  a.replaceAll('-', '_') === b.replaceAll('-', '_');

/**
 * An argument that is no parameter of the module: async_probe and dyndbg belong to the kernel (true for the latter), others
 * are passed over. Looking for dyndbg cuts a name at its first dot (ddebug_dyndbg_param_cb).
 */
export function isDynamicDebug(judge: Judge, module: string, name: string): boolean {
  const [shown, behind = shown] = name.split(/\.(.*)/s, 2);
  if (behind === 'dyndbg') return true;
  if (name !== 'async_probe') judge.say(Level.WARNING, `${module}: unknown parameter '${shown}' ignored`);
  return false;
}
