/** The Solaris base kernel: the generic kernel plus Solaris's address map, threads, console, panic and symbol names. */

import { I386 as I386Convention } from '../../abi/i386.ts';
import { SystemV } from '../../abi/sysv.ts';
import type { Engine } from '../../cpu/engines.ts';
import { X86Translator } from '../../cpu/x86/lift.ts';
import type { Declarations } from '../../ctypes/declarations.ts';
import type { Prototype } from '../../ctypes/prototype.ts';
import type { FunctionTable } from '../../kernel/functions.ts';
import { FunctionGates, mapGates } from '../../kernel/gates.ts';
import { Kernel } from '../../kernel/kernel.ts';
import type { MissingPolicy } from '../../kernel/missing.ts';
import { ModuleTable } from '../../kernel/modules.ts';
import { plainPc } from '../../kernel/pc.ts';
import type { Fault } from '../../kernel/scheduler.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { NearestSymbol } from '../../kernel/symbols.ts';
import type { Thread, ThreadKilled } from '../../kernel/thread.ts';
import { AreaAllocator } from '../../memory/areas.ts';
import type { Address } from '../../memory/space.ts';
import { type DataSymbol, KernelData } from './data.ts';
import { solarisTypes } from './declarations.ts';
import { judgeFault, judgeMisuse, trapInstruction } from './faults.ts';
import { seconds } from './functions/clock.ts';
import { Heap } from './heap.ts';
import { AMD64, I386, type KernelMap } from './map.ts';
import type { SolarisModule } from './module.ts';
import { partOwning } from './parts.ts';
import { Syslog } from './syslog.ts';
import { type Credential, Threads } from './threads.ts';

export interface SolarisOptions {
  readonly bits?: 32 | 64;
  /** A kernel built with DEBUG: it says more, and unloads actively. */
  readonly debug?: boolean;
  readonly variant?: 'solaris' | 'illumos';
  readonly ramMiB?: number;
  readonly seed?: number;
  /** What executes machine code. */
  readonly engine?: Engine;
  readonly missing?: MissingPolicy;
  readonly functions: FunctionTable<Solaris>;
  readonly data: readonly DataSymbol[];
}

/** DEFAULTSTKSZ of amd64: five pages; we take six, as calls into TypeScript leave frames of their own. */
const STACK_BYTES = 24576;

const LOCK_LEVEL = 10;

export class Solaris extends Kernel {
  readonly map: KernelMap;
  readonly bits: 32 | 64;
  readonly debug: boolean;
  readonly variant: 'solaris' | 'illumos';
  readonly heap: Heap;
  readonly data: KernelData;
  readonly functionGates: FunctionGates<Solaris>;
  readonly syslog: Syslog;
  readonly threads: Threads;
  readonly textArea: AreaAllocator;
  readonly dataArea: AreaAllocator;
  /** What was placed where, by the address of its modctl. */
  readonly modules = new ModuleTable<SolarisModule>();
  /** Set once: the machine is down. */
  panicked: string | undefined;
  private readonly declarations: Declarations;

  constructor(options: SolarisOptions) {
    const bits = options.bits ?? 64;
    const map = bits === 64 ? AMD64 : I386;
    const { types, declarations } = solarisTypes(bits);
    super({
      memory: {
        ramBytes: (options.ramMiB ?? 64) * 2 ** 20,
        directMap: undefined,
        pointerBytes: bits === 64 ? 8 : 4,
      },
      machine: plainPc,
      translator: new X86Translator({ bits }),
      convention: (memory) => (bits === 64 ? new SystemV(memory) : new I386Convention(memory, 'cdecl')),
      types,
      gates: map.gates,
      stacks: { area: new AreaAllocator(map.stacks.base, map.stacks.end), bytes: STACK_BYTES },
      seed: options.seed ?? 1,
      engine: options.engine,
      missing: options.missing ?? 'stop',
    });
    this.map = map;
    this.bits = bits;
    this.debug = options.debug ?? false;
    this.variant = options.variant ?? 'solaris';
    this.declarations = declarations;
    mapGates(this);
    this.textArea = new AreaAllocator(map.text.base, map.text.end);
    this.dataArea = new AreaAllocator(map.moduleData.base, map.moduleData.end);
    this.syslog = new Syslog(this);
    this.heap = new Heap(this);
    this.functionGates = new FunctionGates<Solaris>(this, options.functions);
    this.data = new KernelData(this, options.data);
    this.threads = new Threads(this);
    this.scheduler.prepareInterrupts();
  }

  /** A symbol of the primary modules (unix, genunix); undefined when the base kernel has none of that name. */
  primarySymbol(name: string): Address | undefined {
    if (partOwning(name) !== undefined) return undefined;
    return this.functionGates.address(name) ?? this.data.address(name);
  }

  implements(name: string): boolean {
    return partOwning(name) === undefined && (this.functionGates.has(name) || this.data.has(name));
  }

  /** kthread_t of whoever runs. */
  get curthread(): Address {
    return this.scheduler.current?.control || this.threads.boot;
  }

  /** The module machine code called from; undefined for the kernel itself. */
  callingModule(): SolarisModule | undefined {
    return this.modules.at(this.convention.returnAddress(this.cpu));
  }

  /** Runs steps as a process of that user, to the end. */
  runProcess<T>(name: string, steps: Steps<T>, credential?: Credential): T {
    return this.scheduler.perform(name, steps, (thread) => this.threads.adopt(thread, credential));
  }

  /** A kernel thread of its own. */
  spawnThread(name: string, steps: Steps<unknown>): Thread {
    const thread = this.scheduler.spawn(name, steps);
    this.threads.adopt(thread);
    return thread;
  }

  parsePrototype(text: string): Prototype {
    return this.declarations.prototype(text);
  }

  override nearest(address: Address): NearestSymbol | undefined {
    return super.nearest(address) ?? this.data.nearest(address);
  }

  /** `module:name+offset` in hexadecimal, as stack traces of the kernel show an address. */
  where(address: Address): string {
    const near = this.nearest(address);
    if (near === undefined) return `0x${BigInt.asUintN(this.bits, BigInt(address)).toString(16)}`;
    return `${near.module ?? 'genunix'}:${near.name}+${(address - near.address).toString(16)}`;
  }

  switched(thread: Thread): void {
    this.threads.makeCurrent(thread);
    // A clock tick writes it on the real machine; here nothing looks between two switches.
    const hrestime = this.data.placedAt('hrestime');
    if (hrestime === undefined) return;
    this.memory.setPtr(hrestime, seconds(this));
    this.memory.setPtr(hrestime + this.word, this.time.now() % 1e9);
  }

  override images(): Iterable<SolarisModule> {
    return this.modules;
  }

  fault(thread: Thread, fault: Fault): 'resume' | { kill: ThreadKilled } {
    return judgeFault(this, thread, fault);
  }

  misuse(thread: Thread, error: unknown): ThreadKilled | undefined {
    return judgeMisuse(this, thread, error);
  }

  interruptible(): boolean {
    // Above LOCK_LEVEL no clock comes through (sys/machlock.h).
    return (
      (Number(this.cpu.rflags) & 0x200) !== 0 && this.read('cpu.cpu_pri', this.threads.cpu) <= LOCK_LEVEL
    );
  }

  trap(thread: Thread, vector: number): void {
    trapInstruction(this, thread, vector);
  }

  systemCall(thread: Thread): void {
    trapInstruction(this, thread, 6);
  }
}
