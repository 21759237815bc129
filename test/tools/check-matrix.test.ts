import { describe, expect, it } from 'vitest';
import {
  type Cell,
  changesSince,
  cover,
  type Matrix,
  minimalSets,
  readMatrix,
} from '../../src/tools/check-matrix.ts';
import fc from '../properties.ts';

const yes: Cell = { answer: 'loads' };
const no: Cell = { answer: 'refused', rule: 'vermagic' };
const kernels = ['a', 'b', 'c'].map((release) => ({ name: `boot/${release}`, release }));
const row = (path: string, name: string, ...cells: Cell[]) => ({ path, name, cells });

describe('the smallest set of builds', () => {
  it('serves every kernel that can be served', () => {
    const matrix: Matrix = {
      kernels,
      rows: [row('1.ko', 'x', yes, no, no), row('2.ko', 'x', yes, yes, no), row('3.ko', 'x', no, yes, no)],
    };
    expect(minimalSets(matrix)).toEqual([
      { name: 'x', builds: 3, chosen: [{ path: '2.ko', kernels: [0, 1] }], uncovered: [2] },
    ]);
  });

  it('is as small as any, and covers', () => {
    const sets = fc.array(fc.uniqueArray(fc.integer({ min: 0, max: 7 })), { maxLength: 8 });
    fc.assert(
      fc.property(sets, (lists) => {
        const given = lists.map((list) => new Set(list));
        const wanted = [...new Set(lists.flat())];
        const chosen = cover(given, wanted);
        expect(wanted.every((one) => chosen.some((i) => given[i].has(one)))).toBe(true);
        for (let mask = 0; mask < 1 << given.length; mask++) {
          const some = given.filter((_, i) => (mask & (1 << i)) !== 0);
          if (some.length < chosen.length)
            expect(wanted.every((one) => some.some((set) => set.has(one)))).toBe(false);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('ends for many builds', () => {
    const sets = Array.from({ length: 60 }, (_, i) => new Set([i, (i * 7) % 60, (i * 13) % 60]));
    const chosen = cover(sets, [...Array(60).keys()]);
    expect(new Set(chosen.flatMap((i) => [...sets[i]])).size).toBe(60);
  });
});

describe('changes since another time', () => {
  const before: Matrix = { kernels, rows: [row('x.ko', 'x', yes, no, yes)] };

  it('are pairs whose answer or rule is another, or that came and went', () => {
    const after: Matrix = {
      kernels: [kernels[0], kernels[1], { name: 'd', release: 'd' }],
      rows: [row('elsewhere/x.ko', 'x', no, no, yes)],
    };
    expect(changesSince(before, after)).toEqual([
      { module: 'x', kernel: 'a', before: yes, after: no },
      { module: 'x', kernel: 'd', before: undefined, after: yes },
      { module: 'x', kernel: 'c', before: yes, after: undefined },
    ]);
    expect(changesSince(before, before)).toEqual([]);
  });

  it('are read from what was written, and nothing else', () => {
    expect(readMatrix(JSON.stringify(before))).toEqual(before);
    for (const text of ['', '{', '[]', '{"kernels":[],"rows":[{}]}', '{"kernels":[{}],"rows":[]}', 'null']) {
      expect(readMatrix(text)).toBeUndefined();
    }
    fc.assert(
      fc.property(fc.json(), (text) => void readMatrix(text)),
      { numRuns: 50 },
    );
  });
});
