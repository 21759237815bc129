/** Moves, extensions, addresses, the stack. */
import { type Form, type Gen, loadHost, narrow, signExtend } from '../gen.ts';
import { Reg, type Size } from '../ir.ts';
import { type Code, i32, i64, seq } from '../wasm/encoder.ts';
import { each, type OpDefinition, op } from './define.ts';

const SIZES: readonly Size[] = [1, 2, 4, 8];

/** Zero extensions to 4 (which clears the rest) and sign extensions: [from, to]. */
const ZERO_EXTEND: readonly Size[] = [1, 2];
const SIGN_EXTEND: readonly (readonly [Size, Size])[] = [
  [1, 4],
  [1, 8],
  [2, 4],
  [2, 8],
  [4, 8],
];

const extended = (from: Size, to: Size, value: Code): Code => {
  const wide = signExtend(from, value);
  return to === 8 ? wide : i32.wrap(wide);
};

const loads = (form: Form): OpDefinition[] => [
  ...each(SIZES, (size) => [
    op(`ld.${form}.${size}`, (g) => g.setReg('d', size, g.load(size, g.address(form)))),
    op(`st.${form}.${size}`, (g) => g.store(size, g.address(form), g.stored('d', size))),
  ]),
  ...each(ZERO_EXTEND, (size) => [
    op(`ldzx.${form}.${size}`, (g) => g.setReg('d', 4, g.load(size, g.address(form)))),
  ]),
  ...SIGN_EXTEND.map(([from, to]) =>
    op(`ldsx.${form}.${from}.${to}`, (g) =>
      g.setReg('d', to, extended(from, to, g.load(from, g.address(form)))),
    ),
  ),
];

/** `value` as wide as a word. */
export const push = (g: Gen, value: Code): Code => {
  const down = g.wrapped(i64.sub(g.fixed(Reg.RSP, 8), i64.const(g.word)));
  return seq(g.store(g.word, down, value), g.setFixed(Reg.RSP, 8, down));
};

/** Reads a word at the address in `register`, and sets the stack pointer to what follows it. */
const popFrom = (g: Gen, register: number): Code =>
  seq(
    g.t.va.set(g.fixed(register, 8)),
    g.reach(g.word, false),
    g.setFixed(Reg.RSP, 8, g.wrapped(i64.add(g.t.va.get, i64.const(g.word)))),
  );

export const moveOps: readonly OpDefinition[] = [
  op('nop', () => []),
  ...each(SIZES, (size) => [
    op(`mov.rr.${size}`, (g) => g.setReg('d', size, g.reg('a', size))),
    op(`mov.ri.${size}`, (g) => g.setReg('d', size, size === 8 ? g.imm64() : i32.wrap(g.imm64()))),
    op(`st.imm.${size}`, (g) => g.store(size, g.address('i'), g.immediate(size))),
    // Faults as a write would, before a change that cannot be taken back.
    op(`probe.${size}`, (g) => seq(g.t.va.set(g.address('b')), g.reach(size, true))),
  ]),
  ...each(ZERO_EXTEND, (size) => [op(`zx.${size}`, (g) => g.setReg('d', 4, g.reg('a', size)))]),
  ...SIGN_EXTEND.map(([from, to]) =>
    op(`sx.${from}.${to}`, (g) => g.setReg('d', to, extended(from, to, g.reg('a', from)))),
  ),
  ...loads('b'),
  ...loads('x'),
  op('lea.b.8', (g) => g.setReg('d', 8, g.address('b'))),
  op('lea.x.8', (g) => g.setReg('d', 8, g.address('x'))),
  op('lea.b.4', (g) => g.setReg('d', 4, i32.wrap(g.address('b')))),
  op('lea.x.4', (g) => g.setReg('d', 4, i32.wrap(g.address('x')))),
  op('push.r', (g) => push(g, g.reg('d', g.word))),
  op('push.i', (g) => push(g, narrow(g.word, g.imm64()))),
  // pop rsp: the value popped wins.
  op('pop.r', (g) => seq(popFrom(g, Reg.RSP), g.setReg('d', g.word, loadHost(g.word, g.t.host.get)))),
  op('leave', (g) => seq(popFrom(g, Reg.RBP), g.setFixed(Reg.RBP, g.word, loadHost(g.word, g.t.host.get)))),
  op('bswap.4', (g) => g.setReg('d', 4, swap32(g, g.reg('a', 4)))),
  op('bswap.8', (g) =>
    seq(
      g.t.x.set(g.reg('a', 8)),
      g.setReg(
        'd',
        8,
        i64.or(
          i64.shl(i64.extendU(swap32(g, i32.wrap(g.t.x.get))), i64.const(32)),
          i64.extendU(swap32(g, i32.wrap(i64.shrU(g.t.x.get, i64.const(32))))),
        ),
      ),
    ),
  ),
  op('bswap.2', (g) =>
    seq(
      g.t.n.set(g.reg('a', 2)),
      g.setReg('d', 2, i32.or(i32.shl(g.t.n.get, i32.const(8)), i32.shrU(g.t.n.get, i32.const(8)))),
    ),
  ),
];

/** Rotations bring the odd and the even bytes where they belong. */
function swap32(g: Gen, value: Code): Code {
  const { m } = g.t;
  return seq(
    m.set(value),
    i32.or(
      i32.and(i32.rotl(m.get, i32.const(8)), i32.const(0x00ff00ff)),
      i32.and(i32.rotr(m.get, i32.const(8)), i32.const(0xff00ff00 | 0)),
    ),
  );
}
