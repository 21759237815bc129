import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { BadMagic, FormatError, Truncated, Unsupported } from '../../../../src/bytes/errors.ts';
import { CTypeError } from '../../../../src/ctypes/error.ts';
import { ExportTable, type KernelExport } from '../../../../src/systems/linux/kernelfile/exports.ts';
import { readImage } from '../../../../src/systems/linux/kernelfile/image.ts';
import { SortedNames } from '../../../../src/systems/linux/kernelfile/names.ts';
import { readKernel } from '../../../../src/systems/linux/kernelfile/open.ts';
import { decode, encode } from '../../../../src/systems/linux/kernelfile/saved.ts';
import { linuxDeclarations, typedefNames } from '../../../../src/systems/linux/kernelfile/typedefs.ts';
import fc from '../../../properties.ts';
import { smallKernel } from './small-kernel.ts';

const kernel = readImage(smallKernel({ config: 'CONFIG_SMP=y\nCONFIG_HZ=250\n' }), { origin: 'small' });

describe('a saved kernel', () => {
  it.each([true, false])('says what the image said (little-endian: %s)', (littleEndian) => {
    const image = readImage(smallKernel({ littleEndian }));
    const again = decode(encode(image, { types: ['module'] }).bytes);
    expect([...again.exports]).toEqual([...image.exports]);
    expect(again.types.layout('module')).toMatchObject({ size: 60 });
    for (const key of ['release', 'vermagic', 'banner', 'machine', 'bits', 'littleEndian'] as const) {
      expect(again[key]).toBe(image[key]);
    }
    expect([again.sections, again.evidence, again.percpu]).toEqual([
      image.sections,
      image.evidence,
      image.percpu,
    ]);
    expect([...again.rules]).toEqual([...image.rules]);
    expect(again.moduleBytes).toBe(60);
  });

  it('keeps the types and options that were asked for, and says what there is not', () => {
    const { bytes, missing } = encode(kernel, {
      types: ['absent'],
      config: (option) => option === 'CONFIG_HZ',
    });
    const again = decode(bytes);
    expect(missing).toEqual(['absent']);
    expect(again.types.type('module')).toBeUndefined();
    expect([...again.config!]).toEqual([['CONFIG_HZ', '250']]);
    expect(decode(encode(kernel, { types: [] }).bytes).config).toBeUndefined();
  });

  it('is the same bytes each time, and opens with any gunzip', () => {
    const { bytes } = encode(kernel, { types: 'all', config: 'all' });
    expect(encode(kernel, { types: 'all', config: 'all' }).bytes).toEqual(bytes);
    expect(decode(bytes, (packed) => new Uint8Array(gunzipSync(packed))).exports.size).toBe(
      kernel.exports.size,
    );
    expect(readKernel(bytes).release).toBe(kernel.release);
    expect(encode(readKernel(bytes), { types: 'all', config: 'all' }).bytes).toEqual(bytes);
  });

  it('damaged, is refused in words', () => {
    const { bytes } = encode(kernel, { types: 'all' });
    expect(() => decode(new Uint8Array(20))).toThrow(BadMagic);
    expect(() => decode(bytes.subarray(0, 8))).toThrow(Truncated);
    const later = bytes.slice();
    later[4] = 2;
    expect(() => decode(later)).toThrow(Unsupported);
    const huge = bytes.slice();
    new DataView(huge.buffer).setUint32(8, 0xffffffff, true);
    expect(() => decode(huge)).toThrow(/would unpack to/);
  });

  it('unpacked and changed anywhere, is read or refused with a FormatError', () => {
    const { bytes } = encode(kernel, { types: 'all', config: 'all' });
    const rest = gunzipSync(bytes.subarray(12));
    const plain = new Uint8Array(12 + rest.length);
    plain.set(bytes.subarray(0, 12));
    plain[5] = 0;
    plain.set(rest, 12);
    const change = fc.record({
      at: fc.integer({ min: 12, max: plain.length - 1 }),
      to: fc.integer({ min: 0, max: 255 }),
    });
    fc.assert(
      fc.property(
        fc.array(change, { minLength: 1, maxLength: 4 }),
        fc.nat(plain.length),
        (changes, length) => {
          const damaged = plain.slice(0, length % 5 === 0 ? length : plain.length);
          for (const { at, to } of changes) damaged[at] = to;
          try {
            const again = decode(damaged);
            [...again.exports];
            again.types.has('module.name');
            again.nearest(0);
          } catch (error) {
            if (!(error instanceof FormatError || error instanceof CTypeError)) throw error;
          }
        },
      ),
      { numRuns: 3000 },
    );
  });
});

describe('sorted names', () => {
  it('come back from packing, and are found', () => {
    const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,60}$/);
    fc.assert(
      fc.property(fc.uniqueArray(name, { maxLength: 60 }), name, (list, other) => {
        const sorted = [...list].sort();
        const names = SortedNames.unpack(SortedNames.from(sorted).pack(), sorted.length);
        expect(sorted.map((_, i) => names.at(i))).toEqual(sorted);
        for (const [i, there] of sorted.entries()) expect(names.indexOf(there)).toBe(i);
        expect(names.indexOf(other)).toBe(sorted.indexOf(other));
      }),
    );
  });
});

describe('exports of any address', () => {
  it('survive', () => {
    const row = fc.record({
      name: fc.stringMatching(/^[a-z_]{1,12}$/),
      address: fc.integer({ min: -0x80000000, max: 0x7fffffff }),
      crc: fc.nat(0xffffffff),
      gplOnly: fc.boolean(),
      namespace: fc.constantFrom('', 'A', 'B'),
      kind: fc.constantFrom('function', 'data', 'percpu', 'absolute'),
    }) as fc.Arbitrary<Omit<KernelExport, 'isFunction'>>;
    fc.assert(
      fc.property(fc.uniqueArray(row, { selector: (r) => r.name, maxLength: 30 }), (rows) => {
        const exports = ExportTable.from(rows);
        const plain = { ...facts(), exports, types: kernel.types, btf: undefined };
        const again = decode(encode(plain, { types: [] }).bytes);
        expect([...again.exports]).toEqual([...exports]);
      }),
      { numRuns: 60 },
    );
  });
});

/** The small kernel's fields as own properties: its class has them as getters. */
function facts() {
  const { release, vermagic, banner, machine, bits, littleEndian, rules, evidence, percpu, sections } =
    kernel;
  const { config, moduleBytes, origin } = kernel;
  const known = { release, vermagic, banner, machine, bits, littleEndian, rules, evidence, percpu, sections };
  return { ...known, config, moduleBytes, origin, read: () => undefined, nearest: () => undefined };
}

describe('the built-in kernel', () => {
  const bytes = new Uint8Array(readFileSync('profiles/debian-6.1.kernel'));
  const builtin = decode(bytes);

  it('is at most 200 kB', () => {
    expect(bytes.length).toBeLessThanOrEqual(200_000);
  });

  it('is Debian 6.1 for amd64, with what every module needs', () => {
    expect(builtin.vermagic).toMatch(/^6\.1\.0-\d+-amd64 SMP preempt mod_unload modversions $/);
    expect(builtin.exports.size).toBeGreaterThan(10_000);
    expect(builtin.exports.find('module_layout')?.crc).toBeTypeOf('number');
    expect(builtin.types.sizeof('module')).toBe(builtin.moduleBytes);
    for (const path of [
      'task_struct.comm',
      'file.f_path.dentry',
      'page.lru.next',
      'module.kp',
      'inode.i_rdev',
    ]) {
      expect(builtin.types.has(path), path).toBe(true);
    }
  });

  it('reads every typedef that is built in', () => {
    const declarations = linuxDeclarations(builtin.types);
    for (const name of typedefNames) expect(declarations.type(name).kind, name).toBe('typedef');
  });
});
