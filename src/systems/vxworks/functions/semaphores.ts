/** semBLib, semMLib, semCLib: binary, mutual-exclusion and counting semaphores. */
import { definer } from '../../../kernel/functions.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { ERRNO, ERROR, OK } from '../errno.ts';
import { failed, type Task } from '../tasks.ts';
import type { VxWorks } from '../vxworks.ts';
import { Handles, WaitQueue } from '../waiting.ts';

const functions = definer<VxWorks>();

const SEM_Q_PRIORITY = 1;
const SEM_INVERSION_SAFE = 8;

interface Semaphore {
  readonly kind: 'binary' | 'mutex' | 'counting';
  readonly queue: WaitQueue;
  readonly inherits: boolean;
  /** Free units; of a mutex, 1 = nobody has it. */
  count: number;
  /** Of a mutex. */
  owner: Task | undefined;
  /** Times its owner has taken it beyond the first. */
  depth: number;
}

const semaphores = perKernel((k) => new Handles<Semaphore>(k as VxWorks));

export const semaphoreFunctions = functions({
  'SEM_ID semBCreate(int options, int full)': (k, options, full) =>
    create(k, 'binary', options, full === 0 ? 0 : 1),
  'SEM_ID semMCreate(int options)': (k, options) => create(k, 'mutex', options, 1),
  'SEM_ID semCCreate(int options, int count)': (k, options, count) => create(k, 'counting', options, count),
  'STATUS semTake(SEM_ID id, int timeout)': take,
  'STATUS semGive(SEM_ID id)': (k, id) => {
    const semaphore = k.state(semaphores).get(id);
    return semaphore === undefined ? failed(k, ERRNO.S_objLib_OBJ_ID_ERROR) : give(k, semaphore);
  },
  // One call in place of two: no other task comes in between (semExchange of semLib, 6.8 and later).
  'STATUS semExchange(SEM_ID give, SEM_ID take, int timeout)': function* (
    k,
    giveId,
    takeId,
    timeout,
  ): Steps<number> {
    const semaphore = k.state(semaphores).get(giveId);
    if (semaphore === undefined) return failed(k, ERRNO.S_objLib_OBJ_ID_ERROR);
    if (give(k, semaphore) !== OK) return ERROR;
    return yield* take(k, takeId, timeout);
  },
  'STATUS semFlush(SEM_ID id)': (k, id) => {
    const semaphore = k.state(semaphores).get(id);
    if (semaphore === undefined) return failed(k, ERRNO.S_objLib_OBJ_ID_ERROR);
    semaphore.queue.wakeAll();
    return OK;
  },
  'STATUS semDelete(SEM_ID id)': (k, id) => {
    const semaphore = k.state(semaphores).get(id);
    if (semaphore === undefined) return failed(k, ERRNO.S_objLib_OBJ_ID_ERROR);
    k.state(semaphores).remove(id);
    semaphore.queue.delete();
    return OK;
  },
});

function create(k: VxWorks, kind: Semaphore['kind'], options: number, count: number): number {
  const queue = new WaitQueue(k, (options & SEM_Q_PRIORITY) !== 0);
  const inherits = (options & SEM_INVERSION_SAFE) !== 0;
  return k.state(semaphores).add({ kind, queue, inherits, count, owner: undefined, depth: 0 }, k.caller);
}

function* take(k: VxWorks, id: number, timeout: number): Steps<number> {
  const semaphore = k.state(semaphores).get(id);
  if (semaphore === undefined) return failed(k, ERRNO.S_objLib_OBJ_ID_ERROR);
  const task = k.tasks.current;
  if (semaphore.kind === 'mutex' && semaphore.owner === task && task !== undefined) {
    semaphore.depth++;
    return OK;
  }
  while (semaphore.count === 0) {
    inherit(semaphore, task);
    const errno = yield* semaphore.queue.wait(`semaphore 0x${id.toString(16)}`, timeout);
    if (errno !== 0) return failed(k, errno);
    // Whoever is woken has been handed the unit: it is never up for others in between.
    if (semaphore.kind !== 'mutex' || semaphore.owner === task) return OK;
  }
  semaphore.count--;
  if (semaphore.kind === 'mutex') semaphore.owner = task;
  return OK;
}

/** Priority inheritance: the owner hurries for the one that waits. */
function inherit({ inherits, owner }: Semaphore, waiter: Task | undefined): void {
  if (inherits && owner !== undefined && waiter !== undefined)
    owner.priority = Math.min(owner.priority, waiter.priority);
}

function give(k: VxWorks, semaphore: Semaphore): number {
  if (semaphore.kind === 'mutex') return giveMutex(k, semaphore);
  if (semaphore.queue.wakeOne() !== undefined) return OK;
  if (semaphore.kind === 'counting') semaphore.count++;
  else semaphore.count = 1;
  return OK;
}

function giveMutex(k: VxWorks, semaphore: Semaphore): number {
  const task = k.tasks.current;
  if (task === undefined || semaphore.owner !== task) return failed(k, ERRNO.S_semLib_INVALID_OPERATION);
  if (semaphore.depth > 0) {
    semaphore.depth--;
    return OK;
  }
  task.priority = task.ownPriority;
  const next = semaphore.queue.wakeOne();
  semaphore.owner = next === undefined ? undefined : k.tasks.of(next);
  if (next === undefined) semaphore.count = 1;
  return OK;
}
