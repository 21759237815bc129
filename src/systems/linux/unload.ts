/** delete_module (kernel/module/main.c): the checks in their order, exit, and everything the load took given back. */
import { isSteps, type Steps } from '../../kernel/steps.ts';
import type { Credential } from './cred.ts';
import { Errno } from './errno.ts';
import type { Linux } from './linux.ts';
import { type LinuxModule, ModuleState, REF_BASE } from './module.ts';
import { modulesDisabled } from './module-sysctl.ts';
import { holdersOf } from './resolve.ts';
import { rememberUnloaded, TAINT, taintKernel } from './taint.ts';
import { Refusal } from './verdict.ts';

export interface UnloadRequest {
  readonly name: string;
  /** O_TRUNC, what `rmmod -f` asks for. */
  readonly force?: boolean;
  readonly credential?: Credential;
}

/** Unloads a module. Throws a Refusal where the kernel returns an error. */
export function* unloadModule(k: Linux, request: UnloadRequest): Steps<void> {
  const module = checkUnload(k, request);
  const { control } = module;
  k.write('module.refcnt.counter', control, k.read('module.refcnt.counter', control) - REF_BASE);
  k.write('module.state', control, ModuleState.GOING);
  const exit = k.read('module.exit', control);
  if (exit !== 0) yield* k.call(exit);
  rememberUnloaded(k, control);
  yield* releaseModule(module);
}

/** Gives back what the load took, each thing once: a release that was stopped can be gone on with. */
export function* releaseModule(module: LinuxModule): Steps<void> {
  while (module.release.length > 0) {
    const [next, ...rest] = module.release;
    module.release = rest;
    const result = next.step();
    if (isSteps(result)) yield* result;
  }
}

function checkUnload(k: Linux, { name, force, credential }: UnloadRequest): LinuxModule {
  if ((credential?.uid ?? 0) !== 0) {
    refuse('privilege', Errno.EPERM, 'Unloading needs the capability CAP_SYS_MODULE.', 'Do it as root.');
  }
  if (modulesDisabled(k)) {
    const why = 'kernel.modules_disabled is 1: nothing can be unloaded until the next boot.';
    refuse('modules-disabled', Errno.EPERM, why, 'Restart the kernel.');
  }
  const module = k.modules.find(name);
  if (module === undefined || k.read('module.state', module.control) === ModuleState.UNFORMED) {
    return refuse(
      'not-loaded',
      Errno.ENOENT,
      `No module of the name ${name} is loaded.`,
      'lsmod lists the names.',
    );
  }
  const holders = holdersOf(k, module.control).map((user) => k.readString('module.name', user));
  if (holders.length > 0) {
    const why = `${name} is used by ${holders.join(', ')}.`;
    refuse('in-use-by-modules', Errno.EAGAIN, why, `Unload first: ${holders.join(', ')}.`);
  }
  checkState(k, module, force === true);
  checkCount(k, module, force === true);
  return module;
}

/** try_force_unload */
function forced(k: Linux, force: boolean): boolean {
  if (!force || !k.file.rules.has('force-unload')) return false;
  taintKernel(k, TAINT.FORCED_RMMOD);
  return true;
}

function checkState(k: Linux, { name, control }: LinuxModule, force: boolean): void {
  const state = k.read('module.state', control);
  if (state !== ModuleState.LIVE) {
    const now =
      state === ModuleState.COMING ? 'still being loaded, or was killed while it started' : 'being unloaded';
    refuse(
      'not-live',
      Errno.EBUSY,
      `${name} is ${now}.`,
      'A module that oopsed in its init stays until the next boot.',
    );
  }
  const permanent = k.read('module.init', control) !== 0 && k.read('module.exit', control) === 0;
  if (permanent && !forced(k, force)) {
    const why = `${name} has an init function but no exit function: it cannot be unloaded.`;
    refuse('permanent', Errno.EBUSY, why, 'Where the kernel allows it, rmmod -f does it anyway.');
  }
}

function checkCount(k: Linux, { name, control }: LinuxModule, force: boolean): void {
  const count = k.read('module.refcnt.counter', control) - REF_BASE;
  if (count === 0 || forced(k, force)) return;
  const why = `${name} is in use: its reference count is ${count}.`;
  refuse('in-use', Errno.EAGAIN, why, 'Close the files and unmount the filesystems that use it.');
}

function refuse(rule: string, errno: number, why: string, hint: string): never {
  throw new Refusal({ rule, errno, why, hint });
}
