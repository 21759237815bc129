/** All module files of a folder or an archive, of whatever system, as a catalogue. */
import { FormatError } from '../../bytes/errors.ts';
import type { CatalogEntry } from '../../catalog/entry.ts';
import type { FileTree } from '../../catalog/file-tree.ts';
import { isModuleFile } from '../../systems/linux/tree/names.ts';
import { OLD_ENDING } from '../../systems/linux/tree/old-module.ts';
import type { ModuleFile } from '../system.ts';
import { recognise } from '../systems.ts';
import { describedEntry } from './described.ts';
import { linuxEntry } from './linux.ts';

export interface ReadCatalog {
  readonly entries: readonly CatalogEntry[];
  /** Files that look like modules and cannot be read. */
  readonly damaged: readonly { readonly path: string; readonly why: string }[];
  /** Linux: names of what is built into the kernel, from modules.builtin. */
  readonly builtin: ReadonlySet<string>;
}

/** Below this nobody keeps modules. */
const MOST_DEPTH = 40;
/** Files larger than this are no modules. */
const MOST_BYTES = 2 ** 28;

/** `machinePath` is where the tree is on this machine, for systems whose modules are folders. */
export async function readCatalog(tree: FileTree, machinePath: string): Promise<ReadCatalog> {
  const entries: CatalogEntry[] = [];
  const damaged: { path: string; why: string }[] = [];
  const builtin = new Set<string>();
  for (const path of catalogPaths(tree)) {
    if (/(^|\/)modules\.builtin$/.test(path)) {
      for (const name of builtinNames(tree, path)) builtin.add(name);
      continue;
    }
    try {
      const entry = await entryOf(tree, path, machinePath);
      if (entry !== undefined) entries.push(entry);
    } catch (error) {
      const why = reasonOf(error);
      if (why === undefined) throw error;
      damaged.push({ path, why });
    }
  }
  return { entries, damaged, builtin };
}

function reasonOf(error: unknown): string | undefined {
  if (error instanceof FormatError) return error.message;
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' ? code : undefined;
}

/** Paths of all files and bundles, sorted; folders that `depmod` passes over are passed over. */
export function* catalogPaths(tree: FileTree, folder = '', depth = 0): Generator<string> {
  if (depth > MOST_DEPTH) return;
  const found = [...tree.list(folder)].sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const { name, kind } of found) {
    const path = folder === '' ? name : `${folder}/${name}`;
    const isBundle = kind === 'folder' && /\.kext$/.test(name);
    if (kind === 'file' || kind === 'link' || isBundle) yield path;
    // A bundle has others inside in one place alone.
    const inside = isBundle ? `${path}/Contents/PlugIns` : path;
    if (kind !== 'folder' || name === 'build' || name === 'source') continue;
    if (!isBundle || tree.stat(inside)?.kind === 'folder') yield* catalogPaths(tree, inside, depth + 1);
  }
}

function builtinNames(tree: FileTree, path: string): string[] {
  return Buffer.from(tree.read(path))
    .toString('latin1')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) =>
      line
        .replace(/^.*\//, '')
        .replace(/\.ko.*$/, '')
        .replaceAll('-', '_'),
    );
}

const couldBeLinux = (path: string): boolean => isModuleFile(path) || OLD_ENDING.test(path);

async function entryOf(tree: FileTree, path: string, machinePath: string): Promise<CatalogEntry | undefined> {
  const file = moduleFile(tree, path, machinePath);
  if (file === undefined) return undefined;
  if (file.bytes !== undefined && couldBeLinux(path)) {
    const entry = linuxEntry(path, file.bytes);
    if (entry !== undefined) return entry;
  }
  const system = await recognise(file);
  return system === undefined ? undefined : describedEntry(path, await system.describe(file));
}

/** Which system a file is a module of; undefined: of none, or it cannot be read. */
export async function systemOfFile(
  tree: FileTree,
  path: string,
  machinePath: string,
): Promise<{ readonly name: string; readonly guessed: boolean } | undefined> {
  try {
    const file = moduleFile(tree, path, machinePath);
    if (file === undefined) return undefined;
    if (file.bytes !== undefined && couldBeLinux(path) && linuxEntry(path, file.bytes) !== undefined)
      return { name: 'linux', guessed: false };
    const system = await recognise(file);
    return system && { name: system.name, guessed: system.recognise(file) < SURE };
  } catch (error) {
    if (reasonOf(error) === undefined) throw error;
    return undefined;
  }
}

/** An object file of no system in particular is given to one with less than this. */
const SURE = 0.6;

function moduleFile(tree: FileTree, path: string, machinePath: string): ModuleFile | undefined {
  const stat = tree.stat(path);
  if (stat === undefined) return undefined;
  if (stat.kind === 'folder') return { path: `${machinePath}/${path}`, bytes: undefined };
  if (stat.size > MOST_BYTES || stat.size < 4) return undefined;
  return { path, bytes: tree.read(path) };
}
