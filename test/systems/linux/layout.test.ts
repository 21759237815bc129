/** Where sections lie, in kernels with two areas and in those with one for each kind of memory. */
import { describe, expect, it } from 'vitest';
import { type LayoutTypes, layoutModule } from '../../../src/systems/linux/layout.ts';
import { LiveJudge } from '../../../src/systems/linux/loading.ts';
import type { ModuleFile } from '../../../src/systems/linux/module-file.ts';
import { checkElf, checkModuleSections } from '../../../src/systems/linux/rules/elf.ts';
import { boot, builtinKernel, fixture } from './kernel.ts';

function moduleFile(name: string): ModuleFile {
  const bytes = fixture(name);
  const judge = new LiveJudge(boot());
  return checkModuleSections(judge, checkElf(judge, bytes), bytes);
}

/** A kernel of 6.4 or later: struct module has an array of memories. */
const separate: LayoutTypes = {
  has: (path) => path !== 'module.core_layout' && builtinKernel().types.has(path),
  sizeof: (name) => builtinKernel().types.sizeof(name),
};

describe('layout', () => {
  it('has core and init, each in segments that begin on pages', () => {
    const { plan, classic } = layoutModule(builtinKernel().types, moduleFile('params'));
    expect(classic).toBe(true);
    expect(plan.areas.map(({ name }) => name)).toEqual(['core', 'init']);
    for (const area of plan.areas) {
      for (const { start, end } of area.segments) expect([start % 4096, end % 4096]).toEqual([0, 0]);
      expect(area.size).toBe(area.segments.at(-1)?.end);
    }
    const named = (name: string) => [...plan.sections.values()].find(({ section }) => section.name === name);
    expect(named('.init.text')?.area.name).toBe('init');
    expect(named('.exit.text')?.area.name).toBe('core');
    expect(named('.text')?.segment.name ?? 'text').toBe('text');
    expect(named('.gnu.linkonce.this_module')?.segment.name).toBe('data');
    expect(named('.modinfo')).toBeUndefined();
    expect(named('__versions')).toBeUndefined();
  });

  it('gives each kind of memory an area of its own in newer kernels', () => {
    const file = moduleFile('params');
    const { plan, classic, coreData, initData } = layoutModule(separate, file);
    expect(classic).toBe(false);
    expect(plan.areas).toHaveLength(7);
    expect([coreData.name, initData.name]).toEqual(['data', 'init data']);
    const older = layoutModule(builtinKernel().types, file).plan;
    expect([...plan.sections.keys()].sort()).toEqual([...older.sections.keys()].sort());
  });

  it('keeps the symbols of sections that stay, and no others', () => {
    const file = moduleFile('params');
    const { kallsyms } = layoutModule(builtinKernel().types, file);
    const kept = new Set(kallsyms.kept.map((index) => file.object.symbols[index].name));
    expect(kept.has('even_set')).toBe(true);
    expect(kept.has('params_init')).toBe(false);
    expect(kept.has('_printk')).toBe(false);
    expect(kallsyms.kept[0]).toBe(0);
  });

  it('agrees with sections that do not overlap', () => {
    const { plan } = layoutModule(builtinKernel().types, moduleFile('chardev'));
    for (const area of plan.areas) {
      const inside = [...plan.sections.values()].filter((placed) => placed.area === area);
      inside.sort((a, b) => a.offset - b.offset);
      for (const [i, { offset, section }] of inside.entries()) {
        expect(offset % section.alignment).toBe(0);
        const next = inside[i + 1];
        if (next !== undefined) expect(offset + section.size).toBeLessThanOrEqual(next.offset);
      }
    }
  });
});
