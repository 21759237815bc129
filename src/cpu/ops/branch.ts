/** Conditions and everything that uses them; jumps, calls, returns; the operations that leave. */
import { type Gen, loadHost, narrow, top, widen } from '../gen.ts';
import { Cond, Reg, type Size } from '../ir.ts';
import { FaultCause, FlagKind, Leave, RIP } from '../state.ts';
import { type Code, i32, i64, iff, select, seq } from '../wasm/encoder.ts';
import { each, ending, type OpDefinition, op } from './define.ts';
import { push } from './move.ts';

const none = i64.const(0);

type Comparison = (x: Code, y: Code) => Code;

/** Conditions after a comparison of x with y, both as `top` makes them. */
export const COMPARED: readonly (readonly [number, Comparison])[] = [
  [Cond.B, i64.ltU],
  [Cond.AE, i64.geU],
  [Cond.E, i64.eq],
  [Cond.NE, i64.ne],
  [Cond.BE, i64.leU],
  [Cond.A, i64.gtU],
  [Cond.S, (x, y) => i64.ltS(i64.sub(x, y), none)],
  [Cond.NS, (x, y) => i64.geS(i64.sub(x, y), none)],
  [Cond.L, i64.ltS],
  [Cond.GE, i64.geS],
  [Cond.LE, i64.leS],
  [Cond.G, i64.gtS],
];

/** Conditions that need only the result; LE and G where OF is known to be 0. */
export const TESTED: readonly (readonly [number, (result: Code) => Code])[] = [
  [Cond.E, (r) => i64.eqz(r)],
  [Cond.NE, (r) => i64.ne(r, none)],
  [Cond.S, (r) => i64.ltS(r, none)],
  [Cond.NS, (r) => i64.geS(r, none)],
  [Cond.LE, (r) => i64.leS(r, none)],
  [Cond.G, (r) => i64.gtS(r, none)],
];

/** A condition by how much is known of the last flag writer: name of the operation, and the test. */
interface Predicate {
  readonly name: string;
  readonly test: (g: Gen) => Code;
}

const predicates: readonly Predicate[] = [
  ...COMPARED.map(([cc, test]) => ({ name: `sub.${cc}`, test: (g: Gen) => comparison(g, cc, test) })),
  ...TESTED.map(([cc, test]) => ({ name: `res.${cc}`, test: (g: Gen) => test(g.flagA()) })),
  { name: 'any', test: (g) => g.condition() },
];

const conditional = (p: Predicate): OpDefinition[] => [
  op(`jcc.${p.name}`, (g) => iff(p.test(g), g.jump(1))),
  op(`setcc.${p.name}`, (g) => g.setReg('d', 1, p.test(g))),
  op(`cmov.${p.name}.4`, (g) => g.setReg('d', 4, select(p.test(g), g.reg('a', 4), g.reg('d', 4)))),
  op(`cmov.${p.name}.8`, (g) => g.setReg('d', 8, select(p.test(g), g.reg('a', 8), g.reg('d', 8)))),
];

/** As {@link COMPARED}, of operands of four bytes as they are. */
const COMPARED_4: ReadonlyMap<number, Comparison> = new Map([
  [Cond.B, i32.ltU],
  [Cond.AE, i32.geU],
  [Cond.E, i32.eq],
  [Cond.NE, i32.ne],
  [Cond.BE, i32.leU],
  [Cond.A, i32.gtU],
  [Cond.S, (x, y) => i32.ltS(i32.sub(x, y), i32.const(0))],
  [Cond.NS, (x, y) => i32.geS(i32.sub(x, y), i32.const(0))],
  [Cond.L, i32.ltS],
  [Cond.GE, i32.geS],
  [Cond.LE, i32.leS],
  [Cond.G, i32.gtS],
]);

/** As they are, too, where the generator still has them. */
function comparison(g: Gen, cc: number, test: Comparison): Code {
  const [narrow, operands] = [COMPARED_4.get(cc), g.compared()];
  if (narrow === undefined || operands === undefined) return test(g.flagA(), g.flagB());
  return narrow(...operands);
}

/** Where the two operands of a fused compare-and-branch come from. */
type Source = 'rr' | 'ri' | 'mr' | 'mi';
const FUSED_COMPARES: readonly (readonly [Source, Size])[] = [
  ['rr', 4],
  ['rr', 8],
  ['ri', 1],
  ['ri', 4],
  ['ri', 8],
  ['mi', 1],
  ['mi', 4],
  ['mi', 8],
];
const FUSED_TESTS: readonly (readonly [Source, Size])[] = [
  ['rr', 1],
  ['rr', 4],
  ['rr', 8],
  ['ri', 1],
  ['ri', 4],
  ['mi', 1],
];

/** Memory access if any, then both operands as numbers of that size. */
function operands(g: Gen, source: Source, size: Size): readonly [before: Code, left: Code, right: Code] {
  const { host, va } = g.t;
  const immediate = source === 'mi' ? g.immediate(size) : size === 8 ? g.imm64() : i32.wrap(g.imm64());
  const right = source === 'rr' || source === 'mr' ? g.reg('a', size) : immediate;
  if (source === 'rr' || source === 'ri') return [[], g.reg('d', size), right];
  return [seq(va.set(g.address('i')), g.reach(size, false)), loadHost(size, host.get), right];
}

/** Flags and jump of a comparison. Operands of four bytes are compared as they are. */
function compareAndJump(g: Gen, source: Source, size: Size, cc: number, test: Comparison): Code {
  const { x, y, n, m } = g.t;
  const [before, left, right] = operands(g, source, size);
  const narrow = size === 4 ? COMPARED_4.get(cc) : undefined;
  if (narrow !== undefined) {
    return seq(
      before,
      seq(n.set(left), m.set(right)),
      g.setFlags(FlagKind.SUB, size, top(size, n.get), top(size, m.get)),
      iff(narrow(n.get, m.get), g.jump(2)),
    );
  }
  return seq(
    before,
    seq(x.set(top(size, left)), y.set(top(size, right))),
    g.setFlags(FlagKind.SUB, size, x.get, y.get),
    iff(test(x.get, y.get), g.jump(2)),
  );
}

/** The same of a test: the result of an AND decides. */
function testAndJump(g: Gen, source: Source, size: Size, cc: number, test: (result: Code) => Code): Code {
  const { x, n } = g.t;
  const [before, left, right] = operands(g, source, size);
  const narrow = size === 4 ? COMPARED_4.get(cc) : undefined;
  const result = (size === 8 ? i64.and : i32.and)(left, right);
  if (narrow !== undefined) {
    return seq(
      before,
      n.set(result),
      g.setFlags(FlagKind.LOGIC, size, top(size, n.get)),
      iff(narrow(n.get, i32.const(0)), g.jump(2)),
    );
  }
  return seq(
    before,
    x.set(top(size, result)),
    g.setFlags(FlagKind.LOGIC, size, x.get),
    iff(test(x.get), g.jump(2)),
  );
}

const fused: readonly OpDefinition[] = [
  ...FUSED_COMPARES.flatMap(([source, size]) =>
    COMPARED.map(([cc, test]) =>
      op(`cmp.${source}.${size}.j${cc}`, (g) => compareAndJump(g, source, size, cc, test)),
    ),
  ),
  ...FUSED_TESTS.flatMap(([source, size]) =>
    TESTED.map(([cc, test]) =>
      op(`test.${source}.${size}.j${cc}`, (g) => testAndJump(g, source, size, cc, test)),
    ),
  ),
];

const pushReturn = (g: Gen): Code => push(g, narrow(g.word, g.imm64()));

/** #GP at the branch itself when the target cannot be an address. */
const checkCanonical = (g: Gen, target: Code): Code =>
  g.bits === 32
    ? []
    : iff(
        i64.ne(i64.shrS(i64.shl(target, i64.const(16)), i64.const(16)), target),
        g.faultFor(FaultCause.PROTECTION),
      );

const returning = (g: Gen, release: Code): Code => {
  const pop = g.setFixed(Reg.RSP, 8, g.wrapped(i64.add(g.t.va.get, release)));
  return seq(
    g.t.va.set(g.fixed(Reg.RSP, 8)),
    g.reach(g.word, false),
    g.t.x.set(widen(g.word, loadHost(g.word, g.t.host.get))),
    g.comesBack(g.t.x, pop),
    checkCanonical(g, g.t.x.get),
    pop,
    g.indirect(g.t.x, 1),
  );
};

const loopCounter = (g: Gen, size: 4 | 8): Code =>
  size === 8
    ? g.setFixed(Reg.RCX, 8, i64.sub(g.fixed(Reg.RCX, 8), i64.const(1)))
    : g.setFixed(Reg.RCX, 4, i32.sub(g.fixed(Reg.RCX, 4), i32.const(1)));
const counterZero = (g: Gen, size: 4 | 8): Code =>
  size === 8 ? i64.eqz(g.fixed(Reg.RCX, 8)) : i32.eqz(g.fixed(Reg.RCX, 4));

export const branchOps: readonly OpDefinition[] = [
  ...predicates.flatMap(conditional),
  ...fused,
  // 8- and 16-bit conditional moves of any condition.
  ...each([1, 2] as const, (size) => [
    op(`cmov.any.${size}`, (g) => iff(g.condition(), g.setReg('d', size, g.reg('a', size)))),
  ]),
  ending('jmp', (g) => g.jump(1)),
  // Goes on in another block without retiring an instruction of its own.
  ending('goto', (g) => g.jump(0)),
  // As goto, but its instructions were counted by the branch that led here.
  ending('forward', (g) => g.jump(0)),
  ending('jmp.r', (g) => seq(g.t.x.set(g.reg('a', 8)), checkCanonical(g, g.t.x.get), g.indirect(g.t.x, 1))),
  ending('call', (g) => seq(pushReturn(g), g.jump(1))),
  ending('call.r', (g) =>
    seq(g.t.x.set(g.reg('a', 8)), checkCanonical(g, g.t.x.get), pushReturn(g), g.indirect(g.t.x, 1, true)),
  ),
  ending('ret', (g) => returning(g, i64.const(g.word))),
  ending('ret.i', (g) => returning(g, g.imm64())),
  ...each([4, 8] as const, (size) => [
    op(`jcxz.${size}`, (g) => iff(counterZero(g, size), g.jump(1))),
    op(`loop.${size}`, (g) => seq(loopCounter(g, size), iff(i32.eqz(counterZero(g, size)), g.jump(1)))),
    op(`loopcc.${size}`, (g) =>
      seq(loopCounter(g, size), iff(i32.and(i32.eqz(counterZero(g, size)), g.condition()), g.jump(1))),
    ),
  ]),
  // At the start of a block, where execution can go over to translated code.
  op('count', (g) => g.countEntry()),
  op('enter', (g) => g.enterTranslated()),
  ending('stub', (g) => g.leave(Leave.LINK)),
  // Where an operation of a dropped block was; its fields are as they were.
  ending('gone', (g) => g.leave(Leave.LINK)),
  ending('host', (g) => g.leave(Leave.HOST)),
  ending('undefined', (g) => g.faultFor(FaultCause.UNDEFINED)),
  // Goes on unless the helper says otherwise.
  op('helper', (g) => g.callHelper()),
  ending('helper.end', (g) => seq(g.callHelper(), g.leave(Leave.HELPER))),
];

/** Stores a target so that a missed lookup finds it. */
export const storeRip = (target: Code): Code => i64.store(i32.const(0), target, RIP);
