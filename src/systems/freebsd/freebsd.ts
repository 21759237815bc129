/** The FreeBSD base kernel: the generic kernel plus FreeBSD's address map, threads, console, symbols and linker. */

import { I386 } from '../../abi/i386.ts';
import { SystemV } from '../../abi/sysv.ts';
import type { Engine } from '../../cpu/engines.ts';
import { X86Translator } from '../../cpu/x86/lift.ts';
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
import { type Address, Perm } from '../../memory/space.ts';
import { Console } from './console.ts';
import { type Bits, freebsdDeclarations, freebsdTypes } from './declarations.ts';
import { judgeFault, judgeMisuse, trapInstruction } from './faults.ts';
import type { KldModule } from './kld.ts';
import { Malloc } from './malloc.ts';
import { type AddressMap, AMD64_MAP, I386_MAP } from './map.ts';
import { KernelData } from './symbols.ts';
import { isCallFunction } from './sysent.ts';
import { Threads } from './threads.ts';

export interface FreeBsdOptions {
  /** `__FreeBSD_version` of the running kernel. */
  readonly version: number;
  /** 64 = amd64 (the default), 32 = i386. */
  readonly bits?: Bits;
  /** Guest RAM in MiB; 64 by default, of which untouched pages cost nothing. */
  readonly ramMiB?: number;
  readonly seed?: number;
  /** What executes machine code. */
  readonly engine?: Engine;
  /** What a symbol that the base kernel does not have means: 'stop' (when it is used) by default. */
  readonly missing?: MissingPolicy;
  readonly functions: FunctionTable<FreeBsd>;
  readonly data: readonly DataSymbol[];
  /** Kernel environment: loader tunables. */
  readonly environment?: ReadonlyMap<string, string>;
}

/** An exported object of the base kernel: put into memory when a module first names it. */
export interface DataSymbol {
  /** The name, or a pattern of a family of names (`M_*`, `*_desc`). */
  readonly name: string | RegExp;
  readonly bytes: number | ((k: FreeBsd) => number);
  readonly fill?: (k: FreeBsd, at: Address, name: string) => void;
}

/** KSTACK_PAGES: four on amd64. */
const STACK_BYTES = 16384;

export class FreeBsd extends Kernel {
  readonly version: number;
  readonly bits: Bits;
  readonly map: AddressMap;
  readonly kmem: AreaAllocator;
  readonly moduleArea: AreaAllocator;
  readonly heap: Malloc;
  readonly console: Console;
  readonly threads: Threads;
  readonly modules = new ModuleTable<KldModule>();
  readonly data: KernelData;
  /** Loader tunables and what setenv(9) and kenv(1) add. */
  readonly environment: Map<string, string>;
  readonly functionGates: FunctionGates<FreeBsd>;
  /** kern.securelevel: modules come and go only below 1. */
  securelevel = -1;
  private readonly declarations;

  constructor(options: FreeBsdOptions) {
    const bits = options.bits ?? 64;
    const map = bits === 64 ? AMD64_MAP : I386_MAP;
    const kmem = new AreaAllocator(map.kmem.base, map.kmem.end);
    super({
      memory: {
        ramBytes: (options.ramMiB ?? 64) * 2 ** 20,
        directMap: map.directMap,
        pointerBytes: bits === 64 ? 8 : 4,
      },
      machine: plainPc,
      translator: new X86Translator({ bits }),
      convention: (memory) => (bits === 64 ? new SystemV(memory) : new I386(memory, 'cdecl')),
      types: freebsdTypes(options.version, bits),
      gates: map.gates,
      stacks: { area: kmem, bytes: STACK_BYTES },
      seed: options.seed ?? 1,
      engine: options.engine,
      missing: options.missing ?? 'stop',
    });
    this.version = options.version;
    this.bits = bits;
    this.map = map;
    this.kmem = kmem;
    this.moduleArea = new AreaAllocator(map.modules.base, map.modules.end);
    this.environment = new Map(options.environment);
    this.declarations = freebsdDeclarations(options.version, bits);
    mapGates(this);
    this.console = new Console(this);
    this.heap = new Malloc(this);
    this.functionGates = new FunctionGates<FreeBsd>(this, options.functions);
    this.data = new KernelData(this, options.data);
    this.threads = new Threads(this);
    this.scheduler.prepareInterrupts();
  }

  /** Address of a kernel symbol; undefined when the kernel has none of that name (see MissingPolicy). */
  kernelSymbol(name: string): Address | undefined {
    return this.functionGates.address(name) ?? this.data.familyAddress(name);
  }

  /** As `kernelSymbol`, without the families of names that a module may define itself. */
  ownSymbol(name: string): Address | undefined {
    return this.functionGates.address(name) ?? this.data.address(name);
  }

  /**
   * As `kernelSymbol`; what nobody wrote has an address, too. Nothing is mapped there, unless it is known to be a function:
   * that has bytes for whoever looks at its code.
   */
  symbolAddress(name: string): Address {
    const found = this.kernelSymbol(name);
    if (found !== undefined) return found;
    return isCallFunction(this.version, name) ? this.functionGates.missing(name) : this.data.missing(name);
  }

  /** Does the base kernel have this symbol, as a function or as data? */
  implements(name: string): boolean {
    return this.functionGates.has(name) || this.data.has(name);
  }

  /** The struct thread of whoever runs. */
  get curthread(): Address {
    return this.scheduler.current?.control || this.threads.boot;
  }

  /** printf(9) to the message buffer. */
  printf(text: string): void {
    this.console.print(text);
  }

  /** Runs steps in a thread of their own, as a process that makes a system call, to the end. */
  runProcess<T>(name: string, steps: Steps<T>, uid = 0): T {
    return this.scheduler.perform(name, steps, (thread) => this.threads.adopt(thread, name, uid));
  }

  parsePrototype(text: string): Prototype {
    return this.declarations.prototype(text);
  }

  override nearest(address: Address): NearestSymbol | undefined {
    return super.nearest(address) ?? this.data.nearest(address);
  }

  switched(thread: Thread): void {
    this.threads.makeCurrent(thread);
  }

  override images(): Iterable<KldModule> {
    return this.modules;
  }

  fault(thread: Thread, fault: Fault): 'resume' | { kill: ThreadKilled } {
    return judgeFault(this, thread, fault);
  }

  misuse(thread: Thread, error: unknown): ThreadKilled | undefined {
    return judgeMisuse(this, thread, error);
  }

  interruptible(): boolean {
    return this.threads.interruptible();
  }

  trap(thread: Thread, vector: number): void {
    trapInstruction(this, thread, vector);
  }

  systemCall(thread: Thread): void {
    trapInstruction(this, thread, 6);
  }

  /** Writable memory for the kernel's own use at an address of the map. */
  mapFixed(base: Address, pages: number, what: string): void {
    this.memory.mapLazy(base, pages, Perm.R | Perm.W, what);
  }
}
