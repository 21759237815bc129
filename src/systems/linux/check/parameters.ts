/**
 * What a module's parameters make of arguments, read out of its file: their table names functions of the kernel, whose rules
 * are known. A function of the module's own is not run.
 */
import { cstring } from '../../../bytes/cstring.ts';
import type { ObjectRelocation } from '../../../formats/object.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { Errno } from '../errno.ts';
import type { ModuleFile } from '../module-file.ts';
import { parseBoolean, parseSized } from '../number-text.ts';
import {
  type ArgumentText,
  FLAG_UNSAFE,
  isDynamicDebug,
  judgeArguments,
  OPS_NOARG,
  sameParameter,
} from '../rules/arguments.ts';
import { type Judge, Level } from '../rules/judge.ts';
import { TAINT } from '../taint-bits.ts';

/** Offsets by the kernel's word size (include/linux/moduleparam.h): kernel_param, kernel_param_ops, kparam_array, kparam_string. */
const LAYOUT = {
  64: {
    param: { ops: 16, mode: 24, flags: 27, argument: 32, size: 40 },
    ops: { flags: 0, set: 8 },
    array: { max: 0, ops: 16, element: 24 },
  },
  32: {
    param: { ops: 8, mode: 12, flags: 15, argument: 16, size: 20 },
    ops: { flags: 0, set: 4 },
    array: { max: 0, ops: 12, element: 16 },
  },
} as const;

/** What a pointer in the file will lead to: a symbol of the kernel, or a place in the module. */
type Target =
  | { readonly symbol: string }
  | { readonly symbol?: undefined; readonly section: number; readonly at: number };

export interface ParameterEntry {
  readonly name: string;
  /** Of its file in /sys; 0 for none. */
  readonly mode: number;
  readonly flags: number;
  readonly operations: Target | undefined;
  readonly argument: Target | undefined;
}

/** Pointers and words of a module that was not placed. */
class Unplaced {
  readonly #file: ModuleFile;
  readonly #pointers = new Map<number, ReadonlyMap<number, ObjectRelocation>>();

  constructor(file: ModuleFile) {
    this.#file = file;
  }

  get layout(): (typeof LAYOUT)[64 | 32] {
    return LAYOUT[this.#file.object.bits];
  }

  pointer(section: number, at: number): Target | undefined {
    const { object } = this.#file;
    let known = this.#pointers.get(section);
    if (known === undefined) {
      known = new Map(object.relocations(section).map((one) => [one.offset, one]));
      this.#pointers.set(section, known);
    }
    const found = known.get(at);
    const symbol = found === undefined ? undefined : object.symbols[found.symbol];
    if (found === undefined || symbol === undefined) return undefined;
    if (symbol.place === 'undefined') return { symbol: symbol.name };
    if (symbol.place !== 'section') return undefined;
    return { section: symbol.section, at: symbol.value + (found.addend ?? this.word(section, at)) };
  }

  word(section: number, at: number): number {
    const view = this.#view(section, at, 4);
    return view === undefined ? 0 : view.getInt32(0, this.#file.object.littleEndian);
  }

  half(section: number, at: number): number {
    return this.#view(section, at, 2)?.getUint16(0, this.#file.object.littleEndian) ?? 0;
  }

  byte(section: number, at: number): number {
    return this.#view(section, at, 1)?.getUint8(0) ?? 0;
  }

  text(section: number, at: number): string {
    return this.#view(section, at, 1) === undefined
      ? ''
      : cstring(this.#file.object.sections[section].data, at);
  }

  /** Bytes that the file has there: those of a section without contents are zeros. */
  #view(section: number, at: number, length: number): DataView | undefined {
    const data = this.#file.object.sections[section]?.data;
    if (data === undefined || !(at >= 0 && at + length <= data.length)) return undefined;
    return new DataView(data.buffer, data.byteOffset + at, length);
  }
}

/** The module's `struct kernel_param`s, in their order. */
export function readParameterTable(file: ModuleFile): ParameterEntry[] {
  const table = file.section('__param');
  if (table === undefined) return [];
  const unplaced = new Unplaced(file);
  const { param } = unplaced.layout;
  const { index } = table;
  return Array.from({ length: Math.floor(table.size / param.size) }, (_, i) => {
    const at = i * param.size;
    const name = unplaced.pointer(index, at);
    return {
      name: name === undefined || name.symbol !== undefined ? '' : unplaced.text(name.section, name.at),
      mode: unplaced.half(index, at + param.mode),
      flags: unplaced.byte(index, at + param.flags),
      operations: unplaced.pointer(index, at + param.ops),
      argument: unplaced.pointer(index, at + param.argument),
    };
  });
}

/** How a parameter takes a value. */
interface Setter {
  /** As in param_set_TYPE; `array` and `string` of their own; undefined: a function of the module. */
  readonly type: string | undefined;
  /** The name may stand alone. */
  readonly bare: boolean;
}

const BARE: ReadonlySet<string> = new Set(['bool', 'bool_enable_only', 'bint']);
const TYPE_OF_SET: ReadonlyMap<string, string> = new Map([
  ['param_set_copystring', 'string'],
  ['param_array_set', 'array'],
]);

function setterOf(unplaced: Unplaced, operations: Target | undefined): Setter {
  if (operations === undefined) return { type: undefined, bare: false };
  const { symbol } = operations;
  if (symbol === 'param_array_ops') return { type: 'array', bare: false };
  if (symbol !== undefined) {
    const type = /^param_ops_(\w+)$/.exec(symbol)?.[1];
    return { type, bare: type !== undefined && BARE.has(type) };
  }
  const { ops } = unplaced.layout;
  const { section, at } = operations;
  const set = unplaced.pointer(section, at + ops.set)?.symbol ?? '';
  const bare = (unplaced.word(section, at + ops.flags) & OPS_NOARG) !== 0;
  return { type: TYPE_OF_SET.get(set) ?? /^param_set_(\w+)$/.exec(set)?.[1], bare };
}

/** Bits and sign; `long` has those of the machine. */
const NUMBERS: Readonly<Record<string, readonly [bits: number, signed: boolean]>> = {
  byte: [8, false],
  short: [16, true],
  ushort: [16, false],
  int: [32, true],
  uint: [32, false],
  hexint: [32, false],
  ullong: [64, false],
};

/** Longest value of a charp parameter (param_set_charp). */
const MAX_CHARP = 1024;

/** The arguments of one load. */
class ArgumentCheck {
  readonly #judge: Judge;
  readonly #unplaced: Unplaced;
  /** Variables that can only be switched on: the value that was set. */
  readonly #switched = new Set<ParameterEntry>();

  constructor(judge: Judge, file: ModuleFile) {
    this.#judge = judge;
    this.#unplaced = new Unplaced(file);
  }

  /** 0 or a positive errno. `cut` ends the value at one of its characters, which lists leave behind. */
  set(entry: ParameterEntry, value: string | undefined, cut: (length: number) => void): number {
    const judge = this.#judge;
    const { type, bare } = setterOf(this.#unplaced, entry.operations);
    if (value === undefined && !bare && type !== undefined) return Errno.EINVAL;
    if ((entry.flags & FLAG_UNSAFE) !== 0) {
      judge.say(Level.NOTICE, `Setting dangerous option ${entry.name} - tainting kernel`);
      judge.taint(TAINT.USER);
    }
    const errno = type === undefined ? undefined : this.#setAs(type, entry, value, cut);
    if (errno !== undefined) return errno;
    judge.unknown({
      what: `what the module's own function says to ${entry.name}=${value ?? ''}`,
      how: 'load it in the sandbox: lkm run',
    });
    return 0;
  }

  /** undefined: a type that nobody here knows. */
  #setAs(
    type: string,
    entry: ParameterEntry,
    given: string | undefined,
    cut: (length: number) => void,
  ): number | undefined {
    const { bits } = this.#judge.kernel;
    const value = given ?? '';
    const number = type === 'long' || type === 'ulong' ? ([bits, type === 'long'] as const) : NUMBERS[type];
    if (number !== undefined) return failure(parseSized(value, 0, ...number));
    // A name that stands alone switches it on.
    const truth = given === undefined ? 1 : parseBoolean(value);
    switch (type) {
      case 'bool':
      case 'bint':
      case 'invbool':
        return failure(truth);
      case 'bool_enable_only':
        return this.#switchOn(entry, truth);
      case 'charp':
        return this.#tooLong(entry, value, MAX_CHARP, 'string parameter too long');
      case 'string': {
        const room = this.#word(entry.argument, 0) - 1;
        return this.#tooLong(entry, value, room, `string doesn't fit in ${room} chars.`);
      }
      case 'array':
        return this.#setArray(entry, value, cut);
      default:
        return undefined;
    }
  }

  #switchOn(entry: ParameterEntry, value: number): number {
    if (value < 0) return -value;
    const { argument } = entry;
    const first =
      argument === undefined || argument.symbol !== undefined
        ? 0
        : this.#unplaced.byte(argument.section, argument.at);
    if (value === 0) return first !== 0 || this.#switched.has(entry) ? Errno.EROFS : 0;
    this.#switched.add(entry);
    return 0;
  }

  #tooLong({ name }: ParameterEntry, value: string, room: number, words: string): number {
    if (new TextEncoder().encode(value).length <= room) return 0;
    this.#judge.say(Level.ERR, `${name}: ${words}`);
    return Errno.ENOSPC;
  }

  #word(target: Target | undefined, offset: number): number {
    return target === undefined || target.symbol !== undefined
      ? 0
      : this.#unplaced.word(target.section, target.at + offset);
  }

  /** param_array: each element is set like a parameter of its own, until one fails. */
  #setArray(entry: ParameterEntry, value: string, cut: (length: number) => void): number | undefined {
    const { argument } = entry;
    if (argument === undefined || argument.symbol !== undefined) return undefined;
    const { array } = this.#unplaced.layout;
    const max = this.#word(argument, array.max);
    const { type } = setterOf(
      this.#unplaced,
      this.#unplaced.pointer(argument.section, argument.at + array.ops),
    );
    if (type === undefined || type === 'array') return undefined;
    const elements = value.split(',');
    for (const [i, element] of elements.entries()) {
      if (i === max) {
        this.#judge.say(Level.ERR, `${entry.name}: can only take ${max} arguments`);
        return Errno.EINVAL;
      }
      if (i === 0 && elements.length > 1) cut(new TextEncoder().encode(element).length);
      const errno = this.#setAs(type, { ...entry, argument: undefined }, element, cut);
      if (errno !== 0) return errno;
    }
    return 0;
  }
}

const failure = (value: bigint | number): number => (typeof value === 'number' && value < 0 ? -value : 0);

/** A string of arguments in memory of its own. */
class Text implements ArgumentText {
  readonly #bytes: Uint8Array;
  constructor(text: string) {
    this.#bytes = new TextEncoder().encode(`${text.split('\0', 1)[0]}\0`);
  }
  u8(at: number): number {
    return this.#bytes[at] ?? 0;
  }
  set8(at: number, value: number): void {
    this.#bytes[at] = value;
  }
  cstring(at: number, limit?: number): string {
    return cstring(
      this.#bytes,
      at,
      limit === undefined ? undefined : Math.min(at + limit, this.#bytes.length),
    );
  }
}

/** parse_args, as far as it can be told from files. */
export function checkArguments(judge: Judge, file: ModuleFile, args: string): void {
  judge.enter('parameters');
  if (args === '') return;
  const parameters = readParameterTable(file);
  const check = new ArgumentCheck(judge, file);
  const text = new Text(args);
  // The rules of a live kernel may have to wait for the module's own code; here nothing does.
  judgeArguments(judge, file.name, text, 0, function* ({ name, value }): Steps<number> {
    const found = parameters.find((one) => sameParameter(one.name, name));
    if (found !== undefined) {
      const cut = (length: number) => text.set8((value ?? 0) + length, 0);
      return check.set(found, value === undefined ? undefined : text.cstring(value), cut);
    }
    isDynamicDebug(judge, file.name, name);
    return 0;
  }).next();
}
