/** What modules export: a module tree, or the files of a command line. Files are read when a symbol is asked for. */

import { readFileSync } from 'node:fs';
import { decompress } from '../../../bytes/decompress.ts';
import { FormatError } from '../../../bytes/errors.ts';
import { readElfObject } from '../../../formats/elf/object.ts';
import { exportsOf } from '../../../systems/linux/describe.ts';
import { ModuleExports } from '../../../systems/linux/kernelfile/modules.ts';
import { ModInfo } from '../../../systems/linux/module-file.ts';
import { isGplCompatible } from '../../../systems/linux/rules/modinfo.ts';
import type { FoundSymbol, SymbolOwner } from '../../../systems/linux/rules/symbols.ts';
import { TAINT } from '../../../systems/linux/taint-bits.ts';
import { softDependencies } from '../../../systems/linux/tree/modprobe-config.ts';
import { nameOfPath } from '../../../systems/linux/tree/names.ts';

export interface LibraryModule extends SymbolOwner {
  readonly path: string;
  readonly depends: readonly string[];
  /** Names that modprobe loads before it, if there are such modules. */
  readonly before: readonly string[];
}

/** The `pre:` names of all softdep strings of .modinfo. */
export const softlyBefore = (info: ModInfo): string[] =>
  info.all('softdep').flatMap((text) => softDependencies(text).pre);

export type LibrarySymbol = FoundSymbol<LibraryModule>;

/** Modules by name, and what they export. */
export interface Library {
  /** Has it every module of a kernel? Then what it does not know does not exist. */
  readonly complete: boolean;
  has(name: string): boolean;
  module(name: string): LibraryModule | undefined;
  /** `likely`: names of modules to look in first. */
  find(symbol: string, likely: readonly string[]): LibrarySymbol | undefined;
  /** Everything that its modules export; may read all their files. */
  exports(): ModuleExports;
}

/** Module files of a folder or a command line. */
export class FileLibrary implements Library {
  readonly complete: boolean;
  readonly #paths = new Map<string, string>();
  readonly #symbols = new Map<string, LibrarySymbol>();
  readonly #modules = new Map<string, LibraryModule | undefined>();
  #all = false;
  readonly #open: (path: string) => Uint8Array;

  /** `open` reads a file: of the machine, unless they are in an archive. */
  constructor(
    paths: Iterable<string>,
    complete: boolean,
    open: (path: string) => Uint8Array = (path) => readFileSync(path),
  ) {
    this.complete = complete;
    this.#open = open;
    for (const path of paths) this.#paths.set(nameOfPath(path), path);
  }

  has(name: string): boolean {
    return this.#paths.has(plain(name));
  }

  module(name: string): LibraryModule | undefined {
    const key = plain(name);
    if (!this.#modules.has(key)) this.#modules.set(key, this.#read(key));
    return this.#modules.get(key);
  }

  find(symbol: string, likely: readonly string[]): LibrarySymbol | undefined {
    const known = this.#symbols.get(symbol);
    if (known !== undefined || this.#all) return known;
    for (const name of likely) {
      this.module(name);
      const found = this.#symbols.get(symbol);
      if (found !== undefined) return found;
    }
    for (const name of this.#paths.keys()) this.module(name);
    this.#all = true;
    return this.#symbols.get(symbol);
  }

  /** Everything that its modules export: reads all of them. */
  exports(): ModuleExports {
    const modules = [...this.#paths.keys()].flatMap((name) => this.module(name) ?? []);
    this.#all = true;
    const rows = [...this.#symbols.values()].map(({ name, crc, gplOnly, namespace, owner }) => {
      return { name, crc, gplOnly, namespace, owner: owner?.name ?? '' };
    });
    const described = modules.map(({ name, taints, depends }) => ({
      name,
      depends,
      proprietary: taints !== 0,
    }));
    return new ModuleExports(described, rows);
  }

  #read(name: string): LibraryModule | undefined {
    const path = this.#paths.get(name);
    if (path === undefined) return undefined;
    try {
      const object = readElfObject(decompress(this.#open(path)));
      const section = object.sections.find((one) => one.name === '.modinfo');
      const info = new ModInfo(section?.data ?? new Uint8Array(0));
      const taints = isGplCompatible(info.get('license') ?? '') ? 0 : 1 << TAINT.PROPRIETARY;
      const owner: LibraryModule = {
        name: info.get('name') ?? name,
        path,
        taints,
        depends: info.depends,
        before: softlyBefore(info),
      };
      for (const found of exportsOf(object)) {
        if (!this.#symbols.has(found.name)) this.#symbols.set(found.name, { ...found, address: 0, owner });
      }
      return owner;
    } catch (error) {
      // What is no module (a bundle of macOS is a folder) or cannot be read exports nothing; its own check says why.
      if (error instanceof FormatError || (error as NodeJS.ErrnoException).syscall !== undefined)
        return undefined;
      throw error;
    }
  }
}

/** What is known of a kernel's modules without their files: from a saved kernel, or from Module.symvers. */
export class ListedLibrary implements Library {
  readonly complete = true;
  readonly #exports: ModuleExports;
  readonly #place: string;

  constructor(exports: ModuleExports, place: string) {
    this.#exports = exports;
    this.#place = place;
  }

  has(name: string): boolean {
    return this.#exports.modules.has(plain(name));
  }

  module(name: string): LibraryModule | undefined {
    const found = this.#exports.modules.get(plain(name));
    if (found === undefined) return undefined;
    const taints = found.proprietary ? 1 << TAINT.PROPRIETARY : 0;
    return { name: found.name, path: this.#place, taints, depends: found.depends, before: [] };
  }

  find(symbol: string): LibrarySymbol | undefined {
    const found = this.#exports.find(symbol);
    if (found === undefined) return undefined;
    const owner = this.module(found.owner) ?? {
      name: found.owner,
      path: this.#place,
      taints: 0,
      depends: [],
      before: [],
    };
    return { ...found, address: 0, owner };
  }

  exports(): ModuleExports {
    return this.#exports;
  }
}

export const plain = (name: string): string => name.replaceAll('-', '_');
