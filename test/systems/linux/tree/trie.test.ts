import { describe, expect, it } from 'vitest';
import { FormatError } from '../../../../src/bytes/errors.ts';
import { TrieReader } from '../../../../src/systems/linux/tree/trie.ts';
import { NotAscii, TrieBuilder } from '../../../../src/systems/linux/tree/trie-builder.ts';
import fc from '../../../properties.ts';

function build(entries: readonly (readonly [key: string, value: string, priority: number])[]): Uint8Array {
  const trie = new TrieBuilder();
  for (const [key, value, priority] of entries) trie.add(key, value, priority);
  return trie.write();
}

describe('an index', () => {
  it('is written as the tools write it', () => {
    // Root without prefix, one child 'a' with prefix 'b', which has a value and a child 'c' with two.
    const bytes = build([
      ['ab', 'x', 1],
      ['abc', 'z', 7],
      ['abc', 'y', 3],
    ]);
    const hex = Buffer.from(bytes).toString('hex');
    expect(hex).toBe(
      [
        'b007f457 00020001 2000000c',
        '61 61 e0000012',
        '62 00 63 63 40000024 00000001 00000001 78 00',
        '00000002 00000003 79 00 00000007 7a 00',
      ]
        .join('')
        .replaceAll(' ', ''),
    );
  });

  it('gives back what was put in, values by priority, of equal ones the later first', () => {
    const reader = new TrieReader(
      build([
        ['key', 'b', 2],
        ['key', 'a', 1],
        ['key', 'c', 2],
        ['', 'root', 0],
      ]),
    );
    expect(reader.valuesOf('key').map(({ value }) => value)).toEqual(['a', 'c', 'b']);
    expect(reader.find('')).toBe('root');
    expect(reader.find('ke')).toBeUndefined();
    expect([...reader.entries()].map(({ key }) => key)).toEqual(['', 'key']);
  });

  it('matches keys that are patterns', () => {
    const reader = new TrieReader(
      build([
        ['pci:v*d00001*', 'one', 2],
        ['pci:v00008086d*', 'two', 1],
        ['pci:v00008086d0000[1-3]', 'three', 0],
        ['usb:*', 'four', 0],
        ['pci:v00008086d00001', 'five', 5],
        ['*', 'six', 9],
      ]),
    );
    expect(reader.matching('pci:v00008086d00001')).toEqual(['three', 'two', 'one', 'five', 'six']);
    expect(reader.matching('usb:x')).toEqual(['four', 'six']);
    expect(reader.matching('net')).toEqual(['six']);
  });

  it('holds any set of keys', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '*', '_'), maxLength: 6 });
    fc.assert(
      fc.property(fc.array(fc.tuple(word, word)), (pairs) => {
        const reader = new TrieReader(build(pairs.map(([key, value]) => [key, value, 0])));
        const keys = [...new Set(pairs.map(([key]) => key))].sort();
        expect([...reader.entries()].map(({ key }) => key)).toEqual(keys);
        for (const [key, value] of pairs)
          expect(reader.valuesOf(key).map((one) => one.value)).toContain(value);
      }),
    );
  });

  it('takes 7-bit bytes only', () => {
    expect(() => new TrieBuilder().add('caf\xe9', 'x', 0)).toThrow(NotAscii);
    expect(() => new TrieBuilder().add('x', '\x80', 0)).toThrow('0x80');
  });

  it('that is damaged is refused or answers, in bounded time', () => {
    const good = build(Array.from({ length: 40 }, (_, i) => [`symbol:${i}`, `module${i % 5}`, i] as const));
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, byte, length) => {
        const bytes = good.slice(0, length);
        if (at < bytes.length) bytes[at] = byte;
        try {
          const reader = new TrieReader(bytes);
          reader.matching('symbol:7');
          reader.find('symbol:39');
          let left = 10_000;
          for (const _ of reader.entries()) if (--left === 0) break;
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
