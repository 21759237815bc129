/** Cases for the control of vector floating point: MXCSR loaded, instructions on numbers of every kind, MXCSR written back. */
import { type Case, generated, makeInstruction, randomState, WINDOW_BASE } from './cases.ts';
import { absolute, LITTLE } from './mmx.ts';
import { Random } from './random.ts';

const FLOATS =
  /^((add|sub|mul|div|sqrt|min|max|cmp|round|hadd|hsub|addsub)[sp][sd]|cvt.*|u?comis[sd])(\.sse)?$/;
const USUAL = 0x1f80;
const ALL_MASKED = 0x1f80;
const AT = WINDOW_BASE + 4096 + 256;

/** Numbers that something is decided at: zeros, denormals, the ends of the ranges, halves, infinities, both kinds of NaN. */
const SINGLES = [
  0, 1, 0x400000, 0x7fffff, 0x800000, 0x800001, 0x7f7fffff, 0x7f800000, 0x7fc00001, 0x7f800001, 0x3f800000,
  0x3f000000, 0x3fc00000, 0x40200000, 0x4b000001, 0x4f000000, 0x4effffff, 0x5f000000, 0x3effffff, 0x1f800000,
];
const DOUBLES = [
  0n,
  1n,
  0x8000000000000n,
  0xfffffffffffffn,
  0x10000000000000n,
  0x10000000000001n,
  0x7fefffffffffffffn,
  0x7ff0000000000000n,
  0x7ff8000000000001n,
  0x7ff0000000000001n,
  0x3ff0000000000000n,
  0x3fe0000000000000n,
  0x3ff8000000000000n,
  0x4004000000000000n,
  0x41dfffffffe00000n,
  0x41e0000000000000n,
  0x43e0000000000000n,
  0x3810000000000000n,
  0x380fffffffffffffn,
  0x47efffffefffffffn,
  0x47effffff0000000n,
  0x36a0000000000000n,
];

function single(random: Random): number {
  const sign = random.below(2) * 0x80000000;
  const kind = random.below(4);
  if (kind === 0) return (random.pick(SINGLES) + sign) >>> 0;
  // Near 1, so that sums cancel and round; near the ends, so that products leave the range.
  const exponent =
    kind === 1 ? 120 + random.below(16) : kind === 2 ? random.pick([1, 60, 66, 190, 254]) : random.below(255);
  return (((exponent << 23) | (random.bits() & (random.oneIn(3) ? 0x700000 : 0x7fffff))) + sign) >>> 0;
}

function double(random: Random): bigint {
  const sign = BigInt(random.below(2)) << 63n;
  const kind = random.below(4);
  if (kind === 0) return random.pick(DOUBLES) | sign;
  const near = [1016 + random.below(16), random.pick([1, 510, 515, 1530, 2046]), 1023 + random.below(66)];
  const exponent = BigInt(near[kind - 1]);
  const fraction = random.word64() & (random.oneIn(3) ? 0xe000000000000n : 0xfffffffffffffn);
  return sign | (exponent << 52n) | fraction;
}

function numbers(random: Random, registers: number): Uint8Array {
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < registers * 16; at += 16) {
    if (random.oneIn(2)) for (let n = 0; n < 16; n += 4) view.setUint32(at + n, single(random), true);
    else for (let n = 0; n < 16; n += 8) view.setBigUint64(at + n, double(random), true);
  }
  return bytes;
}

/** ldmxcsr of a constant, and stmxcsr. */
const load = (bits: 32 | 64, value: number): number[] => [
  ...[0xc7, ...absolute(bits, 0, AT), ...LITTLE(value)],
  ...[0x0f, 0xae, ...absolute(bits, 2, AT)],
];
const store = (bits: 32 | 64, at: number): number[] => [0x0f, 0xae, ...absolute(bits, 3, at)];

/**
 * A few instructions between registers. Without a look at MXCSR before them its flags are not kept, and are not compared: what
 * the instructions give still is.
 */
export function controlCase(seed: number, steps: number, bits: 32 | 64): Case {
  const random = new Random(seed);
  const names = generated(bits).filter((name) => FLOATS.test(name));
  const registers = Array.from({ length: bits / 4 }, (_, n) => n).filter((n) => n !== 4);
  const wish = { bits, registers, bases: [], indexes: [], memory: false, shortAddress: false };
  const looks = !random.oneIn(4);
  const masks = looks && random.oneIn(4) ? random.bits() & ALL_MASKED : ALL_MASKED;
  const modes = random.oneIn(4) ? 0 : random.bits() & 0xe040;
  // Flags that an earlier case has left are not this one's.
  const bytes = [...load(bits, USUAL), ...(looks ? store(bits, AT + 4) : []), ...load(bits, masks | modes)];
  const used: string[] = [];
  for (let n = 0; n < steps; n++) {
    const name = random.pick(names);
    const encoded = makeInstruction(random, name, wish);
    if (encoded === undefined || encoded.dispAt >= 0) continue;
    bytes.push(...encoded.bytes);
    used.push(name);
  }
  bytes.push(...(looks ? store(bits, AT + 8) : []), ...load(bits, USUAL));
  const state = { ...randomState(random, bits), xmm: numbers(random, bits / 4) };
  return {
    seed,
    bits,
    code: Uint8Array.from(bytes),
    ...state,
    names: ['mxcsr'],
    text: [`${used.join(' ')}; mxcsr ${(masks | modes).toString(16)}`],
    undefinedFlags: 0,
    looseRegister: -1,
  };
}
