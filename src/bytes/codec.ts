/**
 * The WebAssembly side of decompression: one instance a call, its memory laid out as
 *   0        decoder state        (offsets in the .as files)
 *   1 KiB    constants            (placed by the compiler)
 *   2 KiB    CRC tables           (16 KiB)
 *   18 KiB   scratch              (tables, a block of literals)
 *   input    a copy of the input, and 64 zero bytes
 *   output   grows to the end of the memory as the decoder goes on
 */
import { roundUp } from './align.ts';
import { CODEC_WASM } from './codec.gen.ts';
import { Unsupported } from './errors.ts';

export interface CodecExports {
  setProperties(lc: number, lp: number, pb: number, probabilities: number): void;
  resetState(): void;
  setOutput(output: number, dictionary: number): void;
  setDictionary(dictionary: number): void;
  startRange(input: number): void;
  copyChunk(input: number, size: number): void;
  output(): number;
  input(): number;
  pending(): number;
  finishRange(): number;
  decode(limit: number, inputEnd: number): number;
  undoX86(start: number, size: number, address: number): void;
  makeTables(): void;
  crc32(start: number, size: number, before: number): number;
  crc64(start: number, size: number, before: bigint): bigint;
  startXxh64(): void;
  addXxh64(start: number, size: number): number;
  endXxh64(start: number, end: number, size: bigint): bigint;
  startFrame(): void;
  moveFrame(start: number): void;
  fillBlock(byte: number, size: number): void;
  decodeBlock(start: number, end: number): number;
  startInflate(input: number): void;
  inflate(limit: number, end: number): number;
}

/** What `decode` and `inflate` return, see codec.as and inflate.as. */
export const Decoded = { Full: 0, End: 1, BadDistance: 2, NoInput: 3, BadData: 4 } as const;

/** Bytes of probabilities for LZMA with lc + lp up to `literalBits`: fixed ones, and 0x300 for each literal coder. */
export function lzmaScratch(literalBits: number): number {
  return 3720 + 0x600 * 2 ** literalBits;
}

const PAGE = 65536;
const SCRATCH = 18 * 1024;
const PADDING = 64;
/** Input and output start on cache lines. */
const LINE = 64;
/** A kept memory above this is replaced: one kernel image must not hold 80 MB for good. */
const KEPT_LIMIT = 2 ** 25;
/** WebAssembly memory ends at 4 GiB; an output address must stay a positive 32-bit number on the way. */
const ADDRESS_LIMIT = 2 ** 31;

/** Compiled once: engines tie optimised code to the module, so later instances start fast. */
let compiled: WebAssembly.Module | undefined;

function codecModule(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(Uint8Array.from(atob(CODEC_WASM), (char) => char.charCodeAt(0)));
  return compiled;
}

/**
 * Memory for the decoders that is kept between calls: making one costs about 0.2 ms, more than a small module takes.
 * Whoever unpacks many files holds one and gives it along. One that a file has made large is replaced at its next use.
 */
export class CodecMemory {
  #kept: { memory: WebAssembly.Memory; wasm: CodecExports } | undefined;

  /** @internal An instance whose memory has at least that many bytes, all of them zero from `clean` on for 64 bytes. */
  take(bytes: number, clean: number): { memory: WebAssembly.Memory; wasm: CodecExports } {
    if (this.#kept === undefined || this.#kept.memory.buffer.byteLength > KEPT_LIMIT)
      this.#kept = instantiate(bytes);
    const { memory } = this.#kept;
    const missing = bytes - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
    new Uint8Array(memory.buffer, clean, PADDING).fill(0);
    return this.#kept;
  }
}

function instantiate(bytes: number): { memory: WebAssembly.Memory; wasm: CodecExports } {
  const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / PAGE) });
  const instance = new WebAssembly.Instance(codecModule(), { env: { memory } });
  const wasm = instance.exports as unknown as CodecExports;
  wasm.makeTables();
  return { memory, wasm };
}

/** Where output goes piece by piece: memory then holds no more of it than later parts may refer to. */
export type Sink = (piece: Uint8Array) => void;

/** The checksum of a part of the output. */
export type SumKind = 'crc32' | 'crc64' | 'xxh64';

/** One call of a decoder takes no more input at once: a block of zstd, a chunk of LZMA2. */
const MOST_AT_ONCE = 2 ** 17;
/** A window above this is not kept: all of the output might as well be. */
const MOST_WINDOW = 2 ** 26;
/** The output is moved down when it has gone so far beyond the window. */
const SLIDE = 2 ** 22;
/** Positions modulo this are what LZMA's contexts depend on. */
const POSITIONS = 16;

export class Codec {
  readonly wasm: CodecExports;
  /** Address of the scratch area. */
  readonly scratch = SCRATCH;
  /** Address of the copy of the input. */
  readonly input: number;
  /** Address of the first byte of output. */
  readonly base: number;
  readonly #memory: WebAssembly.Memory;
  readonly #maxOutput: number;
  readonly #what: string;
  readonly #bytes: Uint8Array;
  readonly #sink: Sink | undefined;
  /** Output that was given away, and is no longer in memory. */
  #gone = 0;
  /** Address up to which output was given away, and up to which it was summed up. */
  #given: number;
  #summed: number;
  #window = 0;
  #dictionary: number;
  #sumKind: SumKind | undefined;
  /** Position in the output at which the sum begins. */
  #sumFrom = 0;
  #crc = 0n;

  /**
   * @param scratch bytes that the decoder wants for its tables
   * @param maxOutput bytes; room() refuses more
   * @param kept memory to use again
   * @param sink takes the output instead of `result`; the decoder then calls `flush` after each part
   */
  constructor(
    what: string,
    input: Uint8Array,
    scratch: number,
    maxOutput: number,
    kept = new CodecMemory(),
    sink?: Sink,
  ) {
    this.#what = what;
    this.#maxOutput = maxOutput;
    this.#bytes = input;
    this.#sink = sink;
    const held = sink === undefined ? input.length : MOST_AT_ONCE;
    this.input = roundUp(SCRATCH + scratch, LINE);
    this.base = roundUp(this.input + held + PADDING, LINE);
    if (this.base >= ADDRESS_LIMIT)
      throw new Unsupported(what, `input of ${input.length} bytes is too large`);
    const { memory, wasm } = this.#take(kept, held);
    this.#memory = memory;
    this.wasm = wasm;
    if (sink === undefined) new Uint8Array(memory.buffer).set(input, this.input);
    this.#given = this.#summed = this.#dictionary = this.base;
    this.wasm.setOutput(this.base, this.base);
  }

  /** The address of a part of the input, where it stays until the next call. */
  at(offset: number, size: number): number {
    if (this.#sink === undefined) return this.input + offset;
    const memory = new Uint8Array(this.#memory.buffer, this.input, MOST_AT_ONCE + PADDING);
    memory.set(this.#bytes.subarray(offset, offset + size));
    memory.fill(0, size, size + PADDING);
    return this.input;
  }

  get streams(): boolean {
    return this.#sink !== undefined;
  }

  /** How far back what follows may refer. @throws Unsupported where the output goes to a sink and that is too far */
  setWindow(bytes: number): void {
    this.#window = Math.ceil(bytes / POSITIONS) * POSITIONS;
    if (this.streams && bytes > MOST_WINDOW)
      throw new Unsupported(this.#what, `needs ${bytes} bytes of what it unpacked before`);
  }

  /** What follows refers to nothing before here. */
  startDictionary(): void {
    this.#dictionary = this.wasm.output();
    this.wasm.setDictionary(this.#dictionary);
  }

  /** Gives away what was made, where there is a sink for it. */
  flush(): void {
    if (this.#sink === undefined) return;
    const end = this.wasm.output();
    this.#sumUp(end);
    this.#sink(new Uint8Array(this.#memory.buffer, this.#given, end - this.#given));
    this.#given = end;
    if (end - this.base > this.#window + SLIDE) this.#slide(end);
  }

  /** Moves the last of the output to its beginning. Positions keep what contexts depend on. */
  #slide(end: number): void {
    const by = Math.floor((end - this.base - this.#window - PADDING) / LINE) * LINE;
    new Uint8Array(this.#memory.buffer).copyWithin(this.base, this.base + by, end);
    const dictionary = this.#dictionary - by;
    this.#dictionary =
      dictionary >= this.base
        ? dictionary
        : this.base + ((((dictionary - this.base) % POSITIONS) + POSITIONS) % POSITIONS);
    this.#gone += by;
    this.#given -= by;
    this.#summed -= by;
    this.wasm.setOutput(end - by, this.#dictionary);
    this.wasm.moveFrame(this.#dictionary);
  }

  /** A checksum over what follows. */
  startSum(kind: SumKind): void {
    this.#sumKind = kind;
    this.#sumFrom = this.produced;
    this.#summed = this.wasm.output();
    this.#crc = 0n;
    if (kind === 'xxh64') this.wasm.startXxh64();
  }

  #sumUp(end: number): void {
    const [start, size] = [this.#summed, end - this.#summed];
    if (this.#sumKind === 'crc32') this.#crc = BigInt(this.wasm.crc32(start, size, Number(this.#crc)) >>> 0);
    else if (this.#sumKind === 'crc64')
      this.#crc = BigInt.asUintN(64, this.wasm.crc64(start, size, this.#crc));
    this.#summed = this.#sumKind === 'xxh64' ? this.wasm.addXxh64(start, size) : end;
  }

  /** The sum up to here. */
  sum(): bigint {
    const end = this.wasm.output();
    this.#sumUp(end);
    if (this.#sumKind !== 'xxh64') return this.#crc;
    return BigInt.asUintN(64, this.wasm.endXxh64(this.#summed, end, BigInt(this.produced - this.#sumFrom)));
  }

  /** Engines throw RangeError where the address space or the memory is exhausted. */
  #take(kept: CodecMemory, inputSize: number): { memory: WebAssembly.Memory; wasm: CodecExports } {
    try {
      return kept.take(this.base, this.input + inputSize);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new Unsupported(this.#what, `no memory for ${inputSize} bytes of input`);
    }
  }

  /** Bytes of output so far. */
  get produced(): number {
    return this.#gone + this.wasm.output() - this.base;
  }

  /** Makes room for output up to `size` bytes in all. @throws Unsupported beyond the limit the caller set */
  room(size: number): void {
    if (size > this.#maxOutput) {
      throw new Unsupported(this.#what, `unpacks to more than the limit of ${this.#maxOutput} bytes`);
    }
    this.reserve(size);
  }

  /** Memory for `size` bytes of output in all, of which less may come. */
  reserve(size: number): void {
    const held = size - this.#gone;
    const missing = this.base + held + PADDING - this.#memory.buffer.byteLength;
    if (missing <= 0) return;
    try {
      if (this.base + held + PADDING > ADDRESS_LIMIT) throw new RangeError('address limit');
      this.#memory.grow(Math.ceil(Math.max(missing, Math.min(held / 4, 2 ** 24)) / PAGE));
    } catch {
      throw new Unsupported(this.#what, `no memory for ${size} bytes of output`);
    }
  }

  /** Output bytes from `start` to `end`, a view that the next room() may detach. */
  view(start: number, end: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, this.base + start, end - start);
  }

  /** All output: a copy, or a view that the next use of the memory may change or detach. */
  result(borrow = false): Uint8Array {
    if (this.streams) return new Uint8Array();
    const view = this.view(0, this.produced);
    return borrow ? view : view.slice();
  }

  /** CRC-32 of the output from `start` to `end`. */
  crc32(start: number, end: number): number {
    return this.wasm.crc32(this.base + start, end - start, 0) >>> 0;
  }
}
