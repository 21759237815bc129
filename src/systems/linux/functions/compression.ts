/** Decompressors that the kernel has built in: LZ4 blocks (lib/lz4) and Zstandard frames (lib/zstd). */
import { BadMagic, FormatError, Truncated, Unsupported } from '../../../bytes/errors.ts';
import { expandLz4 } from '../../../bytes/lz4.ts';
import { unpackZst } from '../../../bytes/zst.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

function lz4(k: Linux, from: Address, to: Address, length: number, room: number, partial: boolean): number {
  if (length <= 0 || room < 0) return -1;
  const out = new Uint8Array(room);
  const result = expandLz4(k.memory.bytes(from, length), out, partial);
  if ('badAt' in result) return -result.badAt - 1;
  k.memory.write(to, out.subarray(0, result.made));
  return result.made;
}

/** enum ZSTD_ErrorCode (include/linux/zstd_errors.h): errors come back as sizes near the top of the range. */
const ZSTD_ERROR = { prefix: 10, corrupt: 20, checksum: 22, room: 70, sourceSize: 72, max: 120 } as const;

/** Room for a decoder's state: what the kernel's own takes, about. Nothing is kept there. */
const DECODER_BYTES = 161_000;

function zstdError(error: unknown, room: number): number {
  if (error instanceof BadMagic) return -ZSTD_ERROR.prefix;
  if (error instanceof Truncated) return -ZSTD_ERROR.sourceSize;
  if (error instanceof Unsupported)
    return -(error.message.includes(`${room}`) ? ZSTD_ERROR.room : ZSTD_ERROR.corrupt);
  if (!(error instanceof FormatError)) throw error;
  return -(error.message.includes('checksum') ? ZSTD_ERROR.checksum : ZSTD_ERROR.corrupt);
}

function expandZstd(k: Linux, to: Address, room: number, from: Address, length: number): number {
  let out: Uint8Array;
  try {
    // One byte more than fits, so that too little room is told from a damaged frame.
    out = unpackZst(k.memory.bytes(from, length), { maxOutput: room + 1, trailing: 'refuse' });
  } catch (error) {
    return zstdError(error, room + 1);
  }
  if (out.length > room) return -ZSTD_ERROR.room;
  k.memory.write(to, out);
  return out.length;
}

export const compressionFunctions = kernelFunctions({
  'int LZ4_decompress_safe(const char *source, char *dest, int compressedSize, int maxDecompressedSize)': (
    k,
    from,
    to,
    length,
    room,
  ) => lz4(k, from, to, length, room, false),
  'int LZ4_decompress_safe_partial(const char *source, char *dest, int compressedSize, int targetOutputSize, int maxDecompressedSize)':
    (k, from, to, length, target, room) => lz4(k, from, to, length, Math.min(target, room), true),
  'size_t zstd_dctx_workspace_bound(void)': () => DECODER_BYTES,
  'void *zstd_init_dctx(void *workspace, size_t workspace_size)': (_k, workspace, size) =>
    workspace % 8 !== 0 || size < DECODER_BYTES ? 0 : workspace,
  'size_t zstd_decompress_dctx(void *dctx, void *dst, size_t dst_capacity, const void *src, size_t src_size)':
    (k, _decoder, to, room, from, length) => expandZstd(k, to, room, from, length),
  'unsigned int zstd_is_error(size_t code)': (_k, code) => (code < 0 && code > -ZSTD_ERROR.max ? 1 : 0),
  'unsigned int zstd_get_error_code(size_t code)': (_k, code) =>
    code < 0 && code > -ZSTD_ERROR.max ? -code : 0,
  'void *ZSTD_customMalloc(size_t size)': function* (k, size) {
    const { allocate, opaque } = customMemory(k);
    return allocate === 0 ? k.heap.virtual.allocate(size, 0) : yield* k.call(allocate, opaque, size);
  },
  'void *ZSTD_customCalloc(size_t size)': function* (k, size) {
    const { allocate, opaque } = customMemory(k);
    if (allocate === 0) return k.heap.virtual.allocate(size, 0);
    const at = yield* k.call(allocate, opaque, size);
    if (at !== 0) k.memory.fill(at, size, 0);
    return at;
  },
  'void ZSTD_customFree(void *ptr)': function* (k, at) {
    const { free, opaque } = customMemory(k);
    if (at === 0) return;
    if (free === 0) k.heap.virtual.free(at);
    else yield* k.call(free, opaque, at);
  },
});

/** ZSTD_customMem, passed by value: three pointers on the stack above the return address (psABI 3.2.3). */
function customMemory(k: Linux): { allocate: Address; free: Address; opaque: Address } {
  const at = k.cpu.gpr(4) + 8;
  return { allocate: k.memory.ptr(at), free: k.memory.ptr(at + 8), opaque: k.memory.ptr(at + 16) };
}
