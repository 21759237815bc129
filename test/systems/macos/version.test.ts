/** The version grammar against a second implementation of its rules, both ways. */

import { describe, expect, test } from 'vitest';
import {
  formatVersion,
  INVALID_VERSION,
  isCompatible,
  parseVersion,
} from '../../../src/systems/macos/version.ts';
import fc from '../../properties.ts';

const RUNS = 3000;
const stages = ['d', 'a', 'b', 'f', 'fc'] as const;
const weight = { d: 1n, a: 3n, b: 5n, f: 7n, fc: 7n } as const;
const digits = fc
  .tuple(fc.integer({ min: 0, max: 9999 }), fc.integer({ min: 1, max: 4 }))
  .map(([n, width]) => ({
    n: BigInt(n),
    text: String(n).padStart(width, '0'),
  }));

describe('versions of kernel extensions', () => {
  test.each([
    ['1.0.0d1', 1000000001001n],
    ['1.0', 1000000009000n],
    ['1.0.0', 1000000009000n],
    ['1.0fc1', 1000000007001n],
    ['24.4.0', 24000400009000n],
    ['8.0.0d0', 8000000001000n],
  ])('%s is %d', (text, value) => expect(parseVersion(text)).toBe(value));

  test.each([
    '',
    '.',
    '1.',
    '1..2',
    'a1',
    '1.0f0',
    '1.0fc0',
    '1.0d256',
    '1.0d',
    '12345',
    '1.2.3.4',
    '1.0x1',
    '1.0d1000',
    '-1',
    ' 1',
  ])('%j is no version', (text) => expect(parseVersion(text)).toBe(INVALID_VERSION));

  test('whatever the grammar makes has the value its rules give, and text after white space is not looked at', () => {
    const level = fc.integer({ min: 1, max: 255 });
    const stage = fc.option(fc.record({ letter: fc.constantFrom(...stages), level }), { nil: undefined });
    const tail = fc.constantFrom('', ' ', '\t(x)', '\0rest');
    fc.assert(
      fc.property(fc.array(digits, { minLength: 1, maxLength: 3 }), stage, tail, (parts, end, rest) => {
        const text =
          parts.map((part) => part.text).join('.') + (end === undefined ? '' : `${end.letter}${end.level}`);
        const [major, minor, revision] = [0, 1, 2].map((i) => parts[i]?.n ?? 0n);
        const last = end === undefined ? 9000n : weight[end.letter] * 1000n + BigInt(end.level);
        expect(parseVersion(text + rest)).toBe(
          ((major * 10000n + minor) * 10000n + revision) * 10000n + last,
        );
      }),
      { numRuns: RUNS },
    );
  });

  test('a version printed and read again is the same', () => {
    const part = fc.integer({ min: 0, max: 9999 });
    const end = fc.oneof(
      fc.constant(9000n),
      fc
        .tuple(fc.constantFrom(1n, 3n, 5n, 7n), fc.integer({ min: 1, max: 255 }))
        .map(([s, l]) => s * 1000n + BigInt(l)),
    );
    fc.assert(
      fc.property(part, part, part, end, (major, minor, revision, last) => {
        const value = ((BigInt(major) * 10000n + BigInt(minor)) * 10000n + BigInt(revision)) * 10000n + last;
        expect(parseVersion(formatVersion(value))).toBe(value);
      }),
      { numRuns: RUNS },
    );
  });

  test('versions compare as their parts do, and a library fits what lies between its two', () => {
    const version = fc.tuple(
      ...[9999, 9999, 9999].map((max) => fc.integer({ min: 0, max })),
      fc.constantFrom(1, 3, 5, 9),
      fc.integer({ min: 1, max: 255 }),
    );
    const letters = new Map([
      [1, 'd'],
      [3, 'a'],
      [5, 'b'],
    ]);
    const text = ([major, minor, revision, stage, level]: readonly number[]): string =>
      `${major}.${minor}.${revision}${stage === 9 ? '' : `${letters.get(stage)}${level}`}`;
    const order = (a: readonly number[], b: readonly number[]): number => {
      const at = a.findIndex((part, i) => part !== b[i] && !(i === 4 && a[3] === 9));
      return at < 0 ? 0 : a[at] - b[at];
    };
    fc.assert(
      fc.property(version, version, version, (low, high, wanted) => {
        const [least, most, asked] = [low, high, wanted].map((one) => parseVersion(text(one)));
        expect(Math.sign(order(low, high))).toBe(least < most ? -1 : least > most ? 1 : 0);
        // A compatible version of nothing at all fits nobody.
        const fits = least > 0n && order(low, wanted) <= 0 && order(wanted, high) <= 0;
        expect(isCompatible({ version: most, compatible: least }, asked)).toBe(fits);
      }),
      { numRuns: RUNS },
    );
  });

  test('no text crashes it', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'0123456789.dabfcx \0') }), (text) => {
        const value = parseVersion(text);
        expect(value === INVALID_VERSION || value > 0n).toBe(true);
        if (value !== INVALID_VERSION) expect(parseVersion(formatVersion(value))).toBe(value);
      }),
      { numRuns: RUNS },
    );
  });

  test('development, alpha, beta, candidate and release follow each other', () => {
    const order = ['1.0d1', '1.0d21', '1.0a1', '1.0b1', '1.0f1', '1.0', '1.0.1d1', '1.1', '2.0'];
    const values = order.map(parseVersion);
    expect([...values].sort((a, b) => (a < b ? -1 : 1))).toEqual(values);
  });

  test('a library fits from its compatible version up to its own', () => {
    const library = { version: parseVersion('2.1'), compatible: parseVersion('1.5') };
    const fits = (text: string): boolean => isCompatible(library, parseVersion(text));
    expect(['1.4', '1.5', '2.0', '2.1', '2.1.1'].map(fits)).toEqual([false, true, true, true, false]);
    expect(isCompatible({ version: library.version, compatible: 0n }, parseVersion('2.0'))).toBe(false);
  });
});
