/** A folder of module files as a catalogue: names, files, and what each says it depends on. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { decompress } from '../bytes/decompress.ts';
import { FormatError } from '../bytes/errors.ts';
import { mapCatalog, planLoad } from '../catalog/closure.ts';
import { readElf } from '../formats/elf/read.ts';
import { ModInfo } from '../systems/linux/module-file.ts';

/** One module of a tree. */
export interface TreeModule {
  /** The file's name without its endings. */
  readonly name: string;
  readonly path: string;
}

const ENDING = /\.ko(\.(gz|xz|zst))?$/;

/** Every module file below a folder, sorted by path. */
export function modulesBelow(directory: string): TreeModule[] {
  return (readdirSync(directory, { recursive: true, encoding: 'utf8' }) as string[])
    .filter((path) => ENDING.test(path))
    .sort()
    .map((path) => ({ name: basename(path).replace(ENDING, ''), path: join(directory, path) }));
}

/** The module's bytes, unpacked. */
export function moduleBytes(module: TreeModule): Uint8Array {
  return decompress(readFileSync(module.path));
}

/** Bytes of unpacked files that a tree keeps: what many modules depend on is read from the disk once. */
const KEPT = 64 << 20;

/** Plans loads within one tree; what files say of themselves is read once. */
export class Tree {
  readonly modules: readonly TreeModule[];
  private readonly known = new Map<TreeModule, Said>();
  private readonly catalog;
  private aliases: Map<string, TreeModule> | undefined;
  /** Least used first. */
  private readonly contents = new Map<TreeModule, Uint8Array>();
  private kept = 0;

  constructor(modules: readonly TreeModule[]) {
    this.modules = modules;
    const byName = new Map(modules.map((module) => [module.name, module]));
    this.catalog = mapCatalog(byName, (module) => this.said(module, (one) => this.bytesOf(one)).depends);
  }

  /** The modules to load, dependencies first, the wanted one last. */
  plan(module: TreeModule): readonly TreeModule[] {
    return planLoad(this.catalog, module.name)?.order ?? [module];
  }

  /** The module's bytes, unpacked; they are not to be changed. */
  bytesOf(module: TreeModule): Uint8Array {
    const known = this.contents.get(module);
    if (known !== undefined) {
      this.contents.delete(module);
      this.contents.set(module, known);
      return known;
    }
    const bytes = moduleBytes(module);
    this.contents.set(module, bytes);
    this.kept += bytes.length;
    for (const [oldest, { length }] of this.contents) {
      if (this.kept <= KEPT) break;
      this.contents.delete(oldest);
      this.kept -= length;
    }
    return bytes;
  }

  /** The module of that name, or the one that says it answers to it (aliases without wildcards alone). */
  find(name: string): TreeModule | undefined {
    return this.catalog.find(name) ?? this.byAlias().get(name);
  }

  /** Reads every file of the tree, at the first request for something that is no name. */
  private byAlias(): Map<string, TreeModule> {
    if (this.aliases !== undefined) return this.aliases;
    const made = new Map<string, TreeModule>();
    for (const module of this.modules)
      for (const alias of this.said(module, moduleBytes).aliases) made.set(alias, module);
    this.aliases = made;
    return made;
  }

  /** What a file says of itself, read once with `read`. */
  private said(module: TreeModule, read: (module: TreeModule) => Uint8Array): Said {
    let said = this.known.get(module);
    if (said === undefined) {
      const info = modinfoOf(() => read(module));
      said = { depends: info?.depends ?? [], aliases: info?.all('alias') ?? [] };
      this.known.set(module, said);
    }
    return said;
  }
}

interface Said {
  readonly depends: readonly string[];
  readonly aliases: readonly string[];
}

/** What a file says of itself; one that is no module says nothing, and its load says what is wrong with it. */
function modinfoOf(read: () => Uint8Array): ModInfo | undefined {
  try {
    const elf = readElf(read());
    const section = elf.section('.modinfo');
    return section === undefined ? undefined : new ModInfo(elf.data(section));
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
