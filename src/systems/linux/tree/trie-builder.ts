/** Writes the `.bin` indexes that trie.ts reads: nodes in pre-order, as newer tools do. */
import { ByteSink, IntSink } from '../../../bytes/sink.ts';
import { latin } from './elf-facts.ts';
import { putSpans, Workshop, writeTrie } from './workshop.ts';

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
    const { keys, starts, values, valueStarts } = this;
    const count = starts.length;
    const shop = new Workshop(3 * keys.length + values.length + 16 * count);
    shop.wasm.setEntries(
      shop.put(keys.view()),
      shop.putWords(starts.view()),
      shop.putWords(this.valueOf.view()),
      shop.putWords(this.priorities.view()),
      count,
    );
    // A NUL ends each value.
    const ends = Array.from(valueStarts.view(), (_, i) => (valueStarts.values[i + 1] ?? 0) - 1);
    if (ends.length > 0) ends[ends.length - 1] = values.length - 1;
    const spans = putSpans(shop, shop.put(values.view()), valueStarts.view(), ends);
    return writeTrie(shop, count, spans.starts, spans.ends);
  }
}

/** Position of the first byte that is no ASCII; a NUL would end a key, and none comes in. -1 = all are. */
function notAscii(bytes: Uint8Array, from: number, to: number): number {
  for (let at = from; at < to; at++) if (bytes[at] >= 0x80) return at;
  return -1;
}
