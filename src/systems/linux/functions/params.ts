/**
 * Module parameters: param_set_*, param_get_* and the param_ops_* tables that modules point to (kernel/params.c).
 * Values are read and written in guest memory only.
 */
import type { Steps } from '../../../kernel/steps.ts';
import { type Address, PAGE_SIZE } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { parseBoolean, parseSized, parseUnsigned } from '../number-text.ts';
import { OPS_NOARG } from '../rules/arguments.ts';
import { kernelFunctions } from './define.ts';
import { byteString, writeText } from './format/printf.ts';
import { pointerBytes } from './kobject.ts';

const ERR = 3;
/** Longest value of a charp parameter (param_set_charp). */
const MAX_CHARP = 1024;

const argument = (k: Linux, kp: Address): Address => k.read('kernel_param.arg', kp);
const nameOf = (k: Linux, kp: Address): string => byteString(k, k.read('kernel_param.name', kp), 256);

/** Shows a value as sysfs does: with a newline, cut at a page. */
function show(k: Linux, buffer: Address, text: string): number {
  const cut = `${text}\n`.slice(0, PAGE_SIZE - 1);
  writeText(k, buffer, cut);
  return cut.length;
}

/** Parses with the base the text gives (kstrto* with base 0), checks the range, stores. */
function setNumber(k: Linux, text: Address, at: Address, bits: number, signed: boolean): number {
  const string = byteString(k, text);
  const value = parseSized(string, 0, bits, signed);
  if (typeof value === 'number') return value;
  const { memory } = k;
  if (bits === 8) memory.set8(at, Number(BigInt.asUintN(8, value)));
  else if (bits === 16) memory.set16(at, Number(BigInt.asUintN(16, value)));
  else if (bits === 32) memory.set32(at, Number(BigInt.asIntN(32, value)));
  else memory.setU64(at, BigInt.asUintN(64, value));
  return 0;
}

function getNumber(k: Linux, buffer: Address, at: Address, bits: number, signed: boolean): number {
  const { memory } = k;
  const raw =
    bits === 8 ? memory.u8(at) : bits === 16 ? memory.u16(at) : bits === 32 ? memory.u32(at) : memory.u64(at);
  const value = signed ? BigInt.asIntN(bits, BigInt(raw)) : BigInt(raw);
  return show(k, buffer, value.toString());
}

function setBoolean(k: Linux, text: Address, at: Address, invert = false): number {
  const value = text === 0 ? 1 : parseBoolean(byteString(k, text));
  if (value < 0) return value;
  k.memory.set8(at, invert ? 1 - value : value);
  return 0;
}

/** Strings of charp parameters that the kernel itself allocated begin here and may be freed. */
const owned = { id: Symbol('charp'), make: () => new Set<Address>() };

function freeOwned(k: Linux, at: Address): void {
  if (k.state(owned).delete(at)) k.heap.free(at);
}

function setCharp(k: Linux, text: Address, kp: Address): number {
  const value = byteString(k, text);
  if (value.length > MAX_CHARP) {
    k.printk(ERR, `${nameOf(k, kp)}: string parameter too long`);
    return -Errno.ENOSPC;
  }
  const at = argument(k, kp);
  freeOwned(k, k.memory.ptr(at));
  const copy = k.heap.allocate(value.length + 1);
  if (copy === 0) return -Errno.ENOMEM;
  writeText(k, copy, value);
  k.state(owned).add(copy);
  k.memory.setPtr(at, copy);
  return 0;
}

function setString(k: Linux, text: Address, kp: Address): number {
  const value = byteString(k, text);
  const at = argument(k, kp);
  const room = k.read('kparam_string.maxlen', at);
  if (value.length + 1 > room) {
    k.printk(ERR, `${nameOf(k, kp)}: string doesn't fit in ${room - 1} chars.`);
    return -Errno.ENOSPC;
  }
  writeText(k, k.read('kparam_string.string', at), value);
  return 0;
}

/** A struct kernel_param like `kp`, for one element of an array. */
function* withElement(k: Linux, kp: Address, use: (element: Address) => Steps<number>): Steps<number> {
  const bytes = k.sizeof('kernel_param');
  const element = k.heap.allocate(bytes);
  if (element === 0) return -Errno.ENOMEM;
  k.memory.copy(element, kp, bytes);
  const result = yield* use(element);
  k.heap.free(element);
  return result;
}

/** param_array: a comma-separated list, cut up in place. */
function* setArray(k: Linux, text: Address, kp: Address): Steps<number> {
  const array = argument(k, kp);
  const max = k.read('kparam_array.max', array);
  const size = k.read('kparam_array.elemsize', array);
  const first = k.read('kparam_array.elem', array);
  const set = k.read('kernel_param_ops.set', k.read('kparam_array.ops', array));
  const counter = k.read('kparam_array.num', array);
  return yield* withElement(k, kp, function* (element): Steps<number> {
    let at = text;
    for (let count = 0; ; count++) {
      if (counter !== 0) k.memory.set32(counter, count);
      if (count === max) {
        k.printk(ERR, `${nameOf(k, kp)}: can only take ${max} arguments`);
        return -Errno.EINVAL;
      }
      const length = commaAt(k, at);
      const last = k.memory.u8(at + length) === 0;
      if (!last) k.memory.set8(at + length, 0);
      k.write('kernel_param.arg', element, first + count * size);
      const result = yield* k.callInt(set, at, element);
      if (result !== 0) return result;
      at += length + 1;
      if (!last) continue;
      if (counter !== 0) k.memory.set32(counter, count + 1);
      return 0;
    }
  });
}

function commaAt(k: Linux, at: Address): number {
  let length = 0;
  for (let byte = k.memory.u8(at); byte !== 0 && byte !== 0x2c; byte = k.memory.u8(at + length)) length++;
  return length;
}

function* getArray(k: Linux, buffer: Address, kp: Address): Steps<number> {
  const array = argument(k, kp);
  const counter = k.read('kparam_array.num', array);
  const count = counter === 0 ? k.read('kparam_array.max', array) : k.memory.u32(counter);
  const size = k.read('kparam_array.elemsize', array);
  const first = k.read('kparam_array.elem', array);
  const get = k.read('kernel_param_ops.get', k.read('kparam_array.ops', array));
  return yield* withElement(k, kp, function* (element): Steps<number> {
    let offset = 0;
    for (let i = 0; i < count; i++) {
      if (i > 0) k.memory.set8(buffer + offset - 1, 0x2c);
      k.write('kernel_param.arg', element, first + i * size);
      const result = yield* k.callInt(get, buffer + offset, element);
      if (result < 0) return result;
      offset += result;
    }
    k.memory.set8(buffer + offset, 0);
    return offset;
  });
}

function* freeArray(k: Linux, array: Address): Steps<number> {
  const free = k.read('kernel_param_ops.free', k.read('kparam_array.ops', array));
  if (free === 0) return 0;
  const counter = k.read('kparam_array.num', array);
  const count = counter === 0 ? k.read('kparam_array.max', array) : k.memory.u32(counter);
  for (let i = 0; i < count; i++) {
    yield* k.call(free, k.read('kparam_array.elem', array) + k.read('kparam_array.elemsize', array) * i);
  }
  return 0;
}

const hex = (value: number): string => `0x${value.toString(16).padStart(6, '0')}`;

export const paramFunctions = kernelFunctions({
  'int param_set_byte(const char *val, const struct kernel_param *kp)': (k, val, kp) =>
    setNumber(k, val, argument(k, kp), 8, false),
  'int param_get_byte(char *buffer, const struct kernel_param *kp)': (k, buffer, kp) =>
    getNumber(k, buffer, argument(k, kp), 8, false),
  'int param_set_short(const char *val, const struct kernel_param *kp)': (k, val, kp) =>
    setNumber(k, val, argument(k, kp), 16, true),
  'int param_get_short(char *buffer, const struct kernel_param *kp)': (k, buffer, kp) =>
    getNumber(k, buffer, argument(k, kp), 16, true),
  'int param_set_ushort(const char *val, const struct kernel_param *kp)': (k, val, kp) =>
    setNumber(k, val, argument(k, kp), 16, false),
  'int param_get_ushort(char *buffer, const struct kernel_param *kp)': (k, buffer, kp) =>
    getNumber(k, buffer, argument(k, kp), 16, false),
  'int param_set_int(const char *val, const struct kernel_param *kp)': (k, val, kp) =>
    setNumber(k, val, argument(k, kp), 32, true),
  'int param_get_int(char *buffer, const struct kernel_param *kp)': (k, buffer, kp) =>
    getNumber(k, buffer, argument(k, kp), 32, true),
  'int param_set_uint(const char *val, const struct kernel_param *kp)': (k, val, kp) =>
    setNumber(k, val, argument(k, kp), 32, false),
  'int param_get_uint(char *buffer, const struct kernel_param *kp)': (k, buffer, kp) =>
    getNumber(k, buffer, argument(k, kp), 32, false),
  'int param_set_long(const char *val, const struct kernel_param *kp)': (k, val, kp) =>
    setNumber(k, val, argument(k, kp), 8 * k.word, true),
  'int param_get_long(char *buffer, const struct kernel_param *kp)': (k, buffer, kp) =>
    getNumber(k, buffer, argument(k, kp), 8 * k.word, true),
  'int param_set_ulong(const char *val, const struct kernel_param *kp)': (k, val, kp) =>
    setNumber(k, val, argument(k, kp), 8 * k.word, false),
  'int param_get_ulong(char *buffer, const struct kernel_param *kp)': (k, buffer, kp) =>
    getNumber(k, buffer, argument(k, kp), 8 * k.word, false),
  'int param_set_ullong(const char *val, const struct kernel_param *kp)': (k, val, kp) =>
    setNumber(k, val, argument(k, kp), 64, false),
  'int param_get_ullong(char *buffer, const struct kernel_param *kp)': (k, buffer, kp) =>
    getNumber(k, buffer, argument(k, kp), 64, false),
  'int param_set_hexint(const char *val, const struct kernel_param *kp)': (k, val, kp) =>
    setNumber(k, val, argument(k, kp), 32, false),
  // "%#08x": eight characters with the prefix.
  'int param_get_hexint(char *buffer, const struct kernel_param *kp)': (k, buffer, kp) => {
    return show(k, buffer, hex(k.memory.u32(argument(k, kp))));
  },
  'int param_set_uint_minmax(const char *val, const struct kernel_param *kp, unsigned int min, unsigned int max)':
    (k, val, kp, min, max) => {
      if (val === 0) return -Errno.EINVAL;
      const value = parseUnsigned(byteString(k, val), 0);
      if (typeof value === 'number') return value;
      if (value > 0xffffffffn) return -Errno.ERANGE;
      if (value < BigInt(min) || value > BigInt(max)) return -Errno.EINVAL;
      k.memory.set32(argument(k, kp), Number(BigInt.asIntN(32, value)));
      return 0;
    },
  'int param_set_charp(const char *val, const struct kernel_param *kp)': (k, val, kp) => setCharp(k, val, kp),
  'int param_get_charp(char *buffer, const struct kernel_param *kp)': (k, buffer, kp) => {
    const at = k.memory.ptr(argument(k, kp));
    return show(k, buffer, at === 0 ? '(null)' : byteString(k, at));
  },
  'void param_free_charp(void *arg)': (k, arg) => freeOwned(k, k.memory.ptr(arg)),
  'int param_set_bool(const char *val, const struct kernel_param *kp)': (k, val, kp) =>
    setBoolean(k, val, argument(k, kp)),
  'int param_get_bool(char *buffer, const struct kernel_param *kp)': (k, buffer, kp) =>
    show(k, buffer, k.memory.u8(argument(k, kp)) === 0 ? 'N' : 'Y'),
  'int param_set_bool_enable_only(const char *val, const struct kernel_param *kp)': (k, val, kp) => {
    const value = val === 0 ? 1 : parseBoolean(byteString(k, val));
    if (value < 0) return value;
    const at = argument(k, kp);
    if (value === 0) return k.memory.u8(at) === 0 ? 0 : -Errno.EROFS;
    k.memory.set8(at, 1);
    return 0;
  },
  'int param_set_invbool(const char *val, const struct kernel_param *kp)': (k, val, kp) =>
    setBoolean(k, val, argument(k, kp), true),
  'int param_get_invbool(char *buffer, const struct kernel_param *kp)': (k, buffer, kp) =>
    show(k, buffer, k.memory.u8(argument(k, kp)) === 0 ? 'Y' : 'N'),
  'int param_set_bint(const char *val, const struct kernel_param *kp)': (k, val, kp) => {
    const value = val === 0 ? 1 : parseBoolean(byteString(k, val));
    if (value >= 0) k.memory.set32(argument(k, kp), value);
    return Math.min(value, 0);
  },
  'int param_set_copystring(const char *val, const struct kernel_param *kp)': (k, val, kp) =>
    setString(k, val, kp),
  'int param_get_string(char *buffer, const struct kernel_param *kp)': (k, buffer, kp) =>
    show(k, buffer, byteString(k, k.read('kparam_string.string', argument(k, kp)))),
  'int param_array_set(const char *val, const struct kernel_param *kp)': (k, val, kp) => setArray(k, val, kp),
  'int param_array_get(char *buffer, const struct kernel_param *kp)': (k, buffer, kp) =>
    getArray(k, buffer, kp),
  'void param_array_free(void *arg)': (k, arg) => freeArray(k, arg),
});

/** A struct kernel_param_ops in the kernel's data: names of its functions, empty for none. */
function ops(symbol: string, set: string, get: string, flags = 0, free = ''): DataInitialiser {
  const fill = (k: Linux, at: Address): void => {
    const write = (field: string, name: string) =>
      k.memory.poke(
        at + k.offset(`kernel_param_ops.${field}`),
        pointerBytes(k, name === '' ? 0 : k.addressOf(name)),
      );
    k.memory.poke(at + k.offset('kernel_param_ops.flags'), Uint8Array.of(flags, 0, 0, 0));
    write('set', set);
    write('get', get);
    write('free', free);
  };
  return { symbol, when: 'import', fill };
}

const plain = (type: string, flags = 0): DataInitialiser =>
  ops(`param_ops_${type}`, `param_set_${type}`, `param_get_${type}`, flags);

export const paramData: readonly DataInitialiser[] = [
  ...['byte', 'short', 'ushort', 'int', 'uint', 'long', 'ulong', 'ullong', 'hexint', 'invbool'].map((t) =>
    plain(t),
  ),
  plain('bool', OPS_NOARG),
  ops('param_ops_charp', 'param_set_charp', 'param_get_charp', 0, 'param_free_charp'),
  ops('param_ops_bool_enable_only', 'param_set_bool_enable_only', 'param_get_bool', OPS_NOARG),
  ops('param_ops_bint', 'param_set_bint', 'param_get_int', OPS_NOARG),
  ops('param_ops_string', 'param_set_copystring', 'param_get_string'),
  ops('param_array_ops', 'param_array_set', 'param_array_get', 0, 'param_array_free'),
];
