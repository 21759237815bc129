/** reg: query, add, delete, import, export, load, as reg.exe does them on the session's registry. */
import { FormatError } from '../../bytes/errors.ts';
import { isHive } from '../../formats/regf/read.ts';
import type { Steps } from '../../kernel/steps.ts';
import { loadHive } from '../../systems/windows/hive.ts';
import {
  editorPath,
  kernelPath,
  type RegChange,
  readRegFile,
  writeRegFile,
} from '../../systems/windows/regfile.ts';
import { type RegistryKey, RegType, regBytes, regText } from '../../systems/windows/registry.ts';
import { deleteKey, deleteValue, keyObject, openOrCreate, setValue } from '../../systems/windows/regops.ts';
import { win32Error } from '../../systems/windows/status.ts';
import type { Windows } from '../../systems/windows/windows.ts';
import type { ToolResult } from '../system.ts';
import { errorText } from './errors.ts';

type Perform = <T>(name: string, steps: Steps<T>) => T;

export interface RegContext {
  readonly k: Windows;
  readonly perform: Perform;
  readonly read: (path: string) => Uint8Array | undefined;
  readonly write: (path: string, bytes: Uint8Array) => ToolResult;
}

const TYPES: readonly (readonly [string, number])[] = [
  ['REG_NONE', RegType.NONE],
  ['REG_SZ', RegType.SZ],
  ['REG_EXPAND_SZ', RegType.EXPAND_SZ],
  ['REG_BINARY', RegType.BINARY],
  ['REG_DWORD', RegType.DWORD],
  ['REG_DWORD_BIG_ENDIAN', RegType.DWORD_BIG_ENDIAN],
  ['REG_LINK', RegType.LINK],
  ['REG_MULTI_SZ', RegType.MULTI_SZ],
  ['REG_QWORD', RegType.QWORD],
];
const DONE = 'The operation completed successfully.\n';
const ok = (out: string, note?: string): ToolResult => ({ code: 0, out, err: '', note });
const error = (text: string, note?: string): ToolResult => ({
  code: 1,
  out: '',
  err: `ERROR: ${text}\n`,
  note,
});
const NOT_FOUND = 'The system was unable to find the specified registry key or value.';
const SYNTAX = (verb: string) => error(`Invalid syntax.\nType "REG ${verb.toUpperCase()} /?" for usage.`);

export function reg(context: RegContext, [verb = '', ...args]: readonly string[]): ToolResult {
  const run = VERBS[verb.toLowerCase()];
  if (run === undefined) return error('Invalid syntax.\nType "REG /?" for usage.');
  try {
    return run(context, args);
  } catch (thrown) {
    if (thrown instanceof FormatError) return error('Error accessing the registry.', thrown.message);
    throw thrown;
  }
}

type Verb = (context: RegContext, args: readonly string[]) => ToolResult;
const VERBS: Readonly<Record<string, Verb>> = {
  query,
  add,
  delete: remove,
  import: importFile,
  export: exportFile,
  load: loadFile,
};

interface Options {
  readonly rest: readonly string[];
  readonly value: ReadonlyMap<string, string>;
  readonly flags: ReadonlySet<string>;
}

const WITH_VALUE = new Set(['/v', '/t', '/d', '/s-sep']);

function options(args: readonly string[]): Options | undefined {
  const [rest, value, flags] = [[] as string[], new Map<string, string>(), new Set<string>()];
  for (let i = 0; i < args.length; i++) {
    const word = args[i].toLowerCase();
    if (!word.startsWith('/')) rest.push(args[i]);
    else if (WITH_VALUE.has(word)) {
      if (i + 1 >= args.length) return undefined;
      value.set(word, args[++i]);
    } else flags.add(word);
  }
  return { rest, value, flags };
}

function keyAt(
  { k }: RegContext,
  path: string | undefined,
): { path: string; key: RegistryKey | undefined } | undefined {
  const kernel = path === undefined ? undefined : kernelPath(path);
  return kernel === undefined ? undefined : { path: kernel, key: k.registry.find(kernel) };
}

// -- query ----------------------------------------------------------------------------------------------------------------------

function shown(type: number, data: Uint8Array): string {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  if (type === RegType.SZ || type === RegType.EXPAND_SZ) return regText(data);
  if (type === RegType.DWORD && data.length === 4) return `0x${view.getUint32(0, true).toString(16)}`;
  if (type === RegType.QWORD && data.length === 8) return `0x${view.getBigUint64(0, true).toString(16)}`;
  if (type === RegType.MULTI_SZ) return regText(data, false).replace(/\0+$/, '').replaceAll('\0', '\\0');
  return [...data].map((byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join('');
}

const typeName = (type: number): string =>
  TYPES.find(([, value]) => value === type)?.[0] ?? `0x${type.toString(16)}`;

function query(context: RegContext, args: readonly string[]): ToolResult {
  const given = options(args);
  const found = keyAt(context, given?.rest[0]);
  if (given === undefined || given.rest.length !== 1) return SYNTAX('query');
  if (found === undefined) return error('Invalid key name.\nType "REG QUERY /?" for usage.');
  if (found.key === undefined) return error(NOT_FOUND);
  const wanted = given.value.get('/v');
  if (wanted !== undefined && found.key.value(wanted) === undefined && !given.flags.has('/s'))
    return error(NOT_FOUND);
  const blocks: string[] = [];
  const add = (key: RegistryKey) => {
    const values = [...key.values.values()]
      .filter(({ name }) => wanted === undefined || name.toLowerCase() === wanted.toLowerCase())
      .map(
        ({ name, type, data }) =>
          `    ${name === '' ? '(Default)' : name}    ${typeName(type)}    ${shown(type, data)}\n`,
      );
    if (values.length > 0 || wanted === undefined)
      blocks.push(`\n${editorPath(key.path)}\n${values.join('')}`);
    if (given.flags.has('/s')) for (const child of key.keys.values()) add(child);
  };
  add(found.key);
  const children =
    wanted !== undefined || given.flags.has('/s')
      ? ''
      : [...found.key.keys.values()].map((child) => `${editorPath(child.path)}\n`).join('');
  return ok(`${blocks.join('')}${children === '' ? '' : `\n${children}`}\n`);
}

// -- changes --------------------------------------------------------------------------------------------------------------------

function dataOf(type: number, text: string): Uint8Array | undefined {
  switch (type) {
    case RegType.SZ:
    case RegType.EXPAND_SZ:
      return regBytes(`${text}\0`);
    case RegType.MULTI_SZ:
      return regBytes(`${text.split('\\0').join('\0')}\0\0`);
    case RegType.DWORD:
    case RegType.QWORD: {
      if (!/^(0x[0-9a-f]{1,16}|\d{1,20})$/i.test(text)) return undefined;
      const out = new Uint8Array(type === RegType.DWORD ? 4 : 8);
      const value = BigInt(text);
      if (value >= 1n << BigInt(out.length * 8)) return undefined;
      for (let i = 0; i < out.length; i++) out[i] = Number((value >> BigInt(i * 8)) & 0xffn);
      return out;
    }
    case RegType.BINARY:
    case RegType.NONE:
      return /^([0-9a-f]{2})*$/i.test(text)
        ? Uint8Array.from(text.match(/../g) ?? [], (one) => Number.parseInt(one, 16))
        : undefined;
    default:
      return undefined;
  }
}

/** Sets a value the way a program does: with its bytes in the program's memory, and with those asked who want to be. */
function* put(k: Windows, key: RegistryKey, name: string, type: number, data: Uint8Array): Steps<number> {
  const object = keyObject(k, key);
  const block = data.length === 0 ? 0 : k.pool.allocate('nonpaged', data.length, 0x20676552, 0);
  if (block !== 0) k.memory.write(block, data);
  const status = yield* setValue(k, object, name, type, block, data.length);
  if (block !== 0) k.pool.release(block);
  yield* k.objects.dereference(object);
  return status;
}

function* change(k: Windows, { key: path, value, deleteKey: gone }: RegChange): Steps<number> {
  if (gone) {
    const key = k.registry.find(path);
    return key === undefined ? 0 : yield* dropTree(k, key);
  }
  const key = yield* openOrCreate(k, path, true);
  if (typeof key === 'number') return key;
  if (value === undefined) return 0;
  if (value.set !== undefined) return yield* put(k, key, value.name, value.set.type, value.set.data);
  const object = keyObject(k, key);
  yield* deleteValue(k, object, value.name);
  yield* k.objects.dereference(object);
  return 0;
}

function* dropTree(k: Windows, key: RegistryKey): Steps<number> {
  for (const child of [...key.keys.values()]) {
    const status = yield* dropTree(k, child);
    if (status < 0) return status;
  }
  const object = keyObject(k, key);
  const status = yield* deleteKey(k, object);
  yield* k.objects.dereference(object);
  return status;
}

const finish = (status: number): ToolResult => (status < 0 ? error(errorText(win32Error(status))) : ok(DONE));

function add(context: RegContext, args: readonly string[]): ToolResult {
  const given = options(args);
  const found = keyAt(context, given?.rest[0]);
  if (given === undefined || given.rest.length !== 1) return SYNTAX('add');
  if (found === undefined) return error('Invalid key name.\nType "REG ADD /?" for usage.');
  const { k, perform } = context;
  const name = given.value.get('/v') ?? (given.flags.has('/ve') ? '' : undefined);
  const type = TYPES.find(([word]) => word === (given.value.get('/t') ?? 'REG_SZ').toUpperCase())?.[1];
  const data =
    type === undefined
      ? undefined
      : dataOf(type, given.value.get('/d') ?? (type === RegType.DWORD ? '0' : ''));
  if (name !== undefined && (type === undefined || data === undefined)) return SYNTAX('add');
  const value =
    name === undefined || type === undefined || data === undefined
      ? undefined
      : { name, set: { type, data } };
  return finish(perform('reg.exe', change(k, { key: found.path, line: 0, value, deleteKey: false })));
}

function remove(context: RegContext, args: readonly string[]): ToolResult {
  const given = options(args);
  const found = keyAt(context, given?.rest[0]);
  if (given === undefined || given.rest.length !== 1) return SYNTAX('delete');
  if (found?.key === undefined) return error(NOT_FOUND);
  const { k, perform } = context;
  const name = given.value.get('/v') ?? (given.flags.has('/ve') ? '' : undefined);
  if (name !== undefined && found.key.value(name) === undefined) return error(NOT_FOUND);
  const value = name === undefined ? undefined : { name };
  return finish(
    perform('reg.exe', change(k, { key: found.path, line: 0, value, deleteKey: name === undefined })),
  );
}

// -- files ----------------------------------------------------------------------------------------------------------------------

function importFile(context: RegContext, [path]: readonly string[]): ToolResult {
  if (path === undefined) return SYNTAX('import');
  const bytes = context.read(path);
  if (bytes === undefined) return error('Error opening the file. There may be a disk or file system error.');
  const changes = readRegFile(bytes);
  const { k } = context;
  const status = context.perform(
    'reg.exe',
    (function* (): Steps<number> {
      for (const one of changes) {
        const answer = yield* change(k, one);
        if (answer < 0) return answer;
      }
      return 0;
    })(),
  );
  return status < 0 ? error('Error accessing the registry.', errorText(win32Error(status))) : ok(DONE);
}

function exportFile(context: RegContext, args: readonly string[]): ToolResult {
  const given = options(args);
  const found = keyAt(context, given?.rest[0]);
  const target = given?.rest[1];
  if (given === undefined || target === undefined) return SYNTAX('export');
  if (found?.key === undefined) return error(NOT_FOUND);
  const written = context.write(target, writeRegFile(found.key));
  return written.code === 0 ? ok(DONE) : written;
}

/** A whole hive below a key of its own, or, without one named, to where a running system has it. */
function loadFile(context: RegContext, args: readonly string[]): ToolResult {
  const path = args[args.length - 1];
  if (path === undefined || args.length > 2) return SYNTAX('load');
  const at = args.length === 2 ? kernelPath(args[0]) : undefined;
  if (args.length === 2 && at === undefined) return error('Invalid key name.\nType "REG LOAD /?" for usage.');
  const bytes = context.read(path);
  if (bytes === undefined) return error('The system cannot find the file specified.');
  if (!isHive(bytes))
    return error(
      'The configuration registry database is corrupt.',
      'The file does not begin as a hive does.',
    );
  const { path: placed, keys, values, notes } = loadHive(context.k.registry, bytes, at);
  return ok(DONE, [`${keys} keys and ${values} values below ${editorPath(placed)}`, ...notes].join('; '));
}
