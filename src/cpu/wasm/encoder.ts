/**
 * A small WebAssembly encoder: instructions are values that nest as expressions do, labels are objects, and
 * branch depths are worked out when a function is finished.
 * Opcodes: WebAssembly Core Specification 2.0, section 5.4.
 */
/** The target of branches. */
export interface Label {
  readonly name: string;
}
type Marker =
  | { readonly open: Label }
  | { readonly close: true }
  | { readonly branch: Label }
  | { readonly table: readonly Label[]; readonly otherwise: Label };
/** A sequence of instructions; nested, so that putting code together copies nothing. */
export type Code = readonly (number | Marker | Code)[];

export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';
const TYPE: Record<ValueType, number> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };
const VOID = 0x40;

export const label = (name: string): Label => ({ name });

const SMALL: readonly (readonly number[])[] = Array.from({ length: 128 }, (_, value) => [value]);

/** Unsigned LEB128. */
export function unsigned(value: number): readonly number[] {
  if (value < 128) return SMALL[value];
  const out: number[] = [];
  do {
    const low = value & 0x7f;
    value >>>= 7;
    out.push(value === 0 ? low : low | 0x80);
  } while (value !== 0);
  return out;
}

/** Signed LEB128. */
export function signed(value: bigint | number): number[] {
  if (typeof value === 'number' && value === (value | 0)) return signed32(value);
  let rest = BigInt(value);
  const out: number[] = [];
  for (;;) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    const done = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0);
    out.push(done ? low : low | 0x80);
    if (done) return out;
  }
}

function signed32(value: number): number[] {
  const out: number[] = [];
  for (;;) {
    const low = value & 0x7f;
    value >>= 7;
    const done = value === ((low & 0x40) === 0 ? 0 : -1);
    out.push(done ? low : low | 0x80);
    if (done) return out;
  }
}

/** One byte stands for itself: code is made by the hundred thousand bytes, and each array in it costs. */
const bare = (bytes: readonly number[]): number | readonly number[] =>
  bytes.length === 1 ? bytes[0] : bytes;

function unary(...opcode: number[]): (a: Code) => Code {
  const at = bare(opcode);
  return (a) => [a, at];
}

function binary(...opcode: number[]): (a: Code, b: Code) => Code {
  const at = bare(opcode);
  return (a, b) => [a, b, at];
}

function loader(...opcode: number[]): (address: Code, offset?: number) => Code {
  const at = bare(opcode);
  return (address, offset = 0) => [address, at, 0, offset < 128 ? offset : unsigned(offset)];
}

function storer(...opcode: number[]): (address: Code, value: Code, offset?: number) => Code {
  const at = bare(opcode);
  return (address, value, offset = 0) => [address, value, at, 0, offset < 128 ? offset : unsigned(offset)];
}

/** Constants of one byte, from -64 on. */
const smallConstants = (opcode: number): readonly Code[] =>
  Array.from({ length: 128 }, (_, n) => [opcode, (n - 64) & 0x7f]);
const SMALL_32 = smallConstants(0x41);
const SMALL_64 = smallConstants(0x42);
const isSmall = (value: bigint | number): value is number =>
  typeof value === 'number' && value >= -64 && value < 64;

export const i32 = {
  const: (value: number): Code => (isSmall(value) ? SMALL_32[value + 64] : [0x41, signed(value | 0)]),
  load: loader(0x28),
  load8s: loader(0x2c),
  load8u: loader(0x2d),
  load16s: loader(0x2e),
  load16u: loader(0x2f),
  store: storer(0x36),
  store8: storer(0x3a),
  store16: storer(0x3b),
  eqz: unary(0x45),
  eq: binary(0x46),
  ne: binary(0x47),
  ltS: binary(0x48),
  ltU: binary(0x49),
  gtS: binary(0x4a),
  gtU: binary(0x4b),
  leS: binary(0x4c),
  leU: binary(0x4d),
  geS: binary(0x4e),
  geU: binary(0x4f),
  clz: unary(0x67),
  ctz: unary(0x68),
  popcnt: unary(0x69),
  add: binary(0x6a),
  sub: binary(0x6b),
  mul: binary(0x6c),
  divS: binary(0x6d),
  divU: binary(0x6e),
  remS: binary(0x6f),
  remU: binary(0x70),
  and: binary(0x71),
  or: binary(0x72),
  xor: binary(0x73),
  shl: binary(0x74),
  shrS: binary(0x75),
  shrU: binary(0x76),
  rotl: binary(0x77),
  rotr: binary(0x78),
  wrap: unary(0xa7),
  extend8: unary(0xc0),
  extend16: unary(0xc1),
  truncSatF32: unary(0xfc, 0),
  truncSatF64: unary(0xfc, 2),
} as const;

export const i64 = {
  const: (value: bigint | number): Code =>
    isSmall(value)
      ? SMALL_64[value + 64]
      : [0x42, signed(typeof value === 'bigint' ? BigInt.asIntN(64, value) : value)],
  load: loader(0x29),
  load8s: loader(0x30),
  load8u: loader(0x31),
  load16s: loader(0x32),
  load16u: loader(0x33),
  load32s: loader(0x34),
  load32u: loader(0x35),
  store: storer(0x37),
  store8: storer(0x3c),
  store16: storer(0x3d),
  store32: storer(0x3e),
  eqz: unary(0x50),
  eq: binary(0x51),
  ne: binary(0x52),
  ltS: binary(0x53),
  ltU: binary(0x54),
  gtS: binary(0x55),
  gtU: binary(0x56),
  leS: binary(0x57),
  leU: binary(0x58),
  geS: binary(0x59),
  geU: binary(0x5a),
  clz: unary(0x79),
  ctz: unary(0x7a),
  popcnt: unary(0x7b),
  add: binary(0x7c),
  sub: binary(0x7d),
  mul: binary(0x7e),
  divS: binary(0x7f),
  divU: binary(0x80),
  remS: binary(0x81),
  remU: binary(0x82),
  and: binary(0x83),
  or: binary(0x84),
  xor: binary(0x85),
  shl: binary(0x86),
  shrS: binary(0x87),
  shrU: binary(0x88),
  rotl: binary(0x89),
  rotr: binary(0x8a),
  extendS: unary(0xac),
  extendU: unary(0xad),
  extend8: unary(0xc2),
  extend16: unary(0xc3),
  extend32: unary(0xc4),
  truncSatF32: unary(0xfc, 4),
  truncSatF64: unary(0xfc, 6),
} as const;

const doubleBytes = (value: number, size: 4 | 8): number[] => {
  const view = new DataView(new ArrayBuffer(8));
  if (size === 4) view.setFloat32(0, value, true);
  else view.setFloat64(0, value, true);
  return [...new Uint8Array(view.buffer, 0, size)];
};

export const f32 = {
  const: (value: number): Code => [0x43, ...doubleBytes(value, 4)],
  load: loader(0x2a),
  store: storer(0x38),
  eq: binary(0x5b),
  ne: binary(0x5c),
  lt: binary(0x5d),
  gt: binary(0x5e),
  sqrt: unary(0x91),
  add: binary(0x92),
  sub: binary(0x93),
  mul: binary(0x94),
  div: binary(0x95),
  convert32: unary(0xb2),
  convert64: unary(0xb4),
  demote: unary(0xb6),
} as const;

export const f64 = {
  const: (value: number): Code => [0x44, ...doubleBytes(value, 8)],
  load: loader(0x2b),
  store: storer(0x39),
  eq: binary(0x61),
  ne: binary(0x62),
  lt: binary(0x63),
  gt: binary(0x64),
  sqrt: unary(0x9f),
  add: binary(0xa0),
  sub: binary(0xa1),
  mul: binary(0xa2),
  div: binary(0xa3),
  convert32: unary(0xb7),
  convert64: unary(0xb9),
  promote: unary(0xbb),
} as const;

/** Vector instructions carry the prefix 0xfd and a LEB128 number. */
export const v128 = {
  load: loader(0xfd, 0),
  store: storer(0xfd, 11),
  unary: (opcode: number) => unary(0xfd, ...unsigned(opcode)),
  binary: (opcode: number) => binary(0xfd, ...unsigned(opcode)),
  ternary: (opcode: number) => {
    const code = [0xfd, ...unsigned(opcode)];
    return (a: Code, b: Code, c: Code): Code => [a, b, c, code];
  },
  /** Bytes of `a` (0..15) and `b` (16..31). */
  shuffle: (a: Code, b: Code, lanes: readonly number[]): Code => [a, b, 0xfd, 13, lanes],
  const: (bytes: readonly number[]): Code => [0xfd, 12, ...bytes],
} as const;

export interface Local {
  readonly get: Code;
  set(value: Code): Code;
  /** Sets and leaves the value. */
  tee(value: Code): Code;
}

export function local(index: number): Local {
  const at = bare(unsigned(index));
  return {
    get: [0x20, at],
    set: (value) => [value, 0x21, at],
    tee: (value) => [value, 0x22, at],
  };
}

export const seq = (...parts: readonly Code[]): Code => parts;
export const ret = (value: Code): Code => [value, 0x0f];
/** A function by its number, or by its place in the table and the type that {@link ModuleBuilder.addType} gave. */
export type Callee = number | { readonly slot: number; readonly type: number };

export const call = (callee: Callee, ...args: readonly Code[]): Code =>
  typeof callee === 'number'
    ? [args, 0x10, unsigned(callee)]
    : callIndirect(callee.type, i32.const(callee.slot), ...args);
/** Calls entry `index` of the table; `type` is what {@link ModuleBuilder.addType} gave. */
export const callIndirect = (type: number, index: Code, ...args: readonly Code[]): Code => [
  args,
  index,
  0x11,
  unsigned(type),
  0,
];
export const unreachable: Code = [0x00];
export const drop = (value: Code): Code => [value, 0x1a];
export const select = (condition: Code, yes: Code, no: Code): Code => [yes, no, condition, 0x1b];

const CLOSE: Marker = { close: true };
export const block = (at: Label, body: Code): Code => [0x02, VOID, { open: at }, body, 0x0b, CLOSE];
export const loop = (at: Label, body: Code): Code => [0x03, VOID, { open: at }, body, 0x0b, CLOSE];
const ANONYMOUS: Marker = { open: { name: 'if' } };

/** With a type, both arms leave a value of it. */
export function iff(condition: Code, yes: Code, no?: Code, type?: ValueType): Code {
  const shape = type === undefined ? VOID : TYPE[type];
  const otherwise = no === undefined ? [] : [0x05, no];
  return [condition, 0x04, shape, ANONYMOUS, yes, otherwise, 0x0b, CLOSE];
}

export const br = (to: Label): Code => [0x0c, { branch: to }];
export const brIf = (to: Label, condition: Code): Code => [condition, 0x0d, { branch: to }];
export const brTable = (targets: readonly Label[], otherwise: Label, index: Code): Code => [
  index,
  0x0e,
  { table: targets, otherwise },
];

/** A module of one short function fits. */
const FIRST_BYTES = 4096;
/** LEB128 may be longer than it must be, which spares a copy: as long as the longest number of 32 bits. */
const SIZE_BYTES = 5;

/** Bytes as they come; grows by doubling. */
class Output {
  bytes = new Uint8Array(FIRST_BYTES);
  length = 0;

  push(byte: number): void {
    this.reserve(1);
    this.bytes[this.length++] = byte;
  }

  reserve(room: number): void {
    if (this.length + room <= this.bytes.length) return;
    const larger = new Uint8Array((this.length + room) * 2);
    larger.set(this.bytes);
    this.bytes = larger;
  }

  unsigned(value: number): void {
    for (; value > 0x7f; value >>>= 7) this.push((value & 0x7f) | 0x80);
    this.push(value);
  }

  /** Names are ASCII here: an encoder would have to be loaded in the first call of hot code. */
  name(text: string): void {
    this.push(text.length);
    for (let n = 0; n < text.length; n++) this.push(text.charCodeAt(n));
  }

  types(types: readonly ValueType[]): void {
    this.unsigned(types.length);
    for (let n = 0; n < types.length; n++) this.push(TYPE[types[n]]);
  }

  /** An import of the module `env`. */
  imported(name: string, kind: number): void {
    this.name('env');
    this.name(name);
    this.push(kind);
  }

  /** What is written next is preceded by how long it is, in a section by its number too. @returns what {@link end} wants */
  begin(section?: number): number {
    if (section !== undefined) this.push(section);
    this.reserve(SIZE_BYTES);
    this.length += SIZE_BYTES;
    return this.length;
  }

  end(start: number): void {
    let size = this.length - start;
    for (let at = start - SIZE_BYTES; at < start - 1; at++, size >>>= 7)
      this.bytes[at] = (size & 0x7f) | 0x80;
    this.bytes[start - 1] = size;
  }

  code(code: Code): void {
    new Resolver(this).walk(code);
  }
}

/** Where the branches of a function lead: how many blocks are open, and at which depth each label is. */
class Resolver {
  readonly out: Output;
  readonly #at = new Map<Label, number>();
  readonly #open: Label[] = [];

  constructor(out: Output) {
    this.out = out;
  }

  walk(part: Code): void {
    const { out } = this;
    out.reserve(part.length);
    for (let i = 0; i < part.length; i++) {
      const item = part[i];
      if (typeof item === 'number') out.bytes[out.length++] = item;
      else {
        if (Array.isArray(item)) this.walk(item);
        else this.#mark(item as Marker);
        out.reserve(part.length);
      }
    }
  }

  #mark(item: Marker): void {
    if ('open' in item) this.#at.set(item.open, this.#open.push(item.open));
    else if ('close' in item) this.#at.delete(this.#open.pop()!);
    else if ('branch' in item) this.#depth(item.branch);
    else {
      this.out.unsigned(item.table.length);
      for (const target of item.table) this.#depth(target);
      this.#depth(item.otherwise);
    }
  }

  #depth(to: Label): void {
    const at = this.#at.get(to);
    if (at === undefined) throw new Error(`branch to ${to.name}, which is not open here`);
    this.out.unsigned(this.#open.length - at);
  }
}

export interface Signature {
  readonly params: readonly ValueType[];
  readonly results: readonly ValueType[];
}

export interface FunctionSpec extends Signature {
  readonly locals: readonly ValueType[];
  readonly body: Code;
  readonly exportAs?: string;
}

/** A module with one imported memory (`env.memory`), perhaps a table, and functions numbered imports first. */
export class ModuleBuilder {
  readonly #imports: { name: string; signature: Signature }[] = [];
  readonly #functions: FunctionSpec[] = [];
  /** Types that only indirect calls name. */
  readonly #types: Signature[] = [];
  readonly #places: { readonly slot: number; readonly index: number }[] = [];
  #table = false;

  constructor(readonly memoryPages: { readonly min: number; readonly max: number }) {}

  /** All imports come before the first function. */
  importFunction(name: string, signature: Signature): number {
    if (this.#functions.length > 0) throw new Error('imports come before functions');
    return this.#imports.push({ name, signature }) - 1;
  }

  /** The table that indirect calls go through, `env.table`. */
  importTable(): void {
    this.#table = true;
  }

  addType(signature: Signature): number {
    return this.#types.push(signature) - 1;
  }

  /** Number that the next function will have. */
  get nextFunction(): number {
    return this.#imports.length + this.#functions.length;
  }

  addFunction(spec: FunctionSpec): number {
    return this.#imports.length + this.#functions.push(spec) - 1;
  }

  /** The instance puts that function into the table. */
  place(slot: number, index: number): void {
    this.#places.push({ slot, index });
  }

  finish(): Uint8Array<ArrayBuffer> {
    const out = new Output();
    for (let n = 0; n < PREAMBLE.length; n++) out.push(PREAMBLE[n]);
    const signatures = [...this.#types, ...this.#imports.map((each) => each.signature), ...this.#functions];
    writeSection(out, SECTION.TYPE, signatures, ({ params, results }) => {
      out.push(0x60);
      out.types(params);
      out.types(results);
    });
    this.#writeImports(out);
    const firstType = this.#types.length + this.#imports.length;
    writeSection(out, SECTION.FUNCTION, this.#functions, (_, n) => out.unsigned(firstType + n));
    const exported = this.#functions.filter((each) => each.exportAs !== undefined);
    writeSection(out, SECTION.EXPORT, exported, (each) => {
      out.name(each.exportAs ?? '');
      out.push(KIND_FUNCTION);
      out.unsigned(this.#imports.length + this.#functions.indexOf(each));
    });
    writeSection(out, SECTION.ELEMENT, this.#places, ({ slot, index }) => {
      out.push(0);
      out.code(i32.const(slot));
      out.push(END);
      out.push(1);
      out.unsigned(index);
    });
    writeSection(out, SECTION.CODE, this.#functions, (each) => writeBody(out, each));
    return out.bytes.subarray(0, out.length);
  }

  #writeImports(out: Output): void {
    const { min, max } = this.memoryPages;
    const start = out.begin(SECTION.IMPORT);
    out.unsigned(this.#imports.length + (this.#table ? 2 : 1));
    out.imported('memory', KIND_MEMORY);
    out.push(1);
    out.unsigned(min);
    out.unsigned(max);
    if (this.#table) {
      out.imported('table', KIND_TABLE);
      out.push(0x70);
      out.push(0);
      out.push(0);
    }
    this.#imports.forEach(({ name }, n) => {
      out.imported(name, KIND_FUNCTION);
      out.unsigned(this.#types.length + n);
    });
    out.end(start);
  }
}

/** Core specification, 5.5: what a module begins with, and the numbers of its sections. */
const PREAMBLE: readonly number[] = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const SECTION = { TYPE: 1, IMPORT: 2, FUNCTION: 3, EXPORT: 7, ELEMENT: 9, CODE: 10 } as const;
const [KIND_FUNCTION, KIND_TABLE, KIND_MEMORY] = [0, 1, 2];
const END = 0x0b;

function writeSection<T>(
  out: Output,
  id: number,
  items: readonly T[],
  write: (item: T, n: number) => void,
): void {
  const start = out.begin(id);
  out.unsigned(items.length);
  for (let n = 0; n < items.length; n++) write(items[n], n);
  out.end(start);
}

function writeBody(out: Output, { locals, body }: FunctionSpec): void {
  const start = out.begin();
  out.unsigned(locals.length);
  for (let n = 0; n < locals.length; n++) {
    out.push(1);
    out.push(TYPE[locals[n]]);
  }
  out.code(body);
  out.push(END);
  out.end(start);
}
