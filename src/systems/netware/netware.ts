/**
 * The NetWare base kernel: a server that is one program. Modules share its address space and its table of public
 * symbols, run in ring 0, and take turns only where they give way.
 */

import { I386 } from '../../abi/i386.ts';
import type { Engine } from '../../cpu/engines.ts';
import { X86Translator } from '../../cpu/x86/lift.ts';
import { Declarations } from '../../ctypes/declarations.ts';
import { ILP32_I386 } from '../../ctypes/model.ts';
import type { Prototype } from '../../ctypes/prototype.ts';
import { TypeTable } from '../../ctypes/table.ts';
import type { FunctionTable } from '../../kernel/functions.ts';
import { FunctionGates, mapGates } from '../../kernel/gates.ts';
import { Kernel } from '../../kernel/kernel.ts';
import type { MissingPolicy } from '../../kernel/missing.ts';
import { plainPc } from '../../kernel/pc.ts';
import { Pool } from '../../kernel/pool.ts';
import type { Fault } from '../../kernel/scheduler.ts';
import { type Thread, ThreadKilled } from '../../kernel/thread.ts';
import { type Address, PAGE_SIZE } from '../../memory/address.ts';
import { AreaAllocator } from '../../memory/areas.ts';
import { OutOfMemory } from '../../memory/frames.ts';
import { Perm } from '../../memory/space.ts';
import { judgeFault } from './faults.ts';
import { SearchPath, type ServerFiles } from './files.ts';
import { MAP } from './map.ts';
import { type BuiltInLibrary, Modules, type NlmModule, Publics } from './module.ts';
import { Resources } from './resources.ts';
import { Screens } from './screens.ts';
import { NETWARE_TYPES } from './types.ts';

export interface NetWareOptions {
  readonly functions: FunctionTable<NetWare>;
  readonly libraries: readonly BuiltInLibrary[];
  readonly files: ServerFiles;
  /** `5.70`: the number in messages; what MODULES shows goes by it. */
  readonly release: string;
  readonly seed?: number;
  /** What executes machine code. */
  readonly engine?: Engine;
  readonly missing?: MissingPolicy;
}

const STACK_BYTES = 32768;
const RAM_BYTES = 40 * 2 ** 20;
/** The clock of a PC: 65536 counts of 1193182 Hz. */
export const TICK_NS = Math.round((65536 / 1193182) * 1e9);

export class NetWare extends Kernel {
  readonly pool = new Pool<Address>(MAP.pool.base, MAP.pool.bytes);
  readonly publics = new Publics();
  readonly modules = new Modules();
  readonly resources: Resources;
  readonly screens: Screens;
  readonly search = new SearchPath();
  readonly files: ServerFiles;
  readonly functions: FunctionGates<NetWare>;
  readonly libraries: readonly BuiltInLibrary[];
  readonly loadedLibraries = new Set<BuiltInLibrary>();
  readonly release: string;
  /** SECURE CONSOLE was given. */
  secure = false;
  /** Interrupts are off while this is above zero (Disable, Enable). */
  interruptLocks = 0;
  /** Which module a thread belongs to. */
  readonly threadModule = new Map<Thread, NlmModule>();
  /** SynchronizeStart was called by these modules; these loaders wait for it. */
  readonly synchronized = new Set<Address>();
  readonly waitingForSynchronize = new Map<Address, Thread>();
  private readonly openFiles = new Map<number, Uint8Array>();
  private readonly commandLines = new Map<NlmModule, Address[]>();
  private nextFile = 1;
  private readonly declarations: Declarations;

  constructor(options: NetWareOptions) {
    const declarations = new Declarations(ILP32_I386).add(NETWARE_TYPES);
    super({
      memory: { ramBytes: RAM_BYTES, pointerBytes: 4, directMap: undefined },
      machine: plainPc,
      translator: new X86Translator({ bits: 32 }),
      convention: (memory) => new I386(memory, 'cdecl'),
      types: new TypeTable(declarations),
      gates: MAP.gates,
      stacks: {
        area: new AreaAllocator(MAP.stacks.base, MAP.stacks.base + MAP.stacks.bytes),
        bytes: STACK_BYTES,
      },
      seed: options.seed ?? 1,
      engine: options.engine,
      missing: options.missing ?? 'stop',
    });
    this.declarations = declarations;
    this.files = options.files;
    this.libraries = options.libraries;
    this.release = options.release;
    mapGates(this);
    this.memory.mapLazy(MAP.video.base, MAP.video.bytes / PAGE_SIZE, Perm.R | Perm.W, 'video memory');
    this.memory.mapLazy(MAP.pool.base, MAP.pool.bytes / PAGE_SIZE, Perm.R | Perm.W | Perm.X, 'server memory');
    this.resources = new Resources(this);
    this.screens = new Screens(this);
    this.functions = new FunctionGates<NetWare>(this, options.functions);
    this.publishServer();
    this.scheduler.prepareInterrupts();
  }

  /** The server's own publics: everything that no library has. */
  private publishServer(): void {
    const inLibraries = new Set(this.libraries.flatMap(({ names }) => [...names]));
    // Names that begin with lkm_ are entry points of ours that modules get as arguments.
    for (const name of this.functions.names) {
      if (!inLibraries.has(name) && !name.startsWith('lkm_')) this.publishFunction(name);
    }
    const address = this.pool.allocate(4);
    this.memory.setPtr(address, this.screens.console.id);
    this.publics.add({ name: 'systemConsoleScreen', address, owner: undefined });
  }

  private publishFunction(name: string): void {
    const address = this.functions.address(name);
    if (address !== undefined) this.publics.add({ name, address, owner: undefined });
  }

  /** A library that the server has built in: its publics are there from now on. */
  loadLibrary(library: BuiltInLibrary): void {
    if (this.loadedLibraries.has(library)) return;
    this.loadedLibraries.add(library);
    for (const name of library.names) this.publishFunction(name);
  }

  /** 5 for `5.70`. */
  get majorRelease(): number {
    return Number.parseInt(this.release, 10);
  }

  /** Where the function in progress was called from. */
  get caller(): Address {
    return this.convention.returnAddress(this.cpu);
  }

  /** The module whose code called, or whose thread it is. */
  get callingModule(): NlmModule | undefined {
    const { current } = this.scheduler;
    return this.modules.at(this.caller) ?? (current && this.threadModule.get(current));
  }

  /** Modules that have ended by themselves and go as soon as none of their code runs any more. */
  readonly ending = new Set<NlmModule>();

  unloadLater(module: NlmModule): void {
    this.ending.add(module);
  }

  /** How a thread ends that somebody else ended. */
  ended(thread: Thread): ThreadKilled {
    return new ThreadKilled(thread.name, 0, 'the thread was destroyed');
  }

  // -- files that modules read --------------------------------------------------------------------------------

  /** A file handle of the server's own, for the read routine that start procedures get. */
  openForReading(bytes: Uint8Array): number {
    const handle = this.nextFile++;
    this.openFiles.set(handle, bytes);
    return handle;
  }

  fileBytes(handle: number): Uint8Array | undefined {
    return this.openFiles.get(handle);
  }

  closeFile(handle: number): void {
    this.openFiles.delete(handle);
  }

  /** A module may keep the address of its command line: it lives as long as the module. */
  keepCommandLine(module: NlmModule, address: Address): void {
    const lines = this.commandLines.get(module);
    if (lines === undefined) this.commandLines.set(module, [address]);
    else lines.push(address);
  }

  freeCommandLines(module: NlmModule): void {
    for (const address of this.commandLines.get(module) ?? []) this.pool.free(address);
    this.commandLines.delete(module);
  }

  // -- what the scheduler asks ------------------------------------------------------------------------------

  fault(thread: Thread, fault: Fault): 'resume' | { kill: ThreadKilled } {
    return judgeFault(this, thread, fault);
  }

  misuse(thread: Thread, error: unknown): ThreadKilled | undefined {
    if (!(error instanceof OutOfMemory) && !(error instanceof RangeError)) return undefined;
    return new ThreadKilled(thread.name, 0, error.message);
  }

  switched(): void {
    // One address space, and nothing of the machine belongs to a thread.
  }

  interruptible(): boolean {
    return this.interruptLocks === 0 && (this.cpu.rflags & 0x200) !== 0;
  }

  trap(thread: Thread, vector: number): void {
    const at = this.cpu.rip;
    const verdict = this.fault(thread, {
      source: 'cpu',
      vector,
      errorCode: 0,
      address: 0n,
      access: 'execute',
      at,
    });
    if (verdict !== 'resume') throw verdict.kill;
  }

  systemCall(thread: Thread): void {
    this.trap(thread, 6);
  }

  parsePrototype(text: string): Prototype {
    return this.declarations.prototype(text);
  }
}
