/** request_module: who loads modules by name on the kernel's behalf is decided outside, as modprobe is. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';

/** Loads a module or alias; 0, a positive exit code of modprobe, or a negative errno. */
export type ModuleRequest = (k: Linux, name: string, wait: boolean) => Steps<number>;

/** Nobody is there to run modprobe: as with an empty /proc/sys/kernel/modprobe. */
function* nobody(): Steps<number> {
  return -Errno.ENOENT;
}

/** Replace `load` to serve requests. */
export const moduleRequest = perKernel<{ load: ModuleRequest }>(() => ({ load: nobody }));
