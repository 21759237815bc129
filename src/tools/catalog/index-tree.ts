/** `lkm index`: which system a tree of modules belongs to, and the index files that system keeps of it. */
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { FormatError } from '../../bytes/errors.ts';
import type { FileTree } from '../../catalog/file-tree.ts';
import { readElfObject } from '../../formats/elf/object.ts';
import { type Hint, hintsOfFile, writeHints } from '../../systems/freebsd/hints.ts';
import { KldFile } from '../../systems/freebsd/kldfile.ts';
import { majorOf } from '../../systems/freebsd/version.ts';
import { makeFolder } from '../../targets/make-folder.ts';
import { replaceFile } from '../../targets/replace-file.ts';
import type { Archives } from '../files.ts';
import type { ToolStreams } from '../linux/kmod/output.ts';
import { runModuleTool } from '../linux/kmod/tools.ts';
import { statIfAny } from '../stat-if-any.ts';
import { catalogPaths, systemOfFile } from './read.ts';

export interface Indexed {
  readonly code: number;
  readonly system: string;
  /** Paths of what was written. */
  readonly written: readonly string[];
}

/** Files looked at before it is said that there are no modules. */
const MOST_LOOKS = 2000;
/** Folders whose files are looked at once a system is known: to tell a mixed tree from a large one. */
const MOST_GROUPS = 300;

/**
 * The systems of a tree's modules, by the first file of each ending in each folder, in the order they are met. Files of no
 * system in particular count where there are no others.
 */
export async function systemsOfTree(tree: FileTree, machinePath: string): Promise<readonly string[]> {
  const found = new Set<string>();
  const guessed = new Set<string>();
  const groups = new Set<string>();
  let looks = 0;
  for (const path of catalogPaths(tree)) {
    const group = path.replace(/[^/]*?((\.[A-Za-z]+)*)$/, '$1');
    if (groups.has(group)) continue;
    const system = await systemOfFile(tree, path, machinePath);
    if (system !== undefined) {
      (system.guessed ? guessed : found).add(system.name);
      groups.add(group);
    } else if (++looks > MOST_LOOKS) break;
    if (groups.size > MOST_GROUPS) break;
  }
  return [...(found.size > 0 ? found : guessed)];
}

export interface IndexSurroundings extends ToolStreams {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly scanProgram?: string | undefined;
  readonly archives?: Archives | undefined;
}

/** A folder of Linux modules: where it begins, and what depmod wants to know of it. */
export interface ReleaseFolder {
  readonly root: string;
  /** Below the root. */
  readonly modules: string;
  readonly release: string;
}

const RELEASE = /^\d+\.\d+/;

/** The folder itself, when a release names it, or those that it has where roots have them. */
export function releasesOf(tree: FileTree, path: string): readonly ReleaseFolder[] {
  const whole = resolve(path);
  if (RELEASE.test(basename(whole)) && statIfAny(whole)?.isFile() !== true) {
    const above = dirname(whole);
    return [{ root: dirname(above), modules: basename(above), release: basename(whole) }];
  }
  for (const modules of ['lib/modules', 'usr/lib/modules']) {
    if (tree.stat(modules)?.kind !== 'folder') continue;
    const folders = tree.list(modules).filter(({ name, kind }) => kind !== 'file' && RELEASE.test(name));
    if (folders.length > 0)
      return folders.map(({ name }) => ({ root: whole, modules, release: name })).sort(byRelease);
  }
  return [];
}

const byRelease = (a: ReleaseFolder, b: ReleaseFolder): number => (a.release < b.release ? -1 : 1);

/** `output`: where the indexes go, in the same folders, instead of beside the modules. */
export async function indexLinux(
  { root, modules, release }: ReleaseFolder,
  output: string | undefined,
  around: IndexSurroundings,
): Promise<Indexed> {
  const to = output === undefined ? [] : ['-o', resolve(output)];
  const path = join(output === undefined ? root : resolve(output), modules, release);
  const before = names(path);
  const code = await runModuleTool('depmod', ['-b', root, '-m', modules, ...to, release], around);
  const written = code === 0 ? names(path).filter((name) => isIndex(name) || !before.includes(name)) : [];
  return { code, system: 'linux', written: written.map((name) => join(path, name)) };
}

const names = (path: string): string[] => (existsSync(path) ? readdirSync(path).sort() : []);
/** modules.order and modules.builtin come with the kernel. */
const isIndex = (name: string): boolean =>
  /^modules\.(dep|alias|symbols|softdep|weakdep|devname)(\.bin)?$|^modules\.builtin(\.alias)?\.bin$/.test(
    name,
  );

/** linker.hints in the folder, and in each below it that has modules; below `output`, where the same folders are made. */
export function indexFreeBsd(tree: FileTree, output: string, warn: (text: string) => void): Indexed {
  const written: string[] = [];
  const visit = (folder: string): void => {
    const hints: Hint[] = [];
    const entries = [...tree.list(folder)].sort((a, b) => (a.name < b.name ? -1 : 1));
    let first: KldFile | undefined;
    for (const { name, kind } of entries) {
      const path = folder === '' ? name : `${folder}/${name}`;
      if (kind === 'folder') visit(path);
      // Names without a dot (the kernel) and modules count.
      else if (name.endsWith('.ko') || !name.includes('.')) {
        const kld = kldAt(tree, path, warn);
        if (kld === undefined) continue;
        first ??= kld;
        if (kld.file.machine === first.file.machine) hints.push(...recordsOf(kld, name, warn));
        else warn(`${tree.name}/${path} is for another machine than the others`);
      }
    }
    const bytes = writeHints(hints, first?.file.littleEndian);
    if (bytes.length === 0) return;
    const target = join(resolve(output), folder, 'linker.hints');
    makeFolder(dirname(target), 0o755);
    replaceFile(target, bytes);
    written.push(target);
  };
  visit('');
  return { code: written.length > 0 ? 0 : 1, system: 'freebsd', written };
}

/** A table of devices that contradicts its file gives none. */
function recordsOf(kld: KldFile, name: string, warn: (text: string) => void): Hint[] {
  try {
    return hintsOfFile(kld, name, orderFor(kld));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    warn(`${name} is passed over: ${error.message}`);
    return [];
  }
}

/** From 14 on kldxref stops at the first of several versions; the file says which release it was built for. */
function orderFor(kld: KldFile): 'first' | 'all' {
  for (const record of kld.metadata)
    if (record.kind === 'depend' && record.name === 'kernel')
      return majorOf(record.preferred) >= 14 ? 'first' : 'all';
  return 'all';
}

function kldAt(tree: FileTree, path: string, warn: (text: string) => void): KldFile | undefined {
  try {
    return new KldFile(readElfObject(tree.read(path)));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    if (path.endsWith('.ko')) warn(`${tree.name}/${path} is passed over: ${error.message}`);
    return undefined;
  }
}
