/** The modules of a base kernel: what was placed where, who owns it, and what must be given back. */
import type { ObjectFile } from '../formats/object.ts';
import type { Address } from '../memory/space.ts';

/** One stretch of guest memory that a module occupies, with one permission. */
export interface Segment {
  /** The system's word for it: text, rodata, data, init text... */
  readonly name: string;
  readonly base: Address;
  readonly bytes: number;
  readonly pages: number;
  perm: number;
}

/** A section of the file and where it lies now. */
export interface PlacedSection {
  readonly index: number;
  readonly name: string;
  readonly address: Address;
  readonly size: number;
  readonly segment: Segment;
}

/** A placed object file. */
export interface Image {
  readonly file: ObjectFile;
  readonly segments: Segment[];
  /** By section index; sections that are not loaded are absent. */
  readonly sections: Map<number, PlacedSection>;
}

/**
 * A module as the base kernel sees it. State, counts and holders live in the system's own structure in guest
 * memory at `control`: they are read there, never kept here.
 */
export interface KernelModule {
  readonly name: string;
  readonly path: string;
  readonly image: Image;
  /** Address of the system's own descriptor (struct module, linker_file, LDR_DATA_TABLE_ENTRY...). */
  control: Address;
}

/** A file in memory: its sections that occupy memory, in the file's order; those that are not placed have no size. */
export interface PlacedFile {
  readonly path: string;
  /** `linked`: the address that the file itself gives it. */
  readonly sections: readonly (Pick<PlacedSection, 'name' | 'address' | 'size'> & { linked: Address })[];
}

/** Modules by name and address, in the order they came. */
export class ModuleTable<M extends KernelModule> {
  private readonly list: M[] = [];

  add(module: M): void {
    this.list.push(module);
  }

  remove(module: M): void {
    const at = this.list.indexOf(module);
    if (at >= 0) this.list.splice(at, 1);
  }

  find(name: string): M | undefined {
    return this.list.find((module) => module.name === name);
  }

  /** The one that came last of those that pass. */
  findNewest(test: (module: M) => boolean): M | undefined {
    return this.list.findLast(test);
  }

  /** The module one of whose segments holds `address`. */
  at(address: Address): M | undefined {
    return this.list.find((module) =>
      module.image.segments.some((s) => address >= s.base && address < s.base + s.pages * 4096),
    );
  }

  [Symbol.iterator](): Iterator<M> {
    return this.list[Symbol.iterator]();
  }

  get size(): number {
    return this.list.length;
  }
}
