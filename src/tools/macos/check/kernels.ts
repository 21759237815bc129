/** Kernels of macOS for `lkm check`: recorded releases, kernel and collection files, folders of export lists, whole machines. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FormatError, Invalid } from '../../../bytes/errors.ts';
import {
  builtInKernel,
  type CheckedKernel,
  isKernelFile,
  kernelOfLists,
  listOwner,
  readKernelFile,
  releaseOfDarwin,
  saveKernel,
} from '../../../systems/macos/check/kernel.ts';
import { REPOSITORIES } from '../../../systems/macos/library.ts';
import { readPlist } from '../../../systems/macos/plist.ts';
import { RELEASES } from '../../../systems/macos/release.ts';
import type { CheckKernel } from '../../check.ts';
import type { ModuleFile } from '../../system.ts';

export interface MacosCheckKernel extends CheckKernel {
  readonly kernel: CheckedKernel;
  /** A folder with the kext folders of a machine. */
  readonly root: string | undefined;
}

const PREFIX = 'builtin:macos';
/** Where kernels and collections lie on a machine, those with symbols first. */
const KERNELS = [
  'System/Library/Kernels/kernel',
  'System/Library/KernelCollections/BootKernelExtensions.kc',
  'mach_kernel',
];
const VERSION_PLIST = 'System/Library/CoreServices/SystemVersion.plist';

const hasKextFolders = (root: string): boolean =>
  REPOSITORIES.some((folder) => existsSync(join(root, folder)) && !existsSync(join(root, 'boot/kernel')));

function exportLists(folder: string): string[] {
  return readdirSync(folder).filter((name) => listOwner(name) !== undefined);
}

/** 0 = none of macOS's, 1 = certain. */
export function recogniseKernel({ path, bytes }: ModuleFile): number {
  if (path.startsWith('builtin:')) return path.startsWith(PREFIX) ? 1 : 0;
  if (bytes === undefined) return hasKextFolders(path) || exportLists(path).length > 2 ? 1 : 0;
  try {
    return isKernelFile(bytes) ? 1 : 0;
  } catch (error) {
    if (error instanceof FormatError) return 0;
    throw error;
  }
}

/** @throws FormatError */
export function openKernel(path: string): MacosCheckKernel {
  if (path.startsWith(PREFIX)) return opened(path, builtInKernel(path.slice('builtin:'.length)), undefined);
  if (!statSync(path).isDirectory())
    return opened(path, readKernelFile(new Uint8Array(readFileSync(path)), path), undefined);
  if (hasKextFolders(path)) return opened(path, kernelOfRoot(path), path);
  return opened(path, kernelOfFolder(path), undefined);
}

function opened(name: string, kernel: CheckedKernel, root: string | undefined): MacosCheckKernel {
  const release = `${kernel.release.product.replace(/^(.*?[\d.]+).*$/, '$1')} (Darwin ${kernel.darwin} ${kernel.architecture})`;
  const kexts = root === undefined ? '' : `; kexts of ${root}`;
  return {
    name,
    release,
    summary: `${release}, ${kernel.source}${kexts}`,
    kernel,
    root,
    save: () => saveKernel(kernel),
  };
}

/** The kernel that lies in a root folder, else the release that the folder says it is. */
function kernelOfRoot(root: string): CheckedKernel {
  for (const name of KERNELS) {
    const path = join(root, name);
    if (existsSync(path)) return readKernelFile(new Uint8Array(readFileSync(path)), path);
  }
  const plist = join(root, VERSION_PLIST);
  if (!existsSync(plist)) return builtInKernel('');
  const version = readPlist(new Uint8Array(readFileSync(plist)), VERSION_PLIST).ProductVersion;
  const parts = String(version).split('.');
  const name = parts[0] === '10' ? parts.slice(0, 2).join('.') : parts[0];
  if (!RELEASES.some((one) => one.name === name))
    throw new Invalid(plist, 'names a release that is not known', { value: String(version) });
  return builtInKernel(name);
}

/** The folder `config` of xnu's sources: lists of exports, and the version in MasterVersion. */
function kernelOfFolder(folder: string): CheckedKernel {
  const lists = exportLists(folder).map((name) => ({ name, text: readFileSync(join(folder, name), 'utf8') }));
  const master = join(folder, 'MasterVersion');
  const darwin = existsSync(master) ? readFileSync(master, 'utf8').trim().split(/\s/)[0] : '';
  if (releaseOfDarwin(darwin) === undefined)
    throw new Invalid(folder, 'has no MasterVersion that names a known Darwin', { value: darwin });
  return kernelOfLists(lists, { darwin, architecture: 'x86_64' });
}
