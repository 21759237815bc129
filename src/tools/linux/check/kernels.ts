/** What `--kernel` may name for a check, and what lies beside it: the module tree, the configuration, Module.symvers. */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Invalid } from '../../../bytes/errors.ts';
import { ModuleExports } from '../../../systems/linux/kernelfile/modules.ts';
import { encode, type Savable } from '../../../systems/linux/kernelfile/saved.ts';
import { readSymvers, VMLINUX } from '../../../systems/linux/kernelfile/symvers.ts';
import { modulesBelow } from '../../../targets/census-tree.ts';
import { openKernel } from '../../../targets/kernel-store.ts';
import type { CheckKernel, CheckSurroundings } from '../../check.ts';
import { statIfAny } from '../../stat-if-any.ts';
import { FileLibrary, type Library, ListedLibrary } from './library.ts';
import { isPackage, kernelOfPackage } from './package.ts';
import { hasParts, kernelOfFolder, kernelOfText, namesIn, partKind, symversOf } from './parts.ts';

/** A Linux kernel to check against. */
export interface LinuxCheckKernel extends CheckKernel {
  readonly file: Savable;
  /** Its own modules, where they are known. */
  readonly own: Library | undefined;
}

/** @throws FormatError, or the file system's errors */
export function openCheckKernel(path: string, around: CheckSurroundings): LinuxCheckKernel {
  const source = sourceOf(path, around);
  const file = source.kind === 'image' ? openKernel(source.path, around) : source.open();
  const tree = source.kind === 'image' ? treeOf(source.path, path, file.release) : undefined;
  const listed = source.kind === 'image' && !path.startsWith('builtin:');
  const { library, from } = libraryOf(file, tree, listed ? symversOf(file.release, tree) : undefined);
  return {
    name: path,
    // A list of symbols does not say whose it is; its own name tells it from others.
    release: file.release === 'unknown' ? basename(path) : file.release,
    summary: `${file.machine}, ${file.exports.size} exports; ${from}`,
    file,
    own: library,
    save: () => saved(file, library),
  };
}

type Source =
  | { readonly kind: 'image'; readonly path: string }
  | { readonly kind: 'parts'; readonly open: () => Savable };

function sourceOf(path: string, around: CheckSurroundings): Source {
  if (path.startsWith('builtin:')) return { kind: 'image', path };
  if (isFolder(path)) {
    const found = kernelsIn(path);
    if (found.length === 1) return { kind: 'image', path: found[0] };
    if (found.length === 0 && hasParts(path)) return { kind: 'parts', open: () => kernelOfFolder(path) };
    const what =
      found.length === 0 ? 'no kernel is in it or belongs to it' : `${found.length} kernels are in it`;
    throw new Invalid(
      path,
      `${what}: ${found.join(', ') || 'vmlinuz-RELEASE, vmlinux or Module.symvers is looked for'}`,
    );
  }
  const bytes = readFileSync(path);
  if (isPackage(bytes, path)) return { kind: 'parts', open: () => kernelOfPackage(path, around) };
  const kind = partKind(bytes, path);
  return kind === undefined
    ? { kind: 'image', path }
    : { kind: 'parts', open: () => kernelOfText(path, kind) };
}

/** What is known of the kernel's modules: in the file itself, as a tree, or in its headers package (`list`). */
function libraryOf(
  file: Savable,
  tree: string | undefined,
  list: string | undefined,
): { library: Library | undefined; from: string } {
  if (file.modules !== undefined) {
    return {
      library: new ListedLibrary(file.modules, "the kernel's own modules"),
      from: 'its modules are known',
    };
  }
  if (tree !== undefined)
    return { library: new FileLibrary(pathsBelow(tree), true), from: `modules in ${tree}` };
  if (list === undefined) return { library: undefined, from: 'its modules are not known' };
  const rows = readSymvers(readFileSync(list, 'utf8')).filter(({ owner }) => owner !== VMLINUX);
  const names = [...new Set(rows.map(({ owner }) => owner))];
  const modules = new ModuleExports(
    names.map((name) => ({ name, proprietary: false, depends: [] })),
    rows,
  );
  return { library: new ListedLibrary(modules, list), from: `modules by ${list}` };
}

function* pathsBelow(tree: string): Generator<string> {
  for (const { path } of modulesBelow(tree)) yield path;
}

/** With what its modules export, so that the file alone answers what the folder did. */
function saved(file: Savable, library: Library | undefined): Uint8Array {
  const modules = library?.exports();
  return encode(file, { types: 'all', functionPointers: true, config: 'all', modules }).bytes;
}

const IMAGE = /^vmlinu[xz](-|$)/;

/** The kernel images that a folder stands for: /boot, an unpacked package, or a module tree with its kernel. */
export function kernelsIn(folder: string): string[] {
  const own = imagesAt(folder);
  if (own.length > 0) return own;
  const release = basename(folder);
  const around = ['../../../boot', '../../../../boot'].flatMap((place) => imagesAt(join(folder, place)));
  const fitting = around.filter((image) => basename(image).endsWith(`-${release}`));
  if (fitting.length > 0) return fitting;
  const inBoot = imagesAt(join(folder, 'boot'));
  if (inBoot.length > 0) return inBoot;
  return ['lib/modules', 'usr/lib/modules'].flatMap((place) =>
    namesIn(join(folder, place)).flatMap((name) => imagesAt(join(folder, place, name))),
  );
}

function imagesAt(folder: string): string[] {
  return namesIn(folder)
    .filter((name) => IMAGE.test(name) && !/\.(old|btf)$/.test(name))
    .sort()
    .map((name) => join(folder, name));
}

/** Is it a folder that stands for a kernel, or for several? */
export const isKernelFolder = (path: string): boolean =>
  isFolder(path) && (kernelsIn(path).length > 0 || hasParts(path));

export const isFolder = (path: string): boolean => statIfAny(path)?.isDirectory() === true;

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
  const machine = [`/lib/modules/${release}`, `/usr/lib/modules/${release}`];
  for (const folder of own === undefined ? machine : [own, ...machine]) {
    const [image] = kernelsIn(folder);
    if (image !== undefined) return image;
  }
  return existsSync(`/boot/vmlinuz-${release}`) ? `/boot/vmlinuz-${release}` : undefined;
}
