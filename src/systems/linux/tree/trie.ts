/**
 * The `.bin` indexes: a radix trie in big-endian words (layout: 0xB007F457, version 2.1, offset of the root; flags in
 * an offset's upper bits say what a node has). Nodes may stand in any order; trie-builder.ts writes them.
 *
 * A node is: prefix and NUL (PREFIX); first and last child byte and an offset for each byte between them (CHILDS);
 * the number of values, each a 32-bit priority, the text and a NUL (VALUES).
 */
import { BadMagic, Invalid, Truncated, Unsupported } from '../../../bytes/errors.ts';
import { type GlobPart, matchesGlob, parseGlob } from '../glob.ts';

export const MAGIC = 0xb007f457;
export const VERSION_MAJOR = 2;
export const HEADER = 12;
export const FLAG = { PREFIX: 0x80000000, VALUES: 0x40000000, CHILDS: 0x20000000 } as const;
const OFFSET_MASK = 0x0fffffff;
/** Keys are 7-bit ASCII: a child is indexed by its byte. */
const CHILD_MAX = 128;

export interface TrieValue {
  readonly value: string;
  /** Lower comes first. */
  readonly priority: number;
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
