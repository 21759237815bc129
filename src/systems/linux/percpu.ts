/**
 * Per-CPU memory: one area for the one CPU, in the direct map: the kernel's static variables first, then what
 * `alloc_percpu` and modules take. A per-CPU pointer is the address the section was linked at (x86-64 up to 6.14: 0) plus
 * an offset into the area; `%gs` and `__per_cpu_offset[0]` hold the area's base less that address.
 */
import type { Cpu } from '../../cpu/cpu.ts';
import { type Address, PAGE_SIZE } from '../../memory/space.ts';
import type { Linux } from './linux.ts';

/** Room for modules and alloc_percpu beyond the static variables; the kernel starts with 28 kB and 8 kB for modules. */
const DYNAMIC_BYTES = 256 * 1024;
/** A per-CPU allocation larger than this is refused (PCPU_MIN_UNIT_SIZE, include/linux/percpu.h). */
const MAX_ALLOCATION = 32 * 1024;

/** Members of struct pcpu_hot by the name of the variable that they were before and are again. */
const HOT: Readonly<Record<string, string>> = {
  current_task: 'current_task',
  __preempt_count: 'preempt_count',
  cpu_number: 'cpu_number',
  cpu_current_top_of_stack: 'top_of_stack',
};

interface Piece {
  offset: number;
  bytes: number;
}

export class Percpu {
  /** What `%gs` holds in the kernel: added to a per-CPU pointer it gives CPU 0's copy. */
  readonly base: Address;
  /** The lowest per-CPU pointer: the link address of the kernel's per-CPU section. */
  private readonly start: Address;
  /** Bytes of the kernel's own variables, from offset 0 on. */
  readonly staticBytes: number;
  private readonly bits: 32 | 64;
  private readonly memory: Linux['memory'];
  private readonly end: number;
  /** Pieces in use, by offset. */
  private readonly used: Piece[] = [];

  constructor(k: Linux) {
    this.memory = k.memory;
    const sizes = k.file.percpu.map((variable) => variable.offset + variable.size);
    const section = k.file.sections.find((s) => s.role === 'percpu');
    this.staticBytes = roundUp(Math.max(section?.size ?? 0, ...sizes, PAGE_SIZE), PAGE_SIZE);
    const pages = (this.staticBytes + DYNAMIC_BYTES) / PAGE_SIZE;
    const order = Math.ceil(Math.log2(pages));
    const area = k.memory.directMap(k.memory.frames.allocate(order, 'per-CPU area'));
    this.start = section?.base ?? 0;
    this.base = area - this.start;
    this.end = this.start + (PAGE_SIZE << order);
    k.memory.fill(area, PAGE_SIZE << order, 0);
    this.bits = k.arch.bits;
    this.use(k.cpu);
  }

  /** Points the segment that machine code reads per-CPU variables through at them: %gs, or %fs of 32-bit kernels. */
  use(cpu: Cpu): void {
    if (this.bits === 64) cpu.gsBase = this.base;
    else cpu.fsBase = this.base;
  }

  /** Offset of a static per-CPU variable of the kernel, if the kernel file knows it. */
  static offsetOf(k: Linux, name: string): number | undefined {
    const start = k.file.sections.find((s) => s.role === 'percpu')?.base ?? 0;
    const find = (wanted: string) => {
      const variable = k.file.percpu.find(({ name: known }) => known === wanted);
      return variable === undefined ? undefined : start + variable.offset;
    };
    const own = find(name);
    if (own !== undefined) return own;
    // From 6.2 to 6.14 the most used ones share a cache line (arch/x86/include/asm/current.h).
    const [hot, member] = [find('pcpu_hot'), HOT[name]];
    return hot === undefined || member === undefined ? undefined : hot + k.offset(`pcpu_hot.${member}`);
  }

  /**
   * A zeroed per-CPU object: its per-CPU pointer, never 0; 0 when there is no room.
   * @param align a power of two, at most a page
   */
  allocate(size: number, align = 8): Address {
    if (!(size > 0) || size > MAX_ALLOCATION || align > PAGE_SIZE || !isPowerOfTwo(align)) return 0;
    let at = roundUp(this.start + this.staticBytes, align);
    let index = 0;
    for (; index < this.used.length && at + size > this.used[index].offset; index++) {
      at = roundUp(Math.max(at, this.used[index].offset + this.used[index].bytes), align);
    }
    if (at + size > this.end) return 0;
    this.used.splice(index, 0, { offset: at, bytes: size });
    this.memory.fill(this.base + at, size, 0);
    return at;
  }

  /** Frees what `allocate` gave; false when nothing was allocated there. */
  free(pointer: Address): boolean {
    const index = this.used.findIndex((piece) => piece.offset === pointer);
    if (index >= 0) this.used.splice(index, 1);
    return index >= 0;
  }

  /** Bytes of the allocation at a per-CPU pointer, undefined when there is none. */
  sizeOf(pointer: Address): number | undefined {
    return this.used.find((piece) => piece.offset === pointer)?.bytes;
  }

  /** Where CPU 0's copy of a per-CPU object lies. */
  addressOf(pointer: Address): Address {
    return this.base + pointer;
  }

  /** Is this address inside a per-CPU area? */
  holds(address: Address): boolean {
    return address >= this.base + this.start && address < this.base + this.end;
  }

  get usedBytes(): number {
    return this.used.reduce((sum, piece) => sum + piece.bytes, 0);
  }
}

function roundUp(value: number, align: number): number {
  return Math.ceil(value / align) * align;
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}
