/** Which machine the kexts on a command line are for: one for i386 alone does not start on a 64-bit kernel. */
import { FormatError } from '../../bytes/errors.ts';
import { architectureName, isMachO, readSlices } from '../../formats/macho/fat.ts';
import { KextBundle } from '../../systems/macos/bundle.ts';
import type { Machine } from '../../systems/macos/macos.ts';
import type { ModuleFile } from '../system.ts';
import { bundlesInArchive, mayHoldBundles } from './archive.ts';
import { hostBundle, isBundle } from './host-bundle.ts';

/** Undefined when nothing is said: no code, or code for other machines. */
export function namedMachine(named: readonly ModuleFile[]): Machine | undefined {
  const all = named.map(architectures).filter((names) => names.length > 0);
  if (all.length === 0) return undefined;
  if (all.every((names) => names.includes('x86_64'))) return 'x86_64';
  return all.every((names) => names.includes('i386')) ? 'i386' : undefined;
}

function architectures({ path, bytes }: ModuleFile): string[] {
  try {
    return slicesOf(path, bytes).map(({ cputype, cpusubtype }) => architectureName(cputype, cpusubtype));
  } catch (error) {
    if (error instanceof FormatError) return [];
    throw error;
  }
}

function slicesOf(path: string, bytes: Uint8Array | undefined): ReturnType<typeof readSlices> {
  if (bytes !== undefined && !isMachO(bytes)) {
    const archived = mayHoldBundles(path, bytes) ? bundlesInArchive(bytes) : undefined;
    return archived === undefined ? [] : [...new KextBundle(archived.tree, archived.bundles[0]).slices];
  }
  if (bytes !== undefined) return readSlices(bytes);
  if (!isBundle(path)) return [];
  const { tree, at } = hostBundle(path);
  return [...new KextBundle(tree, at).slices];
}
