import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ModuleReader } from '../../../../src/tools/linux/kmod/module-source.ts';
import { NativeZstd } from '../../../../src/tools/linux/kmod/native-zstd.ts';

/** A frame of one block that repeats a byte (RFC 8878, 3.1.1): its header says `said` bytes, the block makes `size`. */
function frame(byte: number, size: number, said = size): Uint8Array {
  const bytes = Buffer.alloc(13);
  bytes.writeUInt32LE(0xfd2fb528, 0);
  // A single segment, its size in four bytes; then the last block, of the kind that repeats.
  bytes[4] = 0xa0;
  bytes.writeUInt32LE(said, 5);
  bytes.writeUIntLE(1 | (1 << 1) | (size << 3), 9, 3);
  bytes[12] = byte;
  return bytes;
}

const native = NativeZstd.load();

describe.skipIf(native === undefined)("the machine's own Zstandard library", () => {
  it('unpacks what is sound, and leaves everything else to the decoder', () => {
    expect([...(native?.unpack(frame(7, 5), 5) ?? [])]).toEqual([7, 7, 7, 7, 7]);
    expect(native?.unpack(frame(7, 5, 6), 6)).toBeUndefined();
    expect(native?.unpack(frame(7, 5).subarray(0, 12), 5)).toBeUndefined();
    expect(native?.unpack(frame(7, 5), 2 ** 40)).toBeUndefined();
    expect(native?.unpack(new Uint8Array(), 5)).toBeUndefined();
    // Memory is kept from one to the next, and grows.
    expect(native?.unpack(frame(9, 131_072), 131_072)?.length).toBe(131_072);
  });
});

it('reads hundreds of files as it reads one, damaged ones among them', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lkm-zstd-'));
  try {
    const paths = Array.from({ length: 210 }, (_, i) => join(folder, `${i}.ko.zst`));
    paths.forEach((path, i) => {
      writeFileSync(path, i % 50 === 49 ? frame(i, 1000 + i, 2000) : frame(i, 1000 + i));
    });
    const reader = new ModuleReader();
    const seen = paths.map((path) => {
      try {
        return reader.with(path, (source) => {
          const bytes = source.read(0, source.size);
          return bytes.every((byte) => byte === bytes[0]) ? `${bytes[0]} ${bytes.length}` : 'mixed';
        });
      } catch (error) {
        return String(error);
      }
    });
    seen.forEach((what, i) => {
      if (i % 50 === 49) expect(what).toMatch(/zstd: /);
      else expect(what).toBe(`${i} ${1000 + i}`);
    });
    expect(new Set(seen.filter((_, i) => i % 50 === 49)).size).toBe(1);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
