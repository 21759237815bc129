/** Functions of the generated module that operations call: flags, conditions, the 128-bit product. */
import { zero } from './gen.ts';
import {
  ANY_NOTED,
  ARITHMETIC,
  FLAG,
  FLAG_A,
  FLAG_B,
  FLAG_KIND,
  FlagKind,
  NOTED,
  NOTED_SHIFT,
} from './state.ts';
import {
  type Code,
  call,
  i32,
  i64,
  iff,
  type Local,
  local,
  type ModuleBuilder,
  ret,
  select,
  seq,
} from './wasm/encoder.ts';

const kindIs = (kind: Local, value: number): Code => i32.eq(kind.get, i32.const(value));

/** CF, ZF, SF, PF, AF and OF of a sum or difference. All i64 values have the operand's sign in bit 63. */
function flagsBody(mulhu: number, itself: number): Code {
  const [kind, left, right, shift, result, unit, out] = [0, 1, 2, 3, 4, 5, 6].map(local);
  const difference = i32.or(kindIs(kind, FlagKind.SUB), kindIs(kind, FlagKind.SBB));
  const sum = i32.or(kindIs(kind, FlagKind.ADD), kindIs(kind, FlagKind.ADC));
  const withCarry = i32.or(kindIs(kind, FlagKind.ADC), kindIs(kind, FlagKind.SBB));
  const negative = (value: Code): Code => i32.wrap(i64.shrU(value, i64.const(63)));
  const at = (value: Code, flag: number): Code => i32.shl(value, i32.const(Math.log2(flag)));
  const either = (...parts: Code[]): Code => parts.reduce((x, y) => i32.or(x, y));
  const changed = i64.xor(i64.xor(left.get, right.get), result.get);
  const carry = select(withCarry, i64.leU(result.get, right.get), i64.ltU(result.get, right.get));
  const borrow = select(withCarry, i64.leU(left.get, right.get), i64.ltU(left.get, right.get));
  const low = i32.wrap(i64.shrU(result.get, i64.extendU(shift.get)));
  return seq(
    iff(i32.and(kind.get, i32.const(ANY_NOTED)), ret(notedOver(itself, kind, left, right, out))),
    out.set(kind.get),
    kind.set(i32.and(out.get, i32.const(15))),
    iff(i32.eqz(kind.get), ret(i32.and(i32.wrap(right.get), i32.const(ARITHMETIC)))),
    shift.set(i32.sub(i32.const(64), i32.shl(i32.const(8), i32.shrU(out.get, i32.const(4))))),
    result.set(left.get),
    unit.set(select(withCarry, i64.shl(i64.const(1), i64.extendU(shift.get)), i64.const(0))),
    out.set(zero),
    iff(kindIs(kind, FlagKind.PRODUCT), productFlags(mulhu, { left, right, shift, result, unit, out })),
    iff(
      difference,
      seq(
        result.set(i64.sub(i64.sub(left.get, right.get), unit.get)),
        out.set(
          either(
            borrow,
            at(negative(i64.and(i64.xor(left.get, right.get), i64.xor(left.get, result.get))), FLAG.OF),
            at(
              i32.and(
                i32.wrap(i64.shrU(changed, i64.extendU(i32.add(shift.get, i32.const(4))))),
                i32.const(1),
              ),
              FLAG.AF,
            ),
          ),
        ),
      ),
    ),
    iff(
      sum,
      seq(
        left.set(i64.sub(i64.sub(result.get, right.get), unit.get)),
        out.set(
          either(
            carry,
            at(negative(i64.and(i64.xor(left.get, result.get), i64.xor(right.get, result.get))), FLAG.OF),
            at(
              i32.and(
                i32.wrap(i64.shrU(changed, i64.extendU(i32.add(shift.get, i32.const(4))))),
                i32.const(1),
              ),
              FLAG.AF,
            ),
          ),
        ),
      ),
    ),
    iff(
      kindIs(kind, FlagKind.RESULT),
      out.set(i32.and(i32.wrap(right.get), i32.const(FLAG.CF | FLAG.AF | FLAG.OF))),
    ),
    either(
      out.get,
      at(i64.eqz(result.get), FLAG.ZF),
      at(negative(result.get), FLAG.SF),
      at(i32.eqz(i32.and(i32.popcnt(i32.and(low, i32.const(0xff))), i32.const(1))), FLAG.PF),
    ),
  );
}

/** Flags that were noted in the kind stand for those that follow from the rest. */
function notedOver(flags: number, kind: Local, a: Local, b: Local, mask: Local): Code {
  const given = (mark: number, flag: number): Code =>
    i32.mul(i32.and(i32.shrU(kind.get, i32.const(Math.log2(mark))), i32.const(1)), i32.const(flag));
  const masks = i32.or(i32.or(given(NOTED.CF, FLAG.CF), given(NOTED.ZF, FLAG.ZF)), given(NOTED.OF, FLAG.OF));
  const others = i32.and(
    call(flags, i32.and(kind.get, i32.const(0xff)), a.get, b.get),
    i32.xor(mask.get, i32.const(-1)),
  );
  const noted = i32.and(i32.shrU(kind.get, i32.const(NOTED_SHIFT)), mask.get);
  return seq(mask.set(masks), i32.or(others, noted));
}

/** Flags of a product: `result` shifted as those of sums are, CF and OF where the whole product is more than it says. */
function productFlags(
  mulhu: number,
  l: Record<'left' | 'right' | 'shift' | 'result' | 'unit' | 'out', Local>,
): Code {
  const { left, right, shift, result, unit, out } = l;
  const correction = (x: Local, y: Local): Code => i64.and(i64.shrS(x.get, i64.const(63)), y.get);
  const high = i64.sub(
    i64.sub(call(mulhu, left.get, right.get), correction(left, right)),
    correction(right, left),
  );
  const overflow = i32.const(FLAG.CF | FLAG.OF);
  return seq(
    result.set(i64.mul(left.get, right.get)),
    unit.set(i64.extendU(shift.get)),
    iff(
      shift.get,
      // Factors of up to 32 bits: the product is whole, and fits when extending its lower part changes nothing.
      seq(
        left.set(i64.shl(result.get, unit.get)),
        out.set(i32.mul(i64.ne(i64.shrS(left.get, unit.get), result.get), overflow)),
        result.set(left.get),
      ),
      out.set(i32.mul(i64.ne(high, i64.shrS(result.get, i64.const(63))), overflow)),
    ),
  );
}

/** Kinds are numbered so that few tests are needed. */
function carryBody(flags: number): Code {
  const [whole, a, b, kind] = [0, 1, 2, 3].map(local);
  const noted = i32.and(i32.shrU(whole.get, i32.const(NOTED_SHIFT)), i32.const(1));
  return seq(
    iff(i32.and(whole.get, i32.const(NOTED.CF)), ret(noted)),
    kind.set(i32.and(whole.get, i32.const(15))),
    iff(i32.or(kindIs(kind, FlagKind.SUB), kindIs(kind, FlagKind.ADD)), ret(i64.ltU(a.get, b.get))),
    iff(i32.or(kindIs(kind, FlagKind.SBB), kindIs(kind, FlagKind.ADC)), ret(i64.leU(a.get, b.get))),
    iff(kindIs(kind, FlagKind.LOGIC), ret(zero)),
    iff(kindIs(kind, FlagKind.PRODUCT), ret(i32.and(call(flags, whole.get, a.get, b.get), i32.const(1)))),
    i32.and(i32.wrap(b.get), i32.const(1)),
  );
}

/** Conditions in pairs; the odd one of each negates. */
function condBody(flags: number): Code {
  const [kind, a, b, condition, bits, pair] = [0, 1, 2, 3, 4, 5].map(local);
  const has = (mask: number): Code => i32.ne(i32.and(bits.get, i32.const(mask)), zero);
  const less = i32.and(
    i32.xor(i32.shrU(bits.get, i32.const(7)), i32.shrU(bits.get, i32.const(11))),
    i32.const(1),
  );
  const masks = [FLAG.OF, FLAG.CF, FLAG.ZF, FLAG.CF | FLAG.ZF, FLAG.SF, FLAG.PF];
  const negated = (value: Code): Code => ret(i32.xor(value, i32.and(condition.get, i32.const(1))));
  return seq(
    bits.set(call(flags, kind.get, a.get, b.get)),
    pair.set(i32.shrU(condition.get, i32.const(1))),
    ...masks.map((mask, index) => iff(i32.eq(pair.get, i32.const(index)), negated(has(mask)))),
    iff(i32.eq(pair.get, i32.const(6)), negated(less)),
    i32.xor(i32.or(less, has(FLAG.ZF)), i32.and(condition.get, i32.const(1))),
  );
}

/** Numbers of functions. Those ending in Of take kind, a, b instead of reading them from memory. */
export interface FlagFunctions {
  readonly flags: number;
  readonly carry: number;
  readonly cond: number;
  readonly flagsOf: number;
  readonly carryOf: number;
  readonly condOf: number;
}

export function flagFunctions(builder: ModuleBuilder, mulhu: number): FlagFunctions {
  const three = ['i32', 'i64', 'i64'] as const;
  const stored = [i32.load(zero, FLAG_KIND), i64.load(zero, FLAG_A), i64.load(zero, FLAG_B)];
  const results = ['i32'] as const;
  const flagsOf = builder.addFunction({
    params: three,
    results,
    locals: ['i32', 'i64', 'i64', 'i32'],
    body: flagsBody(mulhu, builder.nextFunction),
  });
  const carryOf = builder.addFunction({
    params: three,
    results,
    locals: ['i32'],
    body: carryBody(flagsOf),
  });
  const condOf = builder.addFunction({
    params: [...three, 'i32'],
    results,
    locals: ['i32', 'i32'],
    body: condBody(flagsOf),
  });
  const none = { params: [], results, locals: [] } as const;
  const flags = builder.addFunction({ ...none, body: call(flagsOf, ...stored), exportAs: 'flags' });
  const carry = builder.addFunction({ ...none, body: call(carryOf, ...stored) });
  const cond = builder.addFunction({
    params: ['i32'],
    results,
    locals: [],
    body: call(condOf, ...stored, local(0).get),
    exportAs: 'cond',
  });
  return { flags, carry, cond, flagsOf, carryOf, condOf };
}

/** High half of a 64 by 64 bit product from four 32-bit ones. */
export function highProduct(a: Local, b: Local, middle: Local, upper: Local): Code {
  const low = (value: Local): Code => i64.and(value.get, i64.const(0xffffffffn));
  const high = (value: Local): Code => i64.shrU(value.get, i64.const(32));
  return seq(
    middle.set(i64.mul(low(a), low(b))),
    middle.set(i64.add(i64.mul(high(a), low(b)), high(middle))),
    upper.set(i64.add(i64.mul(low(a), high(b)), low(middle))),
    i64.add(i64.mul(high(a), high(b)), i64.add(high(middle), high(upper))),
  );
}

export function mulhuFunction(builder: ModuleBuilder): number {
  const [a, b, middle, upper] = [0, 1, 2, 3].map(local);
  const body = highProduct(a, b, middle, upper);
  return builder.addFunction({ params: ['i64', 'i64'], results: ['i64'], locals: ['i64', 'i64'], body });
}
