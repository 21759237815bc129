/**
 * Sections of an object file -> areas of memory. A policy says which areas there are, which segments (stretches of one
 * permission) each consists of, and which sections each segment takes; the arithmetic is here.
 */
import { roundUp } from '../bytes/align.ts';
import type { ObjectFile, ObjectSection } from '../formats/object.ts';
import type { Address } from '../memory/address.ts';

export interface SegmentRule {
  /** The system's word for it. */
  readonly name: string;
  /** Page permissions once the module is complete. */
  readonly perm: number;
  takes(section: ObjectSection): boolean;
}

export interface AreaRule {
  readonly name: string;
  /** In memory order. A section goes to the first segment that takes it. */
  readonly segments: readonly SegmentRule[];
  /** Segments begin at multiples of this: the page size where permissions differ. */
  readonly segmentAlign: number;
}

export interface SegmentPlan {
  readonly name: string;
  readonly perm: number;
  /** Bytes from the start of the area; multiples of the segment alignment. */
  readonly start: number;
  end: number;
}

export interface SectionPlan {
  readonly section: ObjectSection;
  readonly area: AreaPlan;
  readonly segment: SegmentPlan;
  /** Bytes from the start of the area. */
  readonly offset: number;
}

/** More than any module needs and less than any module area holds; ends a file whose sizes are made up. */
const MAX_IMAGE_BYTES = 512 * 1024 * 1024;

export class ImageTooLarge extends Error {
  constructor(bytes: number) {
    super(`the sections need ${bytes} bytes of memory; no more than ${MAX_IMAGE_BYTES} are laid out`);
    this.name = 'ImageTooLarge';
  }
}

/** One area while it is laid out. */
export class AreaPlan {
  readonly name: string;
  readonly segments: SegmentPlan[] = [];
  size = 0;
  private readonly align: number;

  constructor(rule: AreaRule) {
    this.name = rule.name;
    this.align = rule.segmentAlign;
  }

  /** Begins a segment; the sections reserved from now on belong to it. */
  open(name: string, perm: number): SegmentPlan {
    const segment = { name, perm, start: this.size, end: this.size };
    this.segments.push(segment);
    return segment;
  }

  /**
   * Takes `bytes` at the next multiple of `alignment` in the open segment; gives the offset in the area.
   * @throws ImageTooLarge
   */
  reserve(bytes: number, alignment: number): number {
    const offset = roundUp(this.size, Math.max(1, alignment));
    if (!(offset + bytes <= MAX_IMAGE_BYTES)) throw new ImageTooLarge(offset + bytes);
    this.size = offset + bytes;
    return offset;
  }

  /** Rounds the area up to the segment alignment and lets the open segment reach there. */
  close(): void {
    this.size = roundUp(this.size, this.align);
    const last = this.segments.at(-1);
    if (last !== undefined) last.end = this.size;
  }
}

export interface PlacementPlan {
  readonly areas: readonly AreaPlan[];
  /** By section index. */
  readonly sections: Map<number, SectionPlan>;
}

/** Lays out the sections in file order, segment by segment. `loaded` says which sections take part. @throws ImageTooLarge */
export function planPlacement(
  file: ObjectFile,
  rules: readonly AreaRule[],
  loaded: (section: ObjectSection) => boolean,
): PlacementPlan {
  const sections = new Map<number, SectionPlan>();
  const candidates = file.sections.filter(loaded);
  const areas = rules.map((rule) => {
    const area = new AreaPlan(rule);
    for (const { name, perm, takes } of rule.segments) {
      const segment = area.open(name, perm);
      for (const section of candidates) {
        if (sections.has(section.index) || !takes(section)) continue;
        const offset = area.reserve(section.size, section.alignment);
        sections.set(section.index, { section, area, segment, offset });
      }
      area.close();
      if (!(area.size <= MAX_IMAGE_BYTES)) throw new ImageTooLarge(area.size);
    }
    return area;
  });
  return { areas, sections };
}

/** The bytes of an area while the image is put together outside of guest memory. */
export interface StagedArea {
  readonly plan: AreaPlan;
  readonly base: Address;
  readonly bytes: Uint8Array;
}

/** A section's bytes in a staged area, and where they will lie. */
export interface StagedSection {
  readonly section: ObjectSection;
  readonly address: Address;
  /** A view of the staged area. */
  readonly bytes: Uint8Array;
}

/** Copies the sections' bytes into buffers of the areas' sizes; the rest stays zero. `bases` by area name. */
export function stage(
  plan: PlacementPlan,
  baseOf: (area: AreaPlan) => Address,
): { areas: StagedArea[]; sections: Map<number, StagedSection> } {
  const areas = plan.areas.map((area) => ({
    plan: area,
    base: baseOf(area),
    bytes: new Uint8Array(area.size),
  }));
  const sections = new Map<number, StagedSection>();
  for (const { section, area, offset } of plan.sections.values()) {
    const staged = areas.find((candidate) => candidate.plan === area);
    if (staged === undefined) continue;
    const bytes = staged.bytes.subarray(offset, offset + section.size);
    bytes.set(section.data.subarray(0, section.size));
    sections.set(section.index, { section, address: staged.base + offset, bytes });
  }
  return { areas, sections };
}
