/** Decompression of files made by xz(1), gzip and zstd(1); the committed samples need no program. */
import { execFileSync } from 'node:child_process';
import { constants, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { crc32 } from '../../src/bytes/checksum.ts';
import { Codec, CodecMemory } from '../../src/bytes/codec.ts';
import { compressionOf, decompress, decompressAs } from '../../src/bytes/decompress.ts';
import { FormatError, type FormatErrorKind } from '../../src/bytes/errors.ts';
import { mutations } from '../real/mutate.ts';
import { seeded } from '../real/random.ts';
import { describeWith, needsTool } from '../real/require.ts';

/** Bytes with long and short repeats, some code-like calls, some noise. */
function material(length: number, seed: number): Uint8Array {
  const random = seeded(seed);
  const out = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const kind = random.below(4);
    const run = Math.min(length - at, 1 + random.below(400));
    if (kind === 0 && at > 0) {
      const from = random.below(at);
      for (let i = 0; i < run; i++) out[at + i] = out[from + i];
    } else if (kind === 1) {
      for (let i = 0; i < run; i++) out[at + i] = i % 5 === 0 ? 0xe8 : i % 5 === 4 ? 0 : random.below(4);
    } else if (kind === 2) {
      out.fill(random.below(256), at, at + run);
    } else {
      for (let i = 0; i < run; i++) out[at + i] = random.below(256);
    }
    at += run;
  }
  return out;
}

function pipe(program: string, options: readonly string[], input: Uint8Array): Uint8Array {
  const settings = {
    input,
    maxBuffer: 2 ** 30,
    stdio: ['pipe', 'pipe', 'ignore'] as ['pipe', 'pipe', 'ignore'],
  };
  return new Uint8Array(execFileSync(program, options, settings));
}

function failure(run: () => unknown): FormatErrorKind {
  try {
    run();
  } catch (error) {
    if (error instanceof FormatError) return error.kind;
    throw error;
  }
  throw new Error('no error was thrown');
}

/** Every outcome but a FormatError or a result fails the test. */
function attempt(bytes: Uint8Array): Uint8Array | undefined {
  try {
    return decompress(bytes, { maxOutput: 2 ** 24 });
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

function concat(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

const plain = material(300_000, 1);

describeWith(needsTool('xz'), 'xz', () => {
  it.each([
    ['defaults', []],
    ['no check', ['--check=none']],
    ['CRC-32', ['--check=crc32', '--lzma2=dict=1MiB']],
    ['SHA-256', ['--check=sha256']],
    ['level 0', ['-0']],
    ['level 9, extreme', ['-9e']],
    ['smallest dictionary', ['--lzma2=dict=4KiB']],
    ['32 MiB dictionary and x86, as kernels are', ['--check=crc32', '--x86', '--lzma2=dict=32MiB']],
    ['x86 from an offset', ['--x86=start=4096', '--lzma2']],
    ['literal bits', ['--lzma2=lc=0,lp=4,pb=0']],
    ['position bits', ['--lzma2=lc=1,lp=2,pb=4']],
    ['delta', ['--delta=dist=4', '--lzma2']],
    ['delta of 256, then x86', ['--delta=dist=256', '--x86', '--lzma2']],
    ['blocks', ['--block-size=50000']],
    ['blocks with sizes in their headers', ['-T2', '--block-size=70000']],
    ['PowerPC', ['--powerpc', '--lzma2']],
    ['IA-64', ['--ia64', '--lzma2']],
    ['ARM', ['--arm', '--lzma2']],
    ['ARM Thumb', ['--armthumb', '--lzma2']],
    ['SPARC', ['--sparc', '--lzma2']],
  ])('unpacks %s', (_, options) => {
    const packed = pipe('xz', ['-c', ...options], plain);
    expect(compressionOf(packed)).toBe('xz');
    expect(Buffer.compare(decompress(packed), plain)).toBe(0);
  });

  it('unpacks ARM64 filters where xz has them', () => {
    let packed: Uint8Array;
    try {
      packed = pipe('xz', ['-c', '--arm64', '--lzma2'], plain);
    } catch {
      return;
    }
    expect(Buffer.compare(decompress(packed), plain)).toBe(0);
  });

  it.each(['x86', 'powerpc', 'ia64', 'arm', 'armthumb', 'sparc'])(
    'undoes the %s filter on dense material',
    (filter) => {
      const opcodes = {
        x86: [0xe8, 0xe9, 0, 0xff],
        powerpc: [0x48, 1, 5],
        ia64: [0x10, 0x12, 0, 0x50],
        arm: [0xeb, 1],
      };
      const alphabet = (opcodes as Record<string, number[]>)[filter] ?? [0xf0, 0xf8, 0x40, 0x7f, 0xff, 0xc0];
      for (let seed = 0; seed < 6; seed++) {
        const random = seeded(seed);
        const dense = Uint8Array.from({ length: 20_001 + seed }, () =>
          random.below(5) === 0 ? random.below(256) : random.pick(alphabet),
        );
        const packed = pipe('xz', ['-c', '-0', `--${filter}`, '--lzma2=preset=0'], dense);
        expect(Buffer.compare(decompress(packed), dense)).toBe(0);
      }
    },
  );

  it('unpacks streams behind one another, with padding', () => {
    const first = pipe('xz', ['-c'], plain.subarray(0, 1000));
    const second = pipe('xz', ['-c', '--check=crc32'], plain.subarray(1000, 5000));
    expect(Buffer.compare(decompress(concat(first, second)), plain.subarray(0, 5000))).toBe(0);
    expect(
      Buffer.compare(decompress(concat(first, new Uint8Array(8), second)), plain.subarray(0, 5000)),
    ).toBe(0);
    expect(failure(() => decompress(concat(first, new Uint8Array(3), second)))).toBe('Invalid');
  });

  it('unpacks nothing, one byte, and data that does not compress', () => {
    const noise = Uint8Array.from(
      { length: 200_000 },
      (_, i) => Math.imul(i ^ 0x9e3779b9, 0x85ebca6b) >>> 24,
    );
    for (const input of [new Uint8Array(0), Uint8Array.of(7), noise]) {
      expect(Buffer.compare(decompress(pipe('xz', ['-c'], input)), input)).toBe(0);
    }
  });

  it('refuses what follows the stream, or leaves it alone when told to', () => {
    const packed = pipe('xz', ['-c'], plain);
    const payload = concat(packed, Uint8Array.of(1, 2, 3, 4));
    expect(failure(() => decompress(payload))).toBe('Truncated');
    expect(failure(() => decompress(concat(packed, new Uint8Array(16).fill(9))))).toBe('Invalid');
    expect(decompress(payload, { trailing: 'ignore' })).toHaveLength(plain.length);
  });

  it('stops at the limit', () => {
    const bomb = pipe('xz', ['-c'], new Uint8Array(50_000_000));
    expect(bomb.length).toBeLessThan(10_000);
    expect(failure(() => decompress(bomb, { maxOutput: 1_000_000 }))).toBe('Unsupported');
    expect(decompress(bomb, { maxOutput: 50_000_000 })).toHaveLength(50_000_000);
  });

  it('cut anywhere is refused', () => {
    const packed = pipe('xz', ['-c', '--x86', '--lzma2'], plain.subarray(0, 3000));
    for (let length = 6; length < packed.length; length++) {
      expect(() => decompress(packed.slice(0, length)), `cut at ${length}`).toThrow(FormatError);
    }
  });

  it('with any byte changed is refused', () => {
    const packed = pipe('xz', ['-c', '--check=crc32', '--x86', '--lzma2'], plain.subarray(0, 3000));
    for (let at = 6; at < packed.length; at++) {
      for (const flip of [1, 0x80, 0xff]) {
        const damaged = packed.slice();
        damaged[at] ^= flip;
        expect(() => decompress(damaged), `byte ${at} ^ ${flip}`).toThrow(FormatError);
      }
    }
  });

  it('without a check decodes damaged data in bounded time', () => {
    const packed = pipe('xz', ['-c', '--check=none'], plain);
    const random = seeded(5);
    const start = performance.now();
    for (let i = 0; i < 300; i++) {
      const damaged = packed.slice();
      damaged[random.below(packed.length)] ^= 1 << random.below(8);
      attempt(damaged);
    }
    expect(performance.now() - start).toBeLessThan(30_000);
  });
});

describeWith(needsTool('xz'), 'lzma', () => {
  const pack = (input: Uint8Array, ...options: string[]): Uint8Array =>
    pipe('xz', ['-c', '--format=lzma', ...options], input);

  it.each([
    ['defaults', []],
    ['other literal bits', ['--lzma1=lc=0,lp=4,pb=0']],
    ['the most literal bits', ['--lzma1=lc=4,lp=0,pb=4']],
  ])('unpacks %s', (_, options) => {
    expect(Buffer.compare(decompressAs('lzma', pack(plain, ...options)), plain)).toBe(0);
  });

  it('unpacks streams that say their size, with and without the marker', () => {
    const packed = pack(plain);
    new DataView(packed.buffer).setBigUint64(5, BigInt(plain.length), true);
    expect(compressionOf(packed)).toBe('lzma');
    expect(Buffer.compare(decompress(packed), plain)).toBe(0);
    for (const wrong of [plain.length - 1, plain.length + 1, 0]) {
      new DataView(packed.buffer).setBigUint64(5, BigInt(wrong), true);
      expect(failure(() => decompress(packed))).toBe('Invalid');
    }
  });

  it('unpacks nothing, and more than one step', () => {
    expect(decompress(pack(new Uint8Array(0)))).toHaveLength(0);
    const large = material(3_000_000, 3);
    expect(Buffer.compare(decompress(pack(large, '-1')), large)).toBe(0);
  });

  it('refuses what follows the stream, or leaves it alone when told to', () => {
    const payload = concat(pack(plain), Uint8Array.of(1, 2, 3, 4));
    expect(failure(() => decompress(payload))).toBe('Invalid');
    expect(decompress(payload, { trailing: 'ignore' })).toHaveLength(plain.length);
  });

  it('stops at the limit, and at every cut', () => {
    const bomb = pack(new Uint8Array(50_000_000));
    expect(failure(() => decompress(bomb, { maxOutput: 1_000_000 }))).toBe('Unsupported');
    const packed = pack(plain.subarray(0, 2000));
    for (let length = 18; length < packed.length; length++) {
      expect(() => decompress(packed.slice(0, length)), `cut at ${length}`).toThrow(FormatError);
    }
  });
});

describe('gzip', () => {
  it('unpacks one and several members', () => {
    const packed = new Uint8Array(gzipSync(plain, { level: 9 }));
    expect(compressionOf(packed)).toBe('gz');
    expect(Buffer.compare(decompress(packed), plain)).toBe(0);
    const two = concat(packed, new Uint8Array(gzipSync(plain.subarray(0, 77))));
    expect(Buffer.compare(decompress(two), concat(plain, plain.subarray(0, 77)))).toBe(0);
    expect(decompress(new Uint8Array(gzipSync(new Uint8Array(0))))).toHaveLength(0);
  });

  it.each([
    ['stored blocks', { level: 0 }],
    ['fixed codes', { level: 9, strategy: constants.Z_FIXED }],
    ['no matches', { level: 9, strategy: constants.Z_HUFFMAN_ONLY }],
    ['runs only', { level: 9, strategy: constants.Z_RLE }],
    ['a small window', { level: 9, windowBits: 9, memLevel: 1 }],
    ['level 1', { level: 1 }],
  ])('unpacks %s, across output steps', (_, options) => {
    const large = material(2_500_000, 4);
    expect(Buffer.compare(decompress(new Uint8Array(gzipSync(large, options))), large)).toBe(0);
    expect(
      Buffer.compare(
        decompress(new Uint8Array(gzipSync(plain.subarray(0, 5), options))),
        plain.subarray(0, 5),
      ),
    ).toBe(0);
  });

  it('unpacks skewed data, whose codes are as long as they can be', () => {
    const random = seeded(6);
    const skewed = Uint8Array.from({ length: 400_000 }, () => {
      let byte = 0;
      while (byte < 40 && random.below(2) === 0) byte++;
      return byte;
    });
    expect(Buffer.compare(decompress(new Uint8Array(gzipSync(skewed, { level: 9 }))), skewed)).toBe(0);
  });

  it('takes all header fields', () => {
    const body = new Uint8Array(gzipSync(plain.subarray(0, 99))).subarray(10);
    const fields = Uint8Array.of(
      0x1f,
      0x8b,
      8,
      4 | 8 | 16 | 2,
      0,
      0,
      0,
      0,
      0,
      3,
      2,
      0,
      7,
      7,
      97,
      0,
      98,
      99,
      0,
    );
    const crc = crc32(fields) & 0xffff;
    const packed = concat(fields, Uint8Array.of(crc & 255, crc >> 8), body);
    expect(Buffer.compare(decompress(packed), plain.subarray(0, 99))).toBe(0);
    packed[14] ^= 1;
    expect(failure(() => decompress(packed))).toBe('Invalid');
  });

  it('refuses what follows, or leaves it alone when told to', () => {
    const packed = concat(new Uint8Array(gzipSync(plain)), Uint8Array.of(1, 2, 3, 4));
    expect(failure(() => decompress(packed))).toBe('Invalid');
    expect(decompress(packed, { trailing: 'ignore' })).toHaveLength(plain.length);
  });

  it('of random bits ends in a typed error or a result', () => {
    const random = seeded(7);
    const start = performance.now();
    for (let i = 0; i < 3000; i++) {
      const body = Array.from({ length: 10 + random.below(200) }, () => random.below(256));
      body[0] = (body[0] & ~6) | (random.below(2) === 0 ? 4 : 2);
      attempt(Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, ...body));
    }
    expect(performance.now() - start).toBeLessThan(30_000);
  });

  it('stops at the limit', () => {
    const bomb = new Uint8Array(gzipSync(new Uint8Array(50_000_000)));
    expect(failure(() => decompress(bomb, { maxOutput: 1_000_000 }))).toBe('Unsupported');
  });

  it('cut or changed anywhere is refused, but for the fields that nothing depends on', () => {
    const packed = new Uint8Array(gzipSync(plain.subarray(0, 3000)));
    for (let length = 2; length < packed.length; length++) {
      expect(() => decompress(packed.slice(0, length)), `cut at ${length}`).toThrow(FormatError);
    }
    for (let at = 10; at < packed.length; at++) {
      const damaged = packed.slice();
      damaged[at] ^= 0x10;
      const result = attempt(damaged);
      if (result !== undefined) expect(Buffer.compare(result, plain.subarray(0, 3000)), `byte ${at}`).toBe(0);
    }
  });
});

describeWith(needsTool('zstd'), 'zstd', () => {
  it.each([
    ['defaults', []],
    ['level 1', ['-1']],
    ['level 19', ['-19']],
    ['level 22, as kernels are', ['-22', '--ultra']],
    ['a long window', ['--long=27']],
    ['no check', ['--no-check']],
    ['no content size', ['--no-content-size']],
  ])('unpacks %s', (_, options) => {
    const packed = pipe('zstd', ['-c', '-q', ...options], plain);
    expect(compressionOf(packed)).toBe('zst');
    expect(Buffer.compare(decompress(packed), plain)).toBe(0);
  });

  it('unpacks inputs of every awkward size', () => {
    for (const size of [0, 1, 2, 255, 256, 257, 65_791, 65_792, 131_071, 131_072, 131_073, 262_145]) {
      const input = plain.subarray(0, size);
      expect(
        Buffer.compare(decompress(pipe('zstd', ['-c', '-q', '-19'], input)), input),
        `${size} bytes`,
      ).toBe(0);
    }
  });

  it('unpacks frames behind one another and skips skippable ones', () => {
    const first = pipe('zstd', ['-c', '-q'], plain.subarray(0, 1000));
    const skip = Uint8Array.of(0x51, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3);
    const whole = concat(first, skip, first);
    expect(decompress(whole)).toHaveLength(2000);
    expect(decompress(concat(skip, first))).toHaveLength(1000);
    expect(failure(() => decompress(concat(first, Uint8Array.of(1, 2, 3, 4))))).toBe('BadMagic');
    expect(decompress(concat(first, Uint8Array.of(1, 2, 3, 4)), { trailing: 'ignore' })).toHaveLength(1000);
  });

  it('stops at the limit', () => {
    const bomb = pipe('zstd', ['-c', '-q'], new Uint8Array(50_000_000));
    expect(failure(() => decompress(bomb, { maxOutput: 1_000_000 }))).toBe('Unsupported');
    expect(decompress(bomb, { maxOutput: 50_000_000 })).toHaveLength(50_000_000);
  });

  it('cut or changed anywhere is refused', () => {
    const packed = pipe('zstd', ['-c', '-q', '-19'], plain.subarray(0, 3000));
    for (let length = 4; length < packed.length; length++) {
      expect(() => decompress(packed.slice(0, length)), `cut at ${length}`).toThrow(FormatError);
    }
    for (let at = 5; at < packed.length; at++) {
      const damaged = packed.slice();
      damaged[at] ^= 0x10;
      const result = attempt(damaged);
      if (result !== undefined) expect(Buffer.compare(result, plain.subarray(0, 3000)), `byte ${at}`).toBe(0);
    }
  });
});

describe('hostile zstd', () => {
  /** One frame of one compressed block, without content size and checksum. */
  const frame = (...block: number[]): Uint8Array => {
    const header = (block.length << 3) | (2 << 1) | 1;
    return Uint8Array.of(
      0x28,
      0xb5,
      0x2f,
      0xfd,
      0,
      0x58,
      header & 255,
      (header >> 8) & 255,
      header >> 16,
      ...block,
    );
  };

  it('98,047 matches of 65,539 bytes in one block are refused at once', () => {
    const start = performance.now();
    expect(failure(() => decompress(frame(0, 255, 255, 255, 0x54, 0, 1, 52, 1)))).toBe('Invalid');
    expect(performance.now() - start).toBeLessThan(100);
  });

  it('blocks of random bytes end in a typed error or a result', () => {
    const random = seeded(9);
    const start = performance.now();
    for (let i = 0; i < 2000; i++) {
      const block = Array.from({ length: 1 + random.below(60) }, () =>
        random.below(random.below(2) === 0 ? 8 : 256),
      );
      attempt(frame(...block));
    }
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});

describeWith(needsTool('xz') && needsTool('zstd'), 'damage without a checksum to notice it', () => {
  it.each([
    ['xz', ['xz', '-c', '--check=none', '--x86', '--lzma2']],
    ['lzma', ['xz', '-c', '--format=lzma']],
    ['gz', ['gzip', '-9c']],
    ['zst', ['zstd', '-qc', '--no-check', '-19']],
  ] as const)('of %s ends in a typed error or a result', (kind, packer) => {
    const memory = new CodecMemory();
    const packed = pipe(packer[0], packer.slice(1), plain.subarray(0, 6000));
    for (const mutant of mutations(packed, 42, { count: 3000, hot: [{ offset: 0, length: 120 }] })) {
      try {
        decompressAs(kind, mutant.bytes, { maxOutput: 2 ** 22, memory });
      } catch (error) {
        if (!(error instanceof FormatError)) throw new Error(mutant.what, { cause: error });
      }
    }
  });
});

describe('the door', () => {
  it('gives uncompressed bytes back as they are', () => {
    const elf = Uint8Array.of(0x7f, 0x45, 0x4c, 0x46);
    expect(decompress(elf)).toBe(elf);
    expect(decompress(new Uint8Array(0))).toHaveLength(0);
    expect(compressionOf(elf)).toBeUndefined();
  });

  it('refuses data of another kind than asked for', () => {
    for (const kind of ['gz', 'xz', 'zst'] as const) {
      expect(failure(() => decompressAs(kind, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)))).toBe('BadMagic');
    }
  });
});

describeWith(needsTool('xz') && needsTool('zstd'), 'kept memory', () => {
  it('gives what fresh memory gives, whatever was unpacked before', () => {
    const memory = new CodecMemory();
    const inputs = [
      plain,
      plain.subarray(0, 10),
      material(200_000, 8),
      new Uint8Array(0),
      plain.subarray(7, 90_000),
    ];
    for (const input of [...inputs, ...inputs]) {
      for (const packer of [
        ['xz', '-c'],
        ['zstd', '-qc'],
        ['xz', '-c', '--format=lzma'],
      ]) {
        const packed = pipe(packer[0], packer.slice(1), input);
        const result = decompress(packed, { memory });
        expect(Buffer.compare(result, input), packer.join(' ')).toBe(0);
        expect(() => decompress(packed.slice(0, -1), { memory })).toThrow(FormatError);
      }
    }
  });
});

describeWith(needsTool('xz') && needsTool('zstd') ? {} : undefined, 'output in pieces', () => {
  /** What comes in pieces, put together. */
  const inPieces = (packed: Uint8Array): Uint8Array => {
    const pieces: Uint8Array[] = [];
    decompress(packed, { sink: (piece) => pieces.push(piece.slice()) });
    return Buffer.concat(pieces);
  };
  const input = material(14_000_000, 5);
  const packers = [
    ['xz', '-c', '-0'],
    ['xz', '-c', '--lzma2=preset=0,dict=64KiB,lp=2,lc=1,pb=3', '--check=crc32'],
    ['xz', '-c', '-0', '--check=none', '--block-size=1000001'],
    ['zstd', '-c', '-3', '--check'],
    ['zstd', '-c', '-1', '--no-check', '--zstd=wlog=12'],
  ];

  it.each(packers)(
    'is the same: %s',
    (...packer) => {
      const packed = pipe(packer[0], packer.slice(1), input);
      expect(Buffer.compare(inPieces(packed), input)).toBe(0);
      expect(Buffer.compare(inPieces(Buffer.concat([packed, packed])), Buffer.concat([input, input]))).toBe(
        0,
      );
      expect(() => inPieces(packed.slice(0, -1))).toThrow(FormatError);
      // Damage is found, wherever it is.
      for (let n = 1; n < 6; n++) {
        const damaged = packed.slice();
        damaged[Math.floor((packed.length * n) / 6)] ^= 0x10;
        if (!packer.includes('--check=none') && !packer.includes('--no-check'))
          expect(() => inPieces(damaged)).toThrow(FormatError);
      }
    },
    120_000,
  );

  it('is refused where the whole is needed at once', () => {
    const small = material(300_000, 6);
    for (const packer of [
      ['xz', '-c', '--x86', '--lzma2=preset=0'],
      ['xz', '-c', '-0', '--check=sha256'],
    ])
      expect(failure(() => inPieces(pipe(packer[0], packer.slice(1), small)))).toBe('Unsupported');
  });

  it('comes to nothing but an error from files of any damage', () => {
    for (const packer of packers) {
      const packed = pipe(packer[0], packer.slice(1), input.subarray(0, 30_000));
      for (const { bytes } of mutations(packed, 11, { count: 60 })) {
        try {
          decompress(bytes, { sink: () => {}, maxOutput: 2 ** 24 });
        } catch (error) {
          if (!(error instanceof FormatError)) throw error;
        }
      }
    }
  });
});

describe('the checksums of the codec', () => {
  const codec = new Codec('test', new TextEncoder().encode('123456789'), 0, 0);

  it('are those of their standards', () => {
    const { wasm, input } = codec;
    expect(wasm.crc32(input, 9, 0) >>> 0).toBe(0xcbf43926);
    expect(wasm.crc32(input + 4, 5, wasm.crc32(input, 4, 0)) >>> 0).toBe(0xcbf43926);
    expect(BigInt.asUintN(64, wasm.crc64(input, 9, 0n))).toBe(0x995dc9bbdf1939fan);
    expect(BigInt.asUintN(64, wasm.crc64(input + 2, 7, wasm.crc64(input, 2, 0n)))).toBe(0x995dc9bbdf1939fan);
    const xxh64 = (size: number) => {
      wasm.startXxh64();
      const rest = wasm.addXxh64(input, size);
      return BigInt.asUintN(64, wasm.endXxh64(rest, input + size, BigInt(size)));
    };
    expect(xxh64(9)).toBe(0x8cb841db40e6ae83n);
    expect(xxh64(0)).toBe(0xef46db3751d8e999n);
  });
});

describe('the generated file', () => {
  it('is what its source compiles to', () => {
    execFileSync(process.execPath, ['scripts/build-codec.mjs', '--check'], { stdio: 'ignore' });
  });
});
