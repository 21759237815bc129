/** Functions of the C library, by a package that is loaded only here: nobody pays for it who needs none. */
import { createRequire } from 'node:module';

export interface ForeignLibrary {
  func(name: string, result: string, args: readonly string[]): (...args: readonly unknown[]) => unknown;
}

export interface Foreign {
  load(library: string | null): ForeignLibrary;
  errno(): number;
  os: { readonly errno: Readonly<Record<string, number>> };
}

/** undefined where the package is not installed or has no build for this machine. */
export function loadForeign(): Foreign | undefined {
  try {
    return createRequire(import.meta.url)('koffi') as Foreign;
  } catch {
    return undefined;
  }
}
