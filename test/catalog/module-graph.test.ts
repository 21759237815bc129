import { describe, expect, it } from 'vitest';
import { diffTrees } from '../../src/catalog/difference.ts';
import { BARE_ENTRY, type CatalogEntry } from '../../src/catalog/entry.ts';
import { buildGraph, loadOrder, reach, shortestWay } from '../../src/catalog/module-graph.ts';

const entry = (name: string, more: Partial<CatalogEntry> = {}): CatalogEntry => ({
  ...BARE_ENTRY,
  system: 'test',
  name,
  path: `${name}.ko`,
  ...more,
});
const offers = (...names: string[]) => ({ offers: names.map((name) => ({ name })) });
const needs = (...names: string[]) => ({ needs: names.map((name) => ({ name })) });

const graph = buildGraph([
  entry('top', { ...needs('m1', 'm2', 'printk'), depends: ['base-lib'] }),
  entry('mid', { ...offers('m1', 'm2'), ...needs('b') }),
  entry('base_lib', offers('b')),
  entry('lost', { depends: ['nowhere'] }),
]);
const node = (name: string) => graph.find(name) ?? expect.fail(name);

describe('a graph of modules', () => {
  it('knows who needs whom, by symbols and by name', () => {
    expect(node('top').needs.map((one) => one.entry.name)).toEqual(['base_lib', 'mid']);
    expect(graph.reason(node('top'), node('mid'))).toEqual({ symbols: ['m1', 'm2'], byName: false });
    expect(graph.reason(node('top'), node('base_lib'))).toEqual({ symbols: [], byName: true });
    expect(reach(node('base_lib'), (one) => one.usedBy).map((one) => one.entry.name)).toEqual(['top', 'mid']);
    expect(graph.absent).toEqual([{ name: 'nowhere', neededBy: 'lost' }]);
    expect(graph.cycles).toEqual([]);
  });

  it('finds ways and orders', () => {
    expect(shortestWay(node('mid'), node('base_lib'))?.length).toBe(2);
    expect(shortestWay(node('base_lib'), node('mid'))).toBeUndefined();
    const order = loadOrder(graph, new Set(graph.nodes)).map((one) => one.entry.name);
    expect(order.indexOf('base_lib')).toBeLessThan(order.indexOf('mid'));
    expect(order.indexOf('mid')).toBeLessThan(order.indexOf('top'));
  });

  it('shows cycles as paths', () => {
    const knot = buildGraph([
      entry('a', { ...offers('a'), ...needs('b') }),
      entry('b', { ...offers('b'), ...needs('a') }),
    ]);
    expect(knot.cycles).toHaveLength(1);
    expect(knot.cycles[0][0]).toBe(knot.cycles[0].at(-1));
  });
});

describe('two trees', () => {
  it('differ in modules, symbols, versions, parameters and aliases', () => {
    const old = [
      entry('gone'),
      entry('net', {
        offers: [
          { name: 'x', version: '0x1' },
          { name: 'y', version: '0x2' },
          { name: 'z', version: '0x3' },
        ],
        parameters: [{ name: 'debug', type: 'int' }],
        aliases: ['pci:a'],
      }),
      entry('same'),
    ];
    const now = [
      entry('new', { offers: [{ name: 'z', version: '0x3' }] }),
      entry('net', {
        offers: [
          { name: 'x', version: '0x1' },
          { name: 'y', version: '0x9' },
        ],
        parameters: [{ name: 'debug', type: 'bool' }],
        aliases: ['pci:a', 'pci:b'],
      }),
      entry('same'),
    ];
    expect(diffTrees(old, now)).toEqual({
      came: ['new'],
      went: ['gone'],
      changed: [
        {
          name: 'net',
          version: undefined,
          exports: { came: [], went: ['z'] },
          versions: [{ name: 'y', before: '0x2', after: '0x9' }],
          parameters: { came: ['debug:bool'], went: ['debug:int'] },
          aliases: { came: ['pci:b'], went: [] },
          depends: { came: [], went: [] },
        },
      ],
      moved: [{ name: 'z', before: 'net', after: 'new' }],
    });
  });
});
