/** The .lzma format of LZMA Utils (also "LZMA alone"): one header and one stream, in older kernel images. No checksum. */
import { Codec, type CodecMemory, Decoded, lzmaScratch } from './codec.ts';
import { BadMagic, Invalid, Truncated, Unsupported } from './errors.ts';
import { ByteView } from './view.ts';

export interface LzmaOptions {
  readonly maxOutput: number;
  /** 'ignore' leaves alone what follows the stream: a kernel image has its size there. */
  readonly trailing: 'refuse' | 'ignore';
  /** Memory kept between calls. */
  readonly memory?: CodecMemory | undefined;
  /** See DecompressOptions. */
  readonly borrow?: boolean | undefined;
}

const HEADER_SIZE = 13;
/** The bytes that start the range decoder. */
const RANGE_START = 5;
/** Output decoded at a time: short calls let the engine bring in optimised code early, see xz.ts. */
const STEP = 2 ** 20;
/** Header value of an unknown size: the stream ends with a marker. */
const UNKNOWN = 2n ** 64n - 1n;
const MAX_SIZE = 2n ** 40n;

/**
 * True when the bytes begin as an .lzma file. The format has no magic: this takes the properties that every packer uses
 * (lc 3, lp 0, pb 2), a dictionary of a whole number of 4 KiB pages, and a size that is unknown or below a terabyte.
 */
export function isLzma(bytes: Uint8Array): boolean {
  if (bytes.length < HEADER_SIZE + RANGE_START || bytes[0] !== 0x5d || bytes[HEADER_SIZE] !== 0) return false;
  const view = new ByteView(bytes, true);
  const size = view.u64(5);
  return view.u32(1) % 4096 === 0 && view.u32(1) > 0 && (size === UNKNOWN || size < MAX_SIZE);
}

/** Unpacks an .lzma file. @throws BadMagic, Truncated, Invalid, Unsupported beyond maxOutput */
export function unpackLzma(bytes: Uint8Array, options: LzmaOptions): Uint8Array {
  const view = new ByteView(bytes, true);
  view.need(0, HEADER_SIZE + RANGE_START, 'lzma header');
  const [lc, lp, pb] = [bytes[0] % 9, Math.floor(bytes[0] / 9) % 5, Math.floor(bytes[0] / 45)];
  if (pb > 4 || bytes[HEADER_SIZE] !== 0)
    throw new BadMagic('lzma', 'does not begin as such a file', { offset: 0 });
  const promised = view.u64(5, 'lzma size');
  if (promised !== UNKNOWN && promised > BigInt(options.maxOutput)) {
    const problem = `unpacks to more than the limit of ${options.maxOutput} bytes`;
    throw new Unsupported('lzma', problem, { offset: 5, value: promised });
  }
  const codec = new Codec('lzma', bytes, lzmaScratch(lc + lp), options.maxOutput, options.memory);
  codec.wasm.setProperties(lc, lp, pb, codec.scratch);
  codec.wasm.resetState();
  codec.wasm.startRange(codec.input + HEADER_SIZE);
  if (promised === UNKNOWN) decodeToMarker(codec, bytes.length);
  else decodeToSize(codec, bytes.length, Number(promised));
  const used = codec.wasm.input() - codec.input;
  if (used !== bytes.length && options.trailing === 'refuse') {
    throw new Invalid('lzma', 'something follows the end of the stream', { offset: used });
  }
  return codec.result(options.borrow);
}

function decodeToMarker(codec: Codec, inputSize: number): void {
  for (;;) {
    // One byte beyond the limit shows that there is more than the limit.
    codec.reserve(codec.produced + STEP);
    const result = decodeStep(codec, inputSize, codec.produced + STEP);
    codec.room(codec.produced);
    if (result === Decoded.End) break;
  }
  if (codec.wasm.finishRange() !== 0) throw new Invalid('lzma', 'the end marker is damaged');
}

function decodeToSize(codec: Codec, inputSize: number, size: number): void {
  while (codec.produced < size) {
    const target = Math.min(size, codec.produced + STEP);
    codec.room(target);
    if (decodeStep(codec, inputSize, target) === Decoded.End) {
      throw new Invalid('lzma', `ends after ${codec.produced} bytes, not after what its header says`, {
        value: size,
      });
    }
  }
  if (codec.wasm.pending() !== 0)
    throw new Invalid('lzma', 'the last match runs past the size in the header');
  if (codec.wasm.finishRange() === 0) return;
  // The marker may stand there although the size is known.
  codec.reserve(size + 1);
  if (decodeStep(codec, inputSize, size + 1) !== Decoded.End || codec.wasm.finishRange() !== 0) {
    throw new Invalid('lzma', 'the stream goes on behind the size in its header', { value: size });
  }
}

function decodeStep(codec: Codec, inputSize: number, target: number): number {
  const result = codec.wasm.decode(codec.base + target, codec.input + inputSize);
  if (result === Decoded.BadDistance) throw new Invalid('lzma', 'a match begins before the output');
  if (result === Decoded.NoInput)
    throw new Truncated('lzma', 'the input ends inside the stream', { offset: inputSize });
  return result;
}
