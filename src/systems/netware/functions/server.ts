/** The server's own publics: memory, resource tags, screens, processes, semaphores, time, the loader. */
import { definer } from '../../../kernel/functions.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import { formatC, guestText } from '../../../kernel/text/printf.ts';
import type { Thread } from '../../../kernel/thread.ts';
import { loadNlm } from '../load.ts';
import { type NetWare, TICK_NS } from '../netware.ts';
import { unloadNlm } from '../unload.ts';

const functions = definer<NetWare>();

export const resourceFunctions = functions({
  'RTAG AllocateResourceTag(LONG NLMHandle, BYTE *description, LONG signature)': (
    k,
    handle,
    description,
    signature,
  ) => k.resources.allocate(handle, guestText(k, description, 256), signature >>> 0),
  'LONG ReturnResourceTag(RTAG tag, BYTE displayErrors)': (k, tag) => {
    k.resources.release(tag);
    return 0;
  },
  'void *Alloc(LONG bytes, RTAG tag)': (k, bytes, tag) => {
    const address = k.pool.allocate(bytes, undefined, k.caller);
    if (address === 0) return 0;
    if (k.resources.take(tag, address, () => void k.pool.free(address))) return address;
    // Memory is taken under a tag or not at all.
    k.pool.free(address);
    k.screens.say(`Error allocating memory: 0x${tag.toString(16).toUpperCase()} is no resource tag`);
    return 0;
  },
  'void Free(void *address)': (k, address) => {
    k.pool.free(address);
    k.resources.returned(address);
  },
});

export const screenFunctions = functions({
  'SCREEN GetSystemConsoleScreen(void)': (k) => k.screens.console.id,
  'LONG OpenScreen(BYTE *name, RTAG tag, SCREEN *screen)': (k, name, tag, screen) => {
    const made = k.screens.open(guestText(k, name, 71));
    if (made.id === 0) return 1;
    k.resources.take(tag, made.id, () => void k.screens.close(made.id));
    k.memory.setPtr(screen, made.id);
    return 0;
  },
  'void CloseScreen(SCREEN screen)': (k, screen) => {
    k.screens.close(screen);
    k.resources.returned(screen);
  },
  'void ActivateScreen(SCREEN screen)': (k, screen) => {
    k.screens.shown = k.screens.get(screen);
  },
  'LONG OutputToScreen(SCREEN screen, BYTE *format, ...)': (k, screen, format, args) => {
    const text = formatC(k, format, args).text;
    k.screens.write(k.screens.get(screen), text);
    return text.length;
  },
  // Nobody sits at the server's keyboard.
  'LONG CheckKeyStatus(SCREEN screen)': () => 0,
});

interface Semaphore {
  /** Where it was asked for. */
  readonly caller: number;
  count: number;
  readonly waiting: Thread[];
}

const semaphores = perKernel(() => new Map<number, Semaphore>());

export const processFunctions = functions({
  'LONG CMakeProcess(LONG priority, void *entry, void *stackTop, LONG stackBytes, BYTE *name, RTAG tag)': (
    k,
    _priority,
    entry,
    _stack,
    _bytes,
    name,
    tag,
  ) => {
    const id = spawn(k, guestText(k, name, 17), entry, []);
    if (id !== 0) k.resources.take(tag, id, () => endThread(k, id));
    return id;
  },
  'void CDestroyProcess(LONG process)': (k, process) => {
    endThread(k, process);
    k.resources.returned(process);
  },
  'LONG GetRunningProcess(void)': (k) => k.scheduler.current?.control ?? 0,
  'LONG CGetMyProcessID(void)': (k) => k.scheduler.current?.control ?? 0,
  'void CRescheduleLast(void)': giveWay,
  'void CYieldIfNeeded(void)': giveWay,
  'void CYieldWithDelay(void)': function* (k): Steps<undefined> {
    yield* block('CYieldWithDelay', k.time.now() + TICK_NS);
    return undefined;
  },
  'LONG CAllocSemaphore(LONG count, RTAG tag)': (k, count, tag) => {
    const id = k.pool.allocate(16);
    if (id === 0) return 0;
    k.state(semaphores).set(id, { caller: k.caller, count, waiting: [] });
    k.resources.take(tag, id, () => closeSemaphore(k, id));
    return id;
  },
  'void CDeallocateSemaphore(LONG id)': (k, id) => {
    closeSemaphore(k, id);
    k.resources.returned(id);
  },
  'void CPSemaphore(LONG id)': (k, id) => waitSemaphore(k, id, Number.POSITIVE_INFINITY),
  'void CVSemaphore(LONG id)': (k, id) => {
    signalSemaphore(k, id);
  },
  'LONG CExamineSemaphore(LONG id)': (k, id) => examineSemaphore(k, id),
  'LONG GetCurrentTime(void)': (k) => Math.floor(k.time.now() / TICK_NS),
  'void Disable(void)': (k) => {
    k.interruptLocks++;
  },
  'void Enable(void)': (k) => {
    k.interruptLocks = 0;
  },
});

export function* giveWay(): Steps<undefined> {
  yield { kind: 'yield' };
  return undefined;
}

/** A thread of the calling module; gives its id, the address of a block that stands for it; 0 without memory. */
export function spawn(k: NetWare, name: string, entry: number, args: readonly number[]): number {
  const id = k.pool.allocate(64);
  if (id === 0) return 0;
  const module = k.callingModule;
  const thread = k.scheduler.spawn(name, k.call(entry, ...args));
  thread.control = id;
  if (module !== undefined) k.threadModule.set(thread, module);
  thread.onExit(() => {
    k.threadModule.delete(thread);
    k.pool.free(id);
    k.resources.returned(id);
  });
  return id;
}

export function threadOf(k: NetWare, id: number): Thread | undefined {
  return [...k.scheduler.threads].find((thread) => thread.control === id && id !== 0);
}

/** Ends another thread; the caller's own ends by `exit`. */
export function endThread(k: NetWare, id: number): void {
  const thread = threadOf(k, id);
  if (thread === undefined || thread === k.scheduler.current) return;
  k.scheduler.kill(thread, k.ended(thread));
}

export function openSemaphore(k: NetWare, count: number): number {
  const id = k.pool.allocate(16, undefined, k.caller);
  if (id !== 0) k.state(semaphores).set(id, { caller: k.caller, count, waiting: [] });
  return id;
}

/** Where each semaphore that is open was asked for. */
export function* openSemaphores(k: NetWare): Generator<{ id: number; caller: number }> {
  for (const [id, { caller }] of k.state(semaphores)) yield { id, caller };
}

/** Those that wait go on: what they waited for is gone. */
export function closeSemaphore(k: NetWare, id: number): boolean {
  const semaphore = k.state(semaphores).get(id);
  if (semaphore === undefined) return false;
  k.state(semaphores).delete(id);
  k.pool.free(id);
  for (const thread of semaphore.waiting) k.scheduler.wake(thread);
  return true;
}

/** True when it was taken before `until` (ns). */
export function* waitSemaphore(k: NetWare, id: number, until: number): Steps<number> {
  const semaphore = k.state(semaphores).get(id);
  if (semaphore === undefined) return 0;
  if (semaphore.count > 0) {
    semaphore.count--;
    return 1;
  }
  const thread = k.scheduler.current;
  if (thread === undefined) return 0;
  semaphore.waiting.push(thread);
  const woken = yield* block(`semaphore ${id.toString(16)}`, until);
  const at = semaphore.waiting.indexOf(thread);
  if (at >= 0) semaphore.waiting.splice(at, 1);
  return woken ? 1 : 0;
}

export function signalSemaphore(k: NetWare, id: number): boolean {
  const semaphore = k.state(semaphores).get(id);
  if (semaphore === undefined) return false;
  for (let thread = semaphore.waiting.shift(); thread !== undefined; thread = semaphore.waiting.shift())
    if (k.scheduler.wake(thread)) return true;
  semaphore.count++;
  return true;
}

export function examineSemaphore(k: NetWare, id: number): number {
  const semaphore = k.state(semaphores).get(id);
  return semaphore === undefined ? 0 : semaphore.count - semaphore.waiting.length;
}

export const loaderFunctions = functions({
  'LONG LoadModule(SCREEN screen, BYTE *line, LONG options)': function* (k, _screen, line): Steps<number> {
    const [, name, parameters] = /^\s*(\S+)\s*(.*)$/.exec(guestText(k, line, 512)) ?? ['', '', ''];
    return (yield* loadNlm(k, { name, parameters })).code;
  },
  'LONG UnloadModule(SCREEN screen, BYTE *name)': function* (k, _screen, name): Steps<number> {
    const module = k.modules.find(guestText(k, name, 64).trim());
    return module !== undefined && (yield* unloadNlm(k, module)).done ? 0 : 1;
  },
  'LONG KillMe(LONG NLMHandle)': function* (k, handle): Steps<number> {
    const module = k.modules.byHandle(handle);
    if (module === undefined) return 1;
    k.unloadLater(module);
    yield { kind: 'exit', code: 0 };
    return 0;
  },
  'void SynchronizeStart(void)': (k) => {
    const module = k.callingModule;
    if (module === undefined) return;
    k.synchronized.add(module.handle);
    const loader = k.waitingForSynchronize.get(module.handle);
    if (loader !== undefined) k.scheduler.wake(loader);
  },
  /** Ours: what start procedures are handed to read the rest of their file with. */
  'LONG lkm_readRoutine(LONG connection, LONG file, LONG offset, LONG bytes, LONG *read, void *buffer)': (
    k,
    _connection,
    file,
    offset,
    bytes,
    read,
    buffer,
  ) => {
    const all = k.fileBytes(file);
    if (all === undefined) return 1;
    const part = all.subarray(offset, offset + bytes);
    k.memory.write(buffer, part);
    if (read !== 0) k.memory.set32(read, part.length);
    return 0;
  },
  'void Abend(BYTE *message)': (k, message) => {
    k.screens.say(`Abend: ${guestText(k, message, 512)}`);
    const thread = k.scheduler.current;
    if (thread !== undefined) throw k.ended(thread);
  },
});
