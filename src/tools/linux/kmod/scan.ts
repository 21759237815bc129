/** Finds the module files of a tree, and takes one of each name (depmod.d(5) says which). */
import { type Dir, opendirSync, statSync } from 'node:fs';
import { keepsPriority } from '../../../systems/linux/tree/choose.ts';
import type { DepmodConfig } from '../../../systems/linux/tree/depmod-config.ts';
import { isModuleFile, nameOfPath } from '../../../systems/linux/tree/names.ts';
import { onDisk, reason } from './bytes-path.ts';
import type { ToolOutput } from './output.ts';

/** Links of the build, never descended into: the kernel's own sources. */
const BUILD_LINKS: readonly string[] = ['build', 'source'];
/** Deeper than any tree: folders that link to one above them end here. */
const MAX_DEPTH = 40;
/** Names are bytes; many entries a call, as trees have folders of hundreds. */
const LATIN = { encoding: 'latin1', bufferSize: 256 } as const;

export class TreeScan {
  /** Path by module name. */
  readonly found = new Map<string, string>();
  private readonly tree: string;
  private readonly config: DepmodConfig;
  private readonly output: ToolOutput;
  private visit: (path: string) => void = (path) => this.add(path);

  constructor(tree: string, config: DepmodConfig, output: ToolOutput) {
    this.tree = tree;
    this.config = config;
    this.output = output;
  }

  /** The tree itself, then the folders outside it that the configuration names. False when the tree cannot be opened. */
  all(): { readonly error: unknown } | undefined {
    const error = this.from(this.tree);
    if (error !== undefined) return { error };
    for (const folder of this.config.externals) this.from(folder);
    return undefined;
  }

  private from(folder: string): unknown {
    let dir: Dir;
    try {
      dir = opendirSync(onDisk(folder), LATIN);
    } catch (error) {
      this.output.error(`could not open directory ${folder}: ${reason(error)}\n`);
      return error;
    }
    this.walk(dir, folder, 0);
    return undefined;
  }

  private walk(dir: Dir, folder: string, depth: number): void {
    // In the order of the directory, as the tool walks it: of two files with one name and one rank the first counts.
    for (let entry = dir.readSync(); entry !== null; entry = dir.readSync()) {
      const { name } = entry;
      if (BUILD_LINKS.includes(name) || this.config.excludes.includes(name)) continue;
      const path = `${folder}/${name}`;
      const kind = entry.isFile() ? 'file' : entry.isDirectory() ? 'folder' : this.follow(path, name);
      if (kind === 'folder') this.enter(path, depth + 1);
      else if (kind === 'file' && isModuleFile(name)) this.visit(path);
    }
    dir.closeSync();
  }

  /** Is there a module file below the tree for which `fits` holds? No folder but the build's links is left out. */
  some(fits: (path: string) => boolean): boolean {
    let found = false;
    this.visit = (path) => {
      found ||= fits(path);
    };
    this.from(this.tree);
    return found;
  }

  private enter(path: string, depth: number): void {
    if (depth > MAX_DEPTH) {
      this.output.error(`${path}: folders more than ${MAX_DEPTH} deep are not searched\n`);
      return;
    }
    try {
      this.walk(opendirSync(onDisk(path), LATIN), path, depth);
    } catch (error) {
      this.output.error(`openat(${path}, O_RDONLY): ${reason(error)}\n`);
    }
  }

  /** What a link leads to. */
  private follow(path: string, name: string): 'file' | 'folder' | undefined {
    try {
      const stat = statSync(onDisk(path));
      if (stat.isFile()) return 'file';
      if (stat.isDirectory()) return 'folder';
      this.output.error(`unsupported file type ${path}: ${(stat.mode & 0o170000).toString(8)}\n`);
    } catch (error) {
      this.output.error(`fstatat(${name}): ${reason(error)}\n`);
    }
    return undefined;
  }

  private add(path: string): void {
    const name = nameOfPath(path);
    const known = this.found.get(name);
    if (known !== undefined && keepsPriority(this.config, this.tree, known, path)) return;
    this.found.set(name, path);
  }
}
