/** An initramfs as a folder of its own, so that the module tools can work in it. Links are followed inside of it, never out. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Invalid } from '../../../bytes/errors.ts';
import { ArchiveTree, TreeError } from '../../../catalog/file-tree.ts';
import { readArchive } from '../../../formats/archive/read.ts';
import { makeFolder } from '../../../targets/make-folder.ts';

/** What of an initramfs has to do with modules; the rest stays packed. */
const WANTED = [
  'lib/modules',
  'usr/lib/modules',
  'conf',
  'etc',
  'lib/modprobe.d',
  'usr/lib/modprobe.d',
  'run/modprobe.d',
  'usr/lib/modules-load.d',
];
const MAX_FILES = 100_000;
const MAX_BYTES = 2 ** 30;
const MAX_DEPTH = 40;

export class Unpacked {
  /** The folder here. */
  readonly folder: string;
  /** Module files by their path below lib/modules/RELEASE. */
  readonly modules = new Map<string, Uint8Array>();
  private left = MAX_BYTES;
  private count = 0;

  /** @throws FormatError when it is no archive, or a damaged one */
  constructor(bytes: Uint8Array, release: string) {
    const archive = readArchive(bytes);
    if (archive === undefined) throw new Invalid('initramfs', 'is no cpio archive, packed or not');
    const tree = new ArchiveTree('initramfs', archive.entries);
    this.folder = mkdtempSync(join(tmpdir(), 'lkm-initramfs-'));
    try {
      for (const folder of WANTED)
        this.copy(tree, folder, folder.replace(/^usr\/lib\/modules$/, 'lib/modules'), release, 0);
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  private copy(tree: ArchiveTree, from: string, to: string, release: string, depth: number): void {
    if (depth > MAX_DEPTH) return;
    for (const { name } of listed(tree, from)) {
      // A name that leads elsewhere is none.
      if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0')) continue;
      const path = `${from}/${name}`;
      const kind = tree.stat(path)?.kind;
      if (kind === 'folder') this.copy(tree, path, `${to}/${name}`, release, depth + 1);
      if (kind !== 'file') continue;
      const bytes = tree.read(path);
      this.left -= bytes.length;
      if (this.left < 0 || ++this.count > MAX_FILES)
        throw new Invalid('initramfs', 'has more in it than any real one');
      const target = join(this.folder, to, name);
      makeFolder(dirname(target));
      writeFileSync(target, bytes);
      const root = `lib/modules/${release}/`;
      const below = `${to}/${name}`;
      if (below.startsWith(root) && /\.ko(\.\w+)?$/.test(name))
        this.modules.set(below.slice(root.length), bytes);
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function listed(tree: ArchiveTree, folder: string): ReturnType<ArchiveTree['list']> {
  try {
    return tree.list(folder);
  } catch (error) {
    if (error instanceof TreeError) return [];
    throw error;
  }
}
