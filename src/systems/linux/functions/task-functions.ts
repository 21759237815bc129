/** References to tasks, and programs that the kernel would start. */
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

/** UMH_NO_WAIT: the caller does not learn what became of the program. */
const NO_WAIT = 0;

/** The base kernel has no root file system with programs in it, so execve finds none. */
function runProgram(wait: number): number {
  return wait === NO_WAIT ? 0 : -Errno.ENOENT;
}

function freeTask(k: Linux, task: Address): void {
  // A task that still runs holds a reference of its own; without it the count was wrong before.
  if (k.tasks.threadOf(task) === undefined) k.tasks.free(task);
}

export const taskFunctions = kernelFunctions({
  'void __put_task_struct(struct task_struct *tsk)': (k, task) => freeTask(k, task),
  'int call_usermodehelper(const char *path, char **argv, char **envp, int wait)': (
    _k,
    _path,
    _argv,
    _envp,
    wait,
  ) => runProgram(wait),
});
