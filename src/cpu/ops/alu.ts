/** Two-operand arithmetic and logic with flags; inc, dec, neg, not; exchanges with memory. */
import { bitsOf, type Gen, log2, narrow, numeric, top, widen } from '../gen.ts';
import { type AluOp, Reg, type Size } from '../ir.ts';
import { FLAG, FlagKind } from '../state.ts';
import { type Code, i32, i64, iff, select, seq } from '../wasm/encoder.ts';
import { each, type OpDefinition, op } from './define.ts';

const SIZES: readonly Size[] = [1, 2, 4, 8];
const ALU_OPS: readonly AluOp[] = ['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp', 'test'];
/** Those that have a form without flags ("quiet"), and sizes of it. */
const QUIET_OPS: readonly AluOp[] = ['add', 'or', 'and', 'sub', 'xor'];
const QUIET_SIZES: readonly Size[] = [4, 8];
/** Those that read memory into a register, or change memory, in one operation. */
const FUSED_OPS: readonly AluOp[] = ['add', 'or', 'and', 'sub', 'xor'];

type Write = (result: Code) => Code;

/** Emits the operation and its flags; `write` gets the result before the flags change. */
function arithmetic(g: Gen, name: AluOp, size: Size, a: Code, b: Code, write: Write): Code {
  const n = numeric(size);
  const [t0, t1, t2] = g.temps(size);
  // Only where it is wanted: who asks for the carry reads the flags.
  const carry = (): Code => (size === 8 ? i64.extendU(g.carry()) : g.carry());
  const carryBit = size === 8 ? i32.wrap(t2.get) : t2.get;
  const sizeBits = log2(size) << 4;
  switch (name) {
    case 'add':
      return seq(
        t0.set(a),
        t1.set(b),
        t0.set(n.add(t0.get, t1.get)),
        write(t0.get),
        g.setFlags(FlagKind.ADD, size, top(size, t0.get), top(size, t1.get)),
      );
    case 'adc':
      return seq(
        t0.set(a),
        t1.set(b),
        t2.set(carry()),
        t0.set(n.add(n.add(t0.get, t1.get), t2.get)),
        write(t0.get),
        g.setFlagsKind(
          i32.add(i32.const(FlagKind.ADD | sizeBits), carryBit),
          top(size, t0.get),
          top(size, t1.get),
        ),
      );
    case 'cmp':
    case 'sub':
      return seq(
        t0.set(a),
        t1.set(b),
        name === 'sub' ? write(n.sub(t0.get, t1.get)) : [],
        g.setFlags(FlagKind.SUB, size, top(size, t0.get), top(size, t1.get)),
        size === 4 ? g.noteCompared(t0.get, t1.get) : [],
      );
    case 'sbb':
      return seq(
        t0.set(a),
        t1.set(b),
        t2.set(carry()),
        write(n.sub(n.sub(t0.get, t1.get), t2.get)),
        g.setFlagsKind(
          i32.add(
            i32.const(FlagKind.SUB | sizeBits),
            i32.mul(carryBit, i32.const(FlagKind.SBB - FlagKind.SUB)),
          ),
          top(size, t0.get),
          top(size, t1.get),
        ),
      );
    default: {
      const logic = name === 'or' ? n.or : name === 'xor' ? n.xor : n.and;
      return seq(
        t0.set(logic(a, b)),
        name === 'test' ? [] : write(t0.get),
        g.setFlags(FlagKind.LOGIC, size, top(size, t0.get)),
      );
    }
  }
}

function quiet(name: AluOp, size: Size, a: Code, b: Code): Code {
  const n = numeric(size);
  if (name === 'add') return n.add(a, b);
  if (name === 'sub') return n.sub(a, b);
  return (name === 'or' ? n.or : name === 'xor' ? n.xor : n.and)(a, b);
}

/** Memory operand as destination: write access is checked before anything changes. */
function onMemory(g: Gen, name: AluOp, size: Size, form: 'b' | 'i', source: Code): Code {
  const { va, host } = g.t;
  const bits = { 1: i32.load8u, 2: i32.load16u, 4: i32.load, 8: i64.load }[size](host.get);
  const store = { 1: i32.store8, 2: i32.store16, 4: i32.store, 8: i64.store }[size];
  return seq(
    va.set(g.address(form)),
    g.reach(size, true),
    arithmetic(g, name, size, bits, source, (result) => seq(store(host.get, result), g.committed(size))),
  );
}

/** CF stays; OF is set when the operand's sign changed the only way it can. */
function step(g: Gen, by: 1 | -1, size: Size, value: Code, write: Write): Code {
  const n = numeric(size);
  const [t0] = g.temps(size);
  const { z, k } = g.t;
  const lowest = i64.const(by === 1 ? -(2n ** 63n) : 2n ** 63n - 2n ** BigInt(64 - bitsOf(size)));
  const one = size === 8 ? i64.const(by) : i32.const(by);
  const half = size === 8 ? i64.const(15) : i32.const(15);
  const edge = by === 1 ? 0 : 15;
  return seq(
    t0.set(n.add(value, one)),
    write(t0.get),
    z.set(top(size, t0.get)),
    k.set(g.carry()),
    g.setResultFlags(
      size,
      z.get,
      i32.or(
        k.get,
        i32.or(
          i32.shl(i64.eq(z.get, lowest), i32.const(11)),
          i32.shl(narrowEq(size, n.and(t0.get, half), edge), i32.const(4)),
        ),
      ),
    ),
  );
}

const narrowEq = (size: Size, value: Code, edge: number): Code =>
  size === 8 ? i64.eq(value, i64.const(edge)) : i32.eq(value, i32.const(edge));

/** neg is 0 - x; its flags are those of that subtraction. */
const negate = (g: Gen, size: Size, value: Code, write: Write): Code =>
  arithmetic(g, 'sub', size, size === 8 ? i64.const(0) : i32.const(0), value, write);

const invert = (size: Size, value: Code): Code =>
  size === 8 ? i64.xor(value, i64.const(-1)) : i32.xor(value, i32.const(-1));

/** cmpxchg: compares rax with memory; equal: memory = d; else rax = memory. Memory is written either way. */
function compareExchange(g: Gen, size: Size): Code {
  const [t0, t1] = g.temps(size);
  const { va, host } = g.t;
  const load = { 1: i32.load8u, 2: i32.load16u, 4: i32.load, 8: i64.load }[size](host.get);
  const store = { 1: i32.store8, 2: i32.store16, 4: i32.store, 8: i64.store }[size];
  const n = numeric(size);
  return seq(
    va.set(g.address('b')),
    g.reach(size, true),
    t1.set(load),
    t0.set(g.fixed(Reg.RAX, size)),
    iff(
      n.eq(t0.get, t1.get),
      seq(store(host.get, g.reg('d', size)), g.committed(size)),
      g.setFixed(Reg.RAX, size, t1.get),
    ),
    g.setFlags(FlagKind.SUB, size, top(size, t0.get), top(size, t1.get)),
  );
}

function exchangeAdd(g: Gen, size: Size): Code {
  const [, , t2] = g.temps(size);
  const { va, host } = g.t;
  const load = { 1: i32.load8u, 2: i32.load16u, 4: i32.load, 8: i64.load }[size](host.get);
  const store = { 1: i32.store8, 2: i32.store16, 4: i32.store, 8: i64.store }[size];
  return seq(
    va.set(g.address('b')),
    g.reach(size, true),
    t2.set(load),
    arithmetic(g, 'add', size, t2.get, g.reg('d', size), (sum) => store(host.get, sum)),
    g.committed(size),
    g.setReg('d', size, t2.get),
  );
}

/** adcx and adox: CF or OF comes in and goes out, all others stay. */
function addExtended(g: Gen, name: 'adcx' | 'adox', size: 4 | 8): Code {
  const { x, y, n, m } = g.t;
  const adds = name === 'adcx';
  const carried = i64.extendU(n.get);
  const sum =
    size === 4
      ? seq(
          x.set(i64.add(i64.add(widen(4, g.reg('d', 4)), widen(4, g.reg('a', 4))), carried)),
          m.set(i32.wrap(i64.shrU(x.get, i64.const(32)))),
        )
      : seq(
          y.set(g.reg('a', 8)),
          x.set(i64.add(g.reg('d', 8), y.get)),
          m.set(i64.ltU(x.get, y.get)),
          x.set(i64.add(x.get, carried)),
          m.set(i32.or(m.get, i64.ltU(x.get, carried))),
        );
  return seq(
    n.set(adds ? g.carry() : g.overflow()),
    sum,
    g.setReg('d', size, narrow(size, x.get)),
    adds ? g.noteFlags(['CF'], m.get) : g.noteFlags(['OF'], i32.shl(m.get, i32.const(11))),
  );
}

export const aluOps: readonly OpDefinition[] = [
  ...each(ALU_OPS, (name) =>
    each(SIZES, (size) => [
      op(`${name}.rr.${size}`, (g) =>
        arithmetic(g, name, size, g.reg('d', size), g.reg('a', size), (r) => g.setReg('d', size, r)),
      ),
      op(`${name}.ri.${size}`, (g) =>
        arithmetic(g, name, size, g.reg('d', size), immediateOf(g, size), (r) => g.setReg('d', size, r)),
      ),
    ]),
  ),
  ...each(QUIET_OPS, (name) =>
    each(QUIET_SIZES, (size) => [
      op(`${name}.rr.${size}.q`, (g) =>
        g.setReg('d', size, quiet(name, size, g.reg('d', size), g.reg('a', size))),
      ),
      op(`${name}.ri.${size}.q`, (g) =>
        g.setReg('d', size, quiet(name, size, g.reg('d', size), immediateOf(g, size))),
      ),
    ]),
  ),
  ...each([...FUSED_OPS, 'cmp' as const], (name) =>
    each([4, 8] as const, (size) => [
      op(`${name}.rm.${size}`, (g) =>
        seq(
          g.t.va.set(g.address('b')),
          g.reach(size, false),
          arithmetic(g, name, size, g.reg('d', size), hostValue(g, size), (r) => g.setReg('d', size, r)),
        ),
      ),
    ]),
  ),
  ...each(FUSED_OPS, (name) =>
    each(SIZES, (size) => [
      op(`${name}.mr.${size}`, (g) => onMemory(g, name, size, 'b', g.reg('d', size))),
      op(`${name}.mi.${size}`, (g) => onMemory(g, name, size, 'i', g.immediate(size))),
    ]),
  ),
  ...each(['cmp', 'test'] as const, (name) =>
    each(SIZES, (size) => [
      op(`${name}.mi.${size}`, (g) =>
        seq(
          g.t.va.set(g.address('i')),
          g.reach(size, false),
          arithmetic(g, name, size, hostValue(g, size), g.immediate(size), () => []),
        ),
      ),
      op(`${name}.mr.${size}`, (g) =>
        seq(
          g.t.va.set(g.address('b')),
          g.reach(size, false),
          arithmetic(g, name, size, hostValue(g, size), g.reg('d', size), () => []),
        ),
      ),
    ]),
  ),
  ...each(SIZES, (size) => [
    op(`inc.r.${size}`, (g) => step(g, 1, size, g.reg('d', size), (r) => g.setReg('d', size, r))),
    op(`dec.r.${size}`, (g) => step(g, -1, size, g.reg('d', size), (r) => g.setReg('d', size, r))),
    op(`inc.m.${size}`, (g) => steppedMemory(g, 1, size)),
    op(`dec.m.${size}`, (g) => steppedMemory(g, -1, size)),
    op(`neg.r.${size}`, (g) => negate(g, size, g.reg('d', size), (r) => g.setReg('d', size, r))),
    op(`not.r.${size}`, (g) => g.setReg('d', size, invert(size, g.reg('d', size)))),
    op(`xchg.m.${size}`, (g) =>
      seq(
        g.temps(size)[2].set(g.reg('d', size)),
        g.t.va.set(g.address('b')),
        g.reach(size, true),
        g.temps(size)[1].set(hostValue(g, size)),
        { 1: i32.store8, 2: i32.store16, 4: i32.store, 8: i64.store }[size](
          g.t.host.get,
          g.temps(size)[2].get,
        ),
        g.committed(size),
        g.setReg('d', size, g.temps(size)[1].get),
      ),
    ),
    op(`xadd.m.${size}`, (g) => exchangeAdd(g, size)),
    op(`cmpxchg.m.${size}`, (g) => compareExchange(g, size)),
    // Between registers the destination of a failed exchange is not written at all.
    op(`cmpxchg.r.${size}`, (g) => {
      const [t0, t1] = g.temps(size);
      return seq(
        t0.set(g.fixed(Reg.RAX, size)),
        t1.set(g.reg('d', size)),
        iff(
          numeric(size).eq(t0.get, t1.get),
          g.setReg('d', size, g.reg('a', size)),
          g.setFixed(Reg.RAX, size, t1.get),
        ),
        g.setFlags(FlagKind.SUB, size, top(size, t0.get), top(size, t1.get)),
      );
    }),
  ]),
  ...each([4, 8] as const, (size) =>
    (['adcx', 'adox'] as const).map((name) => op(`${name}.${size}`, (g) => addExtended(g, name, size))),
  ),
  // Carry alone: clc stc cmc (imm32 0, 1, 2).
  op('carry', (g) =>
    g.setRawFlags(
      seq(
        g.t.n.set(g.flags()),
        select(
          i32.eq(g.imm32(), i32.const(2)),
          i32.xor(g.t.n.get, i32.const(FLAG.CF)),
          i32.or(i32.and(g.t.n.get, i32.const(~FLAG.CF)), g.imm32()),
        ),
      ),
    ),
  ),
];

function steppedMemory(g: Gen, by: 1 | -1, size: Size): Code {
  const store = { 1: i32.store8, 2: i32.store16, 4: i32.store, 8: i64.store }[size];
  return seq(
    g.t.va.set(g.address('b')),
    g.reach(size, true),
    step(g, by, size, hostValue(g, size), (r) => seq(store(g.t.host.get, r), g.committed(size))),
  );
}

function hostValue(g: Gen, size: Size): Code {
  return { 1: i32.load8u, 2: i32.load16u, 4: i32.load, 8: i64.load }[size](g.t.host.get);
}

/** Register forms have the whole payload for the immediate. */
function immediateOf(g: Gen, size: Size): Code {
  return narrow(size, g.imm64());
}
