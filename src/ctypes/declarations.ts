import { CTypeError } from './error.ts';
import type { DataModel } from './model.ts';
import { Parser, type Scope } from './parse.ts';
import { type Prototype, prototypeOf } from './prototype.ts';
import type { NamedKind, TypeSource } from './table.ts';
import type { CType, FunctionType, TypedefType } from './type.ts';

export interface DeclarationOptions {
  /** Looked through before what was declared here: a kernel's own types. Its data model is used. */
  readonly before?: TypeSource;
  /** Declarations by the typedef they define, read when that name is first met and nothing else has it. */
  readonly onDemand?: ReadonlyMap<string, string>;
}

/**
 * C declarations as a source of types. Text is added piece by piece, each seeing the ones before; a declaration that
 * was read stays even when a later one in the same text is wrong.
 */
export class Declarations implements TypeSource {
  readonly model: DataModel;
  readonly #before: TypeSource | undefined;
  readonly #onDemand: Map<string, string>;
  readonly #types = new Map<string, CType>();
  readonly #constants = new Map<string, bigint>();
  readonly #scope: Scope;

  constructor(model: DataModel, options: DeclarationOptions = {}) {
    this.model = options.before?.model ?? model;
    this.#before = options.before;
    this.#onDemand = new Map(options.onDemand);
    this.#scope = this.#makeScope();
  }

  /**
   * Reads declarations: types, prototypes, variables, bodies of inline functions (skipped), `#define NAME number` and
   * `#pragma pack`. Throws CTypeError (Syntax) with line and column.
   */
  add(text: string): this {
    new Parser(text, this.#scope).file();
    return this;
  }

  /** The type that a C type name denotes: `const struct file *`. Throws CTypeError (Syntax). */
  type(text: string): CType {
    return new Parser(text, this.#scope).typeName();
  }

  /** Reads one prototype without keeping it. Throws CTypeError (Syntax), also when it has no name. */
  prototype(text: string): Prototype {
    const { name, type } = new Parser(text, this.#scope).prototype();
    if (name === '') throw new CTypeError('Syntax', `prototype '${text}' has no name`);
    return prototypeOf(name, type, this.model);
  }

  find(kind: NamedKind, name: string): CType | undefined {
    const theirs = this.#before?.find(kind, name);
    if (theirs !== undefined && !('complete' in theirs && !theirs.complete)) return theirs;
    const text = kind === 'typedef' ? this.#onDemand.get(name) : undefined;
    if (text !== undefined && theirs === undefined) {
      this.#onDemand.delete(name);
      this.add(text);
    }
    return this.#types.get(`${kind} ${name}`) ?? theirs;
  }

  *names(kind: NamedKind): Iterable<string> {
    if (this.#before !== undefined) yield* this.#before.names(kind);
    for (const key of this.#types.keys()) {
      if (key.startsWith(`${kind} `)) yield key.slice(kind.length + 1);
    }
  }

  enumerator(name: string): number | bigint | undefined {
    const theirs = this.#before?.enumerator(name);
    if (theirs !== undefined) return theirs;
    const own = this.#constants.get(name);
    if (own === undefined) return undefined;
    return Number.isSafeInteger(Number(own)) ? Number(own) : own;
  }

  /** Type of a declared variable. */
  variable(name: string): CType | undefined {
    return this.#types.get(`variable ${name}`);
  }

  #makeScope(): Scope {
    const set = (key: string, type: CType) => void this.#types.set(key, type);
    return {
      model: this.model,
      typedef: (name) => this.find('typedef', name),
      tag: (kind, name) => this.find(kind, name),
      ownTag: (kind, name) => this.#types.get(`${kind} ${name}`),
      constant: (name) => {
        const value = this.enumerator(name);
        return value === undefined ? undefined : BigInt(value);
      },
      defineTypedef: (type: TypedefType) => set(`typedef ${type.name}`, type),
      defineTag: (name, type) => set(`${type.kind} ${name}`, type),
      defineConstant: (name, value) => void this.#constants.set(name, value),
      defineFunction: (name: string, type: FunctionType) => set(`function ${name}`, type),
      defineVariable: (name, type) => set(`variable ${name}`, type),
    };
  }
}
