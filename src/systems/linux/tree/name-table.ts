/**
 * Names of symbols by number. A tree of modules names symbols some hundred thousand times, and few of them are
 * different: names are found by their bytes, and a string is made of a name only when somebody wants to see it
 * (measured: half of the time of a scan otherwise; bench/depmod.ts). The table is tree.as's, whose memory the files are
 * read to as well.
 */
import type { IntSink } from '../../../bytes/sink.ts';
import { latin } from './elf-facts.ts';
import { Workshop } from './workshop.ts';

/** Names and bytes of them that there is room for at first: more than a tree has. */
const FIRST_NAMES = 1 << 15;
const FIRST_BYTES = 1 << 20;
/** Most module files fit into this. */
const INPUT_BYTES = 1 << 20;
/** Bytes of a symbol in a 64-bit table. */
const SYMBOL_BYTES = 24;
/** What walk() returns. */
const [OUTSIDE, NO_ROOM] = [1, 2];

/** Bytes that somebody else owns, and may have to give another place. */
export interface Room {
  readonly bytes: Uint8Array;
}

export class NameTable implements Room {
  /** What is put there has to be released again. */
  readonly shop = new Workshop(2 * (INPUT_BYTES + FIRST_BYTES));
  private readonly input = this.shop.room(INPUT_BYTES);
  private most = FIRST_NAMES;
  private mostBytes = FIRST_BYTES;
  /** Addresses. */
  private pool = 0;
  private startsAt = 0;
  private room: Uint8Array | undefined;
  /** Views of what is at these addresses, and of where `room` is. */
  private poolBytes = new Uint8Array();
  private starts = new Int32Array();
  private readonly strings: (string | undefined)[] = [];

  constructor() {
    this.place();
  }

  /** Where a file can be read to: its symbol table is then walked in place. */
  get bytes(): Uint8Array {
    if (this.room === undefined || this.room.length === 0)
      this.room = this.shop.bytes.subarray(this.input, this.input + INPUT_BYTES);
    return this.room;
  }

  get size(): number {
    return this.shop.wasm.nameCount();
  }

  numberOfText(name: string): number {
    const bytes = Uint8Array.from(`${name}\0`, (char) => char.charCodeAt(0));
    return this.adopt(bytes)[0];
  }

  /** Takes the names of another table in: their numbers here, in the other's order. `pool` has a NUL after each. */
  adopt(pool: Uint8Array): Int32Array {
    const { shop } = this;
    const { mark } = shop;
    const at = shop.put(pool);
    const target = shop.room(4 * pool.length);
    const number = (): number => shop.wasm.numbersOf(at, at + pool.length, target);
    let count = number();
    const fits = count >= 0;
    for (; count < 0; count = number()) this.grow(pool.length);
    const numbers = shop.words(target, count).slice();
    // Where it grew, the table stands above.
    if (fits) shop.release(mark);
    this.refresh();
    return numbers;
  }

  /**
   * Goes through a symbol table, little-endian and of 64 bits: needed names go to `needs` (their number * 2, plus 1 for a
   * weak reference), names of versions to `exports`. False where a name lies outside the string table.
   */
  walk(symbols: Uint8Array, strings: Uint8Array, needs: IntSink, exports: IntSink): boolean {
    const { shop } = this;
    const { wasm, mark } = shop;
    const most = Math.floor(symbols.length / SYMBOL_BYTES);
    const [inSymbols, inStrings] = [shop.addressOf(symbols), shop.addressOf(strings)];
    const [symbolBytes, stringBytes] = [symbols.length, strings.length];
    const at = inSymbols ?? shop.put(symbols);
    const strAt = inStrings ?? shop.put(strings);
    const found = shop.room(8 * most);
    const walk = (): number =>
      wasm.walk(at, at + symbolBytes, strAt, strAt + stringBytes, found, found + 4 * most);
    let result = walk();
    const fits = result !== NO_ROOM;
    for (; result === NO_ROOM; result = walk()) this.grow(stringBytes);
    if (result !== OUTSIDE) {
      needs.append(shop.words(found, wasm.needsFound()));
      exports.append(shop.words(found + 4 * most, wasm.exportsFound()));
    }
    if (fits) shop.release(mark);
    this.refresh();
    return result !== OUTSIDE;
  }

  /** All names in the order of their numbers, a NUL after each: a view, good until there are more. */
  get text(): Uint8Array {
    this.refresh();
    return this.poolBytes.subarray(0, this.shop.wasm.poolLength());
  }

  name(number: number): string {
    let name = this.strings[number];
    if (name === undefined) {
      this.refresh();
      name = latin(this.poolBytes, this.starts[number], this.starts[number + 1] - 1);
      this.strings[number] = name;
    }
    return name;
  }

  /** First byte of a name: 0 for the empty one. */
  firstByte(number: number): number {
    return this.poolBytes[this.starts[number]];
  }

  /** Room for twice as many names, and for so many bytes more of them at least. */
  private grow(bytes: number): void {
    this.most *= 2;
    this.mostBytes = this.mostBytes * 2 + bytes;
    this.place();
  }

  private place(): void {
    const { shop, most, mostBytes } = this;
    const [starts, hashes, slots] = [shop.room(4 * (most + 1)), shop.room(4 * most), shop.room(8 * most)];
    const pool = shop.room(mostBytes);
    shop.wasm.moveNames(pool, pool + mostBytes, starts, hashes, slots, 2 * most);
    [this.pool, this.startsAt] = [pool, starts];
    this.poolBytes = NOTHING;
    this.refresh();
  }

  /** Views end when the memory grows. */
  private refresh(): void {
    if (this.poolBytes.length > 0) return;
    this.poolBytes = this.shop.bytes.subarray(this.pool, this.pool + this.mostBytes);
    this.starts = this.shop.words(this.startsAt, this.most + 1);
  }
}

const NOTHING = new Uint8Array();
