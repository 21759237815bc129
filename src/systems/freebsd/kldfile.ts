/**
 * What a kernel module (KLD) says of itself: its linker sets, read as the kernel linker and kldxref(8) read them
 * (sys/sys/module.h, sys/sys/linker_set.h, sys/kern/kern_linker.c).
 */
import { FormatError, Invalid } from '../../bytes/errors.ts';
import type { ObjectFile, ObjectSection } from '../../formats/object.ts';
import { type Place, StaticImage, type Target } from './image.ts';

/** sys/module.h */
export const MDT = { DEPEND: 1, MODULE: 2, VERSION: 3, PNP_INFO: 4 } as const;
/** MDT_STRUCT_VERSION, the same in every release. */
export const MDT_STRUCT_VERSION = 1;

export interface ModuleRecord {
  readonly kind: 'module';
  /** The name the macro was given; `bus_driver` for drivers. */
  readonly name: string;
  /** moduledata.name, by which modfind(2) knows it; undefined when the file does not hold it. */
  readonly registered: string | undefined;
}

export interface VersionRecord {
  readonly kind: 'version';
  readonly name: string;
  readonly version: number;
}

export interface DependRecord {
  readonly kind: 'depend';
  readonly name: string;
  readonly minimum: number;
  readonly preferred: number;
  readonly maximum: number;
}

export interface PnpRecord {
  readonly kind: 'pnp';
  readonly name: string;
  readonly bus: string;
  /** Field description, in the grammar of MODULE_PNP_INFO. */
  readonly description: string;
  readonly table: Place | undefined;
  readonly entryBytes: number;
  readonly entries: number;
}

export interface UnknownRecord {
  readonly kind: 'unknown';
  readonly name: string;
  readonly type: number;
}

export type MetadataRecord = ModuleRecord | VersionRecord | DependRecord | PnpRecord | UnknownRecord;

/** An entry of the sysinit or sysuninit set. */
export interface SysinitRecord {
  readonly subsystem: number;
  readonly order: number;
  /** The function's name: of the file, or imported (module_register_init, malloc_init...). */
  readonly function: string;
}

/** More entries than any module has; ends a set whose size is made up. */
const MAX_ENTRIES = 65536;

export class KldFile {
  readonly file: ObjectFile;
  readonly image: StaticImage;
  /** In the order of the set, as kldxref(8) writes them. */
  readonly metadata: readonly MetadataRecord[];

  /** @throws FormatError when the sets contradict the file */
  constructor(file: ObjectFile) {
    this.file = file;
    this.image = new StaticImage(file);
    this.metadata = this.set('modmetadata_set').map((place) => this.readMetadata(place));
  }

  get modules(): ModuleRecord[] {
    return this.metadata.filter((record) => record.kind === 'module');
  }

  get versions(): VersionRecord[] {
    return this.metadata.filter((record) => record.kind === 'version');
  }

  get depends(): DependRecord[] {
    return this.metadata.filter((record) => record.kind === 'depend');
  }

  get pnp(): PnpRecord[] {
    return this.metadata.filter((record) => record.kind === 'pnp');
  }

  /** `__FreeBSD_version` of the headers it was built with: what its first dependency on the kernel prefers. */
  get builtFor(): number | undefined {
    return this.depends.find(({ name }) => name === 'kernel')?.preferred;
  }

  sysinits(set: 'sysinit_set' | 'sysuninit_set' = 'sysinit_set'): SysinitRecord[] {
    const { image } = this;
    return this.set(set).map((place) => ({
      subsystem: image.u32(place),
      order: image.u32(image.at(place, 4)),
      function: this.nameOf(image.pointer(image.at(place, this.sysinitFunction(place)))),
    }));
  }

  /**
   * Offset of the function in a struct sysinit. In the course of 14 a link came before it (sys/kernel.h), within one range
   * of compatible versions; the file shows which one it was built with: the link is no pointer, the function always is.
   */
  sysinitFunction(
    place: Place | undefined = this.set('sysinit_set')[0] ?? this.set('sysuninit_set')[0],
  ): number {
    const { image } = this;
    const plain = 8;
    const linked = 8 + image.word;
    if (place === undefined || image.pointer(image.at(place, plain)) !== undefined) return plain;
    return image.pointer(image.at(place, linked)) === undefined ? plain : linked;
  }

  /** Names of the linker sets in the file, with the number of entries of each. */
  sets(): { name: string; entries: number }[] {
    return this.file.sections
      .filter(({ name, allocated }) => allocated && name.startsWith('set_'))
      .map(({ name, size }) => ({ name: name.slice(4), entries: Math.floor(size / this.image.word) }));
  }

  /** What the entries of a linker set point to, in order. */
  set(name: string): Place[] {
    const { image } = this;
    const range = this.setRange(name);
    if (range === undefined) return [];
    const count = Math.floor(range.bytes / image.word);
    if (count > MAX_ENTRIES)
      throw new Invalid(`linker set ${name}`, 'has too many entries', { value: count });
    const places: Place[] = [];
    for (let i = 0; i < count; i++) {
      const target = image.pointer(image.at(range.start, i * image.word));
      if (target === undefined || 'external' in target) {
        const offset = range.start.offset + i * image.word;
        throw new Invalid(`linker set ${name}`, `entry ${i} points nowhere in the file`, { offset });
      }
      places.push(target);
    }
    return places;
  }

  /** Symbol at a place, or the name of the imported one; an address when nothing names it. */
  nameOf(target: Target): string {
    if (target === undefined) return '(null)';
    if ('external' in target) return target.external;
    const found = this.symbolAt(target);
    return found ?? `${target.section.name}+0x${target.offset.toString(16)}`;
  }

  private symbolAt({ section, offset }: Place): string | undefined {
    const value = this.file.kind === 'relocatable' ? offset : section.address + offset;
    return this.file.symbols.find(
      (one) =>
        one.place === 'section' && one.section === section.index && one.value === value && one.name !== '',
    )?.name;
  }

  /** A set is a section of its name; a linked file without section headers still has the symbols around it. */
  private setRange(name: string): { start: Place; bytes: number } | undefined {
    const section: ObjectSection | undefined = this.file.sections.find(
      (one) => one.name === `set_${name}` && one.allocated,
    );
    if (section !== undefined) return { start: { section, offset: 0 }, bytes: section.size };
    if (this.file.kind === 'relocatable') return undefined;
    const symbol = (edge: string) => this.file.symbols.find((one) => one.name === `__${edge}_set_${name}`);
    const [start, stop] = [symbol('start'), symbol('stop')];
    if (start === undefined || stop === undefined || stop.value <= start.value) return undefined;
    const place = this.image.placeOf(start.value);
    return place === undefined ? undefined : { start: place, bytes: stop.value - start.value };
  }

  private readMetadata(place: Place): MetadataRecord {
    const { image } = this;
    const type = image.u32(image.at(place, 4));
    const data = image.pointer(image.at(place, 8));
    const name = image.string(image.pointer(image.at(place, 8 + image.word)));
    if (image.i32(place) !== MDT_STRUCT_VERSION || name === undefined) {
      throw new Invalid('module metadata', `record '${name ?? '?'}' has an unknown layout`, {
        offset: place.offset,
        value: image.u32(place),
      });
    }
    if (type === MDT.MODULE) return { kind: 'module', name, registered: this.registeredName(data) };
    if (type > MDT.PNP_INFO || type === 0) return { kind: 'unknown', name, type };
    const at = this.inFile(data, `data of the record for ${name}`);
    if (type === MDT.VERSION) return { kind: 'version', name, version: image.i32(at) };
    if (type === MDT.PNP_INFO) return this.readPnp(name, at);
    const [minimum, preferred, maximum] = [0, 4, 8].map((offset) => image.i32(image.at(at, offset)));
    return { kind: 'depend', name, minimum, preferred, maximum };
  }

  private readPnp(name: string, at: Place): PnpRecord {
    const { image } = this;
    const { word } = image;
    const text = (offset: number) => image.string(image.pointer(image.at(at, offset))) ?? '';
    const table = image.pointer(image.at(at, 2 * word));
    return {
      kind: 'pnp',
      name,
      description: text(0),
      bus: text(word),
      table: table !== undefined && 'section' in table ? table : undefined,
      entryBytes: image.u32(image.at(at, 3 * word)),
      entries: image.u32(image.at(at, 3 * word + 4)),
    };
  }

  private registeredName(data: Target): string | undefined {
    if (data === undefined || 'external' in data || data.section.zeroFill) return undefined;
    try {
      return this.image.string(this.image.pointer(data));
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      return undefined;
    }
  }

  private inFile(target: Target, what: string): Place {
    if (target !== undefined && 'section' in target) return target;
    throw new Invalid(what, 'lies outside of the file');
  }
}
