/** What `--kernel` may name for a check, and what lies beside it: the module tree, the configuration, Module.symvers. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Invalid } from '../../../bytes/errors.ts';
import type { KernelFile } from '../../../systems/linux/kernelfile/kernelfile.ts';
import { encode, type Savable } from '../../../systems/linux/kernelfile/saved.ts';
import { modulesBelow } from '../../../targets/census-tree.ts';
import { openKernel } from '../../../targets/kernel-store.ts';
import type { CheckKernel, CheckSurroundings } from '../../check.ts';
import { FileLibrary, type Library } from './library.ts';

/** A Linux kernel to check against. */
export interface LinuxCheckKernel extends CheckKernel {
  readonly file: KernelFile & Savable;
  /** Its own modules, where they are known. */
  readonly own: Library | undefined;
  /** Where they are: a folder or file. */
  readonly ownPlace: string;
}

/** @throws FormatError, or the file system's errors */
export function openCheckKernel(path: string, around: CheckSurroundings): LinuxCheckKernel {
  const image = imageOf(path);
  const file = openKernel(image, around);
  const tree = treeOf(image, path, file.release);
  const own = tree === undefined ? undefined : new FileLibrary(pathsBelow(tree), true);
  const from = tree === undefined ? 'its modules are not known' : `modules in ${tree}`;
  return {
    name: path,
    release: file.release,
    summary: `${file.machine}, ${file.exports.size} exports; ${from}`,
    file,
    own,
    ownPlace: tree ?? '',
    save: () => saved(file),
  };
}

function* pathsBelow(tree: string): Generator<string> {
  for (const { path } of modulesBelow(tree)) yield path;
}

function saved(file: KernelFile & Savable): Uint8Array {
  return encode(file, { types: 'all', functionPointers: true, config: 'all' }).bytes;
}

const IMAGE = /^vmlinu[xz](-|$)/;

/** A folder stands for the one kernel in it. */
function imageOf(path: string): string {
  if (path.startsWith('builtin:') || !isFolder(path)) return path;
  const found = kernelsIn(path);
  if (found.length === 1) return found[0];
  const what =
    found.length === 0 ? 'no kernel image is in it or belongs to it' : `${found.length} kernels are in it`;
  throw new Invalid(path, `${what}: ${found.join(', ') || 'vmlinuz-RELEASE or vmlinux is looked for'}`);
}

/** The kernel images that a folder stands for: /boot, an unpacked package, or a module tree with its kernel. */
export function kernelsIn(folder: string): string[] {
  const own = imagesAt(folder);
  if (own.length > 0) return own;
  const release = basename(folder);
  const places = ['../../../boot', '../../../../boot', 'boot', 'lib/modules', 'usr/lib/modules'];
  const around = places.slice(0, 2).flatMap((place) => imagesAt(join(folder, place)));
  const fitting = around.filter((image) => basename(image).endsWith(`-${release}`));
  if (fitting.length > 0) return fitting;
  const inBoot = imagesAt(join(folder, 'boot'));
  if (inBoot.length > 0) return inBoot;
  return places.slice(3).flatMap((place) => folders(join(folder, place)).flatMap(imagesAt));
}

function imagesAt(folder: string): string[] {
  if (!isFolder(folder)) return [];
  return readdirSync(folder)
    .filter((name) => IMAGE.test(name) && !name.endsWith('.old') && !name.endsWith('.btf'))
    .sort()
    .map((name) => join(folder, name));
}

const folders = (folder: string): string[] =>
  isFolder(folder)
    ? readdirSync(folder)
        .map((name) => join(folder, name))
        .filter(isFolder)
    : [];

export const isFolder = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** The module tree of a kernel: the folder itself, or the one that its package put beside it. */
function treeOf(image: string, given: string, release: string): string | undefined {
  const at = dirname(image);
  const candidates = [
    given,
    at,
    join(at, '../lib/modules', release),
    join(at, '../usr/lib/modules', release),
  ];
  return candidates.find((place) => isFolder(place) && isModuleTree(place));
}

const isModuleTree = (folder: string): boolean =>
  ['kernel', 'modules.order', 'modules.builtin'].some((name) => existsSync(join(folder, name)));

/** The image of the kernel that a module names in its vermagic: beside the module's own tree, or that of this machine. */
export function imageForRelease(release: string, modulePath: string): string | undefined {
  if (!/^[\w.+~-]+$/.test(release)) return undefined;
  const tree = modulePath.lastIndexOf(`/${release}/`);
  const own = tree < 0 ? undefined : modulePath.slice(0, tree + release.length + 1);
  const folders = [
    ...(own === undefined ? [] : [own]),
    `/lib/modules/${release}`,
    `/usr/lib/modules/${release}`,
  ];
  for (const folder of folders) {
    const [image] = kernelsIn(folder);
    if (image !== undefined) return image;
  }
  return existsSync(`/boot/vmlinuz-${release}`) ? `/boot/vmlinuz-${release}` : undefined;
}
