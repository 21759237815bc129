/** The Windows NT base kernel: the generic kernel with NT's address map, objects, IRQL, pools and threads. */

import { I386 } from '../../abi/i386.ts';
import { Win64 } from '../../abi/win64.ts';
import type { Engine } from '../../cpu/engines.ts';
import { X86Translator } from '../../cpu/x86/lift.ts';
import { Declarations } from '../../ctypes/declarations.ts';
import { ILP32_WINDOWS, LLP64 } from '../../ctypes/model.ts';
import type { Prototype } from '../../ctypes/prototype.ts';
import { TypeTable } from '../../ctypes/table.ts';
import type { FunctionTable } from '../../kernel/functions.ts';
import { FunctionGates, mapGates } from '../../kernel/gates.ts';
import { Kernel } from '../../kernel/kernel.ts';
import type { MissingPolicy } from '../../kernel/missing.ts';
import type { PlacedFile } from '../../kernel/modules.ts';
import type { Fault } from '../../kernel/scheduler.ts';
import type { Steps } from '../../kernel/steps.ts';
import { type Thread, ThreadKilled } from '../../kernel/thread.ts';
import { AreaAllocator } from '../../memory/areas.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { BugCheck } from './bugcheck.ts';
import { declarationsFor } from './declarations.ts';
import { judgeFault, judgeMisuse } from './faults.ts';
import { type DriverImage, Images } from './images.ts';
import { Irql } from './irql.ts';
import { type KernelImage, mapKernelImages } from './kernel-image.ts';
import type { Leak } from './leaks.ts';
import { windowsMachine } from './machine.ts';
import { MAP32, MAP64, type WindowsMap } from './map.ts';
import { Objects } from './objects.ts';
import type { SessionPolicy } from './policy.ts';
import { Pool } from './pool.ts';
import { Processes } from './processes.ts';
import { Processor } from './processor.ts';
import { Registry } from './registry.ts';
import type { Release } from './release.ts';
import { STUBS } from './stubs.ts';
import { Threads } from './threads.ts';
import { callStack } from './unwind.ts';
import { Volume } from './volume.ts';

export interface WindowsOptions {
  readonly release: Release;
  /** x64 unless said otherwise. */
  readonly machine?: 'x64' | 'x86';
  readonly ramMiB?: number;
  readonly seed?: number;
  /** What executes machine code. */
  readonly engine?: Engine;
  readonly missing?: MissingPolicy;
  readonly functions: FunctionTable<Windows>;
  readonly data: DataTable;
}

/** An exported variable: how large, and what it holds. */
export interface ExportedData {
  readonly bytes: number;
  readonly fill: (k: Windows, at: Address) => void;
}

export type DataTable = ReadonlyMap<string, ExportedData>;

/** Functions of other libraries of the system, and our own entry points: the kernel's image does not export them. */
const OTHERS = /^(IopInvalidDeviceRequest$|Fx[A-Z]|Wdf|Flt|Ndis|Wmi[SC]|VideoPort|USBD_|Hid[PR]|Fwp)/;

/** KERNEL_STACK_SIZE on x64 is 24 kB. */
const STACK_BYTES = 0x6000;

export class Windows extends Kernel {
  readonly map: WindowsMap;
  readonly release: Release;
  readonly irql: Irql;
  readonly processor: Processor;
  readonly pool: Pool;
  readonly objects: Objects;
  readonly processes: Processes;
  readonly threads: Threads;
  readonly drivers: Images;
  readonly registry: Registry;
  /** The disk C:. */
  readonly volume: Volume;
  /** ntoskrnl.exe and hal.dll, as drivers find them. */
  readonly kernelImages: readonly KernelImage[];
  /** What ZwLoadDriver reads files by; a session sets it. */
  policy: SessionPolicy | undefined;
  readonly gatesByName: FunctionGates<Windows>;
  /** System PTEs. */
  readonly mappings: AreaAllocator;
  readonly userArea: AreaAllocator;
  /** Set when a bug check has stopped everything. */
  stopped: BugCheck | undefined;
  /** Told of ports and model-specific registers that machine code touches; nobody looks while it is undefined. */
  hardware: ((kind: string, what: string) => void) | undefined;
  /** What machine code has looked for and a real machine has, in words: the likely cause of what follows. */
  readonly asked = new Set<string>();
  /** Leaks of drivers whose unload had waited for a close. */
  readonly lateLeaks: Leak[] = [];
  /** The cancel spin lock's holder had this IRQL. */
  private readonly declarations: Declarations;
  private readonly dataArea: { next: Address; end: Address };
  private readonly data: DataTable;
  private readonly dataAt = new Map<string, Address>();

  constructor(options: WindowsOptions) {
    const narrow = options.machine === 'x86';
    const map = narrow ? MAP32 : MAP64;
    const declarations = new Declarations(narrow ? ILP32_WINDOWS : LLP64).add(declarationsFor(map.word));
    super({
      memory: { ramBytes: (options.ramMiB ?? 64) * 2 ** 20, directMap: undefined, pointerBytes: map.word },
      machine: windowsMachine,
      translator: new X86Translator({ bits: narrow ? 32 : 64 }),
      convention: (memory) => (narrow ? new I386(memory, 'stdcall') : new Win64(memory)),
      types: new TypeTable(declarations),
      gates: map.gates,
      stacks: { area: new AreaAllocator(map.stacks.base, map.stacks.end), bytes: STACK_BYTES },
      seed: options.seed ?? 1,
      engine: options.engine,
      missing: options.missing ?? 'stop',
    });
    this.map = map;
    this.release = options.release;
    this.declarations = declarations;
    this.data = options.data;
    mapGates(this);
    this.dataArea = { next: map.kernelData.base, end: map.kernelData.end };
    this.mappings = new AreaAllocator(map.mappings.base, map.mappings.end);
    this.userArea = new AreaAllocator(map.user.base, map.user.end);
    const pages = (map.kernelData.end - map.kernelData.base) / PAGE_SIZE;
    this.memory.mapLazy(map.kernelData.base, pages, Perm.R | Perm.W, 'kernel data');
    this.gatesByName = new FunctionGates<Windows>(this, options.functions);
    this.processor = new Processor(this);
    this.irql = new Irql(this);
    this.pool = new Pool(this);
    this.objects = new Objects(this);
    this.processes = new Processes(this);
    this.threads = new Threads(this);
    this.drivers = new Images(this);
    this.registry = new Registry();
    this.volume = new Volume(() => this.processor.systemTime());
    this.volume.outside = (path) => this.policy?.offered?.(path);
    this.kernelImages = mapKernelImages(this);
    this.scheduler.prepareInterrupts();
  }

  // -- symbols ----------------------------------------------------------------------------------------------

  /** Address of an exported function or variable; undefined when nobody wrote it. */
  exported(name: string): Address | undefined {
    return this.gatesByName.address(name) ?? this.exportedData(name) ?? this.stub(name);
  }

  /** Names of all exported functions and variables that somebody wrote. */
  *exportNames(): Generator<string> {
    for (const name of this.gatesByName.names) if (!OTHERS.test(name)) yield name;
    yield* this.data.keys();
    yield* STUBS[this.word].keys();
  }

  implements(name: string): boolean {
    return this.gatesByName.has(name) || this.data.has(name) || STUBS[this.word].has(name);
  }

  /** Zeroed kernel memory that is never given back. */
  kernelData(bytes: number, what: string): Address {
    const at = this.dataArea.next;
    this.dataArea.next += Math.ceil(bytes / 16) * 16;
    if (this.dataArea.next > this.dataArea.end) throw new Error(`no room in the kernel's data for ${what}`);
    return at;
  }

  private stub(name: string): Address | undefined {
    const known = this.dataAt.get(name);
    if (known !== undefined) return known;
    const code = STUBS[this.word].get(name);
    if (code === undefined) return undefined;
    const at = this.takeGate(code.length);
    this.memory.poke(at, code);
    this.dataAt.set(name, at);
    return at;
  }

  private exportedData(name: string): Address | undefined {
    const known = this.dataAt.get(name);
    if (known !== undefined) return known;
    const data = this.data.get(name);
    if (data === undefined) return undefined;
    const at = this.kernelData(data.bytes, name);
    this.dataAt.set(name, at);
    data.fill(this, at);
    return at;
  }

  /** As debuggers write an address: `nt!IoCreateDevice`, `hello+0x1080`. */
  override describe(address: Address): string {
    const image = this.drivers.at(address);
    if (image !== undefined) {
      const near = this.symbols.nearest(address);
      const stem = image.name.replace(/\.[^.]*$/, '');
      if (near !== undefined && near.name !== stem) {
        return `${stem}!${near.name}+0x${(address - near.address).toString(16)}`;
      }
      return `${stem}+0x${(address - image.base).toString(16)}`;
    }
    const name = this.nearest(address)?.name;
    if (name !== undefined) return `nt!${name}`;
    return `0x${BigInt.asUintN(this.word * 8, BigInt(address)).toString(16)}`;
  }

  /** The innermost return addresses of the thread that runs, with names. */
  backtrace(at?: Address): string[] {
    return callStack(this, at).map((address) => this.describe(address));
  }

  /** The driver whose code is nearest to the top of the stack: `trouble.sys - Address ... base at ..., DateStamp ...`. */
  culprit(at?: Address): string | undefined {
    for (const address of callStack(this, at)) {
      const image = this.drivers.at(address);
      if (image === undefined) continue;
      const hex = (value: number) =>
        BigInt.asUintN(this.word * 8, BigInt(value))
          .toString(16)
          .toUpperCase()
          .padStart(this.word * 2, '0');
      const stamp = image.pe.header.timeDateStamp.toString(16).padStart(8, '0');
      return `${image.name} - Address ${hex(address)} base at ${hex(image.base)}, DateStamp ${stamp}`;
    }
    return undefined;
  }

  parsePrototype(text: string): Prototype {
    return this.declarations.prototype(text);
  }

  // -- threads ----------------------------------------------------------------------------------------------

  /** Runs steps in a thread of a user process, or of the System process, to the end. */
  runThread<T>(name: string, user: boolean, steps: Steps<T>): T {
    return this.scheduler.perform(name, steps, (thread) => {
      this.threads.adopt(thread, user);
    });
  }

  switched(thread: Thread): void {
    if (thread.control !== 0) this.processor.currentThread = thread.control;
  }

  override placed(): PlacedFile[] {
    return [...this.drivers].map(({ path, pe, base }) => ({
      path,
      sections: pe.sections
        .filter(({ virtualSize }) => virtualSize > 0)
        .map(({ name, virtualAddress, virtualSize }) => ({
          name,
          address: base + virtualAddress,
          size: virtualSize,
          linked: Number(BigInt.asIntN(64, pe.header.imageBase)) + virtualAddress,
        })),
    }));
  }

  fault(thread: Thread, fault: Fault): 'resume' | { kill: ThreadKilled } {
    return judgeFault(this, thread, fault);
  }

  misuse(thread: Thread, error: unknown): ThreadKilled | 'resume' | undefined {
    return judgeMisuse(this, thread, error);
  }

  /** A DPC comes below DISPATCH_LEVEL, when the flag allows interrupts. */
  interruptible(): boolean {
    return this.stopped === undefined && this.irql.current < 2 && (this.cpu.rflags & 0x200) !== 0;
  }

  trap(thread: Thread, vector: number): void {
    const at = this.cpu.rip - (vector === 3 ? 1 : 2);
    const verdict = this.fault(thread, {
      source: 'cpu',
      vector,
      errorCode: 0,
      address: 0n,
      access: 'execute',
      at,
    });
    if (verdict !== 'resume') thread.die({ killed: verdict.kill });
  }

  systemCall(thread: Thread): void {
    thread.die({ killed: new ThreadKilled(thread.name, 0, 'a syscall instruction in kernel mode') });
  }

  /** Runs an action of the kernel's own with all memory in reach, whatever the IRQL. */
  asHigh<T>(action: () => T): T {
    return this.irql === undefined ? action() : this.irql.withPaged(action);
  }

  imageNamed(name: string): DriverImage | undefined {
    return this.drivers.named(name);
  }
}
