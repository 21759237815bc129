import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ENGINES } from '../../src/cpu/engines.ts';
import { censusOne, isClean } from '../../src/targets/census.ts';
import { moduleBytes, modulesBelow, Tree } from '../../src/targets/census-tree.ts';
import { BUILT_IN, openKernel } from '../../src/targets/kernel-store.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const kernel = openKernel(BUILT_IN, { packaged: (path) => `${root}${path}`, environment: process.env });
const tree = new Tree(modulesBelow(`${root}fixtures/linux/built`));

function census(name: string, options: Parameters<typeof censusOne>[2] = {}) {
  const module = tree.find(name);
  if (module === undefined) throw new Error(`no fixture ${name}`);
  const plan = tree.plan(module).map((one) => ({ ...one, bytes: tree.bytesOf(one) }));
  return censusOne(kernel, plan, options);
}

describe('the census', () => {
  it('loads and unloads a module', () => {
    const { row, leaks, lostPages, internal } = census('hello');
    expect(row).toMatchObject({ module: 'hello', outcome: 'loaded', load: 0, unload: 0, missing: [] });
    expect(row.log.map(({ text }) => text)).toContain('hello: hello, world');
    expect(isClean(row)).toBe(true);
    expect({ leaks, lostPages, internal }).toEqual({ leaks: [], lostPages: 0, internal: undefined });
  });

  it('loads what a module depends on first', () => {
    expect(census('importer_plain').row).toMatchObject({ outcome: 'loaded', load: 0, unload: 0 });
  });

  it('tells what a module does not give back', () => {
    const { leaks, lostPages } = census('leak');
    expect(leaks.length).toBeGreaterThan(0);
    expect(lostPages).toBeGreaterThan(0);
  });

  it('tells a refusal by its errno', () => {
    expect(census('bad_magic').row).toMatchObject({ outcome: 'kernel-refused', load: 8, unload: null });
  });

  it('tells an oops from a refusal', () => {
    expect(census('oops_init').row).toMatchObject({ outcome: 'fault', load: null });
  });

  it('ends a run that takes too many instructions', () => {
    const { row, internal } = census('hello', { total: 3 });
    expect(row).toMatchObject({ outcome: 'fault', load: null });
    expect(internal).toBeUndefined();
  });

  it('has the same row for the same seed', () => {
    const plain = ({ ms: _ms, ...row }: { ms: number }) => row;
    expect(plain(census('hello', { seed: 7 }).row)).toEqual(plain(census('hello', { seed: 7 }).row));
  });
});

describe('the engines', () => {
  it.each(['containers', 'formats', 'hashing', 'locking', 'threads', 'timers', 'works', 'oops_init'])(
    'come to the same machine after %s',
    (name) => {
      const [first, ...others] = ENGINES.map((engine) => census(name, { engine, state: true }));
      expect(first.state).not.toBe(census(name, { engine: ENGINES[0], seed: 99, state: true }).state);
      for (const { row, state } of others) {
        expect({ ...row, ms: 0 }).toEqual({ ...first.row, ms: 0 });
        expect(state).toBe(first.state);
      }
    },
  );
});

describe('a tree of modules', () => {
  it('finds files by name, dashes and underscores alike', () => {
    expect(tree.find('importer-plain')?.path).toBe(tree.find('importer_plain')?.path);
    expect(tree.find('no such module')).toBeUndefined();
  });

  it('reads the bytes of what it lists', () => {
    const hello = tree.find('hello');
    const file = readFileSync(`${root}fixtures/linux/built/hello.ko`);
    expect(hello && Buffer.compare(moduleBytes(hello), file)).toBe(0);
  });
});
