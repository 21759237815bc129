/** Requirements and entitlements, built here from the published opcodes and tags. */

import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../src/bytes/errors.ts';
import { encodeDer, encodeOid } from '../../../src/formats/der.ts';
import { readDirectory } from '../../../src/formats/macho/codesign/directory.ts';
import { readDerEntitlements } from '../../../src/formats/macho/codesign/entitlements.ts';
import { readRequirements, requirementText } from '../../../src/formats/macho/codesign/requirement.ts';
import fc from '../../properties.ts';

const word = (value: number): number[] => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255);
const bytesOf = (text: string): number[] => [...new TextEncoder().encode(text)];
const data = (bytes: readonly number[]): number[] => {
  const padding = (4 - (bytes.length % 4)) % 4;
  return [...word(bytes.length), ...bytes, ...Array<number>(padding).fill(0)];
};
const text = (value: string): number[] => data(bytesOf(value));
const oid = (value: string): number[] => data([...encodeOid(value)].slice(2));
const requirement = (...program: readonly number[][]): Uint8Array => {
  const code = program.flat();
  return Uint8Array.from([...word(0xfade0c00), ...word(12 + code.length), ...word(1), ...code]);
};

const IDENT = [...word(2), ...text('org.example.kext')];
const GENERIC = word(15);
const TEAM = [...word(11), ...word(0), ...text('subject.OU'), ...word(1), ...text('3T5GSNBU6W')];

describe('requirements as text', () => {
  test.each([
    ['identifier "org.example.kext"', [IDENT]],
    ['identifier plain', [word(2), text('plain')]],
    ['identifier "anchor"', [word(2), text('anchor')]],
    ['identifier "a\\"b"', [word(2), text('a"b')]],
    ['identifier 0xff00', [word(2), data([255, 0])]],
    ['identifier "org.example.kext" and anchor apple generic', [word(6), IDENT, GENERIC]],
    ['identifier x or anchor apple and always', [word(7), word(2), text('x'), word(6), word(3), word(1)]],
    ['(always or never) and anchor apple', [word(6), word(7), word(1), word(0), word(3)]],
    ['! (anchor apple and anchor trusted)', [word(9), word(6), word(3), word(13)]],
    ['certificate leaf[subject.OU] = "3T5GSNBU6W"', [TEAM]],
    [
      'certificate 1[field.1.2.840.113635.100.6.2.6] /* exists */',
      [word(14), word(1), oid('1.2.840.113635.100.6.2.6'), word(0)],
    ],
    ['certificate root = H"0102"', [word(4), word(-1), data([1, 2])]],
    ['cdhash H"0a0b0c"', [word(8), data([10, 11, 12])]],
    ['info[CFBundleVersion] >= "1.2"', [word(10), text('CFBundleVersion'), word(8), text('1.2')]],
    ['entitlement[com.apple.x] absent ', [word(16), text('com.apple.x'), word(14)]],
    ['info[a] = b*', [word(10), text('a'), word(3), text('b')]],
    ['info[a] = *b', [word(10), text('a'), word(4), text('b')]],
    ['platform = 2', [word(20), word(2)]],
    ['notarized and legacy', [word(6), word(21), word(23)]],
    [
      'certificate leaf[timestamp.1.2.3] < <2001-01-01 00:00:10 +0000>',
      [word(22), word(0), oid('1.2.3'), word(10), word(0), word(10)],
    ],
    ['false /* opcode 99 */ or always', [word(7), word(0x80000000 + 99), data([1]), word(1)]],
  ])('%s', (expected, program) => expect(requirementText(requirement(...program))).toBe(expected));

  test('of a set, with their types', () => {
    const one = requirement(IDENT);
    const set = [...word(0xfade0c01), ...word(20 + one.length), ...word(1), ...word(3), ...word(20), ...one];
    expect(readRequirements(Uint8Array.from(set))).toEqual([
      { kind: 'designated', text: 'identifier "org.example.kext"' },
    ]);
  });

  test('whatever the bytes: text or a typed error', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(0x1a), { maxLength: 40 }),
        fc.array(fc.nat(255), { maxLength: 40 }),
        (ops, tail) => {
          try {
            expect(requirementText(requirement(ops.flatMap(word), tail))).toBeTypeOf('string');
          } catch (error) {
            if (!(error instanceof FormatError)) throw error;
          }
        },
      ),
      { numRuns: 500 },
    );
    const deep = requirement(Array.from({ length: 300 }, () => word(9)).flat(), word(1));
    expect(() => requirementText(deep)).toThrow('nested');
  });
});

const utf8 = (value: string): Uint8Array => encodeDer(0x0c, new TextEncoder().encode(value));
const pair = (key: string, value: Uint8Array): Uint8Array => encodeDer(0x30, utf8(key), value);
const entitlements = (...pairs: readonly Uint8Array[]): Uint8Array =>
  encodeDer(0x70, encodeDer(2, Uint8Array.of(1)), encodeDer(0xb0, ...pairs));

describe('entitlements in DER', () => {
  test('booleans, numbers, texts, arrays and dictionaries', () => {
    const bytes = entitlements(
      pair('a', encodeDer(1, Uint8Array.of(255))),
      pair('b', encodeDer(2, Uint8Array.of(0xff, 0x7f))),
      pair('c', utf8('x')),
      pair('d', encodeDer(0x30, utf8('y'), utf8('z'))),
      pair('e', encodeDer(0xb0, pair('f', encodeDer(1, Uint8Array.of(0))))),
    );
    expect(readDerEntitlements(bytes)).toEqual({ a: true, b: -129n, c: 'x', d: ['y', 'z'], e: { f: false } });
  });

  test('damage is a typed error', () => {
    const good = entitlements(pair('com.apple.x', encodeDer(1, Uint8Array.of(255))));
    for (let i = 0; i < good.length; i++) {
      for (const bytes of [good.subarray(0, i), good.map((byte, at) => (at === i ? byte ^ 0x55 : byte))]) {
        try {
          readDerEntitlements(bytes);
        } catch (error) {
          if (!(error instanceof FormatError)) throw error;
        }
      }
    }
  });
});

/** A CodeDirectory of one page with every field of a version. */
function directory(version: number): Uint8Array {
  const bytes = Buffer.alloc(400);
  const put = (at: number, value: number): void => void bytes.writeUInt32BE(value >>> 0, at);
  for (const [i, value] of [0xfade0c02, 400, version, 0x10000, 300, 200, 1, 1, 4096].entries())
    put(i * 4, value);
  bytes.set([32, 2, 13, 12], 36);
  put(44, 140);
  put(48, 220);
  for (const [at, value] of [
    [56, 1],
    [76, 8192],
    [84, 0],
    [88, 0x000a0f04],
    [100, 240],
    [104, 4],
    [140, 1],
    [152, 0x2000],
  ])
    put(at, value);
  bytes.writeBigUInt64BE(1n, 80);
  bytes.set([2, 3, 0, 7], 96);
  bytes.write('ident\0', 200);
  bytes.write('TEAM\0', 220);
  return new Uint8Array(bytes);
}

describe('CodeDirectory versions', () => {
  test.each([
    [
      0x20001,
      {
        team: undefined,
        codeLimit: 4096,
        scatter: [],
        execSegment: undefined,
        runtime: 0,
        linkage: undefined,
      },
    ],
    [0x20100, { scatter: [{ count: 1, base: 0, offset: 0x2000 }], team: undefined }],
    [0x20200, { team: 'TEAM', codeLimit: 4096 }],
    [0x20300, { codeLimit: 0x100000000 }],
    [0x20400, { execSegment: { base: 0, limit: 8192, flags: 1 }, runtime: 0 }],
    [0x20500, { runtime: 0x000a0f04, linkage: undefined }],
    [0x20600, { linkage: { hashType: 2, applicationType: 3, applicationSubType: 7 } }],
  ])('0x%x', (version, expected) => {
    expect(readDirectory(directory(version))).toMatchObject({
      identifier: 'ident',
      platform: 13,
      pageSize: 4096,
      ...expected,
    });
  });
});
