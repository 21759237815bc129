/** The built-in kernel, booted; and fixtures by name. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type BootOptions, bootLinux } from '../../../src/systems/linux/bootkernel.ts';
import type { KernelFile } from '../../../src/systems/linux/kernelfile/kernelfile.ts';
import { readKernel } from '../../../src/systems/linux/kernelfile/open.ts';
import type { Linux } from '../../../src/systems/linux/linux.ts';
import { insmod, type LoadOptions, type LoadResult } from '../../../src/systems/linux/loader.ts';

const root = new URL('../../../', import.meta.url);

let kernel: KernelFile | undefined;

export function builtinKernel(): KernelFile {
  kernel ??= readKernel(
    new Uint8Array(readFileSync(fileURLToPath(new URL('profiles/debian-6.1.kernel', root)))),
  );
  return kernel;
}

export function boot(options: BootOptions = {}): Linux {
  return bootLinux(builtinKernel(), options);
}

export function fixture(name: string): Uint8Array {
  return new Uint8Array(readFileSync(fileURLToPath(new URL(`fixtures/linux/built/${name}.ko`, root))));
}

class Stopped extends Error {}

/** Loads up to the init function, which is not run, and takes everything back. */
export function linkOnly(k: Linux, bytes: Uint8Array, options: LoadOptions = {}): LoadResult | 'linked' {
  const inject = (step: string) => {
    if (step === 'init') throw new Stopped();
  };
  try {
    return insmod(k, bytes, '', { ...options, inject });
  } catch (error) {
    if (error instanceof Stopped) return 'linked';
    throw error;
  }
}

/** What the log has gained since. */
export function newLines(k: Linux, since: number): string[] {
  return k.log.records.slice(since).map(({ level, text }) => `<${level}>${text}`);
}
