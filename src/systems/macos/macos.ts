/**
 * The macOS base kernel: the generic kernel plus XNU's address map, its list of kexts and the symbols that its KPIs
 * export. What a subsystem needs to remember lives in that subsystem's file (kernel/kernel.ts, `perKernel`).
 */

import { I386 } from '../../abi/i386.ts';
import { SystemV } from '../../abi/sysv.ts';
import type { Engine } from '../../cpu/engines.ts';
import { X86Translator } from '../../cpu/x86/lift.ts';
import type { Prototype } from '../../ctypes/prototype.ts';
import type { FunctionTable, KernelFunction } from '../../kernel/functions.ts';
import { FunctionGates, HiddenGates, mapGates } from '../../kernel/gates.ts';
import { Kernel } from '../../kernel/kernel.ts';
import type { MissingPolicy } from '../../kernel/missing.ts';
import { plainPc } from '../../kernel/pc.ts';
import type { Fault } from '../../kernel/scheduler.ts';
import type { Steps } from '../../kernel/steps.ts';
import { type Thread, ThreadKilled } from '../../kernel/thread.ts';
import type { Undo } from '../../kernel/transaction.ts';
import { AreaAllocator } from '../../memory/areas.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import { judgeFault, judgeMisuse } from './faults.ts';
import { Heap } from './heap.ts';
import { KextList, type LoadedKext } from './kexts.ts';
import { KpiSymbols } from './kpi.ts';
import { type AddressMap, I386_MAP, STACK_BYTES, X86_64_MAP } from './map.ts';
import type { Release } from './release.ts';
import { classFunction, classObject } from './runtime/classes.ts';
import { withoutWidths } from './runtime/mangled.ts';
import { KernelClasses } from './runtime/vtables.ts';
import { macosDeclarations, macosTypes, prototypeParser } from './types.ts';

/** Kernels that run here. */
export type Machine = 'x86_64' | 'i386';

export interface MacosOptions {
  readonly release: Release;
  readonly architecture?: Machine;
  readonly seed?: number;
  /** What executes machine code. */
  readonly engine?: Engine;
  /** What an import that nobody wrote does; 'stop' (at the call) by default. */
  readonly missing?: MissingPolicy;
  readonly functions: FunctionTable<Macos>;
  readonly data: readonly DataSymbol[];
  readonly bootArgs?: string;
}

/** An exported object of the kernel: made when a kext first links against it. */
export interface DataSymbol {
  /** With its leading underscore. */
  readonly name: string;
  readonly bytes: number;
  readonly fill?: (k: Macos, at: Address) => void;
}

const RAM_BYTES = 64 * 2 ** 20;

/** The process on whose behalf kernel code runs. */
export interface Process {
  readonly pid: number;
  readonly name: string;
  readonly uid: number;
}

const KERNEL_TASK: Process = { pid: 0, name: 'kernel_task', uid: 0 };

export class Macos extends Kernel {
  readonly release: Release;
  readonly architecture: Machine;
  readonly map: AddressMap;
  readonly bootArgs: string;
  readonly heap: Heap;
  readonly kexts: KextList;
  readonly kpi: KpiSymbols;
  /** The kernel's C++ classes: which functions their vtables hold, in this release. */
  readonly classes: KernelClasses;
  /** How to take away what each load put into place, last first. */
  readonly loads = new Map<LoadedKext, readonly Undo[]>();
  readonly kextArea: AreaAllocator;
  readonly declarations;
  /** What the panic said, when the machine has stopped. */
  panicked: string | undefined;
  /** Why, in a line: what the code did, or the words of its own call of panic. */
  panicCause: string | undefined;
  process: Process = KERNEL_TASK;
  private readonly functionGates: FunctionGates<Macos>;
  private readonly hiddenGates: HiddenGates;
  private readonly dataSymbols: ReadonlyMap<string, DataSymbol>;
  private readonly dataAt = new Map<string, Address>();
  private nextData: Address;
  private readonly prototypes: (text: string) => Prototype;
  private pids = 100;

  constructor(options: MacosOptions) {
    const architecture = options.architecture ?? 'x86_64';
    const bits = architecture === 'i386' ? 32 : 64;
    const map = bits === 64 ? X86_64_MAP : I386_MAP;
    const declarations = macosDeclarations(bits);
    super({
      memory: { ramBytes: RAM_BYTES, directMap: undefined, pointerBytes: bits === 64 ? 8 : 4 },
      machine: plainPc,
      translator: new X86Translator({ bits }),
      convention: (memory) => (bits === 64 ? new SystemV(memory) : new I386(memory, 'cdecl')),
      types: macosTypes(declarations),
      gates: map.gates,
      stacks: { area: new AreaAllocator(map.stacks, map.stacksEnd), bytes: STACK_BYTES },
      seed: options.seed ?? 1,
      engine: options.engine,
      missing: options.missing ?? 'stop',
    });
    this.architecture = architecture;
    this.map = map;
    this.nextData = map.data;
    this.kextArea = new AreaAllocator(map.kexts, map.kextsEnd);
    this.declarations = declarations;
    this.prototypes = prototypeParser(declarations);
    this.release = options.release;
    this.bootArgs = options.bootArgs ?? '';
    mapGates(this);
    this.memory.mapLazy(
      map.data,
      (map.dataEnd - map.data) / PAGE_SIZE,
      Perm.R | Perm.W,
      'kernel data',
      () => undefined,
    );
    this.heap = new Heap(this);
    this.kpi = new KpiSymbols(options.release, architecture);
    this.classes = new KernelClasses(options.release, architecture);
    this.hiddenGates = new HiddenGates(this, map.absent);
    this.functionGates = new FunctionGates<Macos>(this, options.functions, this.hiddenGates);
    this.dataSymbols = new Map(options.data.map((data) => [data.name, data]));
    this.kexts = new KextList(this);
    this.scheduler.prepareInterrupts();
  }

  // -- symbols ----------------------------------------------------------------------------------------------

  /** Did somebody write this kernel function or object? The name has its leading underscore. */
  implements(symbol: string): boolean {
    const name = this.written(functionName(symbol));
    return (
      this.functionGates.has(name) ||
      this.dataSymbols.has(symbol) ||
      classFunction(this, name) !== undefined ||
      classObject(this, symbol) !== undefined
    );
  }

  /** The address of a kernel symbol: of the object, of the function's gate, or of a gate that says what is missing. */
  link(symbol: string): Address {
    const data = this.dataSymbols.get(symbol);
    if (data !== undefined) return this.data(data);
    const object = classObject(this, symbol);
    if (object !== undefined) return object;
    const name = this.written(functionName(symbol));
    return this.functionGates.address(name) ?? this.classGate(name) ?? this.functionGates.missing(name);
  }

  /** The name under which a function is written here: on i386 that of x86_64, where nobody wrote the other. */
  private written(name: string): string {
    if (this.word === 8 || !name.startsWith('_Z') || this.functionGates.has(name)) return name;
    if (this.bareNames.size === 0)
      for (const one of this.functionGates.names) this.bareNames.set(withoutWidths(one), one);
    return this.bareNames.get(withoutWidths(name)) ?? name;
  }
  private readonly bareNames = new Map<string, string>();

  /** A constructor, destructor or the like of a class of the kernel. */
  private classGate(name: string): Address | undefined {
    const known = this.classGates.get(name);
    if (known !== undefined) return known;
    const made = classFunction(this, name);
    if (made === undefined) return undefined;
    const at = this.gate(name, made as KernelFunction<never>);
    this.classGates.set(name, at);
    return at;
  }
  private readonly classGates = new Map<string, Address>();

  /** A gate that stands for something nobody wrote. */
  missingGate(what: string): Address {
    return this.functionGates.missing(what);
  }

  /** The address of an exported object by name. @throws RangeError when nobody wrote it */
  object(symbol: string): Address {
    const data = this.dataSymbols.get(symbol);
    if (data === undefined) throw new RangeError(`there is no kernel object ${symbol}`);
    return this.data(data);
  }

  private data(symbol: DataSymbol): Address {
    const known = this.dataAt.get(symbol.name);
    if (known !== undefined) return known;
    const at = this.takeData(symbol.bytes);
    this.dataAt.set(symbol.name, at);
    symbol.fill?.(this, at);
    return at;
  }

  /** Room in the kernel's data, zeroed and never given back. */
  takeData(bytes: number): Address {
    const at = this.nextData;
    this.nextData += Math.ceil(bytes / 16) * 16;
    if (this.nextData > this.map.dataEnd) throw new Error('no room for another kernel object');
    return at;
  }

  /** A text of the kernel's own, where functions that give texts find it; the same place each time. */
  constantText(text: string): Address {
    const known = this.texts.get(text);
    if (known !== undefined) return known;
    const bytes = new TextEncoder().encode(`${text}\0`);
    const at = this.takeData(bytes.length);
    this.memory.poke(at, bytes);
    this.texts.set(text, at);
    return at;
  }
  private readonly texts = new Map<string, Address>();

  parsePrototype(text: string): Prototype {
    return this.prototypes(text);
  }

  /** Who called the kernel function that runs now; 0 when it was no machine code. */
  caller(): Address {
    const frames = this.scheduler.current?.frames ?? [];
    return frames.some((frame) => frame.kind === 'guest') ? this.convention.returnAddress(this.cpu) : 0;
  }

  // -- log --------------------------------------------------------------------------------------------------

  /** Text to the system log: one record a line, of the part that ends a line. */
  print(text: string): void {
    this.partial += text;
    for (;;) {
      const end = this.partial.indexOf('\n');
      if (end < 0) return;
      this.log.write(6, this.partial.slice(0, end));
      this.partial = this.partial.slice(end + 1);
    }
  }
  private partial = '';

  /** Writes out a line that has not ended yet. */
  flush(): void {
    if (this.partial !== '') this.log.write(6, this.partial);
    this.partial = '';
  }

  // -- threads ----------------------------------------------------------------------------------------------

  /** Runs steps for a process, to the end. */
  runAs<T>(process: Omit<Process, 'pid'>, steps: Steps<T>): T {
    const before = this.process;
    this.process = { pid: ++this.pids, ...process };
    try {
      return this.scheduler.perform(process.name, steps);
    } finally {
      this.process = before;
      this.flush();
    }
  }

  switched(_thread: Thread): void {}

  fault(thread: Thread, fault: Fault): 'resume' | { kill: ThreadKilled } {
    const absent =
      fault.source !== 'budget' && fault.access !== 'execute'
        ? this.hiddenGates.nameAt(Number(BigInt.asIntN(64, fault.address)))
        : undefined;
    if (absent !== undefined) throw this.missingAt(absent, thread, fault.at);
    return judgeFault(this, thread, fault);
  }

  misuse(thread: Thread, error: unknown): ThreadKilled | undefined {
    return judgeMisuse(this, thread, error);
  }

  interruptible(): boolean {
    return (Number(this.cpu.rflags) & INTERRUPT_FLAG) !== 0;
  }

  trap(thread: Thread, vector: number): void {
    this.stop(thread, vector, `interrupt ${vector}`);
  }

  systemCall(thread: Thread): void {
    this.stop(thread, VECTOR_INVALID_OPCODE, 'a system call instruction in the kernel');
  }

  private stop(thread: Thread, vector: number, detail: string): void {
    const { rip } = this.cpu;
    const verdict = this.fault(thread, {
      source: 'cpu',
      vector,
      errorCode: 0,
      address: 0n,
      access: 'execute',
      at: rip,
      detail,
    });
    if (verdict !== 'resume') thread.die({ killed: verdict.kill });
  }

  /** Stops the machine: nothing runs after a panic. `cause` says in our words what came before. */
  panic(text: string, cause?: string): ThreadKilled {
    this.flush();
    this.panicCause ??= cause ?? text.replace(/^panic\(cpu \d[^)]*\): /, '').trim();
    this.panicked ??= text.split('\n')[0];
    for (const line of text.split('\n')) this.log.write(0, line);
    return new ThreadKilled('panic', 0, this.panicked);
  }
}

/** RFLAGS.IF */
const INTERRUPT_FLAG = 0x200;
const VECTOR_INVALID_OPCODE = 6;

/** C names carry one underscore in Mach-O symbol tables. */
export const functionName = (symbol: string): string => (symbol.startsWith('_') ? symbol.slice(1) : symbol);
