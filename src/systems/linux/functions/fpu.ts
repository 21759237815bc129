/**
 * Vector and coprocessor registers for kernel code (arch/x86/kernel/fpu/core.c): a section that uses them cannot be
 * preempted, and sections do not nest. Registers belong to the thread here, so there are no user's to be put aside.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';
import { disablePreemption, enablePreemption, inHardInterrupt, softirqsOff } from './sched.ts';

/** What kernel_fpu_begin_mask is asked to set up (arch/x86/include/asm/fpu/api.h). */
const SET_UP = { COPROCESSOR: 1, MXCSR: 2 } as const;
const DEFAULT_MXCSR = 0x1f80;

/** in_kernel_fpu */
const section = perKernel<{ open: boolean }, Linux>(() => ({ open: false }));

function begin(k: Linux, what: number): void {
  disablePreemption(k);
  k.state(section).open = true;
  if (what & SET_UP.MXCSR) k.cpu.mxcsr = DEFAULT_MXCSR;
  if (what & SET_UP.COPROCESSOR) k.cpu.initialiseCoprocessor();
}

function end(k: Linux): void {
  k.state(section).open = false;
  enablePreemption(k);
}

const usable = (k: Linux): boolean => !k.state(section).open && (!inHardInterrupt(k) || !softirqsOff(k));

export const fpuFunctions = kernelFunctions({
  'bool irq_fpu_usable(void)': (k) => (usable(k) ? 1 : 0),
  'void kernel_fpu_begin_mask(unsigned int kfpu_mask)': (k, what) => begin(k, what),
  'void kernel_fpu_end(void)': (k) => end(k),
});
