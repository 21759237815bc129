/**
 * The library: kernels that run modules, and readers that work without one.
 *
 * ```ts
 * import { linux } from 'lkm';
 *
 * const kernel = await linux.boot({ seed: 1 });
 * kernel.on('log', (line) => console.log(line.text));
 * const hello = await kernel.load(bytes, { whom: 'Ada' });
 * console.log((await kernel.unload(hello)).leaks);
 * ```
 */
import { packagedPath } from './cli/packaged.ts';
import { kernelFromBytes } from './linux.ts';
import type { KernelFile } from './systems/linux/kernelfile/kernelfile.ts';
import { BUILT_IN, openKernel } from './targets/kernel-store.ts';
import { type BootOptions, bootKernel, type LinuxKernel, read } from './tools/linux/kernel.ts';

export { FormatError } from './bytes/errors.ts';
export type { LinuxModuleDescription } from './systems/linux/describe.ts';
export type {
  BootOptions,
  Device,
  Leak,
  LinuxKernel,
  LoadedModule,
  LoadOptions,
  LogLine,
  ModuleImage,
  ParameterValue,
} from './tools/linux/kernel.ts';
export { KernelError } from './tools/linux/kernel.ts';
export type {
  Description,
  LoadOutcome,
  ModuleFile,
  NativeSystem,
  SessionLeak,
  SessionOptions,
  Setting,
  SystemFiles,
  SystemSession,
  ToolCommand,
  ToolResult,
  UnloadOutcome,
} from './tools/system.ts';
export { SettingError } from './tools/system.ts';
export { loadSystem, recognise } from './tools/systems.ts';

export interface LinuxBootOptions extends BootOptions {
  /**
   * The kernel to be: `builtin:debian-6.1` (the default), a path of a vmlinuz, vmlinux or saved `.kernel`, or the bytes
   * of one.
   */
  readonly kernel?: string | Uint8Array;
}

function kernelOf(kernel: string | Uint8Array): KernelFile {
  if (typeof kernel === 'string')
    return openKernel(kernel, { packaged: packagedPath, environment: process.env });
  return kernelFromBytes(kernel);
}

export const linux = {
  /** Boots a Linux base kernel in this process. @throws FormatError when `kernel` cannot be read */
  async boot({ kernel = BUILT_IN, ...options }: LinuxBootOptions = {}): Promise<LinuxKernel> {
    return bootKernel(kernelOf(kernel), options);
  },
  read,
};
