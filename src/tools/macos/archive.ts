/** Kext bundles in archives (zip, tar, cpio, compressed or not): the files with their owners and modes, and where bundles are. */
import { FormatError, Unsupported } from '../../bytes/errors.ts';
import { readArchive } from '../../formats/archive/read.ts';
import { isTar } from '../../formats/archive/tar.ts';
import { isZip } from '../../formats/archive/zip.ts';
import { baseName, FileTree, joinPath, ROOT_WHEEL } from '../../systems/macos/tree.ts';
import { DEVELOPER } from './import.ts';
import type { OwnerChoice } from './settings.ts';

export interface ArchivedBundles {
  readonly tree: FileTree;
  /** Paths of the outermost bundles. */
  readonly bundles: readonly string[];
}

/** Files of one archive; one with more holds no bundle that anybody made. */
const MAX_FILES = 100_000;
const MAX_BYTES = 2 ** 29;
const PACKED_NAME = /\.(zip|tar|tgz|txz|tbz2?|tar\.\w+|cpio|pax)$/i;

/** Could this be an archive with bundles in it? By its first bytes, or by its name where it is compressed. */
export const mayHoldBundles = (path: string, bytes: Uint8Array): boolean =>
  isZip(bytes) || isTar(bytes) || PACKED_NAME.test(path);

/** undefined for what is no archive, or one without a bundle. @throws FormatError when it is damaged */
export function bundlesInArchive(bytes: Uint8Array): ArchivedBundles | undefined {
  const tree = archiveTree(bytes);
  if (tree === undefined) return undefined;
  const bundles: string[] = [];
  for (const path of tree.walk('/')) {
    // Finder's zips hold a shadow of every file.
    if (path.startsWith('/__MACOSX/') || bundles.some((outer) => path.startsWith(`${outer}/`))) continue;
    if (!path.endsWith('.kext') || !tree.isFolder(path)) continue;
    const inside = [joinPath(path, 'Contents/Info.plist'), joinPath(path, 'Info.plist')];
    if (inside.some((one) => tree.read(one) !== undefined)) bundles.push(path);
  }
  return bundles.length === 0 ? undefined : { tree, bundles };
}

/** The archive's files with their owners and modes; what it does not say of them is root's, as an installer leaves it. */
export function archiveTree(bytes: Uint8Array): FileTree | undefined {
  const archive = readArchive(bytes);
  if (archive === undefined) return undefined;
  const total = archive.entries.reduce((sum, { size }) => sum + size, 0);
  if (total > MAX_BYTES) throw new Unsupported('archive', 'holds more than any bundle', { value: total });
  const tree = new FileTree();
  for (const entry of archive.entries.slice(0, MAX_FILES)) {
    const path = joinPath('/', new TextDecoder().decode(Uint8Array.from(entry.path, (c) => c.charCodeAt(0))));
    const { uid, gid, mode = 0o755 } = entry;
    const owner = { uid: uid ?? ROOT_WHEEL.uid, gid: gid ?? ROOT_WHEEL.gid, mode };
    if (entry.kind === 'folder') tree.put(path, { kind: 'folder', ...owner });
    else if (entry.kind === 'file') tree.put(path, { kind: 'file', ...owner, bytes: entry.bytes() });
    else if (entry.kind === 'link') tree.put(path, { kind: 'link', ...owner, target: entry.target ?? '' });
  }
  return tree;
}

/** The bundles of an archive, each below a folder; gives the path of the first. @throws FormatError */
export function unpackBundles(
  path: string,
  bytes: Uint8Array,
  into: FileTree,
  folder: string,
  owner: OwnerChoice,
): string | undefined {
  const archived = mayHoldBundles(path, bytes) ? bundlesInArchive(bytes) : undefined;
  if (archived === undefined) return undefined;
  const places = archived.bundles.map((at) => {
    const place = joinPath(folder, baseName(at));
    installTree(archived.tree, at, into, place, owner);
    return place;
  });
  return places[0];
}

/** Copies a bundle with its own owners (`host`), or as an installer or a developer leaves it. */
export function installTree(
  from: FileTree,
  at: string,
  into: FileTree,
  to: string,
  owner: OwnerChoice,
): void {
  into.copy(from, at, to, owner === 'host' ? undefined : owner === 'developer' ? DEVELOPER : ROOT_WHEEL);
  if (owner === 'host') return;
  for (const path of into.walk(to)) {
    const node = into.lookUp(path);
    if (node !== undefined) into.change(path, { mode: node.mode & ~0o022 });
  }
}

/** The same for recognising: damage is no bundle. */
export function holdsBundles(path: string, bytes: Uint8Array): boolean {
  if (!mayHoldBundles(path, bytes)) return false;
  try {
    return bundlesInArchive(bytes) !== undefined;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}
