/** Using devices from the session: files of the shell, and commands of ours for what no tool of the system does. */
import { hexOf } from '../../bytes/hex.ts';
import type { Steps } from '../../kernel/steps.ts';
import { openByName } from '../../systems/windows/files.ts';
import { control, readDevice, writeDevice } from '../../systems/windows/requests.ts';
import { statusText, win32Error } from '../../systems/windows/status.ts';
import type { Windows } from '../../systems/windows/windows.ts';
import type { ToolResult } from '../system.ts';
import { errorText } from './errors.ts';
import { reaching } from './reach.ts';

type Perform = <T>(name: string, steps: Steps<T>) => T;

const READ_BYTES = 512;
/** Reads of one `type`: a device that never ends is cut. */
const MAX_READS = 64;
const DEFAULT_OUTPUT = 256;
/** A request that is still pending after so long is cancelled, as Ctrl+C would. */
const PATIENCE = 5e9;

/** What was quoted for another shell may have its backslashes twice. */
const DEVICE = /^\\{2,4}[.?]\\{1,2}/;
export const isDevice = (path: string): boolean => DEVICE.test(path);
/** `\\.\Hello` is `\??\Hello` to the kernel. */
const ntName = (path: string): string => path.replace(DEVICE, '\\??\\');

function failure({ release }: Windows, status: number): ToolResult {
  const error = win32Error(status, release);
  return { code: error || 1, out: '', err: `${errorText(error)}\n`, note: statusText(status) };
}

export class DeviceCommands {
  private readonly k: Windows;
  private readonly perform: Perform;

  constructor(k: Windows, perform: Perform) {
    this.k = k;
    this.perform = perform;
  }

  run(tool: string, args: readonly string[]): ToolResult {
    if (tool === 'open') return this.open(args);
    if (tool === 'close') return this.close(args);
    return tool === 'ioctl' ? this.ioctl(args) : this.objects(args);
  }

  read(path: string): ToolResult {
    const { k } = this;
    return this.withDevice(path, function* (file) {
      let out = '';
      for (let n = 0; n < MAX_READS; n++) {
        const { status, data } = yield* readDevice(k, file, READ_BYTES, n * READ_BYTES);
        if (status < 0) return out === '' ? failure(k, status) : { code: 0, out, err: '' };
        out += new TextDecoder('latin1').decode(data);
        if (data.length < READ_BYTES) break;
      }
      return { code: 0, out, err: '' };
    });
  }

  write(path: string, bytes: Uint8Array): ToolResult {
    const { k } = this;
    return this.withDevice(path, function* (file) {
      const { status } = yield* writeDevice(k, file, bytes);
      return status < 0 ? failure(k, status) : { code: 0, out: '', err: '' };
    });
  }

  /** Opens, uses and closes in one go. */
  private withDevice(path: string, use: (file: number) => Steps<ToolResult>): ToolResult {
    const { k } = this;
    return this.perform(
      'cmd.exe',
      (function* (): Steps<ToolResult> {
        const { status, handle, file } = yield* openByName(k, ntName(path));
        if (status < 0) return failure(k, status);
        const result = yield* use(file);
        yield* k.objects.close(handle);
        return result;
      })(),
    );
  }

  private open([path]: readonly string[]): ToolResult {
    if (path === undefined) return { code: 87, out: '', err: 'open \\\\.\\NAME\n' };
    const { status, handle } = this.perform('lkm.exe', openByName(this.k, ntName(path)));
    return status < 0
      ? failure(this.k, status)
      : { code: 0, out: `handle 0x${handle.toString(16)}\n`, err: '' };
  }

  private close([word]: readonly string[]): ToolResult {
    const status = this.perform('lkm.exe', this.k.objects.close(Number(word)));
    return status < 0 ? failure(this.k, status) : { code: 0, out: '', err: '' };
  }

  private ioctl([target, codeWord, inputWord, outputWord]: readonly string[]): ToolResult {
    const code = Number(codeWord);
    if (target === undefined || !Number.isInteger(code))
      return { code: 87, out: '', err: 'ioctl \\\\.\\NAME|HANDLE CODE [TEXT|hex:BYTES] [OUTPUT-BYTES]\n' };
    const input = inputBytes(inputWord ?? '');
    const output = Math.min(1 << 20, Math.max(0, Number(outputWord ?? DEFAULT_OUTPUT)));
    const { k } = this;
    const use = function* (file: number): Steps<ToolResult> {
      const { status, information, data } = yield* control(k, file, code >>> 0, input, output, PATIENCE);
      if (status < 0) return failure(k, status);
      return { code: 0, out: `${statusText(status)}, ${information} bytes\n${dump(data)}`, err: '' };
    };
    const object = /^(0x)?[0-9a-f]+$/i.test(target) ? k.objects.fromHandle(Number(target)) : undefined;
    const { value, reached } = reaching(k, () =>
      object === undefined ? this.withDevice(target, use) : this.perform('lkm.exe', use(object.address)),
    );
    const notes = [value.note, reached].filter((text) => text !== undefined);
    return notes.length === 0 ? value : { ...value, note: notes.join('\n  ') };
  }

  private objects([path = '\\']: readonly string[]): ToolResult {
    const prefix = path.endsWith('\\') ? path.toLowerCase() : `${path.toLowerCase()}\\`;
    const rows = [...this.k.objects.named()]
      .filter(
        ({ name }) => name?.toLowerCase().startsWith(prefix) && !name.slice(prefix.length).includes('\\'),
      )
      .filter(({ name }) => name !== '\\')
      .map(
        ({ name, type, target }) =>
          `${type.padEnd(14)} ${name}${target === undefined ? '' : ` -> ${target}`}\n`,
      );
    return { code: 0, out: rows.join(''), err: '' };
  }
}

/** Text, or `hex:00ff...`. */
function inputBytes(word: string): Uint8Array {
  if (!word.startsWith('hex:')) return new TextEncoder().encode(word);
  const digits = word.slice(4).replace(/[^0-9a-f]/gi, '');
  return Uint8Array.from({ length: digits.length >> 1 }, (_, i) =>
    Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16),
  );
}

function dump(bytes: Uint8Array): string {
  let out = '';
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    const hex = hexOf(row, ' ');
    const text = [...row]
      .map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.'))
      .join('');
    out += `${at.toString(16).padStart(4, '0')}  ${hex.padEnd(47)}  ${text}\n`;
  }
  return out;
}
