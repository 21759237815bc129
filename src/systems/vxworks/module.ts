/** A loaded object module, and the list of them. */

import type { ObjectFile } from '../../formats/object.ts';
import type { Address } from '../../memory/address.ts';

export type SegmentKind = 'text' | 'data' | 'bss';

export interface VxSegment {
  readonly kind: SegmentKind;
  /** 0 when the module has nothing of the kind. */
  readonly address: Address;
  readonly bytes: number;
}

export interface VxModule {
  /** Last part of the path. */
  readonly name: string;
  readonly path: string;
  readonly group: number;
  readonly flags: number;
  /** What the system calls it by: the address of its descriptor. */
  readonly id: Address;
  readonly file: ObjectFile;
  readonly segments: Readonly<Record<SegmentKind, VxSegment>>;
  /** Names that nothing defined; calls of them go to address 0. */
  readonly undefinedNames: readonly string[];
  /** Constructors and destructors, in the order they are called. */
  readonly constructors: readonly Address[];
  readonly destructors: readonly Address[];
  /** Whose symbols this module was linked with, by group: who is hurt when that module goes. */
  readonly uses: ReadonlyMap<number, readonly string[]>;
  /** Takes its names off the map of addresses. */
  readonly forget: () => void;
}

export class VxModules {
  private readonly list: VxModule[] = [];
  private groups = 1;
  /** What moduleCreateHookAdd was given. An unload does not look at them. */
  readonly createHooks: Address[] = [];

  /** Group numbers count from 2: 1 is the kernel's. */
  nextGroup(): number {
    return ++this.groups;
  }

  add(module: VxModule): void {
    this.list.push(module);
  }

  remove(module: VxModule): void {
    const at = this.list.indexOf(module);
    if (at >= 0) this.list.splice(at, 1);
  }

  /** Of modules with one name, the one that came last. */
  find(name: string): VxModule | undefined {
    return this.list.findLast((module) => module.name === name);
  }

  byId(id: Address): VxModule | undefined {
    return this.list.find((module) => module.id === id);
  }

  byGroup(group: number): VxModule | undefined {
    return this.list.find((module) => module.group === group);
  }

  /** The module one of whose segments holds the address. */
  at(address: Address): VxModule | undefined {
    return this.list.find(({ segments }) =>
      Object.values(segments).some((one) => address >= one.address && address < one.address + one.bytes),
    );
  }

  [Symbol.iterator](): Iterator<VxModule> {
    return this.list[Symbol.iterator]();
  }

  get size(): number {
    return this.list.length;
  }
}

export function baseName(path: string): string {
  return path.split('/').at(-1) ?? path;
}
