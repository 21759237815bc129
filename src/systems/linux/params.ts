/** parse_args (kernel/params.c) on the argument string in guest memory, which it cuts up in place as the kernel does. */
import type { Steps } from '../../kernel/steps.ts';
import { type Address, GuestFault } from '../../memory/space.ts';
import { debugQueries } from './dynamic-debug.ts';
import { Errno } from './errno.ts';
import type { Linux } from './linux.ts';
import type { Loading } from './loading.ts';
import type { ModuleParameter } from './module.ts';
import { Level } from './rules/judge.ts';
import { TAINT, taintKernel } from './taint.ts';

/** KERNEL_PARAM_OPS_FL_NOARG, KERNEL_PARAM_FL_UNSAFE (include/linux/moduleparam.h). */
const OPS_NOARG = 1;
const FLAG_UNSAFE = 1;

/** strndup_user: the arguments become a string of the kernel's own, kept as long as the module. */
export function copyArguments(load: Loading): void {
  const { k, t, mod, request } = load;
  const bytes = new TextEncoder().encode(request.args.split('\0', 1)[0]);
  t.step('arguments');
  const at = k.heap.allocate(bytes.length + 1);
  if (at === 0) load.outOfMemory('the arguments');
  t.undo('arguments', () => k.heap.free(at));
  k.memory.write(at, bytes);
  k.memory.set8(at + bytes.length, 0);
  k.write('module.args', mod, at);
  load.module.parameters = readParameters(load);
}

/** The module's `struct kernel_param`s. A name that another module's prefix precedes keeps it, as in the kernel. */
function readParameters({ k, mod }: Loading): ModuleParameter[] {
  const table = k.read('module.kp', mod);
  const size = k.sizeof('kernel_param');
  return Array.from({ length: k.read('module.num_kp', mod) }, (_, i) => {
    const at = table + i * size;
    const mode = k.read('kernel_param.perm', at);
    return { name: k.memory.cstring(k.read('kernel_param.name', at), 256), at, mode };
  });
}

/** One argument of the string: name, and value if there is an equals sign. */
interface Argument {
  readonly name: string;
  readonly value: Address | undefined;
  readonly next: Address;
}

const isSpace = (byte: number): boolean => byte === 32 || (byte >= 9 && byte <= 13) || byte === 0xa0;
const QUOTE = 0x22;
const EQUALS = 0x3d;

function skipSpaces(k: Linux, at: Address): Address {
  while (isSpace(k.memory.u8(at))) at++;
  return at;
}

/** next_arg (lib/cmdline.c) */
function nextArgument(k: Linux, start: Address): Argument {
  const { memory } = k;
  let at = start;
  const quoted = memory.u8(at) === QUOTE;
  if (quoted) at++;
  let inQuote = quoted;
  let equals = 0;
  let length = 0;
  for (; ; length++) {
    const byte = memory.u8(at + length);
    if (byte === 0 || (isSpace(byte) && !inQuote)) break;
    if (equals === 0 && byte === EQUALS) equals = length;
    if (byte === QUOTE) inQuote = !inQuote;
  }
  const endsQuoted = length > 0 && memory.u8(at + length - 1) === QUOTE;
  let value: Address | undefined;
  if (equals !== 0) {
    memory.set8(at + equals, 0);
    value = at + equals + 1;
    if (memory.u8(value) === QUOTE) {
      value++;
      if (endsQuoted) memory.set8(at + length - 1, 0);
    }
  }
  if (quoted && endsQuoted) memory.set8(at + length - 1, 0);
  const more = memory.u8(at + length) !== 0;
  if (more) memory.set8(at + length, 0);
  const next = skipSpaces(k, at + length + (more ? 1 : 0));
  return { name: memory.cstring(at, 4096), value, next };
}

/** parse_args for a module: every argument is tried; the last error counts. */
export function* parseArguments(load: Loading): Steps<void> {
  const { k, judge, module, mod, t } = load;
  t.undo('parameters', () => destroyParameters(k, module.parameters));
  let at = skipSpaces(k, k.read('module.args', mod));
  let failed = 0;
  let failure = '';
  while (k.memory.u8(at) !== 0) {
    const argument = nextArgument(k, at);
    at = argument.next;
    if (argument.value === undefined && argument.name === '--') {
      if (failed === 0) {
        const rest = k.memory.cstring(at);
        judge.say(Level.WARNING, `${module.name}: parameters '${rest}' after \`--' ignored`);
      }
      break;
    }
    const errno = yield* parseOne(load, argument);
    if (errno === 0) continue;
    failed = errno;
    failure = reportArgument(load, argument, errno);
  }
  if (failed === 0) return;
  const hint = `See \`lkm inspect\` for the parameters and their types.`;
  judge.refuse('parameters', failed, `${failure}.`, hint);
}

/** Says what the kernel says of a bad argument; gives our words. */
function reportArgument({ k, judge, module }: Loading, { name, value }: Argument, errno: number): string {
  const text = value === undefined ? '' : k.memory.cstring(value);
  if (errno === Errno.ENOENT) {
    judge.say(Level.ERR, `${module.name}: Unknown parameter \`${name}'`);
    return `There is no parameter ${name}`;
  }
  const what = errno === Errno.ENOSPC ? 'too large' : 'invalid';
  judge.say(Level.ERR, `${module.name}: \`${text}' ${what} for parameter \`${name}'`);
  return `'${text}' is ${what} for the parameter ${name}`;
}

/** - and _ are the same in names (parameq). */
const normal = (name: string): string => name.replaceAll('-', '_');

/** parse_one: gives 0 or a positive errno. */
function* parseOne(load: Loading, { name, value }: Argument): Steps<number> {
  const { k, module } = load;
  const found = module.parameters.find((parameter) => normal(parameter.name) === normal(name));
  if (found !== undefined) return yield* setParameter(k, found.at, value);
  // async_probe and dyndbg belong to the kernel. Looking for dyndbg cuts a name at its first dot (ddebug_dyndbg_param_cb).
  const [shown, behind = shown] = name.split(/\.(.*)/s, 2);
  if (behind === 'dyndbg') debugQueries(k, module, value === undefined ? '+p' : k.memory.cstring(value));
  else if (name !== 'async_probe') {
    load.judge.say(Level.WARNING, `${module.name}: unknown parameter '${shown}' ignored`);
  }
  return 0;
}

/** Calls the parameter's own set function. `value` undefined: the name stood alone. Gives 0 or a positive errno. */
export function* setParameter(k: Linux, at: Address, value: Address | undefined): Steps<number> {
  const ops = k.read('kernel_param.ops', at);
  const noArgument = (k.read('kernel_param_ops.flags', ops) & OPS_NOARG) !== 0;
  if (value === undefined && !noArgument) return Errno.EINVAL;
  const set = k.read('kernel_param_ops.set', ops);
  if (set === 0) return Errno.EPERM;
  if ((k.read('kernel_param.flags', at) & FLAG_UNSAFE) !== 0) {
    const name = k.memory.cstring(k.read('kernel_param.name', at), 256);
    k.printk(Level.NOTICE, `Setting dangerous option ${name} - tainting kernel`);
    taintKernel(k, TAINT.USER);
  }
  const result = yield* k.callInt(set, value ?? 0, at);
  return result < 0 ? -result : 0;
}

/** destroy_params: types that own memory give it back. A table that leads astray has nothing to give. */
export function* destroyParameters(k: Linux, parameters: readonly ModuleParameter[]): Steps<void> {
  for (const { at } of parameters) {
    const free = freeFunction(k, at);
    if (free !== 0) yield* k.call(free, k.read('kernel_param.arg', at));
  }
}

function freeFunction(k: Linux, at: Address): Address {
  try {
    return k.read('kernel_param_ops.free', k.read('kernel_param.ops', at));
  } catch (error) {
    if (error instanceof GuestFault) return 0;
    throw error;
  }
}
