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
  crc32(start: number, size: number): number;
  crc64(start: number, size: number): bigint;
  xxh64(start: number, size: number): bigint;
  startFrame(): void;
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

  /**
   * @param scratch bytes that the decoder wants for its tables
   * @param maxOutput bytes; room() refuses more
   * @param kept memory to use again
   */
  constructor(what: string, input: Uint8Array, scratch: number, maxOutput: number, kept = new CodecMemory()) {
    this.#what = what;
    this.#maxOutput = maxOutput;
    this.input = roundUp(SCRATCH + scratch, LINE);
    this.base = roundUp(this.input + input.length + PADDING, LINE);
    if (this.base >= ADDRESS_LIMIT)
      throw new Unsupported(what, `input of ${input.length} bytes is too large`);
    const { memory, wasm } = this.#take(kept, input.length);
    this.#memory = memory;
    this.wasm = wasm;
    new Uint8Array(memory.buffer).set(input, this.input);
    this.wasm.setOutput(this.base, this.base);
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
    return this.wasm.output() - this.base;
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
    const missing = this.base + size + PADDING - this.#memory.buffer.byteLength;
    if (missing <= 0) return;
    try {
      if (this.base + size + PADDING > ADDRESS_LIMIT) throw new RangeError('address limit');
      this.#memory.grow(Math.ceil(Math.max(missing, Math.min(size / 4, 2 ** 24)) / PAGE));
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
    const view = this.view(0, this.produced);
    return borrow ? view : view.slice();
  }

  /** CRC-32 of the output from `start` to `end`. */
  crc32(start: number, end: number): number {
    return this.wasm.crc32(this.base + start, end - start) >>> 0;
  }

  /** CRC-64 of the output from `start` to `end`. */
  crc64(start: number, end: number): bigint {
    return BigInt.asUintN(64, this.wasm.crc64(this.base + start, end - start));
  }
}
