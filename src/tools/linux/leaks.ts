/** What a module has not given back, with the place in its code that took it. */

import type { Address } from '../../memory/space.ts';
import type { Linux } from '../../systems/linux/linux.ts';
import type { LinuxModule } from '../../systems/linux/module.ts';

export interface Leak {
  readonly address: Address;
  /** As asked for. */
  readonly bytes: number;
  /** Which allocator: slab, pages, vmalloc, percpu, or cache for a kmem_cache itself. */
  readonly kind: string;
  /** `function+0xoffset` of the caller. */
  readonly where: string;
}

/** What the module allocated and has not freed, oldest first. Right during its life and after its unload. */
export function leaksOf(k: Linux, module: LinuxModule): Leak[] {
  return k.heap.allocationsOf(module).map(({ address, bytes, kind, caller }) => ({
    address,
    bytes,
    kind,
    where: placeIn(module, caller) ?? k.describe(caller),
  }));
}

/**
 * The function of the module an address lies in, from the module's file: the kernel forgets the names of init functions
 * once they have run, and all of them when the module goes.
 */
function placeIn(module: LinuxModule, address: Address): string | undefined {
  const { file } = module.image;
  // As in /sys/module/NAME/sections: init sections stay listed when they are gone.
  const sections = new Map(module.sections.map((section) => [section.name, section.address]));
  let best: { name: string; offset: number } | undefined;
  for (const symbol of file.symbols) {
    if (symbol.place !== 'section' || symbol.name === '' || symbol.type !== 'function') continue;
    const base = sections.get(file.sections[symbol.section]?.name ?? '');
    if (base === undefined) continue;
    const offset = address - (base + symbol.value);
    if (offset < 0 || offset >= Math.max(symbol.size, 1)) continue;
    if (best === undefined || offset < best.offset) best = { name: symbol.name, offset };
  }
  return best && `${best.name}+0x${best.offset.toString(16)} [${module.name}]`;
}
