/**
 * Which sections of an object file go where. All that is executable or only read is text, what is written is data, what
 * has no bytes is bss with the common blocks behind it; sections keep the order of their headers (loadLib).
 */
import type { ObjectFile, ObjectSection, ObjectSymbol } from '../../formats/object.ts';
import { type AreaPlan, type AreaRule, type PlacementPlan, planPlacement } from '../../link/place.ts';
import { Perm } from '../../memory/space.ts';
import type { SegmentKind } from './module.ts';

const ALL = Perm.R | Perm.W | Perm.X;

export function segmentOf(section: ObjectSection): SegmentKind | undefined {
  if (!section.allocated) return undefined;
  if (section.executable || !section.writable) return 'text';
  return section.zeroFill ? 'bss' : 'data';
}

const RULES: readonly AreaRule[] = (['text', 'data', 'bss'] as const).map((kind) => ({
  name: kind,
  segmentAlign: 1,
  segments: [{ name: kind, perm: ALL, takes: (section: ObjectSection) => segmentOf(section) === kind }],
}));

export interface VxPlan {
  readonly plan: PlacementPlan;
  readonly areas: Readonly<Record<SegmentKind, AreaPlan>>;
  /** The largest alignment that a section or common block of the segment asks for. */
  readonly alignment: Readonly<Record<SegmentKind, number>>;
  /** Offsets in bss of the common blocks that are made, by symbol index. */
  readonly commons: ReadonlyMap<number, number>;
}

/** @param made which common blocks get memory of their own */
export function planImage(file: ObjectFile, made: (symbol: ObjectSymbol) => boolean): VxPlan {
  const plan = planPlacement(file, RULES, (section) => segmentOf(section) !== undefined);
  const [text, data, bss] = plan.areas;
  const alignment = { text: 16, data: 16, bss: 16 };
  for (const { section } of plan.sections.values()) {
    const kind = segmentOf(section);
    if (kind !== undefined) alignment[kind] = Math.max(alignment[kind], section.alignment);
  }
  const commons = new Map<number, number>();
  for (const symbol of file.symbols) {
    if (symbol.place !== 'common' || !made(symbol)) continue;
    const align = 2 ** Math.min(12, Math.max(0, Math.ceil(Math.log2(Math.max(1, symbol.value)))));
    alignment.bss = Math.max(alignment.bss, align);
    commons.set(symbol.index, bss.reserve(symbol.size, align));
  }
  return { plan, areas: { text, data, bss }, alignment, commons };
}
