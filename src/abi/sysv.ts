/**
 * System V calling convention, x86-64 (psABI 1.0, section 3.2): the integer class, and the class SSE for doubles and floats.
 * Kernels that are compiled without floating point never pass one; those of real-time systems do.
 */
import type { Cpu } from '../cpu/cpu.ts';
import type { ValueClass } from '../ctypes/prototype.ts';
import type { Address, GuestMemory } from '../memory/space.ts';
import {
  type Argument,
  type CallMark,
  type Convention,
  narrow,
  narrowResult,
  type ParameterClass,
  type Signature,
  type VarArgs,
} from './convention.ts';
import { doubleOf, Eightbytes } from './eightbytes.ts';
import { X8664 } from './x86-64.ts';

const RAX = 0;
const RDX = 2;
const RSP = 4;
/** rdi, rsi, rdx, rcx, r8, r9 by hardware number. */
const ARGUMENTS = [7, 6, 2, 1, 8, 9];

export class SystemV extends X8664 implements Convention {
  protected readonly headroom = 16;

  enterFunction(
    cpu: Cpu,
    entry: Address,
    args: readonly (number | bigint | boolean)[],
    returnTo: Address,
  ): CallMark {
    // At a function's first instruction rsp + 8 is a multiple of 16 (section 3.2.2).
    const stackArgs = Math.max(0, args.length - ARGUMENTS.length);
    const mark = { stack: cpu.gpr(RSP), instruction: cpu.rip };
    let rsp = mark.stack - stackArgs * 8;
    rsp -= ((rsp % 16) + 16) % 16;
    for (let i = 0; i < stackArgs; i++) this.store(rsp + i * 8, args[ARGUMENTS.length + i]);
    this.memory.setPtr(rsp - 8, returnTo);
    cpu.setGpr(RSP, rsp - 8);
    for (let i = 0; i < Math.min(args.length, ARGUMENTS.length); i++) setRegister(cpu, ARGUMENTS[i], args[i]);
    // Variadic callees read the number of vector registers from al.
    cpu.setGpr(RAX, 0);
    cpu.rip = entry;
    return mark;
  }

  readArguments(cpu: Cpu, signature: Signature): Argument[] {
    const { parameters, variadic, reals } = signature;
    if (variadic || reals || parameters.length > ARGUMENTS.length) return this.readAll(cpu, signature);
    // Nearly every call: straight from the registers, with a bigint only where the parameter is one.
    const values = new Array<Argument>(parameters.length);
    for (let i = 0; i < parameters.length; i++) {
      values[i] = this.registerArgument(cpu, ARGUMENTS[i], parameters[i]);
    }
    return values;
  }

  private registerArgument(cpu: Cpu, register: number, type: ParameterClass): Argument {
    switch (type) {
      case 'pointer':
      case 'long':
      case 'ulong':
      // A struct of up to eight bytes of integers (section 3.2.3); the handler takes it apart.
      case 'struct':
        return cpu.gpr(register);
      case 'valist':
        return this.vaList(cpu, cpu.gpr(register));
      case 'u64':
        return cpu.gprBig(register);
      case 'i64':
        return BigInt.asIntN(64, cpu.gprBig(register));
      default:
        return narrow(type, cpu.gprLow(register));
    }
  }

  private readAll(cpu: Cpu, signature: Signature): Argument[] {
    const values: Argument[] = [];
    const source = new CallArguments(cpu, this.memory, 0);
    for (const type of signature.parameters) {
      values.push(type === 'valist' ? this.vaList(cpu, source.pointer()) : source.take(type));
    }
    if (signature.variadic) values.push(source);
    return values;
  }

  finish(cpu: Cpu, { returns }: Signature, value: unknown): void {
    if (returns !== 'void') setResult(cpu, returns, value);
    this.return(cpu);
  }

  vaList(_cpu: Cpu, address: Address): VarArgs {
    return new VaList(this.memory, address);
  }

  private store(at: Address, value: number | bigint | boolean): void {
    if (typeof value === 'bigint') this.memory.setU64(at, BigInt.asUintN(64, value));
    else this.memory.setPtr(at, Number(value));
  }
}

function setRegister(cpu: Cpu, register: number, value: number | bigint | boolean): void {
  if (typeof value === 'bigint') cpu.setGprBig(register, BigInt.asUintN(64, value));
  else cpu.setGpr(register, Number(value));
}

/** Narrow results are extended as gcc's callees do; callers rely only on the low bits (section 3.2.3). */
function setResult(cpu: Cpu, returns: ValueClass, value: unknown): void {
  if (returns === 'double' || returns === 'float') {
    const low = new DataView(cpu.xmm(0).buffer, cpu.xmm(0).byteOffset, 8);
    if (returns === 'double') low.setFloat64(0, Number(value), true);
    else low.setFloat32(0, Number(value), true);
  } else if (Array.isArray(value)) {
    // A structure of two INTEGER eightbytes comes back in rax and rdx (section 3.2.3).
    cpu.setGprBig(RAX, BigInt.asUintN(64, BigInt(value[0])));
    cpu.setGprBig(RDX, BigInt.asUintN(64, BigInt(value[1])));
  } else if (typeof value === 'bigint') cpu.setGprBig(RAX, BigInt.asUintN(64, value));
  else if (typeof value === 'boolean') cpu.setGpr(RAX, value ? 1 : 0);
  else if (typeof value === 'number') cpu.setGpr(RAX, narrowResult(returns, value));
  else throw new TypeError(`a kernel function that returns ${returns} gave ${String(value)}`);
}

/** The arguments of the call in progress: six registers, then the caller's stack. */
class CallArguments extends Eightbytes {
  private readonly cpu: Cpu;
  private readonly memory: GuestMemory;
  private readonly rsp: Address;
  /** Registers are copied at once: a handler may call the guest before it reads its variable arguments. */
  private readonly registers: readonly bigint[];
  /** xmm0 to xmm7, when al says that some carry arguments (section 3.5.7). */
  private readonly vectors: Float64Array;
  private next: number;
  /** Eightbytes of the caller's stack that are used up. */
  private onStack: number;
  private nextVector: number;

  constructor(cpu: Cpu, memory: GuestMemory, next: number, from?: CallArguments) {
    super();
    this.cpu = cpu;
    this.memory = memory;
    this.next = next;
    this.rsp = from?.rsp ?? cpu.gpr(RSP);
    this.registers = from?.registers ?? ARGUMENTS.map((register) => cpu.gprBig(register));
    this.vectors = from?.vectors ?? vectorArguments(cpu);
    this.onStack = from?.onStack ?? 0;
    this.nextVector = from?.nextVector ?? 0;
  }

  take(type: ValueClass): number | bigint {
    if (type === 'u64') return this.u64();
    if (type === 'i64') return this.i64();
    if (type === 'double' || type === 'float') return this.real(type);
    // A struct of up to eight bytes of integers travels in one register (section 3.2.3); the handler takes it apart.
    if (type === 'pointer' || type === 'long' || type === 'ulong' || type === 'struct') return this.long();
    return narrow(type, this.i32());
  }

  u64(): bigint {
    if (this.next < ARGUMENTS.length) return this.registers[this.next++];
    return this.memory.u64(this.rsp + 8 + this.onStack++ * 8);
  }

  /** A parameter of the class SSE (section 3.2.3): the next of xmm0 to xmm7, whatever al says. */
  private real(type: 'double' | 'float'): number {
    let bytes: Uint8Array;
    if (this.nextVector < 8) bytes = this.cpu.xmm(this.nextVector++);
    else bytes = this.memory.bytes(this.rsp + 8 + this.onStack++ * 8, 8);
    const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
    return type === 'double' ? view.getFloat64(0, true) : view.getFloat32(0, true);
  }

  override f64(): number {
    if (this.nextVector < this.vectors.length) return this.vectors[this.nextVector++];
    return doubleOf(this.memory.u64(this.rsp + 8 + this.onStack++ * 8));
  }

  copy(): VarArgs {
    return new CallArguments(this.cpu, this.memory, this.next, this);
  }
}

const NO_VECTORS = new Float64Array(0);

/** The doubles in the vector registers of a call; empty when al says there are none. */
function vectorArguments(cpu: Cpu): Float64Array {
  const used = Math.min(8, cpu.gprLow(RAX) & 0xff);
  if (used === 0) return NO_VECTORS;
  const doubles = new Float64Array(used);
  for (let n = 0; n < used; n++) {
    const bytes = cpu.xmm(n);
    doubles[n] = new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0, true);
  }
  return doubles;
}

/** struct __va_list_tag (section 3.5.7): gp_offset, fp_offset, overflow_arg_area, reg_save_area. */
class VaList extends Eightbytes {
  private readonly memory: GuestMemory;
  private gpOffset: number;
  private fpOffset: number;
  private overflow: Address;
  private readonly saved: Address;

  constructor(memory: GuestMemory, address: Address, from?: VaList) {
    super();
    this.memory = memory;
    this.gpOffset = from?.gpOffset ?? memory.u32(address);
    this.fpOffset = from?.fpOffset ?? memory.u32(address + 4);
    this.overflow = from?.overflow ?? memory.ptr(address + 8);
    this.saved = from?.saved ?? memory.ptr(address + 16);
  }

  u64(): bigint {
    if (this.gpOffset < 48) {
      this.gpOffset += 8;
      return this.memory.u64(this.saved + this.gpOffset - 8);
    }
    this.overflow += 8;
    return this.memory.u64(this.overflow - 8);
  }

  override f64(): number {
    // Six integer registers of eight bytes, then eight vector registers of sixteen.
    if (this.fpOffset < 48 + 8 * 16) {
      this.fpOffset += 16;
      return doubleOf(this.memory.u64(this.saved + this.fpOffset - 16));
    }
    this.overflow += 8;
    return doubleOf(this.memory.u64(this.overflow - 8));
  }

  copy(): VarArgs {
    return new VaList(this.memory, 0, this);
  }
}
