/**
 * C types as data. Sizes and alignments are bytes of the target's data model, offsets of fields are bits
 * from the start of their record (so that a bit-field and a plain field are told alike).
 *
 * Targets of pointers and fields of records may be getters: a kernel's types are one big cycle, and
 * asking for one record must not build the other hundred thousand.
 */
export type CType =
  | VoidType
  | IntegerType
  | FloatType
  | PointerType
  | ArrayType
  | RecordType
  | EnumType
  | FunctionType
  | TypedefType;

export interface VoidType {
  readonly kind: 'void';
}

export interface IntegerType {
  readonly kind: 'integer';
  /** As C spells it: `unsigned int`, `char`, `_Bool`. */
  readonly name: string;
  readonly size: number;
  readonly signed: boolean;
  readonly encoding: 'int' | 'char' | 'bool';
}

export interface FloatType {
  readonly kind: 'float';
  readonly name: string;
  readonly size: number;
}

export interface PointerType {
  readonly kind: 'pointer';
  readonly size: number;
  readonly target: CType;
}

export interface ArrayType {
  readonly kind: 'array';
  readonly element: CType;
  /** 0 for a flexible array member. */
  readonly count: number;
}

export interface RecordType {
  readonly kind: 'struct' | 'union';
  /** Empty when the record has no tag. */
  readonly name: string;
  readonly size: number;
  /** As declared; from BTF, which does not record it, inferred from the fields (a forced alignment is not seen). */
  readonly align: number;
  readonly fields: readonly Field[];
  /** False for a record that is only declared: it has neither size nor fields. */
  readonly complete: boolean;
}

export interface Field {
  /** Empty for an anonymous record, whose fields count as the outer record's own. */
  readonly name: string;
  readonly type: CType;
  /**
   * Bits from the start of the record: for a bit-field on a little-endian target, of its least significant
   * bit; on a big-endian one, of its most significant bit. This is also how BTF counts.
   */
  readonly bitOffset: number;
  /** Present for bit-fields only. */
  readonly bitSize?: number;
}

export interface EnumType {
  readonly kind: 'enum';
  readonly name: string;
  readonly size: number;
  readonly signed: boolean;
  /** A value is a bigint only where a number cannot hold it exactly. */
  readonly values: readonly { readonly name: string; readonly value: number | bigint }[];
}

export interface FunctionType {
  readonly kind: 'function';
  readonly returns: CType;
  readonly parameters: readonly { readonly name: string; readonly type: CType }[];
  readonly variadic: boolean;
}

export interface TypedefType {
  readonly kind: 'typedef';
  readonly name: string;
  readonly target: CType;
  /** `aligned(n)` on the typedef itself, which replaces the alignment of its target. */
  readonly align?: number;
}

/** The type behind any chain of typedefs. */
export function resolve(type: CType): Exclude<CType, TypedefType> {
  // A real chain is a handful long; a malformed BTF can close it into a ring.
  for (let depth = 0; depth < 64; depth++) {
    if (type.kind !== 'typedef') return type;
    type = type.target;
  }
  return { kind: 'void' };
}

/** Bytes a value of the type occupies; 0 for void, functions and records that are only declared. */
export function sizeOf(type: CType): number {
  let times = 1;
  for (let depth = 0; depth < 64; depth++) {
    const real = resolve(type);
    if (real.kind === 'void' || real.kind === 'function') return 0;
    if (real.kind !== 'array') return times * real.size;
    times *= real.count;
    type = real.element;
  }
  return 0;
}

/** C spelling of a type, for messages and the prototype check: `struct file *`, `char [16]`, `int (*)(void *)`. */
export function spell(type: CType, inner = '', depth = 0): string {
  if (depth > 32) return '...';
  const after = inner === '' ? '' : ` ${inner}`;
  switch (type.kind) {
    case 'void':
      return `void${after}`;
    case 'integer':
    case 'float':
    case 'typedef':
      return type.name + after;
    case 'struct':
    case 'union':
    case 'enum':
      return `${type.kind} ${type.name === '' ? '{...}' : type.name}${after}`;
    case 'pointer': {
      const wrap = type.target.kind === 'array' || type.target.kind === 'function';
      return spell(type.target, wrap ? `(*${inner})` : `*${inner}`, depth + 1);
    }
    case 'array':
      return spell(type.element, `${inner}[${type.count === 0 ? '' : type.count}]`, depth + 1);
    case 'function': {
      const list = type.parameters.map((p) => spell(p.type, p.name, depth + 1));
      if (type.variadic) list.push('...');
      return spell(type.returns, `${inner}(${list.length === 0 ? 'void' : list.join(', ')})`, depth + 1);
    }
  }
}
