import { CTypeError } from './error.ts';
import { alignOf } from './layout.ts';
import type { DataModel } from './model.ts';
import { type Prototype, prototypeOf } from './prototype.ts';
import { type CType, type Field, type RecordType, resolve, sizeOf, spell } from './type.ts';

/** Where named types come from: BTF, a set of declarations, or several of these one behind the other. */
export interface TypeSource {
  readonly model: DataModel;
  find(kind: NamedKind, name: string): CType | undefined;
  /** Every name of a kind, in the source's order. */
  names(kind: NamedKind): Iterable<string>;
  enumerator(name: string): number | bigint | undefined;
}

export type NamedKind = 'struct' | 'union' | 'enum' | 'typedef' | 'function' | 'integer';

/** Size and fields of a named type. */
export interface Layout {
  readonly name: string;
  readonly type: CType;
  readonly size: number;
  readonly align: number;
  /** Empty unless the type is a struct or union. Anonymous records stand as one field with an empty name. */
  readonly fields: readonly FieldRef[];
}

export type FieldKind = 'integer' | 'pointer' | 'struct' | 'union' | 'array' | 'float' | 'function' | 'void';

/** One place inside a record. */
export interface FieldRef {
  readonly name: string;
  /** Bytes from the start of the outermost record; for a bit-field, of the storage unit to load. */
  readonly offset: number;
  /** Bytes to load; 0 for a flexible array. */
  readonly size: number;
  readonly signed: boolean;
  /** Enumerations and booleans count as integers. */
  readonly kind: FieldKind;
  readonly type: CType;
  /** Bit-fields: shift right by this many bits after loading `size` bytes in the target's byte order. */
  readonly bitOffset?: number;
  readonly bitSize?: number;
  /** Arrays: element type, its size, and how many (0 for a flexible one). */
  readonly element?: CType;
  readonly elementSize?: number;
  readonly count?: number;
}

/** More anonymous records than any C record has; bounds the search in a malformed one. */
const MAX_ANONYMOUS = 1000;

/** Named types with layouts and dotted paths: the one door to BTF, declarations and saved profiles. */
export class TypeTable {
  readonly model: DataModel;
  readonly #sources: readonly TypeSource[];
  readonly #fields = new Map<string, FieldRef>();
  readonly #absent = new Set<string>();
  readonly #layouts = new Map<string, Layout>();

  /** Earlier sources win. All must share the first one's data model. */
  constructor(...sources: readonly [TypeSource, ...TypeSource[]]) {
    this.#sources = sources;
    this.model = sources[0].model;
  }

  /** The type of that name: `struct x`, `union x`, `enum x`, or a bare name (struct, union, typedef, enum, integer). */
  type(name: string): CType | undefined {
    const tagged = /^(struct|union|enum)\s+(\w+)$/.exec(name);
    if (tagged !== null) return this.#find(tagged[1] as NamedKind, tagged[2]!);
    for (const kind of ['struct', 'union', 'typedef', 'enum', 'integer'] as const) {
      const type = this.#find(kind, name);
      if (type !== undefined && (!('complete' in type) || type.complete)) return type;
    }
    return undefined;
  }

  /** Size, alignment and fields. Throws UnknownType. */
  layout(name: string): Layout {
    let layout = this.#layouts.get(name);
    if (layout === undefined) {
      const type = this.#require(name);
      const real = resolve(type);
      const fields = isRecord(real) ? real.fields.map((f) => this.#reference(f, 0)) : [];
      layout = { name, type, size: sizeOf(type), align: alignOf(type, this.model), fields };
      this.#layouts.set(name, layout);
    }
    return layout;
  }

  /** Bytes of a named type. Throws UnknownType, also for a type that is only declared. */
  sizeof(name: string): number {
    return this.layout(name).size;
  }

  /** Does this kernel have that type and field? Answered fast, since code for several kernels asks it often. */
  has(path: string): boolean {
    if (this.#fields.has(path)) return true;
    if (this.#absent.has(path)) return false;
    const found = this.#lookUp(path);
    if (found instanceof CTypeError) this.#absent.add(path);
    else this.#fields.set(path, found);
    return !(found instanceof CTypeError);
  }

  /**
   * The place that `record.field.field[index]` names. Anonymous records are seen through; pointers are not
   * followed (that would be a load). Throws UnknownType or UnknownField.
   */
  field(path: string): FieldRef {
    const known = this.#fields.get(path);
    if (known !== undefined) return known;
    const found = this.#lookUp(path);
    if (found instanceof CTypeError) throw found;
    this.#fields.set(path, found);
    return found;
  }

  /** Byte offset of a path. Throws for a bit-field that does not start on a byte. */
  offset(path: string): number {
    const field = this.field(path);
    if (field.bitSize === undefined) return field.offset;
    throw new CTypeError('Unsupported', `'${path}' is a bit-field: it has no byte offset of its own`);
  }

  /** Value of an enumeration constant. Throws UnknownType. */
  enumerator(name: string): number {
    for (const source of this.#sources) {
      const value = source.enumerator(name);
      if (typeof value === 'number') return value;
      if (value !== undefined) {
        throw new CTypeError('Unsupported', `enumerator ${name} = ${value} does not fit a number exactly`);
      }
    }
    throw new CTypeError('UnknownType', `no enumeration of this kernel has a constant '${name}'`);
  }

  hasEnumerator(name: string): boolean {
    return this.#sources.some((source) => source.enumerator(name) !== undefined);
  }

  /** The prototype of a function that the source knows (BTF FUNC, or a declaration), classified for calls. */
  prototype(name: string): Prototype | undefined {
    const type = this.#find('function', name);
    const real = type === undefined ? undefined : resolve(type);
    return real?.kind === 'function' ? prototypeOf(name, real, this.model) : undefined;
  }

  /** All sources as one, to stand behind declarations. */
  asSource(): TypeSource {
    return {
      model: this.model,
      find: (kind, name) => this.#find(kind, name),
      names: (kind) => this.names(kind),
      enumerator: (name) => {
        for (const source of this.#sources) {
          const value = source.enumerator(name);
          if (value !== undefined) return value;
        }
        return undefined;
      },
    };
  }

  /** Every name of a kind over all sources; a name may come twice. */
  *names(kind: NamedKind): Iterable<string> {
    for (const source of this.#sources) yield* source.names(kind);
  }

  #find(kind: NamedKind, name: string): CType | undefined {
    for (const source of this.#sources) {
      const type = source.find(kind, name);
      if (type !== undefined) return type;
    }
    return undefined;
  }

  #require(name: string): CType {
    const type = this.type(name);
    if (type === undefined) {
      throw new CTypeError('UnknownType', `this kernel file has no type '${name}'`);
    }
    const real = resolve(type);
    if (isRecord(real) && !real.complete) {
      throw new CTypeError('UnknownType', `${spell(real)} is declared in this kernel file but not defined`);
    }
    return type;
  }

  #lookUp(path: string): FieldRef | CTypeError {
    const steps = path.split(/\.|(?=\[)/);
    const type = this.type(steps[0]!);
    if (type === undefined) {
      return new CTypeError(
        'UnknownType',
        `this kernel file has no type '${steps[0]}' (wanted by '${path}')`,
      );
    }
    if (steps.length < 2) return new CTypeError('UnknownField', `'${path}' names a type, not a field`);
    let field: Field = { name: steps[0]!, type, bitOffset: 0 };
    for (const step of steps.slice(1)) {
      const next = step.startsWith('[') ? elementAt(field, step, path) : memberAt(field, step, path);
      if (next instanceof CTypeError) return next;
      field = next;
    }
    return this.#reference(field, 0);
  }

  #reference(field: Field, base: number): FieldRef {
    const real = resolve(field.type);
    const bits = base * 8 + field.bitOffset;
    const common = { name: field.name, type: field.type, kind: kindOf(real), signed: isSigned(real) };
    if (field.bitSize !== undefined) {
      return { ...common, ...this.#storage(bits, field.bitSize, sizeOf(real)), bitSize: field.bitSize };
    }
    const place = { ...common, offset: bits / 8, size: sizeOf(real) };
    if (real.kind !== 'array') return place;
    return { ...place, element: real.element, elementSize: sizeOf(real.element), count: real.count };
  }

  /** The aligned unit of the declared type that holds the bits, or a smaller set of bytes where packing crosses it. */
  #storage(bits: number, bitSize: number, unit: number): { offset: number; size: number; bitOffset: number } {
    let size = unit;
    let offset = Math.floor(bits / 8 / unit) * unit;
    if (bits + bitSize > (offset + size) * 8) {
      offset = Math.floor(bits / 8);
      size = Math.ceil((bits + bitSize) / 8) - offset;
    }
    const first = bits - offset * 8;
    const bitOffset = this.model.littleEndian ? first : size * 8 - first - bitSize;
    return { offset, size, bitOffset };
  }
}

function isRecord(type: CType): type is RecordType {
  return type.kind === 'struct' || type.kind === 'union';
}

function isSigned(type: CType): boolean {
  return (type.kind === 'integer' || type.kind === 'enum') && type.signed;
}

function kindOf(type: CType): FieldKind {
  const real = resolve(type);
  return real.kind === 'enum' ? 'integer' : real.kind;
}

function elementAt(field: Field, step: string, path: string): Field | CTypeError {
  const real = resolve(field.type);
  const index = /^\[\d+\]$/.test(step) ? Number(step.slice(1, -1)) : Number.NaN;
  if (real.kind !== 'array') {
    return new CTypeError('UnknownField', `'${path}': ${field.name} is ${spell(field.type)}, not an array`);
  }
  if (!Number.isInteger(index) || index < 0 || (real.count > 0 && index >= real.count)) {
    return new CTypeError('UnknownField', `'${path}': index ${step} is outside [0, ${real.count})`);
  }
  return {
    name: `${field.name}[${index}]`,
    type: real.element,
    bitOffset: field.bitOffset + index * sizeOf(real.element) * 8,
  };
}

function memberAt(field: Field, step: string, path: string): Field | CTypeError {
  const real = resolve(field.type);
  if (!isRecord(real)) {
    const hint =
      real.kind === 'pointer' ? ': read the pointer, then name the field of what it points to' : '';
    return new CTypeError('UnknownField', `'${path}': ${field.name} is ${spell(field.type)}${hint}`);
  }
  const found = memberOf(real, step);
  if (found !== undefined) return { ...found, bitOffset: field.bitOffset + found.bitOffset };
  const only = real.complete
    ? 'has no field'
    : 'is declared in this kernel file but not defined, so it has no field';
  return new CTypeError('UnknownField', `'${path}': ${spell(real)} ${only} '${step}'`);
}

/** A field by name, seeing through anonymous records as C does. */
function memberOf(record: RecordType, name: string): Field | undefined {
  return searchMember(record, name, new Set());
}

/** No record need be searched twice: that ends a malformed one which contains itself, however often. */
function searchMember(record: RecordType, name: string, seen: Set<RecordType>): Field | undefined {
  if (seen.has(record) || seen.size > MAX_ANONYMOUS) return undefined;
  seen.add(record);
  for (const field of record.fields) if (field.name === name) return field;
  for (const field of record.fields) {
    if (field.name !== '') continue;
    const inner = resolve(field.type);
    if (!isRecord(inner)) continue;
    const found = searchMember(inner, name, seen);
    if (found !== undefined) return { ...found, bitOffset: field.bitOffset + found.bitOffset };
  }
  return undefined;
}
