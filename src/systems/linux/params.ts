/** Module parameters of a live kernel: their table, and their own functions called with what stands in the arguments. */
import type { Steps } from '../../kernel/steps.ts';
import { type Address, GuestFault } from '../../memory/space.ts';
import { debugQueries } from './dynamic-debug.ts';
import { Errno } from './errno.ts';
import type { Linux } from './linux.ts';
import type { Loading } from './loading.ts';
import type { ModuleParameter } from './module.ts';
import {
  type Argument,
  FLAG_UNSAFE,
  isDynamicDebug,
  judgeArguments,
  OPS_NOARG,
  sameParameter,
} from './rules/arguments.ts';
import { Level } from './rules/judge.ts';
import { TAINT, taintKernel } from './taint.ts';

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

/** parse_args for a module. */
export function* parseArguments(load: Loading): Steps<void> {
  const { k, judge, module, mod, t } = load;
  t.undo('parameters', () => destroyParameters(k, module.parameters));
  yield* judgeArguments(judge, module.name, k.memory, k.read('module.args', mod), (argument) =>
    parseOne(load, argument),
  );
}

/** parse_one: gives 0 or a positive errno. */
function* parseOne({ k, judge, module }: Loading, { name, value }: Argument): Steps<number> {
  const found = module.parameters.find((parameter) => sameParameter(parameter.name, name));
  if (found !== undefined) return yield* setParameter(k, found.at, value);
  if (isDynamicDebug(judge, module.name, name))
    debugQueries(k, module, value === undefined ? '+p' : k.memory.cstring(value));
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
