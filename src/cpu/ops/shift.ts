/**
 * Shifts and rotates. The count is an immediate that is not 0 (the builder leaves out shifts by 0) or a
 * register, where a masked count of 0 changes nothing. Flags that the manuals leave undefined are computed
 * by the rule for a count of 1.
 */
import { bitsOf, type Gen, narrow, numeric, signExtend, widen } from '../gen.ts';
import type { Size } from '../ir.ts';
import { FLAG } from '../state.ts';
import { type Code, i32, i64, iff, seq } from '../wasm/encoder.ts';
import { each, type OpDefinition, op } from './define.ts';

const SIZES: readonly Size[] = [1, 2, 4, 8];
const bit = (value: Code, at: number): Code => (at === 0 ? value : i32.shl(value, i32.const(at)));
const sign = (shifted: Code): Code => i32.wrap(i64.shrU(shifted, i64.const(63)));
const CF = 0;
const OF = 11;

/** x: operand zero-extended, z: count, both i64; leaves the result in y and CF in n. */
function shiftBody(g: Gen, name: 'shl' | 'shr' | 'sar', size: Size): Code {
  const { x, y, z, n, m } = g.t;
  const bits = bitsOf(size);
  const before = i64.sub(z.get, i64.const(1));
  const one = (value: Code) => i32.wrap(i64.and(value, i64.const(1)));
  if (name === 'shl') {
    // Shifted so that the result's sign is bit 63, the bit that fell out is found by shifting one less.
    const wide = size === 8 ? x.get : i64.shl(x.get, i64.const(64 - bits));
    const carry = sign(i64.shl(wide, before));
    // Counts up to 31 may exceed 8 and 16 bits: what falls out past the end is 0, as the shift itself says.
    return seq(
      y.set(i64.shl(x.get, z.get)),
      n.set(carry),
      m.set(i32.xor(sign(size === 8 ? y.get : i64.shl(y.get, i64.const(64 - bits))), n.get)),
    );
  }
  const source = name === 'sar' ? signExtend(size, narrow(size, x.get)) : x.get;
  const shifted = name === 'sar' ? i64.shrS : i64.shrU;
  return seq(
    x.set(source),
    n.set(one(shifted(x.get, before))),
    m.set(name === 'sar' ? i32.const(0) : sign(size === 8 ? x.get : i64.shl(x.get, i64.const(64 - bits)))),
    y.set(shifted(x.get, z.get)),
  );
}

function shifted(g: Gen, name: 'shl' | 'shr' | 'sar', size: Size): Code {
  const { x, y, n, m } = g.t;
  return seq(
    x.set(widen(size, g.reg('d', size))),
    shiftBody(g, name, size),
    g.setReg('d', size, narrow(size, y.get)),
    g.setResultFlags(
      size,
      size === 8 ? y.get : i64.shl(y.get, i64.const(64 - bitsOf(size))),
      i32.or(bit(n.get, CF), bit(m.get, OF)),
    ),
  );
}

/** z: masked count, not 0. CF and OF change, the other flags stay. */
function rotated(g: Gen, name: 'rol' | 'ror', size: Size): Code {
  const { x, y, z, n, m } = g.t;
  const bits = bitsOf(size);
  const topBit = (at: number) => i32.wrap(i64.and(i64.shrU(y.get, i64.const(at)), i64.const(1)));
  const carry = name === 'rol' ? topBit(0) : topBit(bits - 1);
  const overflow =
    name === 'rol' ? i32.xor(topBit(bits - 1), n.get) : i32.xor(topBit(bits - 1), topBit(bits - 2));
  return seq(
    x.set(widen(size, g.reg('d', size))),
    y.set(rotateValue(name, size, x.get, z.get)),
    g.setReg('d', size, narrow(size, y.get)),
    n.set(carry),
    m.set(overflow),
    g.noteFlags(['CF', 'OF'], i32.or(bit(n.get, CF), bit(m.get, OF))),
  );
}

/** Of an i64 that holds the operand zero-extended; bits above the operand may be left in the result. */
function rotateValue(name: 'rol' | 'ror', size: Size, value: Code, count: Code): Code {
  if (size === 8) return (name === 'rol' ? i64.rotl : i64.rotr)(value, count);
  if (size === 4) {
    return i64.extendU((name === 'rol' ? i32.rotl : i32.rotr)(i32.wrap(value), i32.wrap(count)));
  }
  // Small operands are repeated to fill 32 bits; then any rotation of those is right in the low part.
  const fill = size === 1 ? 0x01010101 : 0x00010001;
  const rotate = name === 'rol' ? i32.rotl : i32.rotr;
  return i64.extendU(rotate(i32.mul(i32.wrap(value), i32.const(fill)), i32.wrap(count)));
}

const maskOf = (size: Size): number => (size === 8 ? 63 : 31);
const fromRegister = (g: Gen, size: Size): Code =>
  i64.and(i64.extendU(g.reg('a', 1)), i64.const(maskOf(size)));

/** shld and shrd: d with bits of b coming in; count in a. For 16 bits counts past 16 are undefined. */
function doubleShift(g: Gen, name: 'shld' | 'shrd', size: Size): Code {
  const { x, y, z, n, m } = g.t;
  const bits = bitsOf(size);
  const rest = i64.sub(i64.const(bits), z.get);
  const left = name === 'shld';
  const before = i64.sub(z.get, i64.const(1));
  const lost = left ? i64.shrU(x.get, rest) : i64.shrU(x.get, before);
  const merged = left
    ? i64.or(i64.shl(x.get, z.get), i64.shrU(y.get, rest))
    : i64.or(i64.shrU(x.get, z.get), i64.shl(y.get, rest));
  return seq(
    z.set(fromRegister(g, size)),
    iff(
      i64.ne(z.get, i64.const(0)),
      seq(
        x.set(widen(size, g.reg('d', size))),
        y.set(widen(size, g.reg('b', size))),
        n.set(i32.wrap(i64.and(lost, i64.const(1)))),
        m.set(i32.wrap(i64.shrU(x.get, i64.const(bits - 1)))),
        y.set(merged),
        g.setReg('d', size, narrow(size, y.get)),
        x.set(size === 8 ? y.get : i64.shl(y.get, i64.const(64 - bits))),
        g.setResultFlags(
          size,
          x.get,
          i32.or(n.get, bit(i32.xor(i32.and(m.get, i32.const(1)), sign(x.get)), OF)),
        ),
      ),
      // The destination is written, and so zero-extended, even by a count of 0.
      size === 4 ? g.setReg('d', 4, g.reg('d', 4)) : [],
    ),
  );
}

/** rcl and rcr by one bit; the builder repeats it. n: bit going in. */
function throughCarry(g: Gen, name: 'rcl' | 'rcr', size: Size): Code {
  const { x, y, n, m, k } = g.t;
  const bits = bitsOf(size);
  const at = (value: Code, index: number) =>
    i32.wrap(i64.and(i64.shrU(value, i64.const(index)), i64.const(1)));
  const left = name === 'rcl';
  return seq(
    x.set(widen(size, g.reg('d', size))),
    m.set(g.flags()),
    n.set(i32.and(m.get, i32.const(1))),
    k.set(at(x.get, left ? bits - 1 : 0)),
    y.set(
      left
        ? i64.or(i64.shl(x.get, i64.const(1)), i64.extendU(n.get))
        : i64.or(i64.shrU(x.get, i64.const(1)), i64.shl(i64.extendU(n.get), i64.const(bits - 1))),
    ),
    g.setReg('d', size, narrow(size, y.get)),
    g.setRawFlags(
      i32.or(
        i32.and(m.get, i32.const(~(FLAG.CF | FLAG.OF))),
        i32.or(k.get, bit(i32.xor(at(y.get, bits - 1), left ? k.get : at(y.get, bits - 2)), OF)),
      ),
    ),
  );
}

const quietShift = (g: Gen, name: 'shl' | 'shr' | 'sar' | 'rol' | 'ror', size: Size): Code => {
  const nn = numeric(size);
  const apply = { shl: nn.shl, shr: nn.shrU, sar: nn.shrS, rol: nn.rotl, ror: nn.rotr }[name];
  return g.setReg('d', size, apply(g.reg('d', size), narrow(size, g.imm64())));
};

export const shiftOps: readonly OpDefinition[] = [
  ...each(SIZES, (size) => [
    ...(['shl', 'shr', 'sar'] as const).flatMap((name) => [
      op(`${name}.i.${size}`, (g) => seq(g.t.z.set(g.imm64()), shifted(g, name, size))),
      op(`${name}.r.${size}`, (g) =>
        seq(
          g.t.z.set(fromRegister(g, size)),
          iff(
            i64.ne(g.t.z.get, i64.const(0)),
            shifted(g, name, size),
            // A 32-bit destination is written, and so zero-extended, even then.
            size === 4 ? g.setReg('d', 4, g.reg('d', 4)) : [],
          ),
        ),
      ),
    ]),
    ...(['rol', 'ror'] as const).flatMap((name) => [
      op(`${name}.i.${size}`, (g) => seq(g.t.z.set(g.imm64()), rotated(g, name, size))),
      op(`${name}.r.${size}`, (g) =>
        seq(
          g.t.z.set(fromRegister(g, size)),
          iff(
            i64.ne(g.t.z.get, i64.const(0)),
            rotated(g, name, size),
            size === 4 ? g.setReg('d', 4, g.reg('d', 4)) : [],
          ),
        ),
      ),
    ]),
    op(`rcl.1.${size}`, (g) => throughCarry(g, 'rcl', size)),
    op(`rcr.1.${size}`, (g) => throughCarry(g, 'rcr', size)),
  ]),
  ...each([4, 8] as const, (size) =>
    (['shl', 'shr', 'sar', 'rol', 'ror'] as const).map((name) =>
      op(`${name}.i.${size}.q`, (g) => quietShift(g, name, size)),
    ),
  ),
  ...each([2, 4, 8] as const, (size) => [
    op(`shld.${size}`, (g) => doubleShift(g, 'shld', size)),
    op(`shrd.${size}`, (g) => doubleShift(g, 'shrd', size)),
  ]),
  // Shifts without flags by a register (BMI2): d = a shifted by b.
  ...each([4, 8] as const, (size) =>
    (['shl', 'shr', 'sar'] as const).map((name) => {
      const nn = numeric(size);
      const apply = { shl: nn.shl, shr: nn.shrU, sar: nn.shrS }[name];
      return op(`${name}x.${size}`, (g) => g.setReg('d', size, apply(g.reg('a', size), g.reg('b', size))));
    }),
  ),
];
