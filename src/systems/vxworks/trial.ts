/**
 * A link without a kernel: sections are placed as the loader would place them, what is undefined gets an address of its
 * own, and every relocation is applied. It says whether a module of any machine can be linked, where it cannot be run.
 */
import type { ObjectFile } from '../../formats/object.ts';
import { relocationMachine } from '../../link/machines.ts';
import { type StagedSection, stage } from '../../link/place.ts';
import { applyRelocations, relocationTarget } from '../../link/relocate.ts';
import type { Address } from '../../memory/address.ts';
import { planImage } from './image.ts';
import { relocationText } from './load.ts';
import type { SegmentKind } from './module.ts';

export interface TrialAddresses {
  readonly segments: Readonly<Record<SegmentKind, Address>>;
  /** Where an undefined symbol is. */
  readonly symbol: (name: string) => Address;
}

export interface TrialLink {
  readonly sections: ReadonlyMap<number, StagedSection>;
  /** By symbol index. */
  readonly values: Float64Array;
  readonly applied: number;
  /** What the loader would refuse, each in a sentence; undefined machine: none can be applied. */
  readonly problems: readonly string[];
}

class Problem extends Error {}

/** Undefined symbols stand one after the other, below the module, in reach of every branch. */
export const TRIAL: TrialAddresses = {
  segments: { text: 0x400000, data: 0x800000, bss: 0xa00000 },
  symbol: () => 0x200000,
};

/** @throws ImageTooLarge, FormatError */
export function trialLink(file: ObjectFile, addresses: TrialAddresses = TRIAL): TrialLink {
  const { plan, commons } = planImage(file, () => true);
  const { sections } = stage(plan, (area) => addresses.segments[area.name as SegmentKind]);
  const values = new Float64Array(file.symbols.length);
  for (const { index, place, section, value, name } of file.symbols) {
    if (place === 'section') values[index] = (sections.get(section)?.address ?? 0) + value;
    else if (place === 'common') values[index] = addresses.segments.bss + (commons.get(index) ?? 0);
    else values[index] = place === 'absolute' || index === 0 ? value : addresses.symbol(name);
  }
  const machine = relocationMachine(file.machine);
  const problems: string[] = [];
  let applied = 0;
  if (machine === undefined) return { sections, values, applied, problems };
  for (const { section, address, bytes } of sections.values()) {
    const target = relocationTarget(bytes, address, file.littleEndian);
    for (const relocation of file.relocations(section.index)) {
      try {
        applyRelocations(machine, target, [relocation], values, {
          emptyPlace: false,
          fail: (problem, { symbol }) => {
            throw new Problem(relocationText(problem, section.name, file.symbols[symbol]?.name));
          },
        });
        applied++;
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        problems.push(error.message);
      }
    }
  }
  return { sections, values, applied, problems };
}
