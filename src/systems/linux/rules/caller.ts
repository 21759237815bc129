/** may_init_module, the flags of finit_module and what kernel_read_file says of the file (kernel/module/main.c). */
import { Errno } from '../errno.ts';
import type { Judge } from './judge.ts';
import type { LoadFlags } from './modinfo.ts';

export interface Caller {
  /** Has CAP_SYS_MODULE. */
  readonly privileged: boolean;
  /** kernel.modules_disabled */
  readonly modulesDisabled: boolean;
  readonly flags: LoadFlags;
  /** Bytes of the file. */
  readonly size: number;
}

/** Who may load at all, and how. */
export function checkCaller(judge: Judge, { privileged, modulesDisabled, flags, size }: Caller): void {
  judge.enter('privilege');
  if (!privileged) {
    const why = 'Loading a module needs the capability CAP_SYS_MODULE, which the caller does not have.';
    judge.refuse('privilege', Errno.EPERM, why, 'Do it as root.');
  }
  judge.enter('modules-disabled');
  if (modulesDisabled) {
    const why = 'kernel.modules_disabled is 1: nothing can be loaded or unloaded until the next boot.';
    judge.refuse('modules-disabled', Errno.EPERM, why, 'Restart the kernel; the switch only goes one way.');
  }
  judge.enter('decompress');
  if (flags.compressed && !judge.has('decompress')) {
    const why = 'This kernel does not unpack modules itself (CONFIG_MODULE_DECOMPRESS).';
    judge.refuse('decompress', Errno.EOPNOTSUPP, why, 'Unpack the file before, as kmod does.');
  }
  judge.enter('empty');
  if (size === 0) judge.refuse('empty', Errno.EINVAL, 'The file is empty.', 'Fetch or build it again.');
}
