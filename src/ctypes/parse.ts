import { Annotations, type AttributeSet, NO_ATTRIBUTES } from './attributes.ts';
import { BASIC_WORDS, basicType } from './basic.ts';
import { CTypeError } from './error.ts';
import { foldConstant } from './expression.ts';
import { layOut, type Member } from './layout.ts';
import { syntaxError, type Token, tokenize } from './lex.ts';
import type { DataModel } from './model.ts';
import {
  type CType,
  type EnumType,
  type Field,
  type FunctionType,
  resolve,
  sizeOf,
  type TypedefType,
} from './type.ts';

/** Where the parser looks names up and puts what it finds. */
export interface Scope {
  readonly model: DataModel;
  typedef(name: string): CType | undefined;
  tag(kind: 'struct' | 'union' | 'enum', name: string): CType | undefined;
  /** Only what was declared in this scope, not what stands behind it. */
  ownTag(kind: 'struct' | 'union', name: string): CType | undefined;
  constant(name: string): bigint | undefined;
  defineTypedef(type: TypedefType): void;
  defineTag(name: string, type: CType): void;
  defineConstant(name: string, value: bigint): void;
  defineFunction(name: string, type: FunctionType): void;
  defineVariable(name: string, type: CType): void;
}

/** A record while it is being read: references taken before its end see its fields afterwards. */
export interface MutableRecord {
  readonly kind: 'struct' | 'union';
  readonly name: string;
  size: number;
  align: number;
  fields: readonly Field[];
  complete: boolean;
}

/** One declarator: what is declared, and as what. */
export interface Declared {
  readonly name: string;
  readonly type: CType;
}

/** Deeper than any real declaration; ends `((((((...` before the stack does. */
const MAX_DEPTH = 100;

/** Recursive descent over C11 declarations (section 6.7), with gcc's and Microsoft's extensions that headers use. */
export class Parser {
  readonly #source: string;
  readonly #tokens: readonly Token[];
  readonly #scope: Scope;
  readonly #annotations: Annotations;
  #at = 0;
  #depth = 0;
  #pack: number | undefined;
  readonly #packStack: (number | undefined)[] = [];

  constructor(source: string, scope: Scope) {
    this.#source = source;
    this.#tokens = tokenize(source);
    this.#scope = scope;
    this.#annotations = new Annotations({
      peek: (ahead = 0) => this.#peek(ahead),
      next: () => this.#next(),
      expect: (text) => this.#expect(text),
      constant: () => Number(this.#constant()),
      fail: (problem) => this.#fail(problem),
      isType: (name) => this.#scope.typedef(name) !== undefined,
    });
  }

  /** All declarations of the text, into the scope. */
  file(): void {
    while (this.#peek().kind !== 'end') this.#external();
  }

  /** A type name: `const struct file *`, `int (*)(void)`. */
  typeName(): CType {
    const base = this.#specifiers();
    const { type } = this.#declarator(base.type);
    this.#end();
    return type;
  }

  /** One prototype, with or without a semicolon. */
  prototype(): Declared & { type: FunctionType } {
    const base = this.#specifiers();
    const declared = this.#declarator(base.type, true);
    this.#accept(';');
    this.#end();
    if (declared.type.kind !== 'function') this.#fail('expected a function prototype');
    return { name: declared.name, type: declared.type as FunctionType };
  }

  #external(): void {
    if (this.#peek().kind === 'pragma') {
      this.#pragma(this.#next());
      return;
    }
    if (this.#accept(';')) return;
    const base = this.#specifiers();
    if (this.#accept(';')) return;
    for (;;) {
      const declared = this.#declarator(base.type, true);
      if (declared.name === '') this.#fail('expected a name');
      if (base.typedef) this.#defineTypedef(declared, base.attributes.align);
      else if (declared.type.kind === 'function') this.#scope.defineFunction(declared.name, declared.type);
      else this.#scope.defineVariable(declared.name, declared.type);
      if (this.#peek().text === '{' && declared.type.kind === 'function') {
        this.#skipBody();
        return;
      }
      if (this.#accept('=')) this.#skipInitialiser();
      if (!this.#accept(',')) break;
    }
    this.#expect(';');
  }

  #defineTypedef({ name, type, attributes }: Declared & { attributes: AttributeSet }, before = 0): void {
    const align = Math.max(before, attributes.align ?? 0);
    this.#scope.defineTypedef({ kind: 'typedef', name, target: type, ...(align === 0 ? {} : { align }) });
  }

  /** `static inline` functions in headers: their declaration counts, their body does not. */
  #skipBody(): void {
    let depth = 0;
    do {
      const { text, kind } = this.#next();
      if (kind === 'end') this.#fail("a function's body is not closed");
      if (text === '{') depth++;
      if (text === '}') depth--;
    } while (depth > 0);
  }

  #skipInitialiser(): void {
    for (let depth = 0; ; this.#next()) {
      const { text, kind } = this.#peek();
      if (kind === 'end') this.#fail('an initialiser is not closed');
      if (depth === 0 && (text === ',' || text === ';')) return;
      if (/^[([{]$/.test(text)) depth++;
      if (/^[)\]}]$/.test(text)) depth--;
    }
  }

  #pragma(token: Token): void {
    const define = /^#\s*define\s+(\w+)\s+(.*)$/.exec(token.text);
    if (define !== null) {
      const value = this.#fold(define[2]!);
      // Only numbers matter here: other macros stand for code.
      if (value !== undefined) this.#scope.defineConstant(define[1]!, value);
      return;
    }
    const pack = /pack\s*\(\s*(?:(push|pop)\s*,?\s*)?(?:\w+\s*,\s*)?(\d*)\s*\)/.exec(token.text);
    if (pack === null) this.#fail(`'${token.text.trim()}' is not understood`);
    if (pack[1] === 'push') this.#packStack.push(this.#pack);
    if (pack[1] === 'pop') this.#pack = this.#packStack.pop();
    else this.#pack = pack[2] === '' ? this.#pack : Number(pack[2]);
    if (pack[1] === undefined && pack[2] === '') this.#pack = undefined;
  }

  /** C11 6.7: declaration specifiers in any order. */
  #specifiers(): { type: CType; typedef: boolean; attributes: AttributeSet } {
    const words: string[] = [];
    let type: CType | undefined;
    let typedef = false;
    let attributes: AttributeSet = NO_ATTRIBUTES;
    for (;;) {
      const token = this.#peek();
      if (token.kind !== 'name') break;
      const { text } = token;
      if (text === 'typedef') typedef = true;
      if (text === 'typedef' || this.#annotations.isStorageOrQualifier(text)) {
        this.#next();
      } else if (BASIC_WORDS.has(text) && type === undefined) {
        words.push(this.#next().text);
      } else if (text === 'struct' || text === 'union') {
        type = this.#record(text);
      } else if (text === 'enum') {
        type = this.#enum();
      } else if (this.#annotations.starts(text, this.#peek(1).text)) {
        attributes = this.#annotations.read(attributes);
      } else if (type === undefined && words.length === 0) {
        type = this.#named();
      } else break;
    }
    if (type === undefined) type = basicType(words, this.#scope.model);
    if (type === undefined)
      this.#fail(words.length === 0 ? 'expected a type' : `'${words.join(' ')}' is no type`);
    return { type, typedef, attributes };
  }

  #named(): CType {
    const token = this.#peek();
    const known = this.#scope.typedef(token.text);
    if (known === undefined) this.#fail(`'${token.text}' is no type that is known here`);
    this.#next();
    return known;
  }

  #record(kind: 'struct' | 'union'): CType {
    this.#next();
    let attributes = this.#attributes(NO_ATTRIBUTES);
    const tag = this.#peek().kind === 'name' ? this.#next().text : '';
    attributes = this.#attributes(attributes);
    if (!this.#accept('{')) {
      if (tag === '') this.#fail(`expected a tag or '{' after ${kind}`);
      return this.#referToTag(kind, tag);
    }
    const record = this.#openRecord(kind, tag);
    const members = this.#members();
    attributes = this.#attributes(attributes);
    const { packed, align } = attributes;
    Object.assign(record, layOut(members, { kind, packed, align, pack: this.#pack }, this.#scope.model));
    record.complete = true;
    return record;
  }

  #referToTag(kind: 'struct' | 'union', tag: string): CType {
    const known = this.#scope.tag(kind, tag);
    if (known !== undefined) return known;
    const forward: MutableRecord = { kind, name: tag, size: 0, align: 1, fields: [], complete: false };
    this.#scope.defineTag(tag, forward);
    return forward;
  }

  /** The record a definition fills: the earlier forward declaration, so that pointers to it become complete. */
  #openRecord(kind: 'struct' | 'union', tag: string): MutableRecord {
    const known = tag === '' ? undefined : this.#scope.ownTag(kind, tag);
    if (known !== undefined && (known.kind === 'struct' || known.kind === 'union') && !known.complete) {
      return known as MutableRecord;
    }
    const record: MutableRecord = { kind, name: tag, size: 0, align: 1, fields: [], complete: false };
    if (tag !== '') this.#scope.defineTag(tag, record);
    return record;
  }

  #members(): Member[] {
    const members: Member[] = [];
    this.#enter();
    while (!this.#accept('}')) {
      if (this.#accept(';')) continue;
      if (this.#peek().kind === 'pragma') this.#pragma(this.#next());
      else this.#member(members);
    }
    this.#leave();
    return members;
  }

  #member(members: Member[]): void {
    const base = this.#specifiers();
    if (this.#accept(';')) {
      const { type } = base;
      // C11 6.7.2.1: a record without declarator is an anonymous member if it has no tag; else it only declares.
      const anonymous = (type.kind === 'struct' || type.kind === 'union') && type.complete;
      if (anonymous) members.push({ name: '', type });
      return;
    }
    do {
      const declared =
        this.#peek().text === ':'
          ? { name: '', type: base.type, attributes: NO_ATTRIBUTES }
          : this.#declarator(base.type, true);
      const bitSize = this.#accept(':') ? Number(this.#constant()) : undefined;
      const late = this.#attributes(declared.attributes);
      const align = Math.max(late.align ?? 0, base.attributes.align ?? 0);
      this.#checkMember(declared, bitSize);
      members.push({
        name: declared.name,
        type: declared.type,
        ...(bitSize === undefined ? {} : { bitSize }),
        ...(align === 0 ? {} : { align }),
        packed: late.packed || base.attributes.packed,
      });
    } while (this.#accept(','));
    this.#expect(';');
  }

  #checkMember({ name, type }: Declared, bitSize: number | undefined): void {
    const real = resolve(type);
    const shown = name === '' ? 'this member' : `'${name}'`;
    if (real.kind === 'void' || real.kind === 'function') this.#fail(`${shown} has no size`);
    if ((real.kind === 'struct' || real.kind === 'union') && !real.complete) {
      this.#fail(`${shown} holds ${real.kind} ${real.name} by value, which is not defined yet`);
    }
    if (bitSize === undefined) return;
    if (real.kind !== 'integer' && real.kind !== 'enum')
      this.#fail(`${shown}: a bit-field must be an integer`);
    if (!(bitSize >= 0 && bitSize <= sizeOf(real) * 8))
      this.#fail(`${shown}: ${bitSize} bits do not fit its type`);
  }

  #enum(): CType {
    this.#next();
    let attributes = this.#attributes(NO_ATTRIBUTES);
    const tag = this.#peek().kind === 'name' ? this.#next().text : '';
    if (!this.#accept('{')) {
      if (tag === '') this.#fail("expected a tag or '{' after enum");
      // An enumeration that is only named has the size of an int in every ABI here.
      return this.#scope.tag('enum', tag) ?? { kind: 'enum', name: tag, size: 4, signed: false, values: [] };
    }
    const values: { name: string; value: number | bigint }[] = [];
    let next = 0n;
    while (!this.#accept('}')) {
      const name = this.#name('a constant of the enumeration');
      this.#attributes(NO_ATTRIBUTES);
      if (this.#accept('=')) next = this.#constant();
      this.#scope.defineConstant(name, next);
      values.push({ name, value: Number.isSafeInteger(Number(next)) ? Number(next) : next });
      next++;
      if (!this.#accept(',') && this.#peek().text !== '}') this.#fail("expected ',' or '}'");
    }
    attributes = this.#attributes(attributes);
    const type = enumType(tag, values, attributes.packed);
    if (tag !== '') this.#scope.defineTag(tag, type);
    return type;
  }

  /** C11 6.7.6. The name may be missing (abstract declarators and parameters). */
  #declarator(base: CType, mustName = false): Declared & { attributes: AttributeSet } {
    this.#enter();
    let type = base;
    let attributes = this.#attributes(NO_ATTRIBUTES);
    while (this.#accept('*')) {
      type = { kind: 'pointer', size: this.#scope.model.pointer, target: type };
      while (this.#peek().kind === 'name' && this.#annotations.isStorageOrQualifier(this.#peek().text))
        this.#next();
      attributes = this.#attributes(attributes);
    }
    if (this.#peek().text === '(' && (mustName || this.#opensDeclarator())) {
      // The inner declarator applies to what follows the parenthesis, so that is read first.
      const inner = this.#at + 1;
      this.#skipParentheses();
      const outer = this.#suffixes(type);
      const after = this.#at;
      this.#at = inner;
      const declared = this.#declarator(outer, mustName);
      this.#expect(')');
      this.#at = after;
      this.#leave();
      return { ...declared, attributes: this.#attributes(declared.attributes) };
    }
    const name = this.#peek().kind === 'name' ? this.#next().text : '';
    attributes = this.#attributes(attributes);
    type = this.#suffixes(type);
    attributes = this.#attributes(attributes);
    this.#leave();
    return { name, type, attributes };
  }

  /** `(` after a type: a nested declarator, or the parameters of an unnamed function? */
  #opensDeclarator(): boolean {
    const next = this.#peek(1);
    if (next.text === '*' || next.text === '(' || next.text === '^') return true;
    if (next.kind !== 'name') return false;
    if (this.#annotations.starts(next.text, this.#peek(2).text)) return true;
    return !this.#startsType(next.text);
  }

  #startsType(name: string): boolean {
    return (
      BASIC_WORDS.has(name) ||
      /^(struct|union|enum)$/.test(name) ||
      this.#annotations.isStorageOrQualifier(name) ||
      this.#scope.typedef(name) !== undefined
    );
  }

  #skipParentheses(): void {
    let depth = 0;
    do {
      const { text, kind } = this.#next();
      if (kind === 'end') this.#fail("')' is missing");
      if (text === '(') depth++;
      if (text === ')') depth--;
    } while (depth > 0);
  }

  #suffixes(base: CType): CType {
    if (this.#peek().text === '(') return this.#parameters(base);
    const counts: number[] = [];
    while (this.#accept('[')) {
      while (/^(static|const|restrict|volatile)$/.test(this.#peek().text)) this.#next();
      counts.push(this.#peek().text === ']' ? 0 : Number(this.#constant()));
      this.#expect(']');
    }
    if (counts.some((count) => !(count >= 0))) this.#fail('an array has less than no elements');
    return counts.reduceRight<CType>((element, count) => ({ kind: 'array', element, count }), base);
  }

  #parameters(returns: CType): CType {
    this.#enter();
    this.#expect('(');
    const parameters: Declared[] = [];
    let variadic = false;
    while (!this.#accept(')')) {
      if (this.#accept('...')) variadic = true;
      else parameters.push(this.#parameter());
      if (!this.#accept(',') && this.#peek().text !== ')') this.#fail("expected ',' or ')'");
    }
    this.#leave();
    const only = parameters[0];
    const none = parameters.length === 1 && only!.name === '' && resolve(only!.type).kind === 'void';
    return { kind: 'function', returns, parameters: none ? [] : parameters, variadic };
  }

  /** C11 6.7.6.3: arrays and functions as parameters are pointers. */
  #parameter(): Declared {
    const base = this.#specifiers();
    const { name, type } = this.#declarator(base.type);
    const real = resolve(type);
    const size = this.#scope.model.pointer;
    if (type.kind === 'array') return { name, type: { kind: 'pointer', size, target: type.element } };
    if (real.kind === 'function') return { name, type: { kind: 'pointer', size, target: type } };
    return { name, type };
  }

  #attributes(before: AttributeSet): AttributeSet {
    let attributes = before;
    while (this.#peek().kind === 'name' && this.#annotations.starts(this.#peek().text, this.#peek(1).text)) {
      attributes = this.#annotations.read(attributes);
    }
    return attributes;
  }

  /** A constant expression up to a token that cannot belong to it. */
  #constant(): bigint {
    const from = this.#peek().at;
    let depth = 0;
    while (this.#peek().kind !== 'end') {
      const { text } = this.#peek();
      if (depth === 0 && /^[,;)\]}]$/.test(text)) break;
      if (text === '(' || text === '[') depth++;
      if (text === ')' || text === ']') depth--;
      this.#next();
    }
    const text = this.#source.slice(from, this.#peek().at);
    const value = this.#fold(text);
    if (value === undefined) this.#fail(`'${text.trim()}' is no constant that is known here`);
    return value;
  }

  #fold(text: string): bigint | undefined {
    return foldConstant(
      text,
      (name) => this.#scope.constant(name),
      (name) => this.#sizeOfName(name),
    );
  }

  #sizeOfName(text: string): bigint | undefined {
    try {
      return BigInt(sizeOf(new Parser(text, this.#scope).typeName()));
    } catch (error) {
      if (error instanceof CTypeError) return undefined;
      throw error;
    }
  }

  #name(what: string): string {
    if (this.#peek().kind !== 'name') this.#fail(`expected ${what}`);
    return this.#next().text;
  }

  #peek(ahead = 0): Token {
    return this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)]!;
  }

  #next(): Token {
    const token = this.#peek();
    if (this.#at < this.#tokens.length - 1) this.#at++;
    return token;
  }

  #accept(text: string): boolean {
    if (this.#peek().text !== text || this.#peek().kind !== 'punctuation') return false;
    this.#next();
    return true;
  }

  #expect(text: string): void {
    if (!this.#accept(text)) this.#fail(`expected '${text}'`);
  }

  #end(): void {
    if (this.#peek().kind !== 'end') this.#fail(`'${this.#peek().text}' is left over`);
  }

  #enter(): void {
    if (++this.#depth > MAX_DEPTH) this.#fail(`nested more than ${MAX_DEPTH} deep`);
  }

  #leave(): void {
    this.#depth--;
  }

  #fail(problem: string): never {
    throw syntaxError(this.#source, this.#peek().at, problem);
  }
}

/** gcc and Microsoft: int unless a value needs more; gcc makes it unsigned when no value is negative. */
function enumType(name: string, values: EnumType['values'], packed: boolean): EnumType {
  let low = 0n;
  let high = 0n;
  for (const { value } of values) {
    if (BigInt(value) < low) low = BigInt(value);
    if (BigInt(value) > high) high = BigInt(value);
  }
  const signed = low < 0n;
  const fits = (size: number) =>
    signed
      ? low >= -(1n << BigInt(size * 8 - 1)) && high < 1n << BigInt(size * 8 - 1)
      : high < 1n << BigInt(size * 8);
  const size = (packed ? [1, 2, 4, 8] : [4, 8]).find(fits) ?? 8;
  return { kind: 'enum', name, size, signed, values };
}
