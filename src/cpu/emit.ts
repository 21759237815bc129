/** Writes flat operations of one block into linear memory, and tracks what is known of the flags. */
import type { Address } from '../memory/address.ts';
import { hasOpcode, opcode } from './ops/table.ts';
import { OP, OP_BYTES } from './state.ts';

/** A branch out of the block that has to be pointed at its target. */
export interface BlockExit {
  readonly op: number;
  readonly pc: Address;
}

/** What an operation's fields hold; registers by number, `high` marks bits 8..15. */
export interface Fields {
  readonly d?: number;
  readonly a?: number;
  readonly b?: number;
  readonly x?: number;
  readonly scale?: number;
  readonly aux?: number;
  /** 64-bit payload... */
  readonly imm?: number | bigint;
  /** ...or two halves. */
  readonly disp32?: number;
  readonly imm32?: number;
}

/** What the flags are known to come from, so that a condition can be one comparison. */
export type KnownFlags = 'sub' | 'logic' | 'result' | 'unknown';

/** An operand byte: the offset in the register file. */
export const byteOf = (register: number, high = false): number => register * 8 + (high ? 1 : 0);

/** Operation numbers of the forms without flags, by that of the form with flags. */
const QUIET = new Map<number, number>();
for (const name of ['add', 'or', 'and', 'sub', 'xor', 'shl', 'shr', 'sar', 'rol', 'ror', 'imul']) {
  for (const form of ['rr', 'ri', 'i']) {
    for (const size of [4, 8]) {
      const full = `${name}.${form}.${size}`;
      if (hasOpcode(`${full}.q`)) QUIET.set(opcode(full), opcode(`${full}.q`));
    }
  }
}
/** Shifts by a register, which keep the flags when the count is 0, and those of BMI2, which have another operand more. */
const QUIET_SHIFT = new Map(
  ['shl', 'shr', 'sar'].flatMap((name) =>
    [4, 8].map((size): [number, number] => [opcode(`${name}.r.${size}`), opcode(`${name}x.${size}`)]),
  ),
);
// The builder gives inc and dec the immediate that makes them an addition.
for (const size of [4, 8]) {
  QUIET.set(opcode(`inc.r.${size}`), opcode(`add.ri.${size}.q`));
  QUIET.set(opcode(`dec.r.${size}`), opcode(`add.ri.${size}.q`));
}

export class Emitter {
  /** Where the next operation goes. */
  at = 0;
  /** Instructions of the block before the current one. */
  count = 0;
  /** Start of the current instruction, from the start of the block. */
  offset = 0;
  known: KnownFlags = 'unknown';
  readonly exits: BlockExit[] = [];
  /** All of linear memory. */
  readonly data: DataView;
  /** The last flag writer, while nothing since then could see its flags. */
  #unseen = 0;

  constructor(buffer: ArrayBuffer) {
    this.data = new DataView(buffer);
  }

  start(at: number): void {
    this.at = at;
    this.count = 0;
    this.offset = 0;
    this.known = 'unknown';
    this.exits.length = 0;
    this.#unseen = 0;
  }

  /** An operation that neither touches flags nor can fault or leave. */
  plain(code: number, fields: Fields): number {
    const op = this.at;
    const data = this.data;
    data.setUint16(op, code, true);
    data.setUint8(op + OP.D, fields.d ?? 0);
    data.setUint8(op + OP.A, fields.a ?? 0);
    data.setUint8(op + OP.B, fields.b ?? 0);
    data.setUint8(op + OP.X, fields.x ?? 0);
    data.setUint8(op + OP.SCALE, fields.scale ?? 0);
    data.setUint8(op + OP.AUX, fields.aux ?? 0);
    if (fields.imm !== undefined) setInt64(data, op + OP.IMM, fields.imm);
    else {
      data.setInt32(op + OP.DISP32, fields.disp32 ?? 0, true);
      data.setInt32(op + OP.IMM32, fields.imm32 ?? 0, true);
    }
    data.setUint16(op + OP.PC, this.offset, true);
    data.setUint16(op + OP.COUNT, this.count, true);
    data.setUint32(op + OP.TARGET, 0, true);
    this.at = op + OP_BYTES;
    return op;
  }

  /** An operation that can fault or leave, or that reads flags: those of the last writer must be there. */
  visible(code: number, fields: Fields): number {
    this.#unseen = 0;
    return this.plain(code, fields);
  }

  /** An operation that writes all arithmetic flags. One that cannot fault makes the writer before it quiet. */
  flags(code: number, fields: Fields, known: KnownFlags, faults = false): number {
    if (this.#unseen !== 0 && !faults) this.#quieten(this.#unseen);
    const op = this.plain(code, fields);
    this.#unseen = op;
    this.known = known;
    return op;
  }

  /** Gives an operation whose flags nobody sees its form without them, if there is one. */
  #quieten(op: number): void {
    const { data } = this;
    const code = data.getUint16(op, true);
    const shift = QUIET_SHIFT.get(code);
    if (shift !== undefined) {
      data.setUint8(op + OP.B, data.getUint8(op + OP.A));
      data.setUint8(op + OP.A, data.getUint8(op + OP.D));
    }
    const quiet = shift ?? QUIET.get(code);
    if (quiet !== undefined) data.setUint16(op, quiet, true);
  }

  /** An operation that writes some flags and keeps or reads others. */
  partial(code: number, fields: Fields, known: KnownFlags): number {
    const op = this.visible(code, fields);
    this.#unseen = op;
    this.known = known;
    return op;
  }

  /** A branch to a guest address; `free`: the budget is not looked at there. */
  exit(code: number, fields: Fields, pc: Address, free: boolean): number {
    const op = this.visible(code, { ...fields, scale: free ? 1 : 0 });
    this.exits.push({ op, pc });
    return op;
  }

  /** Turns the operation before this one into its fused form with a branch. */
  fuse(code: number, pc: Address, free: boolean): void {
    const op = this.at - OP_BYTES;
    this.data.setUint16(op, code, true);
    this.data.setUint8(op + OP.SCALE, free ? 1 : 0);
    this.#unseen = 0;
    this.exits.push({ op, pc });
  }

  /** Number of the last operation if it belongs to the instruction right before this one, else -1. */
  lastCode(first: number): number {
    const op = this.at - OP_BYTES;
    if (op < first || this.data.getUint16(op + OP.COUNT, true) !== this.count - 1) return -1;
    return this.data.getUint16(op, true);
  }

  setTarget(op: number, target: number): void {
    this.data.setUint32(op + OP.TARGET, target, true);
  }
}

const HIGH = 4294967296;

export function setInt64(data: DataView, at: number, value: number | bigint): void {
  if (typeof value === 'bigint') data.setBigInt64(at, BigInt.asIntN(64, value), true);
  else {
    data.setInt32(at, value, true);
    data.setInt32(at + 4, Math.floor(value / HIGH), true);
  }
}
