/**
 * The Linux base kernel: the generic kernel plus Linux's address map, tasks, printk and symbol binding.
 * What a subsystem needs to remember lives in that subsystem's file (kernel/kernel.ts, `perKernel`).
 */

import type { Engine } from '../../cpu/engines.ts';
import { X86Translator } from '../../cpu/x86/lift.ts';
import type { Prototype } from '../../ctypes/prototype.ts';
import type { CType } from '../../ctypes/type.ts';
import type { Certificate } from '../../formats/pki/certificate.ts';
import { readCertificates } from '../../formats/pki/pem.ts';
import type { FunctionTable, KernelFunction } from '../../kernel/functions.ts';
import { Kernel, type StateKey } from '../../kernel/kernel.ts';
import type { MissingPolicy } from '../../kernel/missing.ts';
import { type KernelModule, ModuleTable } from '../../kernel/modules.ts';
import { plainPc } from '../../kernel/pc.ts';
import type { Fault } from '../../kernel/scheduler.ts';
import type { GuestValue, Steps } from '../../kernel/steps.ts';
import type { NearestSymbol } from '../../kernel/symbols.ts';
import { type Thread, ThreadKilled } from '../../kernel/thread.ts';
import { AreaAllocator } from '../../memory/areas.ts';
import { OutOfMemory } from '../../memory/frames.ts';
import type { Address } from '../../memory/space.ts';
import { SpareMemories } from '../../memory/spare.ts';
import { type AddressMap, type Architecture, architectureOf } from './arch.ts';
import { bootImage } from './boot.ts';
import type { Credential } from './cred.ts';
import { judgeFault } from './faults.ts';
import { finishRecord } from './functions/printk.ts';
import { Heap } from './heap.ts';
import type { KernelExport } from './kernelfile/exports.ts';
import type { KernelFile } from './kernelfile/kernelfile.ts';
import { prototypeFits } from './kernelfile/prototype-check.ts';
import { judgeMisuse } from './misuse.ts';
import type { LinuxModule } from './module.ts';
import { earlierName } from './newer-names.ts';
import { Percpu } from './percpu.ts';
import { definePrototypes } from './prototypes.ts';
import { enterSystemCall, kallsymsName } from './syscall.ts';
import { Tasks } from './tasks.ts';
import { interruptibleNow, trapInstruction } from './trap.ts';
import { describeLinuxValue } from './values.ts';

export interface LinuxOptions {
  readonly kernel: KernelFile;
  /** Guest RAM in MiB; 48 by default, of which untouched pages cost nothing. */
  readonly ramMiB?: number;
  readonly seed?: number;
  /** What an import that nobody wrote does; 'stop' (at the call) by default. */
  readonly missing?: MissingPolicy;
  /** What executes machine code; the outcome is the same. */
  readonly engine?: Engine;
  /** The kernel command line, as /proc/cmdline would show it. */
  readonly commandLine?: string;
  /** Files with certificates (PEM or DER) that the kernel trusts besides its own, as if their owner had enrolled them. */
  readonly certificates?: readonly Uint8Array[];
  readonly functions: FunctionTable<Linux>;
  /** Exported data objects and code of ours, written by the subsystem that owns them. */
  readonly data: readonly DataInitialiser[];
}

/** Fills exported data at boot or when first resolved: `at` is the symbol's link address. */
export interface DataInitialiser {
  readonly symbol: string;
  /** 'boot' runs at boot, 'import' when a module first imports the symbol. */
  readonly when: 'boot' | 'import';
  readonly fill: (k: Linux, at: Address) => void;
  /** Of the kernels that it is for: machine code of ours, mostly. Undefined: any. */
  readonly bits?: 32 | 64;
}

export class Linux extends Kernel {
  readonly file: KernelFile;
  readonly commandLine: string;
  readonly certificates: readonly Certificate[];
  readonly heap: Heap;
  readonly percpu: Percpu;
  readonly tasks: Tasks;
  /** vmalloc space and the module area: addresses only; frames come from memory.frames. */
  readonly vmallocArea: AreaAllocator;
  readonly moduleArea: AreaAllocator;
  readonly arch: Architecture;
  readonly map: AddressMap;
  readonly modules = new ModuleTable<LinuxModule>();
  /** Global taint mask (bit numbers of Documentation/admin-guide/tainted-kernels.rst). */
  taint = 0;
  private readonly functions: FunctionTable<Linux>;
  private readonly importData: Map<string, DataInitialiser[]>;
  private readonly dataSymbols: ReadonlySet<string>;
  private readonly prototypes: (text: string) => Prototype;

  constructor(options: LinuxOptions) {
    const arch = architectureOf(options.kernel);
    const { map, bits } = arch;
    const vmallocArea = new AreaAllocator(map.vmalloc, map.vmallocEnd);
    super({
      memory: {
        ramBytes: (options.ramMiB ?? 48) * 2 ** 20,
        directMap: map.directMap,
        pointerBytes: bits === 64 ? 8 : 4,
        spares: sparesOf(options.kernel),
      },
      machine: plainPc,
      translator: new X86Translator({ bits }),
      convention: (memory) => arch.convention(memory),
      types: options.kernel.types,
      gates: map.gates,
      // With a guard page between them, as VMAP_STACK has.
      stacks: { area: vmallocArea, bytes: arch.threadSize },
      seed: options.seed ?? 1,
      missing: options.missing ?? 'stop',
      engine: options.engine,
    });
    this.arch = arch;
    this.map = map;
    this.vmallocArea = vmallocArea;
    this.moduleArea =
      map.modules === map.vmalloc ? vmallocArea : new AreaAllocator(map.modules, map.modulesEnd);
    this.file = options.kernel;
    this.commandLine = options.commandLine ?? '';
    this.certificates = (options.certificates ?? []).flatMap(readCertificates);
    this.functions = options.functions;
    this.prototypes = definePrototypes(options.kernel.types);
    const ours = options.data.filter((data) => data.bits === undefined || data.bits === bits);
    this.importData = groupBySymbol(ours.filter((data) => data.when === 'import'));
    this.dataSymbols = new Set(ours.map((data) => data.symbol));
    bootImage(this);
    this.percpu = new Percpu(this);
    this.heap = new Heap(this);
    this.tasks = new Tasks(this);
    this.scheduler.prepareInterrupts();
    for (const data of ours) {
      if (data.when !== 'boot') continue;
      const found = this.file.exports.find(data.symbol);
      if (found !== undefined) data.fill(this, found.address);
    }
  }

  // -- symbols ----------------------------------------------------------------------------------------------

  /** Does the base kernel have this function (as TypeScript or as machine code)? */
  implements(name: string): boolean {
    return [name, earlierName(name) ?? name].some(
      (known) => this.functions.has(known) || this.dataSymbols.has(known),
    );
  }

  /** Every function that somebody wrote. */
  get functionNames(): Iterable<string> {
    return this.functions.keys();
  }

  /** The function of that name, under the name and with the prototype that this kernel has for it. */
  private functionFor(name: string): KernelFunction<Linux> | undefined {
    const known = this.functions.get(name) ?? this.functions.get(earlierName(name) ?? '');
    if (known?.others === undefined) return known;
    const own = this.types.prototype(name);
    return [known, ...known.others].find(({ prototype }) =>
      prototypeFits(this.parsePrototype(prototype), own),
    );
  }

  /**
   * Makes an exported symbol of the base kernel ready for use and gives its address: functions are bound to
   * their TypeScript, data are filled, and what nobody wrote is bound to the missing-function policy.
   */
  link(found: KernelExport): Address {
    if (this.linked.has(found)) return found.address;
    this.linked.add(found);
    const fn = this.functionFor(found.name);
    if (fn !== undefined) this.bind(found.name, found.address, fn as KernelFunction<never>);
    else if (this.fillData(found)) return found.address;
    else if (found.kind === 'function' && !this.hasCode(found.address))
      this.bindMissing(found.name, found.address);
    return found.address;
  }

  /** What was linked before: every import of every module asks. */
  private readonly linked = new Set<KernelExport>();

  /** Address of an exported or internal kernel function, bound; 0 when this kernel has no such name. */
  addressOf(name: string): Address {
    const found = this.file.exports.find(name);
    if (found !== undefined) return this.link(found);
    const fn = this.functionFor(name);
    if (fn === undefined) return 0;
    let gate = this.internal.get(name);
    if (gate === undefined) {
      gate = this.gate(name, fn as KernelFunction<never>);
      this.internal.set(name, gate);
    }
    return gate;
  }
  private readonly internal = new Map<string, Address>();

  /** Machine code of ours at a kernel function's address (thunks and helpers with odd register rules). */
  placeCode(address: Address, code: Uint8Array): void {
    this.memory.poke(address, code);
    this.codeAt.add(address);
  }
  private readonly codeAt = new Set<Address>();

  hasCode(address: Address): boolean {
    return this.codeAt.has(address);
  }

  /** The symbol an address lies in: modules first, then the kernel's exports, the only names a stripped image has. */
  override nearest(address: Address): NearestSymbol | undefined {
    const near = super.nearest(address);
    // Kernel functions that are not exported stand at gates; kallsyms knows them, too.
    if (near !== undefined) return { ...near, name: kallsymsName(near.name) };
    const found = this.file.exports.nearest(address);
    // Past the last page of the image nothing is "inside" the last export any more.
    if (found === undefined || found.kind === 'percpu' || address - found.address > 0x10000) return undefined;
    return { name: found.name, address: found.address, size: address - found.address + 1, module: undefined };
  }

  parsePrototype(text: string): Prototype {
    return this.prototypes(text);
  }

  /** Writes the data of a symbol when it is first imported; false when nobody wrote what they are. */
  private fillData({ name, address }: KernelExport): boolean {
    const fills = this.importData.get(name) ?? this.importData.get(earlierName(name) ?? '');
    if (fills === undefined) return false;
    if (this.filled.has(name)) return true;
    this.filled.add(name);
    this.heap.lasting(() => {
      for (const data of fills) data.fill(this, address);
    });
    return true;
  }
  private readonly filled = new Set<string>();

  /** Objects that it takes from the heap are the kernel's own. */
  protected override makeState<T>(key: StateKey<T>): T {
    // Not there yet while the image and the per-CPU areas are made.
    const { heap } = this as { readonly heap?: Heap };
    return heap === undefined ? super.makeState(key) : heap.lasting(() => super.makeState(key));
  }

  // -- log --------------------------------------------------------------------------------------------------

  /** printk at a level (0..7), without KERN_ prefix; one record per line. */
  printk(level: number, text: string): void {
    finishRecord(this);
    for (const line of text.replace(/\n$/, '').split('\n')) this.log.write(level, line);
  }

  // -- threads ----------------------------------------------------------------------------------------------

  /** Address of the current task_struct. */
  get current(): Address {
    return this.scheduler.current?.control || this.tasks.init;
  }

  /** Runs steps as a task of its own (a process as far as modules can tell), to the end. */
  runTask<T>(name: string, steps: Steps<T>, credential?: Credential): T {
    try {
      return this.scheduler.perform(name, steps, (thread) => this.tasks.adopt(thread, name, credential));
    } catch (error) {
      if (!(error instanceof OutOfMemory)) throw error;
      throw new ThreadKilled(
        name,
        9,
        `no process could be started: guest memory has run out (${error.message})`,
      );
    }
  }

  switched(thread: Thread): void {
    this.tasks.makeCurrent(thread);
  }

  fault(thread: Thread, fault: Fault): 'resume' | { kill: ThreadKilled } {
    return judgeFault(this, thread, fault);
  }

  override images(): Iterable<KernelModule> {
    return this.modules;
  }

  override describeValue(type: CType, value: GuestValue): string | undefined {
    return describeLinuxValue(this, type, value);
  }

  misuse(thread: Thread, error: unknown): ThreadKilled | undefined {
    return judgeMisuse(this, thread, error);
  }

  interruptible(): boolean {
    return interruptibleNow(this);
  }

  trap(thread: Thread, vector: number): void {
    trapInstruction(this, thread, vector);
  }

  systemCall(thread: Thread): void {
    enterSystemCall(this, thread);
  }
}

const spares = new WeakMap<KernelFile, SpareMemories>();

function sparesOf(kernel: KernelFile): SpareMemories {
  let known = spares.get(kernel);
  if (known === undefined) {
    known = new SpareMemories();
    spares.set(kernel, known);
  }
  return known;
}

function groupBySymbol(data: readonly DataInitialiser[]): Map<string, DataInitialiser[]> {
  const grouped = new Map<string, DataInitialiser[]>();
  for (const entry of data) grouped.set(entry.symbol, [...(grouped.get(entry.symbol) ?? []), entry]);
  return grouped;
}
