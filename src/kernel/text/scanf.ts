/** scanf (ISO C 7.19.6.2): characters are taken one after another, so that they may come from a stream as well as from a text. */
import type { VarArgs } from '../../abi/convention.ts';
import type { Kernel } from '../kernel.ts';
import { parseReal } from '../math.ts';
import type { Steps } from '../steps.ts';
import { bytesOf } from './sink.ts';

/** Where characters come from. */
export interface CharacterSource {
  /** The next one, which stays; undefined at the end. */
  peek(): Steps<string | undefined>;
  /** Takes the one that was looked at. */
  take(): void;
}

/** The characters of a text. */
export function textSource(text: string): CharacterSource {
  let at = 0;
  return {
    *peek() {
      return text[at];
    },
    take() {
      at++;
    },
  };
}

const EOF = -1;
const CONVERSION = /^%(\*?)(\d*)(hh|h|ll|l|q|j|z|t|L)?(?:([diouxXpcsneEfFgGaA%])|\[(\^?\]?[^\]]*)\])/;
/** Longer numbers than any format of numbers needs are not gathered. */
const MAX_NUMBER = 512;

interface Conversion {
  readonly skip: boolean;
  readonly width: number;
  readonly size: string;
  readonly kind: string;
  readonly set: string;
}

const isSpace = (c: string | undefined): boolean => c !== undefined && /[ \t-\r]/.test(c);

/** Takes what a format asks for and stores it; gives how many values were stored, EOF when the input ended before any. */
export function* scanFormat(
  k: Kernel,
  source: CharacterSource,
  format: string,
  args: VarArgs,
): Steps<number> {
  const scanner = new Scanner(k, source, args);
  let rest = format;
  while (rest !== '') {
    if (isSpace(rest[0])) {
      rest = rest.trimStart();
      yield* scanner.skipSpaces();
      continue;
    }
    const match = CONVERSION.exec(rest);
    const literal = match === null ? rest[0] : match[4] === '%' ? '%' : undefined;
    rest = rest.slice(match?.[0].length ?? 1);
    const going =
      literal === undefined ? yield* scanner.convert(conversion(match)) : yield* scanner.literal(literal);
    if (!going) break;
  }
  return scanner.result;
}

function conversion(match: RegExpExecArray | null): Conversion {
  const [, star = '', width = '', size = '', kind = '[', set = ''] = match ?? [];
  return {
    skip: star !== '',
    width: width === '' ? Number.POSITIVE_INFINITY : Number(width),
    size,
    kind,
    set,
  };
}

class Scanner {
  private readonly k: Kernel;
  private readonly source: CharacterSource;
  private readonly args: VarArgs;
  private taken = 0;
  private stored = 0;
  private converted = false;
  private ended = false;

  constructor(k: Kernel, source: CharacterSource, args: VarArgs) {
    this.k = k;
    this.source = source;
    this.args = args;
  }

  get result(): number {
    return this.ended && !this.converted ? EOF : this.stored;
  }

  *skipSpaces(): Steps<void> {
    while (isSpace(yield* this.source.peek())) this.take();
  }

  *literal(c: string): Steps<boolean> {
    if (c === '%') yield* this.skipSpaces();
    const next = yield* this.source.peek();
    if (next === undefined) this.ended = true;
    if (next !== c) return false;
    this.take();
    return true;
  }

  /** One conversion; false ends the scan. */
  *convert(one: Conversion): Steps<boolean> {
    if (one.kind === 'n') {
      if (!one.skip) this.storeInteger(BigInt(this.taken), one.size);
      return true;
    }
    if (one.kind !== 'c' && one.kind !== '[') yield* this.skipSpaces();
    if ((yield* this.source.peek()) === undefined) {
      this.ended = true;
      return false;
    }
    const done = yield* this.value(one);
    if (done) this.converted = true;
    if (done && !one.skip) this.stored++;
    return done;
  }

  private *value(one: Conversion): Steps<boolean> {
    switch (one.kind) {
      case 'c':
        return this.storeText(
          one,
          yield* this.gather(() => true, one.width === Number.POSITIVE_INFINITY ? 1 : one.width),
          '',
        );
      case 's':
        return this.storeText(one, yield* this.gather((c) => !isSpace(c), one.width), '\0');
      case '[':
        return this.storeText(one, yield* this.gather(member(one.set), one.width), '\0');
      case 'd':
      case 'u':
        return yield* this.integer(one, 10);
      case 'i':
        return yield* this.integer(one, 0);
      case 'o':
        return yield* this.integer(one, 8);
      case 'x':
      case 'X':
      case 'p':
        return yield* this.integer(one, 16);
      default:
        return yield* this.real(one);
    }
  }

  /** Characters for as long as they fit. */
  private *gather(fits: (c: string, so: string) => boolean, width: number): Steps<string> {
    let text = '';
    while (text.length < width) {
      const c = yield* this.source.peek();
      if (c === undefined || !fits(c, text)) break;
      this.take();
      text += c;
    }
    return text;
  }

  private take(): void {
    this.source.take();
    this.taken++;
  }

  private storeText({ skip }: Conversion, text: string, end: string): boolean {
    if (text === '') return false;
    if (!skip) this.k.memory.write(this.args.pointer(), bytesOf(text + end));
    return true;
  }

  private *integer(one: Conversion, base: number): Steps<boolean> {
    const shape =
      base === 8 ? /^[+-]?[0-7]*$/ : base === 10 ? /^[+-]?\d*$/ : /^[+-]?(0?|0[xX][\da-fA-F]*|[\da-fA-F]*)$/;
    const loose = base === 0 ? /^[+-]?(0?|0[xX][\da-fA-F]*|0[0-7]*|[1-9]\d*)$/ : shape;
    const text = yield* this.gather((c, so) => loose.test(so + c), Math.min(one.width, MAX_NUMBER));
    const [, sign, digits] = /^([+-]?)(.*)$/.exec(text) ?? [];
    if (digits === undefined || !/[\da-fA-F]$/.test(digits)) return false;
    const hex = /^0[xX]/.test(digits);
    const radix = base !== 0 ? base : hex ? 16 : digits[0] === '0' ? 8 : 10;
    let value = 0n;
    for (const digit of hex ? digits.slice(2) : digits)
      value = value * BigInt(radix) + BigInt(Number.parseInt(digit, 36));
    if (!one.skip) this.storeInteger(sign === '-' ? -value : value, one.kind === 'p' ? 'z' : one.size);
    return true;
  }

  private *real(one: Conversion): Steps<boolean> {
    const shape = /^[+-]?(\d*|\d*\.\d*)(?:(?<=\d\.?)[eE][+-]?\d*)?$/;
    const text = yield* this.gather((c, so) => shape.test(so + c), Math.min(one.width, MAX_NUMBER));
    const { value, next } = parseReal(text);
    if (next === 0 || next !== text.length) return false;
    if (one.skip) return true;
    const to = this.args.pointer();
    const wide = one.size === 'l' || one.size === 'L';
    this.k.memory.write(to, new Uint8Array((wide ? Float64Array : Float32Array).of(value).buffer));
    return true;
  }

  private storeInteger(value: bigint, size: string): void {
    const { memory, types } = this.k;
    const to = this.args.pointer();
    const long = /^[ljzt]$/.test(size) && (size === 'j' || types.model.long === 8);
    if (size === 'll' || size === 'q' || size === 'L' || long) memory.setU64(to, BigInt.asUintN(64, value));
    else if (size === 'hh') memory.set8(to, Number(BigInt.asUintN(8, value)));
    else if (size === 'h') memory.set16(to, Number(BigInt.asUintN(16, value)));
    else memory.set32(to, Number(BigInt.asIntN(32, value)));
  }
}

/** Is a character in a set as scanf writes them: `^` first turns it round, a hyphen between two means all between. */
function member(set: string): (c: string) => boolean {
  const negated = set.startsWith('^');
  const listed = negated ? set.slice(1) : set;
  const all = new Set<string>();
  for (let i = 0; i < listed.length; i++) {
    const [from, dash, to] = [listed[i], listed[i + 1], listed[i + 2]];
    if (dash === '-' && to !== undefined) {
      for (let code = from.charCodeAt(0); code <= to.charCodeAt(0); code++)
        all.add(String.fromCharCode(code));
      i += 2;
    } else all.add(from);
  }
  return (c) => all.has(c) !== negated;
}
