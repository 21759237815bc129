/**
 * The library's Linux without anything of Node: for browsers, workers and bundles. The kernel comes as bytes, such as those of
 * `lkm/profiles/debian-6.1.kernel`, or of a vmlinuz.
 *
 * ```ts
 * import { linux } from 'lkm/linux';
 *
 * const profile = new Uint8Array(await (await fetch('debian-6.1.kernel')).arrayBuffer());
 * const kernel = await linux.boot({ kernel: profile, seed: 1 });
 * ```
 */
import type { KernelFile } from './systems/linux/kernelfile/kernelfile.ts';
import { readKernel } from './systems/linux/kernelfile/open.ts';
import { decode, isSaved } from './systems/linux/kernelfile/saved.ts';
import { type BootOptions, bootKernel, type LinuxKernel, read } from './tools/linux/kernel.ts';

export { FormatError } from './bytes/errors.ts';
export { KernelError } from './tools/linux/kernel.ts';

/** The kernel that a file is, be it an image or one saved with `lkm kernel -o`. @throws FormatError */
export const kernelFromBytes = (bytes: Uint8Array): KernelFile =>
  isSaved(bytes) ? decode(bytes) : readKernel(bytes);

export interface LinuxBytesOptions extends BootOptions {
  /** The bytes of a vmlinuz, vmlinux or saved `.kernel`. */
  readonly kernel: Uint8Array;
}

export const linux = {
  /** Boots a Linux base kernel. @throws FormatError when `kernel` cannot be read */
  async boot({ kernel, ...options }: LinuxBytesOptions): Promise<LinuxKernel> {
    return bootKernel(kernelFromBytes(kernel), options);
  },
  read,
};
