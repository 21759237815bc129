/** Bit tests, scans, counts. */
import { bitsOf, type Gen, log2, narrow, numeric, top, widen } from '../gen.ts';
import type { BitOp, Size } from '../ir.ts';
import { type Code, i32, i64, iff, seq } from '../wasm/encoder.ts';
import { each, type OpDefinition, op } from './define.ts';

const WIDE: readonly Size[] = [2, 4, 8];
const BIT_OPS: readonly BitOp[] = ['bt', 'bts', 'btr', 'btc'];

/** CF = the bit; ZF stays, and so do the flags that the manuals leave undefined. z: bit number. */
function bitTest(g: Gen, name: BitOp, size: Size): Code {
  const { x, z, n } = g.t;
  const mask = i64.shl(i64.const(1), z.get);
  const change =
    name === 'bts'
      ? i64.or(x.get, mask)
      : name === 'btr'
        ? i64.and(x.get, i64.xor(mask, i64.const(-1)))
        : i64.xor(x.get, mask);
  return seq(
    x.set(widen(size, g.reg('d', size))),
    n.set(i32.wrap(i64.and(i64.shrU(x.get, z.get), i64.const(1)))),
    name === 'bt' ? [] : g.setReg('d', size, narrow(size, change)),
    g.noteFlags(['CF'], n.get),
  );
}

/** bsf, bsr: ZF alone is defined; nothing is written for 0. */
function bitScan(g: Gen, name: 'bsf' | 'bsr', size: Size): Code {
  const { x, n } = g.t;
  const index = name === 'bsf' ? i64.ctz(x.get) : i64.sub(i64.const(63), i64.clz(x.get));
  return seq(
    x.set(widen(size, g.reg('a', size))),
    n.set(i64.eqz(x.get)),
    iff(n.get, [], g.setReg('d', size, narrow(size, index))),
    g.noteFlags(['ZF'], i32.shl(n.get, i32.const(6))),
  );
}

/** tzcnt, lzcnt: CF = the source was 0, ZF = the result is 0. */
function countZeros(g: Gen, name: 'tzcnt' | 'lzcnt', size: Size): Code {
  const { x, y, n, m } = g.t;
  const bits = bitsOf(size);
  // A bit past the end stops the count at the operand's width.
  const counted =
    name === 'tzcnt'
      ? i64.ctz(size === 8 ? x.get : i64.or(x.get, i64.const(1n << BigInt(bits))))
      : i64.sub(i64.clz(x.get), i64.const(64 - bits));
  return seq(
    x.set(widen(size, g.reg('a', size))),
    y.set(counted),
    n.set(i64.eqz(x.get)),
    m.set(i64.eqz(y.get)),
    g.setReg('d', size, narrow(size, y.get)),
    g.setRawFlags(i32.or(n.get, i32.shl(m.get, i32.const(6)))),
  );
}

function population(g: Gen, size: Size): Code {
  const { x } = g.t;
  return seq(
    x.set(widen(size, g.reg('a', size))),
    g.setReg('d', size, narrow(size, i64.popcnt(x.get))),
    g.setRawFlags(i32.shl(i64.eqz(x.get), i32.const(6))),
  );
}

/** blsi, blsr, blsmsk: CF from the source, ZF and SF from the result. */
function lowestSet(g: Gen, name: 'blsi' | 'blsr' | 'blsmsk', size: 4 | 8): Code {
  const n = numeric(size);
  const one = size === 8 ? i64.const(1) : i32.const(1);
  const nothing = size === 8 ? i64.const(0) : i32.const(0);
  const [t0, t1] = g.temps(size);
  const result =
    name === 'blsi'
      ? n.and(t0.get, n.sub(nothing, t0.get))
      : name === 'blsr'
        ? n.and(t0.get, n.sub(t0.get, one))
        : n.xor(t0.get, n.sub(t0.get, one));
  const sourceZero = n.eqz(t0.get);
  const carry = name === 'blsi' ? i32.eqz(sourceZero) : sourceZero;
  return seq(
    t0.set(g.reg('a', size)),
    t1.set(result),
    g.t.k.set(carry),
    g.setReg('d', size, t1.get),
    g.setResultFlags(size, top(size, t1.get), g.t.k.get),
  );
}

export const bitOps: readonly OpDefinition[] = [
  ...each(WIDE, (size) => [
    ...BIT_OPS.flatMap((name) => [
      op(`${name}.i.${size}`, (g) => seq(g.t.z.set(g.imm64()), bitTest(g, name, size))),
      op(`${name}.r.${size}`, (g) =>
        seq(
          g.t.z.set(i64.and(widen(size, g.reg('a', size)), i64.const(bitsOf(size) - 1))),
          bitTest(g, name, size),
        ),
      ),
    ]),
    // Address of the unit that a signed bit offset (register b) falls into.
    op(`bitaddr.${size}`, (g) =>
      g.setReg(
        'd',
        8,
        i64.add(
          g.reg('a', 8),
          i64.shl(
            i64.shrS(
              i64.shl(widen(size, g.reg('b', size)), i64.const(64 - bitsOf(size))),
              i64.const(64 - bitsOf(size) + 3 + log2(size)),
            ),
            i64.const(log2(size)),
          ),
        ),
      ),
    ),
    op(`bsf.${size}`, (g) => bitScan(g, 'bsf', size)),
    op(`bsr.${size}`, (g) => bitScan(g, 'bsr', size)),
    op(`tzcnt.${size}`, (g) => countZeros(g, 'tzcnt', size)),
    op(`lzcnt.${size}`, (g) => countZeros(g, 'lzcnt', size)),
    op(`popcnt.${size}`, (g) => population(g, size)),
  ]),
  ...each([4, 8] as const, (size) =>
    (['blsi', 'blsr', 'blsmsk'] as const).map((name) =>
      op(`${name}.${size}`, (g) => lowestSet(g, name, size)),
    ),
  ),
];
