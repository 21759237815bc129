/**
 * The machine's own Zstandard library, which unpacks twice as fast as the WebAssembly decoder (measured; bench/depmod.ts). It
 * only ever gives what that would give: whatever it does not take is left to the decoder, whose words are the tools'.
 */
import { loadForeign } from './foreign.ts';

/** Linux distributions all have it under this name, as their package managers and kmod itself need it. */
const LIBRARY = 'libzstd.so.1';
/** Larger contents go the other way: memory for the largest one is kept. */
const MOST = 64 * 2 ** 20;

export class NativeZstd {
  private readonly decompress: (
    context: unknown,
    output: Uint8Array,
    size: number,
    input: Uint8Array,
    inputSize: number,
  ) => unknown;
  private readonly context: unknown;
  private output = Buffer.allocUnsafeSlow(2 ** 20);

  private constructor(decompress: NativeZstd['decompress'], context: unknown) {
    this.decompress = decompress;
    this.context = context;
  }

  /** undefined on machines without the library, or without the package that calls it. */
  static load(): NativeZstd | undefined {
    if (process.platform !== 'linux') return undefined;
    try {
      const library = loadForeign()?.load(LIBRARY);
      const context = library?.func('ZSTD_createDCtx', 'void *', [])();
      if (library === undefined || context === null) return undefined;
      const words = ['void *', 'void *', 'size_t', 'const void *', 'size_t'];
      return new NativeZstd(library.func('ZSTD_decompressDCtx', 'size_t', words), context);
    } catch {
      return undefined;
    }
  }

  /**
   * What `bytes` unpack to, `size` bytes as their header says; good until the next call. undefined: they are damaged, unpack to
   * another size, or to more than this keeps memory for.
   */
  unpack(bytes: Uint8Array, size: number): Uint8Array | undefined {
    if (size > MOST) return undefined;
    if (size > this.output.length)
      this.output = Buffer.allocUnsafeSlow(Math.max(size, 2 * this.output.length));
    const made = this.decompress(this.context, this.output, size, bytes, bytes.length);
    return made === size ? this.output.subarray(0, size) : undefined;
  }
}
