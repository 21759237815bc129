/**
 * The x87 coprocessor's state: its register stack, control, status and tag words (SDM volume 1, chapter 8), and the images
 * of it that instructions save and load (figures 8-9 and 8-10, table 10-2). What the instructions compute is in helpers-x87.ts.
 */
import { type HelperCall, type HelperHost, readMxcsr, Vector } from './helper-host.ts';
import { X87_CONTROL, X87_REGISTERS, X87_STATUS, X87_VALID, XMM } from './state.ts';
import * as F from './x87-float.ts';
import { type Environment, type Extended, X87 } from './x87-float.ts';

export const C0 = 0x100;
export const C1 = 0x200;
export const C2 = 0x400;
export const C3 = 0x4000;
const TOP_SHIFT = 11;
const TOP_MASK = 7 << TOP_SHIFT;
export const EXCEPTIONS = 0x3f;
/** Exception summary, and busy, which mirrors it. */
export const SUMMARY = 0x8080;
const INITIAL_CONTROL = 0x37f;

const PRECISIONS = [24, 64, 53, 64] as const;

/** The unit while one instruction runs. */
export class Unit {
  readonly env: Environment;
  /** Condition codes that the instruction sets; C1 comes from rounding unless it is among them. */
  codes: number | undefined;
  private readonly view: DataView;
  readonly host: HelperHost;

  constructor(host: HelperHost) {
    this.host = host;
    this.view = host.view;
    const control = this.control;
    this.env = {
      precision: PRECISIONS[(control >> 8) & 3],
      rounding: (control >> 10) & 3,
      flags: 0,
      up: false,
    };
  }

  get control(): number {
    return this.view.getUint16(X87_CONTROL, true);
  }

  set control(value: number) {
    // Bit 6 always reads as one.
    this.view.setUint16(X87_CONTROL, (value & 0x1f3f) | 0x40, true);
    this.summarise();
  }

  get status(): number {
    return this.view.getUint16(X87_STATUS, true);
  }

  set status(value: number) {
    this.view.setUint16(X87_STATUS, value, true);
    this.summarise();
  }

  private summarise(): void {
    const status = this.view.getUint16(X87_STATUS, true) & ~SUMMARY;
    const pending = (status & ~this.view.getUint16(X87_CONTROL, true) & EXCEPTIONS) !== 0;
    this.view.setUint16(X87_STATUS, pending ? status | SUMMARY : status, true);
  }

  get top(): number {
    return (this.status & TOP_MASK) >> TOP_SHIFT;
  }

  set top(value: number) {
    this.status = (this.status & ~TOP_MASK) | ((value & 7) << TOP_SHIFT);
  }

  /** One bit for each physical register that is not empty. */
  get valid(): number {
    return this.view.getUint8(X87_VALID);
  }

  set valid(bits: number) {
    this.view.setUint8(X87_VALID, bits);
  }

  isEmpty(index: number): boolean {
    return ((this.valid >> ((this.top + index) & 7)) & 1) === 0;
  }

  free(index: number): void {
    this.valid &= ~(1 << ((this.top + index) & 7));
  }

  raw(index: number): Extended {
    const at = X87_REGISTERS + ((this.top + index) & 7) * 16;
    const head = this.view.getUint16(at + 8, true);
    return {
      sign: (head >> 15) as 0 | 1,
      exponent: head & 0x7fff,
      mantissa: this.view.getBigUint64(at, true),
    };
  }

  /** The operand; an empty register is a stack underflow, with the default NaN. */
  get(index: number): Extended {
    if (!this.isEmpty(index)) return this.raw(index);
    this.env.flags |= X87.IE | X87.SF;
    return F.DEFAULT_NAN;
  }

  set(index: number, { sign, exponent, mantissa }: Extended): void {
    const physical = (this.top + index) & 7;
    const at = X87_REGISTERS + physical * 16;
    this.view.setBigUint64(at, mantissa, true);
    this.view.setUint16(at + 8, (sign << 15) | exponent, true);
    this.valid |= 1 << physical;
  }

  push(value: Extended): void {
    const full = !this.isEmpty(7);
    if (full) {
      // What the operand was like is not looked at any more; an underflow of the source wins.
      if ((this.env.flags & X87.SF) === 0) this.codes = C1;
      this.env.flags = X87.IE | X87.SF;
    }
    this.top = this.top - 1;
    this.set(0, full ? F.DEFAULT_NAN : value);
  }

  pop(): void {
    this.free(0);
    this.top = this.top + 1;
  }

  /** Both operands of an arithmetic instruction: an underflow of either makes the result the default NaN. */
  underflow(...indexes: number[]): boolean {
    if (!indexes.some((index) => this.isEmpty(index))) return false;
    this.env.flags |= X87.IE | X87.SF;
    return true;
  }

  /** What every instruction that computes leaves in the status word. */
  finish(): void {
    const kept = this.status & ~C1;
    const codes = this.codes ?? (this.env.up ? C1 : 0);
    const cleared = this.codes === undefined ? kept : kept & ~(C0 | C2 | C3 | C1);
    const compares = this.codes !== undefined && this.codes !== C1;
    this.status = (compares ? cleared : kept) | codes | this.env.flags;
  }

  initialise(): void {
    this.view.setUint16(X87_STATUS, 0, true);
    this.control = INITIAL_CONTROL;
    this.valid = 0;
  }
}

/** Loads a double as `fld` does: functions outside of machine code give their results so. */
export function pushDouble(host: HelperHost, value: number): void {
  const unit = new Unit(host);
  const bits = new BigUint64Array(Float64Array.of(value).buffer)[0];
  unit.push(F.fromBits(unit.env, bits, 8, false));
  unit.finish();
}

/** Two bits a register: valid, zero, special, empty. */
function fullTags(unit: Unit): number {
  let tags = 0;
  for (let physical = 0; physical < 8; physical++) {
    const index = (physical - unit.top) & 7;
    const kind = F.kindOf(unit.raw(index));
    const tag = unit.isEmpty(index) ? 3 : kind === 'zero' ? 1 : kind === 'normal' ? 0 : 2;
    tags |= tag << (physical * 2);
  }
  return tags;
}

/** The 32-bit form: 28 bytes; where the last instruction was is not kept. */
export function storeEnvironment(unit: Unit, at: number): void {
  const { memory } = unit.host;
  memory.cpuAccess(at, 28, 'write');
  const words = [
    unit.control | 0xffff0000,
    unit.status | 0xffff0000,
    fullTags(unit) | 0xffff0000,
    0,
    0,
    0,
    0xffff0000,
  ];
  words.forEach((word, n) => {
    memory.set32(unit.host.wrap(at + n * 4), word);
  });
}

export function loadEnvironment(unit: Unit, at: number): void {
  const { memory } = unit.host;
  const [control, status, tags] = [0, 4, 8].map((offset) => memory.u16(unit.host.wrap(at + offset)));
  unit.status = status;
  unit.control = control;
  unit.valid = validOf(tags);
}

/** Which physical registers a full tag word does not call empty. */
function validOf(tags: number): number {
  let valid = 0;
  for (let n = 0; n < 8; n++) if (((tags >> (n * 2)) & 3) !== 3) valid |= 1 << n;
  return valid;
}

export function save(unit: Unit, at: number): void {
  const { memory } = unit.host;
  const bytes = new Uint8Array(80);
  const view = new DataView(bytes.buffer);
  for (let n = 0; n < 8; n++) {
    const { sign, exponent, mantissa } = unit.raw(n);
    view.setBigUint64(n * 10, mantissa, true);
    view.setUint16(n * 10 + 8, (sign << 15) | exponent, true);
  }
  storeEnvironment(unit, at);
  memory.write(at + 28, bytes);
  unit.initialise();
}

export function restore(unit: Unit, at: number): void {
  const view = new DataView(unit.host.memory.bytes(at + 28, 80).buffer);
  loadEnvironment(unit, at);
  const { valid } = unit;
  for (let n = 0; n < 8; n++) {
    const head = view.getUint16(n * 10 + 8, true);
    unit.set(n, {
      sign: (head >> 15) as 0 | 1,
      exponent: head & 0x7fff,
      mantissa: view.getBigUint64(n * 10, true),
    });
  }
  unit.valid = valid;
}

/** fxsave and fxrstor: 512 bytes on a 16-byte boundary (SDM volume 1, table 10-2). */
export function storeAll({ host, a }: HelperCall): number | undefined {
  const at = host.gpr(a);
  if (at % 16 !== 0) return host.raise(Vector.GP);
  const unit = new Unit(host);
  const image = new Uint8Array(160 + host.bits * 4);
  const view = new DataView(image.buffer);
  view.setUint16(0, unit.control, true);
  view.setUint16(2, unit.status, true);
  view.setUint8(4, unit.valid);
  view.setUint32(24, readMxcsr(host), true);
  view.setUint32(28, 0xffff, true);
  for (let n = 0; n < 8; n++) {
    const { sign, exponent, mantissa } = unit.raw(n);
    view.setBigUint64(32 + n * 16, mantissa, true);
    view.setUint16(40 + n * 16, (sign << 15) | exponent, true);
  }
  image.set(host.bytes.subarray(XMM, XMM + host.bits * 4), 160);
  host.memory.write(at, image);
  return undefined;
}

export function loadAll({ host, a }: HelperCall): number | undefined {
  const at = host.gpr(a);
  if (at % 16 !== 0) return host.raise(Vector.GP);
  const image = host.memory.bytes(at, 160 + host.bits * 4);
  const view = new DataView(image.buffer);
  if (view.getUint32(24, true) >>> 16 !== 0) return host.raise(Vector.GP);
  const unit = new Unit(host);
  unit.status = view.getUint16(2, true);
  unit.control = view.getUint16(0, true);
  for (let n = 0; n < 8; n++) {
    const head = view.getUint16(40 + n * 16, true);
    const mantissa = view.getBigUint64(32 + n * 16, true);
    unit.set(n, { sign: (head >> 15) as 0 | 1, exponent: head & 0x7fff, mantissa });
  }
  unit.valid = view.getUint8(4);
  host.mxcsr = view.getUint32(24, true);
  host.bytes.set(image.subarray(160), XMM);
  return undefined;
}

/** The coprocessor's registers for whoever looks on: st(n) with its ten bytes as one number, and the three words. */
export interface CoprocessorView {
  register(index: number): bigint;
  setRegister(index: number, value: bigint): void;
  control: number;
  status: number;
  /** Two bits for each physical register. */
  tags: number;
}

export function coprocessorView(host: HelperHost): CoprocessorView {
  const unit = new Unit(host);
  return {
    register: (index) => {
      const { sign, exponent, mantissa } = unit.raw(index);
      return (BigInt((sign << 15) | exponent) << 64n) | mantissa;
    },
    setRegister: (index, value) => {
      const head = Number((value >> 64n) & 0xffffn);
      const mantissa = BigInt.asUintN(64, value);
      unit.set(index, { sign: (head >> 15) as 0 | 1, exponent: head & 0x7fff, mantissa });
    },
    get control() {
      return unit.control;
    },
    set control(value) {
      unit.control = value;
    },
    get status() {
      return unit.status;
    },
    set status(value) {
      unit.status = value;
    },
    get tags() {
      return fullTags(unit);
    },
    set tags(value) {
      unit.valid = validOf(value);
    },
  };
}
