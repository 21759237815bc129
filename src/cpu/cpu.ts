/** One processor: its state, and how it runs guest code. */
import { type Address, isCanonical, pageBase } from '../memory/address.ts';
import { type Access, GuestFault } from '../memory/fault.ts';
import { BOUNCE, CPU_STATE } from '../memory/layout.ts';
import { type GuestMemory, Perm } from '../memory/space.ts';
import { BlockCache } from './blocks.ts';
import { UNDEFINED_REASONS } from './builder.ts';
import type { Engine } from './engines.ts';
import { type HelperHost, runHelper } from './helpers.ts';
import { type InterpreterExports, type InterpreterImports, interpreterModule } from './interpreter.ts';
import { Reg, type Translator, type Undefined } from './ir.ts';
import type { CpuMachine } from './machine.ts';
import * as S from './state.ts';
import { TranslationEngine } from './translate/engine.ts';

export type { CpuMachine } from './machine.ts';

/** Why {@link Cpu.run} returned. */
export const Exit = {
  /** At a host entry: `exitHostId`; rip is the entry's address. */
  Host: 1,
  /** The instructions asked for have retired. */
  Budget: 2,
  /** An exception: `vector`, `errorCode`, `address`, `access`; rip is the instruction's own address. */
  Fault: 3,
  /** hlt; rip is the next instruction. */
  Halt: 4,
  /** int n, int3, int1: `vector`; rip is the next instruction. */
  Interrupt: 5,
  /** syscall or sysenter: rcx and r11 are set as the instruction sets them, rip is the next instruction. */
  Syscall: 6,
} as const;
export type Exit = (typeof Exit)[keyof typeof Exit];

/** Exception vectors (SDM volume 3, table 6-1). */
export const Vector = { DE: 0, DB: 1, BP: 3, UD: 6, DF: 8, GP: 13, PF: 14 } as const;

/** Page-fault error code bits. */
const PF = { PRESENT: 1, WRITE: 2, USER: 4, FETCH: 16 } as const;
/** An error from outside the guest, found by an import; never seen by callers. */
const HOST_ERROR = 99;
/**
 * V8 lets a function go on in its better form between calls only: short ones at first and where code was just translated, then
 * a part of what has been run since.
 */
const FIRST_SLICE = 200_000;
const LATER_SLICE = 5_000_000;
const SLICE_PART = 4;
const HIGH = 4294967296;

const NO_FAULT: FaultDetails = {
  vector: 0,
  errorCode: 0,
  address: 0,
  exactAddress: 0n,
  access: undefined,
  reason: undefined,
};

interface FaultDetails {
  vector: number;
  errorCode: number;
  address: Address;
  exactAddress: bigint;
  access: Access | undefined;
  reason: 'unmapped' | 'protection' | 'non-canonical' | Undefined | undefined;
}

const nonCanonical = (address: Address, exactAddress: bigint, access: Access): FaultDetails => ({
  vector: Vector.GP,
  errorCode: 0,
  address,
  exactAddress,
  access,
  reason: 'non-canonical',
});

const compiled = new Map<32 | 64, WebAssembly.Module>();

export interface CpuOptions {
  /** What executes machine code; the outcome is the same, to the instruction. */
  readonly engine?: Engine;
}

/** Compiled once: the module is the same for every processor of a width and holds no state. */
function interpreter(bits: 32 | 64): WebAssembly.Module {
  let module = compiled.get(bits);
  if (module === undefined) {
    module = new WebAssembly.Module(interpreterModule(bits));
    compiled.set(bits, module);
  }
  return module;
}

export class Cpu implements HelperHost {
  readonly memory: GuestMemory;
  readonly machine: CpuMachine;
  /** Of an address. The registers of a 32-bit guest are unsigned 32-bit numbers. */
  readonly bits: 32 | 64;
  /** Selectors of es cs ss ds fs gs. */
  readonly segments = new Uint16Array([0, 0x10, 0x18, 0, 0, 0]);
  /** Instructions retired since the start; exact also inside machine callbacks; each rep iteration counts. */
  get retired(): number {
    return this.#helping
      ? this.#retired + this.#slice - this.#data.getInt32(S.LEFT, true) + this.#countOf(this.#inside)
      : this.#retired;
  }
  /** Called before every instruction when set; execution is then much slower. */
  trace: ((cpu: Cpu) => void) | undefined;
  exitHostId = 0;
  /** Bytes of a saved context. */
  readonly contextBytes = S.CONTEXT_BYTES;
  #wasm: InterpreterExports;
  readonly #env: InterpreterImports;
  /** All of linear memory. */
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly #data: DataView;
  readonly #bytes: Uint8Array;
  readonly #blocks: BlockCache;
  readonly #translator: Translator;
  readonly #engine: TranslationEngine;
  #fault: FaultDetails = NO_FAULT;
  #error: unknown;
  #retired = 0;
  /** What had retired when code was last found to be hot. */
  #since = 0;
  /** Budget of the current call into the interpreter. */
  #slice = 0;
  /** The operation that called out, 0 outside. */
  #inside = 0;
  #flushLater = false;
  /** A helper runs: LEFT is up to date. */
  #helping = false;
  /** Set by a helper that leaves: the exit, or undefined to go on at rip. */
  #exit: Exit | undefined;
  /** Instructions the helper that leaves has retired. */
  #own = 1;

  constructor(memory: GuestMemory, machine: CpuMachine, translator: Translator, options: CpuOptions = {}) {
    this.memory = memory;
    this.machine = machine;
    this.bits = translator.bits ?? 64;
    this.#translator = translator;
    this.#data = this.view = new DataView(memory.wasm.buffer);
    this.#bytes = this.bytes = new Uint8Array(memory.wasm.buffer);
    this.#blocks = new BlockCache(memory, translator);
    this.#env = {
      miss: (what, ip) => this.#miss(what, ip),
      store: (size, ip) => this.#store(size, ip),
      commit: (size) => memory.commit(this.#missAddress(), size),
      helper: (ip) => this.#helper(ip),
      window: (bytes, slot) => this.#window(bytes, slot),
    };
    const engine = new TranslationEngine(options.engine ?? 'auto', this.#blocks, memory, this.bits);
    this.#blocks.translations = engine;
    this.#engine = engine;
    this.#wasm = this.#connect();
    memory.onCodeChange((pfn, offset, length) => this.#blocks.changed(pfn, offset, length, this.#inside));
    this.reset();
    // The engine compiles a function when it is first called: here, and not in the time of the guest's first instruction.
    this.#wasm.run(this.#blocks.idle, 0);
  }

  /** The interpreter, with the table of translated code as it is now; all state is in memory. */
  #connect(): InterpreterExports {
    const env = { memory: this.memory.wasm, table: this.#engine.table, ...this.#env };
    const instance = new WebAssembly.Instance(interpreter(this.bits), { env });
    const wasm = instance.exports as unknown as InterpreterExports;
    this.#engine.connect(wasm);
    return wasm;
  }

  /** Registers 0, flags as after a reset with interrupts off, SSE exceptions masked. */
  reset(): void {
    this.#bytes.fill(0, CPU_STATE, CPU_STATE + S.CONTEXT_BYTES);
    this.#data.setUint32(S.MXCSR, 0x1f80, true);
    this.#data.setUint16(S.X87_CONTROL, 0x37f, true);
  }

  // ---- registers ----

  /** Signed; rounded when the value needs more than 53 bits. */
  gpr(n: number): number {
    return this.#signed(S.REGISTERS + n * 8);
  }

  /** The low 32 bits, signed. */
  gprLow(n: number): number {
    return this.#data.getInt32(S.REGISTERS + n * 8, true);
  }

  setGpr(n: number, value: number): void {
    this.#setSigned(S.REGISTERS + n * 8, this.wrap(value));
  }

  /** Unsigned 64 bits. */
  gprBig(n: number): bigint {
    return this.#data.getBigUint64(S.REGISTERS + n * 8, true);
  }

  setGprBig(n: number, value: bigint): void {
    this.#data.setBigUint64(S.REGISTERS + n * 8, BigInt.asUintN(this.bits, value), true);
  }

  /** An address sum as this guest's processor has it: a 32-bit one wraps at 4 GiB. */
  wrap(address: Address): Address {
    return this.bits === 64 ? address : address >>> 0;
  }

  get rip(): Address {
    return this.#signed(S.RIP);
  }

  set rip(value: Address) {
    this.#setSigned(S.RIP, this.wrap(value));
  }

  get gsBase(): Address {
    return this.gpr(Reg.GS);
  }

  set gsBase(value: Address) {
    this.setGpr(Reg.GS, value);
  }

  get fsBase(): Address {
    return this.gpr(Reg.FS);
  }

  set fsBase(value: Address) {
    this.setGpr(Reg.FS, value);
  }

  /** The flags register, bit 1 always set. */
  get rflags(): number {
    return this.#wasm.flags() | (this.#data.getInt32(S.FLAGS_OTHER, true) & ~S.ARITHMETIC) | 2;
  }

  set rflags(value: number) {
    this.#data.setInt32(S.FLAG_KIND, S.FlagKind.RAW, true);
    this.#data.setInt32(S.FLAG_B, value & S.ARITHMETIC, true);
    this.#data.setInt32(S.FLAG_B + 4, 0, true);
    this.#data.setInt32(S.FLAGS_OTHER, value & ~S.ARITHMETIC & ~2, true);
  }

  /** True when `condition` (x86 encoding, 0 to 15) holds. */
  condition(condition: number): boolean {
    return this.#wasm.cond(condition) !== 0;
  }

  /** The 16 bytes of a vector register; writing changes it. */
  xmm(n: number): Uint8Array {
    return this.#bytes.subarray(S.XMM + n * 16, S.XMM + n * 16 + 16);
  }

  /** What fninit leaves of the coprocessor. */
  initialiseCoprocessor(): void {
    this.view.setUint16(S.X87_CONTROL, 0x37f, true);
    this.view.setUint16(S.X87_STATUS, 0, true);
    this.view.setUint8(S.X87_VALID, 0);
  }

  get mxcsr(): number {
    return this.#data.getUint16(S.MXCSR, true);
  }

  set mxcsr(value: number) {
    this.#data.setUint16(S.MXCSR, value, true);
  }

  /** Current privilege level. */
  get cpl(): number {
    return this.#data.getInt32(S.CPL, true);
  }

  set cpl(level: number) {
    this.#data.setInt32(S.CPL, level, true);
    this.#setPrivilege(level);
  }

  /** Copies a thread's state out: general and vector registers, rip, flags, segment bases, privilege. */
  save(into: Uint8Array): void {
    into.set(this.#bytes.subarray(CPU_STATE, CPU_STATE + S.CONTEXT_BYTES));
  }

  restore(from: Uint8Array): void {
    this.#bytes.set(from.subarray(0, S.CONTEXT_BYTES), CPU_STATE);
    this.#setPrivilege(this.cpl);
  }

  /** A register of a saved context: general ones by number, or where it goes on. */
  saved(context: Uint8Array, register: number | 'pc'): Address {
    const at = register === 'pc' ? S.RIP - CPU_STATE : S.REGISTERS - CPU_STATE + register * 8;
    const value = new DataView(context.buffer, context.byteOffset + at, 8).getBigInt64(0, true);
    return Number(this.bits === 32 ? BigInt.asUintN(32, value) : value);
  }

  // ---- what the last exit was ----

  get vector(): number {
    return this.#fault.vector;
  }

  get errorCode(): number {
    return this.#fault.errorCode;
  }

  /** The address a page or protection fault is about. */
  get address(): Address {
    return this.#fault.address;
  }

  /** The same with all 64 bits: non-canonical addresses need more than a number holds. */
  get exactAddress(): bigint {
    return this.#fault.exactAddress;
  }

  get access(): Access | undefined {
    return this.#fault.access;
  }

  /** Why the access, or the instruction, was refused. */
  get reason(): FaultDetails['reason'] {
    return this.#fault.reason;
  }

  // ---- host entries ----

  /** Execution that reaches `va` exits with {@link Exit.Host} before any instruction there. */
  addHostEntry(va: Address, id: number): void {
    this.#blocks.addHost(va, id);
  }

  removeHostEntry(va: Address): void {
    this.#blocks.removeHost(va);
  }

  /** Drops all translated code; from inside a machine callback, before the next block is entered. */
  flushCode(): void {
    if (this.#inside === 0) this.#blocks.flush();
    else this.#flushLater = true;
  }

  /** Regions of hot code made into WebAssembly since the start. */
  get regions(): number {
    return this.#engine.translated;
  }

  /** Blocks translated since the start. */
  get translated(): number {
    return this.#blocks.translated;
  }

  // ---- running ----

  /**
   * Runs from rip until something happens or about `budget` instructions have retired: the count is exact
   * (see {@link retired}), but looked at only where execution goes back, to another page, into a function or out of
   * one, so up to a page of instructions more may run. The points depend on nothing but the code.
   */
  run(budget: number): Exit {
    if (this.memory.released) throw new Error('the memory of this processor was given back');
    if (this.trace !== undefined) return this.#runTraced(budget, this.trace);
    const goal = this.#retired + budget;
    this.#exit = undefined;
    for (;;) {
      const entry = this.#enter();
      if (entry < 0) return Exit.Fault;
      const exit = this.#runFrom(entry, goal);
      if (exit !== undefined) return exit;
    }
  }

  /** Runs exactly one instruction (one iteration of a rep); `through`: over entries with numbers below 0. */
  step(through = false): Exit {
    let block: { start: number };
    try {
      if (!this.#canonicalRip()) return Exit.Fault;
      const pc = this.rip;
      const hosted = this.#blocks.hostAt(pc);
      if (hosted !== undefined && !(through && hosted < 0)) {
        this.exitHostId = hosted;
        return Exit.Host;
      }
      block = this.#blocks.single(pc);
    } catch (error) {
      return this.#fetchFault(error);
    }
    this.#exit = undefined;
    const code = this.#call(block.start, 1);
    const ip = this.#data.getUint32(S.EXIT_IP, true);
    if (code === S.Leave.LINK || code === S.Leave.BUDGET) {
      this.rip = this.#blocks.pcOf(ip);
      return Exit.Budget;
    }
    if (code === S.Leave.MISS) return Exit.Budget;
    return this.#left(code, ip) ?? Exit.Budget;
  }

  /** Stops where a run that nobody looks at would: what the guest sees of time must not depend on the looking. */
  #runTraced(budget: number, trace: (cpu: Cpu) => void): Exit {
    const goal = this.#retired + budget;
    for (;;) {
      trace(this);
      const from = this.rip;
      const exit = this.step();
      if (exit !== Exit.Budget) return exit;
      if (this.#retired >= goal && this.stopsBetween(from, this.rip)) return Exit.Budget;
    }
  }

  /** Is the budget looked at when the instruction at `from` is followed by that at `to`? */
  stopsBetween(from: Address, to: Address): boolean {
    if (to <= from || pageBase(to) !== pageBase(from)) return true;
    const { flow, target } = this.#translator.inspect(this.memory.peek(from, 16), from);
    return flow === 'call' || flow === 'return' || (flow === 'jump' && target !== to);
  }

  /** Offset of the first operation at rip, or -1 after a fault of the fetch. */
  #enter(): number {
    if (this.#flushLater) {
      this.#flushLater = false;
      this.#blocks.flush();
    }
    if (!this.#canonicalRip()) return -1;
    try {
      this.#checkUser(this.rip);
      return this.#blocks.get(this.rip).start;
    } catch (error) {
      this.#fetchFault(error);
      return -1;
    }
  }

  /** Translated code has no privilege of its own: user code must not be linked to kernel code. */
  #checkUser(pc: Address): void {
    if (!this.memory.userMode) return;
    const perm = this.memory.permOf(pc);
    if (perm !== undefined && (perm & Perm.U) === 0) throw new GuestFault(pc, 'execute', 1, 'protection');
  }

  #canonicalRip(): boolean {
    const rip = this.rip;
    if (isCanonical(rip)) return true;
    this.#fault = nonCanonical(rip, this.#data.getBigUint64(S.RIP, true), 'execute');
    return false;
  }

  #fetchFault(error: unknown): Exit {
    if (!(error instanceof GuestFault)) throw error;
    this.#record(error);
    return Exit.Fault;
  }

  /** Runs until there is an exit, or undefined to enter again at rip, whatever is left of the budget. */
  #runFrom(entry: number, goal: number): Exit | undefined {
    let ip = entry;
    for (;;) {
      const slice = Math.min(goal - this.#retired, this.#usualSlice());
      const code = this.#call(ip, slice);
      ip = this.#data.getUint32(S.EXIT_IP, true);
      const spent = this.#retired >= goal;
      if (code === S.Leave.BUDGET) {
        if (!spent) continue;
        this.rip = this.#blocks.pcOf(ip);
        return Exit.Budget;
      }
      if (code === S.Leave.LINK) {
        this.rip = this.#blocks.pcOf(ip);
        const next = this.#link(ip);
        if (next < 0) return Exit.Fault;
        ip = next;
      } else if (code === S.Leave.MISS || code === S.Leave.JUMP || code === S.Leave.GO) {
        if (code !== S.Leave.GO) this.#blocks.jumped(ip, this.rip);
        if (spent && code !== S.Leave.GO) return Exit.Budget;
        const next = this.#enter();
        if (next < 0) return Exit.Fault;
        this.#blocks.remember(this.#blocks.get(this.rip));
        ip = next;
      } else if (code === S.Leave.APART) {
        this.#blocks.missed(ip, this.#retired);
      } else if (code === S.Leave.STRAY) {
        this.#blocks.strayed(ip);
      } else if (code === S.Leave.HOT) {
        this.rip = this.#blocks.pcOf(ip);
        if (this.#engine.renewed()) this.#wasm = this.#connect();
        this.#engine.hot(this.rip);
        this.#since = this.#retired;
        // The count is at its end: what it has become is run without counting.
        return undefined;
      } else {
        const exit = this.#left(code, ip);
        // A rep that ran into the end of a slice is not at the end of the budget.
        if (exit === Exit.Budget && this.#retired < goal) return undefined;
        return exit ?? (this.#retired >= goal ? Exit.Budget : undefined);
      }
    }
  }

  #usualSlice(): number {
    const part = (this.#retired - this.#since) / SLICE_PART;
    return part <= FIRST_SLICE ? FIRST_SLICE : part >= LATER_SLICE ? LATER_SLICE : Math.floor(part);
  }

  #link(ip: number): number {
    try {
      this.#checkUser(this.rip);
      return this.#blocks.link(ip);
    } catch (error) {
      this.#fetchFault(error);
      return -1;
    }
  }

  #call(ip: number, slice: number): number {
    this.#slice = slice;
    let code: number;
    try {
      code = this.#wasm.run(ip, slice);
    } finally {
      this.#inside = 0;
    }
    this.#retired += slice - this.#data.getInt32(S.LEFT, true);
    return code;
  }

  /** Host entries, helpers that leave, faults. */
  #left(code: number, ip: number): Exit | undefined {
    if (code === S.Leave.HOST) {
      this.exitHostId = this.#data.getInt32(ip + S.OP.IMM, true);
      this.rip = this.#blocks.find(ip).pc;
      return Exit.Host;
    }
    if (code === S.Leave.HELPER) {
      this.#retired += this.#countOf(ip) + this.#own;
      return this.#exit;
    }
    this.#retired += this.#countOf(ip);
    this.rip = this.#pcAt(ip);
    this.#faultOf(this.#data.getInt32(S.CAUSE, true), ip);
    this.#data.setInt32(S.CAUSE, S.FaultCause.ACCESS, true);
    return Exit.Fault;
  }

  #faultOf(cause: number, ip: number): void {
    if (cause === HOST_ERROR) {
      const error = this.#error;
      this.#error = undefined;
      throw error;
    }
    if (cause === S.FaultCause.ACCESS) return;
    const reason =
      cause === S.FaultCause.UNDEFINED ? UNDEFINED_REASONS[this.#bytes[ip + S.OP.AUX]] : undefined;
    const isUndefined = reason !== undefined && reason !== 'too-long';
    const vector = cause === S.FaultCause.DIVIDE ? Vector.DE : isUndefined ? Vector.UD : Vector.GP;
    this.#fault = { ...NO_FAULT, vector, reason };
  }

  #countOf(ip: number): number {
    return this.#data.getUint16(ip + S.OP.COUNT, true);
  }

  #pcAt(ip: number): Address {
    return this.#blocks.find(ip).pc + this.#data.getUint16(ip + S.OP.PC, true);
  }

  // ---- called by the interpreter ----

  #missAddress(): Address {
    return this.#signed(S.MISS_VA);
  }

  #miss(what: number, ip: number): number {
    return this.#reach(what & 0xff, what >= 0x100 ? 'write' : 'read', ip);
  }

  #reach(size: number, access: Access, ip: number): number {
    const va = this.#missAddress();
    if (!isCanonical(va)) {
      this.#fault = nonCanonical(va, this.#data.getBigUint64(S.MISS_VA, true), access);
      return 0;
    }
    this.#inside = ip;
    this.#blocks.missed(ip, this.#retired);
    try {
      return this.memory.cpuAccess(va, size, access);
    } catch (error) {
      this.caught(error);
      return 0;
    } finally {
      this.#inside = 0;
    }
  }

  #store(size: number, ip: number): number {
    const host = this.#reach(size, 'write', ip);
    if (host === 0) return 1;
    this.#bytes.copyWithin(host, S.MISS_VALUE, S.MISS_VALUE + size);
    if (host === BOUNCE) {
      this.#inside = ip;
      this.memory.commit(this.#missAddress(), size);
      this.#inside = 0;
    }
    return 0;
  }

  #window(bytes: number, slot: number): number {
    const low = this.#missAddress();
    if (isCanonical(low) && this.memory.openWindow(low, bytes)) return 1;
    this.#engine.withoutWindow(slot);
    return 0;
  }

  #helper(ip: number): number {
    this.#inside = ip;
    this.#helping = true;
    this.#exit = undefined;
    this.#own = 1;
    try {
      return runHelper(this, ip);
    } catch (error) {
      this.caught(error);
      return S.Leave.FAULT;
    } finally {
      this.#inside = 0;
      this.#helping = false;
    }
  }

  // ---- for helpers ----

  /** Notes an error met while an operation ran, to be reported when the interpreter has returned. */
  caught(error: unknown): void {
    if (error instanceof GuestFault) this.#record(error);
    else {
      this.#error = error;
      this.#data.setInt32(S.CAUSE, HOST_ERROR, true);
    }
  }

  /** Leaves with an exit (undefined: goes on at rip). `own`: instructions retired by this operation. */
  leaveWith(exit: Exit | undefined, own = 1): number {
    this.#exit = exit;
    this.#own = own;
    return S.Leave.HELPER;
  }

  /** An exception of the current instruction. */
  raise(vector: number, errorCode = 0, reason: FaultDetails['reason'] = undefined): number {
    this.#fault = { ...NO_FAULT, vector, errorCode, reason };
    return S.Leave.FAULT;
  }

  setVector(vector: number): void {
    this.#fault = { ...NO_FAULT, vector };
  }

  /** Address of the instruction that an operation belongs to. */
  instructionAt(ip: number): Address {
    return this.#pcAt(ip);
  }

  #record(fault: GuestFault): void {
    const exactAddress = Number.isFinite(fault.va) ? BigInt.asUintN(64, BigInt(Math.floor(fault.va))) : 0n;
    const { va: address, access } = fault;
    if (!isCanonical(address)) {
      this.#fault = nonCanonical(address, exactAddress, access);
      return;
    }
    const errorCode =
      (fault.reason === 'protection' ? PF.PRESENT : 0) |
      (fault.access === 'write' ? PF.WRITE : 0) |
      (fault.access === 'execute' ? PF.FETCH : 0) |
      (this.cpl === 3 ? PF.USER : 0);
    this.#fault = { vector: Vector.PF, errorCode, address, exactAddress, access, reason: fault.reason };
  }

  #setPrivilege(level: number): void {
    this.memory.userMode = level === 3;
  }

  #signed(at: number): number {
    return this.#data.getInt32(at + 4, true) * HIGH + this.#data.getUint32(at, true);
  }

  #setSigned(at: number, value: number): void {
    this.#data.setInt32(at, value, true);
    this.#data.setInt32(at + 4, Math.floor(value / HIGH), true);
  }
}
