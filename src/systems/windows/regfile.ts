/**
 * .reg files: `Windows Registry Editor Version 5.00` in UTF-16 (or UTF-8), `REGEDIT4` in one byte a character. Read into the
 * registry, and written as regedit writes them.
 */
import { Invalid } from '../../bytes/errors.ts';
import { type Registry, type RegistryKey, RegType, regBytes, regText } from './registry.ts';
import { upcase } from './strings.ts';

const HEAD5 = 'Windows Registry Editor Version 5.00';
const HEAD4 = 'REGEDIT4';

/** Short names that stand for roots as well as their full ones. */
const ROOTS: readonly (readonly [file: string, kernel: string])[] = [
  ['HKEY_LOCAL_MACHINE', '\\Registry\\Machine'],
  ['HKLM', '\\Registry\\Machine'],
  ['HKEY_USERS', '\\Registry\\User'],
  ['HKU', '\\Registry\\User'],
  ['HKEY_CURRENT_USER', '\\Registry\\User\\.Default'],
  ['HKCU', '\\Registry\\User\\.Default'],
  ['HKEY_CLASSES_ROOT', '\\Registry\\Machine\\Software\\Classes'],
  ['HKCR', '\\Registry\\Machine\\Software\\Classes'],
  ['HKEY_CURRENT_CONFIG', '\\Registry\\Machine\\System\\CurrentControlSet\\Hardware Profiles\\Current'],
];

/** `HKLM\SYSTEM\...` -> `\Registry\Machine\SYSTEM\...`; undefined when the root is none. */
export function kernelPath(path: string): string | undefined {
  const [root, ...rest] = path.replace(/\\+$/, '').split('\\');
  const found = ROOTS.find(([name]) => name === root.toUpperCase());
  return found === undefined ? undefined : [found[1], ...rest].join('\\');
}

/** `\Registry\Machine\SYSTEM` -> `HKEY_LOCAL_MACHINE\SYSTEM`. */
export function editorPath(path: string): string {
  return path
    .replace(/^\\Registry\\Machine/i, 'HKEY_LOCAL_MACHINE')
    .replace(/^\\Registry\\User/i, 'HKEY_USERS');
}

export interface RegChange {
  /** Kernel path. */
  readonly key: string;
  readonly line: number;
  /** Undefined: the key alone. */
  readonly value?: {
    readonly name: string;
    /** Undefined: the value is deleted. */
    readonly set?: { readonly type: number; readonly data: Uint8Array };
  };
  readonly deleteKey: boolean;
}

/** A file of that many lines is more than anybody's registry. */
const MAX_LINES = 1 << 20;

function decode(bytes: Uint8Array): string {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return new TextDecoder('utf-16le').decode(bytes);
  const utf8 = new TextDecoder('utf-8').decode(bytes);
  return utf8.includes('\ufffd') ? new TextDecoder('windows-1252').decode(bytes) : utf8;
}

/** Logical lines: a comma and a backslash at the end go on in the next. */
function* logicalLines(text: string): Generator<{ line: number; text: string }> {
  const lines = text.split(/\r\n|\n|\r/);
  if (lines.length > MAX_LINES) throw new Invalid('.reg file', `has more than ${MAX_LINES} lines`);
  for (let i = 0; i < lines.length; i++) {
    const first = i + 1;
    let whole = lines[i];
    if (/^\s*;/.test(whole)) continue;
    const parts = [];
    while (/\\\s*$/.test(whole) && !whole.trimStart().startsWith('[') && i + 1 < lines.length) {
      parts.push(whole.replace(/\\\s*$/, ''));
      whole = lines[++i].trimStart();
    }
    yield { line: first, text: [...parts, whole].join('') };
  }
}

/** @throws Invalid with the line that makes no sense */
export function readRegFile(bytes: Uint8Array): RegChange[] {
  const changes: RegChange[] = [];
  let old: boolean | undefined;
  let key: string | undefined;
  for (const { line, text } of logicalLines(decode(bytes))) {
    const trimmed = text.trim();
    if (trimmed === '') continue;
    if (old === undefined) {
      if (trimmed !== HEAD5 && trimmed !== HEAD4)
        throw new Invalid(
          '.reg file',
          `line ${line}: begins with '${trimmed.slice(0, 60)}', not '${HEAD5}' or '${HEAD4}'`,
        );
      old = trimmed === HEAD4;
      continue;
    }
    const head = /^\[(-?)(.*)\]$/.exec(trimmed);
    if (head !== null) {
      key = kernelPath(head[2]);
      if (key === undefined)
        throw new Invalid('.reg file', `line ${line}: there is no root '${head[2].split('\\')[0]}'`);
      changes.push({ key, line, deleteKey: head[1] === '-' });
      if (head[1] === '-') key = undefined;
      continue;
    }
    if (key !== undefined)
      changes.push({ key, line, deleteKey: false, value: valueLine(trimmed, line, old) });
    else if (changes.length === 0)
      throw new Invalid('.reg file', `line ${line}: a value before the first key`);
  }
  if (old === undefined) throw new Invalid('.reg file', 'is empty');
  return changes;
}

const unquoted = (text: string): string => text.replace(/\\(.)/g, '$1');

function valueLine(text: string, line: number, old: boolean): RegChange['value'] {
  const match = /^(@|"((?:[^"\\]|\\.)*)")\s*=\s*(.*)$/s.exec(text);
  if (match === null) throw new Invalid('.reg file', `line ${line}: '${text.slice(0, 60)}' is no value`);
  const name = match[1] === '@' ? '' : unquoted(match[2]);
  const data = match[3];
  if (data === '-') return { name };
  return { name, set: valueData(data, line, old) };
}

function valueData(text: string, line: number, old: boolean): { type: number; data: Uint8Array } {
  const string = /^"((?:[^"\\]|\\.)*)"$/s.exec(text);
  if (string !== null) return { type: RegType.SZ, data: regBytes(`${unquoted(string[1])}\0`) };
  const dword = /^dword:\s*([0-9a-f]{1,8})$/i.exec(text);
  if (dword !== null) {
    const data = new Uint8Array(4);
    new DataView(data.buffer).setUint32(0, Number.parseInt(dword[1], 16), true);
    return { type: RegType.DWORD, data };
  }
  const hex = /^hex(?:\(([0-9a-f]{1,8})\))?:\s*((?:[0-9a-f]{1,2}\s*(?:,\s*|$))*)$/i.exec(text);
  if (hex === null) throw new Invalid('.reg file', `line ${line}: '${text.slice(0, 60)}' is no data`);
  const type = hex[1] === undefined ? RegType.BINARY : Number.parseInt(hex[1], 16);
  const raw = Uint8Array.from(
    hex[2]
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== ''),
    (one) => Number.parseInt(one, 16),
  );
  // In the old form strings are given in one byte a character.
  const text8 = old && (type === RegType.EXPAND_SZ || type === RegType.MULTI_SZ);
  return { type, data: text8 ? regBytes(String.fromCharCode(...raw)) : raw };
}

/** Into a registry that nobody watches over: a system that is not running yet. @throws Invalid */
export function applyRegFile(registry: Registry, bytes: Uint8Array): void {
  for (const { key: path, value, deleteKey } of readRegFile(bytes)) {
    if (deleteKey) registry.find(path)?.remove();
    else if (value === undefined) registry.create(path);
    else if (value.set === undefined) registry.find(path)?.values.delete(upcase(value.name));
    else registry.create(path).set(value.name, value.set.type, value.set.data);
  }
}

const quoted = (text: string): string => text.replace(/[\\"]/g, '\\$&');
const pair = (byte: number): string => byte.toString(16).padStart(2, '0');
/** Longest line that regedit writes. */
const WIDTH = 80;

function hexLines(head: string, data: Uint8Array): string {
  let out = '';
  let line = head;
  data.forEach((byte, i) => {
    line += pair(byte) + (i + 1 < data.length ? ',' : '');
    if (line.length > WIDTH - 4 && i + 1 < data.length) {
      out += `${line}\\\r\n`;
      line = '  ';
    }
  });
  return out + line;
}

function dataText(head: string, type: number, data: Uint8Array): string {
  if (type === RegType.SZ) {
    const text = regText(data);
    // What is not plain text with its NUL goes out as bytes, or it would not come back the same.
    if (data.length === (text.length + 1) * 2 && !/[\r\n]/.test(text)) return `${head}"${quoted(text)}"`;
  }
  if (type === RegType.DWORD && data.length === 4)
    return `${head}dword:${new DataView(data.buffer, data.byteOffset).getUint32(0, true).toString(16).padStart(8, '0')}`;
  return hexLines(`${head}hex${type === RegType.BINARY ? '' : `(${type.toString(16)})`}:`, data);
}

/** The key and all below it, as regedit exports them: UTF-16 with a mark in front, lines ended by CR LF. */
export function writeRegFile(key: RegistryKey): Uint8Array {
  const blocks: string[] = [];
  const add = (one: RegistryKey) => {
    const values = [...one.values.values()]
      .sort((a, b) => (a.name === '' ? -1 : b.name === '' ? 1 : 0))
      .map(({ name, type, data }) => dataText(name === '' ? '@=' : `"${quoted(name)}"=`, type, data));
    blocks.push([`[${editorPath(one.path)}]`, ...values].join('\r\n'));
    for (const child of one.keys.values()) add(child);
  };
  add(key);
  return regBytes(`\ufeff${HEAD5}\r\n\r\n${blocks.map((block) => `${block}\r\n\r\n`).join('')}`);
}
