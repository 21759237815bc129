/** Multiplication and division. */
import { bitsOf, type Gen, narrow, numeric, signExtend, top, widen } from '../gen.ts';
import { Reg, type Size } from '../ir.ts';
import { FaultCause, FLAG, FlagKind } from '../state.ts';
import { type Code, i32, i64, iff, type Local, seq } from '../wasm/encoder.ts';
import { each, type OpDefinition, op } from './define.ts';

const SIZES: readonly Size[] = [1, 2, 4, 8];
const OVERFLOW = FLAG.CF | FLAG.OF;

/** High half of the signed 128-bit product. */
function highSigned(g: Gen, a: Local, b: Local): Code {
  const correction = (x: Local, y: Local) => i64.and(i64.shrS(x.get, i64.const(63)), y.get);
  return i64.sub(i64.sub(g.highProduct(a, b), correction(a, b)), correction(b, a));
}

const overflowFlags = (g: Gen, size: Size, result: Code, overflow: Code): Code =>
  g.setResultFlags(size, top(size, narrow(size, result)), i32.mul(overflow, i32.const(OVERFLOW)));

/** d = a * b, where b is a register or the immediate. */
function truncated(g: Gen, size: Size, b: Code): Code {
  const { x, y } = g.t;
  return seq(
    x.set(signExtend(size, g.reg('a', size))),
    y.set(b),
    g.setReg('d', size, narrow(size, i64.mul(x.get, y.get))),
    g.setFlags(FlagKind.PRODUCT, size, x.get, y.get),
  );
}

/** rdx:rax = rax * a; ax = al * a for bytes. */
function wide(g: Gen, signed: boolean, size: Size): Code {
  const { x, y, z, n } = g.t;
  const extend = (value: Code) => (signed ? signExtend(size, value) : widen(size, value));
  const factors = seq(x.set(extend(g.fixed(Reg.RAX, size))), y.set(extend(g.reg('a', size))));
  if (size === 8) {
    return seq(
      factors,
      z.set(i64.mul(x.get, y.get)),
      x.set(signed ? highSigned(g, x, y) : g.highProduct(x, y)),
      g.setFixed(Reg.RAX, 8, z.get),
      g.setFixed(Reg.RDX, 8, x.get),
      n.set(i64.ne(x.get, signed ? i64.shrS(z.get, i64.const(63)) : i64.const(0))),
      overflowFlags(g, 8, z.get, n.get),
    );
  }
  const bits = bitsOf(size);
  const high = i32.wrap(i64.shrU(z.get, i64.const(bits)));
  return seq(
    factors,
    z.set(i64.mul(x.get, y.get)),
    size === 1
      ? g.setFixed(Reg.RAX, 2, i32.wrap(z.get))
      : seq(g.setFixed(Reg.RAX, size, i32.wrap(z.get)), g.setFixed(Reg.RDX, size, high)),
    n.set(
      signed
        ? i64.ne(signExtend(size, i32.wrap(z.get)), z.get)
        : i64.ne(i64.shrU(z.get, i64.const(bits)), i64.const(0)),
    ),
    overflowFlags(g, size, z.get, n.get),
  );
}

/** Without a second division, which costs more than all else. */
const remainder = (dividend: Local, divisor: Local, quotient: Local): Code =>
  i64.sub(dividend.get, i64.mul(quotient.get, divisor.get));

/** x: dividend (i64), y: divisor. Leaves quotient and remainder in the registers, or #DE. */
function narrowDivide(g: Gen, signed: boolean, size: 1 | 2 | 4): Code {
  const { x, y, z } = g.t;
  const bits = bitsOf(size);
  const divisor = signed ? signExtend(size, g.reg('a', size)) : widen(size, g.reg('a', size));
  const pair = i64.or(
    i64.shl(widen(size, g.fixed(Reg.RDX, size)), i64.const(bits)),
    widen(size, g.fixed(Reg.RAX, size)),
  );
  const dividend = size === 1 ? widen(2, g.fixed(Reg.RAX, 2)) : pair;
  const spread =
    signed && size < 4
      ? i64.shrS(i64.shl(dividend, i64.const(64 - 2 * bits)), i64.const(64 - 2 * bits))
      : dividend;
  const fits = signed
    ? i64.eq(signExtend(size, i32.wrap(z.get)), z.get)
    : i64.eqz(i64.shrU(z.get, i64.const(bits)));
  // The one quotient that 64 bits cannot hold would trap: -2^63 / -1.
  const tooLarge =
    signed && size === 4
      ? iff(
          i32.and(i64.eq(y.get, i64.const(-1)), i64.eq(x.get, i64.const(-(2n ** 63n)))),
          g.faultFor(FaultCause.DIVIDE),
        )
      : [];
  const quotient = signed ? i64.divS(x.get, y.get) : i64.divU(x.get, y.get);
  const rest = i32.wrap(remainder(x, y, z));
  return seq(
    y.set(divisor),
    x.set(spread),
    iff(i64.eqz(y.get), g.faultFor(FaultCause.DIVIDE)),
    tooLarge,
    z.set(quotient),
    iff(i32.eqz(fits), g.faultFor(FaultCause.DIVIDE)),
    size === 1
      ? g.setFixed(Reg.RAX, 2, i32.or(i32.and(i32.wrap(z.get), i32.const(0xff)), i32.shl(rest, i32.const(8))))
      : seq(g.setFixed(Reg.RAX, size, i32.wrap(z.get)), g.setFixed(Reg.RDX, size, rest)),
  );
}

/** 128 by 64 bits: one instruction when the high half says nothing new, else the helper. */
function longDivide(g: Gen, signed: boolean): Code {
  const { x, y, z } = g.t;
  const trivial = signed ? i64.shrS(x.get, i64.const(63)) : i64.const(0);
  const safe = signed
    ? i32.and(i64.eq(z.get, trivial), i64.gtU(i64.add(y.get, i64.const(1)), i64.const(1)))
    : i32.and(i64.eq(z.get, trivial), i64.ne(y.get, i64.const(0)));
  return seq(
    x.set(g.fixed(Reg.RAX, 8)),
    z.set(g.fixed(Reg.RDX, 8)),
    y.set(g.reg('a', 8)),
    iff(
      safe,
      seq(
        z.set(signed ? i64.divS(x.get, y.get) : i64.divU(x.get, y.get)),
        g.setFixed(Reg.RAX, 8, z.get),
        g.setFixed(Reg.RDX, 8, remainder(x, y, z)),
      ),
      g.callHelper(),
    ),
  );
}

export const multiplyOps: readonly OpDefinition[] = [
  ...each([2, 4, 8] as const, (size) => [
    op(`imul.rr.${size}`, (g) => truncated(g, size, signExtend(size, g.reg('b', size)))),
    op(`imul.ri.${size}`, (g) => truncated(g, size, g.imm64())),
  ]),
  ...each([4, 8] as const, (size) => [
    op(`imul.rr.${size}.q`, (g) =>
      g.setReg('d', size, numeric(size).mul(g.reg('a', size), g.reg('b', size))),
    ),
    op(`imul.ri.${size}.q`, (g) =>
      g.setReg('d', size, numeric(size).mul(g.reg('a', size), narrow(size, g.imm64()))),
    ),
  ]),
  ...each(SIZES, (size) => [
    op(`mul.${size}`, (g) => wide(g, false, size)),
    op(`imul.${size}`, (g) => wide(g, true, size)),
  ]),
  ...each([1, 2, 4] as const, (size) => [
    op(`div.${size}`, (g) => narrowDivide(g, false, size)),
    op(`idiv.${size}`, (g) => narrowDivide(g, true, size)),
  ]),
  op('div.8', (g) => longDivide(g, false)),
  op('idiv.8', (g) => longDivide(g, true)),
  // mulx: lo (field b) first, then hi (field d) = rdx * a.
  ...each([4, 8] as const, (size) => [
    op(`mulx.${size}`, (g) => {
      const { x, y } = g.t;
      const product = i64.mul(x.get, y.get);
      return seq(
        x.set(widen(size, g.fixed(Reg.RDX, size))),
        y.set(widen(size, g.reg('a', size))),
        g.setReg('b', size, narrow(size, product)),
        g.setReg('d', size, size === 8 ? g.highProduct(x, y) : i32.wrap(i64.shrU(product, i64.const(32)))),
      );
    }),
  ]),
];
