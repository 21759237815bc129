/** A kernel module in memory. State and counts are in its `struct linker_file`; here is what only the linker knows. */
import type { ObjectFile } from '../../formats/object.ts';
import type { KernelModule } from '../../kernel/modules.ts';
import type { Address } from '../../memory/space.ts';
import type { KldFile } from './kldfile.ts';

export interface KldModule extends KernelModule {
  /** Address of its struct linker_file. */
  control: Address;
  readonly kld: KldFile;
  readonly object: ObjectFile;
  /** Every symbol it defines, also those of its own use: the linker gives them out all the same (see `leakLocals`). */
  readonly symbols: ReadonlyMap<
    string,
    { readonly address: Address; readonly local: boolean; readonly size: number }
  >;
  /** Where a section or linker set lies; undefined when the file has none of that name. */
  section(name: string): { readonly address: Address; readonly size: number } | undefined;
  /** Gives the memory back. */
  readonly release: () => void;
}

/** An interface that the kernel itself has from the start. */
export interface BuiltIn {
  readonly name: string;
  readonly version: number;
}

/** A published interface: what MODULE_VERSION declares, and which file brought it. */
export interface Interface {
  readonly name: string;
  readonly version: number;
  /** struct linker_file. */
  readonly container: Address;
}

/** MODULE_DEPEND's bounds. */
export interface VersionRange {
  readonly minimum: number;
  readonly preferred: number;
  readonly maximum: number;
}

/** modlist_lookup2 (sys/kern/kern_linker.c): the preferred version at once, else the highest that is allowed. */
export function findInterface<T extends BuiltIn>(
  interfaces: readonly T[],
  name: string,
  range?: VersionRange,
): T | undefined {
  let best: T | undefined;
  for (const one of interfaces) {
    if (one.name !== name) continue;
    if (range === undefined || one.version === range.preferred) return one;
    if (one.version < range.minimum || one.version > range.maximum) continue;
    if (best === undefined || one.version > best.version) best = one;
  }
  return best;
}
