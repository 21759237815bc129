import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32 } from '../../../src/bytes/checksum.ts';
import { findTable, type Table } from '../../../src/systems/linux/block/partition-tables.ts';

interface Seen {
  readonly table: Table | undefined;
  readonly warnings: string[];
}

function scan(disk: Uint8Array, unit = 1): Seen {
  const warnings: string[] = [];
  const steps = findTable({
    *read(sector) {
      const at = sector * 512;
      return at + 512 <= disk.length ? disk.subarray(at, at + 512) : undefined;
    },
    sectors: disk.length / 512,
    unit,
    warn: (text) => warnings.push(text),
    most: 256,
  });
  const end = steps.next();
  if (end.done !== true) throw new Error('nothing here waits');
  return { table: end.value, warnings };
}

const places = (table: Table | undefined) =>
  table?.partitions.map(({ number, start, sectors }) => [number, start, sectors]);

type Entry = readonly [active: number, type: number, start: number, sectors: number];

function dos(disk: Uint8Array, sector: number, entries: readonly Entry[]): Uint8Array {
  const view = new DataView(disk.buffer, sector * 512, 512);
  for (const [slot, [active, type, start, sectors]] of entries.entries()) {
    const at = 446 + slot * 16;
    view.setUint8(at, active);
    view.setUint8(at + 4, type);
    view.setUint32(at + 8, start, true);
    view.setUint32(at + 12, sectors, true);
  }
  view.setUint16(510, 0xaa55, true);
  return disk;
}

const empty = (sectors: number): Uint8Array => new Uint8Array(sectors * 512);

/** Header and entries of a GPT at `my`, with the entries at `table`. */
function gpt(disk: Uint8Array, my: number, alternate: number, table: number, guids: readonly number[]): void {
  const last = disk.length / 512 - 1;
  const entries = new Uint8Array(guids.length * 128);
  for (const [i, guid] of guids.entries()) {
    const view = new DataView(entries.buffer, i * 128, 128);
    if (guid === 0) continue;
    entries.fill(guid, i * 128, i * 128 + 32);
    view.setBigUint64(32, BigInt(40 + i * 8), true);
    view.setBigUint64(40, BigInt(43 + i * 8), true);
    for (const [at, letter] of [...'root'].entries()) view.setUint16(56 + at * 2, letter.charCodeAt(0), true);
  }
  const header = new Uint8Array(92);
  const view = new DataView(header.buffer);
  header.set(new TextEncoder().encode('EFI PART'));
  view.setUint32(8, 0x10000, true);
  view.setUint32(12, 92, true);
  for (const [at, value] of [
    [24, my],
    [32, alternate],
    [40, 34],
    [48, last - 33],
    [72, table],
  ])
    view.setBigUint64(at, BigInt(value), true);
  view.setUint32(80, guids.length, true);
  view.setUint32(84, 128, true);
  view.setUint32(88, crc32(entries), true);
  view.setUint32(16, crc32(header), true);
  disk.set(header, my * 512);
  disk.set(entries, table * 512);
}

describe('tables of partitions', () => {
  it('DOS, with a chain of extended partitions', () => {
    const disk = dos(empty(256), 0, [
      [0x80, 0x0c, 1, 7],
      [0, 0x83, 8, 16],
      [0, 5, 24, 64],
    ]);
    dos(disk, 24, [
      [0, 0x83, 2, 6],
      [0, 5, 16, 16],
    ]);
    dos(disk, 40, [[0, 0x54, 1, 4]]);
    const { table } = scan(disk);
    expect(places(table)).toEqual([
      [1, 1, 7],
      [2, 8, 16],
      [3, 24, 2],
      [5, 26, 6],
      [6, 41, 4],
    ]);
    expect(table?.text).toBe(' P1 P2 P3 < P5 P6[DM] >');
  });

  it('a chain that leads back to itself ends', () => {
    const disk = dos(empty(64), 0, [[0, 5, 8, 32]]);
    dos(disk, 8, [[0, 5, 0, 32]]);
    expect(places(scan(disk).table)).toEqual([[1, 8, 2]]);
  });

  it('blocks of 4096 bytes count in eights', () => {
    const disk = dos(empty(256), 0, [[0, 0x83, 2, 3]]);
    expect(places(scan(disk, 8).table)).toEqual([[1, 16, 24]]);
  });

  it('a filesystem on the whole disk is none, and so is a signature alone with odd flags', () => {
    const fat = dos(empty(64), 0, [[0x33, 1, 1, 1]]);
    fat[14] = 1;
    fat[16] = 2;
    fat[21] = 0xf8;
    expect(scan(fat).table).toEqual({ partitions: [], text: '' });
    expect(scan(dos(empty(64), 0, [[0x33, 1, 1, 1]])).table).toBeUndefined();
    expect(scan(empty(64)).table).toBeUndefined();
  });

  it('GPT, with its copy at the end', () => {
    const disk = dos(empty(256), 0, [[0, 0xee, 1, 255]]);
    gpt(disk, 1, 255, 2, [1, 0, 3]);
    expect(scan(disk).warnings).toEqual(['Alternate GPT is invalid, using primary GPT.']);
    gpt(disk, 255, 1, 253, [1, 0, 3]);
    const { table, warnings } = scan(disk);
    expect(warnings).toEqual([]);
    expect(places(table)).toEqual([
      [1, 40, 4],
      [3, 56, 4],
    ]);
    expect(table?.partitions[0]).toMatchObject({
      label: 'root',
      uuid: '01010101-0101-0101-0101-010101010101',
    });
  });

  it('two GPTs that do not agree are told of', () => {
    const disk = dos(empty(256), 0, [[0, 0xee, 1, 255]]);
    gpt(disk, 1, 200, 2, [1]);
    gpt(disk, 200, 1, 198, [2]);
    expect(scan(disk).warnings).toEqual([
      expect.stringMatching(
        /^GPT:partition_entry_array_crc32 values don't match: 0x[0-9a-f]+ != 0x[0-9a-f]+$/,
      ),
      'GPT:Primary header thinks Alt. header is not at the end of the disk.',
      'GPT:200 != 255',
      'GPT:Alternate GPT header not at the end of the disk.',
      'GPT:200 != 255',
      'GPT: Use GNU Parted to correct GPT errors.',
    ]);
  });

  it('any disk at all is looked at in bounded time and gives partitions in order of their slots', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 66 * 2, maxLength: 66 * 12 }), (noise) => {
        const disk = empty(64);
        for (let at = 0; at * 66 + 66 <= noise.length; at++)
          disk.set(noise.subarray(at * 66, at * 66 + 66), at * 512 + 446);
        for (let at = 0; at < 12; at++) disk.set([0x55, 0xaa], at * 512 + 510);
        const { table } = scan(disk);
        expect((table?.partitions ?? []).length).toBeLessThan(256);
      }),
    );
  });
});
