/** The shell's own commands (usrLib, loadLib's and ioLib's show routines). Columns are those of systems/vxworks/wording.ts's sources. */
import type { Steps } from '../../kernel/steps.ts';
import { ERROR, OK } from '../../systems/vxworks/errno.ts';
import {
  closeFile,
  openFile,
  readFile,
  showDevices,
  showDrivers,
  showFiles,
} from '../../systems/vxworks/functions/io.ts';
import { taskDelete } from '../../systems/vxworks/functions/tasks.ts';
import { raiseInterrupt } from '../../systems/vxworks/functions/watchdogs.ts';
import { LoadRefused, loadModule } from '../../systems/vxworks/load.ts';
import { symbolFlags } from '../../systems/vxworks/load-flags.ts';
import type { VxModule } from '../../systems/vxworks/module.ts';
import { KERNEL_GROUP, type VxSymbol } from '../../systems/vxworks/symbols.ts';
import type { Task } from '../../systems/vxworks/tasks.ts';
import { danglingOf, hookInText, unloadModule } from '../../systems/vxworks/unload.ts';
import type { VxWorks } from '../../systems/vxworks/vxworks.ts';
import { hex, wording } from '../../systems/vxworks/wording.ts';
import type { SystemFiles } from '../system.ts';
import { type Builtin, ShellError, type ShellValue } from './interpreter.ts';

/** What the commands of one session share. */
export interface ShellState {
  readonly k: VxWorks;
  readonly files: SystemFiles;
  /** Lines for the shell's own output. */
  readonly say: (line: string) => void;
  /** In our words, behind the system's. */
  readonly note: (text: string) => void;
  /** `d` goes on where it ended. */
  dumpAt: number;
}

const SILENT: ShellValue = { value: 0n, silent: true };
const given = (value: number): ShellValue => ({ value: BigInt(value) });

export function builtins(s: ShellState): ReadonlyMap<string, Builtin> {
  const table: Record<string, Builtin> = {
    ld: (args, input) => ld(s, args, input),
    unld: ([which, options]) => unld(s, which, options),
    reld: ([which]) => reld(s, which),
    moduleShow: plain(([which]) => moduleShow(s, which)),
    lkup: plain(([part]) => lkup(s, part?.text ?? '')),
    lkAddr: plain(([address]) => lkAddr(s, numberOf(address))),
    symShow: plain((args) => symShow(s, args.at(-1)?.text)),
    sp: ([entry, ...args]) => sp(s, entry, args),
    i: plain(([which]) => tasksShow(s, which)),
    ti: plain(([which]) => tasksShow(s, which)),
    td: ([which]) => onTask(s, which, (task) => taskDelete(s.k, task.id, true)),
    ts: ([which]) => onTask(s, which, (task) => suspend(task, true)),
    tr: ([which]) => onTask(s, which, (task) => suspend(task, false)),
    d: plain(([from, units, width]) => dump(s, from, units, width)),
    devs: plain(() => say(s, showDevices(s.k))),
    iosDrvShow: plain(() => say(s, showDrivers(s.k))),
    iosFdShow: plain(() => say(s, showFiles(s.k))),
    copy: ([from, to]) => copy(s, from, to),
    version: plain(() => s.say(`VxWorks (lkm base kernel) for ${s.k.spec.title}`)),
    intRaise: ([vector]) => interrupt(s, numberOf(vector)),
  };
  return new Map(Object.entries(table));
}

function say(s: ShellState, lines: readonly string[]): void {
  for (const line of lines) s.say(line);
}

function plain(act: (args: readonly ShellValue[]) => void): Builtin {
  return function* (args) {
    act(args);
    return SILENT;
  };
}

function numberOf(value: ShellValue | undefined): number {
  if (value === undefined) throw new ShellError('an address is wanted');
  return Number(value.value);
}

function* ld(s: ShellState, args: readonly ShellValue[], input: string | undefined): Steps<ShellValue> {
  const named = args.filter((one) => one.text !== undefined).map((one) => one.text ?? '');
  const path = input ?? named[0];
  const symFlag = args[0] !== undefined && args[0].text === undefined ? Number(args[0].value) : 0;
  if (path === undefined) throw new ShellError('ld < FILE, or ld SYMBOLS, NOABORT, "FILE"');
  return loaded(yield* load(s, path, symbolFlags(symFlag)));
}

/** What `load` gave: 0 is what loadModule returns for a file that it refuses. */
const loaded = (id: number): ShellValue => (id === 0 ? { value: 0n, failed: true } : given(id));

/** Loads as `ld` does: says what the system says; gives the module's id, 0 or ERROR. */
export function* load(s: ShellState, path: string, flags: number): Steps<number> {
  const bytes = s.files.read(path);
  if (bytes === undefined) {
    s.say(wording.cannotOpen(path));
    return ERROR;
  }
  s.files.beside?.(path);
  try {
    const { module, undefinedNames } = yield* loadModule(s.k, { path, bytes, flags });
    if (undefinedNames.length > 0) {
      s.say(wording.unusable);
      s.note(`a call of ${undefinedNames.join(', ')} goes to address 0`);
    }
    return module.id;
  } catch (error) {
    if (!(error instanceof LoadRefused)) throw error;
    s.k.errno = error.errno;
    s.say(wording.loadFailed(error.errno));
    s.note(error.message);
    return 0;
  }
}

function moduleOf(s: ShellState, which: ShellValue | undefined): VxModule | undefined {
  if (which === undefined) return undefined;
  if (which.text !== undefined) return s.k.modules.find(which.text);
  return s.k.modules.byId(Number(which.value));
}

function* unld(
  s: ShellState,
  which: ShellValue | undefined,
  options: ShellValue | undefined,
): Steps<ShellValue> {
  const module = moduleOf(s, which);
  if (module === undefined) {
    s.say(wording.moduleNotFound);
    return given(ERROR);
  }
  const dangling = danglingOf(s.k, module);
  const result = yield* unload(s, module, options === undefined ? 0 : Number(options.value));
  // Our own finding: the system does not look.
  if (result === OK)
    for (const { who, why } of dangling) s.note(`still points into ${module.name}: ${who} ${why}`);
  return given(result);
}

/** Unloads as `unld` does; OK or ERROR. */
export function* unload(s: ShellState, module: VxModule, options: number): Steps<number> {
  const { k } = s;
  const hook = hookInText(k, module);
  const errno = yield* unloadModule(k, module, options);
  if (errno !== 0) {
    k.errno = errno;
    s.note(`${module.name} stays: ${hook} is in its text`);
    return ERROR;
  }
  return OK;
}

function* reld(s: ShellState, which: ShellValue | undefined): Steps<ShellValue> {
  const module = moduleOf(s, which);
  if (module === undefined) {
    s.say(wording.moduleNotFound);
    return given(ERROR);
  }
  if ((yield* unload(s, module, 0)) === ERROR) return given(ERROR);
  return loaded(yield* load(s, module.path, module.flags));
}

function bits(s: ShellState): number {
  return s.k.spec.pointerBytes * 8;
}

function moduleShow(s: ShellState, which: ShellValue | undefined): void {
  if (which === undefined || (which.text === undefined && which.value === 0n)) {
    s.say('MODULE NAME     MODULE ID  GROUP #    TEXT START DATA START  BSS START');
    s.say('--------------- ---------- ---------- ---------- ----------  ---------');
    for (const module of s.k.modules) s.say(moduleRow(s, module));
    return;
  }
  const module = moduleOf(s, which);
  if (module === undefined) {
    s.say(wording.moduleNotFound);
    return;
  }
  const { text, data, bss } = module.segments;
  s.say(moduleRow(s, module));
  const size = (bytes: number) => String(bytes).padStart(8);
  s.say('');
  s.say(`Size of text segment: ${size(text.bytes)}`);
  s.say(`Size of data segment: ${size(data.bytes)}`);
  s.say(`Size of bss  segment: ${size(bss.bytes)}`);
  s.say(`Total size          : ${size(text.bytes + data.bytes + bss.bytes)}`);
}

function moduleRow(s: ShellState, { name, id, group, segments }: VxModule): string {
  const address = (value: number) => hex(value, bits(s)).padStart(10);
  const { text, data, bss } = segments;
  const where = [text, data, bss].map((segment) => address(segment.address)).join(' ');
  return `${name.padStart(15)} ${address(id)} ${String(group).padStart(10)} ${where}`;
}

function lkup(s: ShellState, part: string): void {
  for (const symbol of s.k.sysSymTbl.matching(part)) s.say(symbolRow(s, symbol));
}

function symbolRow(s: ShellState, { name, address, kind, group, global }: VxSymbol): string {
  const module = group === KERNEL_GROUP ? undefined : s.k.modules.byGroup(group);
  const owner = module === undefined ? '' : ` (${module.name})`;
  return `${name.padEnd(25)} ${hex(address, bits(s)).padStart(8)} ${kind.padEnd(8)}${owner}${global ? '' : ' (local)'}`.trimEnd();
}

/** Symbols near an address, the nearest below it first. */
function lkAddr(s: ShellState, address: number): void {
  const near = s.k.sysSymTbl
    .matching('')
    .filter((symbol) => symbol.kind !== 'abs')
    .sort((a, b) => Math.abs(a.address - address) - Math.abs(b.address - address))
    .slice(0, 12)
    .sort((a, b) => a.address - b.address);
  for (const symbol of near) s.say(symbolRow(s, symbol));
}

function symShow(s: ShellState, part: string | undefined): void {
  if (part !== undefined) {
    lkup(s, part);
    return;
  }
  s.say(`Symbol Table        : sysSymTbl`);
  s.say(`Number of Symbols   : ${s.k.sysSymTbl.size}`);
}

function* sp(s: ShellState, entry: ShellValue | undefined, args: readonly ShellValue[]): Steps<ShellValue> {
  if (entry === undefined) throw new ShellError('sp FUNCTION [, ARGUMENT]...');
  // A name that nothing defines reaches a command as text, with no value.
  if (entry.text !== undefined && entry.value === 0n)
    throw new ShellError(wording.shellUndefined(entry.text));
  const { k } = s;
  const all = Array.from({ length: 10 }, (_, i) => Number(args[i]?.value ?? 0n));
  const spec = {
    name: k.tasks.nextName('u'),
    priority: 100,
    options: 8,
    entry: Number(entry.value),
    args: all,
  };
  const task = k.tasks.create(spec, true);
  if (task === undefined) return given(ERROR);
  s.say(wording.taskSpawned(hex(task.id, bits(s)), task.name));
  return given(task.id);
}

function tasksShow(s: ShellState, which: ShellValue | undefined): void {
  const { k } = s;
  const wanted = which === undefined ? undefined : taskOf(s, which);
  s.say('  NAME        ENTRY       TID    PRI   STATUS      PC       SP     ERRNO  DELAY');
  s.say('---------- ------------ -------- --- ---------- -------- -------- ------- -----');
  for (const task of k.tasks) if (wanted === undefined || task === wanted) s.say(taskRow(s, task));
}

function taskRow(s: ShellState, task: Task): string {
  const { k } = s;
  const plain = (address: number) => hex(address, bits(s)).slice(2).padStart(8);
  const entry = k.nearest(task.entry)?.name ?? (task.entry === 0 ? 'shell' : plain(task.entry));
  const { pc, sp: stack } = k.registersOf(task);
  const left = task.delaying ? Math.max(0, Math.ceil((task.thread.wakeAt - k.time.now()) / k.tick)) : 0;
  const errno = k.read('struct lkm_tcb.errorStatus', task.id).toString(16);
  return [
    task.name.slice(0, 10).padEnd(10),
    entry.slice(0, 12).padEnd(12),
    plain(task.id),
    String(task.priority).padStart(3),
    k.tasks.status(task).padEnd(10),
    plain(pc),
    plain(stack),
    errno.padStart(7),
    String(left).padStart(5),
  ].join(' ');
}

function taskOf(s: ShellState, which: ShellValue): Task | undefined {
  return which.text === undefined ? s.k.tasks.find(Number(which.value)) : s.k.tasks.byName(which.text);
}

function* onTask(
  s: ShellState,
  which: ShellValue | undefined,
  act: (task: Task) => Steps<number> | number,
): Steps<ShellValue> {
  const task = which === undefined ? undefined : taskOf(s, which);
  if (task === undefined) {
    s.say('task not found.');
    return given(ERROR);
  }
  const result = act(task);
  return given(typeof result === 'number' ? result : yield* result);
}

function suspend(task: Task, on: boolean): number {
  task.suspended = on;
  return OK;
}

const DUMP_UNITS = 64;
const LINE_BYTES = 16;

/** `d address, units, width`: units of 1, 2, 4 or 8 bytes, and what they are as characters. */
function dump(
  s: ShellState,
  from: ShellValue | undefined,
  units: ShellValue | undefined,
  width: ShellValue | undefined,
): void {
  const { k } = s;
  const size = width === undefined || width.value === 0n ? 2 : Number(width.value);
  if (![1, 2, 4, 8].includes(size)) throw new ShellError('the width is 1, 2, 4 or 8');
  const count = units === undefined || units.value === 0n ? DUMP_UNITS : Math.min(65536, Number(units.value));
  const start = from === undefined ? s.dumpAt : (from.place?.address ?? Number(from.value));
  const end = start + count * size;
  const digits = k.spec.pointerBytes * 2;
  for (
    let line = start - (((start % LINE_BYTES) + LINE_BYTES) % LINE_BYTES);
    line < end;
    line += LINE_BYTES
  ) {
    let values = '';
    let text = '';
    for (let at = line; at < line + LINE_BYTES; at += size) {
      const inside = at >= start && at < end;
      const bytes = inside ? k.memory.bytes(at, size) : undefined;
      values += ` ${bytes === undefined ? ' '.repeat(size * 2) : unit(bytes)}`;
      for (let i = 0; i < size; i++) text += bytes === undefined ? ' ' : shown(bytes[i]);
    }
    s.say(`${hex(line, bits(s)).slice(2).padStart(digits, '0')}: ${values}   *${text}*`);
  }
  s.dumpAt = end;
}

function unit(bytes: Uint8Array): string {
  return [...bytes]
    .reverse()
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
}

function shown(byte: number): string {
  return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.';
}

/** What is read at once. */
const CHUNK = 256;
/** A device that never ends is not shown for ever. */
const MAX_COPY = 1 << 20;

/** `copy "/dev"` shows a device or file on the console; `copy "/a", "/b"` copies it. */
function* copy(s: ShellState, from: ShellValue | undefined, to: ShellValue | undefined): Steps<ShellValue> {
  const { k } = s;
  if (from?.text === undefined) throw new ShellError('copy "FROM"');
  const source = yield* openFile(k, from.text, 0, 0, 'open');
  if (source === ERROR) return cannot(s, from.text);
  const target = to?.text === undefined ? 1 : yield* openFile(k, to.text, 1, 0o644, 'open');
  if (target === ERROR) return cannot(s, to?.text ?? '');
  const buffer = k.allocate(CHUNK);
  const write = k.functions.address('write') ?? 0;
  for (let total = 0; total < MAX_COPY; ) {
    const bytes = yield* readFile(k, source, buffer, CHUNK);
    if (bytes <= 0 || bytes > CHUNK) break;
    yield* k.call(write, target, buffer, bytes);
    total += bytes;
  }
  k.pool.free(buffer);
  yield* closeFile(k, source);
  if (target !== 1) yield* closeFile(k, target);
  k.console.flush();
  return given(OK);
}

function cannot(s: ShellState, path: string): ShellValue {
  s.say(`can't open "${path}", errno = 0x${s.k.errno.toString(16)}`);
  return given(ERROR);
}

function* interrupt(s: ShellState, vector: number): Steps<ShellValue> {
  return given(raiseInterrupt(s.k, vector) ? OK : ERROR);
}
