import { describe, expect, it } from 'vitest';
import { FormatError } from '../../../src/bytes/errors.ts';
import { readHive } from '../../../src/formats/regf/read.ts';
import { buildHive, type Key } from './build.ts';

const ROOT: Key = {
  name: 'ROOT',
  values: [{ name: '', type: 1, data: Uint8Array.of(0x61, 0, 0, 0) }],
  keys: [
    {
      name: 'Long',
      keys: [],
      values: [{ name: 'db', type: 3, data: Uint8Array.from({ length: 40000 }, (_, i) => i) }],
    },
    {
      name: 'Empty',
      keys: [{ name: 'Below', keys: [], values: [] }],
      values: [{ name: 'none', type: 0, data: new Uint8Array(0) }],
    },
  ],
};

describe('registry hives', () => {
  it('give back their keys and values, long data too', () => {
    const { root, dirty, checksumHolds, version } = readHive(buildHive(ROOT));
    expect({ dirty, checksumHolds, version }).toEqual({ dirty: false, checksumHolds: true, version: '1.5' });
    const plain = ({ name, values, keys }: Key): Key => ({ name, values, keys: keys.map(plain) });
    expect(plain(root)).toEqual(ROOT);
  });

  it('that were not written out to the end say so', () => {
    const bytes = buildHive(ROOT);
    bytes[4]++;
    expect(readHive(bytes)).toMatchObject({ dirty: true, checksumHolds: false });
  });

  it('that go in circles, or are cut, end in an error', () => {
    const bytes = buildHive(ROOT);
    for (let length = 0; length < bytes.length; length += 97) {
      try {
        readHive(bytes.slice(0, length));
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
      }
    }
    const view = new DataView(bytes.buffer);
    const root = 4096 + view.getUint32(36, true) + 4;
    const list = 4096 + view.getUint32(root + 0x1c, true) + 4;
    view.setUint32(list + 4, view.getUint32(36, true), true);
    expect(() => readHive(bytes)).toThrow('is below itself');
  });
});
