/** Functions of the generated module that operations call: flags, conditions, the 128-bit product. */
import { zero } from './gen.ts';
import { ARITHMETIC, FLAG, FLAG_A, FLAG_B, FLAG_KIND, FlagKind } from './state.ts';
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
function flagsBody(): Code {
  const [kind, shift, left, right, result, unit] = [0, 1, 2, 3, 4, 5].map(local);
  const out = local(6);
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
    out.set(i32.load(zero, FLAG_KIND)),
    kind.set(i32.and(out.get, i32.const(15))),
    iff(i32.eqz(kind.get), ret(i32.and(i32.wrap(i64.load(zero, FLAG_B)), i32.const(ARITHMETIC)))),
    shift.set(i32.sub(i32.const(64), i32.shl(i32.const(8), i32.shrU(out.get, i32.const(4))))),
    left.set(i64.load(zero, FLAG_A)),
    result.set(left.get),
    right.set(i64.load(zero, FLAG_B)),
    unit.set(select(withCarry, i64.shl(i64.const(1), i64.extendU(shift.get)), i64.const(0))),
    out.set(zero),
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

/** Kinds are numbered so that few tests are needed. */
function carryBody(): Code {
  const kind = local(0);
  const a = i64.load(zero, FLAG_A);
  const b = i64.load(zero, FLAG_B);
  return seq(
    kind.set(i32.and(i32.load(zero, FLAG_KIND), i32.const(15))),
    iff(i32.or(kindIs(kind, FlagKind.SUB), kindIs(kind, FlagKind.ADD)), ret(i64.ltU(a, b))),
    iff(i32.or(kindIs(kind, FlagKind.SBB), kindIs(kind, FlagKind.ADC)), ret(i64.leU(a, b))),
    iff(kindIs(kind, FlagKind.LOGIC), ret(zero)),
    i32.and(i32.wrap(b), i32.const(1)),
  );
}

/** Conditions in pairs; the odd one of each negates. */
function condBody(flags: number): Code {
  const [condition, bits, pair] = [0, 1, 2].map(local);
  const has = (mask: number): Code => i32.ne(i32.and(bits.get, i32.const(mask)), zero);
  const less = i32.and(
    i32.xor(i32.shrU(bits.get, i32.const(7)), i32.shrU(bits.get, i32.const(11))),
    i32.const(1),
  );
  const masks = [FLAG.OF, FLAG.CF, FLAG.ZF, FLAG.CF | FLAG.ZF, FLAG.SF, FLAG.PF];
  const negated = (value: Code): Code => ret(i32.xor(value, i32.and(condition.get, i32.const(1))));
  return seq(
    bits.set(call(flags)),
    pair.set(i32.shrU(condition.get, i32.const(1))),
    ...masks.map((mask, index) => iff(i32.eq(pair.get, i32.const(index)), negated(has(mask)))),
    iff(i32.eq(pair.get, i32.const(6)), negated(less)),
    i32.xor(i32.or(less, has(FLAG.ZF)), i32.and(condition.get, i32.const(1))),
  );
}

export function flagFunctions(builder: ModuleBuilder): { flags: number; carry: number; cond: number } {
  const flags = builder.addFunction({
    params: [],
    results: ['i32'],
    locals: ['i32', 'i32', 'i64', 'i64', 'i64', 'i64', 'i32'],
    body: flagsBody(),
    exportAs: 'flags',
  });
  const carry = builder.addFunction({ params: [], results: ['i32'], locals: ['i32'], body: carryBody() });
  const cond = builder.addFunction({
    params: ['i32'],
    results: ['i32'],
    locals: ['i32', 'i32'],
    body: condBody(flags),
    exportAs: 'cond',
  });
  return { flags, carry, cond };
}

/** High half of a 64 by 64 bit product from four 32-bit ones. */
export function mulhuFunction(builder: ModuleBuilder): number {
  const [a, b, aHigh, bHigh, middle] = [0, 1, 2, 3, 4].map(local);
  const low = (value: Code): Code => i64.and(value, i64.const(0xffffffffn));
  const high = (value: Code): Code => i64.shrU(value, i64.const(32));
  const body = seq(
    aHigh.set(high(a.get)),
    bHigh.set(high(b.get)),
    a.set(low(a.get)),
    b.set(low(b.get)),
    middle.set(i64.add(i64.mul(aHigh.get, b.get), high(i64.mul(a.get, b.get)))),
    a.set(i64.add(i64.mul(a.get, bHigh.get), low(middle.get))),
    i64.add(i64.mul(aHigh.get, bHigh.get), i64.add(high(middle.get), high(a.get))),
  );
  return builder.addFunction({
    params: ['i64', 'i64'],
    results: ['i64'],
    locals: ['i64', 'i64', 'i64'],
    body,
  });
}
