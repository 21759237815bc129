/** apply_relocations (kernel/module/main.c): on the staged bytes, and on the live struct module. */
import { relocationMachine } from '../../link/machines.ts';
import { applyColumns, relocationTarget } from '../../link/relocate.ts';
import { readExports } from './exports.ts';
import { namedAddresses, stageKallsyms } from './kallsyms.ts';
import type { Loading } from './loading.ts';
import { checkLivePatches } from './rules/livepatch.ts';
import { relocationPolicy } from './rules/relocation.ts';

export function relocateModule(load: Loading): void {
  const { file, sections, k, mod } = load;
  load.t.step('relocate');
  const machine = relocationMachine(file.object.machine);
  if (machine === undefined) throw new Error(`no relocations written for ${file.object.machine}`);
  load.judge.enter('relocation');
  checkLivePatches(load.judge, file);
  const policy = relocationPolicy(load.judge, file);
  for (const { section, address, bytes } of sections.values()) {
    const { index } = section;
    const tables = file.object.relocationColumns(index);
    if (tables.length === 0) continue;
    if (section.index === file.thisModule.index) {
      // struct module is live: what is there now is relocated, not the file's bytes.
      const live = k.memory.bytes(address, bytes.length);
      applyColumns(machine, relocationTarget(live, address), index, tables, load.values, policy);
      k.memory.poke(mod, live);
    } else applyColumns(machine, relocationTarget(bytes, address), index, tables, load.values, policy);
  }
  load.module.exports = readExports(load);
  addKallsyms(load);
}

function addKallsyms(load: Loading): void {
  const { file, layout, areas, values, k, mod, module, t } = load;
  const core = areas.find((area) => area.plan === layout.coreData);
  const init = areas.find((area) => area.plan === layout.initData);
  if (core === undefined || init === undefined) return;
  stageKallsyms({ file, plan: layout.kallsyms, core, init, values });
  if (k.types.has('module.core_kallsyms')) {
    const plan = layout.kallsyms;
    k.write('module.kallsyms', mod, init.base + plan.init.struct);
    k.write('module.core_kallsyms.symtab', mod, core.base + plan.core.symbols);
    k.write('module.core_kallsyms.num_symtab', mod, plan.kept.length);
    k.write('module.core_kallsyms.strtab', mod, core.base + plan.core.strings);
    k.write('module.core_kallsyms.typetab', mod, core.base + plan.core.types);
  }
  t.step('symbols');
  const loaded = new Set(load.sections.keys());
  for (const { base, bytes } of module.image.segments) {
    const remove = k.symbols.add(base, bytes, module.name, () =>
      namedAddresses(file, values, loaded).filter(({ address }) => address >= base && address < base + bytes),
    );
    load.forget.push({ base, remove });
    t.undo('symbols', remove);
  }
}
