/**
 * The calling convention of 64-bit Windows ("x64 calling convention", Microsoft's published description): the first
 * four arguments in rcx, rdx, r8, r9, each with a home slot on the caller's stack, the others behind those slots.
 */
import type { Cpu } from '../cpu/cpu.ts';
import type { ValueClass } from '../ctypes/prototype.ts';
import type { Address, GuestMemory } from '../memory/space.ts';
import {
  type Argument,
  type CallMark,
  type Convention,
  narrow,
  type ParameterClass,
  type Signature,
  type VarArgs,
} from './convention.ts';
import { Eightbytes } from './eightbytes.ts';
import { X8664 } from './x86-64.ts';

const RAX = 0;
const RSP = 4;
/** rcx, rdx, r8, r9 by hardware number. */
const ARGUMENTS = [1, 2, 8, 9];
const HOME_SLOTS = 4;
/** Classes that are the low bits of their slot. */
const NARROW: ReadonlySet<ParameterClass> = new Set(['bool', 'i8', 'u8', 'i16', 'u16', 'i32', 'u32']);

export class Win64 extends X8664 implements Convention {
  protected readonly headroom = 64;

  enterFunction(
    cpu: Cpu,
    entry: Address,
    args: readonly (number | bigint | boolean)[],
    returnTo: Address,
  ): CallMark {
    const mark = { stack: cpu.gpr(RSP), instruction: cpu.rip };
    const slots = Math.max(HOME_SLOTS, args.length);
    let rsp = mark.stack - slots * 8;
    rsp -= ((rsp % 16) + 16) % 16;
    for (let i = 0; i < args.length; i++) {
      const value = word(args[i]);
      if (i < HOME_SLOTS) cpu.setGprBig(ARGUMENTS[i], value);
      else this.memory.setU64(rsp + i * 8, value);
    }
    this.memory.setPtr(rsp - 8, returnTo);
    cpu.setGpr(RSP, rsp - 8);
    cpu.rip = entry;
    return mark;
  }

  readArguments(cpu: Cpu, signature: Signature): Argument[] {
    const source = new CallArguments(cpu, this.memory);
    const values: Argument[] = signature.parameters.map((type) => source.take(type));
    if (signature.variadic) values.push(source);
    return values;
  }

  finish(cpu: Cpu, { returns }: Signature, value: unknown): void {
    if (returns !== 'void') cpu.setGprBig(RAX, resultWord(returns, value));
    this.return(cpu);
  }

  vaList(_cpu: Cpu, address: Address): VarArgs {
    return new VaList(this.memory, address);
  }
}

const word = (value: number | bigint | boolean): bigint =>
  BigInt.asUintN(64, typeof value === 'bigint' ? value : BigInt(Number(value)));

/** Results narrower than the register are extended as compilers' callees do. */
function resultWord(returns: ValueClass, value: unknown): bigint {
  if (typeof value === 'bigint') return BigInt.asUintN(64, value);
  if (typeof value === 'boolean') return value ? 1n : 0n;
  if (typeof value !== 'number')
    throw new TypeError(`a kernel function that returns ${returns} gave ${String(value)}`);
  if (returns === 'i32' || returns === 'u32') return BigInt(value >>> 0);
  if (returns === 'u16' || returns === 'i16') return BigInt(value & 0xffff);
  if (returns === 'u8' || returns === 'i8') return BigInt(value & 0xff);
  if (returns === 'bool') return value === 0 ? 0n : 1n;
  return BigInt.asUintN(64, BigInt(value));
}

class CallArguments extends Eightbytes {
  private readonly memory: GuestMemory;
  private readonly rsp: Address;
  /** Registers are copied at once: a handler may call the guest before it reads its variable arguments. */
  private readonly registers: readonly bigint[];
  private next = 0;

  constructor(cpu: Cpu, memory: GuestMemory, from?: CallArguments) {
    super();
    this.memory = memory;
    this.rsp = from?.rsp ?? cpu.gpr(RSP);
    this.registers = from?.registers ?? ARGUMENTS.map((register) => cpu.gprBig(register));
    this.next = from?.next ?? 0;
    this.again = () => new CallArguments(cpu, memory, this);
  }

  private readonly again: () => CallArguments;

  take(type: ParameterClass): Argument {
    if (type === 'u64') return this.u64();
    if (type === 'i64') return this.i64();
    if (type === 'valist') return new VaList(this.memory, this.pointer());
    return NARROW.has(type) ? narrow(type, this.i32()) : this.long();
  }

  u64(): bigint {
    const index = this.next++;
    return index < HOME_SLOTS ? this.registers[index] : this.memory.u64(this.rsp + 8 + index * 8);
  }

  copy(): VarArgs {
    return this.again();
  }
}

/** va_list is a pointer to the next slot. */
class VaList extends Eightbytes {
  private readonly memory: GuestMemory;
  private at: Address;

  constructor(memory: GuestMemory, at: Address) {
    super();
    this.memory = memory;
    this.at = at;
  }

  u64(): bigint {
    this.at += 8;
    return this.memory.u64(this.at - 8);
  }

  copy(): VarArgs {
    return new VaList(this.memory, this.at);
  }
}
