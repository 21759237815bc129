import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runLine } from './fake.ts';

interface Report {
  schema: string;
  map: { base: string; bytes: number; permissions: string; what: string; touched: number }[];
  modules: { name: string; pages: number; bytes: number; waste: number }[];
  entries: Record<'imageLarge' | 'imageSmall' | 'modulesSmall' | 'modulesLarge', number>;
  measure: {
    cycles: number;
    pages: number;
    meanPages: number;
    frames: Record<'booted' | 'fresh' | 'cycled' | 'emptied', { free: number; used: number; total: number }>;
    perRound: Record<
      'fresh' | 'cycled',
      Record<'mapped' | 'contiguous', { accesses: number; misses: number }>
    >;
  };
  verdicts: { claim: string; holds: boolean; because: string }[];
}

const report = async (...args: string[]): Promise<Report> => {
  const { code, out, err } = await runLine(['memory', '--json', ...args]);
  expect([code, err]).toEqual([0, '']);
  return JSON.parse(out) as Report;
};

describe('lkm memory', () => {
  it('gives figures that add up', async () => {
    const { schema, map, modules, entries, measure } = await report('--cycles', '20');
    expect(schema).toBe('lkm.memory/1');
    for (const { pages, bytes, waste } of modules) expect(bytes + waste).toBe(pages * 4096);
    expect(modules.reduce((sum, one) => sum + one.pages, 0)).toBe(measure.pages);
    expect(entries.modulesSmall).toBe(measure.pages);
    const mapped = map.filter(({ what }) => what.startsWith('module '));
    expect(mapped.reduce((sum, { touched }) => sum + touched, 0)).toBe(measure.pages);
    for (const { free, used, total } of Object.values(measure.frames)) expect(free + used).toBe(total);
    const { mapped: real, contiguous } = measure.perRound.cycled;
    expect(real.accesses).toBe(contiguous.accesses);
    expect(real.misses).toBeGreaterThanOrEqual(contiguous.misses);
  });

  it('maps nothing both writable and executable', async () => {
    const { map } = await report('--cycles', '0');
    expect(map.filter(({ permissions }) => permissions === 'rwx')).toEqual([]);
  });

  it('says the same for the same seed, and counts cycles', async () => {
    const [one, two, other] = [
      await report('--cycles', '30', '--seed', '5'),
      await report('--cycles', '30', '--seed', '5'),
      await report('--cycles', '30', '--seed', '6'),
    ];
    expect(one).toEqual(two);
    expect(one.measure.cycles).toBe(30);
    expect(other.measure.meanPages).not.toBe(one.measure.meanPages);
  });

  it('ends in sentences that follow from the figures', async () => {
    const { verdicts, measure } = await report('--cycles', '0', 'fixtures/linux/built/hello.ko');
    // One module that nobody uses: there is nothing to save by loading on demand, and nothing scatters.
    expect(measure.pages).toBe(4);
    const holds = new Map(verdicts.map((one) => [one.claim, one.holds]));
    expect(holds.get('Loading on demand takes less memory than building everything in')).toBe(false);
    expect(holds.get('Loading and unloading scatters modules over physical memory')).toBe(false);
    const { out } = await runLine(['memory', '--cycles', '0', 'fixtures/linux/built/hello.ko']);
    expect(out).toContain('Here the claim does not hold: the module needs 16 KiB');
    expect(out.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });

  it('draws', async () => {
    const path = join(tmpdir(), `lkm-map-${process.pid}.svg`);
    const { code } = await runLine(['memory', '--cycles', '0', '--svg', path]);
    const svg = readFileSync(path, 'utf8');
    rmSync(path);
    expect(code).toBe(0);
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/);
    expect(svg).toContain('module hello (core)');
  });

  it('refuses what makes no sense', async () => {
    expect((await runLine(['memory', '--cycles', '-1'])).code).toBe(2);
    const none = await runLine(['memory', 'nowhere.ko']);
    expect([none.code, none.err]).toEqual([1, expect.stringContaining('nowhere.ko: no such file')]);
    const refused = await runLine(['memory', '--cycles', '0', 'fixtures/linux/built/wrong_vermagic.ko']);
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('took none of the modules')]);
  });
});
