/** Finds the module files of a tree, and takes one of each name (depmod.d(5) says which). */
import { type Dir, opendirSync, realpathSync } from 'node:fs';
import { keepsPriority } from '../../../systems/linux/tree/choose.ts';
import type { DepmodConfig } from '../../../systems/linux/tree/depmod-config.ts';
import { baseName, isModuleFile, nameOfPath } from '../../../systems/linux/tree/names.ts';
import type { Archives } from '../../files.ts';
import { onDisk, reason } from './bytes-path.ts';
import { type Entry, insteadOf, listAt, statAt, statError } from './disk.ts';
import type { ToolOutput } from './output.ts';

/** Links of the build, never descended into: the kernel's own sources. */
const BUILD_LINKS: readonly string[] = ['build', 'source'];
/** Deeper than any tree: folders that link to one above them end here. */
const MAX_DEPTH = 40;
/** The tool holds a folder open while it looks below: the tree is the first file that it opens, and messages name it so. */
const FIRST_DESCRIPTOR = 3;
/** `name.ko.bz2` */
const STRANGE = /[^.]\.ko\.[A-Za-z0-9]+$/;
/** Names are bytes; many entries a call, as trees have folders of hundreds. */
const LATIN = { encoding: 'latin1', bufferSize: 256 } as const;

/**
 * Folders are listed at once, which Node does sorted and in a quarter of the time (measured). The tool's order, that of the
 * directory, shows where two files have one name, and in the order of messages: then the search is made again in that.
 */
class OrderMatters extends Error {}

export class TreeScan {
  /** Path by module name. */
  readonly found = new Map<string, string>();
  /** Files that must be modules, packed in a way that no module tool knows. */
  readonly strange: string[] = [];
  /** Folders below the tree, and called for each before it is listed. */
  readonly folders: string[] = [];
  onFolder: ((path: string) => void) | undefined;
  private inOrder = false;
  private readonly told = new Set<string>();
  private readonly isModule: (name: string) => boolean;
  private readonly archives: Archives | undefined;
  private readonly tree: string;
  private readonly config: DepmodConfig;
  private readonly output: ToolOutput;
  private readonly progress: ((path: string) => void) | undefined;
  private visit: (path: string) => void = (path) => this.add(path);

  /** `progress` is told every file that is taken, also where another takes its place later. */
  constructor(
    tree: string,
    config: DepmodConfig,
    output: ToolOutput,
    progress?: (path: string) => void,
    archives?: Archives,
    isModule: (name: string) => boolean = isModuleFile,
  ) {
    this.isModule = isModule;
    this.archives = archives;
    this.progress = progress;
    this.tree = tree;
    this.config = config;
    this.output = output;
  }

  /** The tree itself, then the folders outside it that the configuration names. False when the tree cannot be opened. */
  all(): { readonly error: unknown } | undefined {
    try {
      return this.allOf();
    } catch (error) {
      if (!(error instanceof OrderMatters)) throw error;
    }
    this.inOrder = true;
    this.found.clear();
    this.strange.length = 0;
    this.folders.length = 0;
    return this.allOf();
  }

  /** Nothing was found that is told about, or that goes by the order of files on disk. */
  get isPlain(): boolean {
    return !this.inOrder && this.strange.length === 0 && this.config.externals.length === 0;
  }

  private allOf(): { readonly error: unknown } | undefined {
    const error = this.from(this.tree);
    if (error !== undefined) return { error };
    for (const folder of this.config.externals) this.from(folder);
    return undefined;
  }

  private error(text: string): void {
    if (!this.inOrder) throw new OrderMatters();
    this.output.error(text);
  }

  private from(folder: string): unknown {
    try {
      this.walk(this.entries(folder), folder, 0);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.error(`could not open directory ${folder}: ${reason(error)}\n`);
      return error;
    }
    return undefined;
  }

  private entries(folder: string): Iterable<Entry> {
    if (!this.inOrder) return listAt(folder, this.archives);
    let dir: Dir;
    try {
      dir = opendirSync(onDisk(folder), LATIN);
    } catch (error) {
      // An archive has no other order than its own.
      const inside = insteadOf(error, folder, this.archives);
      return listAt(`${inside.archive}/${inside.path}`, this.archives);
    }
    const entries: Entry[] = [];
    for (let entry = dir.readSync(); entry !== null; entry = dir.readSync()) entries.push(entry);
    dir.closeSync();
    return entries;
  }

  private walk(entries: Iterable<Entry>, folder: string, depth: number): void {
    for (const entry of entries) {
      const { name } = entry;
      if (BUILD_LINKS.includes(name) || this.config.excludes.includes(name)) continue;
      const path = `${folder}/${name}`;
      const kind = entry.isFile()
        ? 'file'
        : entry.isDirectory()
          ? 'folder'
          : this.follow(path, name, folder, depth);
      if (kind === 'folder') this.enter(path, depth + 1);
      else if (kind === 'file' && this.isModule(name)) this.visit(path);
      else if (kind === 'file' && STRANGE.test(name)) this.strange.push(path);
    }
  }

  /** Is there a module file below the tree for which `fits` holds? No folder but the build's links is left out. */
  some(fits: (path: string) => boolean): boolean {
    let found = false;
    this.visit = (path) => {
      found ||= fits(path);
    };
    this.inOrder = true;
    this.from(this.tree);
    return found;
  }

  private enter(path: string, depth: number): void {
    if (depth > MAX_DEPTH) {
      this.error(`${path}: folders more than ${MAX_DEPTH} deep are not searched\n`);
      return;
    }
    let entries: Iterable<Entry>;
    try {
      this.folders.push(path);
      this.onFolder?.(path);
      entries = this.entries(path);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.error(`openat(${FIRST_DESCRIPTOR + depth - 1}, ${baseName(path)}, O_RDONLY): ${reason(error)}\n`);
      return;
    }
    this.walk(entries, path, depth);
  }

  /** What a link leads to. */
  private follow(path: string, name: string, folder: string, depth: number): 'file' | 'folder' | undefined {
    try {
      const stat = statAt(path, this.archives);
      if (stat === undefined) throw statError(path);
      if (stat.isFile()) return 'file';
      if (stat.isDirectory() && !leadsBack(path, folder)) return 'folder';
      if (stat.isDirectory()) {
        this.error(`${path}: leads back to a folder that it is in, and is not searched\n`);
        return undefined;
      }
      this.error(`unsupported file type ${path}: ${(stat.mode & 0o170000).toString(8)}\n`);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.error(`fstatat(${FIRST_DESCRIPTOR + depth}, ${name}): ${reason(error)}\n`);
    }
    return undefined;
  }

  private add(path: string): void {
    const name = nameOfPath(path);
    const known = this.found.get(name);
    if (known !== undefined && !this.inOrder) throw new OrderMatters();
    if (known !== undefined && keepsPriority(this.config, this.tree, known, path)) return;
    this.found.set(name, path);
    if (!this.told.has(path)) this.progress?.(path);
    this.told.add(path);
  }
}

/** Does a link in that folder lead to it, or to one above it? The tool follows it until no more files can be opened. */
function leadsBack(link: string, folder: string): boolean {
  try {
    const real = (path: string): string => realpathSync(onDisk(path), 'latin1');
    const [target, here] = [real(link), real(folder)];
    return target === here || here.startsWith(target.endsWith('/') ? target : `${target}/`);
  } catch {
    // In an archive there is no such link.
    return false;
  }
}

const isSystemError = (error: unknown): boolean => typeof (error as { code?: unknown }).code === 'string';
