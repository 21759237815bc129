/**
 * The base kernel: memory, processor, threads, time, log, symbols and the dispatch of kernel functions. It knows
 * no operating system; a system extends it with its own boot, load, unload, faults and functions.
 */
import {
  type Argument,
  type Convention,
  plainSignature,
  type Signature,
  signatureOf,
} from '../abi/convention.ts';
import type { CpuMachine } from '../cpu/cpu.ts';
import { Cpu } from '../cpu/cpu.ts';
import type { Engine } from '../cpu/engines.ts';
import type { Translator } from '../cpu/ir.ts';
import type { Prototype } from '../ctypes/prototype.ts';
import type { FieldRef, TypeTable } from '../ctypes/table.ts';
import type { CType } from '../ctypes/type.ts';
import type { AreaAllocator } from '../memory/areas.ts';
import { type Address, GuestMemory, PAGE_SIZE, Perm } from '../memory/space.ts';
import type { MemorySpec } from '../memory/spec.ts';
import type { KernelFunction } from './functions.ts';
import { KernelLog } from './log.ts';
import { type MissingFunction, MissingFunctionReached, type MissingPolicy } from './missing.ts';
import type { KernelModule, PlacedFile } from './modules.ts';
import { type Fault, Scheduler, type SchedulerOwner } from './scheduler.ts';
import type { Steps } from './steps.ts';
import { callGuest, type GuestValue, isSteps } from './steps.ts';
import { type NearestSymbol, SymbolMap } from './symbols.ts';
import type { Thread, ThreadKilled } from './thread.ts';
import { VirtualTime } from './time.ts';
import type { CallWatcher } from './watch.ts';

interface HostEntry {
  readonly name: string;
  readonly address: Address;
  readonly run: (thread: Thread) => void;
}

export interface KernelOptions {
  readonly memory: MemorySpec;
  /** Called with the kernel under construction: the clock and the seed are there when the machine is used. */
  readonly machine: (k: Kernel) => CpuMachine;
  readonly translator: Translator;
  readonly convention: (memory: GuestMemory) => Convention;
  readonly types: TypeTable;
  /** Where the base kernel may put gates for functions that have no address of their own. */
  readonly gates: { readonly base: Address; readonly bytes: number };
  /** Where kernel stacks are mapped, and the bytes of one (whole pages). */
  readonly stacks: { readonly area: AreaAllocator; readonly bytes: number };
  /** Seeds everything that is random in the guest. */
  readonly seed: number;
  readonly missing: MissingPolicy;
  /** What executes machine code; the outcome is the same. */
  readonly engine?: Engine;
}

/** Instructions that one record of the log is worth: a flood of warnings is an endless loop like any other. */
const RECORD_COST = 5000;
/** Instructions that taking, zeroing and mapping one page is worth. */
const PAGE_COST = 1000;
/** Bytes between two gates: a plausible function alignment, so that addresses look alike. */
export const GATE_STEP = 16;

export abstract class Kernel implements SchedulerOwner {
  readonly memory: GuestMemory;
  readonly cpu: Cpu;
  readonly translator: Translator;
  readonly convention: Convention;
  readonly types: TypeTable;
  readonly time: VirtualTime;
  readonly log: KernelLog;
  readonly symbols = new SymbolMap();
  readonly scheduler: Scheduler;
  readonly missing = new Map<string, MissingFunction>();
  readonly missingPolicy: MissingPolicy;
  readonly seed: number;
  /** Sees the calls between machine code and the kernel; nobody looks while it is undefined. */
  watcher: CallWatcher | undefined;
  /** Run each time machine code is about to run: for guest memory that shows the time. Cheap, please. */
  readonly clocks: (() => void)[] = [];
  private readonly entries: HostEntry[] = [];
  private readonly entryAt = new Map<Address, number>();
  readonly gates: KernelOptions['gates'];
  readonly stacks: KernelOptions['stacks'];
  /** Where machine code that TypeScript called returns to. */
  readonly returnGate: Address;
  private nextGate: Address;
  private readonly states = new Map<symbol, unknown>();
  private readonly fields = new Map<string, FieldRef>();
  private randomState: number;

  constructor(options: KernelOptions) {
    this.memory = new GuestMemory(options.memory);
    this.translator = options.translator;
    this.cpu = new Cpu(this.memory, options.machine(this), options.translator, { engine: options.engine });
    this.convention = options.convention(this.memory);
    this.types = options.types;
    this.time = new VirtualTime(() => this.cpu.retired);
    this.log = new KernelLog(() => this.time.now());
    this.missingPolicy = options.missing;
    this.seed = options.seed;
    this.randomState = (options.seed ^ 0x9e3779b9) >>> 0 || 1;
    this.gates = options.gates;
    this.stacks = options.stacks;
    this.nextGate = options.gates.base;
    const address = this.takeGate();
    this.returnGate = address;
    const id = this.addEntry('(return to the kernel)', address, () => undefined);
    this.scheduler = new Scheduler(this, { id, address });
    this.log.watch(() => this.scheduler.charge(RECORD_COST));
  }

  // -- what a system brings ---------------------------------------------------------------------------------

  abstract fault(thread: Thread, fault: Fault): 'resume' | { kill: ThreadKilled };
  abstract misuse(thread: Thread, error: unknown): ThreadKilled | 'resume' | undefined;
  abstract switched(thread: Thread): void;
  abstract interruptible(): boolean;
  abstract trap(thread: Thread, vector: number): void;
  abstract systemCall(thread: Thread): void;
  /** The system's parser of its own prototypes. */
  abstract parsePrototype(text: string): Prototype;

  /** How a person of this system writes such a value: an error's name, the bits of a mask. Undefined: as any C value. */
  describeValue(_type: CType, _value: GuestValue): string | undefined {
    return undefined;
  }

  /** Where files that a session has put into the system lie outside of it, by their paths inside: what a debugger opens. */
  origins: Map<string, string> = new Map();

  /** The images that are in memory, in the order they came. */
  images(): Iterable<KernelModule> {
    return [];
  }

  /** The same as a debugger is told of them. */
  placed(): PlacedFile[] {
    return [...this.images()].map(({ path, image }) => ({
      path,
      sections: image.file.sections
        .filter(({ allocated }) => allocated)
        .map(({ index, name, address: linked }) => {
          const { address, size } = image.sections.get(index) ?? { address: linked, size: 0 };
          return { name, address, size, linked };
        }),
    }));
  }

  /** Nobody needs the kernel any more: its memory becomes another's. Nothing of it may be used from then on. */
  close(): void {
    this.memory.release();
  }

  beforeGuest(): void {
    for (const clock of this.clocks) clock();
  }

  // -- per-subsystem state ----------------------------------------------------------------------------------

  /** Makes the value that a key stands for: once per kernel. */
  protected makeState<T>(key: StateKey<T>): T {
    return key.make(this);
  }

  /** The value that `make` gives once per kernel: how a file of kernel functions keeps its tables. */
  state<T>(key: StateKey<T>): T {
    let value = this.states.get(key.id) as T | undefined;
    if (value === undefined) {
      value = this.makeState(key);
      this.states.set(key.id, value);
    }
    return value;
  }

  // -- kernel functions -------------------------------------------------------------------------------------

  /** Binds a kernel function to the address it is called at. */
  bind(name: string, address: Address, fn: KernelFunction<never>): void {
    if (this.entryAt.has(address)) return;
    let signature: Signature | undefined;
    const handler = fn.handler as (k: unknown, ...args: unknown[]) => unknown;
    this.addEntry(name, address, (thread) => {
      signature ??= signatureOf(this.parsePrototype(fn.prototype), fn.prototype);
      const called = signature;
      const args = this.convention.readArguments(this.cpu, called);
      if (this.watcher !== undefined) this.tellCall(this.watcher, thread, name, args, fn.prototype);
      const result = handler(this, ...args);
      // Nearly every function is over by now: ciphers call some for each of their blocks, and a closure for a call is felt.
      if (isSteps(result)) this.goesOn(thread, name, called, result);
      else this.finished(thread, name, called, result);
    });
  }

  private goesOn(thread: Thread, name: string, called: Signature, result: Steps<unknown>): void {
    this.scheduler.complete(thread, name, result, (value) => this.finished(thread, name, called, value));
  }

  private finished(thread: Thread, name: string, called: Signature, value: unknown): void {
    this.convention.finish(this.cpu, called, value);
    this.watcher?.returned(thread, name, value);
  }

  private tellCall(
    watcher: CallWatcher,
    thread: Thread,
    name: string,
    args: readonly Argument[],
    text?: string,
  ): void {
    const prototype = text === undefined ? undefined : this.parsePrototype(text);
    const from = this.convention.returnAddress(this.cpu);
    watcher.called(thread, { name, prototype, text: text ?? '', args, from });
  }

  /** An address for a kernel function that has none of its own (a callback of ours that the guest may call). */
  gate(name: string, fn: KernelFunction<never>): Address {
    const address = this.takeGate();
    this.bind(name, address, fn);
    return address;
  }

  /** Binds an address to an entry with register rules of its own: it reads, writes and returns by itself. */
  bindRaw(name: string, address: Address, run: (thread: Thread) => void): void {
    if (this.entryAt.has(address)) return;
    this.addEntry(name, address, (thread) => {
      // It reads its registers itself: only that it was called can be told.
      if (this.watcher !== undefined) this.tellCall(this.watcher, thread, name, []);
      run(thread);
      this.watcher?.returned(thread, name, undefined);
    });
  }

  /** Binds an address that machine code may call but that nobody wrote: a call follows the missing policy. */
  bindMissing(name: string, address: Address): void {
    this.bindRaw(name, address, (thread) => {
      this.reachedMissing(name, thread, this.convention.returnAddress(this.cpu));
    });
  }

  /** Counts that code at an address has come to what nobody wrote; what says so is for the caller to throw. */
  missingAt(name: string, thread: Thread, at: Address): MissingFunctionReached {
    const entry = this.missing.get(name) ?? { name, callers: new Map<string, number>() };
    this.missing.set(name, entry);
    const where = this.describe(at);
    entry.callers.set(where, (entry.callers.get(where) ?? 0) + 1);
    return new MissingFunctionReached(thread.name, name, where);
  }

  private reachedMissing(name: string, thread: Thread, caller: Address): void {
    const error = this.missingAt(name, thread, caller);
    if (this.missingPolicy === 'stand-in') this.standIn(name);
    else throw error;
  }

  /** A typed stand-in: returns zero (NULL, success) in the width of the kernel's own prototype. */
  private standIn(name: string): void {
    const prototype = this.types.prototype(name);
    const signature = prototype === undefined ? plainSignature(name, 'long') : signatureOf(prototype);
    const { returns } = signature;
    this.convention.finish(this.cpu, signature, returns === 'u64' || returns === 'i64' ? 0n : 0);
  }

  /** Takes an unused gate address; the bytes there are the system's to write. */
  takeGate(bytes = GATE_STEP): Address {
    const address = this.nextGate;
    this.nextGate += Math.ceil(bytes / GATE_STEP) * GATE_STEP;
    if (this.nextGate > this.gates.base + this.gates.bytes)
      throw new Error('no room for another kernel gate');
    return address;
  }

  boundName(address: Address): string | undefined {
    const id = this.entryAt.get(address);
    return id === undefined ? undefined : this.entries[id].name;
  }

  dispatch(thread: Thread, id: number): void {
    const entry = this.entries[id];
    if (this.intercepts.size === 0 && this.interceptAll === undefined) entry.run(thread);
    else this.intercepted(thread, entry);
  }

  private intercepted(thread: Thread, { address, run }: HostEntry): void {
    const intercept = this.intercepts.get(address);
    if (intercept !== undefined) intercept(thread, () => run(thread));
    else if (this.interceptAll !== undefined && address !== this.returnGate)
      this.interceptAll(thread, address, () => run(thread));
    else run(thread);
  }

  /** Called instead of the kernel function at an address (probes); it may let the function run. */
  readonly intercepts = new Map<Address, (thread: Thread, run: () => void) => void>();
  /** The same for every function that has no intercept of its own. */
  interceptAll: ((thread: Thread, address: Address, run: () => void) => void) | undefined;

  /** A second address at which calls reach what is bound to `target`; nothing happens when nothing is bound there. */
  alias(address: Address, target: Address): void {
    const id = this.entryAt.get(target);
    if (id === undefined || this.entryAt.has(address)) return;
    const { name, run } = this.entries[id];
    this.addEntry(name, address, run);
  }

  /** Steps that call a guest function and give its result register as {@link Convention.result} has it. */
  call(address: Address, ...args: GuestValue[]): Steps<number> {
    return callGuest(address, args);
  }

  /** As `call`, for functions that return a C int. */
  *callInt(address: Address, ...args: GuestValue[]): Steps<number> {
    const value = yield* callGuest(address, args);
    // The upper half of the register is undefined for an int result (psABI 3.2.3).
    return Number(BigInt.asIntN(32, BigInt(value)));
  }

  /** As `call`, for functions that return a C long, ssize_t or the like: a signed word. */
  *callLong(address: Address, ...args: GuestValue[]): Steps<number> {
    const value = yield* callGuest(address, args);
    return this.memory.pointerBytes === 8 ? value : value | 0;
  }

  /** As `call`, for functions that return 64 bits whatever a word has (loff_t, u64): a signed number. */
  *callWide(address: Address, ...args: GuestValue[]): Steps<number> {
    return yield { kind: 'call', address, args, wide: true };
  }

  // -- addresses --------------------------------------------------------------------------------------------

  /** `name+0xoffset/0xsize [module]`; the bare hexadecimal address when nothing is there. */
  describe(address: Address): string {
    return this.describeAs(address, address);
  }

  /** As `describe` for a return address: the symbol is that of the call before it, which may be a function's last byte. */
  describeReturn(address: Address): string {
    return this.describeAs(address, address - 1);
  }

  private describeAs(address: Address, lookUp: Address): string {
    const near = this.nearest(lookUp);
    if (near === undefined) return `0x${BigInt.asUintN(64, BigInt(address)).toString(16)}`;
    const module = near.module === undefined ? '' : ` [${near.module}]`;
    return `${near.name}+0x${(address - near.address).toString(16)}/0x${near.size.toString(16)}${module}`;
  }

  /** The symbol an address lies in: images first, then the gates of kernel functions. */
  nearest(address: Address): NearestSymbol | undefined {
    return this.symbols.nearest(address) ?? this.nearestGate(address);
  }

  private nearestGate(address: Address): NearestSymbol | undefined {
    const { base, bytes } = this.gates;
    if (address < base || address >= base + bytes) return undefined;
    const at = address - ((address - base) % GATE_STEP);
    const name = this.boundName(at);
    return name === undefined ? undefined : { name, address: at, size: GATE_STEP, module: undefined };
  }

  // -- pages ------------------------------------------------------------------------------------------------

  /**
   * Takes addresses from an area and single frames for them, zeroed. Throws OutOfMemory, leaving nothing behind.
   * @param label whose the frames are in the statistics of memory
   */
  mapPages(area: AreaAllocator, pages: number, perm: number, what: string, label = what): Address {
    const base = area.allocate(pages);
    this.scheduler.charge(pages * PAGE_COST);
    const pfns: number[] = [];
    try {
      while (pfns.length < pages) pfns.push(this.memory.frames.allocate(0, label));
    } catch (error) {
      for (const pfn of pfns) this.memory.frames.free(pfn, 0);
      area.free(base);
      throw error;
    }
    this.memory.mapZeroed(base, pfns, perm, what);
    return base;
  }

  unmapPages(area: AreaAllocator, base: Address, pages: number): void {
    const pfns: number[] = [];
    for (let page = 0; page < pages; page++) {
      const pfn = this.memory.pfnOf(base + page * PAGE_SIZE);
      if (pfn !== undefined) pfns.push(pfn);
    }
    this.memory.unmap(base, pages);
    for (const pfn of pfns) this.memory.frames.free(pfn, 0);
    area.free(base);
  }

  /** A kernel stack; the area leaves an unmapped page between two of them. */
  allocateStack(name: string): { base: Address; size: number } {
    const { area, bytes } = this.stacks;
    const base = this.mapPages(area, bytes / PAGE_SIZE, Perm.R | Perm.W, `stack of ${name}`, 'thread stacks');
    return { base, size: bytes };
  }

  freeStack(base: Address): void {
    this.unmapPages(this.stacks.area, base, this.stacks.bytes / PAGE_SIZE);
  }

  /** Bytes of a pointer in the guest. */
  get word(): 4 | 8 {
    return this.memory.pointerBytes;
  }

  // -- typed memory -----------------------------------------------------------------------------------------

  field(path: string): FieldRef {
    let field = this.fields.get(path);
    if (field === undefined) {
      field = this.types.field(path);
      this.fields.set(path, field);
    }
    return field;
  }

  offset(path: string): number {
    return this.field(path).offset;
  }

  sizeof(name: string): number {
    return this.types.sizeof(name);
  }

  /** Reads a field of the structure at `base`: pointers and 64-bit integers as signed numbers. */
  read(path: string, base: Address): number {
    const field = this.field(path);
    const value = this.load(base + field.offset, field.size, field.signed);
    if (field.bitSize === undefined) return value;
    return Math.floor(value / 2 ** (field.bitOffset ?? 0)) % 2 ** field.bitSize;
  }

  write(path: string, base: Address, value: number): void {
    const field = this.field(path);
    if (field.bitSize === undefined) {
      this.store(base + field.offset, field.size, value);
      return;
    }
    const shift = BigInt(field.bitOffset ?? 0);
    const mask = ((1n << BigInt(field.bitSize)) - 1n) << shift;
    const old = BigInt.asUintN(64, BigInt(this.load(base + field.offset, field.size, false)));
    const bits = (old & ~mask) | ((BigInt(value) << shift) & mask);
    this.store(base + field.offset, field.size, Number(BigInt.asIntN(64, bits)));
  }

  /** As `write`, for memory the guest itself may only read: tables that the kernel fills in at boot. */
  poke(path: string, base: Address, value: number): void {
    const field = this.field(path);
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
    this.memory.poke(base + field.offset, bytes.subarray(0, field.size));
  }

  /** The string in a char array field or behind a `char *` field. */
  readString(path: string, base: Address): string {
    const field = this.field(path);
    if (field.kind === 'pointer') {
      const at = this.memory.ptr(base + field.offset);
      return at === 0 ? '' : this.memory.cstring(at);
    }
    return this.memory.cstring(base + field.offset, field.size);
  }

  private load(at: Address, size: number, signed: boolean): number {
    const { memory } = this;
    switch (size) {
      case 1:
        return signed ? (memory.u8(at) << 24) >> 24 : memory.u8(at);
      case 2:
        return signed ? (memory.u16(at) << 16) >> 16 : memory.u16(at);
      case 4:
        return signed ? memory.i32(at) : memory.u32(at);
      case 8:
        return memory.i64(at);
      default:
        throw new RangeError(`a field of ${size} bytes is not a number`);
    }
  }

  private store(at: Address, size: number, value: number): void {
    const { memory } = this;
    if (size === 8) memory.setI64(at, value);
    else if (size === 4) memory.set32(at, value);
    else if (size === 2) memory.set16(at, value);
    else if (size === 1) memory.set8(at, value);
    else throw new RangeError(`a field of ${size} bytes is not a number`);
  }

  /** 32 random bits, the same for the same seed (xorshift32: the guest's randomness must repeat, not resist). */
  random32(): number {
    let x = this.randomState;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.randomState = x >>> 0;
    return this.randomState;
  }

  private addEntry(name: string, address: Address, run: (thread: Thread) => void): number {
    const id = this.entries.length;
    this.entries.push({ name, address, run });
    this.entryAt.set(address, id);
    this.cpu.addHostEntry(address, id);
    return id;
  }
}

export interface StateKey<T> {
  readonly id: symbol;
  readonly make: (k: Kernel) => T;
}

/** Declares state that each kernel has its own copy of: `const table = perKernel(() => new Map())`. */
export function perKernel<T, K extends Kernel = Kernel>(make: (k: K) => T): StateKey<T> {
  return { id: Symbol('state'), make: make as (k: Kernel) => T };
}
