/**
 * The `.bin` indexes: a radix trie in big-endian words (layout: 0xB007F457, version 2.1, offset of the root; flags in
 * an offset's upper bits say what a node has). Written in pre-order, as newer tools do; read in any order.
 *
 * A node is: prefix and NUL (PREFIX); first and last child byte and an offset for each byte between them (CHILDS);
 * the number of values, each a 32-bit priority, the text and a NUL (VALUES).
 */
import { BadMagic, Invalid, Truncated, Unsupported } from '../../../bytes/errors.ts';
import { type GlobPart, matchesGlob, parseGlob } from '../glob.ts';

const MAGIC = 0xb007f457;
const VERSION_MAJOR = 2;
const VERSION_MINOR = 1;
const HEADER = 12;
const FLAG = { PREFIX: 0x80000000, VALUES: 0x40000000, CHILDS: 0x20000000 } as const;
const OFFSET_MASK = 0x0fffffff;
/** Keys are 7-bit ASCII: a child is indexed by its byte. */
const CHILD_MAX = 128;

/** A key or a value that the index cannot hold. */
export class NotAscii extends Error {
  readonly text: string;
  readonly byte: number;

  constructor(text: string, byte: number) {
    super(`byte 0x${byte.toString(16)} in an index that holds 7-bit ASCII only: ${text}`);
    this.name = 'NotAscii';
    this.text = text;
    this.byte = byte;
  }
}

export interface TrieValue {
  readonly value: string;
  /** Lower comes first. */
  readonly priority: number;
}

/** An index in the making: parallel lists, as a tree of modules has a hundred thousand entries (measured). */
export class TrieBuilder {
  /** The latest entry of each key. */
  private readonly last = new Map<string, number>();
  private readonly values: string[] = [];
  private readonly priorities: number[] = [];
  /** The entry of the same key before this one; -1 = none. */
  private readonly before: number[] = [];

  /**
   * Adds a value under a key; true when the key has that value already (it is added all the same).
   * @throws NotAscii
   */
  add(key: string, value: string, priority: number): boolean {
    if (NOT_ASCII.test(key)) throw notAscii(key);
    if (NOT_ASCII.test(value)) throw notAscii(value);
    const known = this.last.get(key);
    this.last.set(key, this.values.length);
    this.values.push(value);
    this.priorities.push(priority);
    this.before.push(known ?? -1);
    for (let at = known ?? -1; at >= 0; at = this.before[at]) if (this.values[at] === value) return true;
    return false;
  }

  /** The file. */
  write(): Uint8Array {
    const writer = new TrieWriter([...this.last.keys()].sort(), (key) => this.valuesOf(key));
    return writer.file();
  }

  /** By priority; of equal ones the later stands first. */
  private valuesOf(key: string): readonly TrieValue[] {
    const found: TrieValue[] = [];
    for (let at = this.last.get(key) ?? -1; at >= 0; at = this.before[at])
      found.push({ value: this.values[at], priority: this.priorities[at] });
    return found.length > 1 ? found.sort((a, b) => a.priority - b.priority) : found;
  }
}

const NOT_ASCII = /[^\x00-\x7f]/;

function notAscii(text: string): NotAscii {
  return new NotAscii(text, text.charCodeAt(text.search(NOT_ASCII)));
}

/** Writes nodes in pre-order; a node's table of children is filled in as they come. */
class TrieWriter {
  private readonly keys: readonly string[];
  private readonly valuesOf: (key: string) => readonly TrieValue[];
  private bytes = new Uint8Array(1 << 16);
  private view = new DataView(this.bytes.buffer);
  private at = HEADER;

  /** Keys in byte order. */
  constructor(keys: readonly string[], valuesOf: (key: string) => readonly TrieValue[]) {
    this.keys = keys;
    this.valuesOf = valuesOf;
  }

  file(): Uint8Array {
    this.view.setUint32(0, MAGIC);
    this.view.setUint32(4, (VERSION_MAJOR << 16) | VERSION_MINOR);
    const root = this.node(0, this.keys.length, 0);
    this.view.setUint32(8, root);
    return this.bytes.slice(0, this.at);
  }

  /** The node for keys[from, to), which share their first `depth` bytes (0: the root); its offset with its flags. */
  private node(from: number, to: number, depth: number): number {
    const { keys } = this;
    // The root never has a prefix, whatever its keys share.
    const end = depth === 0 ? 0 : sharedEnd(keys[from], keys[to - 1], depth);
    // The shortest key sorts first: it is the one that ends here, if any does.
    const ends = from < to && keys[from].length === end;
    const start = this.at;
    if (end > depth) this.text(keys[from], depth, end);
    const below = ends ? from + 1 : from;
    const table = below < to ? this.table(keys[below].charCodeAt(end), keys[to - 1].charCodeAt(end)) : 0;
    if (ends) this.values(this.valuesOf(keys[from]));
    this.children(below, to, end, table);
    const flags = (end > depth ? FLAG.PREFIX : 0) | (ends ? FLAG.VALUES : 0) | (below < to ? FLAG.CHILDS : 0);
    return (start | flags) >>> 0;
  }

  private table(first: number, last: number): number {
    const size = 2 + 4 * (last - first + 1);
    this.room(size);
    this.bytes[this.at] = first;
    this.bytes[this.at + 1] = last;
    this.bytes.fill(0, this.at + 2, this.at + size);
    const table = this.at + 2 - 4 * first;
    this.at += size;
    return table;
  }

  private children(from: number, to: number, depth: number, table: number): void {
    const { keys } = this;
    for (let at = from; at < to; ) {
      const byte = keys[at].charCodeAt(depth);
      let next = at + 1;
      while (next < to && keys[next].charCodeAt(depth) === byte) next++;
      const child = this.node(at, next, depth + 1);
      this.view.setUint32(table + 4 * byte, child);
      at = next;
    }
  }

  private values(values: readonly TrieValue[]): void {
    this.word(values.length);
    for (const { value, priority } of values) {
      this.word(priority);
      this.text(value, 0, value.length);
    }
  }

  private word(value: number): void {
    this.room(4);
    this.view.setUint32(this.at, value);
    this.at += 4;
  }

  /** Part of a text and a NUL. */
  private text(text: string, from: number, to: number): void {
    this.room(to - from + 1);
    for (let i = from; i < to; i++) this.bytes[this.at++] = text.charCodeAt(i);
    this.bytes[this.at++] = 0;
  }

  private room(length: number): void {
    if (this.at + length <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.at + length));
    larger.set(this.bytes);
    this.bytes = larger;
    this.view = new DataView(larger.buffer);
  }
}

/** How far two keys are the same, from a place up to which they are. */
function sharedEnd(a: string, b: string, from: number): number {
  let end = from;
  while (end < a.length && end < b.length && a.charCodeAt(end) === b.charCodeAt(end)) end++;
  return end;
}

/** One node as it stands in the file. */
interface FileNode {
  readonly prefix: string;
  readonly first: number;
  readonly last: number;
  /** Where the child offsets stand. */
  readonly table: number;
  readonly values: readonly TrieValue[];
}

/**
 * Branches between the root and a key: real keys share so much that a dozen is many, and a malformed file may point back
 * at itself.
 */
const MAX_DEPTH = 500;

/** An index file. Nodes are read when they are asked for. */
export class TrieReader {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly rootOffset: number;
  /** Steps of the walk in progress. */
  private steps = 0;

  /** What is damaged reads as absent, as for the tools: a truncated index still gives what is whole in it. */
  private readonly lenient: boolean;

  /** @throws BadMagic, Truncated, Unsupported */
  constructor(bytes: Uint8Array, { lenient = false } = {}) {
    this.bytes = bytes;
    this.lenient = lenient;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < HEADER) throw new Truncated('module index', 'has no whole header');
    if (this.view.getUint32(0) !== MAGIC)
      throw new BadMagic('module index', 'has another magic number', { value: this.view.getUint32(0) });
    if (this.view.getUint16(4) !== VERSION_MAJOR)
      throw new Unsupported('module index', 'has a version that is not 2', { value: this.view.getUint32(4) });
    this.rootOffset = this.view.getUint32(8);
  }

  /** The first value of exactly this key. */
  find(key: string): string | undefined {
    return this.valuesOf(key)[0]?.value;
  }

  /** All values of exactly this key, by priority. */
  valuesOf(key: string): readonly TrieValue[] {
    let node = this.node(this.rootOffset);
    let at = 0;
    while (node !== undefined) {
      if (!key.startsWith(node.prefix, at)) return [];
      at += node.prefix.length;
      if (at === key.length) return node.values;
      node = this.child(node, key.charCodeAt(at++));
    }
    return [];
  }

  /** The values of all keys that, read as fnmatch(3) patterns, match `text`; by priority. */
  matching(text: string): string[] {
    const found: TrieValue[] = [];
    this.steps = 0;
    // A key without a wildcard must begin as the text does; from a wildcard on, everything below is tried.
    const literal = (node: FileNode, at: number, depth: number): void => {
      for (let i = 0; i < node.prefix.length; i++) {
        if (isWildcard(node.prefix[i])) {
          every(node, node.prefix.slice(i), at + i, depth, '');
          return;
        }
        if (node.prefix[i] !== text[at + i]) return;
      }
      const end = at + node.prefix.length;
      if (end === text.length) found.push(...node.values);
      for (const byte of WILDCARD_BYTES) {
        const child = this.child(node, byte);
        if (child !== undefined)
          every(child, child.prefix, end, this.deeper(depth), String.fromCharCode(byte));
      }
      const next = end < text.length ? this.child(node, text.charCodeAt(end)) : undefined;
      if (next !== undefined && !isWildcard(text[end])) literal(next, end + 1, this.deeper(depth));
    };
    const every = (node: FileNode, prefix: string, at: number, depth: number, head: string): void => {
      const pattern = head + prefix;
      if (node.values.length > 0 && matchesPattern(pattern, text.slice(at))) found.push(...node.values);
      for (const [byte, child] of this.children(node))
        every(child, child.prefix, at, this.deeper(depth), pattern + String.fromCharCode(byte));
    };
    const root = this.node(this.rootOffset);
    if (root !== undefined) literal(root, 0, 0);
    return found.sort((a, b) => a.priority - b.priority).map(({ value }) => value);
  }

  /** Every key with its values, keys in byte order. */
  *entries(): Generator<{ readonly key: string; readonly values: readonly TrieValue[] }> {
    this.steps = 0;
    const root = this.node(this.rootOffset);
    if (root !== undefined) yield* this.below(root, '', 0);
  }

  private *below(
    node: FileNode,
    before: string,
    depth: number,
  ): Generator<{ readonly key: string; readonly values: readonly TrieValue[] }> {
    const key = before + node.prefix;
    if (node.values.length > 0) yield { key, values: node.values };
    for (const [byte, child] of this.children(node))
      yield* this.below(child, key + String.fromCharCode(byte), this.deeper(depth));
  }

  /** A step down. Every node has bytes of its own, so that no walk of an honest file takes more steps than it has. */
  private deeper(depth: number): number {
    if (depth >= MAX_DEPTH || this.steps++ > this.bytes.length)
      throw new Invalid('module index', 'has nodes that point back at themselves');
    return depth + 1;
  }

  private *children(node: FileNode): Generator<readonly [byte: number, node: FileNode]> {
    for (let byte = node.first; byte <= node.last; byte++) {
      const child = this.child(node, byte);
      if (child !== undefined) yield [byte, child];
    }
  }

  private child(node: FileNode, byte: number): FileNode | undefined {
    if (byte < node.first || byte > node.last) return undefined;
    return this.node(this.u32(node.table + 4 * (byte - node.first)));
  }

  private node(offset: number): FileNode | undefined {
    if (!this.lenient) return this.wholeNode(offset);
    try {
      const node = this.wholeNode(offset);
      if (node !== undefined && node.table + 4 * (node.last - node.first + 1) > this.bytes.length)
        return undefined;
      return node;
    } catch (error) {
      if (error instanceof Truncated) return undefined;
      throw error;
    }
  }

  private wholeNode(offset: number): FileNode | undefined {
    let at = offset & OFFSET_MASK;
    if (at === 0) return undefined;
    let prefix = '';
    if ((offset & FLAG.PREFIX) !== 0) {
      prefix = this.text(at);
      at += prefix.length + 1;
    }
    let [first, last, table] = [CHILD_MAX, 0, 0];
    if ((offset & FLAG.CHILDS) !== 0) {
      if (at + 2 > this.bytes.length) throw this.truncated(at);
      [first, last, table] = [this.bytes[at], this.bytes[at + 1], at + 2];
      at = table + 4 * Math.max(0, last - first + 1);
    }
    const values = (offset & FLAG.VALUES) !== 0 ? this.values(at) : [];
    return { prefix, first, last, table, values };
  }

  private values(start: number): TrieValue[] {
    const values: TrieValue[] = [];
    let at = start + 4;
    for (let left = this.u32(start); left > 0; left--) {
      const priority = this.u32(at);
      const value = this.text(at + 4);
      values.push({ priority, value });
      at += 5 + value.length;
    }
    return values;
  }

  private u32(at: number): number {
    if (at + 4 > this.bytes.length) throw this.truncated(at);
    return this.view.getUint32(at);
  }

  private text(at: number): string {
    const zero = this.bytes.indexOf(0, at);
    if (at >= this.bytes.length || (zero < 0 && !this.lenient)) throw this.truncated(at);
    const end = zero < 0 ? this.bytes.length : zero;
    let text = '';
    for (let i = at; i < end; i++) text += String.fromCharCode(this.bytes[i]);
    return text;
  }

  private truncated(offset: number): Truncated {
    return new Truncated('module index', 'ends inside a node', { offset });
  }
}

const WILDCARDS = '*?[';
const WILDCARD_BYTES: readonly number[] = [...WILDCARDS].map((char) => char.charCodeAt(0));
const isWildcard = (char: string): boolean => WILDCARDS.includes(char);

function matchesPattern(pattern: string, text: string): boolean {
  const parts: readonly GlobPart[] = parseGlob(pattern, { sets: true });
  return matchesGlob(parts, text);
}
