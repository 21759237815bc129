/** The same loads in a base kernel, as `askKernel` gives them. */
import { bootLinux } from '../../../src/systems/linux/bootkernel.ts';
import type { KernelFile } from '../../../src/systems/linux/kernelfile/kernelfile.ts';
import { insmod, rmmod } from '../../../src/systems/linux/loader.ts';
import type { LoadAnswer, LoadStep } from './qemu.ts';

export function askSandbox(
  kernel: KernelFile,
  commandLine: string,
  steps: readonly LoadStep[],
): LoadAnswer[] {
  const k = bootLinux(kernel, { commandLine, ramMiB: 96 });
  return steps.map(({ name, how, flags = 0, file = '', bytes, args = '' }) => {
    const from = k.log.records.length;
    const errno = how === 'drop' ? unload(file) : how === 'set' ? 0 : load();
    const log = k.log.records.slice(from).map(({ text }) => text);
    const { taint } = k;
    if (errno === 0 && (how === 'finit' || how === 'init')) {
      const newest = [...k.modules].at(-1);
      if (newest !== undefined) rmmod(k, newest.name, { force: true });
    }
    return { name, errno, log, taint };

    function load(): number {
      const loadFlags = {
        ignoreModversions: (flags & 1) !== 0,
        ignoreVermagic: (flags & 2) !== 0,
        compressed: (flags & 4) !== 0,
        unknown: (flags & ~7) !== 0,
        inMemory: how === 'init',
      };
      const result = insmod(k, bytes ?? new Uint8Array(0), args, { flags: loadFlags });
      if (result.outcome === 'refused') return result.refusal.errno;
      return result.outcome === 'loaded' ? 0 : 9999;
    }
    function unload(module: string): number {
      const result = rmmod(k, module);
      return result.outcome === 'unloaded' ? 0 : result.outcome === 'refused' ? result.refusal.errno : 9999;
    }
  });
}
