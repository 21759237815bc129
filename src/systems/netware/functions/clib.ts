/** CLIB: the C library of NLMs, with threads, screens and semaphores of its own. */
import { cLibrary, rememberingFunctions } from '../../../kernel/clib.ts';
import { definer, type FunctionTable, joinTables } from '../../../kernel/functions.ts';
import { mathFunctions } from '../../../kernel/math.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import { formatC, guestText } from '../../../kernel/text/printf.ts';
import { bytesOf } from '../../../kernel/text/sink.ts';
import type { BuiltInLibrary } from '../module.ts';
import type { NetWare } from '../netware.ts';
import { clientOf, clients, errnoAddress, print, screenOf } from './clients.ts';
import { closeFilesOf, fileFunctions, streamFunctions } from './files.ts';
import {
  closeSemaphore,
  endThread,
  examineSemaphore,
  giveWay,
  openSemaphore,
  signalSemaphore,
  spawn,
  threadOf,
  waitSemaphore,
} from './server.ts';
import { watcomFunctions } from './watcom.ts';

const functions = definer<NetWare>();

const EFAILURE = -1;

const printing = functions({
  'int printf(const char *format, ...)': (k, format, args) => print(k, formatC(k, format, args).text),
  'int vprintf(const char *format, va_list args)': (k, format, args) =>
    print(k, formatC(k, format, args).text),
  'int ConsolePrintf(const char *format, ...)': (k, format, args) => {
    const { text } = formatC(k, format, args);
    k.screens.write(k.screens.console, text);
    return text.length;
  },
  'int puts(const char *text)': (k, text) => print(k, `${guestText(k, text)}\n`),
  'int putchar(int c)': (k, c) => {
    print(k, String.fromCharCode(c & 0xff));
    return c & 0xff;
  },
  'int kbhit(void)': (k) => (screenOf(k).keys.length > 0 ? 1 : 0),
  'int getch(void)': function* (k): Steps<number> {
    const screen = screenOf(k);
    while (screen.keys.length === 0) {
      const { current } = k.scheduler;
      if (current === undefined) return 0;
      screen.waiting.push(current);
      yield* block(`a key on ${screen.name}`);
    }
    return screen.keys.shift() ?? 0;
  },
  // Screens are lines that were written: there is nothing behind them to clear.
  'void clrscr(void)': () => undefined,
  'int CreateScreen(char *name, BYTE attributes)': (k, name) => {
    const { id } = k.screens.open(guestText(k, name, 71));
    const client = clientOf(k);
    if (client !== undefined) client.screen = id;
    return id === 0 ? EFAILURE : id;
  },
  'int DestroyScreen(int screen)': (k, screen) => (k.screens.close(screen) ? 0 : EFAILURE),
  'int DisplayScreen(int screen)': (k, screen) => {
    if (!k.screens.has(screen)) return EFAILURE;
    k.screens.shown = k.screens.get(screen);
    return 0;
  },
  'int GetCurrentScreen(void)': (k) => clientOf(k)?.screen ?? k.screens.console.id,
  'int SetCurrentScreen(int screen)': (k, screen) => {
    const client = clientOf(k);
    if (client === undefined || !k.screens.has(screen)) return EFAILURE;
    client.screen = screen;
    return 0;
  },
});

const memory = functions({
  'void *malloc(size_t bytes)': (k, bytes) => k.pool.allocate(bytes, k.callingModule?.handle, k.caller),
  'void *calloc(size_t count, size_t bytes)': (k, count, bytes) => {
    const at = k.pool.allocate(count * bytes, k.callingModule?.handle, k.caller);
    if (at !== 0) k.memory.fill(at, count * bytes, 0);
    return at;
  },
  'void *realloc(void *old, size_t bytes)': (k, old, bytes) => {
    const block = k.pool.get(old);
    const at = k.pool.allocate(bytes, k.callingModule?.handle, k.caller);
    if (at === 0 || block === undefined) return at;
    k.memory.copy(at, old, Math.min(bytes, block.bytes));
    k.pool.free(old);
    return at;
  },
  'void free(void *at)': (k, at) => {
    k.pool.free(at);
  },
});

const threads = functions({
  'int BeginThread(void *entry, void *stack, LONG stackBytes, void *argument)': (
    k,
    entry,
    _s,
    _b,
    argument,
  ) => begin(k, entry, argument),
  'int BeginThreadGroup(void *entry, void *stack, LONG stackBytes, void *argument)': (
    k,
    entry,
    _s,
    _b,
    argument,
  ) => begin(k, entry, argument),
  'void ExitThread(int action, int status)': function* (): Steps<undefined> {
    yield { kind: 'exit', code: 0 };
    return undefined;
  },
  'int GetThreadID(void)': (k) => k.scheduler.current?.control ?? 0,
  'int GetNLMHandle(void)': (k) => k.callingModule?.handle ?? 0,
  'int SuspendThread(int id)': function* (k, id): Steps<number> {
    const { suspended } = k.state(clients);
    suspended.set(id, (suspended.get(id) ?? 0) + 1);
    // Threads give way by themselves: another one's suspension is seen when it next does.
    if (k.scheduler.current?.control === id) yield* untilResumed(k, id);
    return threadOf(k, id) === undefined ? EFAILURE : 0;
  },
  'int ResumeThread(int id)': (k, id) => {
    const { suspended } = k.state(clients);
    const depth = suspended.get(id) ?? 0;
    if (depth === 0) return EFAILURE;
    if (depth > 1) suspended.set(id, depth - 1);
    else suspended.delete(id);
    const thread = threadOf(k, id);
    if (thread !== undefined && !suspended.has(id)) k.scheduler.wake(thread);
    return 0;
  },
  'void ThreadSwitch(void)': function* (k): Steps<undefined> {
    yield* giveWay();
    yield* untilResumed(k, k.scheduler.current?.control ?? 0);
    return undefined;
  },
  'void delay(LONG milliseconds)': function* (k, milliseconds): Steps<undefined> {
    yield* block(`delay of ${milliseconds} ms`, k.time.now() + milliseconds * 1e6);
    yield* untilResumed(k, k.scheduler.current?.control ?? 0);
    return undefined;
  },
  'LONG OpenLocalSemaphore(LONG count)': (k, count) => openSemaphore(k, count),
  'int CloseLocalSemaphore(LONG id)': (k, id) => (closeSemaphore(k, id) ? 0 : EFAILURE),
  'int WaitOnLocalSemaphore(LONG id)': function* (k, id): Steps<number> {
    yield* waitSemaphore(k, id, Number.POSITIVE_INFINITY);
    return 0;
  },
  'int TimedWaitOnLocalSemaphore(LONG id, LONG milliseconds)': function* (
    k,
    id,
    milliseconds,
  ): Steps<number> {
    return (yield* waitSemaphore(k, id, k.time.now() + milliseconds * 1e6)) === 1 ? 0 : 1;
  },
  'int SignalLocalSemaphore(LONG id)': (k, id) => (signalSemaphore(k, id) ? 0 : EFAILURE),
  'int ExamineLocalSemaphore(LONG id)': (k, id) => examineSemaphore(k, id),
});

function begin(k: NetWare, entry: number, argument: number): number {
  const name = (k.callingModule?.name ?? 'SERVER').split('.')[0];
  const id = spawn(k, `${name} ${k.scheduler.threads.size}`, entry, [argument]);
  return id === 0 ? EFAILURE : id;
}

function* untilResumed(k: NetWare, id: number): Steps<void> {
  while (k.state(clients).suspended.has(id)) yield* block('SuspendThread');
}

const starting = functions({
  'LONG _StartNLM(LONG NLMHandle, SCREEN screen, BYTE *command, BYTE *directory, LONG uninitialized, LONG file, void *readRoutine, LONG customOffset, LONG customBytes, void **client, void *entry)':
    (k, handle, _screen, command, _dir, _un, _file, _read, _offset, _bytes, ncs, entry) => {
      const module = k.modules.byHandle(handle);
      if (module === undefined) return 1;
      // The screen is made when the module has a name for one; else it prints on the console.
      const wanted = module.file.screenName;
      const own = wanted !== '' && wanted.toUpperCase() !== 'SYSTEM CONSOLE' && wanted !== 'NONE';
      const screen = own ? k.screens.open(wanted).id : k.screens.console.id;
      // [uncertain]: a new screen comes to the front.
      if (own) k.screens.shown = k.screens.get(screen);
      const { byHandle } = k.state(clients);
      byHandle.set(handle, { module, atExit: [], command, screen });
      if (ncs !== 0) k.memory.setPtr(ncs, handle);
      return spawn(k, module.name.split('.')[0], entry, []) === 0 ? 1 : 0;
    },
  'void _TerminateNLM(void *client, void *unused, LONG status)': function* (k, handle): Steps<undefined> {
    yield* finish(k, handle);
    return undefined;
  },
  'int _SetupArgv(void *entry)': function* (k, entry): Steps<number> {
    const client = clientOf(k);
    if (client === undefined) return EFAILURE;
    const { module, command } = client;
    const words = [module.name, ...guestText(k, command, 1024).split(/\s+/).filter(Boolean)];
    const vector = k.pool.allocate((words.length + 1) * 4, module.handle);
    const texts = words.map((word) => {
      const at = k.pool.allocate(word.length + 1, module.handle);
      k.memory.write(at, bytesOf(`${word}\0`));
      return at;
    });
    for (const [i, at] of [...texts, 0].entries()) k.memory.setPtr(vector + i * 4, at);
    const result = yield* k.callInt(entry, words.length, vector);
    for (const at of [...texts, vector]) k.pool.free(at);
    // main has returned: the module goes, as exit would have it.
    k.unloadLater(module);
    return result;
  },
  'int atexit(void *routine)': (k, routine) => {
    const client = clientOf(k);
    if (client === undefined || client.atExit.length >= 32) return EFAILURE;
    client.atExit.unshift(routine);
    return 0;
  },
  'void exit(int status)': function* (k): Steps<undefined> {
    const module = k.callingModule;
    if (module !== undefined) k.unloadLater(module);
    yield { kind: 'exit', code: 0 };
    return undefined;
  },
  'int *__get_errno_ptr(void)': errnoAddress,
  // Its presence is the whole point: a server before 3.1 has no public of this name.
  'void __Must_Have_Three_One_Or_Greater(void)': () => undefined,
  'void *ImportSymbol(int NLMHandle, char *name)': (k, _handle, name) =>
    k.publics.find(guestText(k, name, 255))?.address ?? 0,
  // Nothing counts who imports a symbol in this way: there is nothing to count down.
  'int UnimportSymbol(int NLMHandle, char *name)': (k, _handle, name) =>
    k.publics.find(guestText(k, name, 255)) === undefined ? EFAILURE : 0,
  'int ExportSymbol(int NLMHandle, char *name, void *address)': (k, handle, name, address) => {
    const text = guestText(k, name, 255);
    const owner = k.modules.byHandle(handle);
    if (k.publics.find(text) !== undefined || owner === undefined) return EFAILURE;
    k.publics.add({ name: text, address, owner });
    return 0;
  },
});

/** What is left to do for a module that ends: its atexit functions, its screen, its threads. */
function* finish(k: NetWare, handle: number): Steps<void> {
  const table = k.state(clients);
  const client = table.byHandle.get(handle);
  if (client === undefined) return;
  for (const routine of client.atExit.splice(0)) yield* k.call(routine);
  table.byHandle.delete(handle);
  closeFilesOf(k, client.module);
  if (client.screen !== k.screens.console.id) k.screens.close(client.screen);
  for (const [thread, owner] of [...k.threadModule])
    if (owner === client.module) endThread(k, thread.control);
}

export const clibFunctions: FunctionTable<NetWare> = joinTables<NetWare>([
  ...cLibrary,
  mathFunctions,
  rememberingFunctions,
  fileFunctions,
  streamFunctions,
  printing,
  memory,
  threads,
  starting,
  watcomFunctions,
]);

export const CLIB: BuiltInLibrary = {
  name: 'CLIB.NLM',
  description: '(lkm base kernel) C Library for NLMs',
  names: new Set(clibFunctions.keys()),
};
