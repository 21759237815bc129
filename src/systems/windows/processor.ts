/** What inline code reads of the processor and of time: KPCR, KPRCB, KUSER_SHARED_DATA. Offsets as public symbols have them. */
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { Windows } from './windows.ts';

/** Ten million ticks of 100 ns are a second; the clock interrupts every 15.625 ms. */
const HUNDRED_NS = 100;
export const TIME_INCREMENT = 156250;
/** 2024-01-01 00:00:00 UTC in 100 ns since 1601: when every session boots. */
const BOOT_TIME = 133485408000000000n;

/** KUSER_SHARED_DATA. */
const SHARED = {
  TICK_LOW: 0x0,
  TICK_MULTIPLIER: 0x4,
  INTERRUPT_TIME: 0x8,
  SYSTEM_TIME: 0x14,
  TIME_ZONE_BIAS: 0x20,
  SYSTEM_ROOT: 0x30,
  BUILD: 0x260,
  PRODUCT_TYPE: 0x264,
  MAJOR: 0x26c,
  MINOR: 0x270,
  FEATURES: 0x274,
  PHYSICAL_PAGES: 0x2e8,
  TICK_COUNT: 0x320,
} as const;

/** KPCR on x64: the KPRCB begins at 0x180. */
const PCR64 = { SELF: 0x18, PRCB: 0x20, IRQL: 0x50, NUMBER: 0x184, THREAD: 0x188, IDLE: 0x198 } as const;
/** KPCR on x86: exception list at 0; the KPRCB begins at 0x120. */
const PCR32 = { EXCEPTIONS: 0, SELF: 0x1c, PRCB: 0x20, IRQL: 0x24, NUMBER: 0x51, THREAD: 0x124 } as const;

export class Processor {
  private readonly k: Windows;
  private readonly shared: Address;
  readonly pcr: Address;
  readonly prcb: Address;

  constructor(k: Windows) {
    this.k = k;
    const { memory, map } = k;
    const pfn = memory.frames.allocate(0);
    memory.map(map.sharedData, pfn, 1, Perm.R | Perm.W, 'KUSER_SHARED_DATA');
    memory.map(map.userSharedData, pfn, 1, Perm.R | Perm.U, 'KUSER_SHARED_DATA (user)');
    new Uint8Array(memory.wasm.buffer, memory.frameOffset(pfn), PAGE_SIZE).fill(0);
    this.shared = map.sharedData;
    this.pcr = k.kernelData(PAGE_SIZE * 2, 'KPCR');
    this.prcb = this.pcr + (k.word === 8 ? 0x180 : 0x120);
    this.fill();
    k.clocks.push(() => this.tick());
    this.tick();
  }

  /** 100 ns since 1601. */
  systemTime(): bigint {
    return BOOT_TIME + this.interruptTime();
  }

  /** 100 ns since boot. */
  interruptTime(): bigint {
    return BigInt(Math.floor(this.k.time.now() / HUNDRED_NS));
  }

  tickCount(): bigint {
    return this.interruptTime() / BigInt(TIME_INCREMENT);
  }

  showIrql(level: number): void {
    this.k.memory.set8(this.pcr + (this.k.word === 8 ? PCR64.IRQL : PCR32.IRQL), level);
  }

  /** KPRCB.CurrentThread. */
  /** What local time is behind the system's, in 100 ns, as KUSER_SHARED_DATA has it. */
  get zoneBias(): bigint {
    return BigInt.asIntN(64, this.k.memory.u64(this.shared + SHARED.TIME_ZONE_BIAS));
  }

  get currentThread(): Address {
    return this.k.memory.ptr(this.pcr + (this.k.word === 8 ? PCR64.THREAD : PCR32.THREAD));
  }

  set currentThread(thread: Address) {
    this.k.memory.setPtr(this.pcr + (this.k.word === 8 ? PCR64.THREAD : PCR32.THREAD), thread);
  }

  private fill(): void {
    const { memory, word, release, cpu } = this.k;
    const at = word === 8 ? PCR64 : PCR32;
    memory.setPtr(this.pcr + at.SELF, this.pcr);
    memory.setPtr(this.pcr + at.PRCB, this.prcb);
    if (word === 8) cpu.gsBase = this.pcr;
    else {
      cpu.fsBase = this.pcr;
      memory.set32(this.pcr + PCR32.EXCEPTIONS, 0xffffffff);
    }
    const set = (offset: number, value: number) => memory.set32(this.shared + offset, value);
    set(SHARED.TICK_MULTIPLIER, 0xfa00000);
    set(SHARED.BUILD, release.build);
    set(SHARED.PRODUCT_TYPE, 1);
    memory.set8(this.shared + SHARED.PRODUCT_TYPE + 4, 1);
    set(SHARED.MAJOR, release.major);
    set(SHARED.MINOR, release.minor);
    // FXSR, SSE2, RDTSC, PAE, CMPXCHG8B, MMX: what the processor of the base kernel has.
    for (const feature of [2, 3, 6, 8, 9, 10]) memory.set8(this.shared + SHARED.FEATURES + feature, 1);
    set(SHARED.PHYSICAL_PAGES, memory.frames.total);
    const root = 'C:\\Windows';
    for (let i = 0; i < root.length; i++)
      memory.set16(this.shared + SHARED.SYSTEM_ROOT + i * 2, root.charCodeAt(i));
  }

  private tick(): void {
    const { memory } = this.k;
    // KSYSTEM_TIME: low part, high part, and the high part once more for readers without locks.
    const time = (offset: number, value: bigint) => {
      const upper = Number(BigInt.asUintN(32, value >> 32n));
      memory.set32(this.shared + offset, Number(BigInt.asUintN(32, value)));
      memory.set32(this.shared + offset + 4, upper);
      memory.set32(this.shared + offset + 8, upper);
    };
    const ticks = this.tickCount();
    time(SHARED.INTERRUPT_TIME, this.interruptTime());
    time(SHARED.SYSTEM_TIME, this.systemTime());
    time(SHARED.TICK_COUNT, ticks);
    memory.set32(this.shared + SHARED.TICK_LOW, Number(BigInt.asUintN(32, ticks)));
  }
}
