/** The flags register on the stack, and its control bits: what lock and unlock paths of kernels do all the time. */
import { type Gen, narrow, widen, zero } from '../gen.ts';
import { Reg } from '../ir.ts';
import { ARITHMETIC, CPL, FaultCause, FLAG, FLAGS_OTHER, MXCSR } from '../state.ts';
import { type Code, i32, i64, iff, seq } from '../wasm/encoder.ts';
import { type OpDefinition, op } from './define.ts';
import { push } from './move.ts';

/** Control flags that popf changes at privilege 0. */
const POPPED = FLAG.TF | FLAG.IF | FLAG.DF | FLAG.IOPL | FLAG.NT | FLAG.AC | FLAG.ID;

const other: Code = i32.load(zero, FLAGS_OTHER);
const setOther = (value: Code): Code => i32.store(zero, value, FLAGS_OTHER);

/** At privilege 0 `then`; elsewhere the helper knows the rules. */
const atZero = (g: Gen, then: Code): Code => iff(i32.load(zero, CPL), g.callHelper(), then);

export const systemOps: readonly OpDefinition[] = [
  // imm32: the bits.
  op('flag.set', (g) => setOther(i32.or(other, g.imm32()))),
  op('flag.clear', (g) => setOther(i32.and(other, i32.xor(g.imm32(), i32.const(-1))))),
  op('flag.set.0', (g) => atZero(g, setOther(i32.or(other, g.imm32())))),
  op('flag.clear.0', (g) => atZero(g, setOther(i32.and(other, i32.xor(g.imm32(), i32.const(-1)))))),
  // Bits 16 and up are reserved. Whether the thread has read the register stands beside it.
  op('ldmxcsr', (g) => {
    const { n } = g.t;
    return seq(
      n.set(g.load(4, g.address('b'))),
      iff(i32.shrU(n.get, i32.const(16)), g.faultFor(FaultCause.PROTECTION)),
      i32.store16(zero, n.get, MXCSR),
    );
  }),
  op('pushf', (g) => {
    const { x } = g.t;
    // RF reads as 0, bit 1 as 1.
    const value = i32.or(i32.or(g.flags(), i32.and(other, i32.const(~FLAG.RF))), i32.const(2));
    return seq(x.set(i64.extendU(value)), push(g, narrow(g.word, x.get)));
  }),
  op('popf', (g) => {
    const { m } = g.t;
    return atZero(
      g,
      seq(
        m.set(i32.wrap(widen(g.word, g.load(g.word, g.fixed(Reg.RSP, 8))))),
        g.setFixed(Reg.RSP, 8, g.wrapped(i64.add(g.t.va.get, i64.const(g.word)))),
        setOther(i32.or(i32.and(other, i32.const(~POPPED)), i32.and(m.get, i32.const(POPPED)))),
        g.setRawFlags(i32.and(m.get, i32.const(ARITHMETIC))),
      ),
    );
  }),
];
