/**
 * String instructions where nothing is unusual: upwards, and a rep inside one page of each operand. Whatever
 * else there is goes to the helper that the operation names.
 */
import { type Gen, loadHost, log2, storeHost, widen, zero } from '../gen.ts';
import { Reg, type Size } from '../ir.ts';
import { FLAG, FLAGS_OTHER } from '../state.ts';
import { brIf, type Code, i32, i64, iff, label, loop, seq } from '../wasm/encoder.ts';
import { each, type OpDefinition, op } from './define.ts';

const SIZES: readonly Size[] = [1, 2, 4, 8];
const upwards: Code = i32.eqz(i32.and(i32.load(zero, FLAGS_OTHER), i32.const(FLAG.DF)));

const advance = (g: Gen, register: number, bytes: Code): Code =>
  g.setFixed(register, 8, g.wrapped(i64.add(g.fixed(register, 8), bytes)));

function storeOne(g: Gen, size: Size): Code {
  const step = i64.const(size);
  return seq(g.store(size, g.fixed(Reg.RDI, 8), g.fixed(Reg.RAX, size)), advance(g, Reg.RDI, step));
}

function moveOne(g: Gen, size: Size): Code {
  const step = i64.const(size);
  const [value] = g.temps(size);
  return seq(
    value.set(g.load(size, g.fixed(Reg.RSI, 8))),
    g.store(size, g.fixed(Reg.RDI, 8), value.get),
    advance(g, Reg.RSI, step),
    advance(g, Reg.RDI, step),
  );
}

function loadOne(g: Gen, size: Size): Code {
  return seq(
    g.setFixed(Reg.RAX, size, g.load(size, g.fixed(Reg.RSI, 8))),
    advance(g, Reg.RSI, i64.const(size)),
  );
}

/** Stores pieces at m, from k if it `moves`, while n is at least `least`; each stands for so many elements. */
function pieces(g: Gen, size: Size, value: Code, moves: boolean, least: number): Code {
  const { n, m, k } = g.t;
  const again = label('piece');
  return loop(
    again,
    seq(
      storeHost(size, m.get, value),
      m.set(i32.add(m.get, i32.const(size))),
      moves ? k.set(i32.add(k.get, i32.const(size))) : [],
      n.set(i32.sub(n.get, i32.const(least))),
      brIf(again, least === 1 ? n.get : i32.geU(n.get, i32.const(least))),
    ),
  );
}

/** One element in each part of eight bytes. */
const REPEATED: Readonly<Record<number, bigint>> = {
  1: 0x0101010101010101n,
  2: 0x0001000100010001n,
  4: 0x100000001n,
};

/**
 * n elements to m, from k if it `moves`. Eight bytes at a time, but for a destination right behind the source: what is
 * written there is read again.
 */
function copyElements(g: Gen, size: Size, moves: boolean): Code {
  const { x, n, m, k } = g.t;
  if (size === 8) return pieces(g, 8, moves ? loadHost(8, k.get) : g.fixed(Reg.RAX, 8), moves, 1);
  const least = 8 / size;
  const many = i32.geU(n.get, i32.const(least));
  const apart = i32.geU(i32.sub(m.get, k.get), i32.const(8));
  const spread = i64.mul(widen(size, g.fixed(Reg.RAX, size)), i64.const(REPEATED[size]));
  return seq(
    iff(
      moves ? i32.and(many, apart) : many,
      seq(moves ? [] : x.set(spread), pieces(g, 8, moves ? loadHost(8, k.get) : x.get, moves, least)),
    ),
    iff(n.get, pieces(g, size, moves ? loadHost(size, k.get) : g.fixed(Reg.RAX, size), moves, 1)),
  );
}

/**
 * The whole rep at once when it ends inside the page it begins in, for each operand. n: element count,
 * m: host offset of the destination, k: of the source.
 */
function repeated(g: Gen, size: Size, moves: boolean): Code {
  const { va, z, n, m, k } = g.t;
  const bytes = i64.shl(i64.extendU(n.get), i64.const(log2(size)));
  const end = i64.sub(i64.add(va.get, bytes), i64.const(1));
  const finish = seq(
    z.set(bytes),
    g.spend(i32.sub(n.get, i32.const(1))),
    copyElements(g, size, moves),
    g.setFixed(Reg.RCX, 8, i64.const(0)),
    advance(g, Reg.RDI, z.get),
    moves ? advance(g, Reg.RSI, z.get) : [],
  );
  const source = seq(
    va.set(g.fixed(Reg.RSI, 8)),
    g.whenMapped(end, false, (host) => seq(k.set(host), finish), g.callHelper()),
  );
  return iff(
    i64.eqz(g.fixed(Reg.RCX, 8)),
    [],
    seq(
      n.set(i32.wrap(g.fixed(Reg.RCX, 8))),
      iff(
        i32.and(upwards, i32.and(i64.leU(g.fixed(Reg.RCX, 8), i64.const(4096 / size)), g.affords(n.get))),
        seq(
          va.set(g.fixed(Reg.RDI, 8)),
          g.whenMapped(end, true, (host) => seq(m.set(host), moves ? source : finish), g.callHelper()),
        ),
        g.callHelper(),
      ),
    ),
  );
}

export const stringOps: readonly OpDefinition[] = each(SIZES, (size) => [
  op(`stos.${size}`, (g) => iff(upwards, storeOne(g, size), g.callHelper())),
  op(`movs.${size}`, (g) => iff(upwards, moveOne(g, size), g.callHelper())),
  op(`lods.${size}`, (g) => iff(upwards, loadOne(g, size), g.callHelper())),
  op(`rep.stos.${size}`, (g) => repeated(g, size, false)),
  op(`rep.movs.${size}`, (g) => repeated(g, size, true)),
]);
