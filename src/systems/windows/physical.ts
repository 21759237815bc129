/** Physical addresses: guest RAM where there is some, and beyond it a bus that nothing answers on (reads float high). */
import { perKernel } from '../../kernel/kernel.ts';
import type { AreaAllocator } from '../../memory/areas.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { Windows } from './windows.ts';

/** RAM begins again behind the hole of a PC: video memory, option ROMs and firmware, none of which is there. */
const HOLE = { from: 0xa0, to: 0x100 } as const;
/** One mapping of that many pages is more than any device has. */
const MAX_PAGES = 1 << 14;

interface Mapping {
  readonly area: AreaAllocator;
  readonly pages: number;
}

const mappings = perKernel(() => new Map<Address, Mapping>());

export const isRam = (k: Windows, pfn: number): boolean =>
  pfn > 0 && pfn < k.memory.frames.total && (pfn < HOLE.from || pfn >= HOLE.to);

/** Ranges of RAM in bytes, as MmGetPhysicalMemoryRanges tells them. */
export const ramRanges = (k: Windows): readonly { base: number; bytes: number }[] => [
  { base: PAGE_SIZE, bytes: (HOLE.from - 1) * PAGE_SIZE },
  { base: HOLE.to * PAGE_SIZE, bytes: (k.memory.frames.total - HOLE.to) * PAGE_SIZE },
];

/** The address of a physical range in an area; 0 when it is too long. */
export function mapPhysical(
  k: Windows,
  area: AreaAllocator,
  physical: bigint,
  bytes: number,
  perm: number = Perm.R | Perm.W,
): Address {
  const offset = Number(physical & 0xfffn);
  const pages = Math.ceil((offset + bytes) / PAGE_SIZE);
  if (!(pages > 0 && pages <= MAX_PAGES)) return 0;
  const base = area.allocate(pages);
  const first = Number(physical >> 12n);
  for (let i = 0; i < pages; i++) {
    const at = base + i * PAGE_SIZE;
    if (isRam(k, first + i)) k.memory.map(at, first + i, 1, perm, 'physical memory');
    else k.memory.mapLazy(at, 1, perm, 'device memory', (_page, page) => page.fill(0xff));
  }
  k.state(mappings).set(base, { area, pages });
  return base + offset;
}

/** False when no mapping of physical memory begins there. */
export function unmapPhysical(k: Windows, at: Address): boolean {
  const base = at - (((at % PAGE_SIZE) + PAGE_SIZE) % PAGE_SIZE);
  const mapping = k.state(mappings).get(base);
  if (mapping === undefined) return false;
  // The frames of pages that stand for the bus belong to the mapping and go with it.
  k.memory.unmap(base, mapping.pages);
  mapping.area.free(base);
  k.state(mappings).delete(base);
  return true;
}

/** Physical address of a virtual one; 0 when nothing is mapped there. */
export function physicalAddress(k: Windows, va: Address): bigint {
  if (k.memory.permOf(va) === undefined) return 0n;
  // A lazy page gets its frame at the first touch.
  if (k.memory.pfnOf(va) === undefined) k.memory.u8(va);
  return BigInt(k.memory.pfnOf(va) ?? 0) * 4096n + BigInt(((va % PAGE_SIZE) + PAGE_SIZE) % PAGE_SIZE);
}
