/** Writes the `.bin` indexes that trie.ts reads: nodes in pre-order, as newer tools do. */
import { ByteSink, IntSink } from '../../../bytes/sink.ts';
import { latin } from './elf-facts.ts';
import { FLAG, HEADER, MAGIC, VERSION_MAJOR, VERSION_MINOR } from './trie.ts';

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

/** Fewer keys than this are sorted by insertion. */
const FEW = 12;

/**
 * An index in the making. A tree of modules has a hundred thousand entries, so keys and values stay bytes, and lists are
 * lists of numbers (measured: strings and objects take three times as long).
 */
export class TrieBuilder {
  /** Keys in the order they came in, a NUL after each. */
  private readonly keys = new ByteSink(1 << 16);
  private readonly starts = new IntSink();
  private readonly values = new ByteSink(1 << 12);
  private readonly valueStarts = new IntSink(16);
  /** Values that no index may hold, by number. */
  private readonly refused = new Map<number, NotAscii>();
  /** By entry. */
  private readonly valueOf = new IntSink();
  private readonly priorities = new IntSink();

  /** Adds a value under a key. @throws NotAscii */
  add(key: string, value: string, priority: number): void {
    this.addBytes(
      Uint8Array.from(key, (char) => char.charCodeAt(0)),
      this.value(value),
      priority,
    );
  }

  /** Notes a value; its number is good for any number of keys. One that cannot be held is refused when it is used. */
  value(text: string): number {
    return this.valueBytes(Uint8Array.from(text, (char) => char.charCodeAt(0)));
  }

  valueBytes(bytes: Uint8Array, from = 0, to = bytes.length): number {
    const number = this.valueStarts.length;
    this.valueStarts.push(this.values.length);
    const bad = notAscii(bytes, from, to);
    if (bad >= 0) this.refused.set(number, new NotAscii(latin(bytes, from, to), bytes[bad]));
    this.values.copy(bytes, from, to);
    this.values.u8(0);
    return number;
  }

  /** Adds bytes[from, to) as a key. @throws NotAscii */
  addBytes(bytes: Uint8Array, value: number, priority: number, from = 0, to = bytes.length): void {
    const bad = notAscii(bytes, from, to);
    if (bad >= 0) throw new NotAscii(latin(bytes, from, to), bytes[bad]);
    const refused = this.refused.get(value);
    if (refused !== undefined) throw refused;
    this.starts.push(this.keys.length);
    this.keys.copy(bytes, from, to);
    this.keys.u8(0);
    this.valueOf.push(value);
    this.priorities.push(priority);
  }

  /** The file. */
  write(): Uint8Array<ArrayBuffer> {
    const order = this.starts.take();
    for (let i = 0; i < order.length; i++) order[i] = i;
    this.sort(order, 0, order.length, 0);
    const out = new ByteSink(HEADER + 2 * this.keys.length);
    out.u32be(MAGIC);
    out.u32be((VERSION_MAJOR << 16) | VERSION_MINOR);
    out.u32be(0);
    const root = this.node(out, order, 0, order.length, 0);
    setWord(out, 8, root);
    return out.view();
  }

  // -- order ------------------------------------------------------------------------------------------------

  /** Sorts order[low, high), whose keys share `depth` bytes: by key, by priority, the later first (three-way quicksort on bytes). */
  private sort(order: Int32Array, low: number, high: number, depth: number): void {
    const keys = this.keys.bytes;
    const starts = this.starts.values;
    let [from, to, at] = [low, high, depth];
    while (to - from > FEW) {
      const pivot = keys[starts[order[(from + to) >> 1]] + at];
      let [less, more] = [from, to - 1];
      for (let i = from; i <= more; ) {
        const entry = order[i];
        const byte = keys[starts[entry] + at];
        if (byte < pivot) {
          order[i++] = order[less];
          order[less++] = entry;
        } else if (byte > pivot) {
          order[i] = order[more];
          order[more--] = entry;
        } else i++;
      }
      this.sort(order, from, less, at);
      this.sort(order, more + 1, to, at);
      // Equal up to their ends: one key.
      if (pivot === 0) {
        order.subarray(less, more + 1).sort((a, b) => this.compareEqual(a, b));
        return;
      }
      [from, to, at] = [less, more + 1, at + 1];
    }
    this.insertionSort(order, from, to, at);
  }

  private insertionSort(order: Int32Array, from: number, to: number, depth: number): void {
    for (let i = from + 1; i < to; i++) {
      const entry = order[i];
      let at = i;
      for (; at > from && this.compare(order[at - 1], entry, depth) > 0; at--) order[at] = order[at - 1];
      order[at] = entry;
    }
  }

  private compare(a: number, b: number, depth: number): number {
    const keys = this.keys.bytes;
    let [i, j] = [this.starts.values[a] + depth, this.starts.values[b] + depth];
    for (; keys[i] === keys[j]; i++, j++) if (keys[i] === 0) return this.compareEqual(a, b);
    return keys[i] - keys[j];
  }

  private compareEqual(a: number, b: number): number {
    return this.priorities.values[a] - this.priorities.values[b] || b - a;
  }

  // -- nodes ------------------------------------------------------------------------------------------------

  /** The node for order[from, to), whose keys share `depth` bytes (0: the root); its offset with its flags. */
  private node(out: ByteSink, order: Int32Array, from: number, to: number, depth: number): number {
    const keys = this.keys.bytes;
    const starts = this.starts.values;
    const first = from < to ? starts[order[from]] : 0;
    // The root never has a prefix, whatever its keys share.
    const end = depth === 0 ? 0 : this.sharedEnd(first, starts[order[to - 1]], depth);
    // The shortest key sorts first: it is the one that ends here, if any does.
    const ends = from < to && keys[first + end] === 0;
    const start = out.length;
    if (end > depth) {
      out.copy(keys, first + depth, first + end);
      out.u8(0);
    }
    let below = from;
    if (ends) while (below < to && keys[starts[order[below]] + end] === 0) below++;
    let table = 0;
    if (below < to) {
      const low = keys[starts[order[below]] + end];
      table = tableOf(out, low, keys[starts[order[to - 1]] + end]);
    }
    if (ends) this.writeValues(out, order, from, below);
    this.children(out, order, below, to, end, table);
    const flags = (end > depth ? FLAG.PREFIX : 0) | (ends ? FLAG.VALUES : 0) | (below < to ? FLAG.CHILDS : 0);
    return (start | flags) >>> 0;
  }

  private children(
    out: ByteSink,
    order: Int32Array,
    from: number,
    to: number,
    depth: number,
    table: number,
  ): void {
    const keys = this.keys.bytes;
    const starts = this.starts.values;
    for (let at = from; at < to; ) {
      const byte = keys[starts[order[at]] + depth];
      let next = at + 1;
      while (next < to && keys[starts[order[next]] + depth] === byte) next++;
      setWord(out, table + 4 * byte, this.node(out, order, at, next, depth + 1));
      at = next;
    }
  }

  private writeValues(out: ByteSink, order: Int32Array, from: number, to: number): void {
    const values = this.values.bytes;
    out.u32be(to - from);
    for (let i = from; i < to; i++) {
      out.u32be(this.priorities.values[order[i]]);
      const number = this.valueOf.values[order[i]];
      const start = this.valueStarts.values[number];
      const end =
        number + 1 < this.valueStarts.length ? this.valueStarts.values[number + 1] : this.values.length;
      out.copy(values, start, end);
    }
  }

  /** How far two keys are the same, from a place up to which they are. */
  private sharedEnd(a: number, b: number, from: number): number {
    const keys = this.keys.bytes;
    let end = from;
    while (keys[a + end] !== 0 && keys[a + end] === keys[b + end]) end++;
    return end;
  }
}

/** Position of the first byte that is no ASCII; a NUL would end a key, and none comes in. -1 = all are. */
function notAscii(bytes: Uint8Array, from: number, to: number): number {
  for (let at = from; at < to; at++) if (bytes[at] >= 0x80) return at;
  return -1;
}

/** A table of children with nothing in it; where the entry for byte 0 would stand. */
function tableOf(out: ByteSink, first: number, last: number): number {
  const size = 2 + 4 * (last - first + 1);
  out.room(size);
  const start = out.length;
  out.bytes[start] = first;
  out.bytes[start + 1] = last;
  out.bytes.fill(0, start + 2, start + size);
  out.length += size;
  return start + 2 - 4 * first;
}

function setWord(out: ByteSink, at: number, value: number): void {
  out.bytes[at] = value >>> 24;
  out.bytes[at + 1] = value >>> 16;
  out.bytes[at + 2] = value >>> 8;
  out.bytes[at + 3] = value;
}
