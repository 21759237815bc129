import type { Btf } from './btf.ts';
import type { BtfParts } from './btf-blob.ts';
import { EXTRA_WORDS, infoKind, infoLength, Kind, TYPE_WORDS } from './btf-layout.ts';

export interface SubsetRequest {
  /** `struct x`, `union x`, `enum x`, `typedef x`, a typedef's or function's name; `enumerator X` for the enum that has X. */
  readonly names: readonly string[];
  /** Keep parameter lists of function pointers inside the kept records, or let those pointers point to void. */
  readonly functionPointers: boolean;
}

export interface Subset {
  /** A BTF of its own, for the byte order of the one it comes from. */
  readonly parts: BtfParts;
  readonly types: number;
  /** Names that the BTF does not have. */
  readonly missing: readonly string[];
}

/**
 * The named types, with all their fields and everything they embed, as a small BTF blob. What they only point to
 * stays a forward declaration: that is what keeps a kernel's one big cycle of records small.
 */
export function subsetOf(btf: Btf, request: SubsetRequest): Subset {
  const writer = new SubsetWriter(btf, request.functionPointers);
  const missing: string[] = [];
  for (const name of request.names) {
    const id = findNamed(btf, name);
    if (id === 0) missing.push(name);
    else writer.keep(id);
  }
  return { ...writer.finish(), missing };
}

function findNamed(btf: Btf, name: string): number {
  const constant = /^enumerator\s+(\w+)$/.exec(name);
  if (constant !== null) return btf.enumId(constant[1]!);
  const tagged = /^(struct|union|enum|typedef)\s+(\w+)$/.exec(name);
  if (tagged !== null) return btf.findId(tagged[1] as 'struct' | 'union' | 'enum' | 'typedef', tagged[2]!);
  for (const kind of ['struct', 'union', 'typedef', 'enum', 'integer', 'function'] as const) {
    const id = btf.findId(kind, name);
    if (id !== 0) return id;
  }
  return 0;
}

class SubsetWriter {
  readonly #btf: Btf;
  readonly #functionPointers: boolean;
  /** Old id to new id of types that are kept whole. */
  readonly #whole = new Map<number, number>();
  /** Old id of a record to the new id of its forward declaration. */
  readonly #forward = new Map<number, number>();
  /** Types in the order of their new ids, which start at 1. */
  readonly #order: { id: number; forward: boolean }[] = [];
  readonly #queue: number[] = [];
  readonly #roots = new Set<number>();
  readonly #strings = new Map<string, number>();
  #stringBytes = 1;

  constructor(btf: Btf, functionPointers: boolean) {
    this.#btf = btf;
    this.#functionPointers = functionPointers;
  }

  keep(id: number): void {
    this.#roots.add(id);
    if (this.#kind(id) === Kind.Function) this.#roots.add(this.#word(id, 2));
  }

  finish(): { parts: BtfParts; types: number } {
    for (const id of this.#embedded()) this.#wholeId(id);
    // Ids are given in the order of first use; words of a type are written only when all ids are known.
    while (this.#queue.length > 0) this.#visit(this.#queue.shift()!);
    const words: number[] = [];
    for (const { id, forward } of this.#order) this.#emit(id, forward, words);
    const { littleEndian } = this.#btf;
    const parts = { words: Uint32Array.from(words), strings: this.#stringSection(), littleEndian };
    return { parts, types: this.#order.length };
  }

  /** The roots and, transitively, every record that one of them holds by value: those are kept whole. */
  #embedded(): Set<number> {
    const kept = new Set<number>();
    const work = [...this.#roots];
    for (let id = work.pop(); id !== undefined; id = work.pop()) {
      if (id === 0 || kept.has(id)) continue;
      kept.add(id);
      const kind = this.#kind(id);
      if (kind === Kind.Pointer || kind === Kind.FunctionPrototype) continue;
      for (const inner of this.#references(id)) work.push(inner);
    }
    this.#kept = kept;
    return kept;
  }

  #kept = new Set<number>();

  #wholeId(id: number): number {
    if (id === 0) return 0;
    let fresh = this.#whole.get(id);
    if (fresh === undefined) {
      this.#order.push({ id, forward: false });
      fresh = this.#order.length;
      this.#whole.set(id, fresh);
      this.#queue.push(id);
    }
    return fresh;
  }

  #visit(id: number): void {
    for (const inner of this.#references(id)) this.#map(inner);
  }

  /** New id of what `id` is referred to as: whole, forward, or 0 (void) where the detail is dropped. */
  #map(id: number): number {
    if (id === 0) return 0;
    const kind = this.#kind(id);
    const record = kind === Kind.Struct || kind === Kind.Union;
    if (record && !this.#kept.has(id)) return this.#forwardId(id);
    if (kind === Kind.FunctionPrototype && !this.#functionPointers && !this.#roots.has(id)) return 0;
    if (kind === Kind.Enum && !this.#kept.has(id)) return 0;
    // Qualifiers say nothing about layout or calls: pass through them.
    if (kind === Kind.Const || kind === Kind.Volatile || kind === Kind.Restrict || kind === Kind.TypeTag) {
      return this.#map(this.#word(id, 2));
    }
    return this.#wholeId(id);
  }

  #forwardId(id: number): number {
    const name = this.#btf.string(this.#word(id, 0));
    if (name === '') return 0;
    let fresh = this.#forward.get(id);
    if (fresh === undefined) {
      this.#order.push({ id, forward: true });
      fresh = this.#order.length;
      this.#forward.set(id, fresh);
    }
    return fresh;
  }

  #emit(id: number, forward: boolean, out: number[]): void {
    const name = this.#string(this.#word(id, 0));
    const info = this.#word(id, 1);
    const kind = infoKind(info);
    if (forward) {
      out.push(name, ((Kind.Forward << 24) | (kind === Kind.Union ? 0x80000000 : 0)) >>> 0, 0);
      return;
    }
    const sized = kind === Kind.Int || kind === Kind.Float || SIZED.has(kind);
    out.push(name, info, sized ? this.#word(id, 2) : this.#map(this.#word(id, 2)));
    const [fixed, each] = EXTRA_WORDS[kind]!;
    const total = fixed + each * infoLength(info);
    for (let i = 0; i < total; i++) out.push(this.#extraWord(id, kind, i));
  }

  #extraWord(id: number, kind: number, i: number): number {
    const word = this.#word(id, TYPE_WORDS + i);
    switch (kind) {
      case Kind.Array:
        return i < 2 ? this.#map(word) : word;
      case Kind.Struct:
      case Kind.Union:
        return i % 3 === 0 ? this.#string(word) : i % 3 === 1 ? this.#map(word) : word;
      case Kind.Enum:
        return i % 2 === 0 ? this.#string(word) : word;
      case Kind.Enum64:
        return i % 3 === 0 ? this.#string(word) : word;
      case Kind.FunctionPrototype:
        // Names of parameters cost more than all the rest, and no call needs them.
        return i % 2 === 0 ? 0 : this.#map(word);
      default:
        return word;
    }
  }

  #references(id: number): number[] {
    const kind = this.#kind(id);
    const info = this.#word(id, 1);
    const refs: number[] = [];
    if (!SIZED.has(kind) && kind !== Kind.Int && kind !== Kind.Float && kind !== Kind.Forward) {
      refs.push(this.#word(id, 2));
    }
    if (kind === Kind.Array) refs.push(this.#word(id, 3), this.#word(id, 4));
    for (let i = 0; i < infoLength(info); i++) {
      if (kind === Kind.Struct || kind === Kind.Union) refs.push(this.#word(id, TYPE_WORDS + i * 3 + 1));
      if (kind === Kind.FunctionPrototype) refs.push(this.#word(id, TYPE_WORDS + i * 2 + 1));
    }
    return refs;
  }

  #kind(id: number): number {
    return infoKind(this.#word(id, 1));
  }

  #word(id: number, index: number): number {
    return this.#btf.words[this.#btf.starts[id - this.#btf.firstId]! + index]!;
  }

  #string(offset: number): number {
    const text = this.#btf.string(offset);
    if (text === '') return 0;
    let at = this.#strings.get(text);
    if (at === undefined) {
      at = this.#stringBytes;
      this.#strings.set(text, at);
      this.#stringBytes += text.length + 1;
    }
    return at;
  }

  #stringSection(): Uint8Array {
    const bytes = new Uint8Array(this.#stringBytes);
    let at = 1;
    for (const text of this.#strings.keys()) {
      for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
      at++;
    }
    return bytes;
  }
}

/** Kinds whose third word is a size, not a type. */
const SIZED: ReadonlySet<number> = new Set([
  Kind.Struct,
  Kind.Union,
  Kind.Enum,
  Kind.Enum64,
  Kind.DataSection,
  Kind.Forward,
]);
