/**
 * Vector and coprocessor registers for kernel code (arch/x86/kernel/fpu/core.c): a section that uses them cannot be
 * preempted, and sections do not nest. Registers belong to the thread here, so there are no user's to be put aside.
 *
 * Ciphers open a section for each of their blocks: where the kernel file tells where in_kernel_fpu is, the functions are a few
 * instructions of machine code at their addresses, so that a block does not leave the processor.
 */
import type { KernelFunction } from '../../../kernel/functions.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { Percpu } from '../percpu.ts';
import { kernelFunctions } from './define.ts';
import { disablePreemption, enablePreemption, inHardInterrupt, PREEMPT, softirqsOff } from './sched.ts';

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

const calls = kernelFunctions({
  'bool irq_fpu_usable(void)': (k) => (usable(k) ? 1 : 0),
  'void kernel_fpu_begin_mask(unsigned int kfpu_mask)': (k, what) => begin(k, what),
  'void kernel_fpu_end(void)': (k) => end(k),
});

const bytes32 = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >> shift) & 255);
/** An instruction with a per-CPU variable as its operand: %gs:OFFSET. */
const onVariable = (offset: number, opcode: number, extension: number): number[] => [
  ...[0x65, opcode, 0x04 | (extension << 3), 0x25],
  ...bytes32(offset),
];
const RET = [0xc3, 0xcc];

/** The instructions of each function, by the places of in_kernel_fpu and the preemption count. */
const CODE: Readonly<Record<string, (open: number, count: number) => readonly number[]>> = {
  // xor %eax,%eax; cmpb $0,open; jne 1f; testl $HARDIRQ,count; je 0f; testl $SOFTIRQ,count; jne 1f; 0: inc %eax; 1: ret
  irq_fpu_usable: (open, count) => [
    ...[0x31, 0xc0, ...onVariable(open, 0x80, 7), 0, 0x75, 30],
    ...[...onVariable(count, 0xf7, 0), ...bytes32(PREEMPT.HARDIRQ_MASK), 0x74, 14],
    ...[...onVariable(count, 0xf7, 0), ...bytes32(PREEMPT.SOFTIRQ_MASK), 0x75, 2],
    ...[0xff, 0xc0, ...RET],
  ],
  // incl count; movb $1,open; test $MXCSR,%dil; je 0f; push $DEFAULT; ldmxcsr (%rsp); pop %rax
  // 0: test $COPROCESSOR,%dil; je 1f; fninit; 1: ret
  kernel_fpu_begin_mask: (open, count) => [
    ...[...onVariable(count, 0xff, 0), ...onVariable(open, 0xc6, 0), 1],
    ...[0x40, 0xf6, 0xc7, SET_UP.MXCSR, 0x74, 10],
    ...[0x68, ...bytes32(DEFAULT_MXCSR), 0x0f, 0xae, 0x14, 0x24, 0x58],
    ...[0x40, 0xf6, 0xc7, SET_UP.COPROCESSOR, 0x74, 2, 0xdb, 0xe3, ...RET],
  ],
  // movb $0,open; decl count; ret
  kernel_fpu_end: (open, count) => [...onVariable(open, 0xc6, 0), 0, ...onVariable(count, 0xff, 1), ...RET],
};

function place(k: Linux, symbol: string, at: Address): void {
  const [open, count] = ['in_kernel_fpu', '__preempt_count'].map((name) => Percpu.offsetOf(k, name));
  const fn = calls.get(symbol);
  if (k.cpu.bits === 64 && open !== undefined && count !== undefined)
    k.placeCode(at, Uint8Array.from(CODE[symbol](open, count)));
  else if (fn !== undefined) k.bind(symbol, at, fn as KernelFunction<never>);
}

export const fpuCode: readonly DataInitialiser[] = Object.keys(CODE).map((symbol) => ({
  symbol,
  when: 'import',
  fill: (k, at) => place(k, symbol, at),
}));
