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
  const { file, sections } = module.image;
  let best: { name: string; offset: number } | undefined;
  for (const symbol of file.symbols) {
    if (symbol.place !== 'section' || symbol.name === '' || symbol.kind !== 'function') continue;
    const section = sections.get(symbol.section);
    if (section === undefined) continue;
    const offset = address - (section.address + symbol.value);
    if (offset < 0 || offset >= Math.max(symbol.size, 1)) continue;
    if (best === undefined || offset < best.offset) best = { name: symbol.name, offset };
  }
  return best && `${best.name}+0x${best.offset.toString(16)} [${module.name}]`;
}
