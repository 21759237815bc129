/** The kernel linker of a kernel, for kernel functions that need it. It is set once, at boot. */
import { perKernel } from '../../kernel/kernel.ts';
import type { Linker } from './linker.ts';

/** Holds the linker from boot on. */
const holder = perKernel<{ linker: Linker | undefined }>(() => ({ linker: undefined }));

export const linkerHolder = holder;

export const linkerOf = perKernel<Linker>((k) => {
  const { linker } = k.state(holder);
  if (linker === undefined) throw new Error('the kernel linker is used before it was started');
  return linker;
});
