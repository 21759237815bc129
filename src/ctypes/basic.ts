import type { DataModel } from './model.ts';
import type { CType } from './type.ts';

/** Words that make up the names of basic types (C11 6.7.2), with the extensions that kernel headers use. */
export const BASIC_WORDS: ReadonlySet<string> = new Set([
  ...['void', 'char', 'short', 'int', 'long', 'float', 'double', 'signed', 'unsigned', '_Bool', '__signed__'],
  ...['__int128', '__int8', '__int16', '__int32', '__int64', '__signed', '_Float128', 'wchar_t', 'bool'],
]);

/** The type that a set of words names, in any order; undefined when they name none. */
export function basicType(words: readonly string[], model: DataModel): CType | undefined {
  if (words.length === 0) return undefined;
  const count = (word: string) => words.filter((w) => w === word).length;
  const sign = words.find((w) => /^(un)?signed$|^__signed(__)?$/.test(w));
  const unsigned = sign === 'unsigned';
  const rest = words.filter((w) => !/^(un)?signed$|^__signed(__)?$|^int$/.test(w)).sort();
  const int = count('int');
  const named = integerOf(rest.join(' '), unsigned, sign !== undefined, model);
  if (named !== undefined) return named;
  if (sign !== undefined || int > 0) return undefined;
  switch (rest.join(' ')) {
    case 'void':
      return { kind: 'void' };
    case '_Bool':
    case 'bool':
      return { kind: 'integer', name: '_Bool', size: 1, signed: false, encoding: 'bool' };
    case 'float':
      return { kind: 'float', name: 'float', size: 4 };
    case 'double':
      return { kind: 'float', name: 'double', size: 8 };
    case 'double long':
      return { kind: 'float', name: 'long double', size: model.longDouble };
    case '_Float128':
      return { kind: 'float', name: '_Float128', size: 16 };
    case 'wchar_t':
      return {
        kind: 'integer',
        name: 'wchar_t',
        size: model.wchar,
        signed: model.wchar === 4,
        encoding: 'int',
      };
    default:
      return undefined;
  }
}

/** Sizes by the sorted words without sign and `int`. */
function integerOf(rest: string, unsigned: boolean, signGiven: boolean, model: DataModel): CType | undefined {
  const sizes: Readonly<Record<string, readonly [name: string, size: number]>> = {
    '': ['int', 4],
    short: ['short', 2],
    long: ['long', model.long],
    'long long': ['long long', 8],
    __int8: ['char', 1],
    __int16: ['short', 2],
    __int32: ['int', 4],
    __int64: ['long long', 8],
    __int128: ['__int128', 16],
  };
  if (rest === 'char') {
    const signed = signGiven ? !unsigned : model.charSigned;
    const name = signGiven ? `${unsigned ? 'unsigned' : 'signed'} char` : 'char';
    return { kind: 'integer', name, size: 1, signed, encoding: 'char' };
  }
  const found = sizes[rest];
  if (found === undefined) return undefined;
  return {
    kind: 'integer',
    name: (unsigned ? 'unsigned ' : '') + found[0],
    size: found[1],
    signed: !unsigned,
    encoding: 'int',
  };
}
