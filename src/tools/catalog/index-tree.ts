/** `lkm index`: which system a tree of modules belongs to, and the index files that system keeps of it. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { FormatError } from '../../bytes/errors.ts';
import type { FileTree } from '../../catalog/file-tree.ts';
import { readElfObject } from '../../formats/elf/object.ts';
import { type Hint, hintsOfFile, writeHints } from '../../systems/freebsd/hints.ts';
import { KldFile } from '../../systems/freebsd/kldfile.ts';
import { majorOf } from '../../systems/freebsd/version.ts';
import { replaceFile } from '../../targets/replace-file.ts';
import type { ToolStreams } from '../linux/kmod/output.ts';
import { runModuleTool } from '../linux/kmod/tools.ts';
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
}

/** modules.dep and its like. undefined: the folder is not named as trees of Linux are. */
export async function indexLinux(folder: string, around: IndexSurroundings): Promise<Indexed | undefined> {
  const path = resolve(folder);
  const release = basename(path);
  if (!/^\d+\.\d+/.test(release)) return undefined;
  const modules = dirname(path);
  // depmod wants to know root, folder below it, and release apart.
  const words = ['-b', dirname(modules), '-m', basename(modules), release];
  const before = names(path);
  const code = await runModuleTool('depmod', words, around);
  const written = code === 0 ? names(path).filter((name) => isIndex(name) || !before.includes(name)) : [];
  return { code, system: 'linux', written: written.map((name) => join(path, name)) };
}

const names = (path: string): string[] => readdirSync(path).sort();
/** modules.order and modules.builtin come with the kernel. */
const isIndex = (name: string): boolean =>
  /^modules\.(dep|alias|symbols|softdep|weakdep|devname)(\.bin)?$|^modules\.builtin(\.alias)?\.bin$/.test(
    name,
  );

/** linker.hints in the folder and in each below it that has modules. */
export function indexFreeBsd(folder: string, warn: (text: string) => void): Indexed {
  const written: string[] = [];
  const visit = (at: string): void => {
    const hints: Hint[] = [];
    const entries = readdirSync(at, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
    let first: KldFile | undefined;
    for (const entry of entries) {
      if (entry.isDirectory()) visit(join(at, entry.name));
      // Names without a dot (the kernel) and modules count.
      else if (entry.name.endsWith('.ko') || !entry.name.includes('.')) {
        const kld = kldAt(join(at, entry.name), warn);
        if (kld === undefined) continue;
        first ??= kld;
        if (kld.file.machine === first.file.machine) hints.push(...recordsOf(kld, entry.name, warn));
        else warn(`${join(at, entry.name)} is for another machine than the others`);
      }
    }
    const bytes = writeHints(hints, first?.file.littleEndian);
    if (bytes.length === 0) return;
    const target = join(at, 'linker.hints');
    replaceFile(target, bytes);
    written.push(target);
  };
  visit(resolve(folder));
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

function kldAt(path: string, warn: (text: string) => void): KldFile | undefined {
  try {
    return new KldFile(readElfObject(readFileSync(path)));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    if (path.endsWith('.ko')) warn(`${path} is passed over: ${error.message}`);
    return undefined;
  }
}
