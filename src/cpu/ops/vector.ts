/**
 * Vector registers: moves and the bitwise operations, which is what compilers use them for in kernel code. The rest
 * of SSE is done in TypeScript (vector-helpers.ts). The field of a vector operand holds the register's number.
 */
import type { Form, Gen } from '../gen.ts';
import { FaultCause } from '../state.ts';
import { type Code, i32, i64, iff, seq, v128 } from '../wasm/encoder.ts';
import { type OpDefinition, op } from './define.ts';

const FORMS: readonly Form[] = ['b', 'x'];
const HALF = 8;

const zero64 = i64.const(0);

/** d = value in the low half, 0 in the high one. */
const setLow = (g: Gen, value: Code): Code =>
  seq(i64.store(g.fieldByte('d'), value), i64.store(g.fieldByte('d'), zero64, HALF));

const accesses = (form: Form): OpDefinition[] => [
  op(`v.ld.${form}.16`, (g) =>
    seq(
      g.t.va.set(g.address(form)),
      g.reach(16, false),
      v128.store(g.fieldByte('d'), v128.load(g.t.host.get)),
    ),
  ),
  op(`v.st.${form}.16`, (g) =>
    seq(
      g.t.va.set(g.address(form)),
      g.reach(16, true),
      v128.store(g.t.host.get, v128.load(g.fieldByte('d'))),
      g.committed(16),
    ),
  ),
  // A misaligned operand of an aligned move is a general protection fault, before the access itself.
  op(`v.align.${form}.16`, (g) =>
    seq(
      g.t.n.set(i32.and(i32.wrap(g.address(form)), i32.const(15))),
      iff(g.t.n.get, g.faultFor(FaultCause.PROTECTION)),
    ),
  ),
  op(`v.ldlow.${form}.4`, (g) =>
    seq(g.t.n.set(g.load(4, g.address(form))), setLow(g, i64.extendU(g.t.n.get))),
  ),
  op(`v.ldlow.${form}.8`, (g) => seq(g.t.x.set(g.load(8, g.address(form))), setLow(g, g.t.x.get))),
  ...[0, HALF].map((half) =>
    op(`v.ldhalf.${form}.${half}`, (g) =>
      seq(g.t.x.set(g.load(8, g.address(form))), i64.store(g.fieldByte('d'), g.t.x.get, half)),
    ),
  ),
  op(`v.stlow.${form}.4`, (g) => g.store(4, g.address(form), i32.load(g.fieldByte('d')))),
  ...[0, HALF].map((half) =>
    op(`v.sthalf.${form}.${half}`, (g) => g.store(8, g.address(form), i64.load(g.fieldByte('d'), half))),
  ),
];

/** WebAssembly numbers of the bitwise operations. */
const AND = 78;
const AND_NOT = 79;
const OR = 80;
const XOR = 81;

const bitwise = (name: string, opcode: number, swapped = false): OpDefinition =>
  op(`v.${name}`, (g) => {
    const d = v128.load(g.fieldByte('d'));
    const a = v128.load(g.fieldByte('a'));
    const value = swapped ? v128.binary(opcode)(a, d) : v128.binary(opcode)(d, a);
    return v128.store(g.fieldByte('d'), value);
  });

export const vectorOps: readonly OpDefinition[] = [
  ...FORMS.flatMap(accesses),
  op('v.mov', (g) => v128.store(g.fieldByte('d'), v128.load(g.fieldByte('a')))),
  op('v.low8', (g) => setLow(g, i64.load(g.fieldByte('a')))),
  op('v.merge4', (g) => i32.store(g.fieldByte('d'), i32.load(g.fieldByte('a')))),
  // Halves of register a into halves of register d, the rest stays: named to, from.
  ...[0, HALF].flatMap((to) =>
    [0, HALF].map((from) =>
      op(`v.half.${to}.${from}`, (g) => i64.store(g.fieldByte('d'), i64.load(g.fieldByte('a'), from), to)),
    ),
  ),
  // d is the vector register, a the general one, and the other way round.
  op('v.set.4', (g) => setLow(g, i64.extendU(g.reg('a', 4)))),
  op('v.set.8', (g) => setLow(g, g.reg('a', 8))),
  op('v.get.4', (g) => g.setReg('d', 4, i32.load(g.fieldByte('a')))),
  op('v.get.8', (g) => g.setReg('d', 8, i64.load(g.fieldByte('a')))),
  bitwise('pand', AND),
  bitwise('por', OR),
  bitwise('pxor', XOR),
  // pandn inverts its destination: andnot(a, d) is a & ~d.
  bitwise('pandn', AND_NOT, true),
];
