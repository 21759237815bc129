/** Instructions of 32-bit code that long mode has not: decimal adjustments, pusha, bound, far transfers. */
import { type HelperCall, type HelperFunction, type HelperHost, nextOf, Vector } from './helper-host.ts';
import { Helper, Reg } from './ir.ts';
import { ARITHMETIC, FLAG } from './state.ts';

const INTERRUPT_EXIT = 5;
const BOUND_VECTOR = 5;
const OVERFLOW_VECTOR = 4;

const low16 = (host: HelperHost, register: number): number => host.gpr(register) & 0xffff;

function setLow16(host: HelperHost, register: number, value: number): void {
  host.setGpr(register, (host.gpr(register) & 0xffff0000) | (value & 0xffff));
}

/** SF, ZF and PF of a byte, with the carries given; what the manuals leave undefined is 0. */
function byteFlags(host: HelperHost, value: number, carries: number): void {
  let parity = value & 0xff;
  parity ^= parity >> 4;
  parity ^= parity >> 2;
  parity ^= parity >> 1;
  const flags =
    carries |
    ((value & 0xff) === 0 ? FLAG.ZF : 0) |
    ((value & 0x80) === 0 ? 0 : FLAG.SF) |
    ((parity & 1) === 0 ? FLAG.PF : 0);
  host.rflags = (host.rflags & ~ARITHMETIC) | flags;
}

/** aaa, aas (SDM volume 2): the low digit of al, with a carry into ah. */
function adjustAscii(by: 1 | -1): HelperFunction {
  return ({ host }) => {
    const ax = low16(host, Reg.RAX);
    const adjust = (ax & 15) > 9 || (host.rflags & FLAG.AF) !== 0;
    const sum = adjust ? ax + by * 0x106 : ax;
    setLow16(host, Reg.RAX, sum & 0xff0f);
    byteFlags(host, sum & 15, adjust ? FLAG.AF | FLAG.CF : 0);
  };
}

/** daa, das (SDM volume 2): both digits of al after an addition or subtraction of packed decimals. */
function adjustDecimal(by: 1 | -1): HelperFunction {
  return ({ host }) => {
    const ax = low16(host, Reg.RAX);
    const old = ax & 0xff;
    const carryIn = (host.rflags & FLAG.CF) !== 0;
    let value = old;
    let carries = 0;
    if ((old & 15) > 9 || (host.rflags & FLAG.AF) !== 0) {
      value += by * 6;
      carries |= FLAG.AF;
      if (carryIn || value < 0 || (by > 0 && value > 0xff)) carries |= FLAG.CF;
    }
    if (old > 0x99 || carryIn) {
      value += by * 0x60;
      carries |= FLAG.CF;
    } else if (by > 0) carries &= ~FLAG.CF;
    setLow16(host, Reg.RAX, (ax & 0xff00) | (value & 0xff));
    byteFlags(host, value, carries);
  };
}

function asciiMultiply({ host, imm }: HelperCall): number | undefined {
  const base = imm & 0xff;
  if (base === 0) return host.raise(Vector.DE);
  const al = low16(host, Reg.RAX) & 0xff;
  const quotient = Math.floor(al / base);
  setLow16(host, Reg.RAX, (quotient << 8) | (al % base));
  byteFlags(host, al % base, 0);
}

function asciiDivide({ host, imm }: HelperCall): void {
  const ax = low16(host, Reg.RAX);
  const al = ((ax & 0xff) + (ax >> 8) * (imm & 0xff)) & 0xff;
  setLow16(host, Reg.RAX, al);
  byteFlags(host, al, 0);
}

const read = (host: HelperHost, at: number, size: number): number =>
  size === 2 ? host.memory.u16(at) : host.memory.u32(at);

/** The eight registers from the last to the first; the stack pointer as it was. */
function pushAll({ host, size }: HelperCall): void {
  const { memory } = host;
  const top = host.gpr(Reg.RSP);
  const places = Array.from({ length: 8 }, (_, n) => host.wrap(top - (n + 1) * size));
  // All of it must be writable before any of it is written; the first that is not is the one that faults.
  for (const at of places) memory.cpuAccess(at, size, 'write');
  places.forEach((at, n) => {
    if (size === 2) memory.set16(at, host.gpr(n));
    else memory.set32(at, host.gpr(n));
  });
  host.setGpr(Reg.RSP, places[7]);
}

function popAll({ host, size }: HelperCall): void {
  const bottom = host.gpr(Reg.RSP);
  const values = Array.from({ length: 8 }, (_, n) => read(host, host.wrap(bottom + n * size), size));
  values.reverse().forEach((value, n) => {
    if (n === Reg.RSP) return;
    if (size === 2) setLow16(host, n, value);
    else host.setGpr(n, value);
  });
  host.setGpr(Reg.RSP, bottom + 8 * size);
}

/** bound: #BR when the signed index is outside of the two limits in memory. */
function bound({ host, size, a, b }: HelperCall): number | undefined {
  const at = host.gpr(a);
  const shift = 32 - size * 8;
  const signed = (value: number): number => (value << shift) >> shift;
  const index = signed(host.gpr(b));
  const lower = signed(read(host, at, size));
  const upper = signed(read(host, host.wrap(at + size), size));
  return index < lower || index > upper ? host.raise(BOUND_VECTOR) : undefined;
}

function overflowInterrupt(call: HelperCall): number | undefined {
  const { host } = call;
  if ((host.rflags & FLAG.OF) === 0) return undefined;
  host.rip = nextOf(call);
  host.setVector(OVERFLOW_VECTOR);
  return host.leaveWith(INTERRUPT_EXIT);
}

function push32(host: HelperHost, value: number): void {
  const at = host.wrap(host.gpr(Reg.RSP) - 4);
  host.memory.set32(at, value);
  host.setGpr(Reg.RSP, at);
}

/** Code segments are flat: a far transfer changes the selector, and goes to its offset. */
function farTransfer(calls: boolean): HelperFunction {
  return (call) => {
    const { host, a, b } = call;
    if (host.bits === 64) return host.raise(Vector.UD, 0, 'unsupported');
    const selector = host.gpr(b) & 0xffff;
    if (selector < 4) return host.raise(Vector.GP);
    if (calls) {
      push32(host, host.segments[1]);
      push32(host, nextOf(call));
    }
    host.segments[1] = selector;
    host.rip = host.gpr(a);
    return host.leaveWith(undefined);
  };
}

function farReturn({ host, size, imm }: HelperCall): number {
  if (host.bits === 64 || size !== 4) return host.raise(Vector.UD, 0, 'unsupported');
  const at = host.gpr(Reg.RSP);
  const rip = host.memory.u32(at);
  const selector = host.memory.u32(host.wrap(at + 4)) & 0xffff;
  if (selector < 4 || (selector & 3) < host.cpl) return host.raise(Vector.GP, selector & 0xfffc);
  host.setGpr(Reg.RSP, at + 8 + imm);
  host.segments[1] = selector;
  host.rip = rip;
  return host.leaveWith(undefined);
}

export const legacyHelpers: readonly (readonly [number, HelperFunction])[] = [
  [Helper.AAA, adjustAscii(1)],
  [Helper.AAS, adjustAscii(-1)],
  [Helper.DAA, adjustDecimal(1)],
  [Helper.DAS, adjustDecimal(-1)],
  [Helper.AAM, asciiMultiply],
  [Helper.AAD, asciiDivide],
  [Helper.PUSHA, pushAll],
  [Helper.POPA, popAll],
  [Helper.BOUND, bound],
  [Helper.INTO, overflowInterrupt],
  [Helper.FAR_JUMP, farTransfer(false)],
  [Helper.FAR_CALL, farTransfer(true)],
  [Helper.RETF, farReturn],
];
