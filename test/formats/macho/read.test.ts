import { describe, expect, test } from 'vitest';
import { BadMagic, FormatError, Invalid, Truncated } from '../../../src/bytes/errors.ts';
import { architectureName, readSlices } from '../../../src/formats/macho/fat.ts';
import { readChainedFixups } from '../../../src/formats/macho/fixups.ts';
import { CPU, LC, MH } from '../../../src/formats/macho/layout.ts';
import { machoObject, readMachoObject } from '../../../src/formats/macho/object.ts';
import { readMachO } from '../../../src/formats/macho/read.ts';
import { linkedRelocations } from '../../../src/formats/macho/relocations.ts';
import { executable } from '../../systems/macos/fixtures.ts';

const board = executable('Board');

/** A universal file of these thin ones. */
function fat(files: readonly { cputype: number; bytes: Uint8Array }[]): Uint8Array {
  const size = files.reduce((sum, { bytes }) => sum + bytes.length, 4096);
  const out = new Uint8Array(size);
  const view = new DataView(out.buffer);
  view.setUint32(0, 0xcafebabe);
  view.setUint32(4, files.length);
  let at = 4096;
  for (const [i, { cputype, bytes }] of files.entries()) {
    for (const [field, value] of [cputype, 3, at, bytes.length, 12].entries()) {
      view.setUint32(8 + i * 20 + field * 4, value);
    }
    out.set(bytes, at);
    at += bytes.length;
  }
  return out;
}

describe('Mach-O files', () => {
  test('header, segments, sections and identity of a kext', () => {
    const file = readMachO(board);
    expect(file.header).toMatchObject({
      bits: 64,
      littleEndian: true,
      cputype: CPU.X86_64,
      filetype: MH.KEXT_BUNDLE,
    });
    expect(file.segments.map(({ name }) => name)).toEqual(['__TEXT', '__DATA', '__LINKEDIT']);
    expect(file.section('__TEXT', '__text')?.size).toBeGreaterThan(100);
    expect(file.uuid).toMatch(/^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/);
    expect(file.command(LC.VERSION_MIN_MACOSX)?.name).toBe('LC_VERSION_MIN_MACOSX');
    expect(readChainedFixups(file)).toBeUndefined();
  });

  test('symbols: what it needs and what it offers', () => {
    const symbols = readMachO(board).symbols();
    expect(symbols?.undefined.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['_IOLog', '_cdevsw_add', '_devfs_make_node', '_sysctl__debug_children']),
    );
    expect(symbols?.exports.map(({ name }) => name)).toEqual(['_kmod_info']);
    expect(symbols?.find('_kmod_info')?.section).toBeGreaterThan(0);
  });

  test('relocations lie inside of sections and name symbols', () => {
    const object = machoObject(readMachO(board));
    const { external, local } = linkedRelocations(readMachO(board));
    const bySection = object.sections.flatMap(({ index }) => object.relocations(index));
    expect(bySection).toHaveLength(external.length + local.length);
    for (const { symbol } of external) expect(object.symbols[symbol].place).toBe('undefined');
  });

  test('a universal file is its slices; two of one kind are an error', () => {
    const both = fat([
      { cputype: CPU.X86_64, bytes: board },
      { cputype: CPU.ARM64, bytes: board },
    ]);
    expect(readSlices(both).map(({ cputype, cpusubtype }) => architectureName(cputype, cpusubtype))).toEqual([
      'x86_64',
      'arm64',
    ]);
    expect(readMachO(readSlices(both)[0].bytes).uuid).toBe(readMachO(board).uuid);
    expect(() =>
      readSlices(
        fat([
          { cputype: 7, bytes: board },
          { cputype: 7, bytes: board },
        ]),
      ),
    ).toThrow(Invalid);
    expect(readSlices(board)).toHaveLength(1);
  });

  test('other files are told apart', () => {
    expect(() => readMachO(new Uint8Array(64))).toThrow(BadMagic);
    expect(() => readSlices(new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]))).toThrow(BadMagic);
    expect(() => readMachO(board.subarray(0, 40))).toThrow(Truncated);
  });

  test('cut anywhere, or with bytes changed, it is read or refused with a typed error', () => {
    let seed = 12345;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    const readAll = (bytes: Uint8Array): void => {
      try {
        for (const slice of readSlices(bytes)) {
          const object = readMachoObject(slice.bytes);
          object.symbols.length;
          for (const { index } of object.sections) object.relocations(index);
          readChainedFixups(readMachO(slice.bytes));
        }
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
      }
    };
    for (let length = 0; length < board.length; length += 37) readAll(board.subarray(0, length));
    for (let i = 0; i < 3000; i++) {
      const bytes = board.slice();
      // Half of the changes go to the header and the load commands, where they matter.
      for (let n = 1 + random(4); n > 0; n--)
        bytes[random(2) === 0 ? random(700) : random(bytes.length)] = random(256);
      readAll(bytes);
    }
  });
});
