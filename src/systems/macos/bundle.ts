/** A kext bundle: a folder with Info.plist, an executable and plug-ins, in either layout. */
import { BadMagic, Invalid } from '../../bytes/errors.ts';
import { architectureName, type FatSlice, readSlices } from '../../formats/macho/fat.ts';
import { type Architecture, KextInfo } from './info.ts';
import { type PlistDict, readPlist } from './plist.ts';
import { baseName, type FileTree, joinPath, normalPath } from './tree.ts';

/** Suffixes of the executables that a debugging kernel prefers (kcsuffix). */
export type ExecutableVariant = '' | '_development' | '_debug' | '_kasan';

export class KextBundle {
  readonly tree: FileTree;
  /** Path of the `.kext` folder in its tree. */
  readonly path: string;
  /** Where Info.plist is: `PATH/Contents`, or the bundle itself in the flat layout. */
  readonly contents: string;
  readonly properties: PlistDict;

  /** @throws Invalid, Unsupported when there is no readable Info.plist */
  constructor(tree: FileTree, path: string) {
    this.tree = tree;
    this.path = normalPath(path);
    const contents = joinPath(this.path, 'Contents');
    this.contents = tree.isFolder(contents) ? contents : this.path;
    const bytes = tree.read(this.infoPath);
    if (bytes === undefined) throw new Invalid(baseName(path), 'the bundle has no Info.plist');
    this.properties = readPlist(bytes, joinPath(this.path, 'Info.plist').slice(1));
  }

  get name(): string {
    return baseName(this.path);
  }

  get infoPath(): string {
    return joinPath(this.contents, 'Info.plist');
  }

  get infoBytes(): Uint8Array {
    return this.tree.read(this.infoPath) ?? new Uint8Array();
  }

  info(architecture: Architecture): KextInfo {
    return new KextInfo(this.properties, architecture);
  }

  /** Path of the executable that CFBundleExecutable names; undefined for a codeless kext. */
  executablePath(variant: ExecutableVariant = ''): string | undefined {
    const name = this.properties.CFBundleExecutable;
    if (typeof name !== 'string' || name === '') return undefined;
    const folder = this.contents === this.path ? this.path : joinPath(this.contents, 'MacOS');
    return joinPath(folder, name + variant);
  }

  get executable(): Uint8Array | undefined {
    const path = this.executablePath();
    return path === undefined ? undefined : this.tree.read(path);
  }

  /** The executable's Mach-O files: none when it is a file of another kind. @throws FormatError when it is damaged */
  get slices(): readonly FatSlice[] {
    const bytes = this.executable;
    if (bytes === undefined) return [];
    try {
      return readSlices(bytes);
    } catch (error) {
      if (error instanceof BadMagic) return [];
      throw error;
    }
  }

  /** The slice for an architecture; arm64 machines take arm64e as well. @throws FormatError */
  slice(architecture: Architecture): FatSlice | undefined {
    const named = this.slices.map((slice) => ({
      slice,
      name: architectureName(slice.cputype, slice.cpusubtype),
    }));
    const found = named.find(({ name }) => name === architecture);
    return (found ?? named.find(({ name }) => architecture === 'arm64' && name === 'arm64e'))?.slice;
  }

  /** Plug-in kexts: one level, as the system looks for them. */
  get plugIns(): string[] {
    const folder = joinPath(this.contents, 'PlugIns');
    return this.tree
      .list(folder)
      .filter((name) => name.endsWith('.kext'))
      .map((name) => joinPath(folder, name));
  }
}

/** The kexts directly in a folder, and their plug-ins (the scan of a repository is not recursive). */
export function bundlePaths(tree: FileTree, folder: string): string[] {
  const paths: string[] = [];
  for (const name of tree.list(folder)) {
    if (!name.endsWith('.kext')) continue;
    const path = joinPath(folder, name);
    paths.push(path);
    const contents = tree.isFolder(joinPath(path, 'Contents')) ? joinPath(path, 'Contents') : path;
    const plugIns = joinPath(contents, 'PlugIns');
    for (const plugIn of tree.list(plugIns))
      if (plugIn.endsWith('.kext')) paths.push(joinPath(plugIns, plugIn));
  }
  return paths;
}
