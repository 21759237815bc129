/**
 * What each instruction of the x87 coprocessor does (SDM volume 1, chapter 8; opcode map in volume 2, appendix A). An
 * unmasked exception is reported by the next waiting instruction (#MF), after the masked result was stored.
 */
import type { HelperCall, HelperFunction, HelperHost } from './helper-host.ts';
import { Helper, Reg } from './ir.ts';
import { ARITHMETIC, FLAG } from './state.ts';
import * as F from './x87-float.ts';
import { type Environment, type Extended, X87 } from './x87-float.ts';
import * as T from './x87-functions.ts';
import {
  C0,
  C1,
  C2,
  C3,
  EXCEPTIONS,
  loadAll,
  loadEnvironment,
  restore,
  SUMMARY,
  save,
  storeAll,
  storeEnvironment,
  Unit,
} from './x87-unit.ts';

const MATH_FAULT = 16;

/** The eight operations of the first opcode of each pair: x is st(0), y the other operand. */
function arithmetic({ env }: Unit, which: number, x: Extended, y: Extended): Extended {
  switch (which) {
    case 0:
      return F.add(env, x, y);
    case 1:
      return F.multiply(env, x, y);
    case 4:
      return F.subtract(env, x, y);
    case 5:
      return F.subtract(env, y, x);
    case 6:
      return F.divide(env, x, y);
    default:
      return F.divide(env, y, x);
  }
}

/** -1, 0, 1 or undefined as C3, C2 and C0. */
function conditionCodes(order: number | undefined): number {
  if (order === undefined) return C0 | C2 | C3;
  return order < 0 ? C0 : order === 0 ? C3 : 0;
}

function compareWith(unit: Unit, y: Extended, empty: boolean, quietIsInvalid = true): number | undefined {
  return empty ? undefined : F.compare(unit.env, unit.raw(0), y, quietIsInvalid);
}

/** d8, dc, da and de with memory. */
function memoryArithmetic(unit: Unit, which: number, y: Extended): void {
  const { env } = unit;
  const denormal = env.flags & X87.DE;
  env.flags &= ~X87.DE;
  const empty = unit.isEmpty(0);
  // Whatever else is wrong comes before a denormal operand: a stack underflow, a NaN.
  const plain = !empty && [unit.raw(0), y].every((value) => F.isNumber(value));
  if (empty) env.flags = X87.IE | X87.SF;
  else if (plain) env.flags |= denormal;
  if (which === 2 || which === 3) {
    unit.codes = conditionCodes(compareWith(unit, y, empty));
    if (which === 3) unit.pop();
  } else unit.set(0, empty ? F.DEFAULT_NAN : arithmetic(unit, which, unit.raw(0), y));
}

const REAL = { 216: 4, 220: 8 } as const;
const INTEGER = { 218: 4, 222: 2 } as const;

function readReal(unit: Unit, at: number, size: 4 | 8, loads = true): Extended {
  const { memory } = unit.host;
  return F.fromBits(unit.env, size === 4 ? BigInt(memory.u32(at)) : memory.u64(at), size, loads);
}

function readInteger(unit: Unit, at: number, size: number): Extended {
  const { memory } = unit.host;
  if (size === 8) return F.fromInteger(BigInt.asIntN(64, memory.u64(at)));
  return F.fromInteger(BigInt(size === 4 ? memory.i32(at) : (memory.u16(at) << 16) >> 16));
}

function writeSized(unit: Unit, at: number, size: number, bits: bigint): void {
  const { memory } = unit.host;
  const low = Number(BigInt.asIntN(32, bits));
  if (size === 8) memory.setU64(at, bits);
  else if (size === 4) memory.set32(at, low);
  else memory.set16(at, low & 0xffff);
}

function storeReal(unit: Unit, at: number, size: 4 | 8, pops: boolean): void {
  const bits = F.toBits(unit.env, unit.get(0), size);
  writeSized(unit, at, size, bits);
  if (pops) unit.pop();
}

function storeInteger(unit: Unit, at: number, size: number, pops: boolean, truncating: boolean): void {
  const value = F.storeInteger(unit.env, unit.get(0), size * 8, truncating);
  writeSized(unit, at, size, BigInt.asUintN(size * 8, value));
  if (pops) unit.pop();
}

/** Writes only what is there: 80-bit loads and stores change no bit and report nothing. */
function loadWhole(unit: Unit, at: number): void {
  const { memory, wrap } = unit.host;
  const head = memory.u16(wrap.call(unit.host, at + 8));
  unit.push({ sign: (head >> 15) as 0 | 1, exponent: head & 0x7fff, mantissa: memory.u64(at) });
}

function storeWhole(unit: Unit, at: number): void {
  const { memory } = unit.host;
  const { sign, exponent, mantissa } = unit.get(0);
  memory.cpuAccess(unit.host.wrap(at + 8), 2, 'write');
  memory.setU64(at, mantissa);
  memory.set16(unit.host.wrap(at + 8), (sign << 15) | exponent);
  unit.pop();
}

type MemoryForm = (unit: Unit, at: number) => void;

/** Loads, stores and control with a memory operand, by opcode * 8 + ModRM.reg. */
const MEMORY: ReadonlyMap<number, MemoryForm> = new Map<number, MemoryForm>([
  [0xd9 * 8 + 0, (u, at) => u.push(readReal(u, at, 4))],
  [0xd9 * 8 + 2, (u, at) => storeReal(u, at, 4, false)],
  [0xd9 * 8 + 3, (u, at) => storeReal(u, at, 4, true)],
  [0xdb * 8 + 0, (u, at) => u.push(readInteger(u, at, 4))],
  [0xdb * 8 + 1, (u, at) => storeInteger(u, at, 4, true, true)],
  [0xdb * 8 + 2, (u, at) => storeInteger(u, at, 4, false, false)],
  [0xdb * 8 + 3, (u, at) => storeInteger(u, at, 4, true, false)],
  [0xdb * 8 + 5, loadWhole],
  [0xdb * 8 + 7, storeWhole],
  [0xdd * 8 + 0, (u, at) => u.push(readReal(u, at, 8))],
  [0xdd * 8 + 1, (u, at) => storeInteger(u, at, 8, true, true)],
  [0xdd * 8 + 2, (u, at) => storeReal(u, at, 8, false)],
  [0xdd * 8 + 3, (u, at) => storeReal(u, at, 8, true)],
  [0xdf * 8 + 0, (u, at) => u.push(readInteger(u, at, 2))],
  [0xdf * 8 + 1, (u, at) => storeInteger(u, at, 2, true, true)],
  [0xdf * 8 + 2, (u, at) => storeInteger(u, at, 2, false, false)],
  [0xdf * 8 + 3, (u, at) => storeInteger(u, at, 2, true, false)],
  [0xdf * 8 + 4, (u, at) => u.push(T.fromDecimal(u.host.memory.bytes(at, 10)))],
  [0xdf * 8 + 5, (u, at) => u.push(readInteger(u, at, 8))],
  [
    0xdf * 8 + 6,
    (u, at) => {
      u.host.memory.write(at, T.toDecimal(u.env, u.get(0)));
      u.pop();
    },
  ],
  [0xdf * 8 + 7, (u, at) => storeInteger(u, at, 8, true, false)],
]);

/** These wait for nothing and change no exception flags; those marked true are checked for pending exceptions all the same. */
const CONTROL: ReadonlyMap<number, readonly [run: MemoryForm, waits: boolean]> = new Map([
  [0xd9 * 8 + 4, [loadEnvironment, true]],
  [0xd9 * 8 + 5, [(u: Unit, at: number) => void (u.control = u.host.memory.u16(at)), true]],
  [
    0xd9 * 8 + 6,
    [
      (u: Unit, at: number) => {
        storeEnvironment(u, at);
        u.control |= EXCEPTIONS;
      },
      false,
    ],
  ],
  [0xd9 * 8 + 7, [(u: Unit, at: number) => u.host.memory.set16(at, u.control), false]],
  [0xdd * 8 + 4, [restore, true]],
  [0xdd * 8 + 6, [save, false]],
  [0xdd * 8 + 7, [(u: Unit, at: number) => u.host.memory.set16(at, u.status), false]],
]);

/** Constants to 64 bits, and whether that was rounded up: 1, log2(10), log2(e), pi, log10(2), ln(2), 0. */
const CONSTANTS: readonly (readonly [mantissa: bigint, exponent: number, up: boolean, exact: boolean])[] = [
  [0x8000000000000000n, 0x3fff, false, true],
  [0xd49a784bcd1b8afen, 0x4000, false, false],
  [0xb8aa3b295c17f0bcn, 0x3fff, true, false],
  [0xc90fdaa22168c235n, 0x4000, true, false],
  [0x9a209a84fbcff799n, 0x3ffd, true, false],
  [0xb17217f7d1cf79acn, 0x3ffe, true, false],
  [0n, 0, false, true],
];

function pushConstant(unit: Unit, which: number): void {
  const [mantissa, exponent, up, exact] = CONSTANTS[which];
  const { rounding } = unit.env;
  let adjust = 0n;
  if (!exact && rounding === 2 && !up) adjust = 1n;
  if (!exact && (rounding === 1 || rounding === 3) && up) adjust = -1n;
  unit.push({ sign: 0, exponent, mantissa: mantissa + adjust });
}

/** fxam: what st(0) is, in C3, C2, C0, and its sign in C1. */
function examine(unit: Unit): void {
  const value = unit.raw(0);
  const classes = {
    unsupported: 0,
    quiet: C0,
    signalling: C0,
    normal: C2,
    infinity: C2 | C0,
    zero: C3,
    denormal: C3 | C2,
  };
  const code = unit.isEmpty(0) ? C3 | C0 : classes[F.kindOf(value)];
  const status = unit.status & ~(C0 | C1 | C2 | C3);
  unit.status = status | code | (value.sign === 1 ? C1 : 0);
}

/** Conditions of fcmov: CF, ZF, CF or ZF, PF; the second row of opcodes negates them. */
const MOVE_CONDITIONS = [2, 4, 6, 10];

function conditionalMove(unit: Unit, modrm: number, negated: boolean): void {
  const index = modrm & 7;
  const holds = unit.host.condition(MOVE_CONDITIONS[(modrm >> 3) & 3] + (negated ? 1 : 0));
  if (unit.underflow(0, index)) unit.set(0, F.DEFAULT_NAN);
  else if (holds) unit.set(0, unit.raw(index));
}

/** fcomi and fucomi: the result goes to the processor's flags. */
function compareToFlags(unit: Unit, index: number, quietIsInvalid: boolean, pops: boolean): void {
  const empty = unit.underflow(0, index);
  const order = compareWith(unit, unit.raw(index), empty, quietIsInvalid);
  const { host } = unit;
  const flags =
    order === undefined ? FLAG.ZF | FLAG.PF | FLAG.CF : order < 0 ? FLAG.CF : order === 0 ? FLAG.ZF : 0;
  host.rflags = (host.rflags & ~ARITHMETIC) | flags;
  if (pops) unit.pop();
}

function compareRegisters(unit: Unit, index: number, pops: number, quietIsInvalid: boolean): void {
  const empty = unit.underflow(0, index);
  unit.codes = conditionCodes(compareWith(unit, unit.raw(index), empty, quietIsInvalid));
  for (let n = 0; n < pops; n++) unit.pop();
}

function exchange(unit: Unit, index: number): void {
  const [a, b] = [unit.get(0), unit.get(index)];
  unit.set(0, b);
  unit.set(index, a);
}

/** d8, dc and de between registers; the last two write the other operand, and de pops. */
function registerArithmetic(unit: Unit, opcode: number, modrm: number): void {
  const which = (modrm >> 3) & 7;
  const index = modrm & 7;
  if (which === 2 || which === 3) {
    const pops = opcode === 0xde ? (which === 3 ? 2 : 1) : which === 3 ? 1 : 0;
    compareRegisters(unit, index, pops, true);
    return;
  }
  const empty = unit.underflow(0, index);
  const result = empty ? F.DEFAULT_NAN : arithmetic(unit, which, unit.raw(0), unit.raw(index));
  unit.set(opcode === 0xd8 ? 0 : index, result);
  if (opcode === 0xde) unit.pop();
}

function oneOperand(unit: Unit, modrm: number): void {
  if (modrm >= 0xe8 && modrm <= 0xee) {
    pushConstant(unit, modrm - 0xe8);
    return;
  }
  const f = FUNCTIONS.get(modrm);
  if (f !== undefined) {
    f(unit);
    return;
  }
  const empty = unit.underflow(0);
  const value = unit.raw(0);
  if (modrm === 0xe4) unit.codes = conditionCodes(compareWith(unit, F.zero(0), empty));
  else if (empty) unit.set(0, F.DEFAULT_NAN);
  else if (modrm === 0xe0) unit.set(0, { ...value, sign: value.sign === 0 ? 1 : 0 });
  else if (modrm === 0xe1) unit.set(0, { ...value, sign: 0 });
  else unit.set(0, modrm === 0xfa ? F.squareRoot(unit.env, value) : F.roundToInteger(unit.env, value));
}

/** One of sine, cosine and tangent in place; false when the argument is too large, which C2 says. */
function circular(unit: Unit, which: T.Circular): boolean {
  const empty = unit.underflow(0);
  const value = unit.raw(0);
  const large = !empty && T.tooLarge(value);
  unit.status = large ? unit.status | C2 : unit.status & ~C2;
  if (large) return false;
  unit.set(0, empty ? F.DEFAULT_NAN : T.trigonometric(unit.env, value, which));
  return true;
}

/** fsincos and fptan push a second result: the cosine, or 1. */
function circularPair(unit: Unit, which: 'sin' | 'tan'): void {
  const full = !unit.isEmpty(7);
  const value = unit.get(0);
  if (!circular(unit, which)) return;
  if (full) unit.env.flags |= X87.IE | X87.SF;
  if (full) unit.set(0, F.DEFAULT_NAN);
  const isNumber = F.isNumber(value) && F.kindOf(value) !== 'infinity';
  const env = { ...unit.env };
  const second = which === 'sin' ? T.trigonometric(env, value, 'cos') : isNumber ? F.ONE : unit.raw(0);
  unit.push(second);
}

/** Two operands whose result takes the place of the second, which then is on top. */
function popping(unit: Unit, f: (env: Environment, a: Extended, b: Extended) => Extended): void {
  const empty = unit.underflow(0, 1);
  unit.set(1, empty ? F.DEFAULT_NAN : f(unit.env, unit.raw(0), unit.raw(1)));
  unit.pop();
}

function partialRemainder(unit: Unit, nearest: boolean): void {
  if (unit.underflow(0, 1)) {
    unit.set(0, F.DEFAULT_NAN);
    unit.status &= ~C2;
    return;
  }
  const { value, quotient, partial } = T.remainder(unit.env, unit.raw(0), unit.raw(1), nearest);
  unit.set(0, value);
  if (quotient === undefined) {
    unit.status &= ~C2;
    return;
  }
  const bits = (quotient & 4 ? C0 : 0) | (quotient & 2 ? C3 : 0) | (partial ? C2 : 0);
  unit.status = (unit.status & ~(C0 | C2 | C3)) | bits;
  unit.env.up = (quotient & 1) === 1;
}

function extract(unit: Unit): void {
  // Without room for the second result there is no first one either.
  const empty = unit.underflow(0) || !unit.isEmpty(7);
  const { exponent, significand } = empty
    ? { exponent: F.DEFAULT_NAN, significand: F.DEFAULT_NAN }
    : T.extract(unit.env, unit.raw(0));
  unit.set(0, exponent);
  unit.push(significand);
}

function inPlace(unit: Unit, f: (env: Environment, a: Extended) => Extended): void {
  unit.set(0, unit.underflow(0) ? F.DEFAULT_NAN : f(unit.env, unit.raw(0)));
}

function scaleByPower(unit: Unit): void {
  unit.set(0, unit.underflow(0, 1) ? F.DEFAULT_NAN : T.scale(unit.env, unit.raw(0), unit.raw(1)));
}

/** d9 f0 and up, but for those that other tables have. */
const FUNCTIONS: ReadonlyMap<number, (unit: Unit) => unknown> = new Map<number, (unit: Unit) => unknown>([
  [0xf0, (u) => inPlace(u, T.powerLessOne)],
  [0xf1, (u) => popping(u, T.logarithmTimes)],
  [0xf2, (u) => circularPair(u, 'tan')],
  [0xf3, (u) => popping(u, T.angle)],
  [0xf4, extract],
  [0xf5, (u) => partialRemainder(u, true)],
  [0xf8, (u) => partialRemainder(u, false)],
  [0xf9, (u) => popping(u, T.logarithmOfSumTimes)],
  [0xfb, (u) => circularPair(u, 'sin')],
  [0xfd, scaleByPower],
  [0xfe, (u) => circular(u, 'sin')],
  [0xff, (u) => circular(u, 'cos')],
]);

/** d9 and its like between registers. */
function registerForm(unit: Unit, opcode: number, modrm: number): void {
  const index = modrm & 7;
  const row = opcode * 8 + ((modrm >> 3) & 7);
  if (row === 0xd9 * 8) unit.push(unit.get(index));
  else if (row === 0xd9 * 8 + 1) exchange(unit, index);
  else if (opcode === 0xd9) oneOperand(unit, modrm);
  else if (opcode === 0xda && modrm < 0xe0) conditionalMove(unit, modrm, false);
  else if (opcode === 0xda) compareRegisters(unit, 1, 2, false);
  else if (opcode === 0xdb && modrm < 0xe0) conditionalMove(unit, modrm, true);
  else if (opcode === 0xdb) compareToFlags(unit, index, modrm >= 0xf0, false);
  else if (opcode === 0xdf) compareToFlags(unit, index, modrm >= 0xf0, true);
  else if (row === 0xdd * 8 + 4) compareRegisters(unit, index, 0, false);
  else if (row === 0xdd * 8 + 5) compareRegisters(unit, index, 1, false);
  else {
    unit.set(index, unit.get(0));
    if (row === 0xdd * 8 + 3) unit.pop();
  }
}

/** What changes the state of the unit and nothing else. True when it was one of these. */
function stateForm(unit: Unit, opcode: number, modrm: number): boolean {
  if (opcode === 0xdb && modrm === 0xe3) unit.initialise();
  else if (opcode === 0xdb && modrm === 0xe2) unit.status &= ~(EXCEPTIONS | X87.SF);
  else if (opcode === 0xdf && modrm === 0xe0) setAx(unit.host, unit.status);
  else return false;
  return true;
}

function setAx(host: HelperHost, value: number): void {
  host.setGprBig(Reg.RAX, (host.gprBig(Reg.RAX) & ~0xffffn) | BigInt(value));
}

function coprocessor({ host, a, imm }: HelperCall): number | undefined {
  const unit = new Unit(host);
  const opcode = (imm >> 8) & 0xff;
  const modrm = imm & 0xff;
  const inMemory = modrm < 0xc0;
  const key = opcode * 8 + ((modrm >> 3) & 7);
  const control = inMemory ? CONTROL.get(key) : undefined;
  if (!inMemory && stateForm(unit, opcode, modrm)) return undefined;
  if ((unit.status & SUMMARY) !== 0 && control?.[1] !== false) return host.raise(MATH_FAULT);
  const at = host.gpr(a);
  if (control !== undefined) {
    control[0](unit, at);
    return undefined;
  }
  if (
    !inMemory &&
    opcode === 0xd9 &&
    (modrm === 0xe5 || modrm === 0xd0 || modrm === 0xf6 || modrm === 0xf7)
  ) {
    if (modrm === 0xe5) examine(unit);
    else if (modrm !== 0xd0) {
      unit.top = unit.top + (modrm === 0xf7 ? 1 : -1);
      unit.status &= ~C1;
    }
    return undefined;
  }
  if (!inMemory && opcode === 0xdd && modrm < 0xc8) {
    unit.free(modrm & 7);
    return undefined;
  }
  if (inMemory) memoryForm(unit, opcode, key, at);
  else if (opcode === 0xd8 || opcode === 0xdc || opcode === 0xde) registerArithmetic(unit, opcode, modrm);
  else registerForm(unit, opcode, modrm);
  unit.finish();
  return undefined;
}

function memoryForm(unit: Unit, opcode: number, key: number, at: number): void {
  const run = MEMORY.get(key);
  if (run !== undefined) run(unit, at);
  else if (opcode === 0xd8 || opcode === 0xdc)
    memoryArithmetic(unit, key & 7, readReal(unit, at, REAL[opcode], false));
  else memoryArithmetic(unit, key & 7, readInteger(unit, at, INTEGER[opcode as 0xda | 0xde]));
}

export const coprocessorHelpers: readonly (readonly [number, HelperFunction])[] = [
  [Helper.X87, coprocessor],
  [Helper.FNINIT, ({ host }) => new Unit(host).initialise()],
  [Helper.FXSAVE, storeAll],
  [Helper.FXRSTOR, loadAll],
];
