/** apply_relocations with exactly the checks that apply_relocate_add of x86-64 makes (arch/x86/kernel/module.c). */

import type { ObjectRelocation } from '../../formats/object.ts';
import { relocationMachine } from '../../link/machines.ts';
import { R_386 } from '../../link/relocate/i386.ts';
import { R_X86_64 } from '../../link/relocate/x86-64.ts';
import {
  applyRelocations,
  type RelocationPolicy,
  type RelocationProblem,
  relocationTarget,
} from '../../link/relocate.ts';
import { Errno } from './errno.ts';
import { readExports } from './exports.ts';
import { hashPointer } from './functions/format/pointer.ts';
import { namedAddresses, stageKallsyms } from './kallsyms.ts';
import type { Loading } from './loading.ts';
import { Level } from './rules/judge.ts';

/** The kernel computes these but never looks whether they fit (the check is compiled out). */
const UNCHECKED: ReadonlySet<number> = new Set([R_X86_64.PC32, R_X86_64.PLT32]);

export function relocateModule(load: Loading): void {
  const { file, sections, k, mod } = load;
  load.t.step('relocate');
  const machine = relocationMachine(file.object.machine);
  if (machine === undefined) throw new Error(`no relocations written for ${file.object.machine}`);
  const policy = policyOf(load);
  for (const { section, address, bytes } of sections.values()) {
    const relocations = file.object.relocations(section.index);
    if (relocations.length === 0) continue;
    if (section.index === file.thisModule.index) {
      // struct module is live: what is there now is relocated, not the file's bytes.
      const live = k.memory.bytes(address, bytes.length);
      applyRelocations(machine, relocationTarget(live, address), relocations, load.values, policy);
      k.memory.poke(mod, live);
    } else applyRelocations(machine, relocationTarget(bytes, address), relocations, load.values, policy);
  }
  load.module.exports = readExports(load);
  addKallsyms(load);
}

/** What apply_relocate of 32-bit kernels knows: it adds to what is in the place, and sums wrap. */
const KNOWN_386: ReadonlySet<number> = new Set([R_386[32], R_386.PC32, R_386.PLT32]);

function policyOf(load: Loading): RelocationPolicy {
  if (load.k.arch.bits === 32) {
    return { known: KNOWN_386, emptyPlace: false, fail: (problem, at) => failRelocation(load, problem, at) };
  }
  return { unchecked: UNCHECKED, emptyPlace: true, fail: (problem, at) => failRelocation(load, problem, at) };
}

function failRelocation(load: Loading, problem: RelocationProblem, at: ObjectRelocation): never {
  const { judge, file } = load;
  const section = file.object.sections[at.section];
  const where = `${section?.name ?? at.section}+0x${at.offset.toString(16)}`;
  const symbol = file.object.symbols[at.symbol]?.name || `symbol ${at.symbol}`;
  const hint = "Build the module with the kernel's own flags (kbuild does); if it was, the file is damaged.";
  for (const line of messages(load, problem)) judge.say(Level.ERR, line);
  return judge.refuse(
    'relocation',
    Errno.ENOEXEC,
    `The relocation at ${where} against ${symbol} ${reason(problem)}.`,
    hint,
  );
}

/** pr_fmt of arch/x86/kernel/module.c puts "module: " in front. */
function messages({ file, k }: Loading, problem: RelocationProblem): string[] {
  const hex = (value: number) => BigInt.asUintN(64, BigInt(Math.trunc(value))).toString(16);
  switch (problem.kind) {
    case 'unknown-type':
      return [
        `module: ${file.name}: Unknown ${k.arch.bits === 64 ? 'rela ' : ''}relocation: ${problem.type}`,
      ];
    case 'no-addend':
      return [`module: ${file.name}: REL relocation unsupported`];
    case 'not-empty': {
      const loc = hashPointer(k.seed, BigInt.asUintN(64, BigInt(problem.at)))
        .toString(16)
        .padStart(16, '0');
      const what = `existing value is nonzero for type ${problem.type}, loc ${loc}, val ${hex(problem.value)}`;
      return [`module: x86/modules: Skipping invalid relocation target, ${what}`];
    }
    case 'overflow': {
      const first = `module: overflow in relocation type ${problem.type} val ${hex(problem.value)}`;
      return [first, `module: \`${file.name}' likely not compiled with -mcmodel=kernel`];
    }
    case 'outside':
      return [];
  }
}

function reason(problem: RelocationProblem): string {
  switch (problem.kind) {
    case 'unknown-type':
      return `is of type ${problem.type}, which this kernel does not know`;
    case 'no-addend':
      return 'has no addend of its own, which this kernel does not take';
    case 'not-empty':
      return 'would go to a place that is not zero, so it was applied already or the file is damaged';
    case 'overflow':
      return `gives a value that does not fit into 32 bits (type ${problem.type})`;
    case 'outside':
      return `lies outside of its section of ${problem.size} bytes; the kernel would write over other memory`;
  }
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
  const named = namedAddresses(file, values, (section) => load.sections.has(section));
  for (const { base, bytes } of module.image.segments) {
    const inside = named.filter(({ address }) => address >= base && address < base + bytes);
    const remove = k.symbols.add(base, bytes, module.name, inside);
    load.forget.push({ base, remove });
    t.undo('symbols', remove);
  }
}
