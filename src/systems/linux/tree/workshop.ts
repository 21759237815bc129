/**
 * The memory in which tree.as works, laid out from the bottom up: what is put there stays until it is released, and what is
 * written comes behind it.
 */
import { roundUp } from '../../../bytes/align.ts';
import { TREE_WASM } from './tree.gen.ts';

/** What tree.as says of each; all arguments are addresses and numbers. */
interface TreeExports {
  nameCount(): number;
  poolLength(): number;
  moveNames(
    pool: number,
    limit: number,
    starts: number,
    hashes: number,
    slots: number,
    slotCount: number,
  ): void;
  numbersOf(at: number, end: number, target: number): number;
  walk(symbols: number, end: number, strings: number, limit: number, needs: number, exports: number): number;
  needsFound(): number;
  exportsFound(): number;
  startOut(at: number): void;
  outEnd(): number;
  put(from: number, length: number): void;
  isAscii(at: number, end: number): number;
  startEntries(keys: number, starts: number, values: number, priorities: number): void;
  setEntries(keys: number, starts: number, values: number, priorities: number, count: number): void;
  aliasKeys(modules: number, from: number, to: number): number;
  otherStrings(modules: number, from: number, to: number): void;
  aliasLines(modules: number, from: number, to: number, names: number, nameEnds: number): void;
  writeTrie(order: number, valueStarts: number, valueEnds: number): void;
  ownedSymbols(owners: number, size: number, target: number, scratch: number): number;
  symbolLines(
    ordered: number,
    count: number,
    owners: number,
    names: number,
    nameEnds: number,
    head: number,
  ): void;
  symbolKeys(ordered: number, count: number, owners: number): void;
}

const PAGE = 65536;
/** Address 0 is nobody's. */
const START = 64;
/** Bytes behind everything that may be read along with it. */
const SLACK = 16;

/** Compiled once: later instances start fast. */
let compiled: WebAssembly.Module | undefined;

function treeModule(): WebAssembly.Module {
  if (compiled === undefined) {
    const text = atob(TREE_WASM);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    compiled = new WebAssembly.Module(bytes);
  }
  return compiled;
}

export class Workshop {
  readonly wasm: TreeExports;
  private readonly memory: WebAssembly.Memory;
  private top = START;
  private view: Uint8Array<ArrayBuffer>;

  /** `bytes`: how many are expected to be put there; pages that are not touched take no memory. */
  constructor(bytes = PAGE) {
    this.memory = new WebAssembly.Memory({ initial: Math.ceil(Math.max(bytes, 1) / PAGE) });
    const instance = new WebAssembly.Instance(treeModule(), { env: { memory: this.memory } });
    this.wasm = instance.exports as unknown as TreeExports;
    this.view = new Uint8Array(this.memory.buffer);
  }

  /** All of the memory: a view, good until something more is put there or written. */
  get bytes(): Uint8Array<ArrayBuffer> {
    if (this.view.length === 0) this.view = new Uint8Array(this.memory.buffer);
    return this.view;
  }

  /** Where the next thing will be put: what stands from there on can be released. */
  get mark(): number {
    return this.top;
  }

  release(mark: number): void {
    this.top = mark;
  }

  /** Room for so many bytes: its address. @throws RangeError when there is no memory */
  room(bytes: number): number {
    const at = this.top;
    this.top = roundUp(at + bytes + SLACK, 8);
    const missing = this.top - this.bytes.length;
    if (missing > 0)
      this.memory.grow(Math.ceil(Math.max(missing, Math.min(this.bytes.length / 4, 2 ** 24)) / PAGE));
    return at;
  }

  /** Puts bytes there. */
  put(bytes: Uint8Array): number {
    const at = this.room(bytes.length);
    this.bytes.set(bytes, at);
    return at;
  }

  putWords(words: Int32Array): number {
    return this.put(new Uint8Array(words.buffer, words.byteOffset, words.byteLength));
  }

  /** The words at an address: a view, as `bytes`. */
  words(at: number, count: number): Int32Array<ArrayBuffer> {
    return new Int32Array(this.bytes.buffer, at, count);
  }

  /** Is this a part of the memory? Its address then. */
  addressOf(bytes: Uint8Array): number | undefined {
    return bytes.buffer === this.bytes.buffer ? bytes.byteOffset : undefined;
  }

  /** What `write` writes behind everything that is there. */
  written(write: () => void): Uint8Array<ArrayBuffer> {
    this.wasm.startOut(this.top);
    write();
    return this.bytes.slice(this.top, this.wasm.outEnd());
  }
}

/** Numbers of entries, their keys and their values, as addresses; tree.as sorts and writes them. */
export function writeTrie(
  shop: Workshop,
  entries: number,
  valueStarts: number,
  valueEnds: number,
): Uint8Array<ArrayBuffer> {
  const order = shop.room(4 * entries);
  return shop.written(() => shop.wasm.writeTrie(order, valueStarts, valueEnds));
}

/** Strings, each from one place to another. */
export interface Spans {
  readonly starts: number;
  readonly ends: number;
}

/** Puts the addresses of parts of something that stands at `base`. */
export function putSpans(
  shop: Workshop,
  base: number,
  starts: ArrayLike<number>,
  ends: ArrayLike<number>,
): Spans {
  const count = starts.length;
  const at = shop.room(8 * count);
  const words = shop.words(roundUp(at, 4), 2 * count);
  for (let i = 0; i < count; i++) {
    words[i] = base + starts[i];
    words[count + i] = base + ends[i];
  }
  return { starts: at, ends: at + 4 * count };
}
