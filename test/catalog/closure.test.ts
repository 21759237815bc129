import { describe, expect, it } from 'vitest';
import { mapCatalog, planLoad } from '../../src/catalog/closure.ts';
import fc from '../properties.ts';

interface Entry {
  readonly name: string;
  readonly depends: readonly string[];
}

const catalogOf = (graph: Record<string, readonly string[]>) =>
  mapCatalog(
    new Map(Object.entries(graph).map(([name, depends]): [string, Entry] => [name, { name, depends }])),
    (entry) => entry.depends,
  );
const order = (graph: Record<string, readonly string[]>, name: string) =>
  planLoad(catalogOf(graph), name)?.order.map((entry) => entry.name);

describe('the order of a load', () => {
  it('puts what is needed first, each once', () => {
    expect(order({ a: ['b', 'c'], b: ['d'], c: ['d'], d: [] }, 'a')).toEqual(['d', 'b', 'c', 'a']);
  });

  it('takes - and _ for the same', () => {
    expect(order({ 'snd-pcm': [], card: ['snd_pcm'] }, 'card')).toEqual(['snd-pcm', 'card']);
  });

  it('tells what is absent and where a circle is', () => {
    expect(planLoad(catalogOf({}), 'a')).toBeUndefined();
    expect(planLoad(catalogOf({ a: ['nothing'] }), 'a')?.absent).toEqual([
      { name: 'nothing', neededBy: 'a' },
    ]);
    expect(planLoad(catalogOf({ a: ['b'], b: ['c'], c: ['a'] }), 'a')?.cycles).toEqual([['a', 'b', 'c']]);
    expect(planLoad(catalogOf({ a: ['a'] }), 'a')?.cycles).toEqual([['a']]);
  });

  it('survives a chain longer than the stack', () => {
    const graph: Record<string, string[]> = {};
    for (let i = 0; i < 50_000; i++) graph[`m${i}`] = [`m${i + 1}`];
    graph.m50000 = [];
    expect(order(graph, 'm0')).toHaveLength(50_001);
  });

  it('is right for any graph without circles', () => {
    const edges = fc.array(fc.tuple(fc.nat(15), fc.nat(15)), { maxLength: 60 });
    fc.assert(
      fc.property(edges, (pairs) => {
        const graph: Record<string, string[]> = {};
        for (let i = 0; i < 16; i++) graph[`m${i}`] = [];
        for (const [a, b] of pairs) if (a > b) graph[`m${a}`].push(`m${b}`);
        const found = order(graph, 'm15') ?? [];
        expect(new Set(found).size).toBe(found.length);
        for (const name of found) {
          for (const needed of graph[name]) expect(found.indexOf(needed)).toBeLessThan(found.indexOf(name));
        }
      }),
    );
  });
});
