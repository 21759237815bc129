/** eventLib: 32 event bits of each task. */
import { definer } from '../../../kernel/functions.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import { ERRNO, OK } from '../errno.ts';
import { failed, type Task } from '../tasks.ts';
import type { VxWorks } from '../vxworks.ts';

const functions = definer<VxWorks>();

const EVENTS_WAIT_ANY = 1;
const EVENTS_RETURN_ALL = 2;
const EVENTS_KEEP_UNWANTED = 4;

export const eventFunctions = functions({
  'STATUS eventSend(TASK_ID id, _Vx_event_t events)': (k, id, events) => {
    const task = k.tasks.find(id);
    if (task === undefined) return failed(k, ERRNO.S_objLib_OBJ_ID_ERROR);
    if (events === 0) return failed(k, ERRNO.S_eventLib_ZERO_EVENTS);
    task.events = (task.events | events) >>> 0;
    if (satisfied(task)) k.scheduler.wake(task.thread);
    return OK;
  },
  'STATUS eventReceive(_Vx_event_t events, UINT8 options, int timeout, _Vx_event_t *received)': receive,
  'STATUS eventClear(void)': (k) => {
    const task = k.tasks.current;
    if (task !== undefined) task.events = 0;
    return OK;
  },
});

function satisfied({ events, eventWait }: Task): boolean {
  if (eventWait === undefined) return false;
  const got = (events & eventWait.events) >>> 0;
  return eventWait.any ? got !== 0 : got === eventWait.events;
}

function* receive(k: VxWorks, wanted: number, options: number, timeout: number, at: number): Steps<number> {
  const task = k.tasks.current;
  if (task === undefined) return failed(k, ERRNO.S_objLib_OBJ_ID_ERROR);
  if (wanted === 0) return failed(k, ERRNO.S_eventLib_ZERO_EVENTS);
  if ((options & EVENTS_KEEP_UNWANTED) === 0 && task.eventWait === undefined) task.events &= wanted;
  task.eventWait = { events: wanted, any: (options & EVENTS_WAIT_ANY) !== 0 };
  const there = satisfied(task) || (timeout !== 0 && (yield* block('events', k.after(timeout))));
  task.eventWait = undefined;
  const got = ((options & EVENTS_RETURN_ALL) !== 0 ? task.events : task.events & wanted) >>> 0;
  if (at !== 0) k.memory.set32(at, there ? got : 0);
  if (!there) return failed(k, timeout === 0 ? ERRNO.S_eventLib_NOT_ALL_EVENTS : ERRNO.S_eventLib_TIMEOUT);
  task.events = (task.events & ~got) >>> 0;
  return OK;
}
