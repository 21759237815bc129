/**
 * The modules that modprobe may choose from: by name, by alias (depmod's modules.alias), and with what each needs
 * (`depends=`, `softdep=`). A tree is read when a name is not that of a file for the first time.
 */
import { FormatError } from '../../bytes/errors.ts';
import { readElf } from '../../formats/elf/read.ts';
import { type GlobPart, matchesGlob, parseGlob } from '../../systems/linux/glob.ts';
import { ModInfo } from '../../systems/linux/module-file.ts';
import { softDependencies } from '../../systems/linux/tree/modprobe-config.ts';
import { nameOfPath, normalizeAlias, normalizeName } from '../../systems/linux/tree/names.ts';

export interface ModuleTreeSource {
  /** Bytes of a module file; undefined when there is no such file. */
  readonly moduleFile: (path: string) => Uint8Array | undefined;
  /** Paths of every module there is; without it nothing is found by alias. */
  readonly modulePaths?: () => readonly string[];
}

/** One module as modprobe sees it. */
export interface TreeModule {
  readonly name: string;
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly depends: readonly string[];
  /** Names or aliases to load before and after, where there are such modules. */
  readonly before: readonly string[];
  readonly after: readonly string[];
}

export class ModuleTree {
  private readonly source: ModuleTreeSource;
  private aliases: { pattern: readonly GlobPart[]; path: string }[] | undefined;

  constructor(source: ModuleTreeSource) {
    this.source = source;
  }

  /** The module of that name; undefined when there is none. */
  named(name: string): TreeModule | undefined {
    const plain = normalizeName(name);
    for (const path of new Set([`${plain}.ko`, `${plain.replaceAll('_', '-')}.ko`])) {
      const bytes = this.source.moduleFile(path);
      if (bytes !== undefined) return described(path, bytes);
    }
    return undefined;
  }

  /** Modules that a word names: the one of that name, else all that have it as an alias. */
  lookUp(word: string): TreeModule[] {
    const one = /^[\w-]+$/.test(word) ? this.named(word) : undefined;
    if (one !== undefined) return [one];
    const wanted = normalizeAlias(word);
    if (wanted === undefined) return [];
    const paths = this.index().flatMap(({ pattern, path }) => (matchesGlob(pattern, wanted) ? [path] : []));
    return [...new Set(paths)].flatMap((path) => {
      const bytes = this.source.moduleFile(path);
      return bytes === undefined ? [] : [described(path, bytes)];
    });
  }

  private index(): readonly { pattern: readonly GlobPart[]; path: string }[] {
    this.aliases ??= (this.source.modulePaths?.() ?? []).flatMap((path) => {
      const bytes = this.source.moduleFile(path);
      const info = bytes === undefined ? undefined : modinfoOf(bytes);
      return (info?.all('alias') ?? []).flatMap((alias) => {
        const normal = normalizeAlias(alias);
        return normal === undefined ? [] : [{ pattern: parseGlob(normal, { sets: true }), path }];
      });
    });
    return this.aliases;
  }
}

/** The .modinfo of a file; undefined for one that is no module, whose load says why. */
function modinfoOf(bytes: Uint8Array): ModInfo | undefined {
  try {
    const elf = readElf(bytes);
    const section = elf.section('.modinfo');
    return section === undefined ? undefined : new ModInfo(elf.data(section));
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** The names in `depends=`; a file that is no module has none. */
export function dependenciesOf(bytes: Uint8Array): readonly string[] {
  return modinfoOf(bytes)?.depends ?? [];
}

function described(path: string, bytes: Uint8Array): TreeModule {
  const info = modinfoOf(bytes);
  const soft = (info?.all('softdep') ?? []).map((text) => softDependencies(text));
  return {
    name: nameOfPath(path),
    path,
    bytes,
    depends: info?.depends ?? [],
    before: soft.flatMap(({ pre }) => pre),
    after: soft.flatMap(({ post }) => post),
  };
}
