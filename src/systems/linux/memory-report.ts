/**
 * What modules cost in memory: pages, waste, scattered frames and TLB entries, against the same code placed in one piece
 * as the base kernel is. Everything is read from a booted kernel; nothing here changes it.
 */
import { type Address, PAGE_SIZE, pageBase } from '../../memory/address.ts';
import type { FrameStatistics } from '../../memory/frames.ts';
import { Perm } from '../../memory/space.ts';
import { SimulatedTlb, type TlbFigures } from '../../memory/tlb.ts';
import type { Linux } from './linux.ts';
import type { LinuxModule } from './module.ts';

/** The page size that x86-64 kernels map their own image with. */
export const LARGE_PAGE = 2 * 1024 * 1024;

export interface MapRow {
  readonly base: Address;
  readonly bytes: number;
  /** As in `r-x`. */
  readonly permissions: string;
  readonly what: string;
  /** Pages that have a frame; those never touched have none. */
  readonly touched: number;
}

/** The mapped areas by address. */
export function memoryMap(k: Linux): MapRow[] {
  const rows: MapRow[] = [];
  for (const { base, pages, perm, what } of k.memory.areas()) {
    let touched = 0;
    for (let page = 0; page < pages; page++)
      if (k.memory.pfnOf(base + page * PAGE_SIZE) !== undefined) touched++;
    rows.push({ base, bytes: pages * PAGE_SIZE, permissions: permissionText(perm), what, touched });
  }
  return rows.sort((a, b) => a.base - b.base);
}

export function permissionText(perm: number): string {
  return `${perm & Perm.R ? 'r' : '-'}${perm & Perm.W ? 'w' : '-'}${perm & Perm.X ? 'x' : '-'}`;
}

export interface Footprint {
  readonly name: string;
  readonly pages: number;
  /** Bytes of its sections. */
  readonly bytes: number;
  /** Bytes of its pages that nothing lies in. */
  readonly waste: number;
  readonly segments: readonly {
    readonly name: string;
    readonly permissions: string;
    readonly pages: number;
  }[];
}

/** What each loaded module occupies, without what its code allocates. */
export function footprints(k: Linux): Footprint[] {
  return [...k.modules].map((module) => {
    const segments = liveSegments(k, module);
    const pages = segments.reduce((sum, segment) => sum + segment.pages, 0);
    let bytes = 0;
    for (const section of module.image.sections.values())
      if (segments.includes(section.segment)) bytes += section.size;
    return {
      name: module.name,
      pages,
      bytes,
      waste: Math.max(0, pages * PAGE_SIZE - bytes),
      segments: segments.map(({ name, perm, pages: n }) => ({
        name,
        permissions: permissionText(perm),
        pages: n,
      })),
    };
  });
}

function liveSegments(k: Linux, module: LinuxModule) {
  return module.image.segments.filter(({ base, pages }) => pages > 0 && k.memory.permOf(base) !== undefined);
}

/** Pages of all modules by permission, in address order: what a TLB entry each is needed for. */
function modulePages(k: Linux): { page: Address; perm: number }[] {
  const pages: { page: Address; perm: number }[] = [];
  for (const module of k.modules)
    for (const { base, pages: count, perm } of liveSegments(k, module))
      for (let i = 0; i < count; i++) pages.push({ page: base + i * PAGE_SIZE, perm });
  return pages.sort((a, b) => a.page - b.page);
}

/** In how many physically contiguous pieces the modules' pages lie. */
export function physicalPieces(k: Linux): number {
  let pieces = 0;
  let last = Number.NaN;
  for (const { page } of modulePages(k)) {
    const pfn = k.memory.pfnOf(page);
    if (pfn === undefined) continue;
    if (pfn !== last + 1) pieces++;
    last = pfn;
  }
  return pieces;
}

export interface Entries {
  /** The kernel image as it is: text, constants and data each in 2 MiB pages. */
  readonly imageLarge: number;
  /** The same image in 4 KiB pages. */
  readonly imageSmall: number;
  /** The modules as they are: 4 KiB pages. */
  readonly modulesSmall: number;
  /** The modules in one piece for each permission, in 2 MiB pages. */
  readonly modulesLarge: number;
}

/** TLB entries that cover everything at once. */
export function entriesNeeded(k: Linux): Entries {
  let imageLarge = 0;
  let imageSmall = 0;
  for (const role of ['text', 'rodata', 'data', 'bss'] as const) {
    const bytes = k.file.sections
      .filter((section) => section.role === role)
      .reduce((sum, section) => sum + section.size, 0);
    imageLarge += Math.ceil(bytes / LARGE_PAGE);
    imageSmall += Math.ceil(bytes / PAGE_SIZE);
  }
  const pages = modulePages(k);
  let modulesLarge = 0;
  for (const perm of new Set(pages.map((one) => one.perm))) {
    const count = pages.filter((one) => one.perm === perm).length;
    modulesLarge += Math.ceil((count * PAGE_SIZE) / LARGE_PAGE);
  }
  return { imageLarge, imageSmall, modulesSmall: pages.length, modulesLarge };
}

/** The same accesses seen by two TLBs: as the kernel is mapped, and with the modules in one piece in 2 MiB pages. */
export interface TlbPair {
  readonly mapped: TlbFigures;
  readonly contiguous: TlbFigures;
}

/** Where the pages of modules would be if they lay in one piece for each permission. */
function contiguousPlaces(k: Linux): Map<Address, Address> {
  const places = new Map<Address, Address>();
  const next = new Map<number, Address>();
  for (const { page, perm } of modulePages(k)) {
    // Any addresses that nothing else uses: what counts is that they share 2 MiB pages.
    const at = next.get(perm) ?? (next.size + 1) * 2 ** 40;
    places.set(page, at);
    next.set(perm, at + PAGE_SIZE);
  }
  return places;
}

/**
 * Two pairs of simulated TLBs, for instructions and for data. Give it to `memory.observe` for the data accesses and call
 * `fetch` for each instruction.
 */
export class TlbComparison extends SimulatedTlb {
  private readonly places: ReadonlyMap<Address, Address>;
  private readonly image: Linux['map'];
  private readonly data = { mapped: new SimulatedTlb(), contiguous: new SimulatedTlb() };
  private readonly code = { mapped: new SimulatedTlb(), contiguous: new SimulatedTlb() };

  constructor(k: Linux) {
    super();
    this.image = k.map;
    this.places = contiguousPlaces(k);
  }

  override access(va: Address, large: boolean): void {
    this.see(this.data, va, large);
  }

  fetch(va: Address): void {
    this.see(this.code, va, false);
  }

  /** A program ran meanwhile and used every entry for itself. */
  override flush(): void {
    for (const { mapped, contiguous } of [this.data, this.code]) {
      mapped.flush();
      contiguous.flush();
    }
  }

  pair(): TlbPair {
    const sum = (a: TlbFigures, b: TlbFigures): TlbFigures => {
      const accesses = a.accesses + b.accesses;
      const misses = a.misses + b.misses;
      return { accesses, misses, perThousand: accesses === 0 ? 0 : (misses * 1000) / accesses };
    };
    return {
      mapped: sum(this.data.mapped.figures(), this.code.mapped.figures()),
      contiguous: sum(this.data.contiguous.figures(), this.code.contiguous.figures()),
    };
  }

  private see(pair: TlbComparison['data'], va: Address, large: boolean): void {
    const place = this.places.get(pageBase(va));
    // The kernel's image lies in 2 MiB pages, as the direct map does.
    const inImage = va >= this.image.kernelText && va < this.image.modules;
    pair.mapped.access(va, large || inImage);
    if (place === undefined) pair.contiguous.access(va, large || inImage);
    else pair.contiguous.access(place + (va - pageBase(va)), true);
  }
}

/** What was measured over a run of loads and unloads. */
export interface MemoryMeasure {
  readonly cycles: number;
  /** Modules that took part, and pages they need when all are loaded. */
  readonly modules: number;
  readonly pages: number;
  readonly bytes: number;
  readonly waste: number;
  /** Mean over the cycles: modules loaded at a time, and their pages. */
  readonly meanModules: number;
  readonly meanPages: number;
  readonly entries: Entries;
  readonly pieces: { readonly fresh: number; readonly cycled: number };
  readonly frames: {
    readonly booted: FrameStatistics;
    readonly fresh: FrameStatistics;
    readonly cycled: FrameStatistics;
    readonly emptied: FrameStatistics;
  };
  /** TLBs that programs in between empty once a round, in which every module is used. */
  readonly perRound: { readonly fresh: TlbPair; readonly cycled: TlbPair };
  /** The same, emptied before each single use of a module. */
  readonly perUse: { readonly fresh: TlbPair; readonly cycled: TlbPair };
}

export interface Verdict {
  readonly claim: string;
  readonly holds: boolean;
  readonly because: string;
}

const kib = (pages: number): string => `${Math.round((pages * PAGE_SIZE) / 1024)} KiB`;
const per = (figures: TlbFigures): string => figures.perThousand.toFixed(2);

/** What text books say, held against the figures. */
export function verdicts(m: MemoryMeasure): Verdict[] {
  return [savesMemory(m), wastes(m), scatters(m), fragments(m), needsEntries(m), misses(m), cyclesCost(m)];
}

function savesMemory({ modules, pages, meanModules, meanPages }: MemoryMeasure): Verdict {
  const saved = pages === 0 ? 0 : 1 - meanPages / pages;
  return {
    claim: 'Loading on demand takes less memory than building everything in',
    holds: meanPages < pages,
    because:
      `${modules === 1 ? 'the module needs' : `all ${modules} modules need`} ${kib(pages)}; while one at a time came or went by chance, ` +
      `${meanModules.toFixed(1)} were loaded on average, in ${kib(meanPages)}: ${(saved * 100).toFixed(0)} % less`,
  };
}

function wastes({ pages, bytes, waste }: MemoryMeasure): Verdict {
  const share = pages === 0 ? 0 : (waste * 100) / (pages * PAGE_SIZE);
  return {
    claim: 'Modules waste memory at the ends of their pages',
    holds: waste > 0,
    because: `${bytes} bytes occupy ${pages} pages; ${waste} bytes (${share.toFixed(0)} %) of them hold nothing`,
  };
}

function scatters({ pages, pieces, cycles }: MemoryMeasure): Verdict {
  return {
    claim: 'Loading and unloading scatters modules over physical memory',
    holds: pieces.cycled > pieces.fresh,
    because:
      `the ${pages} pages lay in ${pieces.fresh} pieces when loaded in one go, in ${pieces.cycled} after ` +
      `${cycles} loads and unloads`,
  };
}

function fragments({ frames: { booted, emptied }, cycles }: MemoryMeasure): Verdict {
  const lost = booted.free - emptied.free;
  return {
    claim: 'Loading and unloading fragments the free memory',
    holds: emptied.fragmentation > booted.fragmentation,
    because:
      `index ${booted.fragmentation.toFixed(4)} after boot, ${emptied.fragmentation.toFixed(4)} after ${cycles} ` +
      `loads and unloads with every module gone (0: whole blocks of 4 MiB, 1: single pages); ` +
      `${emptied.blocks.reduce((sum, count) => sum + count, 0)} free blocks instead of ` +
      `${booted.blocks.reduce((sum, count) => sum + count, 0)}, ${lost} pages in caches of the kernel`,
  };
}

function needsEntries({ entries }: MemoryMeasure): Verdict {
  return {
    claim: 'Modules need more TLB entries than the same code built in',
    holds: entries.modulesSmall > entries.modulesLarge,
    because:
      `${entries.modulesSmall} entries of 4 KiB against ${entries.modulesLarge} of 2 MiB; the kernel image needs ` +
      `${entries.imageLarge}, and would need ${entries.imageSmall} in 4 KiB pages`,
  };
}

function misses({ perRound, perUse }: MemoryMeasure): Verdict {
  const { mapped, contiguous } = perRound.cycled;
  const times =
    contiguous.misses === 0 ? '' : `, ${(mapped.misses / contiguous.misses).toFixed(2)} times as many,`;
  return {
    claim: 'Modules cost TLB misses',
    holds: mapped.misses > contiguous.misses,
    because:
      `${per(mapped)} misses per 1000 accesses against ${per(contiguous)} in one piece${times} when all modules are ` +
      `used before a program needs the TLB for itself; ${per(perUse.cycled.mapped)} against ` +
      `${per(perUse.cycled.contiguous)} when it does so before each single use`,
  };
}

function cyclesCost({ perRound, cycles }: MemoryMeasure): Verdict {
  const before = perRound.fresh.mapped.misses;
  const after = perRound.cycled.mapped.misses;
  // The order of addresses alone moves a miss or two between the sets of a TLB.
  const holds = after > before * 1.1;
  const why = holds
    ? ''
    : '; an entry covers one page wherever its frame is, so what counts is the size of the pages';
  return {
    claim: 'It is the scattering that costs the misses',
    holds,
    because: `${before} misses before ${cycles} loads and unloads, ${after} after them, in the same work${why}`,
  };
}
