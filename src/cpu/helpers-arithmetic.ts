/** Long division, bit deposit and extract, rotates through carry by cl, exchanges of pairs, CRC-32C. */

import { type HelperCall, type HelperFunction, type HelperHost, Vector } from './helper-host.ts';
import { BuiltinHelper } from './helper-ids.ts';

import { Helper, Reg } from './ir.ts';
import { FLAG } from './state.ts';

const signed = (bits: number, value: bigint): bigint => BigInt.asIntN(bits, value);
const unsigned = (bits: number, value: bigint): bigint => BigInt.asUintN(bits, value);

/** rdx:rax by register a. The quotient must fit 64 bits. */
function divide({ host, a }: HelperCall, isSigned: boolean): number | undefined {
  const divisor = isSigned ? signed(64, host.gprBig(a)) : host.gprBig(a);
  if (divisor === 0n) return host.raise(Vector.DE);
  const pair = (host.gprBig(Reg.RDX) << 64n) | host.gprBig(Reg.RAX);
  const dividend = isSigned ? signed(128, pair) : pair;
  const quotient = dividend / divisor;
  const fits = isSigned ? signed(64, quotient) === quotient : quotient < 1n << 64n;
  if (!fits) return host.raise(Vector.DE);
  host.setGprBig(Reg.RAX, quotient);
  host.setGprBig(Reg.RDX, dividend % divisor);
}

const bitsOf = (call: HelperCall): number => call.scale * 8;
const destination = (call: HelperCall): number => call.size >> 3;
const source = (call: HelperCall, register: number): bigint =>
  unsigned(bitsOf(call), call.host.gprBig(register));

function deposit(call: HelperCall, extract: boolean): void {
  const value = source(call, call.a);
  let mask = source(call, call.b);
  let out = 0n;
  for (let at = 0n; mask !== 0n; at++) {
    const lowest = mask & -mask;
    if (extract) out |= (value & lowest) === 0n ? 0n : 1n << at;
    else out |= ((value >> at) & 1n) === 0n ? 0n : lowest;
    mask ^= lowest;
  }
  call.host.setGprBig(destination(call), out);
}

function setFlags(host: HelperHost, clear: number, set: number): void {
  host.rflags = (host.rflags & ~clear) | set;
}

/** bextr: `length` bits from `start`, both in the second source. ZF is defined, CF and OF are 0. */
function extractField(call: HelperCall): void {
  const control = Number(source(call, call.b) & 0xffffn);
  const shifted = source(call, call.a) >> BigInt(control & 0xff);
  finish(call, unsigned(Math.min(control >> 8, bitsOf(call)), shifted), FLAG.CF | FLAG.OF | FLAG.ZF, 0);
}

/** bzhi: clears from a bit on; CF says that the index was past the end. */
function zeroHigh(call: HelperCall): void {
  const index = Number(source(call, call.b) & 0xffn);
  const past = index >= bitsOf(call);
  const result = unsigned(Math.min(index, bitsOf(call)), source(call, call.a));
  const sign = result >> BigInt(bitsOf(call) - 1) === 0n ? 0 : FLAG.SF;
  finish(call, result, FLAG.CF | FLAG.OF | FLAG.ZF | FLAG.SF, (past ? FLAG.CF : 0) | sign);
}

function finish(call: HelperCall, result: bigint, clear: number, set: number): void {
  call.host.setGprBig(destination(call), result);
  setFlags(call.host, clear, set | (result === 0n ? FLAG.ZF : 0));
}

/** rcl and rcr by cl: the operand and the carry as one ring of bits. Field a: operand byte in the file. */
function rotateThroughCarry(call: HelperCall, left: boolean): void {
  const { host, size, b } = call;
  const bits = size * 8;
  const masked = Number(host.gprBig(b) & (size === 8 ? 63n : 31n));
  const count = BigInt(size === 8 ? masked : masked % (bits + 1));
  if (count === 0n) {
    if (size === 4) host.setGprBig(call.a, unsigned(32, host.gprBig(call.a)));
    return;
  }
  const ringBits = BigInt(bits) + 1n;
  const shift = call.highByte ? 8n : 0n;
  const whole = host.gprBig(call.a);
  const old = unsigned(bits, whole >> shift);
  const ring = (BigInt(host.rflags & FLAG.CF) << BigInt(bits)) | old;
  const turned = left
    ? (ring << count) | (ring >> (ringBits - count))
    : (ring >> count) | (ring << (ringBits - count));
  const result = unsigned(bits, turned);
  const carry = Number((turned >> BigInt(bits)) & 1n);
  const top = Number(result >> BigInt(bits - 1));
  const overflow = left ? top ^ carry : top ^ Number((result >> BigInt(bits - 2)) & 1n);
  const kept = size === 4 ? 0n : whole & ~(unsigned(bits, -1n) << shift);
  host.setGprBig(call.a, kept | (result << shift));
  setFlags(host, FLAG.CF | FLAG.OF, carry | (overflow << 11));
}

/** Compares rdx:rax with memory; equal: memory = rcx:rbx; else rdx:rax = memory. */
function compareExchangePair(call: HelperCall): number | undefined {
  const { host, size } = call;
  const { memory } = host;
  const va = host.wrap(host.gpr(call.a) + call.imm);
  if (size === 8 && (va & 15) !== 0) return host.raise(Vector.GP);
  // All of it is checked for writing before either half changes.
  memory.cpuAccess(va, size * 2, 'write');
  const read = (at: number): bigint => (size === 8 ? memory.u64(at) : BigInt(memory.u32(at)));
  const low = read(va);
  const high = read(va + size);
  const of = (register: number): bigint => unsigned(size * 8, host.gprBig(register));
  const equal = low === of(Reg.RAX) && high === of(Reg.RDX);
  if (equal) {
    if (size === 8) {
      memory.setU64(va, of(Reg.RBX));
      memory.setU64(va + 8, of(Reg.RCX));
    } else {
      memory.set32(va, Number(of(Reg.RBX)));
      memory.set32(va + 4, Number(of(Reg.RCX)));
    }
  } else {
    host.setGprBig(Reg.RAX, low);
    host.setGprBig(Reg.RDX, high);
  }
  setFlags(host, FLAG.ZF, equal ? FLAG.ZF : 0);
}

/** What CRC-32C (polynomial 0x1edc6f41, reflected) makes of each byte. */
const CRC32C = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) === 0 ? 0 : 0x82f63b78);
  return crc;
});

/** Whole checksums of files go through it, eight bytes at a time. */
function crc32c({ host, size, a, b }: HelperCall): void {
  let crc = Number(host.gprBig(a) & 0xffff_ffffn);
  const value = host.gprBig(b);
  let word = Number(value & 0xffff_ffffn);
  for (let i = 0; i < size; i++) {
    if (i === 4) word = Number((value >> 32n) & 0xffff_ffffn);
    crc = (crc >>> 8) ^ CRC32C[(crc ^ word) & 0xff];
    word >>>= 8;
  }
  host.setGpr(a, crc >>> 0);
}

export const arithmeticHelpers: readonly (readonly [number, HelperFunction])[] = [
  [BuiltinHelper.DIV, (call) => divide(call, false)],
  [BuiltinHelper.IDIV, (call) => divide(call, true)],
  [BuiltinHelper.PDEP, (call) => deposit(call, false)],
  [BuiltinHelper.PEXT, (call) => deposit(call, true)],
  [BuiltinHelper.BEXTR, extractField],
  [BuiltinHelper.BZHI, zeroHigh],
  [BuiltinHelper.RCL, (call) => rotateThroughCarry(call, true)],
  [BuiltinHelper.RCR, (call) => rotateThroughCarry(call, false)],
  [BuiltinHelper.CMPXCHG_PAIR, compareExchangePair],
  [Helper.CRC32, crc32c],
];
