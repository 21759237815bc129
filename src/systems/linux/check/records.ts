/**
 * What two kernels declare differently: records and enumerations compared by their type information (BTF), and which of
 * them a function's type leads to. Versions of symbols are checksums over everything that their declarations mention, so
 * a record that changed explains a version that changed.
 */
import type { TypeSource } from '../../../ctypes/table.ts';
import { type CType, type EnumType, type Field, type RecordType, spell } from '../../../ctypes/type.ts';

/** One record or enumeration that is not the same in both. */
export interface RecordChange {
  /** `struct module`. */
  readonly record: string;
  /** Sentences without a full stop, the most telling first. */
  readonly changes: readonly string[];
}

/** How a symbol's declaration leads to a change: `struct file`, `struct inode`. */
export interface ChangePath {
  readonly change: RecordChange;
  readonly path: readonly string[];
}

/** How deep pointers are followed, and how many records of one declaration are looked at. */
const MAX_DEPTH = 12;
const MAX_RECORDS = 4000;
const MAX_NESTING = 32;

type Named = RecordType | EnumType;

export class TypeComparison {
  readonly #before: TypeSource;
  readonly #after: TypeSource;
  readonly #changes = new Map<string, RecordChange | undefined>();
  readonly #neighbours = new Map<string, readonly string[]>();

  /** `before`: the types of the kernel that the module was built against. */
  constructor(before: TypeSource, after: TypeSource) {
    this.#before = before;
    this.#after = after;
  }

  /** What is different about the function's own type; undefined when nothing is, or one side does not know it. */
  signature(name: string): string | undefined {
    const [before, after] = [this.#before.find('function', name), this.#after.find('function', name)];
    if (before === undefined || after === undefined) return undefined;
    const [old, now] = [spell(before, name), spell(after, name)];
    return old === now ? undefined : `it was \`${old}\` and is \`${now}\``;
  }

  /** Changed records that a declaration leads to, nearest first. `name` is a function, or `struct x` itself. */
  from(name: string): ChangePath[] {
    const start = /^(struct|union|enum) /.test(name) ? [name] : this.#mentioned(name);
    const seen = new Map<string, readonly string[]>(start.map((record) => [record, [record]]));
    const found: ChangePath[] = [];
    for (const [record, path] of seen) {
      const change = this.change(record);
      if (change !== undefined) found.push({ change, path });
      if (path.length >= MAX_DEPTH) continue;
      for (const next of this.#next(record)) {
        if (!seen.has(next) && seen.size < MAX_RECORDS) seen.set(next, [...path, next]);
      }
    }
    return found;
  }

  /** What changed in one record itself; undefined when nothing did, or one side does not have it. */
  change(record: string): RecordChange | undefined {
    if (!this.#changes.has(record)) this.#changes.set(record, this.#compare(record));
    return this.#changes.get(record);
  }

  #compare(record: string): RecordChange | undefined {
    const [before, after] = [find(this.#before, record), find(this.#after, record)];
    if (before === undefined || after === undefined) return undefined;
    const changes =
      before.kind === 'enum' || after.kind === 'enum'
        ? enumChanges(before, after)
        : recordChanges(before, after);
    return changes.length === 0 ? undefined : { record, changes };
  }

  #mentioned(name: string): string[] {
    const types = [this.#before.find('function', name), this.#after.find('function', name)];
    const names = new Set<string>();
    for (const type of types) if (type !== undefined) collect(type, names);
    return [...names];
  }

  #next(record: string): readonly string[] {
    let known = this.#neighbours.get(record);
    if (known === undefined) {
      const names = new Set<string>();
      for (const source of [this.#before, this.#after]) {
        const type = find(source, record);
        if (type !== undefined && type.kind !== 'enum')
          for (const field of type.fields) collect(field.type, names);
      }
      known = [...names];
      this.#neighbours.set(record, known);
    }
    return known;
  }
}

function find(source: TypeSource, record: string): Named | undefined {
  const [kind, name] = record.split(' ');
  if (kind !== 'struct' && kind !== 'union' && kind !== 'enum') return undefined;
  const type = source.find(kind, name);
  if (type === undefined || (type.kind !== 'struct' && type.kind !== 'union' && type.kind !== 'enum'))
    return undefined;
  return 'complete' in type && !type.complete ? undefined : type;
}

/** Names of records and enumerations that a type mentions, through pointers, arrays, functions and nameless records. */
function collect(type: CType, into: Set<string>, depth = 0): void {
  if (depth > MAX_NESTING) return;
  switch (type.kind) {
    case 'pointer':
    case 'typedef':
      collect(type.target, into, depth + 1);
      return;
    case 'array':
      collect(type.element, into, depth + 1);
      return;
    case 'function':
      collect(type.returns, into, depth + 1);
      for (const parameter of type.parameters) collect(parameter.type, into, depth + 1);
      return;
    case 'struct':
    case 'union':
      if (type.name !== '') into.add(`${type.kind} ${type.name}`);
      else for (const field of type.fields) collect(field.type, into, depth + 1);
      return;
    case 'enum':
      if (type.name !== '') into.add(`enum ${type.name}`);
      return;
    default:
  }
}

interface Member {
  readonly name: string;
  readonly type: string;
  readonly bit: number;
}

/** Members with those of nameless records among them; nameless records that have a name as member stand spelled out. */
function members(fields: readonly Field[], base = 0, depth = 0): Member[] {
  return fields.flatMap((field) => {
    const bit = base + field.bitOffset;
    const { type } = field;
    const nameless = (type.kind === 'struct' || type.kind === 'union') && type.name === '';
    if (nameless && depth < MAX_NESTING && field.name === '') return members(type.fields, bit, depth + 1);
    const width = field.bitSize === undefined ? '' : ` : ${field.bitSize}`;
    return [{ name: field.name, type: inFull(type) + width, bit }];
  });
}

/** The spelling of a type, with nameless records in it written out. */
function inFull(type: CType, depth = 0): string {
  if (depth > MAX_NESTING) return '...';
  if (type.kind === 'array') return `${inFull(type.element, depth + 1)} [${type.count}]`;
  if ((type.kind === 'struct' || type.kind === 'union') && type.name === '') {
    const inner = members(type.fields, 0, depth + 1).map((one) => `${one.type} ${one.name}`);
    return `${type.kind} { ${inner.join('; ')} }`;
  }
  return spell(type);
}

function recordChanges(before: RecordType, after: RecordType): string[] {
  const [old, now] = [members(before.fields), members(after.fields)];
  const oldByName = new Map(old.map((one) => [one.name, one]));
  const nowByName = new Map(now.map((one) => [one.name, one]));
  const added = now.filter(({ name }) => !oldByName.has(name));
  const removed = old.filter(({ name }) => !nowByName.has(name));
  const retyped = now.filter(({ name, type }) => oldByName.has(name) && oldByName.get(name)?.type !== type);
  const changes = [
    ...added.map(({ name, type }) => `member \`${name}\` (${type}) was added`),
    ...removed.map(({ name, type }) => `member \`${name}\` (${type}) was removed`),
    ...retyped.map(({ name, type }) => `member \`${name}\` was ${oldByName.get(name)?.type}, is ${type}`),
  ];
  if (before.size !== after.size) changes.push(`its size was ${before.size}, is ${after.size} bytes`);
  if (changes.length > 0) return changes;
  const moved = now.find(({ name, bit }) => oldByName.get(name)?.bit !== bit);
  if (moved === undefined) return [];
  const from = (oldByName.get(moved.name)?.bit ?? 0) >> 3;
  return [`member \`${moved.name}\` moved from byte ${from} to ${moved.bit >> 3}`];
}

function enumChanges(before: Named, after: Named): string[] {
  if (before.kind !== 'enum' || after.kind !== 'enum') return ['it is another kind of type'];
  const old = new Map(before.values.map(({ name, value }) => [name, value]));
  const now = new Map(after.values.map(({ name, value }) => [name, value]));
  return [
    ...[...now.keys()].filter((name) => !old.has(name)).map((name) => `value \`${name}\` was added`),
    ...[...old.keys()].filter((name) => !now.has(name)).map((name) => `value \`${name}\` was removed`),
    ...[...now]
      .filter(([name, value]) => old.has(name) && old.get(name) !== value)
      .map(([name]) => `value \`${name}\` is another number`),
  ];
}
