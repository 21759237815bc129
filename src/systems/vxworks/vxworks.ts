/**
 * The VxWorks base kernel: one memory partition, one symbol table, tasks with priorities. It knows no processes and no
 * protection between modules (kernel tasks see everything), and keeps no reference counts.
 */
import type { Engine } from '../../cpu/engines.ts';
import { Declarations } from '../../ctypes/declarations.ts';
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
import { Console } from './console.ts';
import { judgeFault } from './faults.ts';
import { Hooks } from './hooks.ts';
import { type MachineSpec, machineSpec, type VxMachine } from './machines.ts';
import { VxModules } from './module.ts';
import { KERNEL_GROUP, VxSymbols } from './symbols.ts';
import { type Task, Tasks } from './tasks.ts';
import { VXWORKS_TYPES } from './types.ts';
import { hex } from './wording.ts';

export interface VxWorksOptions {
  readonly machine: VxMachine;
  readonly functions: FunctionTable<VxWorks>;
  readonly seed?: number;
  /** What executes machine code. */
  readonly engine?: Engine;
  readonly missing?: MissingPolicy;
  /** Ticks a second of the system clock: 60 unless the board says otherwise. */
  readonly clockRate?: number;
  /** What somebody types at the console: reads of it get this, and wait when it is used up. */
  readonly typed?: string;
  /** A module with undefined symbols stays (older releases) or is taken back (newer ones). [uncertain] which do what. */
  readonly keepUndefined?: boolean;
  /** Files of the host, for the device `host:`. */
  readonly hostFile?: (path: string) => Uint8Array | undefined;
}

/** An address of machine code that the kernel will call one day. */
export interface CodePointer {
  /** Who would call it: `driver`, and which one. */
  readonly what: string;
  readonly which: string;
  readonly address: Address;
}

const STACK_BYTES = 32768;
/** Number of the stack pointer among x86's registers. */
const STACK_POINTER = 4;
const RAM_BYTES = 40 * 2 ** 20;

export class VxWorks extends Kernel {
  readonly spec: MachineSpec;
  readonly pool: Pool;
  readonly sysSymTbl = new VxSymbols();
  readonly modules = new VxModules();
  readonly tasks: Tasks;
  readonly hooks: Hooks;
  readonly console: Console;
  readonly functions: FunctionGates<VxWorks>;
  readonly keepUndefined: boolean;
  readonly hostFile: (path: string) => Uint8Array | undefined;
  /** cplusXtorSet: are constructors called by the loader? */
  automaticConstructors = true;
  /** intLock calls not yet undone. */
  interruptLocks = 0;
  private clockRate: number;
  private readonly declarations: Declarations;
  /** errno of what runs in no task: interrupts. */
  private interruptErrno = 0;

  constructor(options: VxWorksOptions) {
    const spec = machineSpec(options.machine);
    const declarations = new Declarations(spec.model).add(VXWORKS_TYPES);
    super({
      memory: { ramBytes: RAM_BYTES, pointerBytes: spec.pointerBytes, directMap: undefined },
      machine: plainPc,
      translator: spec.translator(),
      convention: spec.convention,
      types: new TypeTable(declarations),
      gates: spec.gates,
      stacks: {
        area: new AreaAllocator(spec.stacks.base, spec.stacks.base + spec.stacks.bytes),
        bytes: STACK_BYTES,
      },
      seed: options.seed ?? 1,
      engine: options.engine,
      missing: options.missing ?? 'stop',
    });
    this.spec = spec;
    this.declarations = declarations;
    this.clockRate = options.clockRate ?? 60;
    this.keepUndefined = options.keepUndefined ?? true;
    this.hostFile = options.hostFile ?? (() => undefined);
    this.pool = new Pool(spec.pool.base, spec.pool.bytes);
    mapGates(this);
    const everything = Perm.R | Perm.W | Perm.X;
    this.memory.mapLazy(spec.pool.base, spec.pool.bytes / PAGE_SIZE, everything, 'system memory partition');
    const { createHooks } = this.modules;
    this.pointerSources.push(function* () {
      for (const address of createHooks)
        yield { what: 'module create hook', which: hex(address, spec.pointerBytes * 8), address };
    });
    this.tasks = new Tasks(this);
    this.hooks = new Hooks(this);
    this.console = new Console(this, options.typed ?? '');
    this.functions = new FunctionGates<VxWorks>(this, options.functions);
    this.publish();
    this.scheduler.prepareInterrupts();
  }

  /** The kernel's own names: its functions, and the few variables that modules use. */
  private publish(): void {
    const own = { group: KERNEL_GROUP, global: true };
    for (const name of this.functions.names) {
      const address = this.functions.address(name);
      if (address !== undefined) this.sysSymTbl.add({ name, address, kind: 'text', ...own });
    }
    // Handles of the symbol table and of the memory partition: their value is a name for them, nothing more.
    for (const name of ['sysSymTbl', 'symTblId', 'memSysPartId']) {
      const address = this.allocate(this.spec.pointerBytes);
      this.memory.setPtr(address, address);
      this.sysSymTbl.add({ name, address, kind: 'data', ...own });
    }
  }

  // -- memory -----------------------------------------------------------------------------------------------

  /** Zero when the partition has no room. @param caller who asked, for the report of what an unload leaves */
  allocate(bytes: number, caller: Address = 0, align = 16): Address {
    return this.pool.allocate(bytes, undefined, caller, align);
  }

  /** Subsystems that keep addresses of machine code tell of them here: who would call it. */
  readonly pointerSources: (() => Iterable<CodePointer>)[] = [];

  *pointers(): Iterable<CodePointer> {
    for (const source of this.pointerSources) yield* source();
  }

  /** Where the kernel function in progress was called from. */
  get caller(): Address {
    return this.convention.returnAddress(this.cpu);
  }

  // -- time -------------------------------------------------------------------------------------------------

  /** Virtual nanoseconds of one tick. */
  get tick(): number {
    return Math.round(1e9 / this.clockRate);
  }

  /** What tickSet added. */
  tickBase = 0;

  get ticks(): number {
    return Math.floor(this.time.now() / this.tick) + this.tickBase;
  }

  get rate(): number {
    return this.clockRate;
  }

  set rate(ticksPerSecond: number) {
    this.clockRate = ticksPerSecond;
  }

  /** The moment that lies `ticks` clock interrupts ahead; WAIT_FOREVER (-1) never comes. */
  after(ticks: number): number {
    return ticks < 0 ? Number.POSITIVE_INFINITY : (this.ticks - this.tickBase + ticks) * this.tick;
  }

  // -- errno ------------------------------------------------------------------------------------------------

  get errno(): number {
    const task = this.tasks.current;
    return task === undefined ? this.interruptErrno : this.read('struct lkm_tcb.errorStatus', task.id);
  }

  set errno(value: number) {
    const task = this.tasks.current;
    if (task === undefined) this.interruptErrno = value;
    else this.write('struct lkm_tcb.errorStatus', task.id, value);
  }

  /** Where a task goes on, and its stack; zeros before it has run. */
  registersOf({ thread }: Task): { pc: Address; sp: Address } {
    if (!thread.started) return { pc: 0, sp: 0 };
    const { cpu } = this;
    const live = this.scheduler.current === thread;
    return {
      pc: live ? cpu.rip : cpu.saved(thread.context, 'pc'),
      sp: live ? cpu.gpr(STACK_POINTER) : cpu.saved(thread.context, STACK_POINTER),
    };
  }

  // -- what the scheduler asks ------------------------------------------------------------------------------

  priority(thread: Thread): number {
    const task = this.tasks.of(thread);
    if (task === undefined) return 0;
    return task.suspended ? Number.POSITIVE_INFINITY : this.tasks.rank(task);
  }

  preemptible(thread: Thread): boolean {
    return (this.tasks.of(thread)?.locks ?? 0) === 0;
  }

  fault(thread: Thread, fault: Fault): 'resume' | { kill: ThreadKilled } {
    return judgeFault(this, thread, fault);
  }

  misuse(thread: Thread, error: unknown): ThreadKilled | undefined {
    if (!(error instanceof OutOfMemory) && !(error instanceof RangeError)) return undefined;
    return new ThreadKilled(thread.name, 0, error.message);
  }

  /** The task that ran before, for switch hooks: they get both descriptors, as soon as interrupts are taken. */
  private previous: Task | undefined;

  switched(thread: Thread): void {
    const task = this.tasks.of(thread);
    const before = this.previous;
    if (task === undefined || task === before) return;
    task.since = this.ticks;
    this.previous = task;
    if (before === undefined) return;
    for (const { kind, routine } of this.hooks)
      if (kind === 'switch')
        this.scheduler.interrupt('switch hook', () => this.call(routine, before.id, task.id));
  }

  interruptible(): boolean {
    return this.interruptLocks === 0 && (this.cpu.rflags & 0x200) !== 0;
  }

  trap(thread: Thread, vector: number): void {
    const fault: Fault = {
      source: 'cpu',
      vector,
      errorCode: 0,
      address: 0n,
      access: 'execute',
      at: this.cpu.rip,
    };
    const verdict = this.fault(thread, fault);
    if (verdict !== 'resume') throw verdict.kill;
  }

  systemCall(thread: Thread): void {
    this.trap(thread, 6);
  }

  parsePrototype(text: string): Prototype {
    return this.declarations.prototype(text);
  }
}
