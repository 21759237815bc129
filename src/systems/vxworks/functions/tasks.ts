/** taskLib, taskInfo, taskHookLib, kernelLib, tickLib: what tasks do to themselves and to each other. */
import { definer } from '../../../kernel/functions.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import { ERRNO, ERROR, OK, WAIT_FOREVER } from '../errno.ts';
import type { HookKind } from '../hooks.ts';
import { failed, type Task } from '../tasks.ts';
import type { VxWorks } from '../vxworks.ts';

const functions = definer<VxWorks>();

export const taskFunctions = functions({
  'TASK_ID taskSpawn(char *name, int priority, int options, size_t stack, FUNCPTR entry, _Vx_usr_arg_t a1, _Vx_usr_arg_t a2, _Vx_usr_arg_t a3, _Vx_usr_arg_t a4, _Vx_usr_arg_t a5, _Vx_usr_arg_t a6, _Vx_usr_arg_t a7, _Vx_usr_arg_t a8, _Vx_usr_arg_t a9, _Vx_usr_arg_t a10)':
    (k, name, priority, options, _stack, entry, ...args) =>
      make(k, { name, priority, options, entry, args }, true),
  'TASK_ID taskCreate(char *name, int priority, int options, size_t stack, FUNCPTR entry, _Vx_usr_arg_t a1, _Vx_usr_arg_t a2, _Vx_usr_arg_t a3, _Vx_usr_arg_t a4, _Vx_usr_arg_t a5, _Vx_usr_arg_t a6, _Vx_usr_arg_t a7, _Vx_usr_arg_t a8, _Vx_usr_arg_t a9, _Vx_usr_arg_t a10)':
    (k, name, priority, options, _stack, entry, ...args) =>
      make(k, { name, priority, options, entry, args }, false),
  'STATUS taskActivate(TASK_ID id)': (k, id) => onTask(k, id, (task) => void k.scheduler.wake(task.thread)),
  'STATUS taskDelete(TASK_ID id)': (k, id) => taskDelete(k, id, false),
  'STATUS taskDeleteForce(TASK_ID id)': (k, id) => taskDelete(k, id, true),
  'void exit(int code)': (k) => taskDelete(k, 0, true),
  'STATUS taskSuspend(TASK_ID id)': (k, id) =>
    onTask(
      k,
      id,
      (task) => {
        task.suspended = true;
      },
      true,
    ),
  'STATUS taskResume(TASK_ID id)': (k, id) =>
    onTask(k, id, (task) => {
      task.suspended = false;
    }),
  'STATUS taskDelay(int ticks)': function* (k, ticks): Steps<number> {
    const task = k.tasks.current;
    if (ticks <= 0) {
      yield { kind: 'yield' };
      return OK;
    }
    if (task !== undefined) task.delaying = true;
    yield* block(`taskDelay of ${ticks} ticks`, k.after(ticks));
    if (task !== undefined) task.delaying = false;
    return OK;
  },
  'STATUS taskPrioritySet(TASK_ID id, int priority)': (k, id, priority) => {
    if (priority < 0 || priority > 255) return failed(k, ERRNO.S_taskLib_ILLEGAL_PRIORITY);
    return onTask(k, id, (task) => {
      task.ownPriority = priority;
      task.priority = priority;
    });
  },
  'STATUS taskPriorityGet(TASK_ID id, int *priority)': (k, id, priority) =>
    onTask(k, id, (task) => k.memory.set32(priority, task.priority)),
  'TASK_ID taskIdSelf(void)': (k) => k.tasks.current?.id ?? 0,
  'STATUS taskIdVerify(TASK_ID id)': (k, id) => onTask(k, id, () => undefined),
  'char *taskName(TASK_ID id)': (k, id) => k.tasks.find(id)?.id ?? 0,
  'TASK_ID taskNameToId(char *name)': (k, name) => {
    const task = k.tasks.byName(guestText(k, name));
    return task?.id ?? failed(k, ERRNO.S_taskLib_NAME_NOT_FOUND);
  },
  'BOOL taskIsReady(TASK_ID id)': (k, id) => {
    const task = k.tasks.find(id);
    return task !== undefined && k.tasks.status(task) === 'READY' ? 1 : 0;
  },
  'BOOL taskIsSuspended(TASK_ID id)': (k, id) => {
    const task = k.tasks.find(id);
    return task !== undefined && (task.suspended || task.failed) ? 1 : 0;
  },
  'STATUS taskLock(void)': (k) => {
    const task = k.tasks.current;
    if (task !== undefined) task.locks++;
    return OK;
  },
  'STATUS taskUnlock(void)': (k) => {
    const task = k.tasks.current;
    if (task !== undefined && task.locks > 0) task.locks--;
    return OK;
  },
  'STATUS taskSafe(void)': (k) => {
    const task = k.tasks.current;
    if (task !== undefined) task.safety++;
    return OK;
  },
  'STATUS taskUnsafe(void)': (k) => {
    const task = k.tasks.current;
    if (task === undefined || task.safety === 0) return OK;
    task.safety--;
    if (task.safety === 0) task.deleters.wakeAll();
    return OK;
  },
  'STATUS taskCreateHookAdd(FUNCPTR hook)': (k, hook) => addHook(k, 'create', hook),
  'STATUS taskCreateHookDelete(FUNCPTR hook)': (k, hook) => removeHook(k, 'create', hook),
  'STATUS taskDeleteHookAdd(FUNCPTR hook)': (k, hook) => addHook(k, 'delete', hook),
  'STATUS taskDeleteHookDelete(FUNCPTR hook)': (k, hook) => removeHook(k, 'delete', hook),
  'STATUS taskSwitchHookAdd(FUNCPTR hook)': (k, hook) => addHook(k, 'switch', hook),
  'STATUS taskSwitchHookDelete(FUNCPTR hook)': (k, hook) => removeHook(k, 'switch', hook),
  '_Vx_ticks_t tickGet(void)': (k) => k.ticks,
  'STATUS kernelTimeSlice(int ticks)': (k, ticks) => {
    k.tasks.slice = Math.max(0, ticks);
    return OK;
  },
  'int sysClkRateGet(void)': (k) => k.rate,
  'STATUS sysClkRateSet(int ticksPerSecond)': (k, ticksPerSecond) => {
    if (ticksPerSecond < 1 || ticksPerSecond > 100_000) return ERROR;
    k.rate = ticksPerSecond;
    return OK;
  },
});

interface Request {
  readonly name: number;
  readonly priority: number;
  readonly options: number;
  readonly entry: number;
  readonly args: readonly number[];
}

/** The task's id, or ERROR. */
function make(k: VxWorks, { name, priority, options, entry, args }: Request, start: boolean): number {
  const called = name === 0 ? k.tasks.nextName('t') : guestText(k, name, 31);
  return k.tasks.create({ name: called, priority, options, entry, args }, start)?.id ?? ERROR;
}

function onTask(k: VxWorks, id: number, act: (task: Task) => void, mayWait = false): number | Steps<number> {
  const task = k.tasks.find(id);
  if (task === undefined) return failed(k, ERRNO.S_objLib_OBJ_ID_ERROR);
  act(task);
  return mayWait && task === k.tasks.current ? giveWay() : OK;
}

/** The caller has become less urgent, or is held back: others run first. */
function* giveWay(): Steps<number> {
  yield { kind: 'yield' };
  return OK;
}

/** A task that made itself safe is deleted when it is no longer; the caller waits for that, unless it uses force. */
export function* taskDelete(k: VxWorks, id: number, force: boolean): Steps<number> {
  const task = k.tasks.find(id);
  if (task === undefined) return failed(k, ERRNO.S_objLib_OBJ_ID_ERROR);
  const self = task === k.tasks.current;
  while (!force && !self && task.safety > 0 && task.thread.state !== 'dead')
    yield* task.deleters.wait(`task ${task.name} to be unsafe`, WAIT_FOREVER);
  yield* k.hooks.deleted(task);
  if (self) yield { kind: 'exit', code: 0 };
  k.tasks.kill(task);
  return OK;
}

function addHook(k: VxWorks, kind: HookKind, routine: number): number {
  return k.hooks.add(kind, routine) ? OK : failed(k, ERRNO.S_taskLib_TASK_HOOK_TABLE_FULL);
}

function removeHook(k: VxWorks, kind: HookKind, routine: number): number {
  return k.hooks.remove(kind, routine) ? OK : failed(k, ERRNO.S_taskLib_TASK_HOOK_NOT_FOUND);
}
