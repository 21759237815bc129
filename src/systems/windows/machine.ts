/** The processor that drivers see: a plain PC whose cr8 is the IRQL. */
import type { CpuMachine } from '../../cpu/machine.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { plainPc } from '../../kernel/pc.ts';
import type { Windows } from './windows.ts';

/** Task priority register: on x64 the IRQL itself. */
const CR8 = 8;
/** Where the processor's page tables are: nowhere, for what is mapped is kept outside of the guest's memory. */
const CR3 = 3;
const PAGE_TABLES = "the processor's page tables (CR3), which are not in memory here";

export function windowsMachine(kernel: Kernel): CpuMachine {
  const pc = plainPc(kernel);
  const k = kernel as Windows;
  return {
    ...pc,
    rdmsr: (index) => {
      k.hardware?.('model-specific registers', `read 0x${index.toString(16)}`);
      return pc.rdmsr(index);
    },
    wrmsr: (index, value) => {
      k.hardware?.('model-specific registers', `write 0x${index.toString(16)}`);
      return pc.wrmsr(index, value);
    },
    in: (port, size) => {
      k.hardware?.('ports', `in 0x${port.toString(16)}`);
      return pc.in(port, size);
    },
    out: (port, size, value) => {
      k.hardware?.('ports', `out 0x${port.toString(16)}`);
      pc.out(port, size, value);
    },
    readControl: (register) => {
      if (register === CR8) return BigInt(k.irql.current);
      if (register === CR3) k.asked.add(PAGE_TABLES);
      return pc.readControl?.(register) ?? 0n;
    },
    writeControl: (register, value) => {
      if (register === CR8) k.irql.set(Number(value & 0xfn));
      else pc.writeControl?.(register, value);
    },
  };
}
