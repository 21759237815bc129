/** The kernel's sscanf (lib/vsprintf.c): no floating point, no %p; character sets only with a width. */
import type { VarArgs } from '../../../abi/convention.ts';
import { bytesOf } from '../../../kernel/text/sink.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { basePrefix, readDigits } from '../number-text.ts';
import { kernelFunctions } from './define.ts';
import { byteString, writeText } from './format/printf.ts';

/** SHRT_MAX: the width of a %s that names none. */
const STRING_WIDTH = 32767;

const isSpace = (c: string | undefined): boolean => c !== undefined && /[\t\n\v\f\r \xa0]/.test(c);
const BASES: Record<string, number | undefined> = { o: 8, x: 16, X: 16, i: 0, d: 10, u: 10 };

class Scanner {
  private at = 0;
  private fmt = 0;
  private count = 0;
  private readonly k: Linux;
  private readonly text: string;
  private readonly format: string;
  private readonly args: VarArgs;

  constructor(k: Linux, text: string, format: string, args: VarArgs) {
    this.k = k;
    this.text = text;
    this.format = format;
    this.args = args;
  }

  run(): number {
    while (this.fmt < this.format.length && this.step());
    return this.count;
  }

  /** One element of the format; false ends the scan. */
  private step(): boolean {
    const c = this.format[this.fmt++];
    if (isSpace(c)) {
      while (isSpace(this.format[this.fmt])) this.fmt++;
      this.skipSpaces();
      return true;
    }
    if (c !== '%') return this.text[this.at++] === c;
    if (this.format[this.fmt] === '*') return this.skipField();
    const [width, qualifier, kind] = this.readSpec();
    if (kind === 'n') {
      this.k.memory.set32(this.args.pointer(), this.at);
      return true;
    }
    if (kind === undefined || width === 0 || this.at >= this.text.length) return false;
    if (kind === '%') return this.text[this.at++] === '%';
    if (kind === 'c') return this.takeCharacters(width < 0 ? 1 : width);
    if (kind === 's') return this.takeString(width < 0 ? STRING_WIDTH : width);
    if (kind === '[') return this.takeSet(width);
    const base = BASES[kind];
    return base !== undefined && this.takeNumber(base, kind === 'd' || kind === 'i', width, qualifier);
  }

  private readSpec(): [number, string, string | undefined] {
    const found = /^(\d*)(hh?|ll?|L|z|H)?/.exec(this.format.slice(this.fmt));
    this.fmt += found?.[0].length ?? 0;
    const width = found?.[1] ? Number(found[1]) : -1;
    return [width, found?.[2] ?? '', this.format[this.fmt++]];
  }

  private skipSpaces(): void {
    while (isSpace(this.text[this.at])) this.at++;
  }

  private skipField(): boolean {
    if (this.at >= this.text.length) return false;
    while (
      this.fmt < this.format.length &&
      !isSpace(this.format[this.fmt]) &&
      this.format[this.fmt] !== '%'
    ) {
      if (this.format[this.fmt] === '[') return false;
      this.fmt++;
    }
    while (this.at < this.text.length && !isSpace(this.text[this.at])) this.at++;
    return true;
  }

  private takeCharacters(width: number): boolean {
    const taken = this.text.slice(this.at, this.at + width);
    this.k.memory.write(this.args.pointer(), bytesOf(taken));
    this.at += taken.length;
    this.count++;
    return true;
  }

  private takeString(width: number): boolean {
    this.skipSpaces();
    const start = this.at;
    while (this.at < this.text.length && this.at - start < width && !isSpace(this.text[this.at])) this.at++;
    writeText(this.k, this.args.pointer(), this.text.slice(start, this.at));
    this.count++;
    return true;
  }

  private takeSet(width: number): boolean {
    if (width < 0) return false;
    const negated = this.format[this.fmt] === '^';
    if (negated) this.fmt++;
    const close = this.format.indexOf(']', this.fmt);
    if (close <= this.fmt) return false;
    const set = this.format.slice(this.fmt, close);
    this.fmt = close + 1;
    const start = this.at;
    while (
      this.at < this.text.length &&
      this.at - start < width &&
      set.includes(this.text[this.at]) !== negated
    )
      this.at++;
    if (this.at === start) return false;
    writeText(this.k, this.args.pointer(), this.text.slice(start, this.at));
    this.count++;
    return true;
  }

  private takeNumber(base: number, signed: boolean, width: number, qualifier: string): boolean {
    this.skipSpaces();
    const field = this.text.slice(this.at, width < 0 ? undefined : this.at + width);
    const negative = signed && field[0] === '-';
    const body = negative ? field.slice(1) : field;
    const probe = base === 0 ? 10 : base;
    if (readDigits(body.slice(0, 1), probe).length === 0) return false;
    const [actual, prefix] = basePrefix(body, base);
    const digits = readDigits(body.slice(prefix), actual);
    this.store(negative ? -digits.value : digits.value, qualifier);
    this.at += (negative ? 1 : 0) + prefix + digits.length;
    this.count++;
    return true;
  }

  private store(value: bigint, qualifier: string): void {
    const { memory } = this.k;
    const to = this.args.pointer();
    const low = Number(BigInt.asIntN(32, value));
    if (qualifier === 'hh' || qualifier === 'H') memory.set8(to, low & 0xff);
    else if (qualifier === 'h') memory.set16(to, low & 0xffff);
    else if (qualifier === '') memory.set32(to, low);
    else if (/^(l|z|t)$/.test(qualifier)) memory.setUlong(to, BigInt.asUintN(64, value));
    else memory.setU64(to, BigInt.asUintN(64, value));
  }
}

/** Scans a text; the number of values stored. */
export function scan(k: Linux, text: Address, format: Address, args: VarArgs): number {
  return new Scanner(k, byteString(k, text), byteString(k, format), args).run();
}

export const scanning = kernelFunctions({
  'int sscanf(const char *buf, const char *fmt, ...)': (k, text, fmt, args) => scan(k, text, fmt, args),
  'int vsscanf(const char *buf, const char *fmt, va_list args)': (k, text, fmt, args) =>
    scan(k, text, fmt, args),
});
