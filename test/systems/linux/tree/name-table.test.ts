import { describe, expect, it } from 'vitest';
import { IntSink } from '../../../../src/bytes/sink.ts';
import { NameTable } from '../../../../src/systems/linux/tree/name-table.ts';
import { TrieReader } from '../../../../src/systems/linux/tree/trie.ts';
import { TrieBuilder } from '../../../../src/systems/linux/tree/trie-builder.ts';

const pool = (names: readonly string[]): Uint8Array =>
  Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1');

/** A symbol table of 64 bits: undefined symbols, and strings for them. */
function table(names: readonly string[]): [symbols: Uint8Array, strings: Uint8Array] {
  const strings = Buffer.from(`\0${names.map((name) => `${name}\0`).join('')}`, 'latin1');
  const symbols = Buffer.alloc(24 * (names.length + 1));
  let at = 1;
  names.forEach((name, i) => {
    symbols.writeUInt32LE(at, 24 * (i + 1));
    // Every third is weak, and a version is defined.
    symbols[24 * (i + 1) + 4] = i % 3 === 0 ? 0x20 : 0x10;
    symbols.writeUInt16LE(name.startsWith('__crc_') ? 0xfff1 : 0, 24 * (i + 1) + 6);
    at += name.length + 1;
  });
  return [symbols, strings];
}

describe('names of symbols', () => {
  it('keep their numbers while the table grows', () => {
    const names = new NameTable();
    const many = Array.from({ length: 100_000 }, (_, i) => `${i}-${'x'.repeat(i % 40)}`);
    const first = many.slice(0, 1000);
    expect([...names.adopt(pool(first))]).toEqual(first.map((_, i) => i));
    expect([...names.adopt(pool(many))]).toEqual(many.map((_, i) => i));
    expect([...names.adopt(pool([...many].reverse()))]).toEqual(many.map((_, i) => i).reverse());
    expect(names.size).toBe(many.length);
    expect(names.name(77_777)).toBe(many[77_777]);
    expect(names.firstByte(99_999)).toBe(0x39);
    expect(Buffer.from(names.text).equals(Buffer.from(pool(many)))).toBe(true);
    expect(names.numberOfText(many[31_000])).toBe(31_000);
    expect(names.numberOfText('')).toBe(100_000);
  });

  it('are found in symbol tables wherever these stand, and however many there are', () => {
    const wanted = [
      ...Array.from({ length: 40_000 }, (_, i) => `need_${i}`),
      '',
      '__crc_offered',
      '__crc_',
      'caf\xe9',
    ];
    const [symbols, strings] = table(wanted);
    for (const inPlace of [true, false]) {
      const names = new NameTable();
      const [needs, offers] = [new IntSink(), new IntSink()];
      if (inPlace) {
        // What fits of it: the symbols.
        names.bytes.set(symbols.subarray(0, 24 * 30_000));
        expect(names.walk(names.bytes.subarray(0, 24 * 30_000), strings, needs, offers)).toBe(true);
        needs.length = 0;
      }
      expect(names.walk(symbols, strings, needs, offers)).toBe(true);
      const found = [...needs.view()].map((need) => [names.name(need >> 1), need & 1]);
      const expected = wanted.flatMap((name, i) =>
        name === '' || name.startsWith('__crc_') ? [] : [[name, i % 3 === 0 ? 1 : 0]],
      );
      expect(found).toEqual(expected);
      expect([...offers.view()].map((number) => names.name(number))).toEqual(['offered', '']);
      expect(names.walk(symbols, strings.subarray(0, -20), needs, offers)).toBe(false);
    }
  });
});

describe('an index of one key many times', () => {
  it('has its values by priority, the later first', () => {
    const trie = new TrieBuilder();
    const count = 50_000;
    for (let i = 0; i < count; i++) trie.add(i % 2 === 0 ? 'same' : 'same-too', `v${i}`, (i * 7919) % 100);
    const values = new TrieReader(trie.write()).valuesOf('same').map(({ value }) => Number(value.slice(1)));
    const expected = Array.from({ length: count / 2 }, (_, i) => 2 * i).sort(
      (a, b) => ((a * 7919) % 100) - ((b * 7919) % 100) || b - a,
    );
    expect(values).toEqual(expected);
  });
});
