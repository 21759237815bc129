/** /proc/modules (m_show, kernel/module/procfs.c): read from the structures in guest memory, newest module first. */
import { type Address, hexAddress } from '../../memory/address.ts';
import type { Linux } from './linux.ts';
import { ModuleState, REF_BASE } from './module.ts';
import { moduleList } from './module-list.ts';
import { holdersOf } from './resolve.ts';
import { moduleFlags } from './taint.ts';

const STATES: Readonly<Record<number, string>> = {
  [ModuleState.COMING]: 'Loading',
  [ModuleState.GOING]: 'Unloading',
};

/** One line for each module. Who may not see kernel addresses (kptr_restrict) gets zeros: `showAddresses` false. */
export function procModules(k: Linux, showAddresses = true): string {
  let text = '';
  for (const module of moduleList(k)) {
    if (k.read('module.state', module) === ModuleState.UNFORMED) continue;
    const name = k.readString('module.name', module);
    const { core, init } = moduleSizes(k, module);
    const state = STATES[k.read('module.state', module)] ?? 'Live';
    const base = showAddresses ? moduleBase(k, module) : 0;
    const flags = k.read('module.taints', module) === 0 ? '' : ` ${moduleFlags(k, module)}`;
    text += `${name} ${core + init} ${usage(k, module)} ${state} ${hexAddress(base)}${flags}\n`;
  }
  return text;
}

/** print_unload_info: count, and who uses it, each name with its comma. */
function usage(k: Linux, module: Address): string {
  const users = holdersOf(k, module).map((user) => `${k.readString('module.name', user)},`);
  if (isPermanent(k, module)) users.push('[permanent],');
  return `${moduleRefcount(k, module)} ${users.length === 0 ? '-' : users.join('')}`;
}

export function isPermanent(k: Linux, module: Address): boolean {
  return k.read('module.init', module) !== 0 && k.read('module.exit', module) === 0;
}

/** module_refcount: -1 for one that is going. */
export function moduleRefcount(k: Linux, module: Address): number {
  return k.read('module.refcnt.counter', module) - REF_BASE;
}

/** Bytes of core and init memory. */
export function moduleSizes(k: Linux, module: Address): { core: number; init: number } {
  if (k.types.has('module.core_layout')) {
    const core = k.read('module.core_layout.size', module);
    return { core, init: k.read('module.init_layout.size', module) };
  }
  // enum mod_mem_type: text, data, rodata, ro after init, then the three of init.
  const sizes = [0, 1, 2, 3, 4, 5, 6].map((type) => k.read(`module.mem[${type}].size`, module));
  const sum = (part: readonly number[]) => part.reduce((total, size) => total + size, 0);
  return { core: sum(sizes.slice(0, 4)), init: sum(sizes.slice(4)) };
}

function moduleBase(k: Linux, module: Address): Address {
  const path = k.types.has('module.core_layout') ? 'module.core_layout.base' : 'module.mem[0].base';
  return k.read(path, module);
}
