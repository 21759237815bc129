/** What surrounds a processor: whatever the instructions ask that is not computation. */
export interface CpuMachine {
  /** Each register as an unsigned 32-bit number. */
  cpuid(leaf: number, subleaf: number): { eax: number; ebx: number; ecx: number; edx: number };
  /** Model-specific registers other than the segment bases. undefined: no such register (#GP). */
  rdmsr(index: number): bigint | undefined;
  /** False: no such register, or the value is refused (#GP). */
  wrmsr(index: number, value: bigint): boolean;
  /** Port input of 1, 2 or 4 bytes. */
  in(port: number, size: number): number;
  out(port: number, size: number, value: number): void;
  /** The time-stamp counter. */
  tsc(): bigint;
  /** A random number for rdrand and rdseed; from the kernel's seed, so that runs repeat. */
  random?(): bigint;
  /** IA32_TSC_AUX, for rdtscp and rdpid. */
  readonly processorId?: number;
  /** Control register writes that the CPU itself does not act on. */
  writeControl?(register: number, value: bigint): void;
  readControl?(register: number): bigint;
  /**
   * Base of the segment a selector names, when 32-bit code loads fs or gs. Without it, or undefined: the base stays
   * when the selector was there already, and is 0 otherwise.
   */
  segmentBase?(selector: number): number | undefined;
}
