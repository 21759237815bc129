/** What linker_load_dependencies asks of a file (sys/kern/kern_linker.c): for the load and for a check without a kernel. */
import { type BuiltIn, findInterface, type VersionRange } from '../kld.ts';
import type { DependRecord, KldFile, VersionRecord } from '../kldfile.ts';
import { releaseOf } from '../version.ts';

/** An interface of the file that is there already, in the same version. */
export function takenInterface<T extends BuiltIn>(
  there: readonly T[],
  kld: KldFile,
): { readonly own: VersionRecord; readonly other: T } | undefined {
  for (const own of kld.versions) {
    const other = there.find((one) => one.name === own.name && one.version === own.version);
    if (other !== undefined) return { own, other };
  }
  return undefined;
}

/** What has to be there, in the file's own order. What it declares itself it does not ask others for. */
export const dependenciesOf = (kld: KldFile): DependRecord[] =>
  kld.depends.filter(({ name }) => !kld.versions.some((own) => own.name === name));

/** Is one of these what is wanted? */
export const provides = (there: readonly BuiltIn[], depend: DependRecord): boolean =>
  findInterface(there, depend.name, depend) !== undefined;

export const takenText = (name: string, version: number, file: string): string =>
  `interface ${name}.${version} already present in the KLD '${file}'!`;

export const dependsText = (file: string, name: string): string =>
  `KLD ${file}: depends on ${name} - not available or version mismatch`;

/** Said after a relocatable file was refused: the class for shared objects did not want it either. */
export const unsupportedText = (version: number, path: string): string =>
  version < 1200000
    ? 'linker_load_file: Unsupported file type'
    : `linker_load_file: ${path} - unsupported file type`;

export const registeredText = (name: string, file: string, from: string): string =>
  `module_register: cannot register ${name} from ${file}; already loaded from ${from}`;

/** In our words: why the kernel is not the one it was built for, and what to do. */
export function wrongKernel(
  version: number,
  { minimum, maximum }: VersionRange,
): { readonly why: string; readonly hint: string } {
  const older = version < minimum;
  const range = minimum === maximum ? 'takes no other' : `takes kernels up to ${maximum}`;
  return {
    why: `It was built for FreeBSD ${releaseOf(minimum)} (${minimum}) and ${range}; this one is ${releaseOf(version)} (${version}), ${older ? 'older than that' : maximum === minimum ? 'later than that' : 'of a later major version'}.`,
    hint: older
      ? 'Update the kernel, or build the module with its sources.'
      : 'Build the module for this kernel.',
  };
}
