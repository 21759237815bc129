/** msgQLib: queues of messages of limited length and number. */
import { definer } from '../../../kernel/functions.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { ERRNO, OK } from '../errno.ts';
import { failed, noneFor } from '../tasks.ts';
import type { VxWorks } from '../vxworks.ts';
import { Handles, WaitQueue } from '../waiting.ts';

const functions = definer<VxWorks>();

const MSG_Q_PRIORITY = 1;
const MSG_PRI_URGENT = 1;
/** More than any partition holds: a queue's memory is taken when it is made. */
const MAX_QUEUE_BYTES = 1 << 24;

interface MessageQueue {
  readonly most: number;
  readonly longest: number;
  /** Where the texts lie in guest memory. */
  readonly store: number;
  readonly free: number[];
  readonly messages: { readonly at: number; readonly bytes: number }[];
  readonly senders: WaitQueue;
  readonly receivers: WaitQueue;
}

const queues = perKernel((k) => new Handles<MessageQueue>(k as VxWorks));

export const messageFunctions = functions({
  'MSG_Q_ID msgQCreate(size_t most, size_t longest, int options)': (k, most, longest, options) => {
    if (most * longest > MAX_QUEUE_BYTES || most < 1) return noneFor(k, ERRNO.S_memLib_NOT_ENOUGH_MEMORY);
    const store = k.allocate(Math.max(1, most * longest), k.caller);
    if (store === 0) return noneFor(k, ERRNO.S_memLib_NOT_ENOUGH_MEMORY);
    const byPriority = (options & MSG_Q_PRIORITY) !== 0;
    const free = Array.from({ length: most }, (_, i) => store + i * longest);
    const waiting = () => new WaitQueue(k, byPriority);
    const queue = { most, longest, store, free, messages: [], senders: waiting(), receivers: waiting() };
    return k.state(queues).add(queue, k.caller);
  },
  'STATUS msgQSend(MSG_Q_ID id, char *buffer, size_t bytes, int timeout, int priority)': send,
  'ssize_t msgQReceive(MSG_Q_ID id, char *buffer, size_t most, int timeout)': receive,
  'ssize_t msgQNumMsgs(MSG_Q_ID id)': (k, id) =>
    k.state(queues).get(id)?.messages.length ?? failed(k, ERRNO.S_objLib_OBJ_ID_ERROR),
  'STATUS msgQDelete(MSG_Q_ID id)': (k, id) => {
    const queue = k.state(queues).get(id);
    if (queue === undefined) return failed(k, ERRNO.S_objLib_OBJ_ID_ERROR);
    k.state(queues).remove(id);
    k.pool.free(queue.store);
    queue.senders.delete();
    queue.receivers.delete();
    return OK;
  },
});

function* send(
  k: VxWorks,
  id: number,
  buffer: number,
  bytes: number,
  timeout: number,
  priority: number,
): Steps<number> {
  const queue = k.state(queues).get(id);
  if (queue === undefined) return failed(k, ERRNO.S_objLib_OBJ_ID_ERROR);
  if (bytes > queue.longest) return failed(k, ERRNO.S_msgQLib_INVALID_MSG_LENGTH);
  let at = queue.free.shift();
  while (at === undefined) {
    const errno = yield* queue.senders.wait(`room in message queue 0x${id.toString(16)}`, timeout);
    if (errno !== 0) return failed(k, errno);
    at = queue.free.shift();
  }
  k.memory.copy(at, buffer, bytes);
  const message = { at, bytes };
  if (priority === MSG_PRI_URGENT) queue.messages.unshift(message);
  else queue.messages.push(message);
  queue.receivers.wakeOne();
  return OK;
}

function* receive(k: VxWorks, id: number, buffer: number, most: number, timeout: number): Steps<number> {
  const queue = k.state(queues).get(id);
  if (queue === undefined) return failed(k, ERRNO.S_objLib_OBJ_ID_ERROR);
  let message = queue.messages.shift();
  while (message === undefined) {
    const errno = yield* queue.receivers.wait(`message queue 0x${id.toString(16)}`, timeout);
    if (errno !== 0) return failed(k, errno);
    message = queue.messages.shift();
  }
  const bytes = Math.min(most, message.bytes);
  k.memory.copy(buffer, message.at, bytes);
  queue.free.push(message.at);
  queue.senders.wakeOne();
  return bytes;
}
