/**
 * Floating-point lanes of vector registers. WebAssembly leaves open which NaN an operation gives: where a result is one,
 * the helper does it again, to the bit of what SSE says (vector-float.ts). Rounding is to nearest even for both; where MXCSR asks
 * for something else, or somebody looks at its flags, the helper does all of it (vector-exact.ts).
 */
import type { Gen } from '../gen.ts';
import { FLAG, FLOAT_CONTROL, MXCSR, USUAL_FLOATS, XMM_TEMP } from '../state.ts';
import { type Code, f32, f64, i32, i64, iff, seq, v128 } from '../wasm/encoder.ts';
import { apart, type OpDefinition } from './define.ts';

const zero = i32.const(0);
const temp = v128.load(zero, XMM_TEMP);
const d = (g: Gen): Code => v128.load(g.fieldByte('d'));
const a = (g: Gen): Code => v128.load(g.fieldByte('a'));

/** MXCSR asks for what WebAssembly cannot do. */
const unusual = i32.ne(i32.and(i32.load(zero, MXCSR), i32.const(FLOAT_CONTROL)), i32.const(USUAL_FLOATS));
const usually = (g: Gen, code: Code): Code => iff(unusual, g.callHelper(), code);

/** `value` into d, by the helper if any lane of it is a NaN. */
const packed = (g: Gen, unequal: number, value: Code): Code =>
  seq(
    v128.store(zero, value, XMM_TEMP),
    iff(
      i32.or(unusual, v128.unary(83)(v128.binary(unequal)(temp, temp))),
      g.callHelper(),
      v128.store(g.fieldByte('d'), temp),
    ),
  );

/** What there is of each scalar type: only the low lane of d changes. */
interface Scalar {
  readonly type: typeof f32 | typeof f64;
  readonly size: 4 | 8;
}
const SINGLE: Scalar = { type: f32, size: 4 };
const DOUBLE: Scalar = { type: f64, size: 8 };
const low = ({ type }: Scalar, at: Code): Code => type.load(at);
const copyLow = (g: Gen, { size }: Scalar): Code =>
  size === 4
    ? i32.store(g.fieldByte('d'), i32.load(zero, XMM_TEMP))
    : i64.store(g.fieldByte('d'), i64.load(zero, XMM_TEMP));

const scalar = (g: Gen, kind: Scalar, value: Code): Code => {
  const result = kind.type.load(zero, XMM_TEMP);
  return seq(
    kind.type.store(zero, value, XMM_TEMP),
    iff(i32.or(unusual, kind.type.ne(result, result)), g.callHelper(), copyLow(g, kind)),
  );
};

/** Numbers for packed singles and doubles, and the scalar instruction. */
const ARITHMETIC = {
  add: [228, 240],
  sub: [229, 241],
  mul: [230, 242],
  div: [231, 243],
} as const;

const arithmetic = (Object.keys(ARITHMETIC) as (keyof typeof ARITHMETIC)[]).flatMap((name) => {
  const [single, double] = ARITHMETIC[name];
  const scalarOf = (kind: Scalar) => (g: Gen) =>
    scalar(g, kind, kind.type[name](low(kind, g.fieldByte('d')), low(kind, g.fieldByte('a'))));
  return [
    apart(`v.${name}ps`, (g) => packed(g, 66, v128.binary(single)(d(g), a(g)))),
    apart(`v.${name}pd`, (g) => packed(g, 72, v128.binary(double)(d(g), a(g)))),
    apart(`v.${name}ss`, scalarOf(SINGLE)),
    apart(`v.${name}sd`, scalarOf(DOUBLE)),
  ];
});

const roots: readonly OpDefinition[] = [
  apart('v.sqrtps', (g) => packed(g, 66, v128.unary(227)(a(g)))),
  apart('v.sqrtpd', (g) => packed(g, 72, v128.unary(239)(a(g)))),
  apart('v.sqrtss', (g) => scalar(g, SINGLE, f32.sqrt(f32.load(g.fieldByte('a'))))),
  apart('v.sqrtsd', (g) => scalar(g, DOUBLE, f64.sqrt(f64.load(g.fieldByte('a'))))),
];

/** Only the low lanes of a result that was worked out for all. */
const merge = (g: Gen, suffix: string, value: Code): Code => {
  if (suffix[0] === 'p') return usually(g, v128.store(g.fieldByte('d'), value));
  const kind = suffix === 'ss' ? SINGLE : DOUBLE;
  return usually(g, seq(v128.store(zero, value, XMM_TEMP), copyLow(g, kind)));
};

const SUFFIXES = ['ps', 'pd', 'ss', 'sd'] as const;
const isSingle = (suffix: string): boolean => suffix[1] === 's';

/** `min` and `max` of SSE are "a if it is less, else b", which WebAssembly calls pseudo-minimum, with b first. */
const extremes = SUFFIXES.flatMap((suffix) => {
  const [least, most] = isSingle(suffix) ? [234, 235] : [246, 247];
  return [
    apart(`v.min${suffix}`, (g) => merge(g, suffix, v128.binary(least)(a(g), d(g)))),
    apart(`v.max${suffix}`, (g) => merge(g, suffix, v128.binary(most)(a(g), d(g)))),
  ];
});

/** The eight predicates: equal, less, less or equal, unordered, and their opposites. */
const compares = SUFFIXES.flatMap((suffix) => {
  const first = isSingle(suffix) ? 65 : 71;
  const unequal = (value: Code): Code => v128.binary(first + 1)(value, value);
  const holds = (g: Gen, predicate: number): Code => {
    if (predicate === 3) return v128.binary(80)(unequal(d(g)), unequal(a(g)));
    return v128.binary(first + [0, 2, 4][predicate])(d(g), a(g));
  };
  return Array.from({ length: 8 }, (_, n) =>
    apart(`v.cmp${suffix}.${n}`, (g) => {
      const value = holds(g, n & 3);
      return merge(g, suffix, n & 4 ? v128.unary(77)(value) : value);
    }),
  );
});

/** Order of the low lanes in ZF, PF and CF: all three when there is none. */
const orders = (['ss', 'sd'] as const).flatMap((suffix) => {
  const kind = suffix === 'ss' ? SINGLE : DOUBLE;
  const flags = (g: Gen): Code => {
    const [x, y] = [low(kind, g.fieldByte('d')), low(kind, g.fieldByte('a'))];
    const notAbove = i32.eqz(kind.type.gt(x, y));
    // Not above and not below is equal or unordered; not above and not equal is below or unordered.
    const zf = i32.and(notAbove, i32.eqz(kind.type.lt(x, y)));
    const cf = i32.and(notAbove, i32.eqz(kind.type.eq(x, y)));
    const bits = i32.or(cf, i32.mul(zf, i32.const(FLAG.ZF)));
    return i32.or(bits, i32.mul(i32.and(zf, cf), i32.const(FLAG.PF)));
  };
  return [apart(`v.comi${suffix}`, (g) => usually(g, g.setRawFlags(flags(g))))];
});

const conversions: readonly OpDefinition[] = [
  apart('v.cvtdq2ps', (g) => usually(g, v128.store(g.fieldByte('d'), v128.unary(250)(a(g))))),
  apart('v.cvtdq2pd', (g) => v128.store(g.fieldByte('d'), v128.unary(254)(a(g)))),
  apart('v.cvtss2sd', (g) => scalar(g, DOUBLE, f64.promote(f32.load(g.fieldByte('a'))))),
  apart('v.cvtsd2ss', (g) => scalar(g, SINGLE, f32.demote(f64.load(g.fieldByte('a'))))),
  ...([4, 8] as const).flatMap((size) => [
    apart(`v.cvtsi2ss.${size}`, (g) =>
      usually(
        g,
        f32.store(g.fieldByte('d'), size === 4 ? f32.convert32(g.reg('a', 4)) : f32.convert64(g.reg('a', 8))),
      ),
    ),
    apart(`v.cvtsi2sd.${size}`, (g) =>
      usually(
        g,
        f64.store(g.fieldByte('d'), size === 4 ? f64.convert32(g.reg('a', 4)) : f64.convert64(g.reg('a', 8))),
      ),
    ),
  ]),
  ...[SINGLE, DOUBLE].flatMap((kind) =>
    ([4, 8] as const).map((size) => {
      const name = `v.cvtt${kind.size === 4 ? 'ss' : 'sd'}2si.${size}`;
      return apart(name, (g) => usually(g, truncated(g, kind, size)));
    }),
  ),
];

/** What does not fit, and NaNs, give the least number; WebAssembly's saturates, so only that has to be told. */
function truncated(g: Gen, kind: Scalar, size: 4 | 8): Code {
  const value = low(kind, g.fieldByte('a'));
  const single = kind.size === 4;
  const limit = size === 8 ? 2 ** 63 : 2 ** 31;
  const fits = kind.type.lt(value, kind.type.const(limit));
  if (size === 8) {
    const cut = single ? i64.truncSatF32(value) : i64.truncSatF64(value);
    return iff(fits, g.setReg('d', 8, cut), g.setReg('d', 8, i64.const(-(2n ** 63n))));
  }
  const cut = single ? i32.truncSatF32(value) : i32.truncSatF64(value);
  // Any double above the least whole number rounds to it or to one more: towards zero both are right.
  return iff(fits, g.setReg('d', 4, cut), g.setReg('d', 4, i32.const(-(2 ** 31))));
}

export const simdFloatOps: readonly OpDefinition[] = [
  ...arithmetic,
  ...roots,
  ...extremes,
  ...compares,
  ...orders,
  ...conversions,
];
