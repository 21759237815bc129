/**
 * Integer lanes of vector registers as WebAssembly's own vector instructions: d = d op a, where both mean exactly the same
 * (Intel SDM volume 2 by mnemonic; WebAssembly Core Specification 2.0, 4.4.3). What they do not have is in vector-helpers.ts.
 */
import type { Gen } from '../gen.ts';
import { FLAG, XMM_TEMP } from '../state.ts';
import { type Code, call, i32, i64, iff, select, seq, v128 } from '../wasm/encoder.ts';
import { WIDE } from '../wide.ts';
import { apart, type OpDefinition } from './define.ts';

const d = (g: Gen): Code => v128.load(g.fieldByte('d'));
const a = (g: Gen): Code => v128.load(g.fieldByte('a'));
const put = (g: Gen, value: Code): Code => v128.store(g.fieldByte('d'), value);
const zero = i32.const(0);
const nothing = v128.const(new Array(16).fill(0));
const bytes = (byte: (n: number) => number): Code =>
  v128.const(Array.from({ length: 16 }, (_, n) => byte(n) & 255));

/** The same instruction of both: WebAssembly's number, operands in the same order. */
const SAME: Readonly<Record<string, number>> = {
  paddb: 110,
  paddw: 142,
  paddd: 174,
  paddq: 206,
  psubb: 113,
  psubw: 145,
  psubd: 177,
  psubq: 209,
  pcmpeqb: 35,
  pcmpeqw: 45,
  pcmpeqd: 55,
  pcmpeqq: 214,
  pcmpgtb: 39,
  pcmpgtw: 49,
  pcmpgtd: 59,
  pcmpgtq: 217,
  pminsb: 118,
  pminub: 119,
  pmaxsb: 120,
  pmaxub: 121,
  pminsw: 150,
  pminuw: 151,
  pmaxsw: 152,
  pmaxuw: 153,
  pminsd: 182,
  pminud: 183,
  pmaxsd: 184,
  pmaxud: 185,
  paddsb: 111,
  paddusb: 112,
  psubsb: 114,
  psubusb: 115,
  paddsw: 143,
  paddusw: 144,
  psubsw: 146,
  psubusw: 147,
  packsswb: 101,
  packuswb: 102,
  packssdw: 133,
  packusdw: 134,
  pavgb: 123,
  pavgw: 155,
  pmullw: 149,
  pmulld: 181,
  pmaddwd: 186,
};

/** Instructions of a alone. */
const ALONE: Readonly<Record<string, readonly number[]>> = {
  pabsb: [96],
  pabsw: [128],
  pabsd: [160],
  pmovsxbw: [135],
  pmovzxbw: [137],
  pmovsxwd: [167],
  pmovzxwd: [169],
  pmovsxdq: [199],
  pmovzxdq: [201],
  pmovsxbd: [135, 167],
  pmovzxbd: [137, 169],
  pmovsxwq: [167, 199],
  pmovzxwq: [169, 201],
  pmovsxbq: [135, 167, 199],
  pmovzxbq: [137, 169, 201],
};

const lanesOf = (size: number, lanes: readonly number[]): number[] =>
  lanes.flatMap((lane) => Array.from({ length: size }, (_, n) => lane * size + n));

const unpacked = (size: number, high: boolean): number[] => {
  const count = 8 / size;
  const first = high ? count : 0;
  const lanes = Array.from({ length: count }, (_, n) => [first + n, 16 / size + first + n]).flat();
  return lanesOf(size, lanes);
};

/** Bytes of d (0 to 15) and a (16 to 31), always the same. */
const SHUFFLES: Readonly<Record<string, readonly number[]>> = {
  punpcklbw: unpacked(1, false),
  punpcklwd: unpacked(2, false),
  punpckldq: unpacked(4, false),
  punpcklqdq: unpacked(8, false),
  punpckhbw: unpacked(1, true),
  punpckhwd: unpacked(2, true),
  punpckhdq: unpacked(4, true),
  punpckhqdq: unpacked(8, true),
  unpcklps: unpacked(4, false),
  unpcklpd: unpacked(8, false),
  unpckhps: unpacked(4, true),
  unpckhpd: unpacked(8, true),
  movsldup: lanesOf(4, [4, 4, 6, 6]),
  movshdup: lanesOf(4, [5, 5, 7, 7]),
  movddup: lanesOf(8, [2, 2]),
};

const EVEN_16 = lanesOf(2, [0, 2, 4, 6, 8, 10, 12, 14]);
const ODD_16 = lanesOf(2, [1, 3, 5, 7, 9, 11, 13, 15]);
const EVEN_32 = lanesOf(4, [0, 2, 4, 6]);
const ODD_32 = lanesOf(4, [1, 3, 5, 7]);
const EVEN_HALVES = lanesOf(4, [0, 2, 0, 2]);

/** Neighbours of d and a, added or subtracted. */
const neighbours = (even: readonly number[], odd: readonly number[], opcode: number) => (g: Gen) =>
  v128.binary(opcode)(v128.shuffle(d(g), a(g), even), v128.shuffle(d(g), a(g), odd));

/** The high or low halves of the 32-bit products of words. */
const highProducts = (low: number, high: number) => (g: Gen) =>
  v128.shuffle(v128.binary(low)(d(g), a(g)), v128.binary(high)(d(g), a(g)), ODD_16);

/** Products of the even 32-bit lanes. */
const evenProducts = (opcode: number) => (g: Gen) =>
  v128.binary(opcode)(v128.shuffle(d(g), d(g), EVEN_HALVES), v128.shuffle(a(g), a(g), EVEN_HALVES));

/** d with the sign of a, 0 where a is 0. */
const signed = (shift: number, bits: number, subtract: number, unequal: number) => (g: Gen) => {
  const negative = v128.binary(shift)(a(g), i32.const(bits - 1));
  const turned = v128.binary(subtract)(v128.binary(81)(d(g), negative), negative);
  return v128.binary(78)(turned, v128.binary(unequal)(a(g), nothing));
};

/** pmulhrsw: as WebAssembly's, but -1 times -1 is -1. */
function roundedProducts(g: Gen): Code {
  const least = bytes((n) => (n & 1 ? 0x80 : 0));
  const both = v128.binary(78)(v128.binary(45)(d(g), least), v128.binary(45)(a(g), least));
  return v128.binary(81)(v128.binary(130)(d(g), a(g)), both);
}

/** pmaddubsw: bytes of d are unsigned, those of a signed; pairs of products are added with saturation. */
function unsignedTimesSigned(g: Gen): Code {
  const low = v128.binary(149)(v128.unary(137)(d(g)), v128.unary(135)(a(g)));
  const high = v128.binary(149)(v128.unary(138)(d(g)), v128.unary(136)(a(g)));
  return v128.binary(143)(v128.shuffle(low, high, EVEN_16), v128.shuffle(low, high, ODD_16));
}

/** psadbw: the differences of bytes, added up in each half. */
function sumOfDifferences(g: Gen): Code {
  const differences = v128.binary(80)(v128.binary(115)(d(g), a(g)), v128.binary(115)(a(g), d(g)));
  const quarters = v128.unary(127)(v128.unary(125)(differences));
  const upper = v128.binary(205)(quarters, i32.const(32));
  return v128.binary(78)(
    v128.binary(174)(quarters, upper),
    bytes((n) => (n % 8 < 4 ? 0xff : 0)),
  );
}

const OTHERS: Readonly<Record<string, (g: Gen) => Code>> = {
  pmulhw: highProducts(188, 189),
  pmulhuw: highProducts(190, 191),
  pmuludq: evenProducts(222),
  pmuldq: evenProducts(220),
  pmulhrsw: roundedProducts,
  pmaddubsw: unsignedTimesSigned,
  psadbw: sumOfDifferences,
  psignb: signed(108, 8, 113, 36),
  psignw: signed(140, 16, 145, 46),
  psignd: signed(172, 32, 177, 56),
  phaddw: neighbours(EVEN_16, ODD_16, 142),
  phaddd: neighbours(EVEN_32, ODD_32, 174),
  phaddsw: neighbours(EVEN_16, ODD_16, 143),
  phsubw: neighbours(EVEN_16, ODD_16, 145),
  phsubd: neighbours(EVEN_32, ODD_32, 177),
  phsubsw: neighbours(EVEN_16, ODD_16, 146),
  // A control byte with its top bit is past the end for both.
  pshufb: (g) =>
    v128.binary(14)(
      d(g),
      v128.binary(78)(
        a(g),
        bytes(() => 0x8f),
      ),
    ),
};

/** Shifts of lanes: WebAssembly's number, bits of a lane, whether the sign comes in. */
const SHIFTS: Readonly<Record<string, readonly [opcode: number, bits: number, arithmetic: boolean]>> = {
  psllw: [139, 16, false],
  pslld: [171, 32, false],
  psllq: [203, 64, false],
  psrlw: [141, 16, false],
  psrld: [173, 32, false],
  psrlq: [205, 64, false],
  psraw: [140, 16, true],
  psrad: [172, 32, true],
};

/** By the immediate, which is less than the bits of a lane; or by the low half of a, which may be anything. */
function shifts(name: string): readonly OpDefinition[] {
  const [opcode, bits, arithmetic] = SHIFTS[name];
  const count = (g: Gen): Code => i64.load(g.fieldByte('a'));
  const most = i64.const(bits - 1);
  return [
    apart(`v.${name}.i`, (g) => put(g, v128.binary(opcode)(d(g), g.imm32()))),
    apart(`v.${name}.v`, (g) => {
      const over = i64.gtU(count(g), most);
      const by = arithmetic ? select(over, most, count(g)) : count(g);
      const shifted = put(g, v128.binary(opcode)(d(g), i32.wrap(by)));
      return arithmetic ? shifted : iff(over, put(g, nothing), shifted);
    }),
  ];
}

/** Sixteen numbers of four bits, which the payload holds, as bytes. */
function nibbles(g: Gen): Code {
  const spread = v128.unary(18)(g.imm64());
  const low = v128.binary(78)(
    spread,
    bytes(() => 0x0f),
  );
  const high = v128.binary(109)(v128.unary(18)(g.imm64()), i32.const(4));
  return v128.shuffle(
    low,
    high,
    Array.from({ length: 16 }, (_, n) => (n >> 1) + (n & 1) * 16),
  );
}

/** Bytes by number: of a; the low half of d and the high one of a; and d or a, byte for byte. */
const arranged: readonly OpDefinition[] = [
  apart('v.permute', (g) => put(g, v128.binary(14)(a(g), nibbles(g)))),
  apart('v.permute2', (g) => {
    const halves = Array.from({ length: 16 }, (_, n) => (n < 8 ? n : 16 + n));
    return put(g, v128.shuffle(v128.binary(14)(d(g), nibbles(g)), v128.binary(14)(a(g), nibbles(g)), halves));
  }),
  apart('v.blend', (g) => put(g, v128.ternary(82)(a(g), d(g), v128.binary(36)(nibbles(g), nothing)))),
  // Sixteen bytes out of the thirty-two of a and b, the immediate says from where.
  apart('v.align', (g) =>
    seq(
      v128.store(zero, v128.load(g.fieldByte('a')), XMM_TEMP),
      v128.store(zero, v128.load(g.fieldByte('b')), XMM_TEMP + 16),
      put(g, v128.load(g.imm32(), XMM_TEMP)),
    ),
  ),
];

/** The top bit of every byte of a lane of that size where the lane of the implied mask has its own. */
const variableBlend = (opcode: number, bits: number) => (g: Gen) =>
  v128.ternary(82)(a(g), d(g), v128.binary(opcode)(v128.load(g.fieldByte('b')), i32.const(bits - 1)));

const blends: readonly OpDefinition[] = [
  apart('v.pblendvb', (g) => put(g, variableBlend(108, 8)(g))),
  apart('v.blendvps', (g) => put(g, variableBlend(172, 32)(g))),
  apart('v.blendvpd', (g) => put(g, variableBlend(204, 64)(g))),
];

/** Between a lane and a general register: a lane's place is an offset in the register file. */
const lanes: readonly OpDefinition[] = [
  ...([1, 2, 4, 8] as const).flatMap((size) => {
    const at = (g: Gen, field: 'd' | 'a'): Code => i32.add(g.fieldByte(field), g.imm32());
    const from = (g: Gen): Code => {
      if (size === 8) return g.setReg('d', 8, i64.load(at(g, 'a')));
      const value = size === 4 ? i32.load : size === 2 ? i32.load16u : i32.load8u;
      return g.setReg('d', 4, value(at(g, 'a')));
    };
    const to = (g: Gen): Code => {
      if (size === 8) return i64.store(at(g, 'd'), g.reg('a', 8));
      const store = size === 4 ? i32.store : size === 2 ? i32.store16 : i32.store8;
      return store(at(g, 'd'), g.reg('a', 4));
    };
    return [apart(`v.pextr.${size}`, from), apart(`v.pinsr.${size}`, to)];
  }),
  apart('v.pmovmskb', (g) => g.setReg('d', 4, v128.unary(100)(a(g)))),
  apart('v.movmskps', (g) => g.setReg('d', 4, v128.unary(164)(a(g)))),
  apart('v.movmskpd', (g) => g.setReg('d', 4, v128.unary(196)(a(g)))),
  apart('v.ptest', (g) => {
    const isZero = (value: Code): Code => i32.eqz(v128.unary(83)(value));
    const zf = i32.mul(isZero(v128.binary(78)(a(g), d(g))), i32.const(FLAG.ZF));
    return g.setRawFlags(i32.or(zf, isZero(v128.binary(79)(a(g), d(g)))));
  }),
];

const wide: readonly OpDefinition[] = WIDE.map((name, kind) =>
  apart(`v.${name}`, (g) =>
    call(g.calls.wide, i32.const(kind), g.fieldByte('d'), g.fieldByte('a'), g.imm32()),
  ),
);

export const simdOps: readonly OpDefinition[] = [
  ...Object.entries(SAME).map(([name, n]) => apart(`v.${name}`, (g) => put(g, v128.binary(n)(d(g), a(g))))),
  ...Object.entries(ALONE).map(([name, steps]) =>
    apart(`v.${name}`, (g) =>
      put(
        g,
        steps.reduce((value, n) => v128.unary(n)(value), a(g)),
      ),
    ),
  ),
  ...Object.entries(SHUFFLES).map(([name, from]) =>
    apart(`v.${name}`, (g) => put(g, v128.shuffle(d(g), a(g), from))),
  ),
  ...Object.entries(OTHERS).map(([name, value]) => apart(`v.${name}`, (g) => put(g, value(g)))),
  ...Object.keys(SHIFTS).flatMap(shifts),
  ...arranged,
  ...blends,
  ...lanes,
  ...wide,
];
