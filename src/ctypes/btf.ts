import { Invalid, Truncated, Unsupported } from '../bytes/errors.ts';
import { type BtfParts, readBtf } from './btf-blob.ts';
import {
  EXTRA_WORDS,
  INT_BOOL,
  INT_CHAR,
  INT_SIGNED,
  infoFlag,
  infoKind,
  infoLength,
  Kind,
  TYPE_WORDS,
} from './btf-layout.ts';
import { BtfNameIndex } from './btf-names.ts';
import { alignOf } from './layout.ts';
import { type DataModel, LP64, LP64_BE } from './model.ts';
import type { NamedKind, TypeSource } from './table.ts';
import type { CType, EnumType, Field, RecordType } from './type.ts';

/** A variable of a BTF data section: where the linker put it inside that section. */
export interface BtfVariable {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
  readonly type: CType;
}

const VOID: CType = { kind: 'void' };

/**
 * A BTF blob, read lazily: opening it walks the type records once (a few milliseconds for a whole kernel's
 * hundred thousand), and a type is built when it is asked for. Either byte order; split BTF takes its base.
 */
export class Btf implements TypeSource, BtfParts {
  readonly model: DataModel;
  readonly littleEndian: boolean;
  readonly base: Btf | undefined;
  /** First type id of this blob, and one past the last. */
  readonly firstId: number;
  readonly endId: number;
  /** The whole type section as host-order words; a view where alignment and byte order allow. */
  readonly words: Uint32Array;
  /** Word index of each type of this blob. */
  readonly starts: Uint32Array;
  /** The string section. */
  readonly strings: Uint8Array;
  /** String offsets below this belong to the base. */
  readonly #firstString: number;
  readonly #types = new Map<number, CType>();
  #names: BtfNameIndex | undefined;
  #enumerators: BtfNameIndex | undefined;
  #nesting = 0;

  /**
   * `source` is a blob, or its parts when they are at hand. `model` defaults to LP64 in the blob's byte order.
   * Throws BadMagic, Truncated, Invalid or Unsupported.
   */
  constructor(source: Uint8Array | BtfParts, options: { base?: Btf; model?: DataModel } = {}) {
    const parts = source instanceof Uint8Array ? readBtf(source) : source;
    this.base = options.base;
    this.model = options.model ?? options.base?.model ?? (parts.littleEndian ? LP64 : LP64_BE);
    if (this.model.littleEndian !== parts.littleEndian) {
      throw new Invalid('BTF', 'byte order differs from the data model or the base BTF');
    }
    this.littleEndian = parts.littleEndian;
    this.firstId = options.base?.endId ?? 1;
    this.#firstString = options.base?.endString ?? 0;
    this.strings = parts.strings;
    this.words = parts.words;
    this.starts = indexTypes(this.words);
    this.endId = this.firstId + this.starts.length;
  }

  /** One past the last string offset that belongs to this blob or its base. */
  get endString(): number {
    return this.#firstString + this.strings.length;
  }

  /** Bytes of the NUL-terminated string at an offset of the combined string section. */
  stringBytes(offset: number): Uint8Array {
    if (offset < this.#firstString) return this.base!.stringBytes(offset);
    const from = offset - this.#firstString;
    if (from > this.strings.length) {
      throw new Invalid('BTF', `string offset ${offset} lies past the end ${this.endString}`);
    }
    const end = this.strings.indexOf(0, from);
    return this.strings.subarray(from, end < 0 ? this.strings.length : end);
  }

  string(offset: number): string {
    const bytes = this.stringBytes(offset);
    let text = '';
    for (let i = 0; i < bytes.length; i++) text += String.fromCharCode(bytes[i]!);
    return text;
  }

  /** The type of an id; the same object each time. Throws Invalid for an id that does not exist. */
  type(id: number): CType {
    if (id === 0) return VOID;
    if (id < this.firstId) return this.base!.type(id);
    let type = this.#types.get(id);
    if (type === undefined) {
      if (id >= this.endId) throw new Invalid('BTF', `type id ${id}, but the last is ${this.endId - 1}`);
      type = this.#build(id, 0);
      this.#types.set(id, type);
    }
    return type;
  }

  find(kind: NamedKind, name: string): CType | undefined {
    const id = this.findId(kind, name);
    return id === 0 ? this.base?.find(kind, name) : this.type(id);
  }

  /** Id of a named type of this blob (not its base), 0 when there is none. A complete record wins over a forward. */
  findId(kind: NamedKind, name: string): number {
    this.#names ??= this.#indexNames();
    let forward = 0;
    for (const id of this.#names.find(name)) {
      const info = this.words[this.starts[id - this.firstId]! + 1]!;
      if (matchesKind(infoKind(info), infoFlag(info), kind)) {
        if (infoKind(info) !== Kind.Forward) return id;
        forward ||= id;
      }
    }
    return forward;
  }

  /** Every type of a kind and name: static functions and private records of different files can share theirs. */
  findAll(kind: NamedKind, name: string): CType[] {
    this.#names ??= this.#indexNames();
    const own = this.#names.find(name).filter((id) => {
      const info = this.words[this.starts[id - this.firstId]! + 1]!;
      return matchesKind(infoKind(info), infoFlag(info), kind);
    });
    return [...own.map((id) => this.type(id)), ...(this.base?.findAll(kind, name) ?? [])];
  }

  *names(kind: NamedKind): Iterable<string> {
    if (this.base !== undefined) yield* this.base.names(kind);
    for (const start of this.starts) {
      const info = this.words[start + 1]!;
      if (this.words[start] !== 0 && matchesKind(infoKind(info), infoFlag(info), kind)) {
        yield this.string(this.words[start]!);
      }
    }
  }

  enumerator(name: string): number | bigint | undefined {
    this.#enumerators ??= this.#indexEnumerators();
    for (const word of this.#enumerators.find(name)) return this.#enumeratorAt(word);
    return this.base?.enumerator(name);
  }

  /** Id of the enumeration of this blob that has a constant of that name, 0 when there is none. */
  enumId(constant: string): number {
    this.#enumerators ??= this.#indexEnumerators();
    const word = this.#enumerators.find(constant)[0];
    return word === undefined ? 0 : this.firstId + this.#enumOf(word);
  }

  /** Variables of a data section such as `.data..percpu`, in address order; empty when there is none. */
  variables(section: string): BtfVariable[] {
    const variables: BtfVariable[] = [];
    for (let id = this.firstId; id < this.endId; id++) {
      const at = this.starts[id - this.firstId]!;
      const info = this.words[at + 1]!;
      if (infoKind(info) !== Kind.DataSection || this.string(this.words[at]!) !== section) continue;
      for (let i = 0; i < infoLength(info); i++) {
        const entry = at + TYPE_WORDS + i * 3;
        const variable = this.#record(this.words[entry]!);
        variables.push({
          name: this.string(this.words[variable]!),
          offset: this.words[entry + 1]!,
          size: this.words[entry + 2]!,
          type: this.type(this.words[variable + 2]!),
        });
      }
    }
    return variables;
  }

  #record(id: number): number {
    if (id < this.firstId || id >= this.endId) {
      throw new Invalid('BTF', `type id ${id} is not of this blob (${this.firstId} to ${this.endId - 1})`);
    }
    return this.starts[id - this.firstId]!;
  }

  #build(id: number, depth: number): CType {
    const { words } = this;
    const at = this.#record(id);
    const info = words[at + 1]!;
    const last = words[at + 2]!;
    switch (infoKind(info)) {
      case Kind.Int:
        return this.#integer(at);
      case Kind.Pointer:
        return this.#pointer(last);
      case Kind.Array:
        return { kind: 'array', element: this.#inner(words[at + 3]!, depth), count: words[at + 5]! };
      case Kind.Struct:
      case Kind.Union:
        return this.#recordType(at);
      case Kind.Enum:
      case Kind.Enum64:
        return this.#enum(at);
      case Kind.Forward:
        return {
          kind: infoFlag(info) ? 'union' : 'struct',
          name: this.string(words[at]!),
          size: 0,
          align: 1,
          fields: [],
          complete: false,
        };
      case Kind.Typedef:
        return this.#typedef(at);
      case Kind.Volatile:
      case Kind.Const:
      case Kind.Restrict:
      case Kind.TypeTag:
      case Kind.Function:
      case Kind.Variable:
        return this.#inner(last, depth);
      case Kind.FunctionPrototype:
        return this.#function(at);
      case Kind.Float:
        return { kind: 'float', name: this.string(words[at]!), size: last };
      default:
        return VOID; // a data section or a tag is no type; nothing valid refers to one as such
    }
  }

  /** Qualifiers and arrays are followed at once, so a ring of them must be cut. */
  #inner(id: number, depth: number): CType {
    if (depth > 64) throw new Invalid('BTF', `type ${id} is part of a ring of qualifiers or arrays`);
    if (id === 0) return VOID;
    if (id < this.firstId) return this.base!.type(id);
    const known = this.#types.get(id);
    if (known !== undefined) return known;
    if (id >= this.endId) throw new Invalid('BTF', `type id ${id}, but the last is ${this.endId - 1}`);
    const type = this.#build(id, depth + 1);
    this.#types.set(id, type);
    return type;
  }

  #integer(at: number): CType {
    const encoding = this.words[at + 3]!;
    const flags = (encoding >>> 24) & 0xf;
    return {
      kind: 'integer',
      name: this.string(this.words[at]!),
      size: this.words[at + 2]!,
      signed: (flags & INT_SIGNED) !== 0,
      encoding: flags & INT_BOOL ? 'bool' : flags & INT_CHAR ? 'char' : 'int',
    };
  }

  #pointer(target: number): CType {
    const type = (id: number) => this.type(id);
    return {
      kind: 'pointer',
      size: this.model.pointer,
      get target() {
        return type(target);
      },
    };
  }

  #typedef(at: number): CType {
    const type = (id: number) => this.type(id);
    const target = this.words[at + 2]!;
    return {
      kind: 'typedef',
      name: this.string(this.words[at]!),
      get target() {
        return type(target);
      },
    };
  }

  #recordType(at: number): RecordType {
    const kind = infoKind(this.words[at + 1]!) === Kind.Struct ? 'struct' : 'union';
    const size = this.words[at + 2]!;
    let fields: readonly Field[] | undefined;
    let align: number | undefined;
    const readFields = () => (fields ??= this.#fields(at));
    const readAlign = () => (align ??= this.#inferAlign(readFields(), size));
    return {
      kind,
      name: this.string(this.words[at]!),
      size,
      complete: true,
      get fields() {
        return readFields();
      },
      get align() {
        return readAlign();
      },
    };
  }

  /**
   * BTF records no alignment. The natural one is the largest of the fields'; a record that breaks it, by an
   * offset or by its size, was declared packed, and then the largest power of two that fits everything is taken.
   */
  #inferAlign(fields: readonly Field[], size: number): number {
    // Real records nest less than 20 deep; a ring of records that contain each other would never end.
    if (this.#nesting > 64) return 1;
    this.#nesting++;
    let align = 1;
    let places = size;
    for (const field of fields) {
      align = Math.max(align, alignOf(field.type, this.model));
      if (field.bitSize === undefined) places |= field.bitOffset >> 3;
    }
    this.#nesting--;
    // The lowest set bit over size and offsets bounds every alignment that the layout can have had.
    return places === 0 ? align : Math.min(align, places & -places);
  }

  /** btf.rst section 2.2.4: with the kind flag, an offset word is bit size (8 bits) and bit offset (24 bits). */
  #fields(at: number): Field[] {
    const { words } = this;
    const info = words[at + 1]!;
    const fields: Field[] = [];
    for (let i = 0; i < infoLength(info); i++) {
      const member = at + TYPE_WORDS + i * 3;
      const name = this.string(words[member]!);
      const type = this.type(words[member + 1]!);
      const place = words[member + 2]!;
      if (!infoFlag(info)) fields.push({ name, type, bitOffset: place });
      else if (place >>> 24 === 0) fields.push({ name, type, bitOffset: place & 0xffffff });
      else fields.push({ name, type, bitOffset: place & 0xffffff, bitSize: place >>> 24 });
    }
    return fields;
  }

  #enum(at: number): EnumType {
    const info = this.words[at + 1]!;
    const each = infoKind(info) === Kind.Enum ? 2 : 3;
    const values: { name: string; value: number | bigint }[] = [];
    for (let i = 0; i < infoLength(info); i++) {
      const word = at + TYPE_WORDS + i * each;
      values.push({ name: this.string(this.words[word]!), value: this.#enumValue(info, word) });
    }
    // pahole before 1.24 leaves the flag off, and sets no sign: a negative constant shows it.
    const signed = infoFlag(info) || values.some((v) => v.value < 0);
    return { kind: 'enum', name: this.string(this.words[at]!), size: this.words[at + 2]!, signed, values };
  }

  #enumValue(info: number, word: number): number | bigint {
    const low = this.words[word + 1]!;
    if (infoKind(info) === Kind.Enum) return low | 0;
    const bits = (BigInt(this.words[word + 2]!) << 32n) | BigInt(low);
    const value = infoFlag(info) ? BigInt.asIntN(64, bits) : bits;
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  #function(at: number): CType {
    const { words } = this;
    const length = infoLength(words[at + 1]!);
    const type = (id: number) => this.type(id);
    const returns = words[at + 2]!;
    const entries: { name: string; id: number }[] = [];
    for (let i = 0; i < length; i++) {
      const parameter = at + TYPE_WORDS + i * 2;
      entries.push({ name: this.string(words[parameter]!), id: words[parameter + 1]! });
    }
    // Section 2.2.13: a last parameter with neither name nor type is the ellipsis.
    const last = entries.at(-1);
    const variadic = last !== undefined && last.id === 0 && last.name === '';
    if (variadic) entries.pop();
    return {
      kind: 'function',
      variadic,
      get returns() {
        return type(returns);
      },
      get parameters() {
        return entries.map((entry) => ({ name: entry.name, type: type(entry.id) }));
      },
    };
  }

  #indexNames(): BtfNameIndex {
    const index = new BtfNameIndex(this.starts.length, (offset) => this.stringBytes(offset));
    for (let id = this.firstId; id < this.endId; id++) {
      const at = this.starts[id - this.firstId]!;
      const kind = infoKind(this.words[at + 1]!);
      if (this.words[at] !== 0 && kind !== Kind.DeclTag && kind !== Kind.TypeTag)
        index.add(this.words[at]!, id);
    }
    return index;
  }

  #indexEnumerators(): BtfNameIndex {
    let count = 0;
    for (const at of this.starts) if (isEnum(this.words[at + 1]!)) count += infoLength(this.words[at + 1]!);
    const index = new BtfNameIndex(count, (offset) => this.stringBytes(offset));
    for (const at of this.starts) {
      const info = this.words[at + 1]!;
      if (!isEnum(info)) continue;
      const each = infoKind(info) === Kind.Enum ? 2 : 3;
      for (let i = 0; i < infoLength(info); i++) {
        const word = at + TYPE_WORDS + i * each;
        index.add(this.words[word]!, word);
      }
    }
    return index;
  }

  #enumeratorAt(word: number): number | bigint {
    return this.#enumValue(this.words[this.starts[this.#enumOf(word)]! + 1]!, word);
  }

  /** Which record a word belongs to, by bisection of the sorted starts. */
  #enumOf(word: number): number {
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.starts[middle]! <= word) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

function isEnum(info: number): boolean {
  return infoKind(info) === Kind.Enum || infoKind(info) === Kind.Enum64;
}

function matchesKind(kind: number, flag: boolean, wanted: NamedKind): boolean {
  switch (wanted) {
    case 'struct':
      return kind === Kind.Struct || (kind === Kind.Forward && !flag);
    case 'union':
      return kind === Kind.Union || (kind === Kind.Forward && flag);
    case 'enum':
      return kind === Kind.Enum || kind === Kind.Enum64;
    case 'typedef':
      return kind === Kind.Typedef;
    case 'function':
      return kind === Kind.Function;
    case 'integer':
      return kind === Kind.Int || kind === Kind.Float;
  }
}

/** Word index of every type record. Throws Truncated or Unsupported (a kind without known length ends the walk). */
function indexTypes(words: Uint32Array): Uint32Array {
  const starts = new Uint32Array(Math.floor(words.length / TYPE_WORDS));
  let count = 0;
  let at = 0;
  while (at < words.length) {
    if (at + TYPE_WORDS > words.length) {
      throw new Truncated('BTF', `type record ${count + 1} at word ${at} is cut off`);
    }
    const info = words[at + 1]!;
    const extra = EXTRA_WORDS[infoKind(info)];
    if (extra === undefined) {
      throw new Unsupported('BTF', `kind ${infoKind(info)} of type record ${count + 1} is not known`);
    }
    starts[count++] = at;
    at += TYPE_WORDS + extra[0] + extra[1] * infoLength(info);
  }
  if (at > words.length) throw new Truncated('BTF', `the last type record, ${count}, is cut off`);
  return starts.subarray(0, count);
}
