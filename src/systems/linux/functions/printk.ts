/** The kernel log from inside: printk, its relatives for devices, hexadecimal dumps and rate limits. */
import type { VarArgs } from '../../../abi/convention.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import { encoded, readable } from '../../../kernel/text/sink.ts';
import type { Address } from '../../../memory/space.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { callTrace, whoLine } from '../oops.ts';
import { HZ, jiffies, unwrapped } from './clock.ts';
import { kernelFunctions } from './define.ts';
import { hashPointer } from './format/pointer.ts';
import { byteString, format, formatText, writeText } from './format/printf.ts';

/** A log record's text is cut here (CONSOLE_EXT_LOG_MAX and LOG_LINE_MAX of Linux 6.1 leave 1024 bytes). */
const RECORD_BYTES = 1024;
/** KERN_SOH */
const START_OF_HEADER = '\x01';
/** MESSAGE_LOGLEVEL_DEFAULT (CONFIG_MESSAGE_LOGLEVEL_DEFAULT=4). */
const DEFAULT_LEVEL = 4;
export const LEVEL = {
  EMERG: 0,
  ALERT: 1,
  CRIT: 2,
  ERR: 3,
  WARNING: 4,
  NOTICE: 5,
  INFO: 6,
  DEBUG: 7,
} as const;

/**
 * A record without a newline stays open: KERN_CONT text joins it, anything else closes it. As on the real kernel
 * nobody sees it before.
 */
const openRecord = perKernel(() => ({ level: -1, text: '' }));

/** Closes the record that is still open, as the next printk would. */
export function finishRecord(k: Linux): void {
  const open = k.state(openRecord);
  if (open.level < 0) return;
  const { level, text } = open;
  open.level = -1;
  open.text = '';
  // One record, whatever newlines are inside: readers put the prefix in front of each line.
  k.log.write(level, readable(text));
}

/** printk of a finished text (a string of bytes) with its KERN_ prefixes; gives the bytes stored. */
export function emit(k: Linux, text: string, forced = -1): number {
  let level = forced;
  let continues = false;
  let at = 0;
  for (; text[at] === START_OF_HEADER && at + 1 < text.length; at += 2) {
    const kind = text[at + 1];
    if (kind >= '0' && kind <= '7') level = level < 0 ? Number(kind) : level;
    else if (kind === 'c') continues = true;
    else break;
  }
  const body = text.slice(at, at + RECORD_BYTES);
  const ended = body.endsWith('\n');
  const line = ended ? body.slice(0, -1) : body;
  const open = k.state(openRecord);
  if (continues && open.level >= 0) open.text += line;
  else {
    finishRecord(k);
    open.level = level < 0 ? DEFAULT_LEVEL : level;
    open.text = line;
  }
  if (ended || open.text.length > RECORD_BYTES) finishRecord(k);
  return body.length;
}

function print(k: Linux, at: Address, args: VarArgs): number {
  return emit(k, format(k, at, args, RECORD_BYTES).text);
}

/** What a device's messages begin with: driver (or bus, or class) and name. */
export function devicePrefix(k: Linux, device: Address): string {
  if (device === 0) return '(NULL device *): ';
  return `${driverName(k, device)} ${deviceName(k, device)}: `;
}

export function driverName(k: Linux, device: Address): string {
  for (const field of ['driver', 'bus', 'class'] as const) {
    const owner = k.read(`device.${field}`, device);
    if (owner !== 0) return k.memory.cstring(k.memory.ptr(owner));
  }
  return '';
}

export function deviceName(k: Linux, device: Address): string {
  const early = k.read('device.init_name', device);
  const name = early !== 0 ? early : k.read('device.kobj.name', device);
  return name === 0 ? '(null)' : k.memory.cstring(name);
}

function printDevice(k: Linux, level: number, device: Address, at: Address, args: VarArgs): number {
  const text = format(k, at, args, RECORD_BYTES).text;
  return emit(k, encoded(devicePrefix(k, device)) + text, level);
}

/** Bits of _ddebug.flags that add to the text (include/linux/dynamic_debug.h). */
const DEBUG_FLAGS = { MODULE: 2, FUNCTION: 4, LINE: 8, THREAD: 16 } as const;

function debugPrefix(k: Linux, descriptor: Address): string {
  const flags = k.read('_ddebug.flags', descriptor);
  let text = (flags & DEBUG_FLAGS.THREAD) !== 0 ? `[${k.tasks.pid(k.current)}] ` : '';
  const parts: (string | number)[] = [];
  if ((flags & DEBUG_FLAGS.MODULE) !== 0) parts.push(k.readString('_ddebug.modname', descriptor));
  if ((flags & DEBUG_FLAGS.FUNCTION) !== 0) parts.push(k.readString('_ddebug.function', descriptor));
  if ((flags & DEBUG_FLAGS.LINE) !== 0) parts.push(k.read('_ddebug.lineno', descriptor));
  if (parts.length > 0) text += `${parts.join(':')}: `;
  return encoded(text);
}

/** hex_dump_to_buffer: one line of a dump; the whole of it, however short the buffer. */
export function hexLine(bytes: Uint8Array, rowSize: number, groupSize: number, ascii: boolean): string {
  const row = rowSize === 32 ? 32 : 16;
  const shown = bytes.subarray(0, row);
  let group = [1, 2, 4, 8].includes(groupSize) ? groupSize : 1;
  if (shown.length % group !== 0) group = 1;
  const groups: string[] = [];
  for (let at = 0; at < shown.length; at += group) {
    const digits = Array.from(shown.subarray(at, at + group), (b) => b.toString(16).padStart(2, '0'));
    groups.push(digits.reverse().join(''));
  }
  const line = groups.join(' ');
  if (!ascii || shown.length === 0) return line;
  const column = row * 2 + row / group + 1;
  const text = Array.from(shown, (b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : '.')).join('');
  return line.padEnd(column) + text;
}

/** More than any module dumps; a dump of everything is a mistake. */
const MAX_DUMP = 1 << 20;
const PREFIX = { ADDRESS: 1, OFFSET: 2 } as const;

function dump(
  k: Linux,
  level: string,
  prefix: string,
  kind: number,
  rowSize: number,
  groupSize: number,
  at: Address,
  length: number,
  ascii: boolean,
): void {
  const row = rowSize === 32 ? 32 : 16;
  for (let done = 0; done < Math.min(length, MAX_DUMP); done += row) {
    const bytes = k.memory.bytes(at + done, Math.min(row, length - done));
    const where =
      kind === PREFIX.ADDRESS
        ? `${hashPointer(k.seed, BigInt.asUintN(64, BigInt(at + done)))
            .toString(16)
            .padStart(16, '0')}: `
        : kind === PREFIX.OFFSET
          ? `${done.toString(16).padStart(8, '0')}: `
          : '';
    emit(k, `${level}${prefix}${where}${hexLine(bytes, row, groupSize, ascii)}\n`);
  }
}

/**
 * ___ratelimit (lib/ratelimit.c): at most `burst` passes in every `interval` jiffies. The state is the caller's
 * own struct.
 */
function passRateLimit(k: Linux, state: Address, name: string): boolean {
  const interval = k.read('ratelimit_state.interval', state);
  if (interval === 0) return true;
  const now = jiffies(k);
  const began = k.read('ratelimit_state.begin', state);
  let begin = began === 0 ? now : unwrapped(k, began);
  if (now > begin + interval) {
    const missed = k.read('ratelimit_state.missed', state);
    // RATELIMIT_MSG_ON_RELEASE (bit 0) keeps the count for ratelimit_state_exit.
    if (missed !== 0 && (k.read('ratelimit_state.flags', state) & 1) === 0) {
      emit(k, `${name}: ${missed} callbacks suppressed\n`, LEVEL.WARNING);
      k.write('ratelimit_state.missed', state, 0);
    }
    begin = now;
    k.write('ratelimit_state.printed', state, 0);
  }
  k.write('ratelimit_state.begin', state, begin);
  const printed = k.read('ratelimit_state.printed', state);
  const burst = k.read('ratelimit_state.burst', state);
  if (burst !== 0 && burst > printed) {
    k.write('ratelimit_state.printed', state, printed + 1);
    return true;
  }
  k.write('ratelimit_state.missed', state, k.read('ratelimit_state.missed', state) + 1);
  return false;
}

/** net_ratelimit_state: ten messages in five seconds. */
const netLimit = perKernel<Address, Linux>((k) => {
  const at = k.heap.allocateZeroed(k.sizeof('ratelimit_state'));
  k.write('ratelimit_state.interval', at, 5 * HZ);
  k.write('ratelimit_state.burst', at, 10);
  return at;
});

/** dump_stack: who is running, and the call trace. */
export function dumpStack(k: Linux, level: number = DEFAULT_LEVEL): void {
  finishRecord(k);
  k.printk(level, whoLine(k));
  k.printk(level, 'Hardware name: lkm base kernel');
  k.printk(level, 'Call Trace:');
  k.printk(level, ' <TASK>');
  for (const line of callTrace(k)) k.printk(level, ` ${line}`);
  k.printk(level, ' </TASK>');
}

export const printk = kernelFunctions({
  'int _printk(const char *fmt, ...)': (k, fmt, args) => print(k, fmt, args),
  'int vprintk(const char *fmt, va_list args)': (k, fmt, args) => print(k, fmt, args),
  'int vprintk_default(const char *fmt, va_list args)': (k, fmt, args) => print(k, fmt, args),
  'int vprintk_emit(int facility, int level, const struct dev_printk_info *dev_info, const char *fmt, va_list args)':
    (k, _facility, level, _info, fmt, args) => emit(k, format(k, fmt, args, RECORD_BYTES).text, level),
  'int _printk_deferred(const char *fmt, ...)': (k, fmt, args) => print(k, fmt, args),
  'int vprintk_deferred(const char *fmt, va_list args)': (k, fmt, args) => print(k, fmt, args),
  'int __printk_ratelimit(const char *func)': (k, func) =>
    passRateLimit(k, k.state(printkLimit).at(k), k.memory.cstring(func)) ? 1 : 0,
  'int net_ratelimit(void)': (k) => Number(passRateLimit(k, k.state(netLimit), 'net_ratelimit')),
  'bool printk_timed_ratelimit(unsigned long *caller_jiffies, unsigned int interval_msecs)': (
    k,
    at,
    interval,
  ) => {
    const last = k.memory.ptr(at);
    const elapsed = jiffies(k) - unwrapped(k, last);
    if (last !== 0 && elapsed <= Math.ceil(interval / 4)) return 0;
    k.memory.setPtr(at, jiffies(k));
    return 1;
  },
  'int ___ratelimit(struct ratelimit_state *rs, const char *func)': (k, state, func) =>
    passRateLimit(k, state, k.memory.cstring(func)) ? 1 : 0,
  'void __warn_printk(const char *fmt, ...)': (k, fmt, args) => {
    finishRecord(k);
    k.printk(4, '------------[ cut here ]------------');
    emit(k, format(k, fmt, args, RECORD_BYTES).text, -1);
  },
  'void dump_stack(void)': (k) => dumpStack(k),
  'void dump_stack_lvl(const char *log_lvl)': (k, level) => dumpStack(k, levelOf(byteString(k, level))),
  'void console_lock(void)': () => undefined,
  'int console_trylock(void)': () => 1,
  'void console_unlock(void)': () => undefined,
  'int is_console_locked(void)': () => 0,
});

export function levelOf(prefix: string): number {
  const level = Number(prefix[1]);
  return prefix[0] === START_OF_HEADER && level >= 0 && level <= 7 ? level : DEFAULT_LEVEL;
}

export const devicePrintk = kernelFunctions({
  'void _dev_printk(const char *level, const struct device *dev, const char *fmt, ...)': (
    k,
    level,
    dev,
    fmt,
    args,
  ) => {
    printDevice(k, levelOf(byteString(k, level)), dev, fmt, args);
  },
  'int dev_printk_emit(int level, const struct device *dev, const char *fmt, ...)': (
    k,
    level,
    _dev,
    fmt,
    args,
  ) => emit(k, format(k, fmt, args, RECORD_BYTES).text, level),
  'int dev_vprintk_emit(int level, const struct device *dev, const char *fmt, va_list args)': (
    k,
    level,
    _dev,
    fmt,
    args,
  ) => emit(k, format(k, fmt, args, RECORD_BYTES).text, level),
  'void _dev_emerg(const struct device *dev, const char *fmt, ...)': (k, dev, fmt, args) => {
    printDevice(k, LEVEL.EMERG, dev, fmt, args);
  },
  'void _dev_alert(const struct device *dev, const char *fmt, ...)': (k, dev, fmt, args) => {
    printDevice(k, LEVEL.ALERT, dev, fmt, args);
  },
  'void _dev_crit(const struct device *dev, const char *fmt, ...)': (k, dev, fmt, args) => {
    printDevice(k, LEVEL.CRIT, dev, fmt, args);
  },
  'void _dev_err(const struct device *dev, const char *fmt, ...)': (k, dev, fmt, args) => {
    printDevice(k, LEVEL.ERR, dev, fmt, args);
  },
  'void _dev_warn(const struct device *dev, const char *fmt, ...)': (k, dev, fmt, args) => {
    printDevice(k, LEVEL.WARNING, dev, fmt, args);
  },
  'void _dev_notice(const struct device *dev, const char *fmt, ...)': (k, dev, fmt, args) => {
    printDevice(k, LEVEL.NOTICE, dev, fmt, args);
  },
  'void _dev_info(const struct device *dev, const char *fmt, ...)': (k, dev, fmt, args) => {
    printDevice(k, LEVEL.INFO, dev, fmt, args);
  },
  'int dev_err_probe(const struct device *dev, int err, const char *fmt, ...)': (k, dev, err, fmt, args) => {
    const name = formatText(k, '%pe', errorArgument(err), 32).text;
    const text = `error ${name}: ${format(k, fmt, args, RECORD_BYTES).text}`;
    // A deferred probe is no error: it only shows with dynamic debugging on.
    if (err !== -517) emit(k, encoded(devicePrefix(k, dev)) + text, LEVEL.ERR);
    return err;
  },
  'void __dynamic_pr_debug(struct _ddebug *descriptor, const char *fmt, ...)': (k, descriptor, fmt, args) => {
    emit(k, debugPrefix(k, descriptor) + format(k, fmt, args, RECORD_BYTES).text, LEVEL.DEBUG);
  },
  'void __dynamic_dev_dbg(struct _ddebug *descriptor, const struct device *dev, const char *fmt, ...)': (
    k,
    descriptor,
    dev,
    fmt,
    args,
  ) => {
    const head = debugPrefix(k, descriptor) + encoded(devicePrefix(k, dev));
    emit(k, head + format(k, fmt, args, RECORD_BYTES).text, LEVEL.DEBUG);
  },
});

/** One error pointer as variable arguments. */
function errorArgument(value: number): VarArgs {
  const args: VarArgs = {
    i32: () => value,
    u32: () => value >>> 0,
    long: () => value,
    pointer: () => value,
    i64: () => BigInt(value),
    u64: () => BigInt.asUintN(64, BigInt(value)),
    f64: () => value,
    copy: () => args,
  };
  return args;
}

export const hexDump = kernelFunctions({
  'void print_hex_dump(const char *level, const char *prefix_str, int prefix_type, int rowsize, int groupsize, const void *buf, size_t len, bool ascii)':
    (k, level, prefix, kind, rowSize, groupSize, at, length, ascii) =>
      dump(k, byteString(k, level), byteString(k, prefix), kind, rowSize, groupSize, at, length, ascii !== 0),
  'void print_hex_dump_bytes(const char *prefix_str, int prefix_type, const void *buf, size_t len)': (
    k,
    prefix,
    kind,
    at,
    length,
  ) => dump(k, `${START_OF_HEADER}7`, byteString(k, prefix), kind, 16, 1, at, length, true),
  'int hex_dump_to_buffer(const void *buf, size_t len, int rowsize, int groupsize, char *linebuf, size_t linebuflen, bool ascii)':
    (k, at, length, rowSize, groupSize, line, lineBytes, ascii) => {
      const row = rowSize === 32 ? 32 : 16;
      const text = hexLine(k.memory.bytes(at, Math.min(row, length)), row, groupSize, ascii !== 0);
      if (lineBytes > 0) writeText(k, line, text.slice(0, lineBytes - 1));
      return text.length;
    },
});

/** The kernel's own ratelimit state: ten messages in five seconds. */
const printkLimit = perKernel(() => {
  let address = 0;
  return {
    at: (k: Linux): Address => {
      if (address === 0) {
        address = k.heap.allocateZeroed(k.sizeof('ratelimit_state'));
        k.write('ratelimit_state.interval', address, 5 * 250);
        k.write('ratelimit_state.burst', address, 10);
      }
      return address;
    },
  };
});

const pokeWords = (k: Linux, at: Address, words: readonly number[]): void => {
  const bytes = new DataView(new ArrayBuffer(words.length * 4));
  words.forEach((word, i) => {
    bytes.setInt32(i * 4, word, true);
  });
  k.memory.poke(at, new Uint8Array(bytes.buffer));
};

export const printkData: readonly DataInitialiser[] = [
  // console_printk: current, default message, minimum and default console log level.
  {
    symbol: 'console_printk',
    when: 'import',
    fill: (k, at) => pokeWords(k, at, [4, 4, 1, 7]),
  },
  {
    symbol: 'hex_asc',
    when: 'import',
    fill: (k, at) => k.memory.poke(at, new TextEncoder().encode('0123456789abcdef\0')),
  },
  {
    symbol: 'hex_asc_upper',
    when: 'import',
    fill: (k, at) => k.memory.poke(at, new TextEncoder().encode('0123456789ABCDEF\0')),
  },
];
